"""How often words follow each other in a text, counted a stretch at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from polyseme.data.store import TokenStore

IntArray = npt.NDArray[np.int64]


class BigramCounts:
    """The bigrams of a text within documents; a stretch's first word follows the last one of the stretch before it.

    Args:
        store: the text.

    Attributes:
        starts: first tokens of documents, in order.
        keys, numbers: the different bigrams, as first * vocab_size + second, in order, and how often each occurs.

    Shapes:  starts: (documents with text,).  keys, numbers: (different bigrams,)
    """

    def __init__(self, store: TokenStore) -> None:
        self._tokens, self._size = store.tokens, store.vocab_size
        bounds = np.asarray(store.sentences)[np.asarray(store.documents)]
        self.starts: IntArray = np.unique(bounds[:-1][np.diff(bounds) > 0])
        self.keys: IntArray = np.zeros(0, np.int64)
        self.numbers: IntArray = np.zeros(0, np.int64)

    def clear(self) -> None:
        """Forget what was counted."""
        self.keys, self.numbers = np.zeros(0, np.int64), np.zeros(0, np.int64)

    def restore(self, keys: IntArray, numbers: IntArray) -> None:
        """Go on from what was counted before."""
        self.keys, self.numbers = keys.copy(), numbers.copy()

    def add(self, start: int, end: int) -> None:
        """Count the bigrams whose second word is one of tokens start … end-1."""
        before = max(0, start - 1)
        ids = self._tokens[before:end].astype(np.int64)
        inner = np.ones(len(ids), np.bool_)
        first = self.starts[np.searchsorted(self.starts, before) :]
        inner[first[first < end] - before] = False
        keys = np.sort((ids[:-1] * self._size + ids[1:])[inner[1:]])
        begins = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else keys
        numbers = np.diff(np.append(begins, len(keys)))
        keys = np.concatenate([self.keys, keys[begins]])
        self.keys, where = np.unique(keys, return_inverse=True)
        weights = np.concatenate([self.numbers, numbers])
        self.numbers = np.bincount(where, weights, minlength=len(self.keys)).astype(np.int64)

    def words(self) -> tuple[IntArray, IntArray]:
        """The first and the second word of each different bigram."""
        return np.divmod(self.keys, self._size)
