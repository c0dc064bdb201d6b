"""The average mutual information of adjacent classes, in whole numbers, and what its kernels share.

What is maximised is the average mutual information of adjacent classes. Over N bigrams, with n_ij the number of bigrams
from class i to class j, l_i and r_j the bigrams whose first or second word is of a class, and f(x) = x log x,

    N · AMI = Σ_ij f(n_ij) - Σ_i s_i log l_i - Σ_j t_j log r_j + f(N),      s_i = Σ_j n_ij,  t_j = Σ_i n_ij

Once every word has a class, s = l and t = r. Before that n counts only bigrams between words that have one, while l
and r count all (Liang 2005).

f and log are kept as whole numbers of 2⁻²⁴: sums of them are exact, so what the kernels keep up to date is the same
number as the formula written out, whatever the order, and a resumed run makes the same choices
(docs/decisions/0010-whole-numbers.md).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from polyseme.core.compiled import compiled

SCALE = float(1 << 24)
"""Units in a nat."""

NEVER = np.int64(-(1 << 62))
"""D of pairs that do not exist."""

KNOWN = 1 << 20
"""Values of f and log that are looked up rather than computed."""

Array = npt.NDArray[Any]


class Bigrams(NamedTuple):
    """Bigrams of words, which are numbered by frequency, most frequent first: rows of successors and of predecessors.

    Shapes:  pointers: (W + 1,).  ids, counts: (number of different bigrams,).  left, right: (W,), how often a word is
        first and second in a bigram
    """

    after_pointers: Array
    after_ids: Array
    after_counts: Array
    before_pointers: Array
    before_ids: Array
    before_counts: Array
    left: Array
    right: Array


class Tables(NamedTuple):
    """What is known about the classes, one to a slot; a dead slot has counts of zero and D = NEVER.

    Shapes:  n: (K, K), nt its transpose.  seen: (2, K) s and t.  margin: (2, K) l and r.  pair_log: (2, K, K)
        log(l_a + l_b) and log(r_a + r_b).  live: (K,).  d: (K, K)
    """

    n: Array
    nt: Array
    seen: Array
    margin: Array
    pair_log: Array
    live: Array
    d: Array


class Values(NamedTuple):
    """f(0), f(1), … and log 1, log 1, log 2, … in units."""

    f: Array
    log: Array


def values(largest: int) -> Values:
    """The values that arguments up to `largest` need, as far as they are looked up."""
    x = np.maximum(np.arange(min(largest, KNOWN) + 1, dtype=np.float64), 1.0)
    log = np.log(x)
    return Values(np.rint(x * log * SCALE).astype(np.int64), np.rint(log * SCALE).astype(np.int64))


def kernel(function: Any) -> Any:
    return compiled(nogil=True, error_model="numpy")(function)


@kernel
def f(x: Any, known: Any) -> Any:
    if x < known.size:
        return known[x]
    return np.int64(np.rint(x * math.log(x) * SCALE))


@kernel
def log_(x: Any, known: Any) -> Any:
    if x < known.size:
        return known[x]
    return np.int64(np.rint(math.log(x) * SCALE))


@kernel
def g_(x: Any, y: Any, known: Any) -> Any:
    return f(x + y, known) - f(x, known) - f(y, known)


@kernel
def neighbours(word: Any, pointers: Any, ids: Any, counts: Any, slot_of: Any, into: Any) -> Any:
    """Bigrams of a word with the classes of the words on one side; returns those with itself."""
    own = np.int64(0)
    into[:] = 0
    for p in range(pointers[word], pointers[word + 1]):
        other = ids[p]
        if other == word:
            own += counts[p]
        elif slot_of[other] >= 0:
            into[slot_of[other]] += counts[p]
    return own
