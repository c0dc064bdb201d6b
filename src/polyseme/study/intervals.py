"""95 % intervals: how far a figure could lie elsewhere by the luck of the sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from polyseme.core.rng import Random

FloatArray = npt.NDArray[np.float64]
_Z = 1.959963984540054


def wilson(correct: int, n: int) -> tuple[float, float]:
    """The Wilson (1927) interval of a share.

        (p + z²/2n ± z √(p(1 - p)/n + z²/4n²)) / (1 + z²/n)

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


def bootstrap(
    statistic: Callable[[FloatArray, FloatArray], FloatArray],
    x: FloatArray,
    y: FloatArray,
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
    values = statistic(x[chosen], y[chosen])
    low, high = np.nanpercentile(values, [2.5, 97.5]) if np.isfinite(values).any() else (np.nan, np.nan)
    return float(low), float(high)


def spearman(x: FloatArray, y: FloatArray) -> FloatArray:
    """Spearman's rank correlation of every row, ties sharing their mean rank; NaN for constant rows.

    Shapes:  x, y: (R, N) -> (R,)
    """
    from scipy.stats import rankdata

    a, b = (rankdata(values, axis=1) for values in (x, y))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        result: FloatArray = (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))
    return result


def measured(value: float, interval: tuple[float, float], n: int) -> dict[str, Any]:
    """A figure as every report writes it; what cannot be said is None."""
    low, high = (limit if math.isfinite(limit) else None for limit in interval)
    return {"value": value if math.isfinite(value) else None, "low": low, "high": high, "n": n}
