"""Measures of heads on attention made by hand: each pattern gets the figure that a person would say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from polyseme.study.head_measures import MEASURES, SHARES, Places, figures_of_heads, head_sums, relations

# [CLS] the un ##likely end [SEP] the end [SEP]
TEXT = np.array([-1, 0, 0, 0, 0, -1, 1, 1, -1])
WORD = np.array([-1, 0, 1, 1, 2, -1, 3, 4, -1])
FORM = np.array([-1, 0, 1, 1, 2, -1, 0, 2, -1])
PLACES = Places(TEXT, WORD, FORM)
N = len(TEXT)
EVERY = np.ones((1, N, N), np.bool_)


def shift(by: int) -> np.ndarray:
    """Each token attends to the one `by` places on; where there is none, to itself."""
    target = np.arange(N) + by
    target = np.where((target < 0) | (target >= N), np.arange(N), target)
    return np.eye(N)[target]


def figures(attention: Any, visible: Any = EVERY, places: Places = PLACES) -> dict[str, Any]:
    """The measures of one head for one example."""
    sums, tokens = head_sums(np.asarray(attention)[None, None], places, visible)
    (one,) = figures_of_heads(sums[None], tokens[None], MEASURES)
    return {name: one[name]["value"] for name in MEASURES}


@pytest.mark.parametrize(("by", "name"), [(-1, "previous"), (1, "next"), (0, "itself")])
def test_a_head_that_always_looks_at_one_place_has_a_share_of_one(by: int, name: str) -> None:
    found = figures(shift(by))
    assert found[name] == 1.0
    assert all(found[other] == 0.0 for other in ("previous", "next", "itself") if other != name)
    assert found["entropy"] == 0.0
    assert found["distance"] == abs(by)


def test_a_uniform_head_has_the_entropy_of_its_tokens_and_a_share_of_every_count() -> None:
    found = figures(np.full((N, N), 1 / N))
    assert found["entropy"] == pytest.approx(math.log(N))
    assert found["relative_entropy"] == pytest.approx(1.0)
    assert found["separators"] == pytest.approx(3 / N)
    assert found["previous"] == pytest.approx(1 / N)
    assert found["a_to_b"] == pytest.approx(2 / N)
    assert found["b_to_a"] == pytest.approx(4 / N)
    i = np.arange(N)
    asked = np.abs(i[:, None] - i).mean(1)[TEXT >= 0].mean()
    assert found["distance"] == pytest.approx(asked)


def test_pieces_of_a_word_are_the_same_word_and_its_other_occurrences_are_elsewhere() -> None:
    to_other_piece = np.eye(N)
    to_other_piece[2], to_other_piece[3] = np.eye(N)[3], np.eye(N)[2]
    assert figures(to_other_piece)["same_word"] == 1.0  # words of one piece have no other piece: not counted
    elsewhere = np.eye(N)
    for a, b in ((1, 6), (4, 7)):
        elsewhere[a], elsewhere[b] = np.eye(N)[b], np.eye(N)[a]
    found = figures(elsewhere)
    assert found["same_word_elsewhere"] == 1.0
    assert found["same_word"] == 0.0
    assert found["a_to_b"] == pytest.approx(2 / 4)
    assert found["b_to_a"] == 1.0


def test_relations_are_what_their_names_say() -> None:
    stands = relations(PLACES)
    assert set(stands) == set(SHARES)
    pairs = {name: {(int(i), int(j)) for i, j in np.argwhere(stands[name])} for name in stands}
    assert pairs["same_word"] == {(2, 3), (3, 2)}
    assert pairs["same_word_elsewhere"] == {(1, 6), (6, 1), (4, 7), (7, 4)}
    assert pairs["first"] == {(i, 0) for i in range(1, N)}
    assert (1, 5) in pairs["separators"]
    assert (5, 5) not in pairs["separators"]


def test_a_causal_head_has_no_next_token_and_no_share_for_it() -> None:
    visible = np.tril(np.ones((N, N), np.bool_))[None]
    found = figures(np.tril(np.ones((N, N))) / np.arange(1, N + 1)[:, None], visible)
    assert found["next"] is None
    assert found["a_to_b"] is None  # A stands before B
    assert found["b_to_a"] == pytest.approx((4 / 7 + 4 / 8) / 2)
    assert found["relative_entropy"] == pytest.approx(1.0)


def test_tokens_without_a_choice_are_not_counted() -> None:
    """The first token of a decoder without separators can look at itself only: that says nothing of a head."""
    places = Places(np.zeros(4, np.int64), np.arange(4), np.arange(4))
    visible = np.tril(np.ones((4, 4), np.bool_))[None]
    found = figures(np.eye(4)[[0, 0, 1, 2]], visible, places)
    assert found["previous"] == 1.0
    assert found["itself"] == 0.0
    assert found["first"] == pytest.approx(1 / 3)


def test_each_layer_is_judged_by_what_it_sees() -> None:
    i = np.arange(N)
    near = np.abs(i[:, None] - i) <= 1
    visible = np.stack([np.ones((N, N), np.bool_), near])
    local = near / near.sum(1, keepdims=True)
    both = np.stack([np.full((N, N), 1 / N), local])[:, None]
    sums, tokens = head_sums(both, PLACES, visible)
    wide, narrow = figures_of_heads(sums[None], tokens[None])
    assert wide["relative_entropy"]["value"] == pytest.approx(1.0)
    assert narrow["relative_entropy"]["value"] == pytest.approx(1.0)
    assert narrow["entropy"]["value"] == pytest.approx(math.log(3))
    assert narrow["a_to_b"]["value"] is None  # a separator lies between, and the window ends there


def test_values_are_means_over_tokens_and_intervals_hold_them() -> None:
    rng = np.random.default_rng(0)
    sums = np.zeros((40, 1, 2, len(MEASURES)))
    tokens = np.zeros((40, 1, len(MEASURES)))
    tokens[:, 0, 0] = rng.integers(1, 20, 40)
    sums[:, 0, :, 0] = tokens[:, :, 0] * rng.uniform(0.2, 0.8, (40, 2))
    found = figures_of_heads(sums, tokens, ["previous", "next"])
    for head, one in enumerate(found):
        assert (one["layer"], one["head"]) == (1, head + 1)
        figure = one["previous"]
        assert figure["value"] == pytest.approx(sums[:, 0, head, 0].sum() / tokens[:, 0, 0].sum())
        assert figure["low"] < figure["value"] < figure["high"]
        assert figure["high"] - figure["low"] < 0.25
        assert figure["n"] == tokens[:, 0, 0].sum()
        assert one["next"] == {"value": None, "low": None, "high": None, "n": 0}


def test_one_example_has_no_interval() -> None:
    sums, tokens = head_sums(shift(-1)[None, None], PLACES, EVERY)
    (one,) = figures_of_heads(sums[None], tokens[None])
    assert one["previous"] == {"value": 1.0, "low": None, "high": None, "n": 6}
