"""Doing what is not done yet of a comparison, alone or with other processes."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from polyseme.core.memory import give_back
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.errors import PolysemeError
from polyseme.infer.load import load
from polyseme.study.comparing import Comparison, Piece, open_comparison
from polyseme.study.grid import run_grid

__all__ = ["compare_runs"]


def compare_runs(comparison: Comparison, reporter: Reporter | None = None, processes: int = 1) -> int:
    """Do what is not done yet.

    Args:
        comparison: what to do.
        reporter: told about progress.
        processes: how many share the work; each loads its own models.
    Returns how many pieces another command is at now; the rest is done.
    Raises:  as `finetune` and the studies where files are wrong; what was done stays. That a run cannot do something is
             kept as its reason.
    """
    reporter = reporter or NullReporter()
    with _helpers(comparison, min(processes, comparison.left()) - 1) as helpers:
        elsewhere = _work(comparison, reporter)
        for helper in helpers:
            helper.join()
    return _work(comparison, reporter) if elsewhere else 0


def _work(comparison: Comparison, reporter: Reporter) -> int:
    elsewhere = len(run_grid(comparison.grid, reporter))
    pieces = comparison.pieces()
    for number, piece in enumerate(pieces, 1):
        if comparison.kept.get(piece.asked) is not None:
            continue
        with comparison.kept.held(piece.asked) as mine:
            if not mine:
                elsewhere += 1
            elif comparison.kept.get(piece.asked) is None:
                reporter.note(f"{number} of {len(pieces)}: {piece.name} of {piece.run}")
                comparison.kept.put(piece.asked, _done(comparison, piece, reporter))
                give_back()
    return elsewhere


def _done(comparison: Comparison, piece: Piece, reporter: Reporter) -> dict[str, Any]:
    """Make a piece: {"of", "found", "refused", "seconds"}."""
    torch.set_num_threads(comparison.config.threads)
    began = time.perf_counter()
    run = comparison.runs[piece.run]
    loaded = load(run.path)
    refused = piece.study.refuses(loaded)
    found = None
    if refused is None:
        base, seeds = comparison.file.parent, comparison.config.seeds
        found = piece.study.make(loaded, piece.spec, base, seeds, _Quiet(reporter))
    seconds = round(time.perf_counter() - began, 3)
    return {"of": [piece.name, piece.run], "found": found, "refused": refused, "seconds": seconds}


class _Quiet(NullReporter):
    """Passes stages and notes on, and stays open when a study is through with it."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter

    def stage(self, name: str, done: float, total: float | None, detail: str = "") -> None:
        self.reporter.stage(name, done, total, detail)

    def note(self, text: str) -> None:
        self.reporter.note(text)


@contextmanager
def _helpers(comparison: Comparison, n: int) -> Iterator[list[Any]]:
    """Processes that share the work; whatever they leave, this process does itself."""
    context = multiprocessing.get_context("spawn")
    folders = [str(run.path) for run in comparison.runs.values()]
    arguments = (
        folders,
        comparison.file,
        comparison.kept.folder,
        comparison.config.threads,
        dict(comparison.reading),
    )
    helpers = [context.Process(target=_help, args=arguments, daemon=False) for _ in range(n)]
    for helper in helpers:
        helper.start()
    try:
        yield helpers
    except BaseException:
        for helper in helpers:
            helper.terminate()
        raise


def _help(folders: Sequence[str], file: Path, cells: Path, threads: int, reading: dict[str, str]) -> None:
    with suppress(PolysemeError, KeyboardInterrupt):  # who began does the piece again and says what is wrong
        _work(open_comparison(folders, file, cells, threads, reading), NullReporter())
