"""`polyseme pretrain`: train a model on raw text."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Group, Parameter

from polyseme.cli.completion import Corpus, ModelName, Recipe
from polyseme.cli.options import (
    HOW,
    BatchSize,
    Count,
    Device,
    Documents,
    Json,
    Language,
    LearningRate,
    MachineThreads,
    ManyProcesses,
    Output,
    Resume,
    Seed,
    Settings,
    positive,
    read_budget,
    read_settings,
)
from polyseme.cli.output import closing, emit, emit_json, neighbours_command, use_command
from polyseme.core.ranks import declared
from polyseme.core.shell import command
from polyseme.errors import ConfigError

EXAMPLE = "polyseme pretrain modernbert my-texts -o runs/mine --minutes 10"
_BUDGET = Group("Budget, one of these (10 minutes when none is given)", sort_key=1)
_TEXT = Group("How to read the text", sort_key=3)

_DEFAULT_MINUTES = 10.0


def run(
    model: ModelName,
    /,
    *corpus: Corpus,
    output: Output,
    minutes: Annotated[float | None, Parameter(group=_BUDGET)] = None,
    epochs: Annotated[float | None, Parameter(group=_BUDGET)] = None,
    tokens: Annotated[Count, Parameter(group=_BUDGET)] = None,
    steps: Annotated[Count, Parameter(group=_BUDGET)] = None,
    words: Annotated[Count, Parameter(group=_BUDGET)] = None,
    milestones: Annotated[str | None, Parameter(group=HOW)] = None,
    recipe: Annotated[Recipe, Parameter(group=HOW)] = None,
    learning_rate: LearningRate = None,
    batch_size: BatchSize = None,
    settings: Settings = None,
    seed: Seed = 1,
    tokenizer: Annotated[str | None, Parameter(group=HOW)] = None,
    init: Annotated[str | None, Parameter(group=HOW)] = None,
    extend_vocabulary: Annotated[Count, Parameter(group=HOW)] = None,
    resume: Resume = False,
    valid: Annotated[list[str] | None, Parameter(group=_TEXT)] = None,
    lexicon: Annotated[list[str] | None, Parameter(group=_TEXT)] = None,
    lang: Annotated[Language | None, Parameter(group=_TEXT)] = None,
    encoding: Annotated[str | None, Parameter(group=_TEXT)] = None,
    field: Annotated[str | None, Parameter(group=_TEXT)] = None,
    documents: Annotated[Documents | None, Parameter(group=_TEXT)] = None,
    threads: MachineThreads = None,
    parallel: ManyProcesses = "ddp",
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Train a model on raw text and keep it in a run folder.

    Args:
        model: name of a model, see `polyseme list models`.
        corpus: files, folders, globs (.txt .jsonl .csv .parquet, also .gz .zst), a store made by `polyseme prepare`, or
            python-docs; of several each may have its share of the words: novels/=0.5 news.jsonl=0.5.
        output: the run folder to write.
        minutes: stop after so many minutes of training.
        epochs: stop after so many passes over the corpus; may be a fraction.
        tokens: stop after so many tokens: 5000000, 5e6 or 5M.
        steps: stop after so many updates.
        words: stop after so many words of the corpus, those seen again counted again: 10M, 1.5k, 100_000.
        milestones: keep weights at these numbers of words: 1M,2M or babylm (1M … 10M, 20M … 100M, 200M …).
        recipe: name of a recipe (see `polyseme list recipes`) or a .toml file.
        learning_rate: the peak; the recipe's when absent. The same as --set train.learning_rate=….
        batch_size: rows of an update; the recipe's when absent. The same as --set train.batch_size=….
        settings: key=value over the recipe, repeatable: hidden_size=256, train.learning_rate=1e-3.
        tokenizer: a run or a tokenizer.json whose vocabulary to share.
        init: a run whose weights to start from.
        extend_vocabulary: with --init: add at most so many entries for what the text has and the vocabulary lacks.
        resume: go on with the run exactly where it stopped; begin where there is nothing yet.
        valid: held-out text, repeatable; without it a share of the documents, chosen by hash, is held out.
        lexicon: files or folders of words, phrases and entities, repeatable; ernie hides them as wholes.
        lang: language of the text: auto, en or zh; auto when absent.
        encoding: a name such as utf-8 or gb18030; found out when absent.
        field: the key of the text in records, the column of tables; a.b goes into a; text when absent.
        documents: how documents are told apart: by blank lines, by file, by line, by headings; found out when absent.
        json: print the run's summary as one JSON document.
    """
    budget = read_budget(minutes, epochs, tokens, steps, words, default_minutes=_DEFAULT_MINUTES)
    positive("--threads", threads)
    positive("--learning-rate", learning_rate)
    positive("--batch-size", batch_size)
    read = read_settings(settings or [])
    for key, number in (("learning_rate", learning_rate), ("batch_size", batch_size)):
        _put(read, f"train.{key}", number)
    if not corpus:
        raise ConfigError(
            "no corpus given",
            expected="files, folders, globs or a built-in corpus",
            fix=command("polyseme", "pretrain", model, "python-docs", "-o", output),
        )
    reading = {"language": lang, "encoding": encoding, "documents": documents, "field": field}
    for name, value in reading.items():
        if value is not None:
            read.setdefault(f"text.{name}", value)

    from polyseme.cli.progress import reporting
    from polyseme.report.run_summary import summarize, summary_text
    from polyseme.train.pretrain import pretrain
    from polyseme.train.request import PretrainRequest

    request = PretrainRequest(
        model=model,
        corpus=list(corpus),
        output=output,
        recipe=recipe,
        settings=read,
        budget=budget,
        milestones=milestones or (),
        seed=seed,
        tokenizer=tokenizer,
        init=init,
        extend_vocabulary=extend_vocabulary,
        valid=list(valid or []),
        lexicon=list(lexicon or []),
        resume=resume,
        threads=threads,
        parallel=parallel,
        device=device,
    )
    with reporting() as reporter:
        done = pretrain(request, reporter)
    if declared()[0] > 0:  # with several ranks only the first prints it
        return
    summary = summarize(done)
    if json:
        emit_json(summary)
    else:
        emit(summary_text(summary))
    closing(
        wrote=[done.path],
        then=[
            use_command(done.meta["recipe"], done.path),
            *neighbours_command(done.meta["recipe"], done.path),
            command("polyseme", "inspect", done.path),
        ],
    )


def _put(settings: dict[str, Any], key: str, value: float | None) -> None:
    """Put the value of an option under its key.

    Raises:  ConfigError: --set gives the key another value.
    """
    if value is None:
        return
    option = "--" + key.partition(".")[2].replace("_", "-")
    if settings.setdefault(key, value) != value:
        raise ConfigError(
            f"{option} and --set {key} say different things",
            got=f"{value:g} and {settings[key]}",
            fix="leave one of them out",
        )
