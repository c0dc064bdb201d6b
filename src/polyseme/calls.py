"""The two long calls as people write them in Python: plain arguments or a request, with progress where it is seen.

run = polyseme.pretrain("modernbert", "my-texts", output="runs/mine", minutes=10)
run = polyseme.finetune("classify", "runs/mine", train="train.tsv", output="runs/sentiment")
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, overload

from polyseme.core.config import suggest
from polyseme.core.paths import PathLike, Paths
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.core.synonyms import OPTIONS, spelled
from polyseme.errors import ConfigError
from polyseme.train import finetune as finetuning
from polyseme.train import pretrain as pretraining
from polyseme.train.request import Budget, FinetuneRequest, PretrainRequest

if TYPE_CHECKING:
    from polyseme.train.run import RunDirectory

__all__ = ["finetune", "pretrain"]

_BUDGET = ("minutes", "epochs", "tokens", "steps", "words")
_TRAIN = ("learning_rate", "batch_size")
_DEFAULT_MINUTES = 10.0


@overload
def pretrain(
    request: PretrainRequest, reporter: Reporter | None = None, /, *, quiet: bool = False
) -> RunDirectory: ...


@overload
def pretrain(
    model: str,
    corpus: Paths,
    *,
    output: PathLike,
    reporter: Reporter | None = None,
    quiet: bool = False,
    **options: Any,
) -> RunDirectory: ...


def pretrain(
    first: PretrainRequest | str | None = None,
    second: Any = None,
    /,
    *,
    reporter: Reporter | None = None,
    quiet: bool = False,
    **options: Any,
) -> RunDirectory:
    """Train a model on raw text.

    Args:
        first: a request, or the name of a model.
        second: with a request, who is told about progress; with a model, the corpus: a path or several.
        reporter: told about progress; when absent, a display on a terminal or in a notebook, nobody elsewhere.
        quiet: show no progress.
        options: with a model: output, the run's folder; minutes, epochs, tokens, steps or words (10 minutes when
            absent); learning_rate, batch_size; what else a `PretrainRequest` takes.
    Returns the run, with its results in `meta["results"]`.
    Raises:  ConfigError, CorpusError, RunError: the request is wrong; nothing was changed.
             Interrupted: a signal asked to stop; everything is saved.
             StorageError, CheckpointError, TrainingError: as they say.

    Example:
        run = pretrain("modernbert", "texts/", output="runs/first", minutes=10)
    """
    if isinstance(first, PretrainRequest):
        _nothing_else("pretrain", options)
        return pretraining.pretrain(first, _shown(second or reporter, quiet))
    model, corpus = options.pop("model", first), options.pop("corpus", second)
    if model is None or corpus is None:
        raise ConfigError(
            "no model given" if model is None else "no corpus given",
            expected='pretrain("modernbert", "my-texts", output="runs/mine")',
        )
    for name in (*_BUDGET, *_TRAIN):  # None says nothing, as in a request
        if name in options and options[name] is None:
            del options[name]
    budget = {name: options.pop(name) for name in _BUDGET if name in options}
    given = options.setdefault("budget", None)
    if given is None or budget:
        options["budget"] = Budget(**budget or {"minutes": _DEFAULT_MINUTES})
    if given is not None and budget:
        raise ConfigError("two budgets", got=f"{given} and {', '.join(budget)}", fix="one of them")
    settings = {f"train.{name}": options.pop(name) for name in _TRAIN if name in options}
    options["settings"] = settings | dict(options.get("settings") or {})
    for name, value in settings.items():
        if options["settings"][name] != value:
            raise ConfigError(f"{name} is given twice", got=f"{value} and {options['settings'][name]}")
    _check("pretrain", {"model": model, "corpus": corpus, **options}, PretrainRequest, (*_BUDGET, *_TRAIN))
    request = PretrainRequest(model=model, corpus=corpus, **options)
    return pretraining.pretrain(request, _shown(reporter, quiet))


@overload
def finetune(
    request: FinetuneRequest, reporter: Reporter | None = None, /, *, quiet: bool = False
) -> RunDirectory: ...


@overload
def finetune(
    task: str,
    run: PathLike,
    *,
    train: PathLike,
    output: PathLike,
    reporter: Reporter | None = None,
    quiet: bool = False,
    **options: Any,
) -> RunDirectory: ...


def finetune(
    first: FinetuneRequest | str | None = None,
    second: Any = None,
    /,
    *,
    reporter: Reporter | None = None,
    quiet: bool = False,
    **options: Any,
) -> RunDirectory:
    """Train a task on top of a run.

    Args:
        first: a request, or a task: classify, pair, tag or qa.
        second: with a request, who is told about progress; with a task, the run to start from.
        reporter: told about progress; when absent, a display on a terminal or in a notebook, nobody elsewhere.
        quiet: show no progress.
        options: with a task: train and output, and what else a `FinetuneRequest` takes.
    Returns the new run; `meta["results"]["dev"]` are the figures of its weights on dev.
    Raises:  ConfigError, CorpusError, RunError: the request is wrong; nothing was changed.
             Interrupted: a signal asked to stop; everything is saved.
             StorageError, CheckpointError, TrainingError: as they say.

    Example:
        run = finetune("classify", "runs/bert", train="train.tsv", dev="dev.tsv", output="runs/sentiment")
    """
    if isinstance(first, FinetuneRequest):
        _nothing_else("finetune", options)
        return finetuning.finetune(first, _shown(second or reporter, quiet))
    task, run = options.pop("task", first), options.pop("run", second)
    if task is None or run is None:
        what = "no task given" if task is None else "no run given"
        raise ConfigError(what, expected='finetune("classify", "runs/mine", train=…, output=…)')
    _check("finetune", {"task": task, "run": run, **options}, FinetuneRequest)
    return finetuning.finetune(FinetuneRequest(task=task, run=run, **options), _shown(reporter, quiet))


def _shown(reporter: Reporter | None, quiet: bool) -> Reporter:
    """Who is told about progress: the one that was given, or a display where somebody looks on."""
    if quiet:
        return NullReporter()
    if reporter is not None:
        return reporter
    if not (sys.stderr.isatty() or "ipykernel" in sys.modules):
        return NullReporter()
    from polyseme.cli.progress import open_reporter

    return open_reporter()


def _nothing_else(call: str, options: Mapping[str, Any]) -> None:
    if options:
        raise ConfigError(f"{call} takes a request or arguments, not both", got=", ".join(options))


def _check(call: str, given: Mapping[str, Any], request: type, more: tuple[str, ...] = ()) -> None:
    """Raises:  ConfigError: an argument that the call lacks, or one that it needs."""
    known = {field.name: field for field in fields(request)}
    names = [*known, *more]
    for name in given:
        if name not in known:
            ours = [o.strip("-=").replace("-", "_") for o in OPTIONS.get("--" + spelled(name), ())]
            near = next((option for option in ours if option in names), None)
            fix = f"did you mean {near}?" if near else suggest(name, names)
            if near is None and not fix.startswith("did"):
                fix = f'settings={{"{name}": {given[name]!r}}} for a key of the model or its training; else {fix}'
            raise ConfigError(f"{call} has no argument {name!r}", fix=fix)
    for name in ("output", "train"):
        if name in known and name not in given:
            raise ConfigError(f"{call} needs {name}=", expected="a path")
