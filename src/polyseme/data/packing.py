"""Rows packed with whole examples, and the order of the rows, as pure functions of lengths and of (seed, counter).

lengths ──pack──► rows ──permutation of an epoch──► RowPlan.row(counter): examples
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Protocol

import numpy as np

from polyseme.core.arrays import IntArray
from polyseme.core.rng import Random


def pack(lengths: IntArray, row_length: int) -> tuple[IntArray, IntArray]:
    """Fill rows with whole examples, best fit first.

    Rows of the same make-up are formed together, so the cost is that of sorting, not of one step per example.

    Args:
        lengths: tokens of every example, 1 … row_length.
        row_length: tokens of a row.
    Shapes:  -> offsets: (R + 1,), members: (N,): row r holds examples members[offsets[r] : offsets[r + 1]]
    Source:  best-fit decreasing (Johnson 1973), over the histogram of lengths.
    """
    order = np.argsort(lengths, kind="stable")
    counts = np.bincount(lengths, minlength=row_length + 1)
    # examples of length l not yet used: order[begins[l] : ends[l]]
    begins = (np.cumsum(counts) - counts).tolist()
    members, sizes = [], []
    for rows, makeup in _makeups(counts.tolist(), row_length):
        columns = []
        for length, times in makeup.items():
            begin = begins[length]
            begins[length] += rows * times
            columns.append(order[begin : begins[length]].reshape(rows, times))
        members.append(np.concatenate(columns, axis=1).ravel())
        sizes.append(np.full(rows, sum(makeup.values())))
    flat = np.concatenate(members) if members else np.empty(0, np.int64)
    per_row = np.concatenate(sizes) if sizes else np.empty(0, np.int64)
    return np.concatenate([[0], np.cumsum(per_row)]), flat


def packed_rows(lengths: IntArray, row_length: int) -> int:
    """How many rows `pack` fills, which the histogram of lengths decides."""
    counts = np.bincount(lengths, minlength=row_length + 1).tolist()
    return sum(rows for rows, _ in _makeups(counts, row_length))


def _makeups(left: list[int], row_length: int) -> Iterator[tuple[int, dict[int, int]]]:
    """Numbers of rows, and of which lengths they are made: {length: how many of it}.

    Args:
        left: how many examples there are of each length, 0 … row_length; it is used up.
    """
    available = sum(1 << length for length, count in enumerate(left) if count)
    while available:
        makeup: dict[int, int] = {}
        space = row_length
        while True:  # the longest that still fits, of those that are left
            fitting = available & ((1 << (space + 1)) - 1)
            while fitting and makeup.get(fitting.bit_length() - 1, 0) >= left[fitting.bit_length() - 1]:
                fitting ^= 1 << (fitting.bit_length() - 1)
            if not fitting:
                break
            length = fitting.bit_length() - 1
            makeup[length] = makeup.get(length, 0) + 1
            space -= length
        rows = min(left[length] // times for length, times in makeup.items())
        for length, times in makeup.items():
            left[length] -= rows * times
            if not left[length]:
                available ^= 1 << length
        yield rows, makeup


class Plan(Protocol):
    """Which examples row number `counter` of an endless run holds.

    Attributes:
        n_rows: rows of an epoch.
        tokens_per_row: tokens of a row on average, padding excluded.
    """

    n_rows: int
    tokens_per_row: float

    def row(self, counter: int) -> IntArray:
        """Numbers of the examples in this row."""
        ...


class RowPlan:
    """Which examples row number `counter` of an endless run holds.

    Every epoch visits every row once, in an order of its own.

    Args:
        lengths: tokens of every example.
        row_length: tokens of a row.
        random: the stream that orders the rows.
    """

    def __init__(self, lengths: IntArray, row_length: int, random: Random) -> None:
        self._offsets, self._members = pack(lengths, row_length)
        self.n_rows = len(self._offsets) - 1
        self.tokens_per_row = float(lengths.sum()) / max(1, self.n_rows)
        self._order = lru_cache(maxsize=3)(lambda epoch: random.permutation(self.n_rows, epoch))

    def row(self, counter: int) -> IntArray:
        """Numbers of the examples in this row."""
        epoch, place = divmod(counter, self.n_rows)
        row = self._order(epoch)[place]
        return self._members[self._offsets[row] : self._offsets[row + 1]]
