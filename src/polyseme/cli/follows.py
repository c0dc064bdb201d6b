"""`polyseme follows`: does a text follow another?"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from polyseme.cli.options import Folder, Json, ReadOn, Threads, use_device, use_threads
from polyseme.cli.output import closing, show
from polyseme.core.shell import command

EXAMPLE = 'polyseme follows runs/bert "It rained all day." "They stayed at home."'


def run(
    folder: Folder,
    text: str,
    text_b: Annotated[str, Parameter(name="TEXT_B")],
    /,
    *,
    threads: Threads = None,
    device: ReadOn = "cpu",
    json: Json = False,
) -> None:
    """Say whether the second text goes on where the first ends, yes or no, with a probability.

    The next-sentence head is asked, which learned to tell the next sentences of a document from those of another.

    Args:
        folder: a run trained with next_sentence, as bert is.
        text: the first text.
        text_b: the second text.
        json: print one JSON document: {"text", "text_b", "follows": the probability}.
    """
    use_threads(threads)
    use_device(device)
    from polyseme.infer.model import load
    from polyseme.infer.next_sentence import follows

    show(follows(load(folder), text, text_b), json=json)
    closing(then=[command("polyseme", "follows", folder, text_b, text)])
