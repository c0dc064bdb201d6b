"""One text or two as an encoder reads them: [CLS] A [SEP] B [SEP], or what an imported tokenizer has instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from polyseme.core.arrays import IntArray
from polyseme.text.tokenizers import ABSENT, Tokenizer

SEPARATOR = -1


class Wrapped(NamedTuple):
    """Tokens of an example and where each comes from.

    Args:
        ids: with separators.
        type: 0 for the first text and its separators, 1 for the second.
        text: 0 or 1: which text a token belongs to; SEPARATOR for what was added.
        token: which token of its text; SEPARATOR for what was added.
    Shapes:  each (n,)
    """

    ids: IntArray
    type: IntArray
    text: IntArray
    token: IntArray


@dataclass(frozen=True)
class Wrapper:
    """How a tokenizer's texts are joined.

        prefix A suffix                 one text
        prefix A middle B suffix        two; middle is the suffix, or where there is none the token that ends a text

    Args:
        prefix, middle, suffix: ids of separators.
        opening: id that stands for a text without any token where there are no separators.
    """

    prefix: tuple[int, ...]
    middle: tuple[int, ...]
    suffix: tuple[int, ...]
    opening: int

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Wrapper:
        """That of a tokenizer."""
        end = tuple(i for i in (tokenizer.sep_id, tokenizer.cls_id) if i != ABSENT)[:1]
        middle = tokenizer.suffix_ids or end
        return cls(tokenizer.prefix_ids, middle, tokenizer.suffix_ids, end[0] if end else 0)

    def added(self, pair: bool) -> int:
        """How many separators an example has."""
        return len(self.prefix) + len(self.suffix) + (len(self.middle) if pair else 0)

    def wrap(self, a: Sequence[int], b: Sequence[int] | None = None) -> Wrapped:
        """Ids of one or two texts with their separators."""
        parts = [(self.prefix, SEPARATOR, 0), (a, 0, 0)]
        if b is not None:
            parts += [(self.middle, SEPARATOR, 0), (b, 1, 1)]
        parts.append((self.suffix, SEPARATOR, 0 if b is None else 1))
        if not any(len(ids) for ids, _, _ in parts):
            parts = [((self.opening,), SEPARATOR, 0)]
        sizes = [len(ids) for ids, _, _ in parts]
        text = np.repeat([part[1] for part in parts], sizes).astype(np.int64)
        token = np.concatenate([np.arange(n) for n in sizes]).astype(np.int64)
        token[text == SEPARATOR] = SEPARATOR
        return Wrapped(
            np.concatenate([np.asarray(ids, np.int64) for ids, _, _ in parts]),
            np.repeat([part[2] for part in parts], sizes).astype(np.int64),
            text,
            token,
        )


def shares(a: int, b: int, max_content: int) -> tuple[int, int]:
    """How many tokens of two texts stay when both must fit: the longer one is cut first.

    Example:
        >>> shares(10, 3, 8), shares(2, 3, 8), shares(9, 9, 8)
        ((5, 3), (2, 3), (4, 4))
    """
    over = a + b - max_content
    if over <= 0:
        return a, b
    gap = abs(a - b)
    first = min(over, gap)
    rest = over - first
    if a >= b:
        a -= first
    else:
        b -= first
    return max(0, a - (rest + 1) // 2), max(0, b - rest // 2)
