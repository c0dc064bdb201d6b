"""Figures of numbers: Pearson's and Spearman's correlation, squared and absolute error."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from polyseme.core.arrays import BoolArray, Float64Array, IntArray
from polyseme.errors import InputError
from polyseme.tasks.metrics.measure import Measure, Resampled, blocks, mean_of, times_drawn

__all__ = ["LinearCorrelation", "RankCorrelation", "measures", "spearman"]


def measures(gold: npt.ArrayLike, predicted: npt.ArrayLike) -> dict[str, Resampled]:
    """pearson, spearman, mean_squared_error, mean_absolute_error.

    Shapes:  gold, predicted: (N,)
    """
    x, y = np.asarray(gold, np.float64), np.asarray(predicted, np.float64)
    if x.shape != y.shape:
        raise InputError(
            "gold and predictions do not fit", got=f"{x.shape} and {y.shape}", expected="equal shapes"
        )
    return {
        "pearson": LinearCorrelation("pearson", x, y),
        "spearman": RankCorrelation("spearman", x, y),
        "mean_squared_error": mean_of("mean_squared_error", (x - y) ** 2),
        "mean_absolute_error": mean_of("mean_absolute_error", np.abs(x - y)),
    }


@dataclass(frozen=True, eq=False)
class LinearCorrelation:
    """Pearson's correlation as a resampled figure: a function of sums of 1, a, b, a², b² and ab; NaN for constants.

    a and b are x and y, standardised over all examples (of both systems, where two are mixed), so that a large mean
    costs no precision.

    Shapes:  x, y: (N,)
    """

    name: str
    x: Float64Array
    y: Float64Array

    @property
    def n(self) -> int:
        return len(self.x)

    @property
    def examples(self) -> int:
        return len(self.x)

    @property
    def value(self) -> float:
        return self._sums(self.y).value

    def values(self, chosen: IntArray) -> Float64Array:
        """The correlation of every row of drawn examples.

        Shapes:  chosen: (R, N) -> (R,)
        """
        return self._sums(self.y).values(chosen)

    def mixed(self, other: LinearCorrelation, swapped: BoolArray) -> Float64Array:
        """The correlation where the swapped examples have the other system's y.

        Shapes:  swapped: (R, N) -> (R,)
        Raises:  InputError: the two have other gold numbers.
        """
        _same_gold(self.x, other.x)
        both = np.concatenate([self.y, other.y])
        return self._sums(both).mixed(other._sums(both), swapped)

    def _sums(self, y: Float64Array) -> Measure:
        a, b = _standard(self.x, self.x), _standard(self.y, y)
        return Measure(self.name, np.stack([np.ones_like(a), a, b, a * a, b * b, a * b], 1), _pearson)


def _standard(values: Float64Array, reference: Float64Array) -> Float64Array:
    """Values, standardised by the mean and deviation of `reference`."""
    if not len(reference):
        return values
    return np.asarray((values - reference.mean()) / (float(reference.std()) or 1.0))


def _same_gold(first: Float64Array, second: Float64Array) -> None:
    if not np.array_equal(first, second, equal_nan=True):
        raise InputError("two systems with different gold numbers", expected="predictions for the same file")


def _pearson(sums: Float64Array) -> Float64Array:
    n, a, b, aa, bb, ab = np.moveaxis(sums, -1, 0)
    a, b = a / n, b / n
    aa, bb, ab = aa / n, bb / n, ab / n
    spread_a, spread_b = aa - a * a, bb - b * b
    # a spread below the rounding error of the sums counts as 0
    constant = (spread_a <= 1e-13 * aa) | (spread_b <= 1e-13 * bb)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(constant, np.nan, (ab - a * b) / np.sqrt(spread_a * spread_b))


def spearman(x: Float64Array, y: Float64Array) -> Float64Array:
    """Spearman's rank correlation of every row, ties sharing their mean rank; NaN for constant rows.

    Shapes:  x, y: (R, N) -> (R,)
    """
    from scipy.stats import rankdata

    a, b = (rankdata(values, axis=1) for values in (x, y))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Float64Array = (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))
    return result


@dataclass(frozen=True, eq=False)
class RankCorrelation:
    """Spearman's correlation as a resampled figure; no sort for each draw.

    A draw is a weight for every example (how often it was drawn). The examples were sorted once, so the mean rank of
    a group of ties is the weight before it plus half of one more than its own:

        rank_g = Σ_{h<g} t_h + (t_g + 1) / 2,   t_g = Σ_{i in g} w_i

    Shapes:  x, y: (N,)
    """

    name: str
    x: Float64Array
    y: Float64Array

    @property
    def n(self) -> int:
        return len(self.x)

    @property
    def examples(self) -> int:
        return len(self.x)

    @property
    def value(self) -> float:
        return float(self._of(np.ones((1, len(self.x))))[0]) if len(self.x) else float("nan")

    def values(self, chosen: IntArray) -> Float64Array:
        """The correlation of every row of drawn examples.

        Shapes:  chosen: (R, N) -> (R,)
        """
        n = self.examples
        return np.concatenate(
            [
                self._of(times_drawn(chosen[block], n))
                for block in blocks(len(chosen), max(n, chosen.shape[1]))
            ]
        )

    def mixed(self, other: RankCorrelation, swapped: BoolArray) -> Float64Array:
        """The correlation where the swapped examples have the other system's y.

        The gold ranks stay the same. Both systems' y are sorted together; the chosen values have weight 1 and the
        others 0.
        Shapes:  swapped: (R, N) -> (R,)
        Raises:  InputError: the two have other gold numbers.
        """
        if not np.array_equal(self.x, other.x):
            raise InputError(
                "two systems with different gold numbers", expected="predictions for the same file"
            )
        n = self.examples
        middle = (n + 1) / 2
        a = self._groups[0].ranks(np.ones((1, n)))[0] - middle
        both = _Groups.of(np.concatenate([self.y, other.y]))
        example, from_other = both.order % n, both.order >= n
        parts = []
        for block in blocks(len(swapped), 2 * n):
            weights = (swapped[block][:, example] == from_other).astype(np.float64)
            total, moment = both.sums(weights), both.sums(weights * a[example])
            rank = np.cumsum(total, axis=1) - total / 2 + 0.5 - middle
            above = np.einsum("rg,rg->r", moment, rank)
            parts.append(_quotient(above, (a * a).sum(), np.einsum("rg,rg,rg->r", total, rank, rank)))
        undefined = any(np.isnan(values).any() for values in (self.x, self.y, other.y))
        return np.full(len(swapped), np.nan) if undefined else np.concatenate(parts)

    @cached_property
    def _groups(self) -> tuple[_Groups, _Groups]:
        return _Groups.of(self.x), _Groups.of(self.y)

    def _of(self, weights: Float64Array) -> Float64Array:
        if np.isnan(self.x).any() or np.isnan(self.y).any():
            return np.full(len(weights), np.nan)
        middle = (weights.sum(1, keepdims=True) + 1) / 2
        a, b = ((groups.ranks(weights) - middle) for groups in self._groups)
        heavy = weights * a
        spread_a, spread_b = np.einsum("rn,rn->r", heavy, a), np.einsum("rn,rn,rn->r", weights, b, b)
        return _quotient(np.einsum("rn,rn->r", heavy, b), spread_a, spread_b)


@dataclass(frozen=True)
class _Groups:
    """Values sorted once into groups of equal values.

    Shapes:  order: (N,) examples by value.  starts: (G,) where groups begin.  group: (N,) of every example
    """

    order: IntArray
    starts: IntArray
    group: IntArray

    @classmethod
    def of(cls, values: Float64Array) -> _Groups:
        order = np.argsort(values, kind="stable")
        new = np.r_[True, np.diff(values[order]) != 0]
        group = np.empty(len(values), np.int64)
        group[order] = np.cumsum(new) - 1
        return cls(order, np.flatnonzero(new), group)

    def sums(self, ordered: Float64Array) -> Float64Array:
        """Add up groups of numbers that are in order.  Shapes: (R, N) -> (R, G)"""
        if len(self.starts) == len(self.order):
            return ordered
        return np.add.reduceat(ordered, self.starts, axis=1)

    def ranks(self, weights: Float64Array) -> Float64Array:
        """Mean rank of every example within each draw.  Shapes: (R, N) -> (R, N)"""
        total = self.sums(weights[:, self.order])
        rank = np.cumsum(total, axis=1)
        rank -= total / 2 - 0.5
        return rank[:, self.group]


def _quotient(above: Float64Array, spread_a: Float64Array | float, spread_b: Float64Array) -> Float64Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Float64Array = above / np.sqrt(spread_a * spread_b)
    return result
