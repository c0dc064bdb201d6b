"""`polyseme units`: hide whole words, phrases and entities, and see whether runs find them again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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

EXAMPLE = "polyseme units runs/mine my-texts/000.txt -o units"


def run(
    folder: Folder,
    /,
    *others: Annotated[Path, Parameter(name="[RUN2...] [FILE]")],
    output: MaybeOutput = None,
    lexicon: list[str] | None = None,
    limit: Count = None,
    seed: int = 0,
    field: str = "text",
    lang: PageLanguage = "en",
    encoding: Encoding = "auto",
    threads: Threads = None,
    device: ReadOn = "cpu",
    json: Json = False,
) -> None:
    """Hide whole words, phrases and entities of texts, and see whether masked models find them again.

    Args:
        folder: a run that fills masks: bert, ernie, modernbert.
        others: more runs, which are asked for the same units, and a file of texts: a line each, or .jsonl; may be .gz
            or .zst. Without a file the first run's held-out text is read.
        output: a folder for units.json, units.html and the chart as .svg and .png.
        lexicon: files or folders of phrases and entities, repeatable; those that runs of ernie have learned count, too.
        limit: so many units of a kind; 500 when absent.
        seed: of the draw.
        field: the key of the text in .jsonl.
        lang: the language of the page.
        json: print one JSON document: {"runs": [{"run", "name", "model", "kinds": {kind: {"found", "nats": each
            {"value", "low", "high", "n"}, "tokens"}}}], "texts", "left_out", "examples", …}; runs after the first also
            have "found_difference" and "nats_difference" {"value", "low", "high", "p", "n"}: the first less this one.
    """
    positive("--limit", limit)
    use_threads(threads)
    use_device(device)
    from polyseme.cli.progress import reporting
    from polyseme.report.files import check_folder
    from polyseme.study.hidden_units import LIMIT, hidden_units

    if output is not None:
        check_folder(output)
    file = others[-1] if others and not others[-1].is_dir() else None
    runs = [folder, *(others if file is None else others[:-1])]
    with reporting() as reporter:
        result = hidden_units(
            runs,
            file,
            lexicon=lexicon or (),
            limit=limit or LIMIT,
            seed=seed,
            field=field,
            encoding=encoding,
            reporter=reporter,
        )
    wrote = show(result, output, lang, json)
    again: list[object] = [word for path in lexicon or [] for word in ("--lexicon", path)]
    again += ["--limit", limit] * (limit is not None) + ["--field", field] * (field != "text")
    again += ["--encoding", encoding] * (encoding != "auto")
    if output is not None:
        again += ["--seed", seed + 1]
    else:
        again += ["--seed", seed] * (seed != 0) + ["-o", "units"]
    closing(wrote=wrote, then=[command("polyseme", "units", folder, *others, *again)])
