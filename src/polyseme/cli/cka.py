"""`polyseme cka`: how alike the layers of one or two runs see the same text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from polyseme.cli.options import (
    Count,
    Encoding,
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
from polyseme.errors import InputError

EXAMPLE = "polyseme cka runs/mine runs/gpt my-texts/000.txt -o layers"


def run(
    folder: Folder,
    /,
    *others: Annotated[Path, Parameter(name="[RUN2] FILE")],
    output: MaybeOutput = None,
    unit: Literal["words", "texts"] = "words",
    limit: Count = None,
    field: str = "text",
    lang: PageLanguage = "en",
    encoding: Encoding = "auto",
    threads: Threads = None,
    device: ReadOn = "cpu",
    json: Json = False,
) -> None:
    """Compare every layer of a run with every layer of another, or with its own, on the same text (linear CKA).

    Args:
        folder: a run of any model.
        others: a second run, if there is one, and a file of texts: a line each, or .jsonl; may be .gz or .zst.
        output: a folder for cka.json, cka.html and the chart as .svg and .png.
        unit: what is compared: words (the mean of a word's tokens; runs may have different tokenizers) or whole texts.
        limit: so many words or texts at most; 20,000 when absent.
        field: the key of the text in .jsonl.
        lang: the language of the page.
        json: print one JSON document: {"runs", "unit", "texts", "units", "cka": a row a layer of RUN, a column a layer
            of RUN2, each {"value", "low", "high", "n", "plain"}}.
    """
    if not 1 <= len(others) <= 2:
        raise InputError(
            "one or two runs and a file are needed",
            got=f"{1 + len(others)} names",
            fix=command("polyseme", "cka", folder, "RUN2", "FILE"),
        )
    positive("--limit", limit)
    use_threads(threads)
    use_device(device)
    from polyseme.cli.progress import reporting
    from polyseme.report.files import check_folder
    from polyseme.study.cka import LIMIT, cka

    if output is not None:
        check_folder(output)
    with reporting() as reporter:
        result = cka(
            [folder, *others[:-1]],
            others[-1],
            unit=unit,
            limit=limit or LIMIT,
            field=field,
            encoding=encoding,
            reporter=reporter,
        )
    wrote = show(result, output, lang, json)
    options = ["-o", "layers"] if output is None else ["--unit", "texts"]
    closing(wrote=wrote, then=[command("polyseme", "cka", folder, *others, *options)])
