"""Is one system better than another, or was it luck? Every bootstrap, permutation and interval of the studies.

paired bootstrap   draw examples with replacement, take both systems' figures of the same draw, look at the
                   differences: an interval, and how often the sign turns
randomisation      if the systems were alike, swapping their answers to an example would change nothing: swap each
                   with probability 1/2 and count how often the difference is as large as the one seen
McNemar            for accuracy, the exact test of the examples that only one of the two gets right
over seeds         resample both examples and seeds: a hierarchical bootstrap
within groups      uses of a word (`UseResampler`) and pairs of a paradigm (`Paradigms`) are drawn within their group
jackknife          leave out one block of texts after another

Intervals of a single figure (draws, their limits, Wilson's interval) are in tasks/metrics/intervals.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from polyseme.core.arrays import Float32Array, Float64Array, IntArray
from polyseme.core.rng import Random
from polyseme.errors import InputError
from polyseme.tasks.metrics.intervals import bootstrap, limits, measured, wilson
from polyseme.tasks.metrics.measure import CELLS, Measure, Resampled, times_drawn

__all__ = [
    "FIGURES",
    "RESAMPLES",
    "ROUNDS",
    "Drawn",
    "Paradigms",
    "UseResampler",
    "compare",
    "holm",
    "interval_of_pairs",
    "jackknife_interval",
    "mcnemar",
    "mean",
    "mean_of_drawn_seeds",
    "paired_bootstrap",
    "randomisation",
    "seeds_difference",
    "seeds_interval",
    "sum_of",
    "two_sided",
    "values_of",
]

ROUNDS = 10_000


def compare(first: Resampled, second: Resampled, rounds: int = ROUNDS, seed: int = 0) -> dict[str, Any]:
    """The difference first - second on the same examples: {"value", "low", "high", "p", "p_randomisation", "n"}.

    Raises:  InputError: the two do not measure the same examples.
    """
    result = paired_bootstrap(first, second, rounds, seed)
    return result | {"p_randomisation": randomisation(first, second, rounds, seed), "n": result["n"]}


def paired_bootstrap(
    first: Resampled, second: Resampled, rounds: int = ROUNDS, seed: int = 0
) -> dict[str, Any]:
    """The paired bootstrap of first - second: {"value", "low", "high", "p", "n"}.

        p = 2 (1 + min(#{difference <= 0}, #{difference >= 0})) / (1 + rounds), at most 1

    Raises:  InputError: the two do not measure the same examples.
    Source:  Efron and Tibshirani (1993), sections 8.3 and 15.4; Koehn (2004) for such figures of language.
    """
    _paired(first, second)
    value = first.value - second.value
    if not first.examples:
        return {"value": value, "low": math.nan, "high": math.nan, "p": 1.0, "n": 0}
    differences = bootstrap(
        lambda chosen: first.values(chosen) - second.values(chosen), first.examples, rounds, seed
    )
    low, high = limits(differences)
    return {"value": value, "low": low, "high": high, "p": two_sided(differences), "n": first.examples}


def randomisation(first: Resampled, second: Resampled, rounds: int = ROUNDS, seed: int = 0) -> float:
    """The p-value of approximate randomisation: could the difference come from systems that are alike?

        p = (1 + #{|difference of a round| >= |difference|}) / (1 + rounds)

    Raises:  InputError: the two do not measure the same examples.
    Source:  Noreen (1989), chapter 2.
    """
    _paired(first, second)
    n = first.examples
    observed = abs(first.value - second.value)
    if not n or math.isnan(observed):
        return 1.0
    observed -= 1e-12 * max(1.0, observed)  # sums in another order round differently
    random, words = Random(seed, "randomisation"), (n + 63) // 64
    step = max(1, 64 * CELLS // n)  # a byte an example; `mixed` cuts them further
    as_large = 0
    for start in range(0, rounds, step):
        bits = random.bits(np.arange(start, min(rounds, start + step))[:, None], np.arange(words))
        swapped = np.unpackbits(bits.astype("<u8").view(np.uint8), axis=1, count=n).view(np.bool_)
        differences = first.mixed(second, swapped) - second.mixed(first, swapped)
        as_large += int((~(np.abs(differences) < observed)).sum())  # also where a figure is undefined
    return (1 + as_large) / (1 + rounds)


def mcnemar(first: npt.ArrayLike, second: npt.ArrayLike) -> dict[str, Any]:
    """McNemar's exact test of two systems' right answers: {"only_first", "only_second", "p"}.

        p = 2 P(Binomial(b + c, 1/2) <= min(b, c)), at most 1;  b, c: right in one system only

    Raises:  InputError: the two have different numbers of examples.
    Shapes:  first, second: (N,), true where the system is right
    Source:  McNemar (1947), in its exact form.
    """
    from scipy.stats import binom

    a, b = np.asarray(first, bool), np.asarray(second, bool)
    if a.shape != b.shape:
        raise _unpaired(len(a), len(b))
    only_first, only_second = int((a & ~b).sum()), int((b & ~a).sum())
    p = min(1.0, 2 * float(binom.cdf(min(only_first, only_second), only_first + only_second, 0.5)))
    return {"only_first": only_first, "only_second": only_second, "p": p}


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct the p-values of several tests, so that together they have the error rate of a single test.

        the k-th smallest of m:  max over j <= k of (m - j + 1) p_j, at most 1

    Example:
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]

    Source:  Holm (1979).
    """
    m, largest = len(p_values), 0.0
    adjusted = [0.0] * m
    for k, place in enumerate(sorted(range(m), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (m - k) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def seeds_difference(
    first: Sequence[Resampled], second: Sequence[Resampled], rounds: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """The difference of two systems' means over seeds; both seeds and examples are resampled.

    Every round draws the examples once for all runs, and the runs of each system with replacement: a hierarchical
    bootstrap. Returns {"value", "low", "high", "p", "n": examples, "seeds": (of first, of second)}. With very few
    seeds the interval is too narrow: drawing S of S values again gives (S - 1) / S of their variance.

    Args:
        first, second: one measure a seed, all on the same examples.
    Raises:  InputError: a system without runs, or runs on different examples.
    Source:  Davison and Hinkley (1997), section 3.8.
    """
    if not first or not second:
        raise InputError(
            "no runs to compare", got=f"{len(first)} and {len(second)}", expected="one at least of each"
        )
    for run in (*first, *second):
        _paired(first[0], run)
    value = _mean(first) - _mean(second)
    n = first[0].examples
    result = {"n": n, "seeds": (len(first), len(second))}
    if not n:
        return {"value": value, "low": math.nan, "high": math.nan, "p": 1.0} | result
    values = bootstrap(values_of([*first, *second]), n, rounds, seed)  # (R, seeds of both)
    sides = np.split(values, [len(first)], 1)
    means = [mean_of_drawn_seeds(side, seed, number) for number, side in enumerate(sides)]
    differences = means[0] - means[1]
    low, high = limits(differences)
    return {"value": value, "low": low, "high": high, "p": two_sided(differences)} | result


def values_of(runs: Sequence[Resampled]) -> Callable[[IntArray], Float64Array]:
    """What `bootstrap` draws of several runs: the figures of the same examples.  Shapes: (R, N) -> (R, S)"""
    return lambda chosen: np.stack([run.values(chosen) for run in runs], 1)


def mean_of_drawn_seeds(values: Float64Array, seed: int, *side: int) -> Float64Array:
    """Means over seeds that are drawn with replacement, once for every draw of the examples.

    Shapes:  values: (R, …, S) -> (R, …)
    """
    rounds, seeds = len(values), values.shape[-1]
    random = Random(seed, "bootstrap of seeds")
    which = random.integers(seeds, *side, np.arange(rounds)[:, None], np.arange(seeds))  # (R, S)
    which = which.reshape(rounds, *[1] * (values.ndim - 2), seeds)
    return np.asarray(np.take_along_axis(values, which, -1).mean(-1))


def seeds_interval(measures: Sequence[Resampled], rounds: int = 1000) -> tuple[float, float]:
    """The 95 % interval of the mean over seeds; both seeds and examples are resampled.

    Args:
        measures: one a seed, all on the same examples.
    """
    if not measures[0].examples:
        return math.nan, math.nan
    random = np.random.default_rng(0)

    def means(chosen: IntArray) -> Float64Array:
        values = np.stack([measure.values(chosen) for measure in measures])  # (S, R)
        drawn = random.integers(len(measures), size=values.shape)
        return np.asarray(np.take_along_axis(values, drawn, 0).mean(0))

    return limits(bootstrap(means, measures[0].examples, rounds))


def interval_of_pairs(
    statistic: Callable[[Float64Array, Float64Array], Float64Array],
    x: Float64Array,
    y: Float64Array,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """The percentile bootstrap interval (Efron 1979) of a statistic of pairs.

    Args:
        statistic: (R, N), (R, N) -> (R,)
    Shapes:  x, y: (N,)
    """
    random = Random(seed, "bootstrap")
    chosen = random.integers(len(x), np.arange(resamples)[:, None], np.arange(len(x)))
    return limits(statistic(x[chosen], y[chosen]))


def _mean(runs: Sequence[Resampled]) -> float:
    return float(np.mean([run.value for run in runs]))


def two_sided(differences: Float64Array) -> float:
    """The two-sided p-value of draws of a difference; see `paired_bootstrap` for the formula."""
    known = differences[np.isfinite(differences)]
    turns = min(int((known <= 0).sum()), int((known >= 0).sum()))
    return min(1.0, 2 * (1 + turns) / (1 + len(known)))


def _paired(first: Resampled, second: Resampled) -> None:
    if type(first) is not type(second) or first.name != second.name:
        raise InputError("two figures that are not the same", got=f"{first.name} and {second.name}")
    if first.examples != second.examples:
        raise _unpaired(first.examples, second.examples)


def _unpaired(first: int, second: int) -> InputError:
    return InputError(
        "two systems that were not measured on the same examples",
        got=f"{first} and {second} examples",
        expected="predictions for the same file",
    )


def jackknife_interval(values: Float64Array, n: Float64Array) -> tuple[float, float]:
    """Student's interval of the delete-a-block jackknife; blocks may have different sizes. In [-1, 1].

        h_b = n / n_b,   pseudo-value p_b = h_b θ - (h_b - 1) θ_(b),   variance = Σ (p_b - p̄)² / (h_b - 1) / B

    Shapes:  values, n: (1 + B,), all blocks first
    """
    blocks = len(values) - 1
    if blocks < 2 or not np.isfinite(values).all():
        return math.nan, math.nan
    from scipy.stats import t

    h = n[0] / (n[0] - n[1:])
    pseudo = h * values[0] - (h - 1) * values[1:]
    centre = blocks * values[0] - ((1 - 1 / h) * values[1:]).sum()
    variance = float(((pseudo - centre) ** 2 / (h - 1)).sum() / blocks)
    reach = float(t.ppf(0.975, blocks - 1)) * math.sqrt(variance)
    return max(-1.0, float(values[0]) - reach), min(1.0, float(values[0]) + reach)


FIGURES = ("accuracy", "balanced_accuracy", "macro_f1")


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure and its values under draws.

    Args:
        interval: limits to use where all draws are equal: for a share of 0 or 1, Wilson's.
    Shapes:  draws: (R,)
    """

    value: float
    draws: Float64Array
    n: int
    interval: tuple[float, float] | None = None

    def document(self) -> dict[str, Any]:
        """{"value", "low", "high", "n"}: the middle 95 % of the draws."""
        return measured(self.value, self.interval or limits(self.draws), self.n)

    def over(self, other: Drawn) -> dict[str, Any]:
        """The paired difference self - other: {"value", "low", "high", "p", "n"}; see `paired_bootstrap`."""
        difference = self.draws - other.draws
        document = measured(self.value - other.value, limits(difference), self.n)
        return document | {"p": two_sided(difference)}


def mean(figures: Sequence[Drawn]) -> Drawn:
    """The mean of figures of several words, each word with the same weight."""
    if len(figures) == 1:
        return figures[0]
    return Drawn(
        float(np.mean([figure.value for figure in figures])),
        np.mean([figure.draws for figure in figures], axis=0),
        sum(figure.n for figure in figures),
    )


class UseResampler:
    """Bootstrap draws of the labelled uses of one word.

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
        self._times: npt.NDArray[np.uint16] = bootstrap(
            lambda chosen: times_drawn(chosen, self.n).astype(np.uint16), self.n, rounds, seed, stream
        )
        self._gold = self._sums((gold[:, None] == self._kinds).astype(np.float32))

    def _sums(self, counts: Float32Array) -> Float64Array:
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

            accuracy = Σ_s hit_s / N,   balanced = mean_s hit_s / gold_s,   F1_s = 2 hit_s / (predicted_s + gold_s)

        Senses are skewed: if 96 of 100 uses have one sense, always predicting it gives an accuracy of 0.96 and a
        balanced accuracy of 1 / senses. Balanced accuracy gives each sense the same weight, and macro-F1 also counts
        uses that were wrongly given a rare sense. A sense that is not in a draw is left out of the draw's means.

        Shapes:  predicted: (N,)
        """
        is_predicted = (predicted[:, None] == self._kinds).astype(np.float32)
        right = (predicted == self.gold).astype(np.float32)[:, None]
        k, gold = len(self._kinds), self._gold
        sums = self._sums(np.concatenate([is_predicted * right, is_predicted], 1))
        hit, predictions = sums[:, :k], sums[:, k:]
        present, named = gold > 0, (gold + predictions) > 0
        recall = np.divide(hit, gold, out=np.zeros_like(hit), where=present)
        f1 = np.divide(2 * hit, gold + predictions, out=np.zeros_like(hit), where=named)
        values = (hit.sum(1) / self.n, recall.sum(1) / present.sum(1), f1.sum(1) / named.sum(1))
        figures = {
            name: Drawn(float(with_draws[0]), with_draws[1:], self.n)
            for name, with_draws in zip(FIGURES, values, strict=True)
        }
        if (all_or_none := figures["accuracy"]).value in (0.0, 1.0):
            limits_ = wilson(all_or_none.value * self.n, self.n)
            figures["accuracy"] = replace(all_or_none, interval=limits_)
        return figures


RESAMPLES = 1000
_DRAWS = 200_000_000
"""Pairs drawn for one paired test at most; of large files fewer rounds are enough."""


class Paradigms:
    """Figures of paradigms and of means over them, whose intervals come from the same draws.

    Pairs are drawn with replacement within each paradigm: a stratified bootstrap.

    Args:
        groups: the indices of each paradigm's pairs.
        right: for one run or two, how right each pair is: 0, ½ or 1.
        margin, unknown: for each pair, of the first run.
        resamples, seed: of the draws.
    Source:  Davison and Hinkley (1997), section 3.2, for samples of several populations.
    """

    def __init__(
        self,
        groups: Mapping[Any, IntArray],
        right: Sequence[Float64Array],
        margin: Float64Array,
        resamples: int,
        seed: int,
        unknown: Float64Array,
    ) -> None:
        self._seed = seed
        self._right = [[answers[members] for members in groups.values()] for answers in right]
        self._margin = [margin[members] for members in groups.values()]
        self._unknown = [unknown[members] for members in groups.values()]
        columns = [np.stack(pair, 1) for pair in zip(self._right[0], self._margin, strict=True)]
        self._drawn = self._draws(columns, resamples)  # (R, P, 2)
        if len(right) > 1:
            n = len(margin)
            self._rounds = max(resamples, min(ROUNDS * resamples // RESAMPLES, _DRAWS // max(1, n)))
            differences = [(a - b)[:, None] for a, b in zip(*self._right, strict=True)]
            self._differences = self._draws(differences, self._rounds)[..., 0]  # (R, P)

    def _draws(self, columns: Sequence[Float64Array], rounds: int) -> Float64Array:
        """Means of every paradigm's columns in every draw.  Shapes: P of (N, K) -> (rounds, P, K)"""
        means = []
        for number, column in enumerate(columns):
            stream = f"bootstrap of pairs, paradigm {number}"

            def mean_of_pairs(chosen: IntArray, column: Float64Array = column) -> Float64Array:
                return np.asarray(column[chosen].mean(1))

            means.append(bootstrap(mean_of_pairs, len(column), rounds, self._seed, stream))
        return np.stack(means, 1)

    def row(self, members: Sequence[int]) -> dict[str, Any]:
        """The figures of some paradigms; with two runs, also the second run's accuracy and the difference."""
        members = list(members)
        right, margin = [self._right[0][m] for m in members], [self._margin[m] for m in members]
        n = sum(map(len, right))
        drawn = self._drawn[:, members].mean(1)
        document = {
            "paradigms": len(members),
            "pairs": n,
            "accuracy": self._accuracy(0, members, drawn[:, 0]),
            "margin": measured(_mean_of_means(margin), limits(drawn[:, 1]), n),
            "ties": int(sum((margins == 0).sum() for margins in margin)),
            "unknown": int(sum(self._unknown[m].sum() for m in members)),
        }
        if len(self._right) > 1:
            document["against"] = self._accuracy(1, members, None)
            document["difference"] = self._difference(members, n)
        return document

    def _accuracy(self, run: int, members: Sequence[int], drawn: Float64Array | None) -> dict[str, Any]:
        """Wilson's interval of one paradigm, the bootstrap's of a mean over several.

        If all draws are equal, as for paradigms of one pair each, it is Wilson's interval of all pairs together.
        """
        right = [self._right[run][m] for m in members]
        n = sum(map(len, right))
        if len(right) == 1:
            return measured(_mean_of_means(right), wilson(float(right[0].sum()), n), n)
        if drawn is None:  # first minus difference: both come from the same draws
            drawn = self._second(members)
        low, high = limits(drawn)
        return measured(
            _mean_of_means(right), (low, high) if low < high else wilson(_mean_of_means(right) * n, n), n
        )

    def _second(self, members: Sequence[int]) -> Float64Array:
        differences = self._differences[: len(self._drawn), members]
        means: Float64Array = self._drawn[:, members, 0].mean(1) - differences.mean(1)
        return means

    def _difference(self, members: Sequence[int], n: int) -> dict[str, Any]:
        """The first run minus the second."""
        drawn = self._differences[:, members].mean(1)
        low, high = limits(drawn)
        sides = [
            Measure("accuracy", np.concatenate([run[m] / len(run[m]) for m in members])[:, None], sum_of)
            for run in self._right
        ]
        first, second = ([run[m] for m in members] for run in self._right)
        return {
            "value": _mean_of_means(first) - _mean_of_means(second),
            "low": low,
            "high": high,
            "p": two_sided(drawn),
            "p_randomisation": randomisation(sides[0], sides[1], self._rounds, self._seed),
            "n": n,
        }


def _mean_of_means(paradigms: Sequence[Float64Array]) -> float:
    """Mean over paradigms of their means."""
    return float(np.mean([values.mean() for values in paradigms]))


def sum_of(sums: Float64Array) -> Float64Array:
    """The formula of a measure that is a sum already.  Shapes: (..., 1) -> (...)"""
    return sums[..., 0]
