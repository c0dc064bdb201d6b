"""Units and their choice: the compiled loops equal their plain form, and no unit is ever hidden in part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyseme.data.examples import Example
from polyseme.data.loader import Rows, collate, special_tokens
from polyseme.data.units import KINDS, Pattern, Units, units_of_row
from polyseme.objectives.knowledge_masking import KnowledgeMasking, KnowledgeMaskingConfig, choose_of_row

VOCABULARY = 14  # few ids, so that patterns occur
SPECIAL = special_tokens(VOCABULARY, 0, 1, 2, 3, [0, 1, 2, 3, 4])
SINGLE = np.arange(VOCABULARY) >= 9

tokens = st.lists(st.integers(5, VOCABULARY - 1), min_size=1, max_size=4).map(tuple)
pattern_sets = st.lists(st.tuples(tokens, st.sampled_from(KINDS)), max_size=12, unique_by=lambda p: p[0])
layouts = st.lists(st.lists(st.integers(3, 24), min_size=1, max_size=2), min_size=1, max_size=4)
shares = st.one_of(st.none(), st.floats(0, 0.5))


COVERAGE = {
    "phrases": {"basic": 0.6, "phrase": 0.4, "entity": 0.0},
    "entities": {"basic": 0.5, "phrase": 0.3, "entity": 0.2},
}


def make_units(patterns: list[tuple[tuple[int, ...], str]], coverage: Any = None) -> Units:
    made = [Pattern(str(ids), kind, "lexicon", "", ids) for ids, kind in patterns]
    return Units(SINGLE, made, coverage or COVERAGE)


def make_rows(layout: list[list[int]], seed: int, progress: float = 1.0) -> Rows:
    generator = np.random.default_rng(seed)
    rows = []
    for sizes in layout:
        row = []
        for n in sizes:
            ids = generator.integers(4, VOCABULARY, n)  # 4 is the unknown token
            ids[0], ids[-1] = 1, 2
            starts = generator.random(n) < 0.6
            starts[:2] = starts[-1:] = True
            row.append(Example(ids, np.zeros(n, np.int64), starts))
        rows.append(row)
    length = max(map(sum, layout))
    return collate(rows, length, SPECIAL, counters=np.arange(len(rows)) + seed % 999, progress=progress)


def plain(rows: Rows, b: int, units: Units, deepest: int) -> list[tuple[int, int, int, int]]:
    return units_of_row(
        rows.ids[b].tolist(),
        rows.word_starts[b].tolist(),
        np.where(rows.maskable, rows.segment, 0)[b].tolist(),
        SINGLE,
        [p.ids for p in units.patterns],
        np.array([KINDS.index(p.kind) for p in units.patterns], np.int8),
        deepest,
    )


@settings(deadline=None, max_examples=40)
@given(layouts, st.integers(0, 10**6), pattern_sets, st.integers(0, 2))
def test_units_are_those_of_the_plain_form(
    layout: list[list[int]], seed: int, patterns: list[tuple[tuple[int, ...], str]], deepest: int
) -> None:
    rows, units = make_rows(layout, seed), make_units(patterns)
    found = units.find(rows.ids, rows.word_starts, np.where(rows.maskable, rows.segment, 0), deepest)
    for b in range(len(layout)):
        heads = np.flatnonzero(found.unit[b] == np.arange(rows.ids.shape[1]))
        ours = [
            (int(h), int(h + (found.unit[b] == h).sum()), int(found.kind[b, h]), int(found.entry[b, h]))
            for h in heads
        ]
        assert ours == plain(rows, b, units, deepest)
        assert ((found.unit[b] >= 0) == rows.maskable[b]).all()


@settings(deadline=None, max_examples=40)
@given(layouts, st.integers(0, 10**6), pattern_sets, shares, shares, st.floats(0.05, 0.7), st.integers(0, 2))
def test_the_choice_is_that_of_the_plain_form_and_takes_units_as_wholes(
    layout: list[list[int]],
    seed: int,
    patterns: list[tuple[tuple[int, ...], str]],
    phrase_share: float | None,
    entity_share: float | None,
    rate: float,
    stage: int,
) -> None:
    config = KnowledgeMaskingConfig(rate=rate, phrase_share=phrase_share, entity_share=entity_share)
    objective = KnowledgeMasking(config, SPECIAL, seed)
    objective.use(make_units(patterns))
    rows = make_rows(layout, seed, (0.0, 0.5, 1.0)[stage])
    chosen = objective.choose(rows, objective.find(rows))
    t = np.arange(rows.ids.shape[1])
    here = COVERAGE["entities" if stage == 2 else "phrases"]
    share = {"phrase": phrase_share, "entity": entity_share}
    weights = [1.0]
    for kind in ("phrase", "entity"):
        weights.append(share[kind] / here[kind] if share[kind] is not None and here[kind] else 1.0)
    for b, counter in enumerate(rows.counters.tolist()):
        quota = int(np.floor(rate * rows.maskable[b].sum() + 0.5))
        quota = min(max(quota, 1), int(rows.maskable[b].sum()))
        units = plain(rows, b, objective.units, stage)
        order, coin = (objective._random.uniform(counter, t + n) for n in (0, len(t)))
        sizes = [(start, end - start, kind) for start, end, kind, _ in units]
        whole = choose_of_row(sizes, quota, np.array(weights), order, coin)
        expected = {t for start, size in whole for t in range(start, start + size)}
        assert {*np.flatnonzero(chosen[b]).tolist()} == expected
        assert len(expected) <= quota
        for start, end, *_ in units:
            assert chosen[b, start:end].all() or not chosen[b, start:end].any()
        assert not chosen[b][~rows.maskable[b]].any()


@settings(deadline=None, max_examples=25)
@given(layouts, st.integers(0, 10**6), pattern_sets)
def test_a_unit_is_hidden_replaced_or_kept_together(
    layout: list[list[int]], seed: int, patterns: list[tuple[tuple[int, ...], str]]
) -> None:
    config = KnowledgeMaskingConfig(rate=0.5, mask_share=0.5, random_share=0.0)
    objective = KnowledgeMasking(config, SPECIAL, seed)
    objective.use(make_units(patterns))
    rows = make_rows(layout, seed)
    ids, positions, labels = objective.prepare(rows)
    assert (labels == rows.ids.ravel()[positions]).all()
    untouched = np.setdiff1d(np.arange(ids.size), positions)
    assert (ids.ravel()[untouched] == rows.ids.ravel()[untouched]).all()
    hidden = ids == SPECIAL.mask
    for b in range(len(layout)):
        for start, end, *_ in plain(rows, b, objective.units, 2):
            assert hidden[b, start:end].all() or not hidden[b, start:end].any()


@settings(deadline=None, max_examples=25)
@given(layouts, st.integers(0, 10**6), pattern_sets)
def test_masks_depend_on_the_row_not_on_the_batch(
    layout: list[list[int]], seed: int, patterns: list[tuple[tuple[int, ...], str]]
) -> None:
    objective = KnowledgeMasking(KnowledgeMaskingConfig(), SPECIAL, seed)
    objective.use(make_units(patterns))
    rows = make_rows(layout, seed)
    together = objective.prepare(rows)[0]
    for i in range(len(layout)):
        one = slice(i, i + 1)
        alone = Rows(
            *(getattr(rows, name)[one] for name in ("ids", "segment", "position", "type")),
            word_starts=rows.word_starts[one],
            maskable=rows.maskable[one],
            first=rows.first[:0],
            labels=rows.labels[:0],
            counters=rows.counters[one],
            packed=True,
            progress=1.0,
        )
        assert (objective.prepare(alone)[0][0] == together[i]).all()


def rich_rows() -> tuple[Rows, Units]:
    """Rows of 62 tokens in which entities, phrases and single characters take turns."""
    entity, phrase = (5, 6, 7), (8, 5)
    rows = []
    for seed in range(800):
        generator = np.random.default_rng(seed)
        ids: list[int] = []
        starts: list[bool] = []
        while len(ids) < 62:
            kind = generator.choice(3, p=(0.2, 0.3, 0.5))
            add = entity if kind == 0 else phrase if kind == 1 else (int(generator.integers(9, VOCABULARY)),)
            if len(ids) + len(add) <= 62:
                ids += add
                starts += [True] * len(add)
        whole = np.array([1, *ids, 2])
        rows.append([Example(whole, np.zeros(64, np.int64), np.array([True, *starts, True]))])
    units = make_units([(entity, "entity"), (phrase, "phrase")])
    units.coverage = {"entities": {"basic": 0.294, "phrase": 0.353, "entity": 0.353}}
    return collate(rows, 64, SPECIAL, progress=1.0), units


@pytest.mark.parametrize(
    "wanted", [(0.2, 0.3), (0.5, 0.1), (0.0, 0.4), (None, None)], ids=["a", "b", "c", "as they come"]
)
def test_the_share_of_tokens_by_kind_is_as_configured(wanted: tuple[float | None, float | None]) -> None:
    rows, units = rich_rows()
    config = KnowledgeMaskingConfig(phrase_share=wanted[0], entity_share=wanted[1])
    objective = KnowledgeMasking(config, SPECIAL, 5)
    objective.use(units)
    found = objective.find(rows)
    chosen = objective.choose(rows, found)
    assert 0.995 * 9 <= chosen.sum() / len(rows.ids) <= 9  # 15 % of 62, rounded
    here = np.bincount(found.kind[found.kind >= 0], minlength=3) / rows.maskable.sum()
    ours = np.bincount(found.kind[chosen], minlength=3) / chosen.sum()
    expected = [here[k] if share is None else share for k, share in zip((1, 2), wanted, strict=True)]
    assert ours[1:] == pytest.approx(expected, abs=0.012)


def test_eighty_ten_ten_by_unit() -> None:
    rows, units = rich_rows()
    objective = KnowledgeMasking(KnowledgeMaskingConfig(), SPECIAL, 5)
    objective.use(units)
    ids, positions, labels = objective.prepare(rows)
    now = ids.ravel()[positions]
    n = len(positions)
    assert (now == SPECIAL.mask).mean() == pytest.approx(0.8, abs=0.015)
    replaced = (now != SPECIAL.mask) & (now != labels)  # one in nine random tokens is the token itself
    assert replaced.sum() / n == pytest.approx(0.1 * 8 / 9, abs=0.01)
    assert not SPECIAL.special[now[replaced]].any()


def test_three_stages() -> None:
    assert [KnowledgeMaskingConfig().deepest_at(p) for p in (0.0, 0.33, 0.34, 0.66, 0.67, 1.0)] == [
        0,
        0,
        1,
        1,
        2,
        2,
    ]
    both = KnowledgeMaskingConfig(phrases_from=0, entities_from=0)
    assert both.deepest_at(0.0) == 2
