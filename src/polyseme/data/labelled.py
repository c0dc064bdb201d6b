"""Labelled examples to batches: so many examples an update, in an order of their own every epoch, without padding.

examples ──order(epoch)──► batch_size of them ──tight_rows──► rows as long as the longest, or longer ──► Batch

The rows of a batch hold several examples where they fit: short texts cost what they are long, not what the longest
text of the batch is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch

from polyseme.core.arrays import IntArray
from polyseme.core.rng import Random
from polyseme.core.types import Batch
from polyseme.data.examples import Example, SpecialTokens
from polyseme.data.loader import BatchSource, Preparer, collate, to_batch
from polyseme.data.packing import pack

ATTENTION_DOUBLES = 768
"""Length of a row at which attention about doubles the cost of a token, for encoders 384 wide (docs/LOG.md)."""
SLACK = 1.03
"""Rows are tried that would hold the batch if so little more than its tokens were needed."""
TRIED = 6
"""Numbers of rows that are tried, each with one row fewer."""
Unknown = tuple[tuple[int, str], ...]
"""Places in an example, and the words there that are not in the vocabulary."""


class ExampleLoader(BatchSource):
    """Batches of labelled examples as pure functions of a counter of examples.

    Args:
        examples: with their separators; each one's `number` is its place here.
        objectives: what is predicted: tasks, which know the examples by their numbers.
        special: ids of the special tokens.
        random: the stream that orders them; None = always in their own order.
        unknown: for encoders that read letters, the words of each example that are not in the vocabulary.
        vocab_size: ids from here on stand for these words.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        objectives: Sequence[Preparer],
        special: SpecialTokens,
        random: Random | None = None,
        unknown: Sequence[Unknown] | None = None,
        vocab_size: int = 0,
    ) -> None:
        self._examples, self._objectives, self._special = examples, objectives, special
        self._unknown, self._vocab_size = unknown, vocab_size
        self.lengths: IntArray = np.fromiter((len(e.ids) for e in examples), np.int64, len(examples))
        n = len(examples)
        self._order = lru_cache(maxsize=3)(
            lambda epoch: np.arange(n) if random is None else random.permutation(n, epoch)
        )

    def __len__(self) -> int:
        return len(self._examples)

    def numbers(self, counter: int, count: int) -> list[int]:
        """Which examples counter … counter + count - 1 of an endless run are."""
        places = (divmod(c, len(self)) for c in range(counter, counter + count))
        return [int(self._order(epoch)[place]) for epoch, place in places]

    def batch(self, counter: int, count: int, progress: float = 0.0) -> Batch:
        """Examples counter … counter + count - 1 of the run."""
        return self.of(self.numbers(counter, count), counter, progress)

    def of(self, numbers: Sequence[int], counter: int = 0, progress: float = 0.0) -> Batch:
        """These examples, in rows at least as long as the longest of them."""
        lengths = self.lengths[list(numbers)]
        length, offsets, members = tight_rows(lengths)
        rows = [
            [self._examples[numbers[i]] for i in members[offsets[r] : offsets[r + 1]]]
            for r in range(len(offsets) - 1)
        ]
        counters = np.arange(counter, counter + len(rows))
        batch = to_batch(collate(rows, length, self._special, counters, progress), self._objectives)
        return batch if self._unknown is None else self._spelled(batch)

    def _spelled(self, batch: Batch) -> Batch:
        """Give every different word outside the vocabulary an id of its own and say how it is written."""
        assert self._unknown is not None
        assert batch.numbers is not None
        new_ids: dict[str, int] = {}
        ids = batch.ids.clone()
        flat = ids.view(-1)
        for first, number in zip(batch.first.tolist(), batch.numbers.tolist(), strict=True):
            for place, word in self._unknown[number]:
                flat[first + place] = new_ids.setdefault(word, self._vocab_size + len(new_ids))
        return replace(batch, ids=ids, spelling=spelling(list(new_ids))) if new_ids else batch


def tight_rows(lengths: IntArray) -> tuple[int, IntArray, IntArray]:
    """Pack a batch into rows whose length suits it: somewhat more than the longest example often leaves less padding.

    Of a few lengths the one with the least cost is taken, where a token costs the more the longer its row is: attention
    is quadratic in it.

    Args:
        lengths: tokens of every example.
    Returns the length, and what `pack` gives for it.
    """
    longest, total = int(lengths.max()), int(lengths.sum())
    offsets, members = pack(lengths, longest)
    best = longest, offsets, members
    most = len(offsets) - 1
    least = _cost(most, longest)
    for fewer in range(most - 1, max(0, most - 1 - TRIED), -1):
        length = max(longest, math.ceil(SLACK * total / fewer))
        if _cost(fewer, length) >= least:
            continue
        offsets, members = pack(lengths, length)
        if (cost := _cost(len(offsets) - 1, length)) < least:
            least, best = cost, (length, offsets, members)
    return best


def _cost(rows: int, length: int) -> float:
    return rows * length * (1 + length / ATTENTION_DOUBLES)


def spelling(words: Sequence[str]) -> torch.Tensor:
    """How words are written, for `Batch.spelling`.  Shapes: N words -> (N, longest) code points, padded with 0"""
    table = torch.zeros(len(words), max(map(len, words)), dtype=torch.long)
    for row, word in enumerate(words):
        table[row, : len(word)] = torch.tensor([ord(c) for c in word])
    return table
