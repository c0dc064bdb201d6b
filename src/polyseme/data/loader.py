"""From examples to batches: rows packed with whole examples, and their order, as pure functions of (seed, counter).

lengths ──packing.py──► RowPlan ──counter──► examples of a row ──collate──► Rows (numpy) ──objectives──► Batch (tensors)

Batches are prepared in the background, ahead of their use.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch

from polyseme.core.arrays import BoolArray, IntArray
from polyseme.core.types import Batch, Targets
from polyseme.data.examples import NO_LABEL, Drawn, Example, SpecialTokens
from polyseme.data.packing import Plan


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch before any objective has touched it.

    Args:
        ids, segment, position, type: as in `Batch`.
        word_starts: a token begins a word (or is a separator).
        maskable: a token of the text, neither special nor padding.
        first: flat index of every example's first token.
        labels: the label that each example carries, or NO_LABEL.
        counters: the row's number in the run; seeds everything random about it.
        numbers: which example of its data set each example is, or NO_LABEL.
        n_words: words of the text: separators are none.
        progress: share of the budget spent, for schedules.

    Shapes:  (B, T) but first, labels, numbers: (E,) and counters: (B,)
    """

    ids: IntArray
    segment: IntArray
    position: IntArray
    type: IntArray
    word_starts: BoolArray
    maskable: BoolArray
    first: IntArray
    labels: IntArray
    counters: IntArray
    packed: bool
    progress: float = 0.0
    numbers: IntArray | None = None
    n_words: int = 0


def collate(
    rows: list[list[Example]],
    row_length: int,
    special: SpecialTokens,
    counters: IntArray | None = None,
    progress: float = 0.0,
) -> Rows:
    """Lay examples side by side into rows of equal length, padded at the end.

    Shapes:  B lists of examples -> arrays of (B, row_length)
    """
    shape = (len(rows), row_length)
    ids = np.full(shape, special.pad, np.int64)
    segment, position, kind = (np.zeros(shape, np.int64) for _ in range(3))
    words = np.ones(shape, np.bool_)
    first, labels, numbers = [], [], []
    packed = False
    for b, examples in enumerate(rows):
        at = 0
        for number, example in enumerate(examples, start=1):
            end = at + len(example.ids)
            ids[b, at:end] = example.ids
            segment[b, at:end] = number
            position[b, at:end] = np.arange(end - at)
            kind[b, at:end] = example.type
            words[b, at:end] = example.word_starts
            first.append(b * row_length + at)
            labels.append(example.label)
            numbers.append(example.number)
            at = end
        packed = packed or at < row_length or len(examples) > 1
    return Rows(
        ids=ids,
        segment=segment,
        position=position,
        type=kind,
        word_starts=words,
        maskable=(segment != 0) & ~special.special[ids],
        first=np.asarray(first, np.int64),
        labels=np.asarray(labels, np.int64) if labels else np.full(0, NO_LABEL, np.int64),
        counters=np.arange(len(rows)) if counters is None else counters,
        packed=packed,
        progress=progress,
        numbers=np.asarray(numbers, np.int64),
        n_words=int((words & (segment != 0) & (ids != special.cls) & (ids != special.sep)).sum()),
    )


class Preparer(Protocol):
    """The part of an objective that the loader needs: it may change ids, and says what to predict where."""

    name: str

    def prepare(self, rows: Rows) -> tuple[IntArray, IntArray, IntArray]:
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
        causal=any(getattr(objective, "causal", False) for objective in objectives),
        counter=int(rows.counters[0]) if len(rows.counters) else 0,
        n_words=rows.n_words,
    )


def _numbers(rows: Rows) -> torch.Tensor | None:
    if rows.numbers is None or (len(rows.numbers) and rows.numbers[0] == NO_LABEL):
        return None
    return torch.from_numpy(rows.numbers)


