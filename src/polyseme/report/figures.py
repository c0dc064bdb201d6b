"""How numbers are written for people: short, with a unit, the same everywhere."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

_BLOCKS = "▁▂▃▄▅▆▇█"
_COUNTS = ((1e6, "M"), (1e9, "G"), (1e12, "T"))
_SIZES = ((1e3, "kB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB"))
_ASCII_BLOCKS = "_.-=+*#@"


def duration(seconds: float) -> str:
    """Write a time span with its two largest units.

    Args:
        seconds: zero or more.

    Example:
        >>> duration(4.26), duration(192), duration(5400)
        ('4.3 s', '3 min 12 s', '1 h 30 min')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def clock(seconds: float) -> str:
    """Write a time span as m:ss or h:mm:ss, of steady width for displays that tick.

    Example:
        >>> clock(192), clock(5405)
        ('3:12', '1:30:05')
    """
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def measure(value: float | None, sign: str = "") -> str:
    """Write a figure such as accuracy with four decimals; a dash where it is not known.

    Args:
        sign: "+" writes the sign of positive ones, too.

    Example:
        >>> measure(0.5), measure(0.25, "+"), measure(None)
        ('0.5000', '+0.2500', '—')
    """
    return "—" if value is None else f"{value:{sign}.4f}"


def count(number: float) -> str:
    """Write a count: in full up to a million, then in millions, billions.

    Example:
        >>> count(12345), count(1_500_000), count(2.5e9)
        ('12,345', '1.50 M', '2.50 G')
    """
    if abs(number) < 999_999.5:
        return f"{number:,.0f}"
    scale, unit = next(pair for pair in _COUNTS if abs(number) / pair[0] < 999.5 or pair is _COUNTS[-1])
    value = number / scale
    return f"{value:.2f} {unit}" if abs(value) < 99.95 else f"{value:.0f} {unit}"


def size(n_bytes: float) -> str:
    """Write a number of bytes in decimal units.

    Example:
        >>> size(512), size(2_300_000)
        ('512 B', '2.3 MB')
    """
    if n_bytes < 1000:
        return f"{n_bytes:.0f} B"
    scale, unit = next(pair for pair in _SIZES if n_bytes / pair[0] < 999.5 or pair is _SIZES[-1])
    value = n_bytes / scale
    return f"{value:.1f} {unit}" if value < 99.95 else f"{value:.0f} {unit}"


def sparkline(values: Sequence[float], width: int, *, ascii_only: bool = False) -> str:
    """Draw numbers as a line of small bars, means of equal shares where there are more numbers than columns.

    Args:
        values: in order; those that are not finite are left out.
        width: columns at most.
        ascii_only: draw without the block characters.

    Example:
        >>> sparkline([3, 2, 1], 10)
        '█▅▁'
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite or width < 1:
        return ""
    columns = min(width, len(finite))
    edges = [round(i * len(finite) / columns) for i in range(columns + 1)]
    means = [sum(finite[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(means), max(means)
    blocks = _ASCII_BLOCKS if ascii_only else _BLOCKS
    if high == low:
        return blocks[0] * columns
    return "".join(blocks[round((mean - low) / (high - low) * (len(blocks) - 1))] for mean in means)


def width(text: str) -> int:
    """Columns of a terminal: Chinese characters take two.

    Example:
        >>> width("ab"), width("中文")
        (2, 4)
    """
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )
