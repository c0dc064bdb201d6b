"""Guesses, from the rows, which columns the user means: for the `try:` line of an error, never for reading."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from polyseme.text.labelled.opening import follow, leaves
from polyseme.text.labelled.spans import is_spans

__all__ = ["guess", "guess_sentence_keys", "is_header"]

_CLASSES = ("label", "sense", "phenomenon", "paradigm")
_TEXT_WORDS = re.compile(
    r"text|review|comment|content|sentence|body|message|tweet|post|内容|文本|评论|正文|句|テキスト",
    re.IGNORECASE,
)
_LABEL_WORDS = re.compile(
    r"label|class|^is_|spam|rating|sentiment|categor|stars|score|target|polarity|gold|toxic|intent|annotation$|标签|类|情感|评分|星",
    re.IGNORECASE,
)
_ID_WORDS = re.compile(
    r"(.*[_ -])?[a-z]?id\d*|idx|nr|no|number|date|time(stamp)?|user(name)?|url", re.IGNORECASE
)
_DATE = re.compile(r"\s*\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d\S*)?\s*$")
_NO_COLUMN = re.compile(r"|unnamed: ?\d+|index|#", re.IGNORECASE)


def guess(
    wanted: Sequence[str], names: Sequence[str], rows: Sequence[Sequence[str]], known: Mapping[str, str]
) -> dict[str, int] | None:
    """The columns that the user probably means, by our names; None where there are too few.

    The texts are the longest columns that are no numbers, in the order of the file. The class is a column with few
    values that is not just the number of the row. Columns with one value in all rows are neither.

    Args:
        wanted: our names.
        names: of the columns.
        rows: fields below the names.
        known: columns that are settled already, by our names.
    """
    places = {ours: names.index(theirs) for ours, theirs in known.items() if theirs in names}
    free = [
        place
        for place, name in enumerate(names)
        if place not in places.values() and not _NO_COLUMN.fullmatch(name.strip())
    ]
    columns = {place: [row[place] for row in rows if place < len(row)] for place in free}
    missing = [ours for ours in wanted if ours not in places]
    if {"question", "context"} <= set(missing) and (question_places := _of_questions(missing, columns)):
        return {ours: (places | question_places)[ours] for ours in wanted}
    same = [place for place in free if len(rows) > 1 and len(set(columns[place])) < 2]
    if same:  # a column with one value everywhere is neither text nor class
        free = [place for place in free if place not in same]
    texts = [ours for ours in missing if ours not in _CLASSES]
    if len(free) < len(missing):
        return None

    def length(place: int) -> float:
        values = columns[place]
        mean = sum(map(len, values)) / max(1, len(values))
        numbers = sum(_is_number(value) or _DATE.match(value) is not None for value in values)
        return -1.0 if numbers > len(values) / 2 else mean * (3 if _TEXT_WORDS.search(names[place]) else 1)

    longest = sorted(free, key=length, reverse=True)[: len(texts)]
    if texts == ["question", "context", "answer"]:
        longest = [longest[1], longest[0], longest[2]]
    else:
        longest.sort()
    places |= zip(texts, longest, strict=True)

    def is_named(place: int) -> bool:
        return _LABEL_WORDS.search(names[place]) is not None

    def is_class(place: int) -> tuple[bool, bool, int]:
        values = columns[place]
        different = len(set(values))
        id = _ID_WORDS.fullmatch(names[place].strip()) is not None
        return not is_named(place), id or different < 2 or (different == len(values) > 2), different

    rest = sorted((place for place in free if place not in longest), key=is_class)
    classes = [ours for ours in missing if ours in _CLASSES]
    if classes and any(map(is_named, same)) and not is_named(rest[0]):
        return None  # the rows seem to be sorted by their class
    places |= zip(classes, rest, strict=False)
    return {ours: places[ours] for ours in wanted}


def _of_questions(missing: Sequence[str], columns: Mapping[int, Sequence[str]]) -> dict[str, int] | None:
    """Questions end with a question mark, contexts are longest, answers are parts of contexts; None where unclear."""

    def mostly(place: int, fits: Iterable[bool]) -> bool:
        return 2 * sum(fits) > len(columns[place])

    questions = [p for p in columns if mostly(p, (v.rstrip().endswith(("?", "？")) for v in columns[p]))]
    longest = max(columns, key=lambda place: sum(map(len, columns[place])), default=-1)
    if len(questions) != 1 or longest in questions:
        return None
    places = {"question": questions[0], "context": longest}
    if "answer" in missing:
        parts = [
            place
            for place, values in columns.items()
            if place not in (longest, *questions)
            and mostly(place, (bool(v) and v in c for v, c in zip(values, columns[longest], strict=False)))
        ]
        if len(parts) != 1:
            return None
        places["answer"] = parts[0]
    return places


def guess_sentence_keys(records: Sequence[Mapping[str, Any]], labelled: bool) -> dict[str, str]:
    """The keys that hold the texts and spans, or the tokens and tags, of sentences; empty where that is not clear."""

    def most(keys: Iterable[str], fits: Callable[[Any], bool]) -> list[str]:
        return [key for key in keys if 2 * sum(fits(follow(row, key)) for row in records) > len(records)]

    keys = list(dict.fromkeys(key for record in records for key in record))
    spans = most([*keys, *(path for path in leaves(records[0]) if "." in path)], is_spans)
    lists = most(keys, lambda value: isinstance(value, list) and bool(value))
    lengths = {
        key: [len(record[key]) for record in records if isinstance(record.get(key), list)] for key in lists
    }
    items = {
        key: [item for record in records if isinstance(record.get(key), list) for item in record[key]]
        for key in lists
    }
    tokens = [
        key
        for key in lists
        if key not in spans
        and all(isinstance(item, str) for item in items[key])
        and [*lengths.values()].count(lengths[key]) > 1
    ]
    if len(tokens) > 1 or (tokens and not labelled):
        words = max(tokens, key=lambda key: len(set(items[key])))
        tags = [key for key in tokens if key != words]
        return {"tokens": words} | ({"tags": tags[0]} if labelled else {})
    texts = most(keys, lambda value: isinstance(value, str) and bool(value))
    if not texts or (labelled and not spans):
        return {}
    text = max(texts, key=lambda key: sum(len(str(record.get(key))) for record in records))
    return {"text": text} | ({"spans": spans[0]} if labelled else {})


def is_header(first: Sequence[str], rows: Sequence[Sequence[str]], places: Mapping[str, int]) -> bool:
    """Whether a first line holds column names rather than a row like those below it."""
    if any(_is_number(field) for field in first):
        return False
    if not rows:
        return True
    for place, field in enumerate(first):
        values = [row[place] for row in rows if place < len(row)]
        if values and sum(map(_is_number, values)) > 0.9 * len(values):
            return True
        if field.strip() and field in values and len(set(values)) < len(values):
            return False
    texts = [place for ours, place in places.items() if ours not in _CLASSES]
    for place in texts:
        values = [row[place] for row in rows if place < len(row)]
        mean = sum(map(len, values)) / max(1, len(values))
        if _TEXT_WORDS.search(first[place]) and len(first[place]) < mean:
            return True
        if 2 * len(first[place]) <= mean:
            return True
    return False


def _is_number(text: str) -> bool:
    try:
        float(text.strip().replace(",", ".", 1))
    except ValueError:
        return False
    return True
