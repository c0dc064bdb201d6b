"""Word classes, compiled: insert a word, find the best merge, merge, and move a word to where it serves best.

objectives/brown.py has the algorithm as the paper writes it. What is maximised is the average mutual information of
adjacent classes. Over N bigrams, with n_ij the number of bigrams from class i to class j, l_i and r_j the bigrams whose
first or second word is of a class, and f(x) = x log x,

    N · AMI = Σ_ij f(n_ij) - Σ_i s_i log l_i - Σ_j t_j log r_j + f(N),      s_i = Σ_j n_ij,  t_j = Σ_i n_ij

Once every word has a class, s = l and t = r. Before that n counts only bigrams between words that have one, while l
and r count all (Liang 2005).

f and log are kept as whole numbers of 2⁻²⁴: sums of them are exact, so what the kernels keep up to date is the same
number as the formula written out, whatever the order, and a resumed run makes the same choices
(docs/decisions/0010-whole-numbers.md).

Merging classes a and b changes N · AMI by

    D_ab = Σ_{j≠a,b} g(n_aj, n_bj) + Σ_{i≠a,b} g(n_ia, n_ib) - h(s, l) - h(t, r)
         + f(n_aa + n_ab + n_ba + n_bb) - f(n_aa) - f(n_ab) - f(n_ba) - f(n_bb)

    g(x, y) = f(x + y) - f(x) - f(y)        h(s, l) = s_a log((l_a + l_b) / l_a) + s_b log((l_a + l_b) / l_b)

g is zero where one of its arguments is. So a word with few neighbouring classes changes few terms, and both putting it
in and merging it away cost O(neighbours · C), not O(C²).

Pairs whose slots are equal or dead have D = NEVER.
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
    """Compile a function of this file."""
    return compiled(nogil=True, error_model="numpy")(function)


@kernel
def f(x: Any, known: Any) -> Any:
    """X log x in units."""
    if x < known.size:
        return known[x]
    return np.int64(np.rint(x * math.log(x) * SCALE))


@kernel
def log_(x: Any, known: Any) -> Any:
    """Log x in units."""
    if x < known.size:
        return known[x]
    return np.int64(np.rint(math.log(x) * SCALE))


@kernel
def g_(x: Any, y: Any, known: Any) -> Any:
    """G of the head of this file."""
    return f(x + y, known) - f(x, known) - f(y, known)


@kernel
def neighbours(word: Any, pointers: Any, ids: Any, counts: Any, slot_of: Any, into: Any) -> Any:
    """Bigrams of a word with the classes of the words on one side; returns those with itself."""
    with_itself = np.int64(0)
    into[:] = 0
    for p in range(pointers[word], pointers[word + 1]):
        other = ids[p]
        if other == word:
            with_itself += counts[p]
        elif slot_of[other] >= 0:
            into[slot_of[other]] += counts[p]
    return with_itself


@kernel
def _h(a: Any, b: Any, tables: Any, v: Any) -> Any:
    """h(s, l) + h(t, r) of two classes."""
    total = np.int64(0)
    for side in range(2):
        seen, margin = tables.seen[side], tables.margin[side]
        both = tables.pair_log[side, a, b]
        total += seen[a] * (both - log_(margin[a], v.log)) + seen[b] * (both - log_(margin[b], v.log))
    return total


@kernel
def margins(a: Any, tables: Any, v: Any) -> None:
    """Bring log(l_a + l_b) of a changed class up to date."""
    for side in range(2):
        margin, both = tables.margin[side], tables.pair_log[side]
        for b in range(len(margin)):
            both[a, b] = log_(margin[a] + margin[b], v.log)
            both[b, a] = both[a, b]


@kernel
def merge_change(a: Any, b: Any, tables: Any, v: Any) -> Any:
    """D_ab written out."""
    n = tables.n
    total = -_h(a, b, tables, v)
    for j in range(len(n)):
        if j != a and j != b:
            total += g_(n[a, j], n[b, j], v.f) + g_(n[j, a], n[j, b], v.f)
    inside = n[a, a] + n[a, b] + n[b, a] + n[b, b]
    total += f(inside, v.f) - f(n[a, a], v.f) - f(n[a, b], v.f) - f(n[b, a], v.f) - f(n[b, b], v.f)
    return total


@kernel
def all_changes(start: Any, end: Any, tables: Any, v: Any) -> None:
    """D of the pairs a > b of rows start … end-1, with sums over j that take in a and b and are then put right."""
    n, nt, d, live = tables.n, tables.nt, tables.d, tables.live
    size = len(n)
    for a in range(start, end):
        d[a, a] = NEVER
        for b in range(a):
            value = NEVER
            if live[a] and live[b]:
                value = -_h(a, b, tables, v)
                for row in (n, nt):
                    x, y = row[a], row[b]
                    for j in range(size):
                        if x[j] != 0 and y[j] != 0:
                            value += g_(x[j], y[j], v.f)
                    value -= g_(x[a], y[a], v.f) + g_(x[b], y[b], v.f)
                aa, ab, ba, bb = n[a, a], n[a, b], n[b, a], n[b, b]
                value += f(aa + ab + ba + bb, v.f) - f(aa, v.f) - f(ab, v.f) - f(ba, v.f) - f(bb, v.f)
            d[a, b] = value
            d[b, a] = value


@kernel
def _change(x: Any, y: Any, row: Any, into: Any, skip: Any, known: Any) -> None:
    """Add g(y, row) - g(x, row) to every class but one."""
    constant = f(x, known) - f(y, known)
    left_out = into[skip]
    for e in range(len(row)):
        into[e] += f(row[e] + y, known) - f(row[e] + x, known) + constant
    into[skip] = left_out


@kernel
def _insert(
    slot: Any, word: Any, after: Any, before: Any, with_itself: Any, g: Any, tables: Any, v: Any
) -> None:
    """Make a class of one word in a free slot and bring D up to date.

    Shapes:  after, before: (K,) its bigrams with every class, as first and as second.  with_itself: those with itself
    """
    n, nt, seen, margin, live, d = tables.n, tables.nt, tables.seen, tables.margin, tables.live, tables.d
    size = len(n)
    margin[0, slot], margin[1, slot] = g.left[word], g.right[word]
    margins(slot, tables, v)
    total = np.zeros(size, np.int64)
    for a in range(size):
        x, y = after[a], before[a]
        if x == 0 and y == 0:
            continue
        # a has bigrams with one more class: h grows with s and t ...
        first, second = log_(margin[0, a], v.log), log_(margin[1, a], v.log)
        for b in range(size):
            change = y * (tables.pair_log[0, a, b] - first) + x * (tables.pair_log[1, a, b] - second)
            d[a, b] -= change
            d[b, a] -= change
        # ... and pairs that share it have one more term g
        for b in range(a):
            if (x != 0 and after[b] != 0) or (y != 0 and before[b] != 0):
                change = g_(x, after[b], v.f) + g_(y, before[b], v.f)
                d[a, b] += change
                d[b, a] += change
        if x != 0:
            _change(np.int64(0), x, nt[a], total, a, v.f)
        if y != 0:
            _change(np.int64(0), y, n[a], total, a, v.f)
    for j in range(size):
        n[slot, j], nt[j, slot], n[j, slot], nt[slot, j] = after[j], after[j], before[j], before[j]
        seen[0, j] += before[j]
        seen[1, j] += after[j]
    n[slot, slot] = nt[slot, slot] = with_itself
    seen[0, slot], seen[1, slot] = after.sum() + with_itself, before.sum() + with_itself
    live[slot] = True
    for a in range(size):
        if live[a] and a != slot:
            inside = with_itself + after[a] + before[a] + n[a, a]
            value = total[a] - _h(a, slot, tables, v) + f(inside, v.f) - f(with_itself, v.f)
            d[a, slot] = value - f(after[a], v.f) - f(before[a], v.f) - f(n[a, a], v.f)
        else:
            d[a, slot] = NEVER
        d[slot, a] = d[a, slot]
    for a in range(size):
        d[a, a] = NEVER
        if not live[a]:
            for b in range(size):
                d[a, b] = d[b, a] = NEVER


@kernel
def _others(a: Any, b: Any, nt: Any, tables: Any, v: Any) -> None:
    """In every other pair's D, terms j = a and j = b become the term of both; for i = a, b call with n for nt."""
    live, d, known = tables.live, tables.d, v.f
    size = len(nt)
    of_a, of_b = nt[a], nt[b]
    both, skipped = np.empty(size, np.int64), np.empty(size, np.bool_)
    for c in range(size):
        both[c] = of_a[c] + of_b[c]
        skipped[c] = c in (a, b) or not live[c]
    for c in range(size):
        x, old, whole = of_b[c], of_a[c], both[c]
        if x == 0 or skipped[c]:
            continue
        constant = f(old, known) - f(whole, known)
        fx = f(x, known)
        for e in range(size):
            y = of_b[e]
            if e == c or skipped[e] or (y != 0 and e > c):
                continue
            change = f(whole + both[e], known) - f(old + of_a[e], known) + constant
            if y != 0:
                change += f(of_a[e], known) - f(both[e], known) - f(x + y, known) + fx + f(y, known)
            d[c, e] += change
            d[e, c] += change


