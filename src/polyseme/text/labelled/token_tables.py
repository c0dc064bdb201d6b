r"""Tables of tagged sentences: a row a token with the number of its sentence, or a row a sentence.

Sentence #,Word,POS,Tag       a row a token; an empty number is that of the row above
sentence_id,words,labels      simpletransformers
text_a <tab> label            ERNIE and PaddleNLP: a row a sentence, its tokens and tags separated by \x02 or spaces
text,label                    Label Studio's CSV: spans as JSON
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from polyseme.errors import ConfigError
from polyseme.text.labelled.dialects import SEPARATORS, open_table
from polyseme.text.labelled.opening import LabelledFile, Row, column_numbers, columns_option
from polyseme.text.labelled.rows import plain_name
from polyseme.text.labelled.tagging import looks_tagged
from polyseme.text.split import Numbered, peek

__all__ = ["MARK", "is_token_table", "table_values"]

MARK = "\x02"
"""The separator of tokens in ERNIE's files."""
_NAMES: dict[str, tuple[str, ...]] = {
    "tag": ("tag", "tags", "label", "labels", "ner", "ner_tag", "ner_tags", "ner_label", "entity", "bio"),
    "token": ("token", "tokens", "word", "words"),
    "text": ("text", "text_a", "sentence", "content"),
    "sentence": ("sentence_#", "sentence_id", "sentence_no", "sentence_number", "sent_id", "sentence_idx"),
}
Fields = Iterator[tuple[int, list[str] | None]]


def is_token_table(lines: Sequence[str], suffix: str, columns: Mapping[str, str]) -> bool:
    """Whether the first lines of a file are such a table rather than one token a line."""
    first = next((line for line in lines if line and not line.isspace()), "")
    if MARK in first or any(MARK in line and "\t" in line for line in lines):
        return True
    if suffix == ".csv" and any(mark in first for mark in SEPARATORS):
        return True
    if any(theirs.isdecimal() for theirs in columns.values()) or "\t" not in first:
        return False
    columns_there = _places(first.split("\t"), {})
    return bool(columns) or ({"token", "text"} & set(columns_there) != set() and "tag" in columns_there)


def _places(header: Sequence[str], columns: Mapping[str, str]) -> dict[str, int]:
    plain = [plain_name(name) for name in header]
    places: dict[str, int] = {}
    for ours, names in _NAMES.items():
        if ours in columns:
            if columns[ours] in header:
                places[ours] = header.index(columns[ours])
            continue
        at = next((plain.index(name) for name in names if name in plain), None)
        if at is not None and at not in places.values():
            places[ours] = at
    return places


def table_values(file: LabelledFile, lines: Numbered) -> Iterator[Row]:
    """A record {"tokens", "tags"} or {"text", "spans"} for each sentence.

    Columns are "token", "tag", "sentence" (its number), or numbers from 1 where there is no header.

    Raises:  ConfigError: there is no column of words or texts, or none of tags.
    """
    columns, labelled = file.columns, file.labelled
    numbers = column_numbers(columns)
    dialect, table, _ = open_table(
        lines,
        file.suffix,
        lambda names: _fits(names, columns),
        lambda kind, number, line: None,  # rows of empty fields separate sentences, as blank lines do
        needed=1 + max(numbers.values()) if numbers else 0,
        separator=file.separator,
    )
    file.read.form = f"a table of tokens and tags, {dialect}"
    rows: Fields = ((number, fields) for number, fields, _ in table)
    number, header = next(rows, (1, None))
    if header is None:
        return
    places = _places(header, columns) if numbers is None else numbers
    if numbers is not None and max(numbers.values()) < len(header):
        rows = chain([(number, header)], rows)
    elif any(MARK in field for field in header):
        places, rows = {"text": 0, "tag": 1}, chain([(number, header)], rows)
    unknown = [theirs for ours, theirs in columns.items() if places.get(ours, len(header)) >= len(header)]
    if unknown or not {"token", "text"} & set(places) or (labelled and "tag" not in places):
        raise ConfigError(
            f"no column {unknown[0]!r}" if unknown else "no column of words, or none of their tags",
            got="columns " + ", ".join(header)[:200],
            expected="a token and its tag in each row, and the number of its sentence; or a text and its tags",
            where=file.at(number),
            fix=_typed(header, next(rows, (0, None))[1] or []),
        )
    head, rows = peek(rows, 1)
    if not _is_sentence(head[0][1] if head else None, places):
        yield from _by_token(file, rows, places)
        return
    at = places.get("text", places.get("token", 0))
    for number, fields in rows:
        where = file.at(number)
        if fields is None or len(fields) <= max(at, places.get("tag", 0) if labelled else 0):
            yield Row(number, where, {}, bad="too_few_fields")
        else:
            yield Row(number, where, _sentence(fields[at], fields[places["tag"]] if labelled else None))


