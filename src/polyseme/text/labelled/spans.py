"""Character spans as tools write them: their keys, and the unit of their offsets.

    {"start", "end", "label"}              Prodigy, spaCy; {"start_offset", …} doccano; {"labels": […]} Label Studio
    [start, end, label]                    doccano, spaCy
    {"label": […], "points": [{"start", "end", "text"}]}   dataturks
    {kind: {words: [[first, last], …]}}    CLUENER; the end is inclusive

Where a span names its text, that decides the unit: Python's characters, UTF-16 units (what is written in JavaScript,
which counts an emoji as two), bytes of UTF-8, or characters with an inclusive end.

Such spans cut a text into tagged tokens; words are joined to a text, or located in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any

from polyseme.text.labelled.records import Problems
from polyseme.text.labelled.tagging import Span, tags_of
from polyseme.text.words import TOKEN_PATTERN, has_cjk, is_cjk, is_wide

__all__ = [
    "Marked",
    "Offsets",
    "is_one_token",
    "is_spans",
    "join_words",
    "locate",
    "marked_spans",
    "nearest",
    "placed",
    "space_between",
    "tagged_tokens",
    "tokens_of",
]

Offsets = tuple[tuple[int, int], ...]

_TOKEN = re.compile(TOKEN_PATTERN)
_HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")
_EITHER = frozenset("“”‘’…—·")  # as wide as their neighbours


def space_between(a: str, b: str) -> str:
    """The space between two words of a columns file: none between Chinese characters and at Chinese punctuation, else
    one.

    Example:
        >>> (
        ...     space_between("北京", "市"),
        ...     space_between("，", "WTO"),
        ...     space_between("入", "WTO"),
        ...     space_between("it", "."),
        ... )
        ('', '', ' ', ' ')
    """
    return _gap(a[-1], b[0])


@lru_cache(1 << 16)
def _gap(left: str, right: str) -> str:
    wide = [is_wide(character) and _HANGUL.match(character) is None for character in (left, right)]
    if all(wide):
        return ""
    for character, other, is_one_wide in ((left, right, wide[0]), (right, left, wide[1])):
        if is_one_wide and (not character.isalnum() or other in _EITHER):
            return ""
    return " "


def join_words(words: Sequence[str], glued: Sequence[bool] = ()) -> tuple[str, Offsets]:
    """The text that words form, and their places in it.

    Args:
        words: none may be empty.
        glued: for each word, whether the file says that no space follows it.
    """
    parts = list(words[:1])
    for i, (a, b) in enumerate(pairwise(words)):
        parts += ["" if glued and glued[i] else space_between(a, b), b]
    at, offsets = 0, []
    for i, part in enumerate(parts):
        if i % 2 == 0:
            offsets.append((at, at + len(part)))
        at += len(part)
    return "".join(parts), tuple(offsets)


def locate(words: Sequence[str], text: str, whole: bool = False) -> Offsets | None:
    """The places of words in a text, each searched after the word before; None if a word is missing.

    Args:
        whole: only white space may stand between the words.
    """
    at, offsets = 0, []
    for word in words:
        start = text.find(word, at)
        if start < 0 or (whole and text[at:start].strip()):
            return None
        at = start + len(word)
        offsets.append((start, at))
    return tuple(offsets)


def tokens_of(text: str) -> list[tuple[int, int]]:
    """Single Chinese characters, words, and other characters by themselves, in order.

    Example:
        >>> text = "去Paris吧!"
        >>> [text[start:end] for start, end in tokens_of(text)]
        ['去', 'Paris', '吧', '!']
    """
    tokens: list[tuple[int, int]] = []
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        if is_cjk(match[0]):
            tokens.extend((i, i + 1) for i in range(start, end))
        else:
            tokens.append((start, end))
    return tokens


def tagged_tokens(
    text: str, marked: Sequence[Span], problems: Problems, where: str
) -> tuple[Offsets, tuple[str, ...]]:
    """Tokens of a text, cut further where a span begins or ends, and their BIO tags.

    Of overlapping spans the longest is kept, of equally long ones the first. Spans that are empty or reach outside the
    text are left out, too. All left out are counted.

    Args:
        marked: (kind, start, end) in characters.
    """
    inside_text: list[Span] = []
    for kind, start, end in marked:
        if start < 0 or end > len(text):
            problems.add("span_outside", where, f"{kind} {start}:{end} of {len(text)} characters")
            continue
        inside = text[start:end]
        if end <= start or inside.isspace():
            problems.add("empty_span", where, f"{kind} {start}:{end}")
            continue
        left = len(inside) - len(inside.lstrip())
        inside_text.append((kind, start + left, start + len(inside.rstrip())))
    disjoint: list[Span] = []
    covered = bytearray(len(text))
    for kind, start, end in sorted(inside_text, key=lambda span: (span[1] - span[2], span[1])):
        if any(covered[start:end]):
            problems.add("overlapping_span", where, f"{kind} {text[start:end]}")
        else:
            covered[start:end] = b"\x01" * (end - start)
            disjoint.append((kind, start, end))
    borders = {place for _, start, end in disjoint for place in (start, end)}
    tokens: list[tuple[int, int]] = []
    for start, end in tokens_of(text):
        cuts = (
            [start, *(place for place in range(start + 1, end) if place in borders), end]
            if borders
            else [start, end]
        )
        tokens.extend(pairwise(cuts))
    begins = {start: i for i, (start, _) in enumerate(tokens)}
    ends = {end: i + 1 for i, (_, end) in enumerate(tokens)}
    numbers = [(kind, begins[start], ends[end]) for kind, start, end in disjoint]
    return tuple(tokens), tuple(tags_of(numbers, len(tokens), "BIO"))


def is_one_token(word: str) -> bool:
    """Whether a word is one token, so that a file with such lines may be a column."""
    return _TOKEN.fullmatch(word) is not None and (len(word) <= 4 or not has_cjk(word))


Marked = tuple[str, int, int, str]
"""(kind, start, end, text according to the file or ""), in the unit of the file."""

Turn = Callable[[int, int], tuple[int, int]]
_PLACES = (
    ("start", "end"),
    ("start_offset", "end_offset"),
    ("startOffset", "endOffset"),
    ("start_char", "end_char"),
    ("start_idx", "end_idx"),
    ("start_pos", "end_pos"),
    ("begin", "end"),
    ("from", "to"),
)
_KINDS = (
    "label", "labels", "hypertextlabels", "type", "label_type", "entity_type", "entity_group", "category",
    "tag", "class", "entity",
)  # fmt: skip
_SURFACES = ("text", "surface", "mention", "word", "entity")


def marked_spans(given: Any) -> list[Marked] | None:
    """The spans of a record in any of the forms above; None where a span has none of them."""
    if isinstance(given, dict):
        return _nested(given)
    if not isinstance(given, list):
        return None
    spans: list[Marked] = []
    for item in given:
        marked = (
            _of_object(item) if isinstance(item, dict) else _of_list(item) if isinstance(item, list) else None
        )
        if marked is None:
            return None
        spans += marked
    return spans


def is_spans(value: Any) -> bool:
    """Whether a value is a list of at least one span."""
    return isinstance(value, list) and bool(value) and marked_spans(value) is not None


def _of_list(span: Sequence[Any]) -> list[Marked] | None:
    if len(span) != 3:
        return None
    start, end, kind = span if type(span[0]) is int else (span[1], span[2], span[0])
    if type(start) is not int or type(end) is not int or not isinstance(kind, str) or not kind:
        return None
    return [(kind, start, end, "")]


def _of_object(span: Mapping[str, Any]) -> list[Marked] | None:
    kinds, name = _kinds(span)
    points = span.get("points")
    parts = [point for point in points if isinstance(point, dict)] if isinstance(points, list) else [span]
    marked: list[Marked] = []
    for part in parts:
        start, end = _place(part)
        if start is None or end is None:
            return None
        surface = next((part[key] for key in _SURFACES if key != name and isinstance(part.get(key), str)), "")
        marked += [(kind, start, end, surface) for kind in kinds]
    return marked or None


def _kinds(span: Mapping[str, Any]) -> tuple[list[str], str]:
    """The kinds of a span (Label Studio allows several), and the key that holds them."""
    for name in _KINDS:
        value = span.get(name)
        if isinstance(value, str) and value:
            return [value], name
        if isinstance(value, int) and not isinstance(
            value, bool
        ):  # doccano before 1.5 wrote the label's number
            return [str(value)], name
        if isinstance(value, list) and value and all(isinstance(each, str) and each for each in value):
            return list(value), name
    return [], ""


def _place(span: Mapping[str, Any]) -> tuple[int | None, int | None]:
    whole = span.get("globalOffsets")  # in Label Studio's hypertext start is a path in the document
    span = whole if isinstance(whole, dict) else span
    for first, last in _PLACES:
        start, end = span.get(first), span.get(last)
        if type(start) is int and type(end) is int:
            return start, end
    start, length = span.get("offset"), span.get("length")
    return (start, start + length) if type(start) is int and type(length) is int else (None, None)


def _nested(given: Mapping[str, Any]) -> list[Marked] | None:
    """The spans of CLUENER's form, with exclusive ends."""
    marked: list[Marked] = []
    for kind, by_words in given.items():
        if not isinstance(by_words, dict):
            return None
        for places in by_words.values():
            for place in places if isinstance(places, list) else [None]:
                if (
                    not isinstance(place, list)
                    or len(place) != 2
                    or any(type(end) is not int for end in place)
                ):
                    return None
                marked.append((kind, place[0], place[1] + 1, ""))
    return marked