@kernel
def _merge(a: Any, b: Any, tables: Any, v: Any) -> None:
    """Merge class b into class a and bring D up to date; slot b becomes free."""
    n, nt, seen, margin, live, d = tables.n, tables.nt, tables.seen, tables.margin, tables.live, tables.d
    size = len(n)
    _others(a, b, nt, tables, v)
    _others(a, b, n, tables, v)
    change = np.zeros(size, np.int64)
    for j in range(size):
        if j != a and j != b:
            if n[b, j] != 0:
                _change(np.int64(n[a, j]), np.int64(n[a, j] + n[b, j]), nt[j], change, j, v.f)
            if nt[b, j] != 0:
                _change(np.int64(nt[a, j]), np.int64(nt[a, j] + nt[b, j]), n[j], change, j, v.f)
    for e in range(size):
        if live[e] and e != a and e != b:
            ab, ba, ae, be, ea, eb, aa, ee = (
                n[a, b], n[b, a], n[a, e], n[b, e], n[e, a], n[e, b], n[a, a], n[e, e]
            )  # fmt: skip
            inside = aa + ab + ba + n[b, b]
            value = f(inside + ae + be + ea + eb + ee, v.f) - f(inside, v.f)
            value -= f(ae + be, v.f) + f(ea + eb, v.f)
            value -= f(aa + ae + ea + ee, v.f) - f(aa, v.f) - f(ae, v.f) - f(ea, v.f)
            value -= g_(ab, eb, v.f) + g_(ba, be, v.f)  # b is no longer a third class
            change[e] += value + _h(a, e, tables, v)
    for e in range(size):
        n[a, e] += n[b, e]
        n[b, e] = 0
    for e in range(size):
        n[e, a] += n[e, b]
        n[e, b] = 0
    for e in range(size):
        nt[a, e], nt[e, a] = n[e, a], n[a, e]
        nt[b, e] = nt[e, b] = 0
        d[b, e] = d[e, b] = NEVER
    for side in range(2):  # slices of two dimensions would take numba seconds to compile
        seen[side, a] += seen[side, b]
        margin[side, a] += margin[side, b]
        seen[side, b] = margin[side, b] = 0
    live[b] = False
    margins(a, tables, v)
    margins(b, tables, v)
    for e in range(size):
        if live[e] and e != a:
            d[a, e] += change[e] - _h(a, e, tables, v)
            d[e, a] = d[a, e]


