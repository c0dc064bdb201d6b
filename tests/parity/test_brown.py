"""Brown clustering kernel by kernel against the algorithm written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyseme.kernels import brown as kernels
from polyseme.kernels.brown import NEVER, SCALE
from polyseme.objectives.brown import Clustering, PlainClustering, average_mutual_information, bigrams_of


def zipf(n: int, n_words: int, seed: int) -> np.ndarray:
    """A text whose words are numbered by frequency."""
    random = np.random.default_rng(seed)
    p = 1.0 / np.arange(1, n_words + 1)
    text = random.choice(n_words, n, p=p / p.sum())
    _, text, counts = np.unique(text, return_inverse=True, return_counts=True)
    return np.argsort(np.argsort(-counts, kind="stable"), kind="stable")[text]


def clustering_of(text: np.ndarray, n_classes: int) -> Clustering:
    n_words = int(text.max()) + 1
    keys, counts = np.unique(text[:-1] * n_words + text[1:], return_counts=True)
    first, second = np.divmod(keys, n_words)
    return Clustering(bigrams_of(first, second, counts, n_words), min(n_classes, n_words))


def written_out(text: np.ndarray, n_classes: int) -> PlainClustering:
    n_words = int(text.max()) + 1
    bigrams = np.zeros((n_words, n_words))
    np.add.at(bigrams, (text[:-1], text[1:]), 1)
    return PlainClustering(bigrams, n_classes)


@pytest.mark.parametrize(
    ("n", "n_words", "n_classes"), [(200, 12, 4), (400, 25, 6), (60, 30, 5), (300, 9, 9)]
)
def test_every_merge_is_the_best_one(n: int, n_words: int, n_classes: int) -> None:
    """D of every pair at every step, and so every merge, of the words and of the tree."""
    text = zipf(n, n_words, n)
    fast, plain = clustering_of(text, n_classes), written_out(text, min(n_classes, int(text.max()) + 1))

    def check() -> dict[tuple[int, int], float]:
        expected = plain.changes()
        for (a, b), value in expected.items():
            assert fast.tables.d[a, b] / SCALE == pytest.approx(value, abs=1e-4)
            assert fast.tables.d[a, b] == fast.tables.d[b, a]
            assert fast.tables.d[a, b] == kernels.merge_change(a, b, fast.tables, fast._values)
        assert (fast.tables.d > NEVER // 2).sum() == 2 * len(expected)
        return expected

    for word in range(fast.n_words):
        plain.insert(word)
        if word < fast.n_classes:
            assert not len(fast.insert(word, word + 1))
        else:
            expected = plain.changes()
            ((staying, leaving),) = fast.insert(word, word + 1).tolist()
            pair = min(staying, leaving), max(staying, leaving)
            assert expected[pair] == pytest.approx(max(expected.values()), abs=1e-4)
            plain.merge(staying, leaving)
        check()
    assert [set(np.flatnonzero(fast.slot_of == i)) for i in range(fast.n_classes + 1)] == [
        set(words or []) for words in plain.slots
    ]
    again = fast.copy()
    again.tables.d[:] = 0
    again.compare_all(0, fast.n_classes + 1)
    assert np.array_equal(again.tables.d, fast.tables.d)
    while fast.n_live > 1:
        expected = check()
        ((a, b),) = fast.merge_down(1).tolist()
        assert expected[a, b] == pytest.approx(max(expected.values()), abs=1e-4)
        plain.merge(a, b)
    assert len(again.merge_down(100)) == again.n_classes - 1
    whole = written_out(text, fast.n_classes)
    assert len(whole.run()) == fast.n_classes - 1
    assert sorted(word for words in whole.slots for word in words or []) == list(range(fast.n_words))


@pytest.mark.parametrize("n_classes", [12, 40, 90])
def test_many_words_at_once_are_the_same_as_one_by_one(n_classes: int) -> None:
    """Within a call the best pair is kept row by row; a call of one word looks at every pair."""
    text = zipf(5000, 400, n_classes)
    together, single = clustering_of(text, n_classes), clustering_of(text, n_classes)
    merged = together.insert(0, together.n_words)
    for word in range(n_classes):
        single.insert(word, word + 1)
    for word in range(n_classes, single.n_words):
        before = single.copy()
        ((staying, leaving),) = single.insert(word, word + 1).tolist()
        assert merged[word - n_classes].tolist() == [staying, leaving]
        if word % 20 == 0:  # and what it finds is the first of the largest
            kernels.insert_and_merge(
                word,
                word + 1,
                False,
                before.slot_of,
                before.bigrams,
                before.tables,
                before._values,
                merged[:0],
            )
            assert tuple(sorted((staying, leaving))) == tuple(kernels.best_pair(before.tables.d))
    assert np.array_equal(together.tables.d, single.tables.d)
    assert np.array_equal(together.slot_of, single.slot_of)


def test_numbers_beyond_the_tables_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large counts take another way to f and log; both give the same numbers."""
    text = zipf(3000, 60, 3)
    looked_up = clustering_of(text, 8)
    monkeypatch.setattr("polyseme.kernels.brown.KNOWN", 50)
    computed = clustering_of(text, 8)
    assert len(computed._values.f) < len(looked_up._values.f)
    for clustering in (looked_up, computed):
        clustering.insert(0, clustering.n_words)
        clustering.exchange(0, clustering.n_words)
        clustering.compare_all(0, 9)
    assert np.array_equal(looked_up.slot_of, computed.slot_of)
    assert np.array_equal(looked_up.tables.d, computed.tables.d)


