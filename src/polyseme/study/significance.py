"""Is one system better than another, or was it luck? Paired tests on one file, and spreads over seeds.

paired bootstrap   draw examples with replacement, take both systems' figures of the same draw, look at the
                   differences: an interval, and how often the sign turns
randomisation      if the systems were alike, swapping their answers to an example would change nothing: swap each
                   with probability 1/2 and count how often the difference is as large as the one seen
McNemar            for accuracy, the exact test of the examples that only one of the two gets right
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from polyseme.core.rng import Random
from polyseme.errors import InputError
from polyseme.study.intervals import FloatArray, draws, limits
from polyseme.tasks.metrics.intervals import over_seeds
from polyseme.tasks.metrics.measure import CELLS, Resampled

__all__ = [
    "compare",
    "holm",
    "mcnemar",
    "over_seeds",
    "paired_bootstrap",
    "randomisation",
    "seeds_difference",
    "two_sided",
]

ROUNDS = 10_000


def compare(first: Resampled, second: Resampled, rounds: int = ROUNDS, seed: int = 0) -> dict[str, Any]:
    """The difference first - second on the same examples: {"value", "low", "high", "p", "p_randomisation", "n"}.

    Raises:  InputError: the two do not measure the same examples.
    """
    found = paired_bootstrap(first, second, rounds, seed)
    return found | {"p_randomisation": randomisation(first, second, rounds, seed), "n": found["n"]}


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
    differences = np.concatenate(
        [first.values(block) - second.values(block) for block in draws(first.examples, rounds, seed)]
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
    seen = abs(first.value - second.value)
    if not n or math.isnan(seen):
        return 1.0
    seen -= 1e-12 * max(1.0, seen)  # sums in another order round differently
    random, words = Random(seed, "randomisation"), (n + 63) // 64
    step = max(1, 64 * CELLS // n)  # a byte an example; `mixed` cuts them further
    as_large = 0
    for start in range(0, rounds, step):
        bits = random.bits(np.arange(start, min(rounds, start + step))[:, None], np.arange(words))
        swapped = np.unpackbits(bits.astype("<u8").view(np.uint8), axis=1, count=n).view(np.bool_)
        differences = first.mixed(second, swapped) - second.mixed(first, swapped)
        as_large += int((~(np.abs(differences) < seen)).sum())  # also where a figure cannot be said
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
    """p-values of several tests, made larger so that all of them together err as seldom as one alone would.

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
    """The difference of two systems' means over seeds, luck of seeds and of examples both drawn again.

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
    random = Random(seed, "bootstrap of seeds")
    parts: list[FloatArray] = []
    done = 0
    for chosen in draws(n, rounds, seed):
        numbers = np.arange(done, done + len(chosen))
        done += len(chosen)
        means = []
        for side, runs in enumerate((first, second)):
            values = np.stack([run.values(chosen) for run in runs], 1)  # (R, seeds)
            which = random.integers(len(runs), side, numbers[:, None], np.arange(len(runs)))
            means.append(np.take_along_axis(values, which, 1).mean(1))
        parts.append(means[0] - means[1])
    differences = np.concatenate(parts)
    low, high = limits(differences)
    return {"value": value, "low": low, "high": high, "p": two_sided(differences)} | result


def _mean(runs: Sequence[Resampled]) -> float:
    return float(np.mean([run.value for run in runs]))


def two_sided(differences: FloatArray) -> float:
    """How often draws of a difference fall on the other side of zero, twice and smoothed: see `paired_bootstrap`."""
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
