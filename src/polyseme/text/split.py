"""Cutting a stream of text into documents.

    blank    blank lines part documents
    line     each line is a document
    file     a file is one document
    heading  lines like ` = Title = ` begin documents, as in WikiText; ` = = Section = = ` do not
    auto     one of these, by what the file holds: document_rule.py

A document of more than 32,000 characters is cut into parts, each a document of its own: at the last blank line
of its second half, else at a line end, a sentence end, a space, or right there. This bounds memory whatever
the file, and gives the split into training and held-out text its grain.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Literal, TypeVar

__all__ = ["BLANK", "HEADING", "LIMIT", "MAX_RECORD", "Mode", "Numbered", "Piece", "lines", "peek", "split"]

T = TypeVar("T")
Numbered = Iterator[tuple[int, str]]
"""Lines with their numbers, from 1."""

Mode = Literal["blank", "file", "line", "heading"]
LIMIT = 32_000  # characters of the longest document
BLANK = re.compile(r"\n(?:[ \t\u3000]*\n)+")
HEADING = re.compile(r"\n(?=[ \t]*= (?! ?=)[^\n]*[^=\s] =[ \t]*\n)")
_LINE = re.compile(r"\n")
MAX_RECORD = 64_000_000


@dataclass(frozen=True, slots=True)
class Piece:
    """A document as it stands in the file.

    Args:
        text: not yet cleaned.
        offset: characters before it in the file.
        cut: it is the first part of a document that was too long.
    """

    text: str
    offset: int
    cut: bool


def split(chunks: Iterable[str], mode: Mode) -> Iterator[Piece]:
    """Cut a stream into documents; how the stream is chunked makes no difference."""
    separator = {"blank": BLANK, "line": _LINE, "heading": HEADING, "file": None}[mode]
    buffer, offset, cut = "", 0, False
    for chunk in chunks:
        buffer += chunk
        start = 0
        for match in separator.finditer(buffer) if separator else ():
            if match.end() == len(buffer) and mode == "blank":
                break  # it may go on in the next chunk
            yield from _parts(buffer, start, match.start(), offset, cut)
            start, cut = match.end(), False
        while len(buffer) - start > 2 * LIMIT:  # surely too long: let it go without waiting for its end
            end = _cut_point(buffer, start)
            yield Piece(buffer[start:end], offset + start, not cut)
            start, cut = end, True
        buffer, offset = buffer[start:], offset + start
    yield from _parts(buffer, 0, len(buffer), offset, cut)


def _parts(text: str, start: int, end: int, offset: int, cut: bool) -> Iterator[Piece]:
    """The block text[start:end], in parts if it is too long; `cut`: earlier parts are gone already."""
    while end - start > LIMIT:
        at = _cut_point(text, start)
        yield Piece(text[start:at], offset + start, not cut)
        start, cut = at, True
    if not text[start:end].isspace() and start < end:
        yield Piece(text[start:end], offset + start, False)


def _cut_point(text: str, start: int) -> int:
    """Where to end a part that begins at `start` and is too long."""
    low, high = start + LIMIT // 2, start + LIMIT
    for ends in (("\n\n",), ("\n",), ("。", "！", "？", ". ", "! ", "? "), (" ", "\u3000", "\t")):
        best = max(text.rfind(end, low, high) + len(end) for end in ends)
        if best > low:
            return best
    while high > low and unicodedata.combining(text[high]):
        high -= 1
    return high


def lines(chunks: Iterable[str], longest: int = MAX_RECORD) -> Iterator[str | None]:
    """Lines of a stream, split at LF alone; None stands for a line too long to hold."""
    parts: list[str] = []
    size = 0
    for chunk in chunks:
        first, *rest = chunk.split("\n")
        for line in rest:
            if size + len(first) > longest:
                yield None
            else:
                yield "".join([*parts, first])
            parts, size, first = [], 0, line
        size += len(first)
        if size <= longest:
            parts.append(first)
        else:
            parts = []
    if size > longest:
        yield None
    elif size:
        yield "".join(parts)


def peek(items: Iterator[T], n: int) -> tuple[list[T], Iterator[T]]:
    """The first items, and all of them."""
    head = list(islice(items, n))
    return head, chain(head, items)