def placed(text: str, marked: Sequence[Marked], problems: Problems, where: str) -> list[Span]:
    """The spans, converted to characters of the text.

    A span that names its text must hold it: in characters, else all of them in another unit; else each is searched
    nearest to its place, and left out where the text does not contain it. All but the first case are counted.
    """
    given = [span for span in marked if span[3].strip()]
    for unit, turn in _units(text):
        if all(_alike(_cut(text, turn(start, end)), surface) for _, start, end, surface in given):
            if unit:
                problems.add(unit, where, given[0][3])
            return [(kind, *turn(start, end)) for kind, start, end, _ in marked]
    spans: list[Span] = []
    for kind, start, end, surface in marked:
        if not surface.strip() or _alike(_cut(text, (start, end)), surface):
            spans.append((kind, start, end))
            continue
        at = nearest(text, surface.strip(), start)
        problems.add("lost_span" if at < 0 else "moved_span", where, f"{kind} {surface}")
        if at >= 0:
            spans.append((kind, at, at + len(surface.strip())))
    return spans


def _units(text: str) -> Iterator[tuple[str, Turn]]:
    """The units of offsets, the likely ones first, with functions that convert them to characters."""
    yield "", lambda start, end: (start, end)
    if not text.isascii():
        yield "utf16_offsets", _turned(text, _utf16)
        yield "byte_offsets", _turned(text, _utf8)
    yield "inclusive_ends", lambda start, end: (start, end + 1)


def _turned(text: str, width: Callable[[str], int]) -> Turn:
    """A table from units, of which a character may take several, to characters; -1 inside a character."""
    places = {at: i for i, at in enumerate(accumulate(map(width, text), initial=0))}
    return lambda start, end: (places.get(start, -1), places.get(end, -1))


def _utf16(character: str) -> int:
    return 2 if character > "\uffff" else 1


def _utf8(character: str) -> int:
    return len(character.encode("utf-8", "surrogatepass"))


def _cut(text: str, place: tuple[int, int]) -> str:
    return text[place[0] : place[1]] if 0 <= place[0] <= place[1] <= len(text) else ""


def _alike(a: str, b: str) -> bool:
    """Whether two texts are equal except for white space and capitals: tools trim and lowercase the texts they show."""
    return a == b or "".join(a.split()).casefold() == "".join(b.split()).casefold()


def nearest(text: str, surface: str, near: int) -> int:
    """The occurrence of a text nearest to a place; -1 where there is none."""
    near = max(near, 0)
    places = [at for at in (text.rfind(surface, 0, near + len(surface)), text.find(surface, near)) if at >= 0]
    return min(places, key=lambda at: abs(at - near)) if places else -1
