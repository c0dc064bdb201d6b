"""Brown clustering: words by frequency become classes, and the pair whose merge loses least is merged.

words by frequency ──insert and merge──► C classes ──(exchange)──► ──merge down──► a binary tree over them

`PlainClustering` is the algorithm as the paper has it; `Clustering` makes the same merges, compiled (kernels/brown.py),
and keeps a table D: what each merge of two classes would change. How classes become a model of text is in
class_bigram.py, the objective that learns them.

Papers: Brown, Della Pietra, deSouza, Lai and Mercer (1992), section 3; Liang (2005), section 3 and appendix A.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt

from polyseme.core.arrays import Float64Array, Int32Array, IntArray
from polyseme.kernels import brown as kernels
from polyseme.kernels.brown import NEVER, Bigrams, Tables, values


class PlainClustering:
    """The algorithm as one would write it down: every merge is tried, and all is counted again for each.

    While words are missing, the quality of the classes that there are is

        Σ_ij n_ij log(n_ij / (l_i r_j)),

    with n_ij the bigrams from class i to class j, and the margins l and r of the whole text. Once every word has a
    class this is N times the average mutual information, less N log N. A merge never raises it:
    the pair is merged whose change is nearest to zero. Moving single words afterwards (exchange) is an option that the
    compiled form alone has.

    Args:
        bigrams: how often word i is followed by word j; words are numbered by frequency, most frequent first.
        n_classes: C; there is one slot more, for the word that is being put in.
    Attributes:
        slots: the words of every class, None where a slot is free.
    Shapes:  bigrams: (W, W)
    Source:  Brown et al. (1992), section 3.
    """

    def __init__(self, bigrams: npt.NDArray[Any], n_classes: int) -> None:
        self.n, self.n_classes = bigrams.astype(np.float64), n_classes
        self.left, self.right = self.n.sum(1), self.n.sum(0)
        self.slots: list[list[int] | None] = [None] * (n_classes + 1)

    def run(self) -> list[tuple[int, int]]:
        """Put every word in, then merge down to one class; returns the merges of the second part: a binary tree."""
        for word in range(len(self.n)):
            self.insert(word)
            if word >= self.n_classes:
                self.merge(*self.best_pair())
        tree = []
        while sum(words is not None for words in self.slots) > 1:
            tree.append(self.best_pair())
            self.merge(*tree[-1])
        return tree

    def insert(self, word: int) -> None:
        """Make a class of one word."""
        self.slots[self.slots.index(None)] = [word]

    def best_pair(self) -> tuple[int, int]:
        """The pair of classes whose merge loses least."""
        changes = self.changes()
        return max(changes, key=changes.__getitem__)

    def merge(self, a: int, b: int) -> None:
        """Put the words of class b into class a."""
        self.slots[a], self.slots[b] = [*(self.slots[a] or ()), *(self.slots[b] or ())], None

    def changes(self) -> dict[tuple[int, int], float]:
        """What the quality would change by, for each merge of two classes a < b."""
        live = {slot: words for slot, words in enumerate(self.slots) if words is not None}
        before = self.quality(list(live.values()))
        return {
            (a, b): self.quality([live[a] + live[b], *(w for c, w in live.items() if c not in (a, b))])
            - before
            for a, b in itertools.combinations(live, 2)
        }

    def quality(self, classes: Sequence[Sequence[int]]) -> float:
        """The formula above."""
        total = 0.0
        for a, b in itertools.product(classes, classes):
            n = self.n[np.ix_(a, b)].sum()
            if n:
                total += float(n * np.log(n / (self.left[a].sum() * self.right[b].sum())))
        return total


def average_mutual_information(bigrams: npt.NDArray[Any]) -> float:
    """Σ p(i, j) log p(i, j) / (p(i) p(j)), in nats.

    Args:
        bigrams: how often class i is followed by class j.
    Shapes:  bigrams: (C, C)
    Source:  Brown et al. (1992), section 3.
    """
    n = bigrams.astype(np.float64)

    def entropy_like(x: Float64Array) -> float:
        return float((x * np.log(np.maximum(x, 1.0))).sum())

    total = n.sum()
    if not total:
        return 0.0
    inside = entropy_like(n) - entropy_like(n.sum(0)) - entropy_like(n.sum(1))
    return float(inside / total + np.log(total))


def bigrams_of(first: IntArray, second: IntArray, counts: IntArray, n_words: int) -> Bigrams:
    """Rows of successors and of predecessors from a list of different bigrams.

    Shapes:  first, second, counts: (number of different bigrams,), words numbered by frequency
    """

    def rows(of: IntArray, other: IntArray) -> tuple[IntArray, Int32Array, Int32Array]:
        order = np.lexsort((other, of))
        pointers = np.concatenate([[0], np.cumsum(np.bincount(of, minlength=n_words))])
        return pointers, other[order].astype(np.int32), counts[order].astype(np.int32)

    def margin(of: IntArray) -> IntArray:
        return np.bincount(of, counts, minlength=n_words).astype(np.int64)

    return Bigrams(*rows(first, second), *rows(second, first), margin(first), margin(second))


def tree_of(
    slot_of: Int32Array, merged: Sequence[Sequence[int]], n_classes: int
) -> tuple[dict[int, int], Int32Array]:
    """The classes of slots, numbered in the order of the slots, and the tree that merges make of them.

    Args:
        slot_of: of every word.
        merged: (staying, leaving) slots in the order of the merges.
    Returns {slot: class}, and the children of nodes n_classes, n_classes + 1, …, -1 where there was no such merge.
    Shapes:  slot_of: (words,) -> tree: (n_classes - 1, 2)
    """
    leaf = {slot: i for i, slot in enumerate(sorted(set(slot_of.tolist())))}
    tree = np.full((n_classes - 1, 2), -1, np.int32)
    node_of = dict(leaf)
    for t, (staying, leaving) in enumerate(merged):
        tree[t] = node_of[staying], node_of[leaving]
        node_of[staying] = n_classes + t
    return leaf, tree


class Clustering:
    """`PlainClustering`, fast: words in classes, or not yet; it also moves single words (exchange).

    Args:
        bigrams: of words 0 … W - 1, most frequent first.
        n_classes: C; there is one slot more, for the word that is being put in.
    Source:  Brown et al. (1992), section 3; Liang (2005), section 3 and appendix A.
    """

    def __init__(self, bigrams: Bigrams, n_classes: int) -> None:
        self.bigrams, self.n_classes = bigrams, n_classes
        self.n_words = len(bigrams.left)
        self.slot_of = np.full(self.n_words, -1, np.int32)
        size = n_classes + 1
        self.tables = Tables(
            n=np.zeros((size, size), np.int32),
            nt=np.zeros((size, size), np.int32),
            seen=np.zeros((2, size), np.int64),
            margin=np.zeros((2, size), np.int64),
            pair_log=np.zeros((2, size, size), np.int64),
            live=np.zeros(size, np.bool_),
            d=np.full((size, size), NEVER),
        )
        self._values = values(int(bigrams.left.sum()))

    def copy(self) -> Clustering:
        """The same, to be changed by itself."""
        other = Clustering.__new__(Clustering)
        other.__dict__.update(self.__dict__)
        other.slot_of, other.tables = self.slot_of.copy(), Tables(*deepcopy(tuple(self.tables)))
        return other

    def restore(
        self, slot_of: Int32Array, d: IntArray | None = None, merged: Sequence[Sequence[int]] = ()
    ) -> None:
        """Take classes over, of which some have been merged down; everything else but D follows from them."""
        self.slot_of[:] = slot_of
        slot_of = slot_of.copy()
        for staying, leaving in merged:
            slot_of[slot_of == leaving] = staying
        t, g = self.tables, self.bigrams
        first = np.repeat(np.arange(self.n_words), np.diff(g.after_pointers))
        a, b = slot_of[first], slot_of[g.after_ids]
        inside = (a >= 0) & (b >= 0)
        size = self.n_classes + 1
        counts = np.bincount(
            a[inside].astype(np.int64) * size + b[inside], g.after_counts[inside], size * size
        )
        t.n[:] = counts.reshape(size, size)
        t.nt[:] = t.n.T
        t.seen[:] = t.n.sum(1), t.n.sum(0)
        t.live[:] = np.bincount(slot_of[slot_of >= 0], minlength=size) > 0
        for side, of in enumerate((g.left, g.right)):
            t.margin[side] = np.bincount(slot_of[slot_of >= 0], of[slot_of >= 0], size)
            log = self._values.log
            pairs = t.margin[side][:, None] + t.margin[side][None, :]
            if pairs.max(initial=0) < len(log):
                t.pair_log[side] = log[pairs]
            else:
                for slot in range(size):
                    kernels.margins(slot, t, self._values)
        if d is not None:
            t.d[:] = d

    def insert(self, start: int, end: int) -> IntArray:
        """Put words start … end-1 in; those after the first C are followed by the best merge each.

        Shapes:  -> (end - max(start, C), 2), the merges, the slot that stays first
        """
        first = min(max(start, self.n_classes), end)
        merged = np.empty((end - first, 2), np.int64)
        for begin, stop, merging in ((start, first, False), (first, end, True)):
            if stop > begin:
                kernels.insert_and_merge(
                    begin, stop, merging, self.slot_of, self.bigrams, self.tables, self._values, merged
                )
        return merged

    def exchange(self, start: int, end: int) -> int:
        """Move words start … end-1 to where they serve best, those without a class too; returns how many moved.

        D is not kept: `compare_all` makes it again.
        """
        sizes = np.bincount(self.slot_of[self.slot_of >= 0], minlength=self.n_classes + 1)
        # a unit for every term that is rounded: a move never lowers the true value
        slack = 8 * self.n_classes + 16
        return int(
            kernels.exchange(start, end, slack, self.slot_of, sizes, self.bigrams, self.tables, self._values)
        )

    def compare_all(self, start: int, end: int) -> None:
        """Make D anew, rows start … end-1 of the slots."""
        if start == 0:
            for a in range(self.n_classes + 1):
                kernels.margins(a, self.tables, self._values)
        kernels.all_changes(start, end, self.tables, self._values)

    def merge_down(self, times: int) -> IntArray:
        """The best merge, so many times if there are classes enough.

        Shapes:  -> (times, 2), the slot that stays first
        """
        merged = np.empty((max(0, min(times, self.n_live - 1)), 2), np.int64)
        kernels.merge_down(merged, self.tables, self._values)
        return merged

    @property
    def n_live(self) -> int:
        """Classes that there are."""
        return int(self.tables.live.sum())

    @property
    def mutual_information(self) -> float:
        """Of the bigrams between words that have a class, nats."""
        return average_mutual_information(self.tables.n)
