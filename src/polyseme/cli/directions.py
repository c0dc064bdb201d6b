"""`polyseme directions`: what ELMo expects at a place, from the left and from the right."""

from __future__ import annotations

from polyseme.cli.options import (
    Folder,
    Json,
    MaybeOutput,
    PageLanguage,
    ReadOn,
    Threads,
    positive,
    use_device,
    use_threads,
)
from polyseme.cli.output import closing, show
from polyseme.core.shell import command

EXAMPLE = 'polyseme directions runs/elmo "It was a good *day*."'


def run(
    folder: Folder,
    text: str,
    /,
    *,
    word: str | None = None,
    top: int = 5,
    output: MaybeOutput = None,
    lang: PageLanguage = "en",
    threads: Threads = None,
    device: ReadOn = "cpu",
    json: Json = False,
) -> None:
    """Show what an elmo expects at every word of a text: P(word | left) forward and P(word | right) backward.

    Args:
        folder: the run folder, of a model trained with bidirectional_lm.
        text: a sentence; a word between asterisks is looked at closely: "He sat on the *bank*."
        word: look closely at this word, where it first stands.
        top: how many candidates of each direction.
        output: a folder for directions.html, directions.json, and every chart as .svg and .png.
        lang: the language of the page.
        json: print one JSON document: {"text", "chosen", "tokens": [{"token", "start", "end", "left", "right"}]}; a
            side is {"rank", "nats", "read", "candidates"}.
    """
    positive("--top", top)
    use_threads(threads)
    use_device(device)
    from polyseme.report.files import check_folder
    from polyseme.study.directions import directions

    if output is not None:
        check_folder(output)
    result = directions(folder, text, word=word, top=top)
    wrote = show(result, output, lang, json)
    named = [] if word is None else ["--word", word]
    more = ["-o", "directions"] if output is None else ["--top", "10"]
    typed: list[object] = (
        [*named, *more, "--", folder, text] if text.startswith("-") else [folder, text, *named, *more]
    )
    closing(wrote=wrote, then=[command("polyseme", "directions", *typed)])
