"""`polyseme analogy`: a is to b as c is to …?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from polyseme.cli.options import Encoding, Json, Separator, Threads, read_options, use_threads
from polyseme.cli.output import closing, command, emit, emit_json, neighbours_command

EXAMPLE = "polyseme analogy runs/word2vec questions-words.txt"


def run(
    folder: Annotated[Path, Parameter(name="RUN")],
    file: Annotated[Path, Parameter(name="FILE")],
    /,
    *,
    threads: Threads = None,
    separator: Separator = "auto",
    encoding: Encoding = "auto",
    json: Json = False,
) -> None:
    """Answer analogies with word vectors: accuracy by section with 95 % Wilson intervals.

    Args:
        folder: the run folder.
        file: four words a line, sections begin with ": NAME" (the form of questions-words.txt).
        json: print one JSON document: {"file", "sections": {NAME: scores}, "total": scores}.
    """
    use_threads(threads)
    reading = read_options(None, separator, encoding)
    from polyseme.infer.model import load
    from polyseme.study.analogy import analogy

    loaded = load(folder)
    found = analogy(loaded, file, encoding=reading.encoding, separator=reading.separator)
    if json:
        emit_json(found)
    else:
        emit(analogy_text(found))
    closing(
        then=[
            command("polyseme", "similarity", folder, "FILE"),
            *neighbours_command(loaded.run.meta["recipe"], folder),
        ]
    )


def analogy_text(found: dict[str, Any]) -> str:
    """Write results as a table a person can read, one line a section, the total last."""
    rows = {**found["sections"], "total": found["total"]}
    width = max(map(len, [*rows, "section"]))
    lines = [f"{'section':<{width}}  {'3CosAdd':^23}  {'3CosMul':^23}  covered"]
    for name, scores in rows.items():
        cells = "  ".join(f"{_share(scores[rule]):<23}" for rule in ("cos_add", "cos_mul"))
        lines.append(f"{name:<{width}}  {cells}  {scores['covered']:,} of {scores['questions']:,}")
    return "\n".join(lines)


def _share(score: dict[str, Any]) -> str:
    if score["value"] is None:
        return "none"
    return f"{score['value']:6.1%} ({score['low']:.1%} … {score['high']:.1%})"
