"""Which words meet in word2vec: subsampling, windows, negatives and paths, compiled.

    tokens ──keep_words──► kept words ──draw──► examples, which _word2vec_kernels learns from

Random choices are pure functions of (key, position in the text): they depend neither on threads nor on where a
step begins.

Shapes:  contexts: (ΣC,), context_at: (N + 1,).  targets, labels: (ΣJ,), target_at, gradient_at: (N + 1,)
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from numba import njit

from polyseme.core.compiled import compiled

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S11, _S27, _S30, _S31, _S32 = (np.uint64(n) for n in (11, 27, 30, 31, 32))
_LOW_24 = np.uint64((1 << 24) - 1)
_UNIT_53, _UNIT_24 = 1.0 / (1 << 53), np.float32(1.0 / (1 << 24))

OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


class Words(NamedTuple):
    """Words that subsampling left: their ids, where they stood, and in which sentence (or document).

    Shapes:  kept, place, line: (N,)
    """

    kept: npt.NDArray[np.int32]
    place: npt.NDArray[np.int64]
    line: npt.NDArray[np.int64]

    @classmethod
    def empty(cls, n: int) -> Self:
        """Room for n words."""
        return cls(np.empty(n, np.int32), np.empty(n, np.int64), np.empty(n, np.int64))


@njit(inline="always")
def _mix(state):  # type: ignore[no-untyped-def]
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014), as in core/rng."""
    state = (state ^ (state >> _S30)) * _MIX_1
    state = (state ^ (state >> _S27)) * _MIX_2
    return state ^ (state >> _S31)


@njit(inline="always")
def _below(bits, n):  # type: ignore[no-untyped-def]
    """A whole number in [0, n) from the upper half of 64 random bits."""
    return np.int64(((bits >> _S32) * np.uint64(n)) >> _S32)


@compiled(**OPTIONS)
def keep_words(tokens, start, end, bounds, keep, key, kept, place, line):  # type: ignore[no-untyped-def]
    """Subsample tokens start … end-1: each stays with probability keep[token].

    Args:
        bounds: offsets of the sentences or documents that windows must not leave.
        kept, place, line: filled with the words that stay, where they stood, and in which sentence.
    Returns how many stay.
    """
    n = 0
    s = np.searchsorted(bounds, start, side="right") - 1
    for t in range(start, end):
        while t >= bounds[s + 1]:
            s += 1
        chance = keep[tokens[t]]
        if chance <= 0:
            continue
        if chance < 1 and np.float64(_mix(key + np.uint64(t) * _GOLDEN) >> _S11) * _UNIT_53 >= chance:
            continue
        kept[n], place[n], line[n] = tokens[t], t, s
        n += 1
    return n


@compiled(**OPTIONS)
def draw(  # type: ignore[no-untyped-def]
    kept, place, line, first, last, n, window, dynamic, mean, key, negatives, chance, alias,
    path_at, path, code, contexts, context_at, targets, labels, target_at, gradient_at,
):  # fmt: skip
    """Windows and outputs of the kept words first … last-1, of n.

    Args:
        window, dynamic: longest reach to each side; dynamic: drawn from 1 … window for each word.
        mean: the window counts as one input (CBOW).
        negatives: how many rows of `outputs` are drawn by (chance, alias); 0: those of the word's path.
    Returns (examples, pairs of a word and its context).
    """
    examples, pairs = 0, 0
    context_at[0] = target_at[0] = gradient_at[0] = 0
    for i in range(first, last):
        bits = _mix(key + np.uint64(place[i]) * _GOLDEN)
        reach = 1 + _below(bits, window) if dynamic else window
        c = context_at[examples]
        for j in range(max(0, i - reach), min(n, i + reach + 1)):
            if j != i and line[j] == line[i]:
                contexts[c] = kept[j]
                c += 1
        count = c - context_at[examples]
        if count == 0:
            continue
        t = target_at[examples]
        word = kept[i]
        if negatives > 0:
            targets[t], labels[t] = word, 1
            t += 1
            for _ in range(negatives):
                bits += _GOLDEN
                random = _mix(bits)
                other = _below(random, len(chance))
                if np.float32(random & _LOW_24) * _UNIT_24 >= chance[other]:
                    other = alias[other]
                if other != word:  # the word itself is no negative
                    targets[t], labels[t] = other, 0
                    t += 1
        else:
            for node in range(path_at[word], path_at[word + 1]):
                targets[t], labels[t] = path[node], code[node]
                t += 1
        outputs = t - target_at[examples]
        examples += 1
        pairs += count
        context_at[examples], target_at[examples] = c, t
        gradient_at[examples] = gradient_at[examples - 1] + (outputs if mean else count * outputs)
    return examples, pairs
