"""The same adaptation with several seeds: how much the figures vary."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from polyseme.core.files import saving
from polyseme.core.memory import give_back
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.errors import RunError
from polyseme.tasks.metrics.intervals import over_seeds
from polyseme.train.finetune import finetune
from polyseme.train.opening import never_began
from polyseme.train.request import FinetuneRequest
from polyseme.train.run import RunDirectory
from polyseme.train.signals import interruptible

__all__ = ["finetune_seeds"]


def finetune_seeds(
    request: FinetuneRequest, seeds: int = 1, reporter: Reporter | None = None
) -> RunDirectory:
    """Train a task with seeds seed, seed + 1, … and keep the run that is best on dev.

    With several seeds each one's run is OUTPUT/seeds/N; OUTPUT itself is the best of them, and its run.json has the
    figures of all, their means and standard deviations under "seeds". With --resume the finished ones stay as they are.

    Args:
        request: as for `finetune`.
        seeds: how many.
        reporter: receives the progress.
    Raises:  as `finetune`.  RunError: with --resume: the folder was started with one seed and now several are asked
             for, or the reverse.
    """
    reporter = reporter or NullReporter()
    if request.resume:
        _check_alike(request.output, seeds)
    if seeds == 1:
        return finetune(request, reporter)
    folder = request.output
    if folder.is_file() or (not request.resume and folder.is_dir() and _holds_something(folder)):
        raise RunError(
            "the output folder is not empty",
            where=request.output,
            fix="--resume to go on with it, or another -o",
        )
    try:
        with interruptible(folder):
            return _each(request, seeds, reporter)
    finally:
        for empty in (*(folder / "seeds").glob("*"), folder / "seeds", folder):
            with suppress(OSError):  # it is not empty, as it should be
                empty.rmdir()


def _holds_something(folder: Path) -> bool:
    """Whether the folder holds more than the remains of a process that ended before its first save."""
    entries = [p for p in folder.iterdir() if p.name != "seeds"]
    runs = (folder / "seeds").iterdir() if (folder / "seeds").is_dir() else []
    return bool(entries) or not all(
        never_began(run) or not any(run.iterdir()) for run in runs if run.is_dir()
    )


def _each(request: FinetuneRequest, seeds: int, reporter: Reporter) -> RunDirectory:
    runs: list[RunDirectory] = []
    for seed in range(request.seed, request.seed + seeds):
        folder = request.output / "seeds" / str(seed)
        begun = request.resume and (folder / "run.json").exists()
        mine = replace(request, seed=seed, output=folder, resume=begun)
        reporter.note(f"seed {seed}: {len(runs) + 1} of {seeds}")
        runs.append(finetune(mine, reporter))
        give_back()
    best = max(runs, key=lambda run: _main(run.meta["results"]["dev"]))
    return _published(best, request.output, _summary(runs))


def _check_alike(output: Path, seeds: int) -> None:
    """Raises:  RunError: a run with one seed cannot be resumed with several, nor the reverse."""
    begun = sorted(int(p.name) for p in (output / "seeds").glob("*") if p.name.isdecimal())
    if begun and seeds == 1:
        whole = (output / "run.json").exists()  # written when all seeds are done
        raise RunError(
            "the run was started with several seeds",
            got="one seed",
            expected=f"seeds {', '.join(map(str, begun))}" + ("" if whole else ", and those not begun yet"),
            where=output,
            fix=f"the same command as before with --seeds {len(begun) if whole else 'N'} and --resume",
        )
    if not begun and seeds > 1 and (output / "run.json").exists():
        raise RunError(
            "the run was started with one seed",
            got=f"--seeds {seeds}",
            where=output,
            fix="the same command without --seeds goes on with it; several seeds need another -o",
        )


def _main(figures: dict[str, float | None]) -> float:
    value = next(iter(figures.values()))
    return -np.inf if value is None else value


def _summary(runs: list[RunDirectory]) -> dict[str, Any]:
    """{figure: {"mean", "deviation", "low", "high", "values"}} over the seeds; the deviation is that of a sample, the
    interval Student's. The same of the weights of layers and of γ under "mix", where they were learned.

    A value that is undefined for a seed, such as the correlation of answers that are all alike, is None, and so is the
    mean.
    """
    all_figures = [run.meta["results"]["dev"] for run in runs]
    summary: dict[str, Any] = {"numbers": [int(run.path.name) for run in runs], "dev": {}}
    for name in all_figures[0]:
        values = [figures[name] for figures in all_figures]
        summary["dev"][name] = _over(values)
    mixes = [run.meta["results"].get("mix") for run in runs]
    if all(mixes):
        layers = zip(*(mix["weights"] for mix in mixes), strict=True)
        summary["mix"] = {
            "weights": [_over(weights) for weights in layers],
            "gamma": _over([mix["gamma"] for mix in mixes]),
        }
    return summary


def _over(values: Sequence[float | None]) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return {"mean": None, "deviation": None, "values": list(values)}
    spread = over_seeds(known)
    return {key: spread[key] for key in ("mean", "deviation", "low", "high")} | {"values": list(values)}


def _published(best: RunDirectory, output: Path, seeds: dict[str, Any]) -> RunDirectory:
    """Copy the best run to the output folder, run.json last."""
    with saving(output):
        for path in best.path.iterdir():
            if path.name in ("resume", "run.json") or path.name.startswith("."):
                continue
            target = output / path.name
            if path.is_dir():
                shutil.copytree(path, target, dirs_exist_ok=True)
            else:
                shutil.copy2(path, target)
    run = RunDirectory(output, dict(best.meta))
    run.save_meta(seeds=seeds | {"best": int(best.path.name)})
    return run
