"""Numba kernel of the exchange algorithm: every word goes to the class where it serves best.

Source: Kneser and Ney (1993), "Improved clustering techniques for class-based statistical language modelling"; Martin,
Liermann and Ney (1998), "Algorithms for bigram and trigram word clustering", section 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from polyseme.objectives._information import NEVER, f, kernel, log_, neighbours


@kernel
def exchange(start: Any, end: Any, slack: Any, slot_of: Any, sizes: Any, g: Any, tables: Any, v: Any) -> Any:
    """Move each of the words start … end-1 to the class where N · AMI is largest; returns how many moved.

    A word that has no class is put into one. One that has moves only where that gains more than `slack` units, and
    never out of a class that would be empty. D and pair_log are not kept.

    Shapes:  slot_of: (W,).  sizes: (K,) words of every class
    Source:  Kneser and Ney (1993); Martin, Liermann and Ney (1998), section 3. Departure: a word is looked at once per
        call, in the order of frequency.
    """
    n, nt, seen, margin = tables.n, tables.nt, tables.seen, tables.margin
    size = len(n)
    moved = 0
    gain = np.empty(size, np.int64)
    after, before = np.empty(size, np.int64), np.empty(size, np.int64)
    for word in range(start, end):
        old = slot_of[word]
        if old >= 0 and sizes[old] == 1:
            continue
        own = neighbours(word, g.after_pointers, g.after_ids, g.after_counts, slot_of, after)
        neighbours(word, g.before_pointers, g.before_ids, g.before_counts, slot_of, before)
        left, right = g.left[word], g.right[word]
        if old >= 0:
            _move(old, -1, after, before, own, left, right, tables)
            sizes[old] -= 1
        gain[:] = 0
        for j in range(size):
            if after[j] != 0:
                _gain(after[j], nt[j], gain, j, v.f)
            if before[j] != 0:
                _gain(before[j], n[j], gain, j, v.f)
        first, second = after.sum() + own, before.sum() + own
        best, top = old, NEVER
        for c in range(size):
            if sizes[c] == 0 and c != old:
                continue
            gain[c] += f(n[c, c] + after[c] + before[c] + own, v.f) - f(n[c, c], v.f)
            if old >= 0:  # every word has a class: s = l and t = r
                gain[c] -= f(margin[0, c] + left, v.f) - f(margin[0, c], v.f)
                gain[c] -= f(margin[1, c] + right, v.f) - f(margin[1, c], v.f)
            else:
                more, less = log_(margin[0, c] + left, v.log), log_(margin[0, c], v.log)
                gain[c] -= (seen[0, c] + first + before[c]) * more - (seen[0, c] + before[c]) * less
                more, less = log_(margin[1, c] + right, v.log), log_(margin[1, c], v.log)
                gain[c] -= (seen[1, c] + second + after[c]) * more - (seen[1, c] + after[c]) * less
            if gain[c] > top:
                best, top = c, gain[c]
        if old >= 0 and top - gain[old] <= slack:
            best = old
        _move(best, 1, after, before, own, left, right, tables)
        sizes[best] += 1
        slot_of[word] = best
        moved += best != old
    return moved


@kernel
def _gain(x: Any, row: Any, into: Any, skip: Any, known: Any) -> None:
    """Add f(row + x) - f(row) to every class but one."""
    left_out = into[skip]
    for c in range(len(row)):
        into[c] += f(row[c] + x, known) - f(row[c], known)
    into[skip] = left_out


@kernel
def _move(c: Any, sign: Any, after: Any, before: Any, own: Any, left: Any, right: Any, tables: Any) -> None:
    """Add a word's bigrams to class c, or with sign -1 take them away."""
    n, nt, seen, margin = tables.n, tables.nt, tables.seen, tables.margin
    for j in range(len(n)):
        n[c, j] += sign * after[j]
        nt[j, c] += sign * after[j]
        seen[0, c] += sign * after[j]
        seen[1, j] += sign * after[j]
    for j in range(len(n)):
        n[j, c] += sign * before[j]
        nt[c, j] += sign * before[j]
        seen[0, j] += sign * before[j]
        seen[1, c] += sign * before[j]
    n[c, c] += sign * own
    nt[c, c] += sign * own
    seen[0, c] += sign * own
    seen[1, c] += sign * own
    margin[0, c] += sign * left
    margin[1, c] += sign * right
