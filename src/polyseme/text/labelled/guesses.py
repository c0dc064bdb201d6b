"""Which columns a person probably means, seen in the rows: for the `try:` line of an error, never for reading."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

__all__ = ["columns_option", "guess", "is_header"]

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
_PLAIN = re.compile(r"[\w@%+=:,./-]+")


def columns_option(columns: Mapping[str, str]) -> str:
    """`--columns` as it is typed in a shell.

    Example:
        >>> columns_option({"text": "内容", "label": "标签"}), columns_option({"text": "Review Text"})
        ('--columns text=内容,label=标签', "--columns 'text=Review Text'")
    """
    typed = ",".join(f"{ours}={theirs}" for ours, theirs in columns.items())
    return "--columns " + (typed if _PLAIN.fullmatch(typed) else shlex.quote(typed))


def guess(
    wanted: Sequence[str], names: Sequence[str], rows: Sequence[Sequence[str]], known: Mapping[str, str]
) -> dict[str, int] | None:
    """Places of the columns that are probably meant; None where there are too few.

    The texts are the longest columns that are no numbers, in the order of the file; the class is one with few values,
    that is no mere number of the row. Neither says the same in all rows.

    Args:
        wanted: our names.
        names: of the columns.
        rows: fields below the names.
        known: our names that are settled, and the columns' names.
    """
    places = {ours: names.index(theirs) for ours, theirs in known.items() if theirs in names}
    free = [
        place
        for place, name in enumerate(names)
        if place not in places.values() and not _NO_COLUMN.fullmatch(name.strip())
    ]
    columns = {place: [row[place] for row in rows if place < len(row)] for place in free}
    same = [place for place in free if len(rows) > 1 and len(set(columns[place])) < 2]
    if same:  # a column that says the same everywhere is neither text nor class
        free = [place for place in free if place not in same]
    missing = [ours for ours in wanted if ours not in places]
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


def is_header(first: Sequence[str], rows: Sequence[Sequence[str]], places: Mapping[str, int]) -> bool:
    """Whether a first line is names of columns rather than a row as those below it."""
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
