"""A figure that can be computed again for other draws of the same examples, for intervals and paired tests.

value            the figure of all examples
values(chosen)   the figure of examples drawn with replacement, one value a row: the bootstrap
mixed(other, s)  the figure where some examples are taken from another system: approximate randomisation
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from polyseme.core.arrays import BoolArray, Float64Array, IntArray
from polyseme.errors import InputError

CELLS = 2**17
"""Values of one block of draws in memory: an array of 1 MB stays in the cache (four times faster than 8 MB)."""


class Resampled(Protocol):
    """The interface of a figure for intervals and tests.

    Args:
        name: its name in reports ("macro_f1").
        n: the number of texts, tokens, entities or questions that the figure counts.
        examples: the number of units to draw: sentences or questions.
    """

    @property
    def name(self) -> str: ...
    @property
    def n(self) -> int: ...
    @property
    def examples(self) -> int: ...
    @property
    def value(self) -> float: ...
    def values(self, chosen: IntArray) -> Float64Array:
        """Shapes:  chosen: (R, N) numbers of examples -> (R,)"""

    def mixed(self, other: Self, swapped: BoolArray) -> Float64Array:
        """Shapes:  swapped: (R, N), true where the other system's example is taken -> (R,)"""


@dataclass(frozen=True, eq=False)
class Measure:
    """A figure that is a function of sums over examples, so that resampling adds rows instead of scoring again.

        value = formula(Σ_i counts[i])

    Args:
        name: its name in reports.
        counts: one row per example; the example is the unit of drawing: a sentence, a question.
        formula: from sums (..., K) to values (...).
        n: the count for reports; -1 = the number of examples.
        row: the row of `counts` of each example, where examples share rows.

    Shapes:  counts: (N, K), or (U, K) with row: (N,)
    """

    name: str
    counts: Float64Array
    formula: Callable[[Float64Array], Float64Array]
    n: int = -1
    row: IntArray | None = None

    def __post_init__(self) -> None:
        if self.n < 0:
            object.__setattr__(self, "n", self.examples)

    @property
    def examples(self) -> int:
        return len(self.counts) if self.row is None else len(self.row)

    @property
    def sums(self) -> Float64Array:
        """Shapes:  -> (K,)"""
        if self.row is None:
            return np.asarray(self.counts.sum(0))
        total: Float64Array = times_drawn(self.row[None], len(self.counts))[0] @ self.counts
        return total

    @property
    def value(self) -> float:
        return float(self.formula(self.sums)) if self.examples else float("nan")

    def values(self, chosen: IntArray) -> Float64Array:
        """The figure of every row of drawn examples.

        Shapes:  chosen: (R, N) -> (R,)
        """
        parts = []
        for block in blocks(len(chosen), max(chosen.shape[1], *self.counts.shape)):
            drawn = chosen[block] if self.row is None else self.row[chosen[block]]
            parts.append(self.formula(times_drawn(drawn, len(self.counts)) @ self.counts))
        return np.concatenate(parts)

    def mixed(self, other: Measure, swapped: BoolArray) -> Float64Array:
        """The figure where the swapped examples have the other system's rows.

        Only examples whose rows differ change the sums: Σ own + Σ_swapped (other - own).
        Raises:  InputError: the other measure has other examples or columns.
        Shapes:  swapped: (R, N) -> (R,)
        """
        k = self.counts.shape[1]
        if (other.examples, other.counts.shape[1]) != (self.examples, k):
            raise InputError(
                "two systems were not measured alike",
                got=f"{self.examples} examples with {k} counts each, and {other.examples} with {other.counts.shape[1]}",
                expected="the same examples and the same classes or kinds",
            )
        sums = np.broadcast_to(self.sums, (len(swapped), k)).copy()
        for part in blocks(self.examples, k / 8):  # a matrix that is read repeatedly
            change = other._rows(part) - self._rows(part)
            differs = np.flatnonzero(change.any(1))
            change = change[differs]
            for block in blocks(len(swapped), max(1, len(differs))):
                sums[block] += swapped[block][:, differs + part.start].astype(np.float64) @ change
        return self.formula(sums)

    def _rows(self, part: slice) -> Float64Array:
        return self.counts[part] if self.row is None else self.counts[self.row[part]]


def blocks(n: int, width: float) -> Iterator[slice]:
    """Cut n rows of a width into slices that fit in memory (at least one row each)."""
    step = max(1, int(CELLS / max(1, width)))
    for start in range(0, max(n, 1), step):
        yield slice(start, min(n, start + step))


def times_drawn(drawn: IntArray, n: int) -> Float64Array:
    """How often each of n indices occurs in each row.

    Shapes:  drawn: (R, N) -> (R, n)
    """
    rows = len(drawn)
    flat = (drawn + np.arange(rows)[:, None] * n).reshape(-1)
    return np.bincount(flat, minlength=rows * n).reshape(rows, n).astype(np.float64)


def ratio(above: Float64Array, below: Float64Array) -> Float64Array:
    """Quotients; 0 where the denominator is 0."""
    return np.divide(
        above, below, out=np.zeros(np.broadcast_shapes(above.shape, below.shape)), where=below != 0
    )


def mean_of(name: str, scores: npt.ArrayLike, n: int = -1) -> Measure:
    """The mean of one score per example.

    Shapes:  scores: (N,)
    """
    values = np.asarray(scores, np.float64)
    return Measure(name, np.stack([values, np.ones_like(values)], 1), share, n)


def share(sums: Float64Array) -> Float64Array:
    """The first column divided by the second.  Shapes: (..., 2) -> (...)"""
    return ratio(sums[..., 0], sums[..., 1])