@kernel
def best_pair(d: Any) -> Any:
    """The pair a < b with the largest D; among equals the first by rows."""
    first, best = 0, NEVER
    for a in range(len(d) - 1):
        row = d[a]
        top = NEVER
        for b in range(a + 1, len(d)):
            top = max(top, row[b])
        if top > best:
            best, first = top, a
    for b in range(first + 1, len(d)):
        if d[first, b] == best:
            return first, b
    return 0, 1


@kernel
def _refresh(changed: Any, d: Any, best: Any) -> None:
    """Bring the place of every row's largest D up to date when whole rows and columns of D have changed.

    So the best pair is found in O(changed · C) and not O(C²).

    Shapes:  changed: (K,) booleans.  best: (K,), the first place of a row's maximum
    """
    size = len(d)
    columns = np.flatnonzero(changed)
    for r in range(size):
        row = d[r]
        place = best[r]
        if changed[r] or changed[place] or 4 * len(columns) > size:
            top = NEVER
            for b in range(size):
                top = max(top, row[b])
            place = 0
            while row[place] != top:
                place += 1
        else:
            for c in columns:
                if row[c] > row[place] or (row[c] == row[place] and c < place):
                    place = c
        best[r] = place


@kernel
def insert_and_merge(
    start: Any, end: Any, merging: Any, slot_of: Any, g: Any, tables: Any, v: Any, merged: Any
) -> None:
    """Put words start … end-1 in, one after another; with `merging`, make the best merge after each.

    Shapes:  slot_of: (W,), -1 where a word is not in yet.  merged: (end - start, 2), the slot that stays first
    """
    n, nt, d = tables.n, tables.nt, tables.d
    size = len(n)
    after, before = np.zeros(size, np.int64), np.zeros(size, np.int64)
    best, changed = np.zeros(size, np.int64), np.ones(size, np.bool_)
    if merging:
        _refresh(changed, d, best)
    for word in range(start, end):
        slot = 0
        while tables.live[slot]:
            slot += 1
        with_itself = neighbours(word, g.after_pointers, g.after_ids, g.after_counts, slot_of, after)
        neighbours(word, g.before_pointers, g.before_ids, g.before_counts, slot_of, before)
        _insert(slot, word, after, before, with_itself, g, tables, v)
        slot_of[word] = slot
        if not merging:
            continue
        for e in range(size):
            changed[e] = after[e] != 0 or before[e] != 0 or e == slot
        _refresh(changed, d, best)
        a = 0
        for e in range(size):
            if d[e, best[e]] > d[a, best[a]]:
                a = e
        b = best[a]
        if b != slot and (a == slot or _busy(a, n, nt) < _busy(b, n, nt)):
            a, b = b, a  # the one with fewer neighbours is merged away
        for e in range(size):
            changed[e] = n[b, e] != 0 or nt[b, e] != 0 or e in (a, b)
        _merge(a, b, tables, v)
        _refresh(changed, d, best)
        merged[word - start, 0], merged[word - start, 1] = a, b
        if b == slot:
            slot_of[word] = a
        else:
            for other in range(word + 1):
                if slot_of[other] == b:
                    slot_of[other] = a


