"""A chapter of the lecture: a claim, how it is measured, and how what was measured is shown.

    measure(room) -> {"commands": […], "figures": […], …}      JSON-able; kept in a file
    parts(found, say) -> parts of the page                      from what was kept alone

A figure says for itself whether the claim holds: it has an interval, what it is held against, and `holds`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from polyseme.core.registry import Registry
from polyseme.report.language import Speaker
from polyseme.report.parts import Part
from polyseme.tasks.metrics.intervals import bootstrap, limits, measured, wilson

if TYPE_CHECKING:
    from polyseme.lecture.room import Room

__all__ = [
    "Chapter",
    "Found",
    "chapters",
    "figure",
    "in_order",
    "mean_of",
    "more_often",
    "share_of",
    "verdict",
]

Found = Mapping[str, Any]
"""What a chapter measured, as it is kept."""

_ROUNDS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """A chapter; page.py says its English words in the page's language, by report/zh.toml.

    Args:
        order: its place in the lecture; ours are tens.
        runs: models that it asks the room for: what is kept holds as long as their runs are the same.
        title: of a few words.
        claim: what the lecture says.
        holds, fails: one sentence each, of which the page says the one that the figures say.
        takes: what size it takes where it does not hold.
        measure: measures the claim; calls what verbs call.
        parts: picture and tables of what was measured.
    """

    order: int
    runs: tuple[str, ...] = ()
    title: str
    claim: str
    holds: str
    fails: str
    takes: str
    measure: Callable[[Room], dict[str, Any]]
    parts: Callable[[Found, Speaker], list[Part]]


chapters = Registry("lecture", Chapter)


def in_order() -> dict[str, Chapter]:
    """All chapters by name, in the order of the lecture."""
    loaded = {name: chapters.load(name) for name in chapters.names()}
    return dict(sorted(loaded.items(), key=lambda item: (item[1].order, item[0])))


def figure(
    name: str,
    measured: Mapping[str, Any],
    *,
    of: str = "",
    against: float | None = None,
    holds: bool | None = None,
    percent: bool = False,
) -> dict[str, Any]:
    """A figure of a chapter.

    Args:
        name: what it is, in English.
        measured: {"value", "low", "high", "n"}.
        of: which run, task or word; never translated.
        against: what it is held against: the claim holds where its whole interval is above.
        holds: said outright; None with nothing to hold it against: the figure is only told.
        percent: whether it is a share.
    """
    if holds is None and against is not None and measured["low"] is not None:
        holds = bool(measured["low"] > against)
    return {
        "name": name,
        "of": of,
        **{key: measured[key] for key in ("value", "low", "high", "n")},
        "against": against,
        "holds": holds,
        "percent": percent,
    }


def share_of(right: Sequence[bool] | Sequence[int]) -> dict[str, Any]:
    """The share of what is true, with Wilson's interval."""
    n = len(right)
    if not n:
        return measured(float("nan"), (float("nan"), float("nan")), 0)
    return measured(sum(map(bool, right)) / n, wilson(sum(map(bool, right)), n), n)


def more_often(first: Sequence[bool], second: Sequence[bool]) -> dict[str, Any]:
    """How much larger the share of what is true is in the first, with Newcombe's interval of two Wilson intervals.

    Source:  Newcombe (1998), Interval estimation for the difference between independent proportions, method 10.
    """
    one, two = share_of(first), share_of(second)
    if not one["n"] or not two["n"]:
        return measured(float("nan"), (float("nan"), float("nan")), 0)
    value = one["value"] - two["value"]
    low = value - math.hypot(one["value"] - one["low"], two["high"] - two["value"])
    high = value + math.hypot(one["high"] - one["value"], two["value"] - two["low"])
    return measured(value, (low, high), one["n"] + two["n"])


def mean_of(values: Sequence[float], seed: int = 0) -> dict[str, Any]:
    """A mean, with the bootstrap interval over its values."""
    numbers = np.asarray(values, np.float64)
    if len(numbers) < 2:
        return measured(
            float(numbers.mean()) if len(numbers) else float("nan"), (float("nan"),) * 2, len(numbers)
        )
    drawn = bootstrap(lambda chosen: numbers[chosen].mean(-1), len(numbers), _ROUNDS, seed)
    return measured(float(numbers.mean()), limits(drawn), len(numbers))


def verdict(found: Found) -> bool | None:
    """Whether the claim holds by every figure that says so; None where none does."""
    said = [one["holds"] for one in found["figures"] if one["holds"] is not None]
    return all(said) if said else None
