"""Where tokens stand: words put together to a text, words found in a text, and spans cut into tagged tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from polyseme.text.labelled.records import Problems
from polyseme.text.labelled.tagging import Span, tags_of
from polyseme.text.words import TOKEN_PATTERN, has_cjk, is_cjk, is_wide

__all__ = ["Offsets", "is_one_token", "join_words", "locate", "space_between", "tagged_tokens", "tokens_of"]

Offsets = tuple[tuple[int, int], ...]

_TOKEN = re.compile(TOKEN_PATTERN)
_HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")
_EITHER = frozenset("“”‘’…—·")  # as wide as what stands beside them


def space_between(a: str, b: str) -> str:
    """What belongs between two words of a file of columns: nothing between Chinese characters and at Chinese
    punctuation, else a space.

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
    wide = [is_wide(one) and _HANGUL.match(one) is None for one in (left, right)]
    if all(wide):
        return ""
    for one, other, is_one_wide in ((left, right, wide[0]), (right, left, wide[1])):
        if is_one_wide and (not one.isalnum() or other in _EITHER):
            return ""
    return " "


def join_words(words: Sequence[str], glued: Sequence[bool] = ()) -> tuple[str, Offsets]:
    """A text of words and their places in it.

    Args:
        words: none of them empty.
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
    """The places of words in a text, searched from the end of the one before; None if one is not there.

    Args:
        whole: only white space may be between the words.
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

    Of spans that overlap the longest is kept, of equally long ones the first; those that are empty or reach outside
    the text are left out, too; all are counted.

    Args:
        marked: (kind, start, end) in characters.
    """
    good: list[Span] = []
    for kind, start, end in marked:
        if start < 0 or end > len(text):
            problems.add("span_outside", where, f"{kind} {start}:{end} of {len(text)} characters")
            continue
        inside = text[start:end]
        if end <= start or inside.isspace():
            problems.add("empty_span", where, f"{kind} {start}:{end}")
            continue
        left = len(inside) - len(inside.lstrip())
        good.append((kind, start + left, start + len(inside.rstrip())))
    kept: list[Span] = []
    taken = bytearray(len(text))
    for kind, start, end in sorted(good, key=lambda span: (span[1] - span[2], span[1])):
        if any(taken[start:end]):
            problems.add("overlapping_span", where, f"{kind} {text[start:end]}")
        else:
            taken[start:end] = b"\x01" * (end - start)
            kept.append((kind, start, end))
    borders = {place for _, start, end in kept for place in (start, end)}
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
    numbers = [(kind, begins[start], ends[end]) for kind, start, end in kept]
    return tuple(tokens), tuple(tags_of(numbers, len(tokens), "BIO"))


def is_one_token(word: str) -> bool:
    """Whether a word is one token, so that a line of it may be a column."""
    return _TOKEN.fullmatch(word) is not None and (len(word) <= 4 or not has_cjk(word))
