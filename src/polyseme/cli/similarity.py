"""`polyseme similarity`: do word vectors rank pairs of words as people do?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from polyseme.cli.options import Encoding, Json, Separator, Threads, read_options, use_threads
from polyseme.cli.output import closing, command, emit, emit_json, neighbours_command, use_command
from polyseme.errors import InputError

EXAMPLE = "polyseme similarity runs/word2vec similar-words.tsv"


def run(
    folder: Annotated[Path, Parameter(name="RUN")],
    /,
    *files: Annotated[Path, Parameter(name="FILE")],
    threads: Threads = None,
    separator: Separator = "auto",
    encoding: Encoding = "auto",
    json: Json = False,
) -> None:
    """Correlate the cosines of word vectors with people's similarity scores (Spearman, 95 % bootstrap interval).

    Args:
        folder: the run folder.
        files: two words and a score a line, between tabs, commas or spaces (SimLex-999, SimVerb, RW, wordsim …).
        json: print one JSON document: [{"file", "spearman": {"value", "low", "high",
            "n"}, "pairs", "covered", "unknown"}].
    """
    if not files:
        raise InputError("no file of word pairs given", fix=command("polyseme", "similarity", folder, "FILE"))
    use_threads(threads)
    reading = read_options(None, separator, encoding)
    from polyseme.infer.model import load
    from polyseme.study.similarity import similarity

    loaded = load(folder)
    found = [
        similarity(loaded, file, encoding=reading.encoding, separator=reading.separator) for file in files
    ]
    if json:
        emit_json(found)
    else:
        emit(similarity_text(found))
    recipe = loaded.run.meta["recipe"]
    closing(then=neighbours_command(recipe, folder) or [use_command(recipe, folder)])


def similarity_text(found: list[dict[str, Any]]) -> str:
    """Write results as a table a person can read, one line a file."""
    names = [Path(result["file"]).name for result in found]
    width = max(map(len, [*names, "set"]))
    lines = [f"{'set':<{width}}  Spearman  95 % interval      pairs covered"]
    for name, result in zip(names, found, strict=True):
        s = result["spearman"]
        value = "    none" if s["value"] is None else f"{s['value']:8.3f}"
        interval = "" if s["low"] is None else f"{s['low']:.3f} … {s['high']:.3f}"
        lines.append(
            f"{name:<{width}}  {value}  {interval:<15}  {result['covered']:,} of {result['pairs']:,}"
        )
    return "\n".join(lines)