@given(st.integers(0, 10_000), st.integers(20, 400), st.integers(3, 40), st.integers(2, 8))
@settings(max_examples=60, deadline=None)
def test_exchange_never_lowers_mutual_information(seed: int, n: int, n_words: int, n_classes: int) -> None:
    text = zipf(n, n_words, seed)
    clustering = clustering_of(text, n_classes)
    n_classes = clustering.n_classes
    clustering.restore(
        np.random.default_rng(seed).integers(0, n_classes, clustering.n_words).astype(np.int32)
    )
    used = clustering.n_live
    last = clustering.mutual_information
    for word in [*range(clustering.n_words)] * 2:
        moved = clustering.exchange(word, word + 1)
        now = clustering.mutual_information
        assert now > last if moved else now == last
        assert clustering.n_live <= used
        last = now
    counts = np.zeros((n_classes, n_classes))
    np.add.at(counts, (clustering.slot_of[text[:-1]], clustering.slot_of[text[1:]]), 1)
    assert last == pytest.approx(average_mutual_information(counts), abs=1e-12)
    assert len(set(clustering.slot_of.tolist())) == used  # no class was emptied


def test_exchange_finds_the_best_class_of_a_word() -> None:
    text = zipf(800, 40, 5)
    clustering = clustering_of(text, 6)
    clustering.insert(0, clustering.n_words)
    for word in (3, 11, 25, 38):
        if (clustering.slot_of == clustering.slot_of[word]).sum() == 1:
            continue
        tried = []
        for slot in sorted(set(clustering.slot_of.tolist())):
            other = clustering.copy()
            slots = clustering.slot_of.copy()
            slots[word] = slot
            other.restore(slots)
            tried.append(other.mutual_information)
        clustering.exchange(word, word + 1)
        assert clustering.mutual_information == pytest.approx(max(tried), abs=1e-9)


def test_mutual_information_of_independent_classes_is_zero() -> None:
    assert average_mutual_information(np.outer([1, 2, 3], [4, 5, 6])) == pytest.approx(0, abs=1e-12)
    assert average_mutual_information(np.diag([5, 5])) == pytest.approx(np.log(2))
    assert average_mutual_information(np.zeros((2, 2))) == 0.0
