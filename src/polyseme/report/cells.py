"""How a comparison's page writes a figure: percent, interval, marks; and what stands where there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from polyseme.report.language import Speaker
from polyseme.report.parts import Notes, Table

__all__ = ["MISSING", "Cells", "figure", "interval", "number", "percent_like", "reason", "written_p"]

MISSING = "–"
"""Stands where there is no figure; why is said in its hint and in a note."""

MARK = "*"
"""Of figures that are surely below the best of their column."""

_RAW = ("loss", "mean_squared_error", "mean_absolute_error")


def percent_like(metric: str) -> bool:
    """Whether a figure is written as a hundredfold: shares and correlations are, errors of values are not."""
    return metric not in _RAW


def number(value: float | None, metric: str = "", sign: str = "") -> str:
    """A value as it is shown.

    Example:
        >>> number(0.7631, "accuracy"), number(0.52, "mean_squared_error"), number(None)
        ('76.3', '0.520', '–')
    """
    if value is None:
        return MISSING
    return f"{100 * value:{sign}.1f}" if percent_like(metric) else f"{value:{sign}.3f}"


def interval(row: Mapping[str, Any], metric: str = "", sign: str = "") -> str:
    """The interval of a figure; "" where there is none."""
    if row.get("low") is None or row.get("high") is None:
        return ""
    between = " … " if sign else "–"
    return f"{number(row['low'], metric, sign)}{between}{number(row['high'], metric, sign)}"


def figure(row: Mapping[str, Any], metric: str = "") -> str:
    """Value, mark and interval in two lines."""
    mark = f" {MARK}" if row.get("below") else ""
    return f"{number(row['value'], metric)}{mark}\n{interval(row, metric)}".rstrip()


def written_p(p: float) -> str:
    """A p-value as it is shown.

    Example:
        >>> written_p(0.0004), written_p(0.25)
        ('< 0.001', '0.250')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def reason(why: Mapping[str, str], say: Speaker) -> str:
    """Why a figure is not there, in the page's words."""
    return say(_REASONS[why["code"]], detail=why["detail"])


_REASONS = {
    "language": "trained on text of another language ({detail})",
    "nothing to train": "nothing in this model can be trained by gradients",
    "no probability": "this model gives texts no probability",
    "not done": "not done yet: the same command goes on",
}


@dataclass
class Cells:
    """A table that is put together cell by cell, and the reasons of what is missing.

    Args:
        head: names of the columns.
        left: numbers of the columns of words.
    """

    head: Sequence[str]
    left: Sequence[int] = (0,)
    rows: list[list[str]] = field(default_factory=list)
    strong: set[tuple[int, int]] = field(default_factory=set)
    hints: dict[tuple[int, int], str] = field(default_factory=dict)
    missing: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def row(self, name: str) -> None:
        """Begin a row."""
        self.rows.append([name])

    def add(self, text: str, strong: bool = False, hint: str = "") -> None:
        """Put a cell at the end of the row."""
        place = len(self.rows) - 1, len(self.rows[-1])
        self.rows[-1].append(text)
        if strong:
            self.strong.add(place)
        if hint:
            self.hints[place] = hint

    def known(self, value: float | None, written: Callable[[float], str], why: str) -> None:
        """Put a value, or the sign for a missing one."""
        if value is None:
            self.lack(why)
        else:
            self.add(written(value))

    def lack(self, why: str, what: str | None = None) -> None:
        """Put the sign for a missing figure, with its reason.

        Args:
            what: what is missing; None = the column's name.
        """
        column = len(self.rows[-1])
        self.add(MISSING, hint=why)
        named = self.head[column].partition("\n")[0] if what is None else what
        columns = self.missing.setdefault((self.rows[-1][0], why), [])
        if named not in columns:
            columns.append(named)

    def table(self, caption: str = "") -> Table:
        """The table."""
        return Table(
            list(self.head), self.rows, caption, tuple(self.left), frozenset(self.strong), dict(self.hints)
        )

    def notes(self, say: Speaker) -> list[Notes]:
        """Why figures are missing, a line a reason and what it is about; nothing where none is."""
        if not self.missing:
            return []
        runs: dict[tuple[str, str], list[str]] = {}
        for (run, why), columns in self.missing.items():
            runs.setdefault((", ".join(columns), why), []).append(run)
        lines = [
            (", ".join(names), say("{what}: {why}", what=what, why=why))
            for (what, why), names in runs.items()
        ]
        return [Notes(lines)]
