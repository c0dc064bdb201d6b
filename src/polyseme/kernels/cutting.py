"""The compiled loops of cutting a batch of texts into paragraphs, sentences and pieces; data/cutting.py explains them.

They read code points, and of every character what kind it is, as bits of one byte (text/words.py).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from polyseme.core.arrays import BoolArray, IntArray
from polyseme.core.compiled import compiled, compiles

SPACE, WORD, LETTER, CJK = 1, 2, 4, 8
WRAP, FULL, ROOM, ITEM_LETTERS = 120, 0.7, 0.8, 3
_BASIS, _PRIME = 0xCBF29CE484222325, 0x100000001B3  # of FNV-1a


def serves(texts: Any, *_: Any) -> bool:
    """Whether there is so much text that it pays to load what was compiled: that takes a second."""
    return bool(texts.much) and compiles()


def paragraphs(texts: Any) -> tuple[IntArray, IntArray, IntArray]:
    """As data/cutting.py's."""
    most = texts.whole.count("\n") + len(texts.bounds) - 1  # each ends at a line end or at the end of a text
    starts, ends = np.empty(most, np.int64), np.empty(most, np.int64)
    counts = np.empty(len(texts.bounds) - 1, np.int64)
    n = _compiled("paragraphs")(texts.codes, texts.kinds, texts.bounds, starts, ends, counts)
    return starts[:n], ends[:n], counts


def sentences(
    texts: Any, starts: IntArray, ends: IntArray, counts: IntArray, lengths: IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """As data/cutting.py's."""
    first, behind = np.empty(len(lengths), np.int64), np.empty(len(lengths), np.int64)
    each = np.empty(len(starts), np.int64)
    n = _compiled("sentences")(texts.kinds, starts, ends, counts, lengths, first, behind, each)
    return first[:n], behind[:n], each


def are_chinese(texts: Any, characters: int, share: float) -> BoolArray:
    """As data/cutting.py's."""
    found = np.empty(len(texts.bounds) - 1, np.bool_)
    _compiled("are_chinese")(texts.kinds, texts.bounds, characters, share, found)
    return found


def pieces(
    texts: Any, starts: IntArray, ends: IntArray, splitter: Any
) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray]:
    """As data/cutting.py's."""
    most = int((ends - starts).sum())
    first, behind, number, places = (np.empty(most, np.int32) for _ in range(4))
    counts = np.empty(len(starts), np.int64)
    rules = splitter.classes, splitter.before_spaces
    found = _compiled("pieces")(texts.codes, starts, ends, *rules, first, behind, number, places, counts)
    n, distinct = found
    parts = first[:distinct], behind[:distinct], number[:n], places[:n]
    one, two, three, four = (part.astype(np.int64) for part in parts)
    return one, two, three, four, counts


@functools.cache
def _compiled(name: str) -> Callable[..., Any]:
    loop: Callable[..., Any] = compiled(nogil=True)(globals()[f"_{name}"])
    return loop


def _paragraphs(codes: Any, kinds: Any, bounds: Any, starts: Any, ends: Any, counts: Any) -> int:
    n = 0
    for d in range(len(bounds) - 1):
        before, begin, end = n, bounds[d], bounds[d + 1]
        # the widths of the lines that are not blank
        widths = np.empty(end - begin + 1, np.int64)
        full = 0
        at, blank = begin, True
        for i in range(begin, end + 1):
            if i == end or codes[i] == 10:
                if not blank:
                    widths[full] = i - at
                    full += 1
                at, blank = i + 1, True
            elif kinds[i] & SPACE == 0:
                blank = False
        if full == 0:
            counts[d] = 0
            continue
        widths = np.sort(widths[:full])
        width = widths[int(0.95 * (full - 1))]
        wide = 0
        for w in widths:
            wide += w >= FULL * width
        wrapped = width <= WRAP and wide >= 0.4 * full
        start = at = begin  # of the paragraph, of the line
        for i in range(begin, end + 1):
            if i < end and codes[i] != 10:
                continue
            ended = True
            if wrapped and i < end:
                # the line that follows
                behind = i + 1
                bare = behind
                while behind < end and codes[behind] != 10:
                    behind += 1
                while bare < behind and kinds[bare] & SPACE:
                    bare += 1
                text = at
                while text < i and kinds[text] & SPACE:
                    text += 1
                if bare < behind and text < i:
                    indent = bare - (i + 1)
                    room = ROOM * width - (i - at) - 1
                    word = bare
                    while word < behind and kinds[word] & SPACE == 0:
                        word += 1
                    if kinds[bare] & CJK:
                        word = bare + 1
                    ended = (indent > 0 and indent > text - at) or (room > 0 and word - bare <= room)
                    if not ended:  # a list item begins
                        c = codes[bare]
                        # - * + • > | #
                        ended = c == 45 or c == 42 or c == 43 or c == 0x2022 or c == 62 or c == 124 or c == 35
                        if c == 61:  # = to the end
                            k = bare
                            while k < behind and codes[k] == 61:
                                k += 1
                            ended = k == behind
                        elif not ended:  # (a) or 12. and a space
                            k = bare + (c == 40)
                            letters = k
                            while k < behind and k - letters <= ITEM_LETTERS and kinds[k] & WORD:
                                k += 1
                            ended = (
                                0 < k - letters <= ITEM_LETTERS
                                and k + 1 < behind
                                and (codes[k] == 46 or codes[k] == 41)
                                and kinds[k + 1] & SPACE != 0
                            )
            if ended:
                if i > start:
                    starts[n], ends[n] = start, i
                    n += 1
                start = i + 1
            at = i + 1
        counts[d] = n - before
    return n


