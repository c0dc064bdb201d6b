"""What a verb finds, as one object: a few lines at the prompt, a report in a notebook, a table, JSON, files.

    result = polyseme.senses("runs/mine", "uses.tsv")
    result                      # at the prompt: what it is of, and its table
    print(result)               # what the verb prints
    result.to_pandas()          # the same table
    result.save("senses")       # what the verb writes with -o

A result knows its figures and nothing of how they are drawn: report/results.py shows it, found by its `kind`.
"""

from __future__ import annotations

import importlib
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from polyseme.core.paths import PathLike, path_of
from polyseme.errors import ConfigError

__all__ = ["Result", "frame", "table_lines", "written"]

_WIDTH = 80
_ROWS = 8
_CELL = 24


class Result:
    """Base of what studies find.

    Args:
        kind: the verb, by which report/results.py shows it.
        notes: what a person should know.
    """

    kind: ClassVar[str]
    notes: Sequence[str]

    def document(self) -> Any:
        """All figures, JSON-able: what the verb prints with --json."""
        raise NotImplementedError

    def headline(self) -> str:
        """What was looked at and the main figure, in a few words."""
        raise NotImplementedError

    def rows(self) -> list[dict[str, Any]]:
        """The figures as a table: a row each, with the same columns."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return "\n".join(
            [_cut(f"{type(self).__name__}: {self.headline()}", _WIDTH), *table_lines(self.rows())]
        )

    def __str__(self) -> str:
        return str(_shown().text_of(self))

    def _repr_html_(self) -> str:
        return str(_shown().html_of(self))

    def to_pandas(self) -> Any:
        """The table as a pandas.DataFrame.

        Raises:  ConfigError: pandas is not installed.
        """
        return frame(self.rows())

    def save(self, path: PathLike, lang: str = "en") -> list[Path]:
        """Write what the verb writes with -o PATH.

        Args:
            lang: of the page's own words, en or zh.
        Returns the files. A warning says where fonts are missing for a picture's signs.
        Raises:  StorageError: it cannot be written.  ConfigError: this kind of result has no files of that form.
        """
        written, notes = _shown().write(self, path_of(path), lang)
        for note in notes:
            warnings.warn(note, stacklevel=2)
        return list(written)


def frame(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Rows as a pandas.DataFrame.

    Raises:  ConfigError: pandas is not installed.
    """
    try:
        pandas = importlib.import_module("pandas")
    except ImportError:
        raise ConfigError("pandas is not installed", fix="pip install 'polyseme[pandas]'") from None
    return pandas.DataFrame(rows)


def _shown() -> Any:
    """How results are shown, two floors up: imported when one is shown."""
    return importlib.import_module("polyseme.report.results")


def table_lines(rows: Sequence[Mapping[str, Any]], width: int = _WIDTH, most: int = _ROWS) -> list[str]:
    r"""The first rows of a table, as many columns as fit.

    Example:
        >>> print(*table_lines([{"run": "bert", "value": 0.91234}, {"run": "gpt", "value": None}]), sep="\n")
          run   value
          bert  0.912
          gpt       –
    """
    if not rows:
        return []
    columns: list[list[str]] = []
    left = width
    for name in rows[0]:
        values = [row.get(name) for row in rows[:most]]
        words = any(isinstance(value, str) for value in values)
        cells = [_cut(text, _CELL) for text in (name, *map(written, values))]
        wide = max(map(_wide, cells))
        if wide + 2 > left:
            break
        left -= wide + 2
        pads = [" " * (wide - _wide(cell)) for cell in cells]
        columns.append([c + p if words else p + c for c, p in zip(cells, pads, strict=True)])
    lines = [("  " + "  ".join(cells)).rstrip() for cells in zip(*columns, strict=True)]
    more = len(rows) - most
    return lines if more <= 0 else [*lines, f"  … and {more:,} more"]


def written(value: Any) -> str:
    """A value in a cell of a table."""
    if value is None or value != value:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 1000 else f"{value:,.0f}"
    return (
        f"{value:,}"
        if isinstance(value, int) and not isinstance(value, bool)
        else " ".join(str(value).split())
    )


def _wide(text: str) -> int:
    """Columns of a terminal."""
    return sum(1 + (unicodedata.east_asian_width(character) in "WF") for character in text)


def _cut(text: str, width: int) -> str:
    if _wide(text) <= width:
        return text
    while _wide(text) > width - 1:
        text = text[:-1]
    return text + "…"
