"""Sentence ends for English and Chinese.

Two questions are answered apart. Which line ends are also sentence ends: blank lines always; in text with one
paragraph a line all of them; in hard-wrapped text those after a line that had room for the next word, and
those before an indented line or a list item. What remains, the ends within a paragraph, sentencex knows:
abbreviations, initials, decimal points, quotations (docs/decisions/0002-sentence-ends.md has its scores).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sentencex import segment

from polyseme.text.clean import replace_surrogates
from polyseme.text.words import is_cjk

__all__ = ["WINDOW", "joined_parts", "line_spans", "paragraph_spans", "part_lengths", "sentence_spans"]

_WRAP = 120  # characters of the longest line that a person or an editor wraps text to
_FULL = 0.7  # a line of this share of the width counts as full
_ITEM = re.compile(r"\s*(?:[-*+•>|#]|\(?\w{1,3}[.)]\s|=+$)")
_WORD = re.compile(r"\w")
WINDOW = 2000
"""Characters given to sentencex at once; its time grows with the square of the sentences."""
_SAFE_ENDS = ("。", "！", "？", ". ", "! ", "? ", ".\n", "!\n", "?\n")


def sentence_spans(text: str, language: str) -> list[tuple[int, int]]:
    """Character spans of the sentences, in order, without the white space between them.

    Args:
        text: cleaned text.
        language: "en" or "zh"; others are treated by sentencex's rules for them.

    Example:
        >>> text = "Mr. Smith paid 3.14 dollars. He left."
        >>> [text[start:end] for start, end in sentence_spans(text, "en")]
        ['Mr. Smith paid 3.14 dollars.', 'He left.']
    """
    text = replace_surrogates(text)
    spans: list[tuple[int, int]] = []
    for start, end in paragraph_spans(text):
        spans += joined_parts(text, start, end, part_lengths(text, start, end, language))
    return spans


def part_lengths(text: str, start: int, end: int, language: str) -> list[int]:
    """Lengths of the parts that sentencex cuts a paragraph into."""
    if end - start <= WINDOW:
        return list(map(len, segment(language, text[start:end])))
    return [len(part) for piece in _windows(text, start, end) for part in segment(language, piece)]


def joined_parts(text: str, start: int, end: int, lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Spans of a paragraph's sentences: a part of punctuation alone joins what follows."""
    first = start  # of the sentence that is being gathered
    for length in lengths:
        start += length
        if _WORD.search(text, start - length, start) is not None or start == end:
            sentence = text[first:start]
            bare = sentence.strip()
            if bare:
                at = first + len(sentence) - len(sentence.lstrip())
                yield at, at + len(bare)
            first = start


def line_spans(text: str) -> list[tuple[int, int]]:
    r"""Character spans of the lines that are not blank, in order, without the white space around them.

    Example:
        >>> line_spans("Hello!  How are you?\n\n Fine. ")
        [(0, 20), (23, 28)]
    """
    spans = []
    start = 0
    for line in text.split("\n"):
        bare = line.strip()
        if bare:
            at = start + len(line) - len(line.lstrip())
            spans.append((at, at + len(bare)))
        start += len(line) + 1
    return spans


def paragraph_spans(text: str) -> Iterator[tuple[int, int]]:
    """Spans of text between the line ends that end a sentence."""
    lines = text.split("\n")
    widths = sorted(len(line) for line in lines if line and not line.isspace())
    if not widths:
        return
    width = widths[int(0.95 * (len(widths) - 1))]
    wrapped = width <= _WRAP and sum(w >= _FULL * width for w in widths) >= 0.4 * len(widths)
    start = at = 0
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        at += len(line) + 1
        if not wrapped or _ends(line, following, width):
            if at - 1 > start:
                yield start, at - 1
            start = at


def _ends(line: str, following: str, width: int) -> bool:
    """Whether a paragraph of wrapped text ends between two lines."""
    bare = following.lstrip()
    if not bare or not line or line.isspace():
        return True
    indent = len(following) - len(bare)
    if indent and indent > len(line) - len(line.lstrip()):
        return True
    room = 0.8 * width - len(line) - 1
    if room > 0 and (1 if is_cjk(bare) else len(bare.split(None, 1)[0])) <= room:
        return True
    return _ITEM.match(following) is not None


def _windows(text: str, start: int, end: int) -> Iterator[str]:
    """text[start:end] in pieces that sentencex handles fast, cut where a sentence seems to end, if possible."""
    while end - start > WINDOW:
        low, high = start + WINDOW // 2, start + WINDOW
        at = max(text.rfind(mark, low, high) + len(mark) for mark in _SAFE_ENDS)
        if at <= low:
            at = max(text.rfind(" ", low, high), text.rfind("，", low, high)) + 1
        at = at if at > low else high
        yield text[start:at]
        start = at
    yield text[start:end]
