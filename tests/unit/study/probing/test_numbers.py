from __future__ import annotations

import math

import numpy as np
import pytest

from polyseme.study.probing.numbers import (
    centre_of_gravity,
    difference,
    differential,
    divergence,
    expected_layer,
    of_seeds,
    score,
    scores_of_layers,
)
from polyseme.tasks.metrics.measure import Measure, mean_of


def test_centre_and_divergence_by_hand() -> None:
    shares = [0.1, 0.2, 0.3, 0.4]
    assert centre_of_gravity(shares) == pytest.approx(0.2 + 0.6 + 1.2)
    by_hand = 0.1 * math.log(0.4) + 0.2 * math.log(0.8) + 0.3 * math.log(1.2) + 0.4 * math.log(1.6)
    assert divergence(shares) == pytest.approx(by_hand)
    assert divergence([0.25] * 4) == pytest.approx(0.0)
    assert divergence([0.0, 1.0, 0.0]) == pytest.approx(math.log(3))


def test_expected_layer_by_hand() -> None:
    scores = [0.50, 0.70, 0.80, 0.75]
    assert differential(scores) == pytest.approx([0.2, 0.1, -0.05])
    assert expected_layer(scores) == pytest.approx((0.2 + 2 * 0.1 - 3 * 0.05) / 0.25)
    assert expected_layer(scores, clipped=True) == pytest.approx((0.2 + 2 * 0.1) / 0.3)


def test_the_published_form_can_leave_the_layers_and_the_clipped_one_cannot() -> None:
    scores = [0.5, 0.9, 0.6]
    assert float(expected_layer(scores)) == pytest.approx((0.4 - 0.6) / 0.1)
    assert float(expected_layer(scores, clipped=True)) == pytest.approx(1.0)


def test_without_a_gain_there_is_no_expected_layer() -> None:
    many = expected_layer([[0.5, 0.5, 0.5], [0.5, 0.4, 0.3], [0.1, 0.1, 0.2]])
    assert np.isnan(many[:2]).all()
    assert many[2] == pytest.approx(2.0)
    assert math.isnan(float(expected_layer([0.5, 0.4], clipped=True)))


def figures(share: float, n: int = 200, seed: int = 0) -> Measure:
    return mean_of("accuracy", np.random.default_rng(seed).random(n) < share)


def test_of_seeds_has_students_interval() -> None:
    found = of_seeds([1.0, 2.0, 3.0])
    assert found["value"] == 2.0
    assert found["low"] == pytest.approx(2 - 4.302653 / math.sqrt(3), abs=1e-5)
    assert found["values"] == [1.0, 2.0, 3.0]
    assert of_seeds([1.5])["low"] is None


def test_a_score_lies_in_its_interval_and_one_seed_has_one_too() -> None:
    runs = [figures(0.7, seed=seed) for seed in range(3)]
    found = score(runs, 500)
    assert found["value"] == pytest.approx(np.mean([run.value for run in runs]))
    assert found["low"] < found["value"] < found["high"]
    assert found["seeds"]["n"] == 3
    one = score(runs[:1], 500)
    assert one["low"] < one["value"] < one["high"]
    assert one["high"] - one["low"] == pytest.approx(4 * math.sqrt(0.7 * 0.3 / 200), rel=0.2)


def test_differences_are_above_where_they_are() -> None:
    high, low = [figures(0.9, seed=1)], [figures(0.3, seed=2)]
    assert difference(high, low, 500)["above"] is True
    assert difference(low, high, 500)["above"] is False
    assert difference(high, high, 500) | {"p": 0} == {
        "value": 0.0,
        "low": 0.0,
        "high": 0.0,
        "n": 200,
        "p": 0,
        "above": False,
    }


def test_one_text_has_no_interval_and_nothing_is_above_by_it() -> None:
    right, wrong = ([mean_of("accuracy", [share]) for share in shares] for shares in ((1.0, 1.0), (0.0, 0.0)))
    assert score(right, 100) | {"seeds": 0} == {
        "value": 1.0,
        "low": None,
        "high": None,
        "n": 1,
        "seeds": 0,
        "values": [1.0, 1.0],
    }
    found = difference(right, wrong, 100)
    assert (found["value"], found["low"], found["p"], found["above"]) == (1.0, None, 1.0, False)
    layers = scores_of_layers([wrong, right], 100)
    assert [one["low"] for one in layers["scores"]] == [None, None]
    assert (layers["expected_layer"]["value"], layers["expected_layer"]["high"]) == (1.0, None)


def test_scores_of_layers_agree_with_the_single_figures() -> None:
    rng = np.random.default_rng(3)
    luck = rng.random((2, 400))
    runs = [[mean_of("accuracy", luck[s] < share) for s in range(2)] for share in (0.3, 0.6, 0.9)]
    found = scores_of_layers(runs, 400)
    mean = [np.mean([run.value for run in some]) for some in runs]
    assert [one["value"] for one in found["scores"]] == pytest.approx(mean)
    assert [one["value"] for one in found["differences"]] == pytest.approx(np.diff(mean))
    expected = found["expected_layer"]
    assert expected["value"] == pytest.approx(float(expected_layer(mean)))
    assert 1 <= expected["low"] < expected["value"] < expected["high"] <= 2
    assert expected["undefined_draws"] == 0
    assert found["expected_layer_clipped"]["value"] == pytest.approx(expected["value"])


def test_the_same_draws_each_time() -> None:
    runs = [[figures(0.5, seed=s)] for s in range(3)]
    assert scores_of_layers(runs, 200) == scores_of_layers(runs, 200)
