"""`polyseme cosines`: how near words are to each other, or uses of a word."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from polyseme.cli.options import (
    Count,
    Folder,
    Json,
    MaybeOutput,
    PageLanguage,
    ReadOn,
    Threads,
    layer_of,
    positive,
    use_device,
    use_threads,
)
from polyseme.cli.output import closing, show
from polyseme.core.shell import command

EXAMPLE = "polyseme cosines runs/mine good bad day"


def run(
    folder: Folder,
    /,
    *items: Annotated[str, Parameter(name="WORD")],
    against: list[Path] | None = None,
    word: str | None = None,
    layer: str | None = None,
    output: MaybeOutput = None,
    limit: Count = None,
    lang: PageLanguage = "en",
    seed: int = 0,
    threads: Threads = None,
    device: ReadOn = "cpu",
    json: Json = False,
) -> None:
    """Show how near words are to each other, or uses of a word: the cosine of every two vectors, in any model.

    Args:
        folder: the run folder.
        items: words; or sentences with a word between asterisks, "He sat on the *bank*.", a use each. When absent:
            uses of --word in the text that the run was trained on.
        against: a further run, repeatable: all see the same words or uses.
        word: what is given are sentences, and their word is this one.
        layer: of uses: a layer by number (-1 is the last, and the one that is taken when absent), or all.
        output: a folder for cosines.html, cosines.json, and every chart as .svg and .png.
        limit: so many of the run's own uses; 8 when absent.
        lang: the language of the page.
        seed: of the draw of the run's own uses.
        json: print one JSON document: {"of", "items", "runs": [{"name", "layers": [{"layer", "cosines": a row an
            item}]}]}.
    """
    positive("--limit", limit)
    layers = layer_of(layer, "all")
    use_threads(threads)
    use_device(device)
    from polyseme.report.files import check_folder
    from polyseme.study.cosines import cosines

    if output is not None:
        check_folder(output)
    result = cosines([folder, *(against or ())], items, word=word, layer=layers, limit=limit, seed=seed)
    wrote = show(result, output, lang, json)
    named: list[object] = [] if word is None else ["--word", word]
    named += [part for other in against or () for part in ("--against", other)]
    if limit is not None:
        named += ["--limit", limit]
    named += ["--seed", seed] * (seed != 0)
    if output is None:
        more = ["-o", "cosines"] if layer is None else ["--layer", layer, "-o", "cosines"]
    elif result.of == "uses" and layer is None:
        more = ["--layer", "all"]
    else:
        closing(wrote=wrote)
        return
    typed: list[object] = [folder, *items, *named, *more]
    if any(item.startswith("-") for item in items):
        typed = [*named, *more, "--", folder, *items]
    closing(wrote=wrote, then=[command("polyseme", "cosines", *typed)])
