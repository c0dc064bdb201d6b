"""Words as units that encoders with different tokenizers have in common: character spans, and the tokens in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polyseme.core.arrays import IntArray
from polyseme.text.tokens import meeting
from polyseme.text.words import word_spans

__all__ = ["spans_of_words", "touched"]


def spans_of_words(text: str) -> IntArray:
    """[start, end) of the words of a text in characters; Chinese is cut into dictionary words.

    Shapes:  -> (W, 2), in order and apart from each other
    """
    return np.array(word_spans(text, "zh"), np.int64).reshape(-1, 2)


def touched(words: IntArray, offsets: Sequence[tuple[int, int]] | IntArray) -> tuple[IntArray, IntArray]:
    """The words that each token touches: the index of the first, and the index after the last.

    A token of the letters "ing" touches one word, a phrase's token several, a comma or a separator none (first = end).

    Args:
        words: spans as `spans_of_words` gives them.
        offsets: [start, end) of each token.
    Shapes:  (W, 2), (n, 2) -> first, end: (n,)
    Example:
        >>> first, end = touched(spans_of_words("new york, today"), [(0, 8), (8, 9), (10, 15)])
        >>> first.tolist(), end.tolist()
        ([0, 2, 2], [2, 2, 3])
    """
    places = np.asarray(offsets, np.int64).reshape(-1, 2)
    first, end = meeting(words, places)
    empty = places[:, 0] >= places[:, 1]
    return first, np.where(empty, first, np.maximum(first, end))
