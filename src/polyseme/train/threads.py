"""Processor threads of a run: how many, and who chooses."""

from __future__ import annotations

import torch

from polyseme.core.cores import default_threads, threads_are_chosen
from polyseme.core.pace import Pace
from polyseme.core.reporter import Reporter
from polyseme.train import distributed
from polyseme.train.budget import Budget


def use_threads(threads: int | None) -> None:
    """Let torch compute with so many threads; without a number, with at most one for every core that may be used."""
    if threads:
        torch.set_num_threads(threads)
    elif not threads_are_chosen() and torch.get_num_threads() > default_threads():
        torch.set_num_threads(default_threads())


def pace_of(threads: int | None, budget: Budget, device: torch.device, reporter: Reporter) -> Pace | None:
    """Fewer threads while other programs use the cores, where nobody chose a number and no number depends on it.

    Sums are cut into as many parts as there are threads, which changes how they are rounded: only a budget of minutes,
    whose updates depend on the clock anyway, leaves the choice free. All others give the same bits again.
    """
    if threads or threads_are_chosen():
        return None
    if not budget.is_time or device.type != "cpu" or distributed.size() > 1:
        return None
    most, told = torch.get_num_threads(), False

    def kept(number: int) -> None:
        nonlocal told
        if not told and number < most:
            reporter.note(
                f"other programs use the cores: {number} of {most} threads for now, more when they are free"
            )
            told = True

    return Pace(most, torch.set_num_threads, kept)
