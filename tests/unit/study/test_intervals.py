from __future__ import annotations

import math

import numpy as np
import pytest

from polyseme.study.stats import interval_of_pairs
from polyseme.tasks.metrics import intervals
from polyseme.tasks.metrics.classification import measures
from polyseme.tasks.metrics.intervals import bootstrap_interval, draws
from polyseme.tasks.metrics.measure import mean_of
from polyseme.tasks.metrics.regression import RankCorrelation, spearman


def test_mean_against_the_normal_interval() -> None:
    x = np.random.default_rng(0).normal(5, 2, 2000)
    low, high = bootstrap_interval(mean_of("m", x), 4000)
    reach = 1.96 * x.std() / math.sqrt(len(x))
    assert low == pytest.approx(x.mean() - reach, abs=0.1 * reach)
    assert high == pytest.approx(x.mean() + reach, abs=0.1 * reach)


def test_ranks_as_the_plain_bootstrap() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=300).round(1)
    y = x + rng.normal(size=300)
    fast = bootstrap_interval(RankCorrelation("spearman", x, y), 4000)
    assert fast == pytest.approx(interval_of_pairs(spearman, x, y, 4000), abs=0.01)


@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_draws_are_even_and_do_not_hang_on_memory(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(draws(n, 50, seed=3)))
    assert whole.shape == (50, n)
    assert whole.min() >= 0
    assert whole.max() < n
    monkeypatch.setattr(intervals, "CELLS", 3 * n)
    parts = list(draws(n, 50, seed=3))
    assert len(parts) == 17
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert n < 7 or not np.array_equal(whole, np.concatenate(list(draws(n, 50, seed=4))))


def test_every_example_is_drawn_equally_often() -> None:
    n, rounds = 10, 20000
    counts = np.bincount(np.concatenate(list(draws(n, rounds, seed=0))).reshape(-1), minlength=n)
    spread = math.sqrt(rounds * (1 - 1 / n))
    assert np.abs(counts - rounds).max() < 5 * spread


def test_nothing_to_draw() -> None:
    assert all(math.isnan(limit) for limit in bootstrap_interval(measures([], [])["accuracy"]))
    assert bootstrap_interval(measures([1], [1])["accuracy"]) == (1.0, 1.0)
