"""What kernels/units.py computes, said once more in plain Python."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

BASIC, PHRASE, ENTITY = range(3)
Row = Sequence[int]


def word_ends(starts: Sequence[bool], piece: Row) -> list[tuple[int, int]]:
    """Words as (start, end), within one piece each."""
    words: list[tuple[int, int]] = []
    for t, (begins, p) in enumerate(zip(starts, piece, strict=True)):
        if p == 0:
            continue
        if begins or t == 0 or piece[t - 1] != p:
            words.append((t, t + 1))
        else:
            words[-1] = (words[-1][0], t + 1)
    return words


def find(
    ids: Row,
    starts: Sequence[bool],
    piece: Row,
    single: Sequence[bool],
    patterns: list[tuple[tuple[int, ...], int]],
    deepest: int,
) -> list[tuple[int, int, int, int]]:
    """Units of a row as (start, end, kind, pattern)."""
    words = word_ends(starts, piece)
    begins, ends = {s for s, _ in words}, {e for _, e in words}
    taken: set[int] = set()
    units = []
    for kind in range(deepest, -1, -1):
        best: dict[int, tuple[int, int]] = {}
        for number, (pattern, level) in enumerate(patterns):
            for s in range(len(ids) - len(pattern) + 1):
                e = s + len(pattern)
                same = tuple(ids[s:e]) == pattern and len({*piece[s:e]}) == 1 and piece[s] > 0
                if level == kind and same and s in begins and e in ends and e > best.get(s, (0, 0))[0]:
                    best[s] = (e, number)
        for s in sorted(best):
            e, number = best[s]
            if not taken & {*range(s, e)}:
                taken |= {*range(s, e)}
                units.append((s, e, kind, number))
    for s, e in words:
        if s in taken:
            continue
        if deepest >= PHRASE and sum(single[ids[t]] for t in range(s, e)) >= 2:
            units.append((s, e, PHRASE, -1))
            continue
        cuts = [s, *(t for t in range(s + 1, e) if single[ids[t]]), e]
        units += [(a, b, BASIC, -1) for a, b in pairwise(cuts)]
    return sorted(units)


def choose(
    units: list[tuple[int, int, int, int]],
    quota: int,
    weights: Sequence[float],
    order: Sequence[float],
    coin: Sequence[float],
) -> set[int]:
    """Tokens of the chosen units."""
    chosen: list[tuple[int, int]] = []
    by_chance = sorted(units, key=lambda unit: order[unit[0]])
    tokens = [sum(e - s for s, e, kind, _ in units if kind == k) for k in range(3)]

    def left() -> int:
        return quota - sum(e - s for s, e in chosen)

    carried = 0.0
    for k in (ENTITY, PHRASE) if units and quota else ():
        target = weights[k] * tokens[k] / sum(tokens) * quota + carried
        for s, e, kind, _ in by_chance:
            if kind != k:
                continue
            if e - s > target:
                if coin[s] * (e - s) < target and e - s <= left():
                    chosen.append((s, e))
                target = 0.0
                break
            if e - s <= left():
                chosen.append((s, e))
                target -= e - s
        carried = target
    for k in (BASIC, PHRASE, ENTITY):
        for s, e, kind, _ in by_chance:
            if kind == k and (s, e) not in chosen and 0 < e - s <= left():
                chosen.append((s, e))
    return {t for s, e in chosen for t in range(s, e)}
