"""Removing the checkpoints of runs whose training has ended: only resuming needs them.

A run keeps its weights twice more in resume/, with the optimiser's moments: three to four times the size of the model.
Everything else stays: what `predict`, `embed`, `export`, `--init` and `inspect` read.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from polyseme.core.files import saving
from polyseme.errors import RunError
from polyseme.train.opening import only_one_trains
from polyseme.train.run import RunDirectory

__all__ = ["Tidied", "tidy"]


@dataclass(frozen=True)
class Tidied:
    """What `tidy` removed from a run.

    Args:
        path: the run, or the run of one seed within it.
        status: of its training: "finished", or "stopped" or "training" for a run that can no longer be resumed.
        freed_bytes: sizes of the files that were removed.
        files: how many files were removed.
    """

    path: Path
    status: str
    freed_bytes: int
    files: int


def tidy(*folders: Path | str, unfinished: bool = False) -> list[Tidied]:
    """Remove the checkpoints of runs and of the runs of their seeds.

    Args:
        folders: runs.
        unfinished: also for runs whose training was stopped or killed; --resume cannot continue them any more.
    Returns each run, then its seeds, also those with nothing to remove.
    Raises:  RunError: no run, or one that is being trained now, has not ended its training, or has no whole weights but
             those of a checkpoint. Nothing is removed then, of no run.
             StorageError: the disk refuses.
    """
    opened: dict[Path, RunDirectory] = {}
    for folder in folders:
        run = RunDirectory.open(folder)
        seeds = [RunDirectory.open(file.parent) for file in sorted(run.path.glob("seeds/*/run.json"))]
        opened |= {each.path.resolve(): each for each in (run, *seeds)}
    for run in opened.values():
        _check(run, unfinished)
    return [_tidied(run) for run in opened.values()]


def _check(run: RunDirectory, unfinished: bool) -> None:
    with only_one_trains(run.path):
        pass
    if not (run.path / "resume").exists():
        return
    if run.meta.get("status") not in (None, "finished") and not unfinished:
        raise RunError(
            "the run has not ended its training, and without its checkpoints it cannot go on",
            got=f"status {run.meta['status']}",
            where=run.path,
            fix="--unfinished frees it all the same; its weights stay",
        )
    if not run.meta.get("files"):
        raise RunError(
            "the run has no weights but those of its checkpoints",
            where=run.path,
            fix="the command that began it goes on with --resume; tidy it when it has ended",
        )
    _, warning = run.weights()
    if warning is not None:
        raise RunError(
            "the run's weights are damaged: a checkpoint is all there is",
            got=warning,
            where=run.path,
            fix="the command that began it writes them anew with --resume",
        )


def _tidied(run: RunDirectory) -> Tidied:
    resume = run.path / "resume"
    with only_one_trains(run.path), saving(run.path):
        files = [path for path in resume.rglob("*") if path.is_file() and not path.is_symlink()]
        freed = sum(path.stat().st_size for path in files)
        if resume.is_symlink():  # the user put the checkpoints elsewhere: leave them
            files, freed = [], 0
        elif resume.is_dir():
            shutil.rmtree(resume)
    return Tidied(run.path, str(run.meta.get("status")), freed, len(files))
