"""Removal of documents that were seen before.

exact   the cleaned texts are equal (64-bit BLAKE2b; 8 bytes and some overhead of memory a document)
near    also those whose sets of 5-word shingles (Chinese: 5 characters) overlap by an estimated Jaccard
        similarity of 0.8 or more: 128 MinHash permutations in 16 bands of 8 rows, which propose a pair of
        similarity 0.8 with probability 0.95 and one of 0.5 with 0.06; the estimate then decides.
        About 1 KB of memory a document
"""

from __future__ import annotations

from typing import Any, Literal

from polyseme.errors import ConfigError
from polyseme.text.words import word_spans

__all__ = ["Deduplicator"]

_PERMUTATIONS, _BANDS, _THRESHOLD, _SHINGLE, _SEED = 128, 16, 0.8, 5, 1


class Deduplicator:
    """Remembers documents; the first of equal ones stays.

    Args:
        mode: "none", "exact" or "near".

    Raises:  ConfigError: "near" without the package rensa.
    """

    def __init__(self, mode: Literal["none", "exact", "near"]) -> None:
        self.mode = mode
        self._keys: set[int] = set()
        self._hashes: list[Any] = []
        if mode == "near":
            try:
                from rensa import RMinHashLSH
            except ImportError:
                raise ConfigError(
                    "near-duplicate removal needs the package rensa", fix="pip install rensa"
                ) from None
            self._index = RMinHashLSH(_THRESHOLD, _PERMUTATIONS, _BANDS)

    def seen(self, key: int, text: str) -> str | None:
        """ "duplicate" or "near_duplicate" if such a document came before, else None and it is remembered."""
        if self.mode == "none":
            return None
        if key in self._keys:
            return "duplicate"
        self._keys.add(key)
        return "near_duplicate" if self.mode == "near" and self._resembles(text) else None

    def _resembles(self, text: str) -> bool:
        from rensa import RMinHash

        words = [text[start:end].lower() for start, end in word_spans(text, "en")]
        if len(words) < _SHINGLE:
            return False  # too short to resemble anything
        sketch = RMinHash(_PERMUTATIONS, _SEED)
        sketch.update([" ".join(words[i : i + _SHINGLE]) for i in range(len(words) - _SHINGLE + 1)])
        if any(sketch.jaccard(self._hashes[other]) >= _THRESHOLD for other in self._index.query(sketch)):
            return True
        self._index.insert(len(self._hashes), sketch)
        self._hashes.append(sketch)
        return False
