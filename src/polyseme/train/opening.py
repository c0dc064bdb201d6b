"""What a pretraining run is asked for, and its folder: opened, held by one process, forgotten if it cannot start."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from polyseme.core.paths import names_of, path_of
from polyseme.core.version import __version__
from polyseme.errors import RunError
from polyseme.text.lexicon import Entry, lexicon_fingerprint
from polyseme.train import distributed
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
        resume: go on with `output`.
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
        "ranks": distributed.size(),
        "device": resolve_device(request.device).type,
    } | ({"lexicon": lexicon_fingerprint(lexicon)} if lexicon else {})


def open_run(request: PretrainRequest, recipe: Recipe, asked: dict[str, Any]) -> RunDirectory:
    """A new run directory, or, to resume, the one there is.

    Raises:  RunError: the folder holds something already; to resume: the request or the text is another one.
    """
    if request.resume:
        run = RunDirectory.open(request.output)
        text = recipe.section("text")
        check_same_request(run, asked, lambda: corpus_fingerprint(request.corpus, text))
        return run
    if distributed.rank() == 0:
        run = RunDirectory.create(
            request.output,
            {
                "model": request.model,
                "status": "preparing",
                "asked": asked,
                "versions": {
                    "polyseme": __version__,
                    "torch": torch.__version__,
                    "python": platform.python_version(),
                },
            },
        )
    distributed.barrier()
    return RunDirectory.open(request.output)


@contextmanager
def only_one_trains(run: RunDirectory) -> Iterator[None]:
    """Raises:  RunError: another process is training this run."""
    if os.name != "posix" or distributed.rank() > 0:
        yield
        return
    import fcntl

    with (run.path / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError(
                "another process is training this run", where=run.path, fix="wait for it, or end it"
            ) from None
        yield


@contextmanager
def forgotten_if_it_fails(run: RunDirectory, resume: bool) -> Iterator[None]:
    """A run that cannot start leaves nothing behind, so that the corrected command just works."""
    ready = False
    try:
        yield
        ready = True
    finally:
        if not ready and not resume and distributed.rank() == 0:
            shutil.rmtree(run.path / "store", ignore_errors=True)
            for name in (*(f"{n}.tsv" for n in run.meta.get("knowledge", {})), "tokenizer.json", "run.json"):
                (run.path / name).unlink(missing_ok=True)
            with suppress(OSError):  # the folder held something of the user's: it stays
                run.path.rmdir()
