"""Random numbers that are pure functions of (seed, counters).

Order, masks, negatives and dropout seeds are looked up, not drawn: the value for example 7,000,000 needs no
walk through the first 6,999,999. That makes resuming a seek, and the number of loader workers irrelevant.
The mixing function is the finaliser of SplitMix64 (Steele, Lea and Flood 2014), applied once per counter.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from polyseme.core.arrays import Float64Array, IntArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)

Uint64Array = npt.NDArray[np.uint64]


def _mix(state: Any) -> Any:
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))


class Random:
    """One stream of random numbers, addressed by integer counters.

    Args:
        seed: the run's seed, 0 … 2⁶⁴ - 1.
        stream: what the numbers are for ("mask", "order" …); streams are independent.

    Example:
        >>> rng = Random(1, "mask")
        >>> bool((rng.uniform(5, np.arange(3)) == rng.uniform(5, np.arange(4))[:3]).all())
        True
    """

    def __init__(self, seed: int, stream: str) -> None:
        self.seed, self.stream = seed, stream
        tag = np.uint64(zlib.crc32(stream.encode()))
        with np.errstate(over="ignore"):
            self._key = _mix(_mix(np.uint64(seed % 2**64) + _GOLDEN) + (tag + np.uint64(1)) * _GOLDEN)

    def bits(self, *counters: int | npt.NDArray[np.integer]) -> Uint64Array:
        """64 random bits for every (broadcast) tuple of counters."""
        state = np.asarray(self._key)
        with np.errstate(over="ignore"):
            for counter in counters:
                value = np.asarray(counter).astype(np.int64).view(np.uint64)
                state = _mix(state + (value + np.uint64(1)) * _GOLDEN)
        return np.asarray(state)

    def uniform(self, *counters: int | npt.NDArray[np.integer]) -> Float64Array:
        """Uniform numbers in [0, 1) for every (broadcast) tuple of counters."""
        return (self.bits(*counters) >> np.uint64(11)).astype(np.float64) * (1.0 / (1 << 53))

    def integers(self, high: int, *counters: int | npt.NDArray[np.integer]) -> IntArray:
        """Whole numbers in [0, high) for every (broadcast) tuple of counters."""
        return np.minimum((self.uniform(*counters) * high).astype(np.int64), high - 1)

    def permutation(self, n: int, *counters: int) -> IntArray:
        """A permutation of 0 … n-1."""
        return np.argsort(self.bits(*counters, np.arange(n)), kind="stable")
