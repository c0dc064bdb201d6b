"""The sampling uncertainty of figures: 95 % intervals of shares and of resampled figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from polyseme.core.arrays import Float64Array, IntArray
from polyseme.core.rng import Random
from polyseme.tasks.metrics.measure import CELLS, Resampled

__all__ = ["bootstrap", "bootstrap_interval", "draws", "limits", "measured", "over_seeds", "wilson"]

_Z = 1.959963984540054


def wilson(correct: float, n: int) -> tuple[float, float]:
    """The Wilson (1927) interval of a share.

        (p + z²/2n ± z √(p(1 - p)/n + z²/4n²)) / (1 + z²/n)

    Args:
        correct: how many of n; a tie may count one half.

    Example:
        >>> [round(limit, 3) for limit in wilson(9, 10)]
        [0.596, 0.982]
    """
    if n == 0:
        return 0.0, 1.0
    p, share = correct / n, _Z**2 / n
    middle = p + share / 2
    reach = math.sqrt(p * (1 - p) * share + share**2 / 4)
    return max(0.0, (middle - reach) / (1 + share)), min(1.0, (middle + reach) / (1 + share))


def bootstrap_interval(measure: Resampled, resamples: int = 1000, seed: int = 0) -> tuple[float, float]:
    """The percentile bootstrap interval (Efron 1979) of a figure.

    NaN where there are no examples; draws for which the figure is undefined are left out.
    """
    if not measure.examples:
        return float("nan"), float("nan")
    return limits(bootstrap(measure.values, measure.examples, resamples, seed))


def bootstrap(
    statistic: Callable[[IntArray], npt.NDArray[Any]],
    n: int,
    rounds: int,
    seed: int = 0,
    stream: str = "bootstrap of examples",
) -> npt.NDArray[Any]:
    """A statistic of n examples drawn with replacement, once a round: the basis of every bootstrap interval.

    Args:
        statistic: a function of the indices of the drawn examples, (R, n) -> (R, …).
        stream: draws are the same, so figures are paired, where n, seed and stream are equal.
    Shapes:  -> (rounds, …)
    """
    return np.concatenate([statistic(chosen) for chosen in draws(n, rounds, seed, stream)])


def draws(n: int, rounds: int, seed: int, stream: str = "bootstrap of examples") -> Iterator[IntArray]:
    """Indices of examples drawn with replacement, n a round, in blocks of rounds that fit in memory.

    Each 64-bit random number gives two draws: floor(32 bits · n / 2³²), the second for every other example.
    Shapes:  yields (R, n), R adding up to rounds
    """
    random = Random(seed, stream)
    pairs = np.arange((n + 1) // 2)
    step = max(1, CELLS // n)
    for start in range(0, rounds, step):
        bits = random.bits(np.arange(start, min(rounds, start + step))[:, None], pairs)
        halves = np.concatenate([bits >> np.uint64(32), bits & np.uint64(0xFFFFFFFF)], axis=1)[:, :n]
        yield ((halves * np.uint64(n)) >> np.uint64(32)).astype(np.int64)


def limits(values: Float64Array) -> tuple[float, float]:
    """The middle 95 % of some values; NaN where none is finite."""
    if not np.isfinite(values).any():
        return float("nan"), float("nan")
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def measured(value: float, interval: tuple[float, float], n: int) -> dict[str, Any]:
    """A figure in the form of every report; undefined values are None."""
    low, high = (limit if math.isfinite(limit) else None for limit in interval)
    return {"value": value if math.isfinite(value) else None, "low": low, "high": high, "n": n}


def over_seeds(values: Sequence[float]) -> dict[str, Any]:
    """The mean of several seeds with Student's interval: {"mean", "deviation", "low", "high", "n"}.

        mean ± t_{0.975, n-1} · deviation / √n

    The deviation is the sample's (divided by n - 1). Values that are undefined for a single seed are None.

    Example:
        >>> {key: round(value, 3) for key, value in over_seeds([0.8, 0.9, 1.0]).items()}
        {'mean': 0.9, 'deviation': 0.1, 'low': 0.652, 'high': 1.148, 'n': 3}

    Source:  Student (1908).
    """
    n = len(values)
    if n < 2:
        mean = float(values[0]) if n else None
        return {"mean": mean, "deviation": None, "low": None, "high": None, "n": n}
    from scipy.stats import t

    mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
    reach = float(t.ppf(0.975, n - 1)) * deviation / math.sqrt(n)
    return {"mean": mean, "deviation": deviation, "low": mean - reach, "high": mean + reach, "n": n}
