"""The text fields of records: JSON lines and JSON arrays; those of tables are in tables.py.

    JSON lines      an object on each line
    an array        of objects, or of strings, which are the texts; on one line or many
    an object       that fills the file: a list of records within it (data, rows …), or columns {"text": [ … ]}

Which of the three it is, the text says and not the file's name.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

from polyseme.errors import CorpusError
from polyseme.text.clean import CleaningReport
from polyseme.text.split import MAX_RECORD, Piece, lines, split

__all__ = ["likely_field", "pieces_of", "record_pieces", "record_texts", "typed_field"]

_GAP = re.compile(r"[\s,]*")
_LISTS = ("data", "rows", "records", "items", "examples", "documents", "texts")
"""Keys under which files keep their list of records; another one is taken where it is the only list."""


class _Record(NamedTuple):
    """One record as it was found.

    Args:
        number: of its line, from 1; of an array's item.
        place: for reports.
        value: what it holds; None where a line is no JSON, is empty (`blank`) or too long to hold (`long`).
        listed: it is an item of a list, where a string is a text.
    """

    number: int
    place: str
    value: Any
    listed: bool = False
    blank: bool = False
    long: bool = False


def record_texts(
    chunks: Iterable[str], field: str, report: CleaningReport, source: str
) -> Iterator[tuple[int, str | None, bool]]:
    """Of every record: its number, its text (None, counted, where there is none), and whether it is a blank line.

    Raises:  CorpusError: there are records, but none has text in the field; a JSON array is broken.
    """
    good, bad = False, None
    for record in _records(chunks, field, source):
        text = None
        if record.long:
            report.add("record_too_long", 1, record.place)
        elif record.listed and isinstance(record.value, str):
            text = record.value
        elif not record.blank:
            text = _text_in(record.value, field, report, record.place)
        good = good or text is not None
        if text is None and not record.blank and not record.long and bad is None:
            bad = record
        yield record.number, text, record.blank
    if bad is not None and not good:
        raise _no_text(bad.value, field, source)


def record_pieces(chunks: Iterable[str], field: str, report: CleaningReport, source: str) -> Iterator[Piece]:
    """One piece a record (more of a very long one); offsets are numbers of lines or of an array's items, from 1.

    A record that is not a JSON object, lacks the field, or holds no string in it is dropped and counted.

    Raises:  CorpusError: there are records, but none has text in the field; a JSON array is broken.
    """
    for number, text, blank in record_texts(chunks, field, report, source):
        if text is not None and not blank:
            yield from pieces_of(text, number)


def pieces_of(text: str, number: int) -> Iterator[Piece]:
    """The text of a record as one piece, or more of a very long one; `number` is their offset."""
    if not text or text.isspace():
        yield Piece("", number, False)  # an empty document, which the reader counts
    for piece in split([text], "file"):
        yield Piece(piece.text, number, piece.cut)


def _records(chunks: Iterable[str], field: str, source: str) -> Iterator[_Record]:
    chunks = iter(chunks)
    first = next((chunk for chunk in chunks if chunk.strip()), "")
    chunks = chain([first], chunks)
    if first.lstrip().startswith("["):
        yield from _array(chunks, source)
        return
    if first.lstrip().startswith("{") and not isinstance(_parse(_first_line(first)), dict):
        # an object over several lines, or lines of which the first is broken
        begin, rest = _up_to(chunks, MAX_RECORD)
        whole = _parse(begin)
        if isinstance(whole, dict):
            yield from _whole(whole, field, source)
            return
        chunks = chain([begin], rest)
        if _begins_with_object(begin):  # several such objects, as jq writes them
            yield from _array(iter(chunks), source, bare=True)
            return
    yield from _lines(chunks, field, source)


def _begins_with_object(text: str) -> bool:
    try:
        value, end = json.JSONDecoder().raw_decode(text.lstrip())
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and "\n" in text.lstrip()[:end]


def _first_line(text: str) -> str:
    return text.lstrip().partition("\n")[0]


def _up_to(chunks: Iterator[str], size: int) -> tuple[str, Iterator[str]]:
    parts: list[str] = []
    for chunk in chunks:
        parts.append(chunk)
        size -= len(chunk)
        if size < 0:
            break
    return "".join(parts), chunks


def _lines(chunks: Iterable[str], field: str, source: str) -> Iterator[_Record]:
    """A record a line; a single one may hold all records of the file."""
    held: list[_Record] = []  # the first record, and blank lines after it
    some = False
    for number, line in enumerate(lines(chunks), 1):
        place = f"{source}, line {number}"
        if line is None:
            record = _Record(number, place, None, long=True)
        elif not line or line.isspace():
            record = _Record(number, place, None, blank=True)
        else:
            record = _Record(number, place, _parse(line))
            if not some and isinstance(record.value, dict):
                some, held = True, [record]
                continue
            some = True
        if held and record.blank:
            held.append(record)
            continue
        yield from held
        held = []
        yield record
    if held:
        inner = list(_whole(held[0].value, field, source))
        yield from held if len(inner) == 1 and not inner[0].listed else inner


def _whole(value: dict[str, Any], field: str, source: str) -> Iterator[_Record]:
    """The records of an object that fills its file; the object itself where it is one."""
    items = _items(value, field)
    if items is None:
        yield _Record(1, f"{source}, record 1", value)
        return
    for number, item in enumerate(items, 1):
        yield _Record(number, f"{source}, record {number}", item, listed=True)


def _items(value: dict[str, Any], field: str) -> list[Any] | None:
    if list(_follow(value, _path(value, field))):  # columns: a list, or numbered rows as pandas writes them
        column = value.get(field)
        if isinstance(column, dict):
            column = list(column.values())
        return column if isinstance(column, list) and all(isinstance(i, str) for i in column) else None
    lists = {key: one for key, one in value.items() if isinstance(one, list) and one}
    named = [lists[key] for key in _LISTS if key in lists]
    if not named and len(lists) == 1:
        named = list(lists.values())
    if named and all(isinstance(item, dict | str) for item in named[0]):
        rows = [item.get("row") if isinstance(item, dict) else None for item in named[0]]
        return rows if all(isinstance(row, dict) for row in rows) else named[0]
    if len(value) > 1 and all(isinstance(one, dict) for one in value.values()):
        return list(value.values())
    return None


def _array(chunks: Iterator[str], source: str, bare: bool = False) -> Iterator[_Record]:
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
            if len(buffer) - at <= MAX_RECORD and fill():
                continue
            raise _broken(source, number, str(error).partition(": line")[0]) from None
        if end == len(buffer) and fill():  # a number may go on
            continue
        at = end
        number += 1
        yield _Record(number, f"{source}, record {number}", value, listed=True)


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
    found = list(_follow(record, _path(record, field)))
    if not found:
        report.add("no_field", 1, place)
    elif not all(isinstance(value, str) for value in found):
        report.add("field_not_text", 1, place)
    else:
        return "\n".join(map(str, found))
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
    found: dict[str, int] = {}
    if isinstance(value, str):
        found[path] = len(value)
    elif isinstance(value, list):
        for item in value[:20]:
            for name, size in _texts(item, path).items():
                found[name] = found.get(name, 0) + size
    elif isinstance(value, dict):
        for key, one in value.items():
            found |= _texts(one, f"{path}.{key}" if path else str(key))
    return found


def _no_text(record: object, field: str, source: str) -> CorpusError:
    """The error for a file in which no record has text in the field; `record` is one of them."""
    fields = list(record) if isinstance(record, dict) else []
    texts = _texts(record) if fields else {}
    if texts:
        fix = f"--field {typed_field(likely_field(field, texts))}"
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


def likely_field(field: str, sizes: Mapping[str, int]) -> str:
    """Of the fields that hold text, the one that is called alike, or else the longest."""
    near = difflib.get_close_matches(field, sizes, n=1)
    return near[0] if near else max(sizes, key=lambda name: sizes[name])


def typed_field(name: str) -> str:
    """How the name of a field is typed behind --field."""
    return name if re.fullmatch(r"[\w.-]+", name) else "'" + name.replace("'", "'\\''") + "'"
