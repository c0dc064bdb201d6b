"""The texts of files that hold records: a field of JSON objects, a column of tables.

    JSON lines      an object on each line
    an array        of objects, or of strings, which are the texts; on one line or many
    an object       that fills the file: a list of records within it (data, rows …), or columns {"text": [ … ]}

    .csv .tsv       a header that names the column, a text a row; what parts the fields and what the quotes mean is told
                    as of labelled tables (labelled/dialects.py)
    .parquet .arrow columns by name, a text a row; read a thousand rows at a time

Which form of JSON it is, the text says and not the file's name. A row that cannot be used is left out and counted; no
other row is lost with it.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from polyseme.errors import CorpusError
from polyseme.text.clean import CleaningReport
from polyseme.text.labelled.dialects import are_row_names, open_table
from polyseme.text.split import MAX_RECORD, Numbered, Piece, lines, peek, split

__all__ = ["Value", "json_values", "record_pieces", "record_texts", "row_pieces", "table_pieces"]

_GAP = re.compile(r"[\s,]*")
_LISTS = ("data", "rows", "records", "items", "examples", "documents", "texts")
"""Keys under which files keep their list of records; another one is taken where it is the only list."""


class Value(NamedTuple):
    """One JSON value of a file.

    Args:
        number: of its line, from 1; of an array's item.
        value: what it holds; None where a line is no JSON, is empty (`blank`) or too long to hold (`long`).
        item: it is an item of an array, where a string is a text.
    """

    number: int
    value: Any
    item: bool = False
    blank: bool = False
    long: bool = False

    def place(self, source: str) -> str:
        """For reports."""
        return f"{source}, {'record' if self.item else 'line'} {self.number}"


def record_texts(
    chunks: Iterable[str], field: str, report: CleaningReport, source: str, within: bool = False
) -> Iterator[tuple[int, str | None, bool]]:
    """Of every record: its number, its text (None, counted, where there is none), and whether it is a blank line.

    Args:
        within: it is a later part of a file of lines, which need not have a text.
    Raises:  CorpusError: there are records, but none has text in the field; a JSON array is broken.
    """
    records = _lines(chunks) if within else _records(chunks, field, source)
    yield from _texts_of(records, field, report, source, may_have_none=within)


def _texts_of(
    records: Iterable[Value], field: str, report: CleaningReport, source: str, may_have_none: bool = False
) -> Iterator[tuple[int, str | None, bool]]:
    good, bad = False, None
    for record in records:
        text = None
        if record.long:
            report.add("record_too_long", 1, record.place(source))
        elif record.item and isinstance(record.value, str):
            text = record.value
        elif not record.blank:
            text = _text_in(record.value, field, report, record.place(source))
        good = good or text is not None
        if text is None and not record.blank and not record.long and bad is None:
            bad = record
        yield record.number, text, record.blank
    if bad is not None and not good and not may_have_none:
        raise _no_text(bad.value, field, source)


def record_pieces(
    chunks: Iterable[str], field: str, report: CleaningReport, source: str, within: bool = False
) -> Iterator[Piece]:
    """One piece a record (more of a very long one); offsets are numbers of lines or of an array's items, from 1.

    A record that is not a JSON object, lacks the field, or holds no string in it is dropped and counted.

    Args:
        within: it is a later part of a file of lines, which need not have a text.
    Raises:  CorpusError: there are records, but none has text in the field; a JSON array is broken.
    """
    for number, text, blank in record_texts(chunks, field, report, source, within):
        if text is not None and not blank:
            yield from _pieces_of(text, number)


def row_pieces(
    rows: Iterable[Mapping[str, Any]], field: str, report: CleaningReport, source: str
) -> Iterator[Piece]:
    """One piece a row of a table whose columns have names, from the column `field`; offsets are rows, from 1.

    Raises:  CorpusError: there are rows, but none has text in the field.
    """
    values = (Value(number, row, True) for number, row in enumerate(rows, 1))
    for number, text, _ in _texts_of(values, field, report, source):
        if text is not None:
            yield from _pieces_of(text, number)


def _pieces_of(text: str, number: int) -> Iterator[Piece]:
    """The text of a record as one piece, or more of a very long one; `number` is their offset."""
    if not text or text.isspace():
        yield Piece("", number, False)  # an empty document, which the reader counts
    for piece in split([text], "file"):
        yield Piece(piece.text, number, piece.cut)


def json_values(
    chunks: Iterable[str], source: str, *, list_lines: bool = False, longest: int = MAX_RECORD
) -> Iterator[Value]:
    """The JSON values of a file: items of an array, a value a line, or objects that take several lines.

    Args:
        source: named in errors.
        list_lines: where the first two lines are a list each, these are values and no arrays.
        longest: characters of a value, or of a line; a longer line is counted as such.
    Raises:  CorpusError: an array is broken.
    """
    chunks = iter(chunks)
    first = next((chunk for chunk in chunks if chunk.strip()), "")
    chunks = chain([first], chunks)
    top = first.lstrip().split("\n", 2)
    if top[0].startswith("[") and not (list_lines and _are_lists(top[:2])):
        yield from _array(chunks, source, longest)
        return
    if top[0].startswith("{") and not isinstance(_parse(top[0]), dict):
        # an object over several lines, or lines of which the first is broken
        begin, rest = _up_to(chunks, longest)
        whole = _parse(begin)
        if isinstance(whole, dict):
            yield Value(1, whole)
            return
        chunks = chain([begin], rest)
        if _begins_with_object(begin):  # several such objects, as jq writes them
            yield from _array(iter(chunks), source, longest, bare=True)
            return
    yield from _lines(chunks, longest)


def _lines(chunks: Iterable[str], longest: int = MAX_RECORD) -> Iterator[Value]:
    """A value a line."""
    for number, line in enumerate(lines(chunks, longest), 1):
        if line is None:
            yield Value(number, None, long=True)
        elif not line or line.isspace():
            yield Value(number, None, blank=True)
        else:
            yield Value(number, _parse(line))


def _are_lists(lines: Sequence[str]) -> bool:
    return len(lines) == 2 and all(isinstance(_parse(line), list) for line in lines)


def _records(chunks: Iterable[str], field: str, source: str) -> Iterator[Value]:
    """The values of a file, or those within the one object that it holds."""
    values = json_values(chunks, source)
    head: list[Value] = []
    for value in values:
        head.append(value)
        if sum(not value.blank for value in head) > 1:
            break
    full = [value for value in head if not value.blank]
    if len(full) == 1 and isinstance(full[0].value, dict) and not full[0].item:
        items = _items(full[0].value, field)
        if items is not None:
            yield from (Value(number, item, True) for number, item in enumerate(items, 1))
            return
    yield from head
    yield from values


def _begins_with_object(text: str) -> bool:
    try:
        value, end = json.JSONDecoder().raw_decode(text.lstrip())
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and "\n" in text.lstrip()[:end]


def _up_to(chunks: Iterator[str], size: int) -> tuple[str, Iterator[str]]:
    parts: list[str] = []
    for chunk in chunks:
        parts.append(chunk)
        size -= len(chunk)
        if size < 0:
            break
    return "".join(parts), chunks


def _items(value: dict[str, Any], field: str) -> list[Any] | None:
    if list(_follow(value, _path(value, field))):  # columns: a list, or numbered rows as pandas writes them
        column = value.get(field)
        if isinstance(column, dict):
            column = list(column.values())
        return column if isinstance(column, list) and all(isinstance(i, str) for i in column) else None
    lists = {key: inner for key, inner in value.items() if isinstance(inner, list) and inner}
    named = [lists[key] for key in _LISTS if key in lists]
    if not named and len(lists) == 1:
        named = list(lists.values())
    if named and all(isinstance(item, dict | str) for item in named[0]):
        rows = [item.get("row") if isinstance(item, dict) else None for item in named[0]]
        return rows if all(isinstance(row, dict) for row in rows) else named[0]
    if len(value) > 1 and all(isinstance(inner, dict) for inner in value.values()):
        return list(value.values())
    return None


def _array(chunks: Iterator[str], source: str, longest: int, bare: bool = False) -> Iterator[Value]:
    """The items of an array, or of a file without its brackets (`bare`), one after the other.

    Raises:  CorpusError: it is broken; says after how many items.
    """
    decoder = json.JSONDecoder()
    buffer, at, number = "", 0, 0
    opened = bare

    def fill() -> bool:
        nonlocal buffer, at
        chunk = next(chunks, None)
        if chunk is not None:
            buffer, at = buffer[at:] + chunk, 0
        return chunk is not None

    while True:
        gap = _GAP.match(buffer, at)
        at = gap.end() if gap else at
        if at == len(buffer):
            if fill():
                continue
            if opened and not bare:
                raise _broken(source, number, "it ends before its ]")
            return
        if not bare and (not opened or buffer[at] == "]"):
            if not opened and buffer[at] != "[":
                raise _broken(source, number, f"after its ]: {buffer[at : at + 40]}")
            opened = not opened
            at += 1
            continue
        try:
            value, end = decoder.raw_decode(buffer, at)
        except RecursionError:
            raise _broken(source, number, "lists within lists without end") from None
        except ValueError as error:
            if len(buffer) - at <= longest and fill():
                continue
            raise _broken(source, number, str(error).partition(": line")[0]) from None
        if end == len(buffer) and fill():  # a number may go on
            continue
        at = end
        number += 1
        yield Value(number, value, True)


def _broken(source: str, number: int, why: str) -> CorpusError:
    return CorpusError(
        "the JSON array is broken",
        got=why,
        expected="an array of objects or strings, or an object on each line",
        where=f"{source}, after record {number}",
        fix="write the file again: it seems to be cut short or put together from several",
    )


def _text_in(record: object, field: str, report: CleaningReport, place: str) -> str | None:
    """The text in a field of one record; None, counted, where there is none.

    A path such as "messages.message" goes down into objects and through lists; several texts become lines.
    """
    if not isinstance(record, dict):
        report.add("not_json", 1, place)
        return None
    texts = list(_follow(record, _path(record, field)))
    if not texts:
        report.add("no_field", 1, place)
    elif not all(isinstance(value, str) for value in texts):
        report.add("field_not_text", 1, place)
    else:
        return "\n".join(map(str, texts))
    return None


def _path(record: dict[str, Any], field: str) -> list[str]:
    return [field] if field in record else field.split(".")


def _follow(value: object, path: list[str]) -> Iterator[object]:
    """What stands at the end of a path of keys; of a list, in each of its items."""
    if isinstance(value, list):
        for item in value:
            yield from _follow(item, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from _follow(value[path[0]], path[1:])


def _texts(value: object, path: str = "") -> dict[str, int]:
    """The fields of a record that hold strings, as paths, and how long these are."""
    sizes: dict[str, int] = {}
    if isinstance(value, str):
        sizes[path] = len(value)
    elif isinstance(value, list):
        for item in value[:20]:
            for name, size in _texts(item, path).items():
                sizes[name] = sizes.get(name, 0) + size
    elif isinstance(value, dict):
        for key, inner in value.items():
            sizes |= _texts(inner, f"{path}.{key}" if path else str(key))
    return sizes


def _no_text(record: object, field: str, source: str) -> CorpusError:
    """The error for a file in which no record has text in the field; `record` is one of them."""
    fields = list(record) if isinstance(record, dict) else []
    texts = _texts(record) if fields else {}
    if texts:
        fix = f"--field {_typed_field(_likely_field(field, texts))}"
    elif fields:
        fix = "name a file whose records hold text"
    else:
        fix = "write one JSON object on each line, or one array of objects or strings"
    return CorpusError(
        f"no record has text in the field {field!r}",
        got="fields " + ", ".join(list(texts or fields)[:10]) if fields else "lines that are no JSON objects",
        expected="JSON objects, one on each line or in one array",
        where=source,
        fix=fix,
    )


def _parse(line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _likely_field(field: str, sizes: Mapping[str, int]) -> str:
    """Of the fields that hold text, the one that is called alike, or else the longest."""
    near = difflib.get_close_matches(field, sizes, n=1)
    return near[0] if near else max(sizes, key=lambda name: sizes[name])


def _typed_field(name: str) -> str:
    """How the name of a field is typed behind --field."""
    return name if re.fullmatch(r"[\w.-]+", name) else "'" + name.replace("'", "'\\''") + "'"


def table_pieces(
    chunks: Iterable[str], field: str, report: CleaningReport, source: str, suffix: str
) -> Iterator[Piece]:
    """One piece a row of a .csv or .tsv, from the column that the header calls `field`; offsets are lines.

    Raises:  CorpusError: there is no such column, or no row can be used.
    """

    def tell(kind: str, number: int, line: str) -> None:
        report.add(kind, 1, f"{source}, line {number}")

    def numbered() -> Numbered:
        for number, line in enumerate(lines(chunks), 1):
            if line is None:
                tell("record_too_long", number, "")
            else:
                yield number, line

    _, rows, _ = open_table(numbered(), suffix, lambda names: field in [name.strip() for name in names], tell)
    _, header, _ = next(rows, (1, None, ""))
    names = [name.strip() for name in header or ()]
    head, rows = peek(rows, 100)
    below = [fields for _, fields, _ in head if fields]
    if field not in names:
        sizes = {
            name: len(value) for name, value in zip(names, below[0] if below else (), strict=False) if name
        }
        fix = "leave the table out, or write its texts to a .txt file"
        if sizes:
            fix = f"--field {_typed_field(_likely_field(field, sizes))}"
        raise CorpusError(
            f"no column {field!r} in the table",
            got="columns " + ", ".join(names[:10]) if names else "an empty file",
            expected="a header that names the column of the texts",
            where=source,
            fix=fix,
        )
    place, width = names.index(field), len(names)
    if are_row_names(below, width + 1):  # as R's write.table writes them
        place, width = place + 1, width + 1
    used, bad = False, ""
    for number, fields, _ in rows:
        if fields is None:
            kind = "bad_quotes"
        elif len(fields) <= place:
            kind = "no_field"
        elif any(fields[width:]):  # which of the fields is the text nobody can tell
            kind = "too_many_fields"
        else:
            used = True
            yield from _pieces_of(fields[place], number)
            continue
        tell(kind, number, "")
        bad = bad or f"{source}, line {number}"
    if bad and not used:
        raise CorpusError(
            "no row of the table can be used",
            got="; ".join(
                f"{report.counts[kind]:,} {kind.replace('_', ' ')}"
                for kind in ("bad_quotes", "no_field", "too_many_fields")
                if report.counts[kind]
            ),
            expected="as many fields in each row as the header has, and every quote within a field doubled",
            where=bad,
            fix="write the table again, with a csv writer",
        )
