"""Batches by counter, prepared in the background."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from polyseme.core.types import Batch, Targets
from polyseme.data.examples import NO_LABEL, ExampleSource, SpecialTokens
from polyseme.data.packing import RowPlan, Rows, collate


class Preparer(Protocol):
    """The part of an objective that the loader needs: it may change ids, and says what to predict where."""

    name: str

    def prepare(
        self, rows: Rows
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """-> ids (B, T), flat positions (P,), labels (P,)"""
        ...


def to_batch(rows: Rows, objectives: Sequence[Preparer]) -> Batch:
    """Let each objective prepare its targets, then make tensors.

    Shapes:  rows of (B, T) -> a batch of (B, T)
    """
    ids, targets = rows.ids, {}
    for objective in objectives:
        changed, positions, labels = objective.prepare(rows)
        ids = np.where(changed != rows.ids, changed, ids)
        targets[objective.name] = Targets(torch.from_numpy(positions), torch.from_numpy(labels))
    return Batch(
        ids=torch.from_numpy(np.ascontiguousarray(ids)),
        segment=torch.from_numpy(rows.segment),
        position=torch.from_numpy(rows.position),
        type=torch.from_numpy(rows.type),
        first=torch.from_numpy(rows.first),
        packed=rows.packed,
        targets=targets,
        numbers=_numbers(rows),
        counter=int(rows.counters[0]) if len(rows.counters) else 0,
    )


def _numbers(rows: Rows) -> torch.Tensor | None:
    if rows.numbers is None or (len(rows.numbers) and rows.numbers[0] == NO_LABEL):
        return None
    return torch.from_numpy(rows.numbers)


class Loader:
    """Batches as pure functions of a row counter.

    Args:
        source: where examples come from.
        plan: how they are packed and ordered.
        objectives: what is predicted.
        row_length: tokens of a row.
        special: ids of the special tokens.
    """

    def __init__(
        self,
        source: ExampleSource,
        plan: RowPlan,
        objectives: Sequence[Preparer],
        row_length: int,
        special: SpecialTokens,
    ) -> None:
        self._source, self.plan, self._objectives = source, plan, objectives
        self._row_length, self._special = row_length, special

    def batch(self, counter: int, rows: int, progress: float = 0.0) -> Batch:
        """Rows counter … counter + rows - 1 of the run."""
        counters = np.arange(counter, counter + rows)
        drawn = [[self._source.draw(int(i), int(c)) for i in self.plan.row(int(c))] for c in counters]
        return to_batch(collate(drawn, self._row_length, self._special, counters, progress), self._objectives)

    def stream(
        self,
        counters: Iterator[int],
        rows: int,
        progress: Callable[[int], float] = lambda row: 0.0,
        workers: int = 1,
        ahead: int = 2,
        finish: Callable[[Batch], Batch] = lambda batch: batch,
    ) -> Iterator[Batch]:
        """Batches in order, prepared `ahead` of use by background threads.

        Args:
            counters: the first row of each batch.
            rows: rows of a batch.
            progress: share of the budget spent when a row comes up, for schedules of masking.
            finish: what else to do with a batch in the background, such as pinning its memory.

        The result does not depend on the number of workers.
        """
        make = lambda counter, share: finish(self.batch(counter, rows, share))  # noqa: E731
        return in_background(make, counters, progress, workers, ahead)


def in_background(
    make: Callable[[int, float], Batch],
    counters: Iterator[int],
    progress: Callable[[int], float],
    workers: int,
    ahead: int,
) -> Iterator[Batch]:
    """What `make` makes of every counter and its progress, in order, `ahead` of use; see `Loader.stream`."""
    with ThreadPoolExecutor(workers, thread_name_prefix="batches") as pool:
        waiting: deque[Future[Batch]] = deque()
        try:
            for counter in counters:
                waiting.append(pool.submit(make, counter, progress(counter)))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def heldout_batches(loader: Loader, rows: int, max_tokens: int, row_length: int) -> list[Batch]:
    """The fixed batches on which a run is judged: always the same rows, with the same masks.

    Args:
        rows: rows of a batch.
        max_tokens: bound on the whole, so that large held-out parts are sampled.
    """
    total = min(loader.plan.n_rows, max(1, max_tokens // row_length))
    return [loader.batch(c, min(rows, total - c)) for c in range(0, total, rows)]


def special_tokens(
    vocab_size: int, pad: int, cls: int, sep: int, mask: int, special_ids: Sequence[int]
) -> SpecialTokens:
    """Build the table of ids that are never predicted."""
    table = np.zeros(vocab_size, np.bool_)
    table[list(special_ids)] = True
    return SpecialTokens(pad, cls, sep, mask, table)
