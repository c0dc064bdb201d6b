"""95 % intervals: how far a figure could lie elsewhere by the luck of the sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from polyseme.core.rng import Random
from polyseme.tasks.metrics.intervals import bootstrap_interval, draws, limits, measured, wilson
from polyseme.tasks.metrics.measure import Resampled
from polyseme.tasks.metrics.regression import spearman

__all__ = [
    "bootstrap",
    "bootstrap_interval",
    "draws",
    "limits",
    "measured",
    "seeds_interval",
    "spearman",
    "wilson",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


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
    return limits(values)


def seeds_interval(measures: Sequence[Resampled], rounds: int = 1000) -> tuple[float, float]:
    """The middle 95 % of the mean over seeds, seeds and examples both drawn again.

    Args:
        measures: one a seed, all on the same examples.
    """
    if not measures[0].examples:
        return float("nan"), float("nan")
    random = np.random.default_rng(0)
    values = []
    for chosen in draws(measures[0].examples, rounds, 0):
        each = np.stack([m.values(chosen) for m in measures])  # (S, R)
        drawn = random.integers(len(measures), size=each.shape)
        values.append(np.take_along_axis(each, drawn, 0).mean(0))
    return limits(np.concatenate(values))
