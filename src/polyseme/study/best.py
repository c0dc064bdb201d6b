"""Which figure may be called the best: one rule for every table, chart and page.

A figure stands out where there are others to beat, it is above what no knowledge gives, and every other one is surely
below it. The only value, a value at or below chance, and one of several that may be alike by luck are not set in bold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["LOWER_IS_BETTER", "above", "highest_apart", "stands_out"]

LOWER_IS_BETTER = ("loss", "mean_squared_error", "mean_absolute_error")


def above(value: float | None, chance: float | None, metric: str = "") -> bool:
    """Whether a figure is better than what no knowledge gives, where that is known.

    Example:
        >>> above(0.6, 0.5), above(0.5, 0.5), above(0.6, None), above(0.6, 0.5, "mean_squared_error")
        (True, False, True, False)
    """
    sign = -1 if metric in LOWER_IS_BETTER else 1
    return value is not None and (chance is None or sign * (value - chance) > 0)


def stands_out(value: float | None, below: Sequence[bool], chance: float | None, metric: str = "") -> bool:
    """Whether a figure may be called the best.

    Args:
        value: the highest one.
        below: of each other one, whether it is surely below.
        chance: what no knowledge gives; None = not known.
        metric: what it is called; of some lower is better.

    Example:
        >>> stands_out(0.9, [True, True], 0.5), stands_out(0.9, [], 0.5), stands_out(0.4, [True], 0.5)
        (True, False, False)
    """
    return bool(below) and all(below) and above(value, chance, metric)


def highest_apart(figures: Sequence[Mapping[str, Any] | None], chance: float | None) -> int | None:
    """Which of some figures stands out, where nothing but their intervals is known; None: none does.

    Args:
        figures: {"value", "low", "high"} each; None where there is none.

    Example:
        >>> two = [{"value": 0.9, "low": 0.8, "high": 1.0}, {"value": 0.6, "low": 0.5, "high": 0.7}]
        >>> highest_apart(two, 0.5), highest_apart(two[:1], 0.5), highest_apart(two, 0.95)
        (0, None, None)
    """
    known = [i for i, one in enumerate(figures) if one is not None and one["value"] is not None]
    if not known:
        return None
    values = {i: figures[i] for i in known}
    best = max(known, key=lambda i: values[i]["value"])  # type: ignore[index]
    low = values[best]["low"]  # type: ignore[index]
    below = [
        low is not None and (high := values[i]["high"]) is not None and high < low  # type: ignore[index]
        for i in known
        if i != best
    ]
    return best if stands_out(values[best]["value"], below, chance) else None  # type: ignore[index]
