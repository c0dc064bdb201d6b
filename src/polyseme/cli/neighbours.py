"""`polyseme neighbours`: the words nearest to a word."""

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
from polyseme.cli.output import closing, show, use_command
from polyseme.core.shell import command

EXAMPLE = "polyseme neighbours runs/mine good --top 5"


def run(
    folder: Folder,
    word: str,
    /,
    *,
    context: str | None = None,
    plus: str | None = None,
    minus: str | None = None,
    top: int = 10,
    output: MaybeOutput = None,
    lang: PageLanguage = "en",
    threads: Threads = None,
    device: ReadOn = "cpu",
    json: Json = False,
) -> None:
    """List the words nearest to a word by the cosine of their vectors, or the other words of its class.

    Args:
        folder: the run folder.
        word: a word of the vocabulary; elmo also reads others, by their letters.
        context: a sentence that holds the word: compare its vector there rather than the word's own.
        plus: a word whose vector is added to the word's.
        minus: a word whose vector is taken away. With --plus, an analogy: minus is to word as plus is to what is found.
        top: how many neighbours to show.
        output: a folder for neighbours.html, neighbours.json, and the chart as .svg and .png.
        lang: the language of the page.
        json: print one JSON document: [{"word", "similarity", "count"}]; the count is that of the training text.
    """
    positive("--top", top)
    use_threads(threads)
    use_device(device)
    from polyseme.infer.model import load
    from polyseme.infer.neighbours import neighbours
    from polyseme.report.files import check_folder

    if output is not None:
        check_folder(output)
    loaded = load(folder)
    wrote = show(neighbours(loaded, word, context, top, plus=plus, minus=minus), output, lang, json)
    if context is None and plus is None and minus is None and loaded.fills_masks:
        typed = ["--", word] if word.startswith("-") else [word]
        closing(
            wrote=wrote, then=[command("polyseme", "neighbours", folder, "--context", f"… {word} …", *typed)]
        )
    else:
        closing(wrote=wrote, then=[use_command(loaded.run.meta["recipe"], folder)])
