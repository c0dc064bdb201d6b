"""Parts of a report as text that fits a terminal.

A table that is too wide gives way step by step: its heads break at spaces, then figures break before their interval,
then columns of words are wrapped, and at last it is folded into blocks that repeat its first columns.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence

from polyseme.core.shell import harmless
from polyseme.report.figures import width
from polyseme.report.parts import Commands, Heading, Notes, Part, Strip, Table, shown
from polyseme.text.words import IDEOGRAPHS

__all__ = ["NARROWEST", "fitting", "text", "wrap"]

NARROWEST = 40
"""Columns below which no terminal is believed to be."""

_PROSE = 100
"""Columns of a line of prose at most, however wide the terminal: longer lines are hard to read."""

_WORDS = 0.3
"""Share of the terminal to which a column of words may be wrapped before a table is folded."""

_FEWEST = 6
"""Columns that a column of words keeps, however narrow the terminal."""

_GAP = 2
"""Columns between columns."""

_CJK = f"\u2e80-\u33ff{IDEOGRAPHS}\uf900-\ufaff\uff00-\uffef"
_INTERVAL = re.compile(r"\D{0,3}[\d.,]+ ?%? \([^()]*[…–][^()]*\)")
_PIECE = re.compile(rf"(\s*)([{_CJK}][，。、；：！？）》」』”’…—]*|[^\s{_CJK}]+)")
"""Space and what follows it in one piece: a Chinese character with the marks that no line begins with, or a word."""


def text(parts: Sequence[Part], columns: int | None = None) -> str:
    """Parts as text.

    Args:
        columns: of the terminal; None = those that it has, 80 where there is none.
    """
    limit = max(NARROWEST, columns or shutil.get_terminal_size((80, 24)).columns)
    blocks: list[str] = []
    bare = {2, 3}  # levels of headings below which nothing would stand: only the page has it
    for part in reversed([*shown(parts, page=False)]):
        if isinstance(part, Heading):
            written = [] if part.level in bare else list(_lines(part, limit))
            bare |= {level for level in (2, 3) if level >= part.level}
        else:
            written = [lines for lines in _lines(part, limit) if lines]
            bare = set() if written else bare
        blocks += ("\n".join(lines) for lines in reversed(written))
    return "\n\n".join(reversed(blocks))


def _lines(part: Part, limit: int) -> Iterator[list[str]]:
    if isinstance(part, str):
        part = harmless(part)
        yield wrap(part, min(limit, _PROSE)) if part else []
    elif isinstance(part, Heading):
        line = "─" if part.level == 2 else "┄"
        yield [*wrap(harmless(part.text), limit), line * min(width(part.text), limit)]
    elif isinstance(part, Table):
        caption = wrap(harmless(part.caption), min(limit, _PROSE)) if part.caption else []
        *blocks, last = _table(part, limit)
        yield from blocks
        yield [*last, *caption]
    elif isinstance(part, Strip):
        yield _strip(part, limit)
        yield wrap(part.caption, min(limit, _PROSE)) if part.caption else []
    elif isinstance(part, Commands):
        yield list(part.lines)
    elif isinstance(part, Notes):
        yield [line for note in part.lines for line in _note(note, min(limit, _PROSE))]


def _note(note: str | tuple[str, str], limit: int) -> list[str]:
    said = harmless(note if isinstance(note, str) else ": ".join(note))
    return [("  " if place else "- ") + line for place, line in enumerate(wrap(said, limit - 2))]


def _strip(strip: Strip, limit: int) -> list[str]:
    """Lines of pieces, and below each the figures."""
    lines: list[str] = []
    above = below = ""
    for piece, figure, _ in strip.pieces:
        piece = harmless(" ".join(piece.split())) or "␣"
        wide = max(width(piece), width(figure))
        if above and width(above) + 1 + wide > limit:
            lines += [above.rstrip(), below.rstrip(), ""]
            above = below = ""
        space = " " if above else ""
        above += space + piece + " " * (wide - width(piece))
        below += space + figure + " " * (wide - width(figure))
    return [*lines, above.rstrip(), below.rstrip()] if above else lines


def _table(table: Table, limit: int) -> list[list[str]]:
    """The blocks of a table: one, where it fits."""
    rows = [
        [
            f"• {cell}" if (row, column) in table.strong else cell
            for column, cell in enumerate(map(harmless, cells))
        ]
        for row, cells in enumerate(table.rows)
    ]
    heads = [[*map(harmless, table.head)]] if any(table.head) else []
    words = {column for column in table.left if column < len(table.head)}
    for narrower in (_as_it_is, _broken_heads, _broken_intervals):
        heads, rows = narrower(heads, rows)
        widths = [max(map(_widest, column)) for column in zip(*heads, *rows, strict=True)]
        if _total(widths) <= limit:
            return [_aligned([*heads, *rows], widths, words)]
    least = [min(w, int(_WORDS * limit)) if column in words else w for column, w in enumerate(widths)]
    blocks = _folded(least, table.keys, limit)
    if len(blocks) == 1:
        if words and _total(least) > limit:  # one figure beside its names: they share what it leaves
            left = (limit - _total([0 if c in words else w for c, w in enumerate(widths)])) // len(words)
            least = [min(w, max(_FEWEST, left)) if c in words else w for c, w in enumerate(widths)]
        return [_aligned([*heads, *rows], fitting(widths, least, limit), words)]
    return [lines for block in blocks for lines in _table(_of_columns(table, block), limit)]


Rows = list[list[str]]


def _as_it_is(heads: Rows, rows: Rows) -> tuple[Rows, Rows]:
    return heads, rows


def _broken_heads(heads: Rows, rows: Rows) -> tuple[Rows, Rows]:
    """Heads that are no wider than what stands below them, or than their longest word."""
    bodies = [max(map(_widest, column), default=0) for column in zip(*rows, strict=True)] if rows else []
    broken = [
        [
            "\n".join(wrap(cell, max(body, *(width(word) for word in cell.split() or [""]))))
            for cell, body in zip(head, bodies or [0] * len(head), strict=True)
        ]
        for head in heads
    ]
    return broken, rows


def _broken_intervals(heads: Rows, rows: Rows) -> tuple[Rows, Rows]:
    """Figures whose interval, in brackets, stands below them."""
    broken = [
        [cell.replace(" (", "\n(") if _INTERVAL.fullmatch(cell) else cell for cell in row] for row in rows
    ]
    return _broken_heads(heads, broken)


def _folded(least: Sequence[int], keys: int, limit: int) -> list[list[int]]:
    """The columns of each block, the first `keys` columns in all of them."""
    blocks = [list(range(keys))]
    for column in range(keys, len(least)):
        if len(blocks[-1]) > keys and _total([least[c] for c in [*blocks[-1], column]]) > limit:
            blocks.append(list(range(keys)))
        blocks[-1].append(column)
    return blocks


def _of_columns(table: Table, columns: Sequence[int]) -> Table:
    """A table of some columns of another."""
    place = {column: place for place, column in enumerate(columns)}
    return Table(
        [table.head[c] for c in columns],
        [[row[c] for c in columns] for row in table.rows],
        left=[place[c] for c in table.left if c in place],
        strong=frozenset((row, place[c]) for row, c in table.strong if c in place),
        keys=table.keys,
    )


def fitting(widths: Sequence[int], least: Sequence[int], limit: int) -> list[int]:
    """Share out the columns of a terminal: each column of a table gets what it must have, then what it would like.

    Args:
        widths: what each would like.
        least: what each must have.
        limit: for all, with the gaps between them.

    Example:
        >>> fitting([10, 50, 40], [10, 24, 24], 80)
        [10, 33, 33]
    """
    given = list(least)
    spare = limit - _total(given)
    wanting = sorted(
        (c for c in range(len(given)) if widths[c] > given[c]), key=lambda c: widths[c] - given[c]
    )
    for left, column in zip(range(len(wanting), 0, -1), wanting, strict=True):
        more = max(0, min(widths[column] - given[column], spare // left))
        given[column] += more
        spare -= more
    return given


def _aligned(rows: Sequence[Sequence[str]], widths: Sequence[int], words: set[int]) -> list[str]:
    """Rows as lines: words to the left and wrapped where they must be, figures to the right."""
    lines = []
    for row in rows:
        cells = [
            [line for part in cell.split("\n") for line in wrap(part, room)]
            for cell, room in zip(row, widths, strict=True)
        ]
        for place in range(max(map(len, cells))):
            line = []
            for column, (cell, room) in enumerate(zip(cells, widths, strict=True)):
                shown = cell[place] if place < len(cell) else ""
                pad = " " * (room - width(shown))
                line.append(shown + pad if column in words else pad + shown)
            lines.append((" " * _GAP).join(line).rstrip())
    return lines


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _widest(cell: str) -> int:
    return max(map(width, cell.split("\n")))


def wrap(said: str, limit: int) -> list[str]:
    """Break a text into lines; between Chinese characters no space is needed.

    Example:
        >>> wrap("one line of words", 8), wrap("一行，两行。", 6)
        (['one line', 'of words'], ['一行，', '两行。'])
    """
    if width(said) <= limit and "\n" not in said:
        return [said]
    lines = []
    for paragraph in said.split("\n"):
        line = ""
        for space, piece in _PIECE.findall(paragraph):
            if line and width(line + space + piece) > limit:
                lines.append(line)
                line = ""
            line += (space if line else "") + piece
            while width(line) > limit:
                cut = _cut(line, limit)
                lines.append(line[:cut])
                line = line[cut:]
        lines.append(line)
    return lines


def _cut(word: str, limit: int) -> int:
    """Where a word that is too long is cut: behind a mark such as a path's, where there is one in the second half."""
    end = next(end for end in range(len(word), 0, -1) if width(word[:end]) <= limit or end == 1)
    mark = max(word.rfind(mark, end // 2, end) for mark in "/_-.,")
    return mark + 1 if mark >= 0 else end
