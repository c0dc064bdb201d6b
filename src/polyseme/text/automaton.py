"""Many patterns in one pass: the automaton of Aho and Corasick (1975), over token ids.

    goto(s, a)   the state of the longest known prefix that ends with a; edges are sorted by token within a state
    fail(s)      the longest proper suffix of s's prefix that is itself a prefix
    out(s)       the pattern that ends here, or -1;   next_out(s): the nearest state along fail that has one, or 0

Only its tables are here, as arrays: kernels/units.py runs it; text/phrases.py reads the tree of its edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from polyseme.core.arrays import Int32Array


class Automaton(NamedTuple):
    """The tables.

    Shapes:  edge_start: (S + 1,), edge_token, edge_to: (S - 1,), fail, out, next_out: (S,), lengths: (patterns,)
    """

    edge_start: Int32Array
    edge_token: Int32Array
    edge_to: Int32Array
    fail: Int32Array
    out: Int32Array
    next_out: Int32Array
    lengths: Int32Array


def build(patterns: Sequence[Sequence[int]]) -> Automaton:
    """Tables for some patterns, each at least one token long and all different.

    Source:  Aho and Corasick (1975), algorithms 2 and 3. Departure: next_out instead of merged output sets.
    """
    children: list[dict[int, int]] = [{}]
    out = [-1]
    for number, pattern in enumerate(patterns):
        state = 0
        for token in pattern:
            following = children[state].get(token)
            if following is None:
                following = children[state][token] = len(children)
                children.append({})
                out.append(-1)
            state = following
        out[state] = number
    fail, next_out = [0] * len(children), [0] * len(children)
    queue = list(children[0].values())
    for state in queue:  # breadth first: it grows while it is read
        suffix = fail[state]
        next_out[state] = suffix if out[suffix] >= 0 else next_out[suffix]
        for token, child in children[state].items():
            queue.append(child)
            s = suffix
            while s and token not in children[s]:
                s = fail[s]
            fail[child] = children[s].get(token, 0)
    edges = [sorted(table.items()) for table in children]
    flat = [edge for table in edges for edge in table]
    return Automaton(
        edge_start=np.cumsum([0, *map(len, edges)]).astype(np.int32),
        edge_token=np.array([token for token, _ in flat], np.int32),
        edge_to=np.array([to for _, to in flat], np.int32),
        fail=np.array(fail, np.int32),
        out=np.array(out, np.int32),
        next_out=np.array(next_out, np.int32),
        lengths=np.array([len(p) for p in patterns], np.int32),
    )
