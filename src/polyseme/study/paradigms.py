"""Accuracies and margins of sets of minimal pairs, and of means over such sets, with intervals and paired tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from polyseme.study.intervals import FloatArray, IntArray, draws, limits, measured, wilson
from polyseme.study.significance import ROUNDS, randomisation, two_sided
from polyseme.tasks.metrics.measure import Measure

__all__ = ["RESAMPLES", "Paradigms"]

RESAMPLES = 1000
_DRAWS = 200_000_000
"""Pairs drawn for one paired test at most; of large files fewer rounds are enough."""


class Paradigms:
    """Figures of paradigms and of means over them, whose intervals come from the same draws.

    Pairs are drawn with replacement within their paradigm, each paradigm for itself: a stratified bootstrap.

    Args:
        groups: the numbers of every paradigm's pairs.
        right: of one run or of two, of every pair.
        margin, unknown: of the first run.
        resamples, seed: of the draws.
    Source:  Davison and Hinkley (1997), section 3.2, for samples of several populations.
    """

    def __init__(
        self,
        groups: Mapping[Any, IntArray],
        right: Sequence[FloatArray],
        margin: FloatArray,
        resamples: int,
        seed: int,
        unknown: FloatArray,
    ) -> None:
        self._seed = seed
        self._right = [[one[members] for members in groups.values()] for one in right]
        self._margin = [margin[members] for members in groups.values()]
        self._unknown = [unknown[members] for members in groups.values()]
        both = [np.stack(pair, 1) for pair in zip(self._right[0], self._margin, strict=True)]
        self._drawn = self._draws(both, resamples)  # (R, P, 2)
        if len(right) > 1:
            n = len(margin)
            self._rounds = max(resamples, min(ROUNDS * resamples // RESAMPLES, _DRAWS // max(1, n)))
            less = [(a - b)[:, None] for a, b in zip(*self._right, strict=True)]
            self._less = self._draws(less, self._rounds)[..., 0]  # (R, P)

    def _draws(self, columns: Sequence[FloatArray], rounds: int) -> FloatArray:
        """Means of every paradigm's columns in every draw.  Shapes: P of (N, K) -> (rounds, P, K)"""
        means = []
        for number, one in enumerate(columns):
            blocks = draws(len(one), rounds, self._seed, f"bootstrap of pairs, paradigm {number}")
            means.append(np.concatenate([one[chosen].mean(1) for chosen in blocks]))
        return np.stack(means, 1)

    def row(self, members: Sequence[int]) -> dict[str, Any]:
        """The figures of some paradigms; with two runs also of the second, and their difference."""
        members = list(members)
        right, margin = [self._right[0][m] for m in members], [self._margin[m] for m in members]
        n = sum(map(len, right))
        drawn = self._drawn[:, members].mean(1)
        found = {
            "paradigms": len(members),
            "pairs": n,
            "accuracy": self._accuracy(0, members, drawn[:, 0]),
            "margin": measured(_mean(margin), limits(drawn[:, 1]), n),
            "ties": int(sum((one == 0).sum() for one in margin)),
            "unknown": int(sum(self._unknown[m].sum() for m in members)),
        }
        if len(self._right) > 1:
            found["against"] = self._accuracy(1, members, None)
            found["difference"] = self._difference(members, n)
        return found

    def _accuracy(self, run: int, members: Sequence[int], drawn: FloatArray | None) -> dict[str, Any]:
        """Wilson's interval of one paradigm, the bootstrap's of a mean over several.

        Where no draw differs from another, as of paradigms of one pair each, it is Wilson's of all pairs together.
        """
        right = [self._right[run][m] for m in members]
        n = sum(map(len, right))
        if len(right) == 1:
            return measured(_mean(right), wilson(float(right[0].sum()), n), n)
        if drawn is None:  # the second run's are the first's less the difference: the same draws
            drawn = self._second(members)
        low, high = limits(drawn)
        return measured(_mean(right), (low, high) if low < high else wilson(_mean(right) * n, n), n)

    def _second(self, members: Sequence[int]) -> FloatArray:
        less = self._less[: len(self._drawn), members]
        means: FloatArray = self._drawn[:, members, 0].mean(1) - less.mean(1)
        return means

    def _difference(self, members: Sequence[int], n: int) -> dict[str, Any]:
        """First run less second."""
        drawn = self._less[:, members].mean(1)
        low, high = limits(drawn)
        sides = [
            Measure("accuracy", np.concatenate([one[m] / len(one[m]) for m in members])[:, None], _sum)
            for one in self._right
        ]
        first, second = ([one[m] for m in members] for one in self._right)
        return {
            "value": _mean(first) - _mean(second),
            "low": low,
            "high": high,
            "p": two_sided(drawn),
            "p_randomisation": randomisation(sides[0], sides[1], self._rounds, self._seed),
            "n": n,
        }


def _mean(paradigms: Sequence[FloatArray]) -> float:
    """Mean over paradigms of their means."""
    return float(np.mean([one.mean() for one in paradigms]))


def _sum(sums: FloatArray) -> FloatArray:
    return sums[..., 0]
