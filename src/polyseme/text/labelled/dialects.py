r"""The separator of a table's fields and the meaning of its quotes: named by the user, else detected in the file.

separator   the value of `--separator`; Excel's first line `sep=;`; the one that makes the first line a header of the
            wanted columns; the one that gives every line the same number of fields; what the suffix means
quotes      beside commas, semicolons and bars a field in double quotes may hold separators, line ends and doubled
            quotes (RFC 4180). Beside tabs both habits are common: pandas and Excel quote, the corpora of GLUE do not.
            Quotes that only a writer of quoted fields makes count for quoting; quotes that it never makes count against
            it.
comments    lines above the header that begin with #

A quote that is never closed makes only its own row bad: reading goes on in the next line.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import NamedTuple

from polyseme.errors import ConfigError
from polyseme.text.split import Numbered, peek

__all__ = [
    "SEPARATORS",
    "Dialect",
    "Table",
    "are_row_names",
    "fields_of",
    "open_table",
    "read_separator",
    "unusual_separator",
]

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
"""The separators that are recognised, with their names."""
_NAMES = {name: mark for mark, name in SEPARATORS.items()} | {
    "pipe": "|",
    "\\t": "\t",
    "tsv": "\t",
    "csv": ",",
    "space": " ",
    "colon": ":",
}
_SAMPLE = 2000
"""Lines from which a dialect is detected."""
_LONGEST = 64_000_000
"""Longest quoted field in characters; a longer one was never closed."""
_FEW = 64
"""Most different values for which a column counts as a column of classes."""
_EXCEL = re.compile(r'\ufeff?"?sep=(\\t|.)"?[,;\s]*', re.IGNORECASE | re.DOTALL)
_CLOSED = re.compile(r'[ ]*+"((?:[^"]++|"")*+)"[ ]*')
_ESCAPED = re.compile(r'[ ]*+"((?:[^"\\]++|\\.|"")*+)"[ ]*', re.DOTALL)
_BACKSLASHED = re.compile(r'[ ]*+"(?:[^"\\]++|\\.)*+"[ ]*', re.DOTALL)
"""A quoted field in which every quote has a backslash."""
_OPENED = re.compile(r'[ ]*+"')
_QUOTES = re.compile(r'"+')

Row = tuple[int, list[str] | None, str]
"""The number of a row's first line, its fields (None: a quote is not closed), and that line."""
Tell = Callable[[str, int, str], object]
"""Called for each line that is left out: its kind, its number, the line."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the lines of a table are read.

    Args:
        separator: what stands between fields; "" = each line is one field.
        quoted: fields may be quoted.
        skipped: lines above the header that are not part of the table: comments, Excel's `sep=`.
        quotes: the file has at least one double quote.
    """

    separator: str
    quoted: bool
    skipped: int = 0
    quotes: bool = False

    def __str__(self) -> str:
        if not self.separator:
            form = "one column"
        elif self.separator in SEPARATORS:
            form = f"{SEPARATORS[self.separator]}s between fields"
        else:
            form = f"{self.separator!r} between fields"
        if not self.quotes:
            return form
        return form + (", quoted fields" if self.quoted else ", quotes are ordinary characters")


def read_separator(text: str) -> str:
    r"""The separator that the user means; "auto" = detect it.

    Raises:  ConfigError: nothing, a quote or a line end.

    Example:
        >>> [read_separator(name) for name in (";", "tab", r"\t", "comma", "::", "auto")]
        [';', '\t', '\t', ',', '::', 'auto']
    """
    separator = _NAMES.get(text.strip().lower(), text)
    if not separator or set(separator) & set('"\r\n'):
        raise ConfigError(
            "no separator of fields", got=text, expected="; or , or tab or | or another", where="--separator"
        )
    return separator


class Table(NamedTuple):
    """A table that was opened.

    Args:
        dialect: how it is read.
        rows: all rows, from the header on.
        top: the first lines, from the header on.
    """

    dialect: Dialect
    rows: Iterator[Row]
    top: Sequence[str]


