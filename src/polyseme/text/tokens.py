"""What a tokenizer makes of one text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Tokens"]


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
