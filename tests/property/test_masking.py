"""Masked positions: as many as configured, never special, never half a word, the same for the same counter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyseme.core.rng import Random
from polyseme.data.examples import Example, SpecialTokens
from polyseme.data.loader import Rows, collate, special_tokens
from polyseme.objectives.masked_lm import MaskedLM, MaskedLMConfig

VOCABULARY = 500
SPECIAL: SpecialTokens = special_tokens(VOCABULARY, 0, 2, 3, 4, [0, 1, 2, 3, 4])


def make_rows(layout: list[list[int]], seed: int, row_length: int = 64) -> Rows:
    generator = np.random.default_rng(seed)
    rows = []
    for sizes in layout:
        row = []
        for n in sizes:
            ids = generator.integers(5, VOCABULARY, n)
            ids[0], ids[-1] = 2, 3
            starts = generator.random(n) < 0.5
            starts[:2] = starts[-1:] = True
            row.append(Example(ids, np.zeros(n, np.int64), starts))
        rows.append(row)
    return collate(rows, row_length, SPECIAL, counters=np.arange(len(rows)) + seed % 1000)


layouts = st.lists(st.lists(st.integers(4, 30), min_size=1, max_size=2), min_size=1, max_size=6)
units = st.sampled_from(["token", "word", "span"])


@settings(deadline=None)
@given(layouts, st.integers(0, 10**6), units, st.floats(0.05, 0.6))
def test_targets_are_text_and_within_the_quota(
    layout: list[list[int]], seed: int, unit: str, rate: float
) -> None:
    rows = make_rows(layout, seed)
    ids, positions, labels = MaskedLM(MaskedLMConfig(rate=rate, unit=unit), SPECIAL, seed).prepare(rows)
    assert rows.maskable.ravel()[positions].all()
    assert (labels == rows.ids.ravel()[positions]).all()
    untouched = np.setdiff1d(np.arange(ids.size), positions)
    assert (ids.ravel()[untouched] == rows.ids.ravel()[untouched]).all()
    quota = np.maximum(1, np.floor(rate * rows.maskable.sum(1) + 0.5))
    per_row = np.bincount(positions // ids.shape[1], minlength=len(layout))
    if unit == "token":
        assert (per_row == quota).all()
    else:
        assert (per_row <= quota).all()


@settings(deadline=None)
@given(layouts, st.integers(0, 10**6), st.sampled_from(["word", "span"]))
def test_a_word_is_never_half_masked(layout: list[list[int]], seed: int, unit: str) -> None:
    rows = make_rows(layout, seed)
    _, positions, _ = MaskedLM(MaskedLMConfig(rate=0.4, unit=unit), SPECIAL, seed).prepare(rows)
    chosen = np.zeros(rows.ids.size, np.bool_)
    chosen[positions] = True
    chosen = chosen.reshape(rows.ids.shape)
    inside = (  # a token that continues the word of the token before it
        rows.maskable[:, 1:]
        & rows.maskable[:, :-1]
        & ~rows.word_starts[:, 1:]
        & (rows.segment[:, 1:] == rows.segment[:, :-1])
    )
    assert (chosen[:, 1:][inside] == chosen[:, :-1][inside]).all()


@given(layouts, st.integers(0, 10**6), units)
@settings(deadline=None, max_examples=30)
def test_masks_depend_on_the_row_not_on_the_batch(layout: list[list[int]], seed: int, unit: str) -> None:
    objective = MaskedLM(MaskedLMConfig(unit=unit), SPECIAL, seed)
    rows = make_rows(layout, seed)
    together = objective.prepare(rows)[0]
    for i in range(len(layout)):
        alone = Rows(
            *(getattr(rows, name)[i : i + 1] for name in ("ids", "segment", "position", "type")),
            word_starts=rows.word_starts[i : i + 1],
            maskable=rows.maskable[i : i + 1],
            first=rows.first[:0],
            labels=rows.labels[:0],
            counters=rows.counters[i : i + 1],
            packed=True,
        )
        assert (objective.prepare(alone)[0][0] == together[i]).all()


def test_eighty_ten_ten() -> None:
    rows = make_rows([[64]] * 2000, 1)
    ids, positions, labels = MaskedLM(MaskedLMConfig(), SPECIAL, 9).prepare(rows)
    now = ids.ravel()[positions]
    n = len(positions)
    assert n / rows.maskable.sum() == pytest.approx(0.15, abs=0.005)
    assert (now == SPECIAL.mask).mean() == pytest.approx(0.8, abs=0.01)
    assert (now == labels).mean() == pytest.approx(0.1, abs=0.01)
    other = now[(now != SPECIAL.mask) & (now != labels)]
    assert len(other) / n == pytest.approx(0.1, abs=0.01)
    assert not SPECIAL.special[other].any()


def test_masks_are_new_at_every_visit_and_evenly_spread() -> None:
    rows = make_rows([[64]], 1)
    objective = MaskedLM(MaskedLMConfig(), SPECIAL, 9)
    hits = np.zeros(64)
    for counter in range(2000):
        _, positions, _ = objective.prepare(
            Rows(
                rows.ids,
                rows.segment,
                rows.position,
                rows.type,
                rows.word_starts,
                rows.maskable,
                rows.first,
                rows.labels,
                np.array([counter]),
                packed=False,
            )
        )
        hits[positions] += 1
    share = hits[1:-1] / 2000
    assert share.mean() == pytest.approx(9 / 62, abs=1e-9)
    assert share.std() < 0.012  # binomial: sqrt(0.145 · 0.855 / 2000) = 0.008


def test_span_lengths_grow() -> None:
    rows = make_rows([[64]] * 200, 1)

    def runs(unit: str) -> float:
        _, positions, _ = MaskedLM(MaskedLMConfig(unit=unit, rate=0.3), SPECIAL, 2).prepare(rows)
        return float((np.diff(positions) == 1).mean())

    assert runs("span") > 1.2 * runs("word")


def test_rate_schedule() -> None:
    config = MaskedLMConfig(rate=0.3, final_rate=0.1)
    assert [round(config.rate_at(p), 3) for p in (0.0, 0.5, 1.0)] == [0.3, 0.2, 0.1]


def test_random_is_not_used_up() -> None:
    assert Random(1, "a").uniform(3) != Random(1, "b").uniform(3)
