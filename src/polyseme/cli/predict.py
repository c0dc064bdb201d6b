"""`polyseme predict`: what an adapted run says of a file."""

from __future__ import annotations

import sys
from contextlib import closing as closed_after
from typing import Annotated

from cyclopts import Parameter

from polyseme.cli.options import (
    ColumnNames,
    Encoding,
    Folder,
    Json,
    MaybeOutput,
    ReadOn,
    Separator,
    TextOrFile,
    Threads,
    keep_few_sizes,
    read_options,
    refuse_unused,
    text_or_file,
    use_device,
    use_threads,
)
from polyseme.cli.output import closing, say
from polyseme.core.shell import command

EXAMPLE = "polyseme predict runs/sentiment reviews.txt -o predicted.jsonl"


def run(
    folder: Folder,
    file: TextOrFile,
    /,
    *,
    output: MaybeOutput = None,
    columns: ColumnNames = None,
    separator: Separator = "auto",
    encoding: Encoding = "auto",
    threshold: float | None = None,
    detail: Annotated[bool, Parameter(show_default=False)] = False,
    threads: Threads = None,
    device: ReadOn = "cpu",
    json: Json = False,
) -> None:
    """Say what an adapted run makes of every text, sentence or question of a file: a JSON object a line.

    Args:
        folder: a run that `polyseme finetune` made.
        file: as for training, with or without labels, or plain text: a text a line (for pairs, with a tab between);
            also .gz and .zst; - for the standard input; or a text by itself.
        output: a file to write, there when it is complete; the standard output when absent.
        columns: OURS=THEIRS, repeatable or with commas; as in training when absent.
        threshold: of questions without an answer, in place of the one that was tuned on dev; a higher one answers more.
        detail: say more of every prediction. Of answers: "tokens" of the passage with the probability that an answer
            begins and ends there, the five best "spans", the probability of "no_answer" and the "threshold"; of tags:
            the "probabilities" of every token's. Labels have theirs anyway.
        json: changes nothing: the results are JSON lines.
    """
    reading = read_options(columns, separator, encoding)
    refuse_unused(reading, [file], texts=True)
    named = reading.columns or None
    keep_few_sizes()

    from polyseme.cli.progress import open_reporter
    from polyseme.core.reporter import NullReporter
    from polyseme.infer.model import load
    from polyseme.infer.predict import Predictor, predict_file
    from polyseme.text.labelled.opening import name_of
    from polyseme.text.labelled.records import Problems

    use_threads(threads)
    use_device(device)
    predictor = Predictor(load(folder), threshold, detail)
    problems = Problems()
    quiet = output is None and sys.stdout.isatty()  # the results themselves show how far it is
    reporting = closed_after(NullReporter() if quiet else open_reporter())
    with text_or_file(file) as path, reporting as reporter:
        n = predict_file(
            predictor,
            path,
            output or sys.stdout,
            named,
            problems,
            reporter,
            encoding=reading.encoding,
            separator=reading.separator,
        )
    if path == file:
        say(f"read {name_of(path)}: {problems.file(name_of(path)).described()}")
    for line in problems.summary():
        say(f"note: {line}")
    say(f"{predictor.name}: {n:,} predicted")
    closing(
        wrote=[output] if output is not None else [],
        then=[command("polyseme", "evaluate", folder, "LABELLED")],
    )
