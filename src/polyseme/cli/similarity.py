"""`polyseme similarity`: do word vectors rank pairs of words as people do?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from polyseme.cli.options import (
    Encoding,
    Folder,
    Json,
    ReadOn,
    Separator,
    Threads,
    read_options,
    use_device,
    use_threads,
)
from polyseme.cli.output import closing, neighbours_command, show, use_command
from polyseme.core.shell import command
from polyseme.errors import InputError

EXAMPLE = "polyseme similarity runs/word2vec similar-words.tsv"


def run(
    folder: Folder,
    /,
    *files: Annotated[Path, Parameter(name="FILE")],
    threads: Threads = None,
    device: ReadOn = "cpu",
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
    use_device(device)
    reading = read_options(None, separator, encoding)
    from polyseme.infer.model import load
    from polyseme.study.word_vectors import similarity

    loaded = load(folder)
    show(similarity(loaded, files, separator=reading.separator, encoding=reading.encoding), json=json)
    recipe = loaded.run.meta["recipe"]
    closing(then=neighbours_command(recipe, folder) or [use_command(recipe, folder)])