def open_table(
    lines: Numbered,
    suffix: str,
    fits: Callable[[Sequence[str]], bool],
    tell: Tell,
    *,
    needed: int = 0,
    separator: str = "auto",
) -> Table:
    """Detect the dialect of a table, and leave out the lines above it.

    Args:
        lines: of the file, from the first one on.
        suffix: of its name: without better evidence .csv means commas, all others tabs.
        fits: tests whether fields are a header of the wanted columns.
        tell: called for comments above the header ("comment") and for rows whose fields are all empty ("empty_row").
        needed: fields that a row must have, where columns are numbers and there is no header.
        separator: what the user named, or "auto".
    """
    head, lines = peek(lines, _SAMPLE)
    sample = [line for _, line in head]
    dialect = _dialect_of(sample, "," if suffix == ".csv" else "\t", fits, needed, separator)
    for number, line in islice(lines, dialect.skipped):
        if line.startswith("#"):
            tell("comment", number, line)
    return Table(dialect, _rows(lines, dialect, tell), sample[dialect.skipped :])


def _dialect_of(
    lines: Sequence[str],
    default: str,
    fits: Callable[[Sequence[str]], bool],
    needed: int,
    given: str,
) -> Dialect:
    """The dialect of a table, from its first lines; `default` is the separator that its suffix means."""
    named, skipped = None, 0
    start = next((n for n, line in enumerate(lines) if line and not line.isspace()), 0)
    if lines and (match := _EXCEL.fullmatch(lines[start])):
        named, skipped = read_separator(match[1]), start + 1
    if given != "auto":
        named = given
    candidates = [named] if named else list(dict.fromkeys([default, *SEPARATORS]))
    skipped += _comments(lines[skipped:], candidates, fits, needed)
    rows = [line for line in lines[skipped:] if line and not line.isspace()]
    quotes = any('"' in line for line in rows)
    if not rows:
        return Dialect(candidates[0], default != "\t", skipped)
    separator = _separator(rows, candidates, fits, needed)
    width = len(fields_of(rows[0], separator)) if not needed else _usual(rows, separator)[0]
    if named is None and separator != "\t":  # a text may hold commas, but hardly tabs
        one_column = width == 1 and not needed and not _row_names(rows, separator)
        if one_column or (needed == 1 and _usual(rows, separator)[1] < 0.9):
            separator = ""
    quoted = separator not in ("\t", " ")
    if separator == "\t" and quotes:
        quoted = _quoting(rows, separator, width)
    return Dialect(separator, quoted, skipped, quotes)


def _comments(
    lines: Sequence[str], candidates: Sequence[str], fits: Callable[[Sequence[str]], bool], needed: int
) -> int:
    """How many lines above the table are comments."""
    first = next((n for n, line in enumerate(lines) if line and not line.isspace()), 0)
    after = next((n for n, line in enumerate(lines) if n >= first and not line.startswith("#")), 0)
    if after <= first or not lines[after:]:
        return 0
    for separator in candidates:
        top, below = fields_of(lines[first], separator), fields_of(lines[after], separator)
        if needed:
            if len(top) >= needed or len(below) < needed:
                continue
            return after
        if fits(top):
            return 0
        if fits(below):
            return after
    counts = [(len(fields_of(lines[first], s)), len(fields_of(lines[after], s))) for s in candidates]
    return after if not needed and any(below > 1 and top != below for top, below in counts) else 0


def _separator(
    rows: Sequence[str], candidates: Sequence[str], fits: Callable[[Sequence[str]], bool], needed: int
) -> str:
    """The separator that fits the first lines best; of equal ones the first."""
    if len(candidates) == 1:
        return candidates[0]
    if not needed:
        fitting = [s for s in candidates if fits(fields_of(rows[0], s))]
        if fitting:
            return fitting[0]

    def suits(separator: str) -> float:
        if needed:
            width, share = _usual(rows, separator)
            return share if width >= max(needed, 2) else 0.0
        width = len(fields_of(rows[0], separator))
        counts = [len(fields_of(line, separator)) for line in rows[:200]]
        return sum(count == width for count in counts) / len(counts) if width > 1 else 0.0

    return max(candidates, key=suits)


def unusual_separator(lines: Sequence[str]) -> str | None:
    """A mark such as `^` or `~` that splits all first lines into equally many fields; for the hint of an error."""
    rows = [line for line in lines[:100] if line and not line.isspace()]
    for mark in dict.fromkeys(c for c in rows[0] if not c.isalnum() and c not in "\"' _-.") if rows else ():
        n = rows[0].count(mark)
        if len(rows) > 1 and sum(line.count(mark) == n for line in rows) >= 0.9 * len(rows):
            return mark * n if mark * n in rows[0] else mark
    return None


