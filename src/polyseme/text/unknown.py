"""Text that a vocabulary does not know: the share of [UNK], and who is told.

Nothing heavy is imported here: the command line counts from its first word on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["MANY_UNKNOWN", "UnknownShare", "counter_of_file", "unknown_by_file"]

MANY_UNKNOWN = 0.2
"""Share of a text's tokens above which it is said that they are [UNK]."""


@dataclass(slots=True)
class UnknownShare:
    """Tokens that were met, and how many of them are [UNK].

    Args:
        tokens: all of them.
        unknown: those of the text that have no token of their own.
    """

    tokens: int = 0
    unknown: int = 0

    def add(self, ids: Sequence[int], unknown_id: int) -> None:
        """Count a text's tokens."""
        self.tokens += len(ids)
        self.unknown += ids.count(unknown_id)

    @property
    def share(self) -> float:
        """Of the tokens, 0 … 1; 0 without any."""
        return self.unknown / self.tokens if self.tokens else 0.0

    @property
    def is_many(self) -> bool:
        """Whether a reader has to know."""
        return self.share > MANY_UNKNOWN

    def says(self, whose: str) -> str:
        """The share in words, which a person reads.

        Args:
            whose: "the text's", "the training text's".
        """
        percent = f"{self.share:.0%}"
        if percent == "100%" and self.unknown < self.tokens:
            percent = "more than 99%"
        return f"{percent} of {whose} tokens are unknown to the vocabulary ([UNK])"


_watching: list[dict[str, UnknownShare]] = []


@contextmanager
def unknown_by_file(met: dict[str, UnknownShare]) -> Iterator[None]:
    """While it lasts, what vocabularies that are read from files meet is counted here, too, by the file's path."""
    _watching.append(met)
    try:
        yield
    finally:
        _watching.pop()


def counter_of_file(path: str) -> UnknownShare:
    """The counter for a vocabulary of a file: one for all who read it while somebody watches."""
    counter = UnknownShare()
    return _watching[-1].setdefault(path, counter) if _watching else counter
