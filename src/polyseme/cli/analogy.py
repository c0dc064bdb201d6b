"""`polyseme analogy`: a is to b as c is to …?"""

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
from polyseme.cli.output import closing, neighbours_command, show
from polyseme.core.shell import command

EXAMPLE = "polyseme analogy runs/word2vec questions-words.txt"


def run(
    folder: Folder,
    file: Annotated[Path, Parameter(name="FILE")],
    /,
    *,
    threads: Threads = None,
    device: ReadOn = "cpu",
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
    use_device(device)
    reading = read_options(None, separator, encoding)
    from polyseme.infer.model import load
    from polyseme.study.word_vectors import analogy

    loaded = load(folder)
    show(analogy(loaded, file, separator=reading.separator, encoding=reading.encoding), json=json)
    closing(
        then=[
            command("polyseme", "similarity", folder, "FILE"),
            *neighbours_command(loaded.run.meta["recipe"], folder),
        ]
    )