class BatchSource(ABC):
    """Batches as pure functions of a counter, prepared in the background."""

    @abstractmethod
    def batch(self, counter: int, count: int, progress: float = 0.0) -> Batch:
        """The rows or examples counter … counter + count - 1 of the run."""

    def stream(
        self,
        updates: Iterator[int],
        pieces: Sequence[tuple[int, int]],
        progress: Callable[[int], float] = lambda counter: 0.0,
        workers: int = 1,
        ahead: int = 2,
        finish: Callable[[Batch], Batch] = lambda batch: batch,
    ) -> Iterator[Batch]:
        """Batches in order, prepared `ahead` of use by background threads.

        Args:
            updates: at which counter each update begins.
            pieces: the batches of an update: how far from its beginning each begins, and of how many rows or examples.
            progress: share of the budget spent when an update comes up, for schedules of masking.
            finish: what else to do with a batch in the background, such as pinning its memory.

        The result does not depend on the number of workers. What is drawn for a batch as a whole is drawn for its
        update: it is the same for all pieces of one, on all ranks.
        """

        def make(update: int, offset: int, count: int, share: float) -> Batch:
            return finish(replace(self.batch(update + offset, count, share), counter=update))

        with ThreadPoolExecutor(workers, thread_name_prefix="batches") as pool:
            waiting: deque[Future[Batch]] = deque()
            try:
                for update in updates:
                    share = progress(update)
                    for offset, count in pieces:
                        waiting.append(pool.submit(make, update, offset, count, share))
                        if len(waiting) > ahead:
                            yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()


class Loader(BatchSource):
    """Batches as pure functions of a row counter.

    Args:
        source: where examples come from.
        plan: how they are packed and ordered.
        objectives: what is predicted.
        row_length: tokens of a row.
        special: ids of the special tokens.
    Attributes:
        n_rows: rows that hold all of the text once.
        tokens_per_row: tokens of a row on average, padding excluded.
    """

    def __init__(
        self,
        source: Drawn,
        plan: Plan,
        objectives: Sequence[Preparer],
        row_length: int,
        special: SpecialTokens,
    ) -> None:
        self._source, self.plan, self._objectives = source, plan, objectives
        self._row_length, self._special = row_length, special
        self.n_rows, self.tokens_per_row = float(plan.n_rows), plan.tokens_per_row

    def batch(self, counter: int, count: int, progress: float = 0.0) -> Batch:
        """Rows counter … counter + count - 1 of the run."""
        counters = np.arange(counter, counter + count)
        drawn = [
            [text for i in self.plan.row(int(c)) for text in self._source.draw(int(i), int(c)).texts]
            for c in counters
        ]
        return to_batch(collate(drawn, self._row_length, self._special, counters, progress), self._objectives)


class Turns(BatchSource):
    """Loaders that take turns, update by update: each gives its share of them, one after the other of its own.

    Update n is the second loader's where ⌊(n + 1) s⌋ > ⌊n s⌋, s its share; so of any stretch of updates the shares are
    right to within one.

    Args:
        first, second: what takes turns.
        share: of the updates, the second loader's.
        rows: of an update.
    Attributes:
        n_rows, tokens_per_row: as of `Loader`, where each holds its share of the text.
    """

    def __init__(self, first: Loader, second: Loader, share: float, rows: int) -> None:
        self.loaders, self._share, self._rows = (first, second), share, rows
        self.n_rows = (1 - share) * first.n_rows + share * second.n_rows
        self.tokens_per_row = (1 - share) * first.tokens_per_row + share * second.tokens_per_row

    def batch(self, counter: int, count: int, progress: float = 0.0) -> Batch:
        """The rows counter … counter + count - 1 of the run, all of one update and so of one loader."""
        turn, place = divmod(counter, self._rows)
        before, after = math.floor(turn * self._share), math.floor((turn + 1) * self._share)
        first, second = self.loaders
        if after > before:
            return second.batch(before * self._rows + place, count, progress)
        return first.batch((turn - before) * self._rows + place, count, progress)


def heldout_batches(loader: Loader | Turns, rows: int, max_tokens: int, row_length: int) -> list[Batch]:
    """The fixed batches on which a run is judged: always the same rows, with the same masks.

    Of loaders that take turns, each gives the batches that it would give alone.

    Args:
        rows: rows of a batch.
        max_tokens: bound on the whole, so that large held-out parts are sampled.
    """
    if isinstance(loader, Turns):
        return [
            batch for each in loader.loaders for batch in heldout_batches(each, rows, max_tokens, row_length)
        ]
    total = min(loader.plan.n_rows, max(1, max_tokens // row_length))
    return [loader.batch(c, min(rows, total - c)) for c in range(0, total, rows)]


def special_tokens(
    vocab_size: int, pad: int, cls: int, sep: int, mask: int, special_ids: Sequence[int]
) -> SpecialTokens:
    """Build the table of ids that are never predicted."""
    table = np.zeros(vocab_size, np.bool_)
    table[list(special_ids)] = True
    return SpecialTokens(pad, cls, sep, mask, table)
