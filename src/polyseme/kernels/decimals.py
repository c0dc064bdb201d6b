"""Written numbers to float32, as exactly as Python's float and many times as fast.

A decimal of at most 18 digits is m · 10^e with a whole m. Where m < 2^53 and |e| ≤ 22 both are exact doubles, so that
one multiplication or division rounds correctly (Clinger 1990, section 3). The rest, a handful in a million, is left to
Python. The plain form: formats/word_vectors.py.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from polyseme.core.arrays import Float32Array, Float64Array, IntArray
from polyseme.core.compiled import compiled

SMALL = 1 << 16
"""Bytes up to which compiling, or only loading what was compiled, takes longer than it saves."""
_EXACT = 22
_LARGEST = 1 << 53


def serves(text: bytes, count: int) -> bool:
    """Whether the text is long enough."""
    return len(text) > SMALL


def parse_decimals(text: bytes, count: int) -> Float32Array | None:
    """As formats/word_vectors.py's.  Shapes:  -> (count,)"""
    data = np.frombuffer(text, np.uint8)
    numbers, hard = np.empty(count, np.float32), np.empty((count, 3), np.int64)
    if (n_hard := int(_kernel()(data, numbers, hard, _POWERS))) < 0:
        return None
    with np.errstate(over="ignore"):
        for i, start, end in hard[:n_hard].tolist():
            numbers[i] = np.float64(float(text[start:end]))
    return numbers


_POWERS = np.array([float(f"1e{i}") for i in range(_EXACT + 1)])


@functools.cache
def _kernel() -> Callable[..., Any]:
    kernel: Callable[..., Any] = compiled(nogil=True, boundscheck=False)(_parse)
    return kernel


def _parse(
    data: npt.NDArray[np.uint8],
    numbers: Float32Array,
    hard: IntArray,
    powers: Float64Array,
) -> int:
    """Fill `numbers`; returns how many are left to Python, (index, start, end) in `hard`, or -1 for bad text."""
    at, end, n_hard = 0, len(data), 0
    for i in range(len(numbers)):
        if i:
            if at >= end or data[at] != 32:  # a space
                return -1
            at += 1
        start, negative = at, False
        if at < end and (data[at] == 45 or data[at] == 43):  # - +
            negative = data[at] == 45
            at += 1
        mantissa, digits, used, exponent, point = np.uint64(0), 0, 0, 0, False
        while at < end:
            code = data[at]
            if 48 <= code <= 57:
                digits += 1
                if used or code != 48:
                    used += 1
                if used <= 18:
                    mantissa = mantissa * np.uint64(10) + np.uint64(code - 48)
                exponent -= point
            elif code == 46 and not point:
                point = True
            else:
                break
            at += 1
        if not digits:
            return -1
        if at < end and (data[at] == 101 or data[at] == 69):  # e E
            at += 1
            down = False
            if at < end and (data[at] == 45 or data[at] == 43):
                down = data[at] == 45
                at += 1
            power, figures = 0, 0
            while at < end and 48 <= data[at] <= 57:
                power = min(power * 10 + (data[at] - 48), 100_000)
                figures += 1
                at += 1
            if not figures:
                return -1
            exponent += -power if down else power
        if used > 18 or mantissa >= _LARGEST or exponent < -_EXACT or exponent > _EXACT:
            hard[n_hard, 0], hard[n_hard, 1], hard[n_hard, 2] = i, start, at
            n_hard += 1
        else:
            value = np.float64(mantissa)
            value = value / powers[-exponent] if exponent < 0 else value * powers[exponent]
            numbers[i] = -value if negative else value
    return n_hard if at == end else -1
