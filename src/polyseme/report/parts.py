"""What a report is made of: parts that are made once and shown as an HTML page, as text in a terminal, as Markdown.

    document (JSON) ─► STUDY_parts(document, say) ─► Page ─┬─► page.html()      report/page.py
                                                           ├─► page.text()      report/terminal.py
                                                           └─► markdown(parts)  report/markdown.py

A report is a flat list of parts. A string is a paragraph; a heading begins what stands below it. To write a report, for
example that of CKA (report/cka.py):

1.  `STUDY_parts(document, say, prefix="") -> list[Part]` makes the parts from the document alone, every word of
    the page's own through `say`. There is no second function for the terminal.
2.  `STUDY_page(document, lang) -> Page` puts title and lead above them; report/results.py names it, and thereby verbs
    print and write it, and results show it.
3.  What a terminal cannot show stands in an `Either`: a chart with the table of its figures in its place, a long
    explanation with nothing. Charts and views alone print nothing.
4.  Tables need no care for the width: in a terminal they break headings and intervals, wrap words, and at last are
    folded into blocks that repeat the first columns (`keys`), so that nothing passes 80 columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from polyseme.report.charts import Chart

__all__ = [
    "Commands",
    "Either",
    "Figure",
    "Heading",
    "Notes",
    "Part",
    "Strip",
    "Table",
    "View",
    "figures_of",
    "shown",
]


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading.

    Args:
        text: of one line.
        level: 2 begins a section of the page, 3 a part of a section.
    """

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts.

    Args:
        head: names of the columns; where all are empty no heads are shown.
        rows: cells as they are shown; equally many as `head`. Lines after a cell's first are set small.
        caption: stands below it.
        left: numbers of the columns of words; the others are figures and set to the right.
        strong: (row, column) of cells that stand out: bold in a page, with "•" before them in a terminal. The caption
            says what it means as "bold (•): …".
        hints: (row, column) -> what is shown when the pointer rests there.
        keys: how many of the first columns say what a row is about; they stay in sight where a table scrolls or folds.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    left: Sequence[int] = (0,)
    strong: frozenset[tuple[int, int]] = frozenset()
    hints: Mapping[tuple[int, int], str] = field(default_factory=dict)
    keys: int = 1


@dataclass(frozen=True, slots=True)
class Strip:
    """A text cut into pieces, each with a figure below it; a page shades it by that figure.

    Args:
        pieces: (piece of the text, what stands below it, its shade from 0 to 1).
        caption: stands below it.
    """

    pieces: Sequence[tuple[str, str, float]]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart; a terminal shows nothing of it.

    Args:
        name: of its files, without an ending; one of a kind in its page.
        chart: of report/charts.py.
        caption: stands below it.
        describes: what a person who cannot see it is told.
    """

    name: str
    chart: Chart
    caption: str = ""
    describes: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """HTML that is put in as it stands, such as a picture to play with; a terminal shows nothing of it.

    Args:
        html: what comes from users must have been escaped.
        pictures: charts that stand for it where no script runs; they are written as files beside the page.
    """

    html: str
    pictures: Sequence[Figure] = ()


@dataclass(frozen=True, slots=True)
class Commands:
    """Lines to paste into a shell."""

    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class Notes:
    """Short remarks in small print.

    Args:
        lines: remarks, or pairs of what a remark is about, set in bold, and the remark.
    """

    lines: Sequence[str | tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Either:
    """One thing in two forms.

    Args:
        page: parts that the page shows.
        terminal: parts that a terminal shows in their place.
    """

    page: Sequence[Part] = ()
    terminal: Sequence[Part] = ()


Part = str | Heading | Table | Strip | Figure | View | Commands | Notes | Either
"""A string is a paragraph; an empty one is left out."""


def shown(parts: Sequence[Part], page: bool) -> Iterator[Part]:
    """The parts that a page shows, or a terminal, with none of `Either` among them."""
    for part in parts:
        if isinstance(part, Either):
            yield from shown(part.page if page else part.terminal, page)
        else:
            yield part


def figures_of(parts: Sequence[Part]) -> Iterator[Figure]:
    """All charts of a page, in order, those that stand for views among them."""
    for part in shown(parts, page=True):
        if isinstance(part, Figure):
            yield part
        elif isinstance(part, View):
            yield from part.pictures
