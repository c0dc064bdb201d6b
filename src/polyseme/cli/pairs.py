"""`polyseme pairs`: does a run find the good text of a minimal pair more probable than the bad one?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from polyseme.cli.options import (
    ColumnNames,
    Encoding,
    Folder,
    Json,
    MaybeOutput,
    PageLanguage,
    ReadOn,
    Separator,
    Threads,
    keep_few_sizes,
    positive,
    read_options,
    refuse_unused,
    typed_options,
    use_device,
    use_threads,
)
from polyseme.cli.output import closing, show
from polyseme.core.shell import command
from polyseme.errors import InputError

EXAMPLE = "polyseme pairs runs/mine pairs.jsonl -o pairs"


def run(
    folder: Folder,
    /,
    *files: Annotated[Path, Parameter(name="FILE", allow_leading_hyphen=True)],
    scoring: Literal["original", "within-word"] | None = None,
    against: Path | None = None,
    output: MaybeOutput = None,
    columns: ColumnNames = None,
    separator: Separator = "auto",
    encoding: Encoding = "auto",
    limit: int | None = None,
    lang: PageLanguage = "en",
    threads: Threads = None,
    device: ReadOn = "cpu",
    json: Json = False,
) -> None:
    """Say in how many minimal pairs the good text is more probable than the bad one, by phenomenon, with intervals.

    Decoders (gpt, qwen3) are asked for log-likelihoods, masked models (bert, modernbert, ernie) for
    pseudo-log-likelihoods, elmo for the sum of both directions. A tie counts one half.

    Args:
        folder: the run folder.
        files: BLiMP's .jsonl, tables (.tsv, .csv) with columns good and bad and perhaps paradigm and phenomenon, or
            folders of such; also .gz and .zst; - for the standard input.
        scoring: of masked models: within-word hides with every token the later ones of its word, which give it away
            (Kauf and Ivanova 2023); original does not (Salazar et al. 2020). When absent within-word, and for hybrid
            runs, which can also read as decoders do, log-likelihoods.
        against: a second run of any such model: the difference is tested on the same pairs (paired bootstrap and
            randomisation; the larger p is shown).
        output: a folder for pairs.json, pairs.html, the chart as .svg and .png, and scores.jsonl, all pairs with their
            scores.
        columns: OURS=THEIRS, repeatable or with commas: good=1,bad=2 for a table without a header.
        limit: pairs of a paradigm that are read at most.
        lang: language of the page's own words: en or zh.
        json: print one JSON document: {"figures": {"accuracy": {"value", "low", "high", "n"}, "margin", "ties", …},
            "phenomena": […], "paradigms": […], "errors": […], …}; with --against each also has "against" and
            "difference" {"value", "low", "high", "p", "p_randomisation", "n"}.
    """
    positive("--threads", threads)
    positive("--limit", limit)
    if not files:
        raise InputError(
            "no file of minimal pairs given", fix=command("polyseme", "pairs", folder, "FILE.jsonl")
        )
    reading = read_options(columns, separator, encoding)
    refuse_unused(reading, files)
    keep_few_sizes(64)

    from polyseme.cli.progress import reporting
    from polyseme.report.files import check_folder
    from polyseme.study.pairs import pairs

    if output is not None:
        check_folder(output)
    use_threads(threads)
    use_device(device)
    with reporting() as reporter:
        result = pairs(
            folder,
            files,
            scoring=scoring,
            against=against,
            columns=reading.columns,
            separator=reading.separator,
            encoding=reading.encoding,
            limit=limit,
            reporter=reporter,
        )
    wrote = show(result, output, lang, json)
    options = ["-o", "pairs"] if output is None else ["--against", "RUN2"]
    closing(
        wrote=wrote, then=[command("polyseme", "pairs", folder, *files, *typed_options(reading), *options)]
    )
