"""Near-duplicates: what resembles what, and one answer however the corpus is cut."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from polyseme.text import near
from polyseme.text.near import BANDS, SKETCH, near_duplicates, near_duplicates_of

WORDS = [f"word{i}" for i in range(2000)]


def test_small_changes_are_found_and_no_others() -> None:
    pytest.importorskip("rensa")
    draw = random.Random(1)
    originals = [" ".join(draw.choices(WORDS, k=300)) for _ in range(50)]
    changed = [text.replace(text.split()[100], "other", 1).upper() for text in originals]
    halves = [" ".join(text.split()[:150] + draw.choices(WORDS, k=150)) for text in originals]
    found = near_duplicates_of(originals + changed + halves + originals)
    assert len(found & {*range(50, 100)}) >= 48
    assert found - {*range(50, 100)} == {*range(150, 200)}


def test_chinese_and_short_texts() -> None:
    pytest.importorskip("rensa")
    text = "".join(chr(0x4E00 + random.Random(i).randrange(3000)) for i in range(400))
    texts = [text, text[:200] + "新" + text[200:], text[::-1], "a b c d", "a b c d"]
    assert near_duplicates_of(texts) == {1}
    assert near_duplicates_of([]) == near_duplicates_of(["a b c"]) == set()


def test_of_a_chain_the_first_alone_stays() -> None:
    """The ends do not resemble each other, and what joins them comes last."""
    pytest.importorskip("rensa")
    words = random.Random(2).choices(WORDS, k=400)
    first, last, between = words[:340], words[60:], words[20:380]
    assert near_duplicates_of([" ".join(first), " ".join(last)]) == set()
    assert near_duplicates_of([" ".join(text) for text in (first, last, between)]) == {1, 2}


class Part:
    """A run of sketches that were made up."""

    def __init__(self, places: npt.NDArray[Any], values: npt.NDArray[Any]) -> None:
        self.all = np.empty(len(places), SKETCH)
        self.all["place"], self.all["values"] = places, values
        self.bands = [*near.bands_of(self.all)]

    def band(self, number: int) -> npt.NDArray[Any]:
        return self.bands[number]

    def sketches(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        found: npt.NDArray[Any] = self.all[rows]
        return found


def components(values: npt.NDArray[np.uint32]) -> set[int]:
    """All but the first of every component, by comparing all pairs."""
    first = list(range(len(values)))
    bands = values.reshape(len(values), BANDS, -1)
    for a in range(len(values)):
        for b in range(a):
            if (bands[a] == bands[b]).all(1).any() and (values[a] == values[b]).mean() >= 0.8:
                low, high = sorted((first[a], first[b]))
                first = [low if one == high else one for one in first]
    return {n for n, one in enumerate(first) if one != n}


@pytest.mark.parametrize("sizes", [[120], [50, 0, 70], [1] * 120])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_cuts_give_what_comparing_all_pairs_does(
    sizes: list[int], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near, "_SKETCHES", 40)
    draw = np.random.default_rng(seed)
    values = np.empty((120, 128), np.uint32)
    for n in range(
        120
    ):  # as another one but for some values, with whole bands in common; or the same; or of its own
        values[n] = draw.integers(0, 2**32, 128) if n < 8 else values[draw.integers(n)]
        values[n, 128 - draw.choice([0, 8, 20, 30, 100]) :] += np.uint32(n)
    places = np.concatenate([2 * np.arange(size) for size in sizes])
    ends = np.cumsum(sizes)
    parts = [
        Part(places[end - size : end], values[end - size : end])
        for end, size in zip(ends, sizes, strict=True)
    ]
    found = {
        int(ends[part] - sizes[part] + place // 2)
        for part, its in near_duplicates(parts)
        for place in its.tolist()
    }
    assert found == components(values)
    assert 20 < len(found) < 112
