"""Characters as tokenizers see them: which go on a word, which marks belong to which letter, which stand for bytes."""

from __future__ import annotations

import unicodedata

from polyseme.text.words import is_cjk

__all__ = ["BYTE_OF", "cover_marks", "joins"]


def joins(character: str) -> bool:
    """Whether a character can go on a word: a letter, digit or mark that is not Chinese."""
    first = character[:1] or " "
    return (first.isalnum() and not is_cjk(first)) or unicodedata.combining(first) > 0


def cover_marks(text: str, offsets: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Extend each token over the combining marks that NFC melted into its last character."""
    covered = []
    following = [start for start, _ in offsets[1:]] + [len(text)]
    for (start, end), limit in zip(offsets, following, strict=True):
        while start < end < limit and unicodedata.combining(text[end]):
            end += 1
        covered.append((start, end))
    return covered


def _byte_characters() -> dict[str, int]:
    """GPT-2's printable stand-ins for the 256 bytes, reversed."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(others)}


BYTE_OF = _byte_characters()
