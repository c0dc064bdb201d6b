"""What a tokenizer makes of a text: tokens and their places, which characters go on a word."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polyseme.core.arrays import IntArray
from polyseme.text.words import is_cjk

__all__ = [
    "BYTE_OF",
    "Tokens",
    "cover_marks",
    "joins",
    "meeting",
]


@dataclass(frozen=True, slots=True)
class Tokens:
    """One encoded text; three lists of equal length.

    Args:
        ids: token ids.
        offsets: [start, end) of each token in characters of the text as the user wrote it.
        word_starts: True where a token begins a pre-token (a word, a number, a punctuation mark, a Chinese
            character); exact, unlike `Tokenizer.continues`, which knows only the piece.

    A phrase's token covers its words and what stands between them, and begins one word.
    """

    ids: list[int]
    offsets: list[tuple[int, int]]
    word_starts: list[bool]

    def __len__(self) -> int:
        return len(self.ids)

    def joined(self, phrases: Sequence[tuple[int, int, int]]) -> Tokens:
        """These tokens with stretches of them as one token each.

        Args:
            phrases: (start, end, id) of each stretch, in order, as `Phrases.find` gives them.

        Example:
            >>> words = Tokens([7, 8, 9], [(0, 3), (4, 8), (9, 13)], [True] * 3)
            >>> words.joined([(0, 2, 30)])
            Tokens(ids=[30, 9], offsets=[(0, 8), (9, 13)], word_starts=[True, True])
        """
        if not phrases:
            return self
        joined, at = Tokens([], [], []), 0
        for start, end, phrase in [*phrases, (len(self), len(self), -1)]:
            joined.ids.extend(self.ids[at:start])
            joined.offsets.extend(self.offsets[at:start])
            joined.word_starts.extend(self.word_starts[at:start])
            if phrase >= 0:
                joined.ids.append(phrase)
                joined.offsets.append((self.offsets[start][0], self.offsets[end - 1][1]))
                joined.word_starts.append(self.word_starts[start])
            at = end
        return joined


def meeting(spans: IntArray, asked: IntArray) -> tuple[IntArray, IntArray]:
    """Which of some spans, in the order of a text, each of the asked ones shares a character with.

    Where it meets none, the first is the nearest behind its start, and not before the second.

    Args:
        spans, asked: [start, end) in characters, such as tokens and words.
    Shapes:  (n, 2), (m, 2) -> the first that is met, the one behind the last: (m,)
    Example:
        >>> first, behind = meeting(np.array([(0, 3), (4, 8)]), np.array([(2, 5), (8, 9)]))
        >>> first.tolist(), behind.tolist()
        ([0, 2], [2, 2])
    """
    ends = np.maximum.accumulate(spans[:, 1])  # tokens of one character may lie in another's place
    first = np.searchsorted(ends, asked[:, 0], side="right")
    return first, np.searchsorted(spans[:, 0], asked[:, 1], side="left")


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
    unprintable = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(unprintable)}


BYTE_OF = _byte_characters()
