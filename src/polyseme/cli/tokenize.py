"""`polyseme tokenize`: the tokens that a run reads of a text."""

from __future__ import annotations

from polyseme.cli.options import Folder, Json, Threads, use_threads
from polyseme.cli.output import closing, show
from polyseme.core.shell import command

EXAMPLE = 'polyseme tokenize runs/mine "It was an unbelievable day."'


def run(folder: Folder, text: str, /, *, threads: Threads = None, json: Json = False) -> None:
    """Show the tokens that a run reads of a text, with their ids below.

    Args:
        folder: the run folder.
        text: any text.
        json: print one JSON document: {"text", "tokens": [{"token", "id", "start", "end", "word_start", "unknown"}],
            "cut": how many of the last tokens are more than the model reads}.
    """
    use_threads(threads)
    from polyseme.infer.model import load
    from polyseme.infer.tokenize import tokenize

    show(tokenize(load(folder), text), json=json)
    closing(then=[command("polyseme", "inspect", folder)])