def _usual(rows: Sequence[str], separator: str) -> tuple[int, float]:
    """The most frequent number of fields, and the share of the lines that have it."""
    counts = Counter(len(fields_of(line, separator)) for line in rows[:200])
    width, times = counts.most_common(1)[0]
    return width, times / counts.total()


def _row_names(rows: Sequence[str], separator: str) -> bool:
    """Whether all rows have one field more than the header, a row number, as R's write.table writes them."""
    width = len(fields_of(rows[0], separator)) + 1
    return are_row_names([fields_of(line, separator) for line in rows[1:100]], width)


def are_row_names(rows: Sequence[Sequence[str]], width: int) -> bool:
    """Whether each row has `width` fields, and the first fields are numbers that all differ."""
    names = [row[0].strip('"') for row in rows if row]
    alike = bool(rows) and all(len(row) == width for row in rows)
    return alike and len(set(names)) == len(names) and all(name.isdecimal() for name in names)


def _quoting(rows: Sequence[str], separator: str, width: int) -> bool:
    """Whether the quotes of a table with tabs enclose quoted fields."""
    speaks_for, against, at = 0, 0, 0
    enclosed: Counter[int] = Counter()
    bare: set[int] = set()
    while at < len(rows):
        line, taken = rows[at], 1
        for column, field in enumerate(line.split(separator)):
            if not field:
                continue
            if match := _CLOSED.fullmatch(field):
                speaks_for += '""' in match[1]
                enclosed[column] += 1
                continue
            if _BACKSLASHED.fullmatch(field):
                enclosed[column] += 1
                continue
            if at:  # a header need not be quoted
                bare.add(column)
            if not field.startswith('"'):
                against += '"' in field and not field.endswith('"')
            elif line.count(separator) + 1 == width:
                against += 1
            elif lines := _whole(rows[at : at + 200], separator, width):
                speaks_for, taken = speaks_for + 1, lines
                break
            else:
                against += 1
        at += taken
    columns = any(n > 1 and column not in bare for column, n in enclosed.items())
    return (speaks_for > against) or (columns and not against)


def _whole(lines: Sequence[str], separator: str, width: int) -> int:
    """How many lines a row takes whose quoted field holds line ends or separators; 0 if there is no such field."""
    row = next(_rows(iter(enumerate(lines)), Dialect(separator, True), _ignore), None)
    if row is None or row[1] is None or len(row[1]) != width:
        return 0
    text = ""
    for n, line in enumerate(lines, 1):
        text = f"{text}\n{line}" if n > 1 else line
        if _scanned(text, separator) == row[1]:
            return n
    return 0


def fields_of(line: str, separator: str) -> list[str]:
    """The fields of a single line; unbalanced quotes are ordinary characters."""
    if not separator:
        return [line]
    if '"' not in line:
        return line.split(separator)
    return _scanned(line, separator) or line.split(separator)


def _scanned(text: str, separator: str, escaped: bool = False) -> list[str] | None:
    """The fields of a row; None where a quoted one is still open at the end.

    Args:
        escaped: a quote may be closed by the second of two after a backslash.
    """
    fields: list[str] = []
    at = 0
    while True:
        end = -1
        if _OPENED.match(text, at):
            match = _CLOSED.match(text, at)
            closed = match is not None and _ends(text, match.end(), separator)
            other = None if closed else _ESCAPED.match(text, at)
            by_backslash = other is not None and _ends(text, other.end(), separator)
            if match is None and text.startswith('"', at) and not (escaped and by_backslash):
                return None
            if match is not None and closed:
                fields.append(match[1].replace('""', '"'))
                end = match.end()
            elif other is not None and by_backslash:
                fields.append(re.sub(r'\\([\\"])|"(")', r"\1\2", other[1]))  # as Spark and MySQL write them
                end = other.end()
        if end < 0:  # no quoted field: quotes are ordinary characters
            end = text.find(separator, at) if separator else -1
            end = len(text) if end < 0 else end
            fields.append(text[at:end])
        if end == len(text):
            return fields
        at = end + len(separator)


def _ends(text: str, at: int, separator: str) -> bool:
    """Whether a field ends at a position."""
    return at == len(text) or (bool(separator) and text.startswith(separator, at))