def _sentences(
    kinds: Any, starts: Any, ends: Any, counts: Any, lengths: Any, first: Any, behind: Any, each: Any
) -> int:
    n = part = 0
    for p in range(len(starts)):
        before = n
        begin = at = starts[p]
        for _ in range(counts[p]):
            has_word = False
            for i in range(at, at + lengths[part]):
                if kinds[i] & WORD:
                    has_word = True
                    break
            at += lengths[part]
            part += 1
            if has_word or at == ends[p]:
                low, high = begin, at
                while low < high and kinds[low] & SPACE:
                    low += 1
                while high > low and kinds[high - 1] & SPACE:
                    high -= 1
                if low < high:
                    first[n], behind[n] = low, high
                    n += 1
                begin = at
        each[p] = n - before
    return n


def _are_chinese(kinds: Any, bounds: Any, characters: int, share: float, found: Any) -> None:
    for d in range(len(found)):
        ideographs = letters = 0
        for i in range(bounds[d], min(bounds[d] + characters, bounds[d + 1])):
            ideographs += kinds[i] & CJK != 0
            letters += kinds[i] & LETTER != 0
        found[d] = letters > 0 and ideographs / letters > share


def _pieces(
    codes: Any,
    starts: Any,
    ends: Any,
    classes: Any,
    before_spaces: bool,
    first: Any,
    behind: Any,
    number: Any,
    places: Any,
    counts: Any,
) -> tuple[int, int]:
    n = distinct = 0
    slots = np.zeros(1 << 14, np.int32)  # 1 + the number of a distinct piece, by its hash
    mask = np.uint64(len(slots) - 1)
    hashes = np.empty(len(first), np.uint64)
    for s in range(len(starts)):
        before, i, end = n, starts[s], ends[s]
        while i < end:
            j = i + 1
            hashed = (np.uint64(_BASIS) ^ np.uint64(codes[i])) * np.uint64(_PRIME)
            if before_spaces:
                visible = classes[codes[i]] == 0
                while j < end and not (visible and codes[j] == 32):
                    visible = classes[codes[j]] == 0
                    hashed = (hashed ^ np.uint64(codes[j])) * np.uint64(_PRIME)
                    j += 1
            else:
                kind = classes[codes[i]]
                if kind == 1:  # space
                    i = j
                    continue
                if kind == 0:
                    while j < end and classes[codes[j]] == 0:
                        hashed = (hashed ^ np.uint64(codes[j])) * np.uint64(_PRIME)
                        j += 1
            hashed ^= hashed >> np.uint64(32)
            slot = hashed & mask
            while True:
                known = slots[slot] - 1
                if known < 0:
                    break
                if hashes[known] == hashed and behind[known] - first[known] == j - i:
                    k = first[known]
                    same = True
                    for m in range(i, j):
                        if codes[m] != codes[k]:
                            same = False
                            break
                        k += 1
                    if same:
                        break
                slot = (slot + np.uint64(1)) & mask
            if known < 0:
                known = distinct
                hashes[known], first[known], behind[known] = hashed, i, j
                distinct += 1
                slots[slot] = distinct
                if 2 * distinct > len(slots):
                    slots = np.zeros(4 * len(slots), np.int32)
                    mask = np.uint64(len(slots) - 1)
                    for d in range(distinct):
                        slot = hashes[d] & mask
                        while slots[slot]:
                            slot = (slot + np.uint64(1)) & mask
                        slots[slot] = d + 1
            number[n], places[n] = known, i
            n += 1
            i = j
        counts[s] = n - before
    return n, distinct