def _typed(header: Sequence[str], row: Sequence[str]) -> str:
    """The `--columns` option that the first two rows suggest; numbers where the first is no header."""
    fields = row if len(row) == len(header) else header
    tag = next((i for i in reversed(range(len(fields))) if looks_tagged(fields[i].strip())), len(fields) - 1)
    rest = [i for i in range(len(fields)) if i != tag]
    words = [i for i in rest if not fields[i].strip().isdecimal()] or rest or [tag]
    counts = [i for i in rest if fields[i].strip().isdecimal() and i != words[0]]
    places = {"token": words[0], "tag": tag} | ({"sentence": counts[0]} if counts else {})
    bare = any(looks_tagged(field.strip()) for field in header)
    return columns_option({ours: str(place + 1) if bare else header[place] for ours, place in places.items()})


def _fits(names: Sequence[str], columns: Mapping[str, str]) -> bool:
    """Whether fields form a header with a column of words or texts."""
    return bool({"token", "text"} & set(_places(names, columns)))


def _is_sentence(row: Sequence[str] | None, places: Mapping[str, int]) -> bool:
    """Whether each row is a sentence: it has a text and no word, or lists of tags, or as many tags as words."""
    if row is None or len(row) <= max(places.values()):
        return "text" in places and "token" not in places
    text = row[places.get("text", places.get("token", 0))]
    tags = row[places["tag"]] if "tag" in places else ""
    if MARK in text or _json(tags) is not None or len(text.split()) == len(tags.split()) > 1:
        return True
    return "text" in places and not {"token", "sentence"} & set(places)


def _by_token(file: LabelledFile, rows: Fields, places: Mapping[str, int]) -> Iterator[Row]:
    labelled = file.labelled
    at, tag_at, id_at = places.get("token", places.get("text", 0)), places.get("tag"), places.get("sentence")
    words: list[str] = []
    tags: list[str] = []
    id, start, last = "", 0, 0

    def done() -> Row:
        return Row(start, file.at(start), {"tokens": words} | ({"tags": tags} if labelled else {}))

    for number, fields in rows:
        if fields is None or len(fields) <= max(at, tag_at if labelled and tag_at is not None else 0):
            yield Row(number, file.at(number), {}, bad="too_few_fields")
            continue
        row_id = fields[id_at].strip() if id_at is not None and id_at < len(fields) else ""
        gap = id_at is None and number > last + 1
        if words and ((row_id and row_id != id) or gap):
            yield done()
            words, tags = [], []
        if not words:
            start = number
        id, last = row_id or id, number
        words.append(fields[at])
        tags.append(fields[tag_at].strip() if labelled and tag_at is not None else "")
    if words:
        yield done()


def _sentence(text: str, given: str | None) -> dict[str, Any]:
    """The sentence of a row: JSON lists, or tokens and tags separated by the mark or by spaces."""
    if given is None:
        return {"tokens": text.split(MARK)} if MARK in text else {"text": text}
    if not given.strip():
        return {"text": text}
    value = _json(given)
    if isinstance(value, list) and all(isinstance(tag, str) for tag in value) and value:
        words = _json(text)
        return {"tokens": words if isinstance(words, list) else _parts(text), "tags": value}
    if isinstance(value, list | dict):
        return {"text": text, "spans": value}
    return {"tokens": _parts(text), "tags": _parts(given.strip())}


def _parts(text: str) -> list[str]:
    return text.split(MARK) if MARK in text else text.split()


def _json(text: str) -> Any:
    """A JSON list or object in a cell; a list of strings also in Python's syntax."""
    text = text.strip()
    if not text.startswith(("[", "{")):
        return None
    for spelling in (text, text.replace("'", '"')):
        try:
            return json.loads(spelling)
        except (ValueError, RecursionError):
            continue
    return None
