"""The text fields of JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from polyseme.core.config import suggest
from polyseme.errors import CorpusError
from polyseme.text.clean import DirtReport
from polyseme.text.split import Piece, lines, split

__all__ = ["no_text", "record_pieces", "text_of"]


def text_of(line: str, field: str, report: DirtReport, place: str) -> str | None:
    """The text in a field of one record; None, counted, where there is none.

    A path such as "messages.message" goes down into objects and through lists; several texts become lines.
    """
    record = _parse(line)
    if not isinstance(record, dict):
        report.add("not_json", 1, place)
        return None
    path = [field] if field in record else field.split(".")
    found = list(_follow(record, path))
    if not found:
        report.add("no_field", 1, place)
    elif not all(isinstance(value, str) for value in found):
        report.add("field_not_text", 1, place)
    else:
        return "\n".join(map(str, found))
    return None


def _follow(value: object, path: list[str]) -> Iterator[object]:
    """What stands at the end of a path of keys; of a list, in each of its items."""
    if isinstance(value, list):
        for item in value:
            yield from _follow(item, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from _follow(value[path[0]], path[1:])


def record_pieces(chunks: Iterable[str], field: str, report: DirtReport, source: str) -> Iterator[Piece]:
    """One piece a record (more of a very long one); offsets are line numbers, from 1.

    A line that is not a JSON object, lacks the field, or holds no string in it is dropped and counted.

    Raises:  CorpusError: there are records, but none has text in the field.
    """
    good, bad = 0, ""
    for number, line in enumerate(lines(chunks), 1):
        place = f"{source}, line {number}"
        if line is None:
            report.add("record_too_long", 1, place)
            continue
        if not line or line.isspace():
            continue
        text = text_of(line, field, report, place)
        if text is None:
            bad = bad or line
            continue
        good += 1
        if not text or text.isspace():
            yield Piece("", number, False)  # an empty document, which the reader counts
        for piece in split([text], "file"):
            yield Piece(piece.text, number, piece.cut)
    if bad and not good:
        raise no_text(bad, field, source)


def no_text(line: str, field: str, source: str) -> CorpusError:
    """The error for a file in which no record has text in the field; `line` is one of them."""
    record = _parse(line)
    fields = list(record) if isinstance(record, dict) else []
    return CorpusError(
        f"no record has text in the field {field!r}",
        got="fields " + ", ".join(fields[:10]) if fields else "lines that are no JSON objects",
        expected="one JSON object on each line",
        where=source,
        fix=f"--field NAME; {suggest(field, fields)}" if fields else "convert the file to JSON lines",
    )


def _parse(line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
