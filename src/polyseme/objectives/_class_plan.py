"""The plan of a clustering: what is to be done, in pieces of about a third of a second, from the words' frequencies
alone.

count ─► insert ─► exchange × passes ─► compare ─► tree

count     bigrams of the training text                       tokens start … end-1
insert    a word becomes a class; past the first C, a merge  words
rest      a word joins the best class, without a merge       words (in a plan cut short)
exchange  a word may move to a better class                  words
compare   D of all pairs, written out                        slots (after rest and exchange, which do not keep it)
tree      the best merge                                     merges
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
Kind = Literal["count", "insert", "rest", "exchange", "compare", "tree"]

SPAN = 1 << 21
"""Tokens counted in a step."""

WORK = 3e8
"""Nanoseconds of a step, by estimates below that were measured on one AVX2 core."""


class Task(NamedTuple):
    """One step: a piece of a phase."""

    kind: Kind
    start: int
    end: int


def full_plan(n_tokens: int, frequencies: IntArray, n_classes: int, passes: int) -> list[Task]:
    """Everything, when there are no classes yet.

    Args:
        frequencies: of the words, in falling order.
        n_classes: C, at most the number of words.
        passes: of exchange.
    """
    work = _insert_work(frequencies, n_classes)
    return [
        *_counting(n_tokens),
        *_pieces("insert", 0, work),
        *_exchanging(frequencies, n_classes, passes),
        *(_comparing(n_classes) if passes else []),
        *_merging_down(n_classes),
    ]


def plan_from_classes(n_tokens: int, frequencies: IntArray, n_classes: int, passes: int) -> list[Task]:
    """Everything, when there are classes to start from: exchange at least once, and a new tree."""
    return [
        *_counting(n_tokens),
        *_exchanging(frequencies, n_classes, max(1, passes)),
        *_comparing(n_classes),
        *_merging_down(n_classes),
    ]


def finishing(tasks: Sequence[Task], done: int, frequencies: IntArray, n_classes: int) -> list[Task]:
    """The shortest way to a class and a path for every word when `done` tasks of a plan are done."""
    before, after = tasks[:done], list(tasks[done:])
    if not any(task.kind in ("count", "insert", "rest", "exchange") for task in after):
        return after
    inserts = any(task.kind == "insert" for task in tasks)
    position = max(
        (t.end for t in before if t.kind in ("insert", "rest")), default=0 if inserts else len(frequencies)
    )
    rest = _rest_work(frequencies, n_classes)
    found: list[Task] = []
    if position < n_classes:
        found += _pieces("insert", position, _insert_work(frequencies, n_classes)[position:n_classes])
        position = n_classes
    found += _pieces("rest", position, rest[position:])
    stale = not inserts or any(t.kind in ("rest", "exchange") for t in [*before, *found])
    return [*found, *(_comparing(n_classes) if stale else []), *_merging_down(n_classes)]


def _counting(n_tokens: int) -> list[Task]:
    return [Task("count", start, min(start + SPAN, n_tokens)) for start in range(0, max(1, n_tokens), SPAN)]


def _exchanging(frequencies: IntArray, n_classes: int, passes: int) -> list[Task]:
    return _pieces("exchange", 0, _rest_work(frequencies, n_classes)) * passes


def _comparing(n_classes: int) -> list[Task]:
    return _pieces("compare", 0, 10.0 * n_classes * np.arange(n_classes + 1))


def _merging_down(n_classes: int) -> list[Task]:
    return _pieces("tree", 0, np.full(n_classes - 1, 10.0 * n_classes**2))


def _insert_work(frequencies: IntArray, n_classes: int) -> npt.NDArray[Any]:
    """A frequent word has all classes for neighbours; for every word the best pair is sought."""
    work: npt.NDArray[Any] = (
        np.minimum(30.0 * n_classes * frequencies, 5.0 * n_classes**2) + 1.5 * n_classes**2 + 10_000
    )
    return work


def _rest_work(frequencies: IntArray, n_classes: int) -> npt.NDArray[Any]:
    work: npt.NDArray[Any] = (
        np.minimum(6.0 * n_classes * frequencies, n_classes**2) + 50.0 * n_classes + 4.0 * frequencies
    )
    return work


def _pieces(kind: Kind, first: int, work: npt.NDArray[Any]) -> list[Task]:
    """Consecutive pieces of about equal work."""
    if not len(work):
        return []
    piece = (np.cumsum(work) // WORK).astype(np.int64)
    begins = first + np.flatnonzero(np.diff(piece, prepend=-1))
    ends = np.append(begins[1:], first + len(work))
    return [Task(kind, int(begin), int(end)) for begin, end in zip(begins, ends, strict=True)]
