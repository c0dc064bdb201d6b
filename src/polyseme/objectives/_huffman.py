"""Huffman's tree over words, for hierarchical softmax.

    frequent words have short paths:  Σ_w count(w) · length(w) is the smallest of all binary trees

Source:  Huffman (1952); Mikolov et al. (2013b), section 2.1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


class Paths(NamedTuple):
    """The way from the root to every word: inner nodes passed, and the branch taken at each (1 or 0).

    Shapes:  start: (V + 1,) offsets.  node: (Σ lengths,) 0 = root.  branch: (Σ lengths,)
    """

    start: IntArray
    node: npt.NDArray[np.int32]
    branch: npt.NDArray[np.int8]


def huffman(counts: IntArray) -> Paths:
    """Paths of all words that occur; the others have none.

    Two queues, one of words and one of nodes made so far, are both in ascending order of their counts, so that
    the two smallest are at their heads. Ties go to words, and among words to the larger id.

    Args:
        counts: how often each word occurs.
    Shapes:  counts: (V,)
    """
    words = np.flatnonzero(counts > 0)
    n = len(words)
    if n < 2:  # nothing to decide
        return Paths(np.zeros(len(counts) + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int8))
    words = words[np.lexsort((-words, counts[words]))]
    weight = np.concatenate([counts[words], np.zeros(n - 1, np.int64)]).tolist()
    parent, branch = np.zeros(2 * n - 1, np.int64), np.zeros(2 * n - 1, np.int8)
    leaf, made = 0, n
    for new in range(n, 2 * n - 1):
        for side in (1, 0):  # the rarer one takes branch 1
            if leaf < n and (made >= new or weight[leaf] <= weight[made]):
                smallest, leaf = leaf, leaf + 1
            else:
                smallest, made = made, made + 1
            weight[new] += weight[smallest]
            parent[smallest], branch[smallest] = new, side
    # From the root, which was made last, down: children come after their parents in this order.
    length = np.zeros(2 * n - 1, np.int64)
    for node in range(2 * n - 3, -1, -1):
        length[node] = length[parent[node]] + 1
    lengths = np.zeros(len(counts), np.int64)
    lengths[words] = length[:n]
    start = np.concatenate([[0], np.cumsum(lengths)])
    nodes, branches = np.zeros(start[-1], np.int32), np.zeros(start[-1], np.int8)
    at, end = np.arange(n), start[words + 1]
    for step in range(1, int(length[:n].max()) + 1):  # all words climb together
        climbing = length[:n] >= step
        place, current = end[climbing] - step, at[climbing]
        nodes[place] = 2 * n - 2 - parent[current]
        branches[place] = branch[current]
        at[climbing] = parent[current]
    return Paths(start, nodes, branches)
