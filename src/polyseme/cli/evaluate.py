"""`polyseme evaluate`: how good an adapted run is on a labelled file, and whether it is better than another."""

from __future__ import annotations

from pathlib import Path

from polyseme.cli.options import (
    ColumnNames,
    Encoding,
    Folder,
    Json,
    LabelledFile,
    MaybeOutput,
    ReadOn,
    Separator,
    Threads,
    keep_few_sizes,
    read_options,
    refuse_unused,
    typed_options,
    use_device,
    use_threads,
)
from polyseme.cli.output import closing, emit, emit_json, say
from polyseme.core.shell import command

EXAMPLE = "polyseme evaluate runs/sentiment test.tsv -o evaluation"


def run(
    folder: Folder,
    file: LabelledFile,
    /,
    *,
    against: Path | None = None,
    output: MaybeOutput = None,
    errors: Path | None = None,
    columns: ColumnNames = None,
    separator: Separator = "auto",
    encoding: Encoding = "auto",
    threshold: float | None = None,
    threads: Threads = None,
    device: ReadOn = "cpu",
    json: Json = False,
) -> None:
    """Measure an adapted run on a labelled file: figures with 95 % intervals, by label, and what is confused.

    Args:
        folder: a run that `polyseme finetune` made.
        file: labelled examples, as for training; - for the standard input.
        against: a second run of the same task, of any model: both are measured on the same examples, and every
            difference is tested (paired bootstrap and randomisation; the larger p is shown).
        output: a folder for evaluation.json, errors.jsonl and confusion.png, .svg, .html.
        errors: a file for the errors alone: JSON lines, the most confident first.
        columns: OURS=THEIRS, repeatable or with commas; as in training when absent.
        threshold: of questions without an answer, in place of the one that was tuned on dev; a higher one answers more.
        json: print one JSON document: {"metric": {"value", "low", "high", "n"}, …}, the main figure first; with
            --against each also has "against" and "difference" {"value", "low", "high", "p", "p_randomisation", "n"},
            of an accuracy with "mcnemar" {"only_first", "only_second", "p"}.
    """
    reading = read_options(columns, separator, encoding)
    refuse_unused(reading, [file])
    keep_few_sizes()

    from polyseme.cli.progress import reporting
    from polyseme.report.evaluation import write_errors
    from polyseme.report.results import text_of, write
    from polyseme.study.evaluate import evaluate

    use_threads(threads)
    use_device(device)
    with reporting() as reporter:
        evaluation = evaluate(
            folder,
            file,
            columns=reading.columns,
            against=against,
            threshold=threshold,
            separator=reading.separator,
            encoding=reading.encoding,
            reporter=reporter,
        )
    say(evaluation.read)
    if json:
        emit_json(evaluation.figures)
    else:
        emit(text_of(evaluation))
    wrote, notes = write(evaluation, output) if output is not None else ([], [])
    if errors is not None:
        wrote.append(write_errors(evaluation, errors))
    for note in [*evaluation.notes, *notes]:
        say(f"note: {note}")
    options = ["-o", "evaluation"] if output is None else ["--against", "RUN"]
    closing(
        wrote=wrote, then=[command("polyseme", "evaluate", folder, file, *typed_options(reading), *options)]
    )
