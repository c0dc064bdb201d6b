"""`polyseme finetune`: adapt a run to a task with labelled files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from polyseme.cli.completion import TaskName
from polyseme.cli.options import (
    HOW,
    BatchSize,
    ColumnNames,
    Device,
    Encoding,
    Folder,
    Json,
    LearningRate,
    MachineThreads,
    Output,
    Resume,
    Seed,
    Separator,
    Settings,
    positive,
    read_options,
    read_settings,
    refuse_unused,
)
from polyseme.cli.output import closing, emit, emit_json
from polyseme.core.shell import command

EXAMPLE = "polyseme finetune classify runs/mine --train train.tsv -o runs/sentiment"


def run(
    task: TaskName,
    start: Folder,
    /,
    *,
    train: Path,
    output: Output,
    dev: Path | None = None,
    feature_based: Annotated[bool, Parameter(group=HOW, show_default=False)] = False,
    from_scratch: Annotated[bool, Parameter(group=HOW, show_default=False)] = False,
    adapt: Annotated[str | None, Parameter(group=HOW)] = None,
    adapt_on: Annotated[list[str] | None, Parameter(group=HOW)] = None,
    epochs: Annotated[float | None, Parameter(group=HOW)] = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    max_length: Annotated[int | None, Parameter(group=HOW)] = None,
    examples: Annotated[int | None, Parameter(group=HOW)] = None,
    settings: Settings = None,
    seed: Seed = 1,
    seeds: Annotated[int, Parameter(group=HOW)] = 1,
    resume: Resume = False,
    columns: ColumnNames = None,
    separator: Separator = "auto",
    encoding: Encoding = "auto",
    threads: MachineThreads = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Adapt a run to a task with labelled files and keep the result in a run folder of its own.

    Args:
        task: classify, pair, tag or qa; also by other names, such as sentiment, nli, ner or squad.
        start: a pretrained or imported run.
        train: labelled examples: .tsv, .csv, .jsonl; CoNLL columns or .conllu for tag; SQuAD JSON for qa; all also .gz.
        output: the run folder to write.
        dev: labelled examples that choose the weights that are kept; without it a tenth of --train is held out.
        feature_based: freeze the encoder and learn a mix of its layers and a small head (ELMo's way).
        from_scratch: random weights in place of the run's: what is pretraining worth?
        adapt: go on pretraining on the texts of --train first, for so long: 5 (minutes), 10epochs, 200steps, 1Mtokens.
        adapt_on: with --adapt: text to learn from beside them, repeatable; never that of dev or test.
        epochs: passes over the training examples; few examples are read more often when absent.
        batch_size: examples of an update; 32 when absent.
        learning_rate: the peak; by the width of the model when absent.
        max_length: longest example in tokens.
        examples: learn from so many training examples at most, always the same ones.
        settings: key=value, repeatable: train.layer_decay=0.9, tag.crf=true, classify.class_weights=balanced; of
            a run of onehot, classify.ngrams=2 also counts pairs of words and characters: the baseline to beat.
        seeds: train so many times, with seed, seed + 1, …; the best on dev is kept, mean and spread are reported.
        resume: go on exactly where it stopped; begin where there is nothing yet.
        columns: OURS=THEIRS, repeatable or with commas: text=sentence,label=gold; numbers mean a file without a header.
        json: print one JSON document: {"task", "path", "dev", "seeds", "mix", "ngrams", "examples", "steps",
            "seconds"}.
    """
    for name, value in (
        ("--epochs", epochs),
        ("--batch-size", batch_size),
        ("--learning-rate", learning_rate),
        ("--max-length", max_length),
        ("--examples", examples),
        ("--seeds", seeds),
        ("--threads", threads),
    ):
        positive(name, value)
    read = read_settings(settings or [])
    reading = read_options(columns, separator, encoding)
    refuse_unused(reading, [train, dev])

    from polyseme.cli.progress import reporting
    from polyseme.report.run_summary import adaptation, summarize, summary_text
    from polyseme.train.request import FinetuneRequest
    from polyseme.train.seeds import finetune_seeds

    request = FinetuneRequest(
        task=task,
        run=start,
        train=train,
        dev=dev,
        output=output,
        feature_based=feature_based,
        from_scratch=from_scratch,
        adapt=adapt,
        adapt_on=adapt_on or (),
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        max_length=max_length,
        examples=examples,
        settings=read,
        columns=dict(reading.columns),
        encoding=reading.encoding,
        separator=reading.separator,
        seed=seed,
        resume=resume,
        threads=threads,
        device=device,
    )
    with reporting() as reporter:
        done = finetune_seeds(request, seeds, reporter)
    if json:
        emit_json(adaptation(done))
    else:
        emit(summary_text(summarize(done)))
    closing(
        wrote=[done.path],
        then=[
            command("polyseme", "evaluate", done.path, "FILE"),
            command("polyseme", "predict", done.path, "FILE"),
            command("polyseme", "inspect", done.path),
        ],
    )