@cache
def _end_of_field(separator: str) -> re.Pattern[str]:
    return re.compile(r" *(?:$|" + re.escape(separator) + ")" if separator else r" *$")


def _closes(line: str, separator: str) -> bool | None:
    """Whether the first quote of a line that is not doubled can close a field; None where there is no such quote."""
    for match in _QUOTES.finditer(line):
        if len(match[0]) % 2 == 0:
            continue
        if _end_of_field(separator).match(line, match.end()):
            return True
        if len(match[0]) == 1 and line.endswith("\\", 0, match.start()):
            continue
        return False
    return None


def _rows(lines: Numbered, dialect: Dialect, tell: Tell) -> Iterator[Row]:
    """The rows of a table that are not blank; `tell` is called for rows whose fields are all empty."""
    separator = dialect.separator
    if not dialect.quoted:
        for number, line in lines:
            if line and not line.isspace():
                yield number, line.split(separator) if separator else [line], line
            elif separator == "\t" and separator in line:
                tell("empty_row", number, line)
        return
    waiting: deque[tuple[int, str]] = deque()
    previous = _Seen()
    while True:
        following = waiting.popleft() if waiting else next(lines, None)
        if following is None:
            return
        number, line = following
        if not line or line.isspace():
            if separator == "\t" and separator in line:
                tell("empty_row", number, line)
            continue
        if '"' not in line:
            fields: list[str] | None = line.split(separator) if separator else [line]
        else:
            fields = _scanned(line, separator)
            if fields is None:
                fields, joined_lines = _over_lines(line, lines, waiting, separator, previous)
                if fields is None:
                    waiting.extendleft(reversed(joined_lines))
                    fields = _scanned(line, separator, escaped=True)
        if fields is None:
            yield number, None, line
        elif any(field and not field.isspace() for field in fields):
            previous.add(fields)
            yield number, fields, line
        else:
            tell("empty_row", number, line)


def _ignore(kind: str, number: int, line: str) -> None:
    """A `tell` that does nothing, for the lines from which a dialect is detected."""


def _over_lines(
    line: str, lines: Numbered, waiting: deque[tuple[int, str]], separator: str, previous: _Seen
) -> tuple[list[str] | None, list[tuple[int, str]]]:
    """The fields of a row with a quoted field over several lines, and these lines; None where it is never closed."""
    joined_lines: list[tuple[int, str]] = []
    size = len(line)
    while size < _LONGEST:
        following = waiting.popleft() if waiting else next(lines, None)
        if following is None:
            break
        joined_lines.append(following)
        size += len(following[1])
        if '"' not in following[1]:
            continue
        closes = _closes(following[1], separator)
        if closes is None:
            continue
        if not closes:
            break
        whole = [line, *(text for _, text in joined_lines)]
        fields = _scanned("\n".join(whole), separator)
        if fields is None:  # the next field is open
            continue
        return None if previous.are_rows(whole, separator, len(fields)) else fields, joined_lines
    return None, joined_lines


class _Seen:
    """Statistics of a table's columns, to distinguish a field of several lines from rows after a stray quote."""

    def __init__(self) -> None:
        self._rows = 0
        self._width = 0
        self._values: list[set[str] | None] = []

    def add(self, fields: Sequence[str]) -> None:
        """Count a row."""
        if self._rows >= 1000:
            return
        if not self._rows:
            self._width, self._values = len(fields), [set() for _ in fields]
        self._rows += 1
        for values, (column, field) in zip(self._values, enumerate(fields), strict=False):
            if values is not None and self._rows > 1:
                values.add(field)
                if len(values) > _FEW:
                    self._values[column] = None

    def are_rows(self, lines: Sequence[str], separator: str, width: int) -> bool:
        """Whether each line is a row by itself: as many fields as the first row, and classes that occurred before."""
        parts = (
            [[field.strip('" ') for field in line.split(separator)] for line in lines] if separator else []
        )
        if not parts or any(len(part) != self._width for part in parts):
            return False
        if width != self._width:
            return True
        classes = [
            (column, values)
            for column, values in enumerate(self._values)
            if values is not None and 2 * len(values) < self._rows
        ]
        return bool(classes) and all(part[c] in values for part in parts for c, values in classes)
