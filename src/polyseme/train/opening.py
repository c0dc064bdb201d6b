"""What a pretraining run is asked for, and its folder: opened, held by one process, forgotten if it cannot start."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from polyseme.core.files import locked
from polyseme.core.paths import names_of, path_of
from polyseme.core.ranks import job, restarted
from polyseme.core.reporter import Reporter
from polyseme.core.version import __version__
from polyseme.data.store import is_store
from polyseme.errors import ConfigError, CorpusError, PolysemeError, RunError
from polyseme.text.lexicon import Entry, lexicon_fingerprint
from polyseme.train import checkpoint, distributed
from polyseme.train.budget import Budget
from polyseme.train.corpora import corpus_fingerprint, corpus_signature
from polyseme.train.precision import resolve_device
from polyseme.train.recipe import Recipe
from polyseme.train.resuming import check_same_request
from polyseme.train.run import RunDirectory


@dataclass(frozen=True, kw_only=True)
class PretrainRequest:
    """What `polyseme pretrain` was asked to do.

    Args:
        model: registry key of the model.
        corpus: files, folders, globs, built-in names, or one prepared store; a single one need not be in a list.
        output: the run directory to make. All paths may be strings.
        budget: when to end.
        recipe: a recipe's name or TOML file; None = the model's own.
        settings: from --set.
        seed: decides order, masks, initial weights.
        tokenizer: a run or tokenizer.json whose vocabulary is shared.
        init: a run whose weights, model sizes and vocabulary are the start.
        valid: held-out text; none = a share of the documents.
        lexicon: files and folders of words, phrases and entities, for objectives that read them.
        resume: go on with `output`, or begin where there is nothing yet.
        threads: CPU threads; None = torch's choice.
        device: auto, cpu, cuda.
    """

    model: str
    corpus: Sequence[str]
    output: Path
    budget: Budget
    recipe: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    seed: int = 1
    tokenizer: str | None = None
    init: str | None = None
    valid: Sequence[str] = ()
    lexicon: Sequence[str] = ()
    resume: bool = False
    threads: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("corpus", "valid", "lexicon"):
            object.__setattr__(self, name, names_of(getattr(self, name), name))
        object.__setattr__(self, "output", path_of(self.output, "output"))
        for name in ("tokenizer", "init", "recipe"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, names_of(getattr(self, name), name)[0])


def as_asked(request: PretrainRequest, recipe: Recipe, lexicon: Sequence[Entry]) -> dict[str, Any]:
    """What must not change between a run and its resumption."""
    return {
        "recipe": recipe.as_dict(),
        "seed": request.seed,
        "budget": str(request.budget),
        "tokenizer": request.tokenizer,
        "init": request.init,
        "corpus": corpus_signature(request.corpus, recipe.section("text")),
        "valid": corpus_signature(request.valid, recipe.section("text")),
        "device": resolve_device(request.device).type,
    } | ({"lexicon": lexicon_fingerprint(lexicon)} if lexicon else {})


@contextmanager
def opened_run(
    request: PretrainRequest, recipe: Recipe, asked: dict[str, Any], reporter: Reporter
) -> Iterator[tuple[RunDirectory, bool]]:
    """The run directory, held by this process alone, and whether it is gone on with rather than new.

    Raises:  RunError: the folder holds something already, or another process trains there; to resume: the request or
             the text is another one.
    """
    text = recipe.section("text")
    meta: dict[str, Any] = {"model": request.model, "status": "preparing", "asked": asked}
    if job() is not None:
        meta["job"] = job()

    def check(run: RunDirectory) -> None:
        check_same_request(run, asked, lambda: corpus_fingerprint(request.corpus, text))

    def begin() -> tuple[bool, dict[str, Any]]:
        resume = request.resume or _started_again(request.output)
        resumed = begin_or_go_on(request.output, resume, meta, check, reporter, held)
        return resumed, RunDirectory.open(request.output).meta

    with ExitStack() as held:
        # the other ranks do not read run.json: rank 0 may have met an error meanwhile, and removed it again
        resumed, known = distributed.first(begin)
        run = RunDirectory(request.output, known)
        if distributed.rank() == 0:
            _note_ranks(run, reporter)
        yield run, resumed


def begin_or_go_on(
    path: Path,
    resume: bool,
    meta: dict[str, Any],
    check: Callable[[RunDirectory], None],
    reporter: Reporter,
    held: ExitStack,
) -> bool:
    """Make a run directory, or find that there is one to go on with, which is what it returns.

    To resume where there is nothing yet is to begin, so that a job that is queued again is one command. What an
    interrupted process left before its first save is gone on with, or begun anew when another thing is asked for now.

    Args:
        path: the folder.
        resume: whether that was asked for.
        meta: of a new run.json.
        check: raises RunError unless a run was asked for in the same way.
        reporter: told what was decided.
        held: holds the lock of the folder.
    Raises:  RunError: see `opened_run`.
    """
    if (path / "run.json").is_file() and (resume or never_began(path)):
        lockable = held.enter_context(only_one_trains(path))
        run = RunDirectory.open(path)
        if resume:
            check(run)
            return True
        if lockable and not _has_begun(run) and ("adapted" in run.meta) == ("adapted" in meta):
            try:
                check(run)
            except RunError:
                reporter.note(
                    f"{path}: an earlier command was interrupted before it saved anything: begun anew"
                )
                _forget(run)
            else:
                reporter.note(f"{path}: going on with what an interrupted command prepared")
                return True
    elif resume and path.is_dir() and any(not p.name.startswith(".") for p in path.iterdir()):
        RunDirectory.open(path)  # raises: what is there is not a run
    elif resume:
        reporter.note(f"{path}: nothing to go on with yet: begun anew")
    versions = {"polyseme": __version__, "torch": torch.__version__, "python": platform.python_version()}
    RunDirectory.create(path, {**meta, "versions": versions})
    held.enter_context(only_one_trains(path))
    return False


def _started_again(path: Path) -> bool:
    """Whether torchrun starts the same command again, after a rank was lost on this machine or on another one."""
    if restarted():
        return True
    try:
        return job() is not None and RunDirectory.open(path).meta.get("job") == job()
    except PolysemeError:
        return False


def _has_begun(run: RunDirectory) -> bool:
    """Whether there is anything that training again would lose."""
    unfinished = run.meta.get("status") in ("preparing", "training") and "imported" not in run.meta
    return not unfinished or "files" in run.meta or checkpoint.exists(run.path / "resume")


def never_began(path: Path) -> bool:
    """Whether a folder is what a process left that was ended before its first save."""
    try:
        return not _has_begun(RunDirectory.open(path))
    except PolysemeError:
        return False


def _note_ranks(run: RunDirectory, reporter: Reporter) -> None:
    """Say when a run goes on with another number of processes, and keep the number."""
    before, now = run.meta.get("ranks", run.meta["asked"].get("ranks", 1)), distributed.size()
    if before == now and (now == 1 or "ranks" in run.meta):
        return
    if before != now and checkpoint.exists(run.path / "resume"):
        reporter.note(
            f"trained by {before} processes so far, by {now} from here on: an update reads train.batch_size rows in "
            f"each, so it is now of {now} times that many"
        )
    run.save_meta(ranks=now)


@contextmanager
def only_one_trains(path: Path) -> Iterator[bool]:
    """Hold a run's folder; gives whether the file system can tell.

    Raises:  RunError: another process is training this run.
    """
    with locked(path / ".lock") as held:
        if held is False:
            raise RunError("another process is training this run", where=path, fix="wait for it, or end it")
        yield held is True


@contextmanager
def forgotten_if_it_fails(run: RunDirectory, resumed: bool) -> Iterator[None]:
    """A run that cannot start leaves nothing behind, so that the corrected command just works.

    A whole store stays, since the same command goes on with it, unless it is the request or the text that is wrong.
    """
    try:
        yield
    except BaseException as error:
        keeps = is_store(run.path / "store") and not isinstance(error, ConfigError | CorpusError)
        if not resumed and not keeps and distributed.rank() == 0:
            _forget(run)
        raise


def _forget(run: RunDirectory) -> None:
    for folder in ("store", "resume", "tensorboard"):
        shutil.rmtree(run.path / folder, ignore_errors=True)
    knowledge = [f"{name}.tsv" for name in run.meta.get("knowledge", {})]
    for name in (*knowledge, "tokenizer.json", "metrics.jsonl", "run.json", ".lock"):
        with suppress(OSError):
            (run.path / name).unlink(missing_ok=True)
    with suppress(OSError):  # the folder held something of the user's: it stays
        run.path.rmdir()
