"""The compiled loops of cutting rows into units (data/units.py) and of choosing some (objectives/knowledge_masking.py).

They hold no Python objects and release the interpreter's lock, so that batches are prepared beside the training.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from polyseme.core.compiled import compiled

BASIC, PHRASE, ENTITY = 0, 1, 2
NO_UNIT = -1


@compiled(nogil=True)
def _step(state: int, token: int, edge_start: Any, edge_token: Any, edge_to: Any, fail: Any) -> int:
    """The state after one more token."""
    while True:
        low, high = edge_start[state], edge_start[state + 1]
        while low < high:
            middle = (low + high) // 2
            if edge_token[middle] < token:
                low = middle + 1
            else:
                high = middle
        if low < edge_start[state + 1] and edge_token[low] == token:
            return edge_to[low]  # type: ignore[no-any-return]
        if state == 0:
            return 0
        state = fail[state]


def find_units(
    ids: Any,
    word_starts: Any,
    piece: Any,
    single: Any,
    patterns: Any,
    levels: Any,
    tables: Any,
    deepest: int,
) -> tuple[Any, Any, Any]:
    """As data/units.py's, with the automaton in place of the patterns."""
    unit = np.empty(ids.shape, np.int64)
    kind, entry = np.empty(ids.shape, np.int8), np.empty(ids.shape, np.int32)
    tokens = np.ascontiguousarray(ids, np.int64), np.ascontiguousarray(word_starts, np.bool_)
    pieces = np.ascontiguousarray(piece, np.int64)
    _find(*tokens, pieces, single, *tables, levels, deepest, unit, kind, entry)
    return unit, kind, entry


@compiled(nogil=True)
def _find(
    ids: Any,
    word_starts: Any,
    piece: Any,
    single: Any,
    edge_start: Any,
    edge_token: Any,
    edge_to: Any,
    fail: Any,
    out: Any,
    next_out: Any,
    lengths: Any,
    level: Any,
    deepest: int,
    unit: Any,
    kind: Any,
    entry: Any,
) -> None:
    """`find_units`, written into unit, kind and entry."""
    n_rows, n = ids.shape
    begins = np.zeros(n + 1, np.bool_)
    longest = np.zeros((3, n), np.int32)  # of the patterns of each level that begin here
    which = np.zeros((3, n), np.int32)
    for b in range(n_rows):
        longest[:] = 0
        begins[n] = True
        for t in range(n):
            begins[t] = piece[b, t] == 0 or t == 0 or word_starts[b, t] or piece[b, t - 1] != piece[b, t]
            unit[b, t] = NO_UNIT
            kind[b, t] = NO_UNIT
            entry[b, t] = NO_UNIT
        state = 0
        for t in range(n):
            if piece[b, t] == 0 or (t > 0 and piece[b, t - 1] != piece[b, t]):
                state = 0
            if piece[b, t] == 0:
                continue
            state = _step(state, ids[b, t], edge_start, edge_token, edge_to, fail)
            if not begins[t + 1]:
                continue  # within a word
            at = state
            while at != 0:
                pattern = out[at]
                if pattern >= 0:
                    first = t + 1 - lengths[pattern]
                    k = level[pattern]
                    if k <= deepest and begins[first] and lengths[pattern] > longest[k, first]:
                        longest[k, first] = lengths[pattern]
                        which[k, first] = pattern
                at = next_out[at]
        for k in range(deepest, -1, -1):  # entities first, then phrases, then words: leftmost, longest
            t = 0
            while t < n:
                length = longest[k, t]
                free = length > 0
                for i in range(t, t + length):
                    free = free and unit[b, i] < 0
                if not free:
                    t += 1
                    continue
                for i in range(t, t + length):
                    unit[b, i] = t
                    kind[b, i] = k
                    entry[b, i] = which[k, t]
                t += length
        start = 0
        while start < n:  # the words that are left
            end = start + 1
            if piece[b, start] == 0 or unit[b, start] >= 0:
                start = end
                continue
            characters = 1 if single[ids[b, start]] else 0
            while end < n and not begins[end] and unit[b, end] < 0:
                characters += 1 if single[ids[b, end]] else 0
                end += 1
            k = PHRASE if characters >= 2 and deepest >= PHRASE else BASIC
            at = start
            for t in range(start, end):
                if k == BASIC and single[ids[b, t]]:
                    at = t
                unit[b, t] = at
                kind[b, t] = k
            start = end


def choose_units(unit: Any, kind: Any, quota: Any, weights: Any, order: Any, coin: Any) -> Any:
    """As objectives/knowledge_masking.py's."""
    chosen = np.empty(unit.shape, np.bool_)
    _choose(unit, kind, quota, weights, order, coin, chosen)
    return chosen


@compiled(nogil=True)
def _choose(unit: Any, kind: Any, quota: Any, weights: Any, order: Any, coin: Any, chosen: Any) -> None:
    """`choose_units`, written into chosen."""
    n_rows, n = unit.shape
    size = np.zeros(n, np.int64)
    tokens = np.zeros(3, np.int64)
    for b in range(n_rows):
        tokens[:] = 0
        size[:] = 0
        for t in range(n):
            chosen[b, t] = False
            if unit[b, t] >= 0:
                size[unit[b, t]] += 1
                tokens[kind[b, t]] += 1
        total = tokens.sum()
        left = quota[b]
        if total == 0 or left == 0:
            continue
        shuffled = np.argsort(order[b])
        carried = 0.0  # what a kind could not give, the next one does
        for k in (ENTITY, PHRASE):
            target = weights[k] * tokens[k] / total * quota[b] + carried
            for t in shuffled:
                if size[t] == 0 or kind[b, t] != k:
                    continue
                if size[t] > target:  # the last one: in or out so that the target is met on average
                    if coin[b, t] * size[t] < target and size[t] <= left:
                        for i in range(t, t + size[t]):
                            chosen[b, i] = True
                        left -= size[t]
                    target = 0.0
                    break
                if size[t] <= left:
                    for i in range(t, t + size[t]):
                        chosen[b, i] = True
                    left -= size[t]
                    target -= size[t]
            carried = target
        for k in (
            BASIC,
            PHRASE,
            ENTITY,
        ):  # basic units up to the quota; others only where those do not suffice
            for t in shuffled:
                if left == 0:
                    break
                if size[t] > 0 and kind[b, t] == k and not chosen[b, t] and size[t] <= left:
                    for i in range(t, t + size[t]):
                        chosen[b, i] = True
                    left -= size[t]
