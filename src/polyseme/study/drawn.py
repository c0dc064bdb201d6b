"""Figures together with their values under draws of the same uses, so that means and differences have intervals, too.

    draw r:  use i is taken times[r, i] times;   figure_r = formula(Σ_i times[r, i] · counts[i])

All predictions about one word share its draws, so differences between layers, methods and runs are paired; draws of
different words are independent, so the mean over words is a bootstrap that draws uses within each word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from polyseme.study.intervals import FloatArray, IntArray, draws, limits, measured, wilson
from polyseme.study.significance import two_sided
from polyseme.tasks.metrics.measure import times_drawn

__all__ = ["FIGURES", "Drawn", "Uses", "mean"]

FIGURES = ("accuracy", "balanced_accuracy", "macro_f1")


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure and its values under draws.

    Args:
        interval: its limits where all draws are alike and say nothing: of a share of 0 or 1, Wilson's.
    Shapes:  draws: (R,)
    """

    value: float
    draws: FloatArray
    n: int
    interval: tuple[float, float] | None = None

    def document(self) -> dict[str, Any]:
        """{"value", "low", "high", "n"}: the middle 95 % of the draws."""
        return measured(self.value, self.interval or limits(self.draws), self.n)

    def over(self, other: Drawn) -> dict[str, Any]:
        """The paired difference self - other: {"value", "low", "high", "p", "n"}; see `paired_bootstrap`."""
        difference = self.draws - other.draws
        found = measured(self.value - other.value, limits(difference), self.n)
        return found | {"p": two_sided(difference)}


def mean(figures: Sequence[Drawn]) -> Drawn:
    """The mean of figures of several words, each word with the same weight."""
    if len(figures) == 1:
        return figures[0]
    return Drawn(
        float(np.mean([one.value for one in figures])),
        np.mean([one.draws for one in figures], axis=0),
        sum(one.n for one in figures),
    )


class Uses:
    """Draws of the labelled uses of one word.

    Args:
        gold: the sense of each use, 0 …
        senses: how many senses there are.
        rounds: draws.
        seed, stream: of the draws; figures are paired where these and the uses are the same.

    Shapes:  gold: (N,)
    """

    def __init__(self, gold: IntArray, senses: int, rounds: int, seed: int, stream: str) -> None:
        self.gold, self.n = gold, len(gold)
        self._kinds = np.arange(senses)
        self._times: npt.NDArray[np.uint16] = np.concatenate(
            [times_drawn(block, self.n).astype(np.uint16) for block in draws(self.n, rounds, seed, stream)]
        )
        self._gold = self._sums((gold[:, None] == self._kinds).astype(np.float32))

    def _sums(self, counts: npt.NDArray[np.float32]) -> FloatArray:
        """Sums over all uses, and over each draw of them.  Shapes: (N, K) -> (1 + R, K)"""
        parts = [counts.sum(0, dtype=np.float64)[None]]
        step = max(1, (1 << 22) // max(1, self.n))
        for start in range(0, len(self._times), step):
            parts.append((self._times[start : start + step].astype(np.float32) @ counts).astype(np.float64))
        return np.concatenate(parts)

    def mean(self, scores: npt.NDArray[np.floating]) -> Drawn:
        """The mean of one score a use.  Shapes: (N,)"""
        sums = self._sums(np.asarray(scores, np.float32)[:, None])[:, 0] / self.n
        return Drawn(float(np.mean(scores, dtype=np.float64)), sums[1:], self.n)

    def figures(self, predicted: IntArray) -> dict[str, Drawn]:
        """Accuracy, balanced accuracy and macro-F1 of predicted senses.

            accuracy = Σ_s hit_s / N,   balanced = mean_s hit_s / gold_s,   F1_s = 2 hit_s / (said_s + gold_s)

        Senses are skewed: where 96 of 100 uses are of one sense, always saying it has an accuracy of 0.96 and a
        balanced accuracy of 1 / senses. Balanced accuracy gives each sense the same weight, and macro-F1 also counts
        what was wrongly given to a rare sense. A sense that a draw lacks counts in none of its means.

        Shapes:  predicted: (N,)
        """
        said = (predicted[:, None] == self._kinds).astype(np.float32)
        right = (predicted == self.gold).astype(np.float32)[:, None]
        k, gold = len(self._kinds), self._gold
        sums = self._sums(np.concatenate([said * right, said], 1))
        hit, said_sums = sums[:, :k], sums[:, k:]
        present, named = gold > 0, (gold + said_sums) > 0
        recall = np.divide(hit, gold, out=np.zeros_like(hit), where=present)
        f1 = np.divide(2 * hit, gold + said_sums, out=np.zeros_like(hit), where=named)
        values = (hit.sum(1) / self.n, recall.sum(1) / present.sum(1), f1.sum(1) / named.sum(1))
        found = {
            name: Drawn(float(one[0]), one[1:], self.n) for name, one in zip(FIGURES, values, strict=True)
        }
        if (all_or_none := found["accuracy"]).value in (0.0, 1.0):
            limits_ = wilson(all_or_none.value * self.n, self.n)
            found["accuracy"] = replace(all_or_none, interval=limits_)
        return found