@kernel
def _busy(a: Any, n: Any, nt: Any) -> Any:
    """Neighbouring classes of a class, counted on both sides."""
    total = 0
    for j in range(len(n)):
        total += (n[a, j] != 0) + (nt[a, j] != 0)
    return total


@kernel
def merge_down(merged: Any, tables: Any, v: Any) -> None:
    """The best merge, as often as `merged` has rows; each pair is written down, the slot that stays first."""
    for row in merged:
        a, b = best_pair(tables.d)
        _merge(a, b, tables, v)
        row[0], row[1] = a, b


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
        old: Any = np.int64(slot_of[word])
        if old >= 0 and sizes[old] == 1:
            continue
        with_itself = neighbours(word, g.after_pointers, g.after_ids, g.after_counts, slot_of, after)
        neighbours(word, g.before_pointers, g.before_ids, g.before_counts, slot_of, before)
        left, right = g.left[word], g.right[word]
        if old >= 0:
            _move(old, np.int64(-1), after, before, with_itself, left, right, tables)
            sizes[old] -= 1
        gain[:] = 0
        for j in range(size):
            if after[j] != 0:
                _gain(after[j], nt[j], gain, j, v.f)
            if before[j] != 0:
                _gain(before[j], n[j], gain, j, v.f)
        first, second = after.sum() + with_itself, before.sum() + with_itself
        best, top = old, NEVER
        for c in range(size):
            if sizes[c] == 0 and c != old:
                continue
            gain[c] += f(n[c, c] + after[c] + before[c] + with_itself, v.f) - f(n[c, c], v.f)
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
        _move(best, np.int64(1), after, before, with_itself, left, right, tables)
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
def _move(
    c: Any, sign: Any, after: Any, before: Any, with_itself: Any, left: Any, right: Any, tables: Any
) -> None:
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
    n[c, c] += sign * with_itself
    nt[c, c] += sign * with_itself
    seen[0, c] += sign * with_itself
    seen[1, c] += sign * with_itself
    margin[0, c] += sign * left
    margin[1, c] += sign * right
