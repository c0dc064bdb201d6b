from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from polyseme.errors import InputError
from polyseme.study import stats
from polyseme.study.stats import compare, mcnemar, paired_bootstrap, randomisation, seeds_difference
from polyseme.tasks.metrics.classification import measures
from polyseme.tasks.metrics.intervals import over_seeds
from polyseme.tasks.metrics.measure import mean_of
from polyseme.tasks.metrics.regression import RankCorrelation, spearman


def test_randomisation_against_every_swap() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.5, 1, 10), rng.normal(0, 1, 10)
    seen = abs((a - b).mean())
    every = [abs(((a - b) * signs).mean()) >= seen - 1e-12 for signs in itertools.product([1, -1], repeat=10)]
    exact = sum(every) / len(every)
    assert randomisation(mean_of("m", a), mean_of("m", b), 20000) == pytest.approx(exact, abs=0.015)


def test_bootstrap_of_a_difference_of_means() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(0, 1, 1000)
    b = a + rng.normal(0.1, 1, 1000)
    found = paired_bootstrap(mean_of("m", a), mean_of("m", b), 4000)
    normal = scipy.stats.ttest_rel(a, b)
    low, high = normal.confidence_interval()
    assert found["value"] == pytest.approx((a - b).mean())
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=0.01)
    assert found["p"] == pytest.approx(normal.pvalue, abs=0.01)
    assert found["n"] == 1000


@pytest.mark.parametrize("name", ["accuracy", "macro_f1", "matthews"])
def test_alike_and_far_apart(name: str) -> None:
    rng = np.random.default_rng(2)
    gold = rng.integers(0, 5, 400)
    good, bad = (np.where(rng.random(400) < share, gold, rng.integers(0, 5, 400)) for share in (0.8, 0.4))
    first, second = measures(gold, good, 5)[name], measures(gold, bad, 5)[name]
    found = compare(first, second, 1000)
    assert 0 < found["low"] < found["value"] < found["high"]
    assert found["p"] == pytest.approx(2 / 1001)
    assert found["p_randomisation"] == pytest.approx(1 / 1001)
    assert compare(second, first, 1000)["value"] == -found["value"]
    same = compare(first, first, 200)
    assert (same["value"], same["low"], same["high"], same["p"], same["p_randomisation"]) == (0, 0, 0, 1, 1)


def test_p_values_are_even_under_the_null() -> None:
    rng = np.random.default_rng(3)
    values = []
    for seed in range(200):
        right = rng.random((2, 120)) < 0.7
        values.append(randomisation(*(mean_of("accuracy", side) for side in right), 200, seed))
    assert np.mean(np.array(values) <= 0.1) < 0.16
    assert np.mean(np.array(values) <= 0.5) > 0.3


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    x, y, z = rng.normal(size=(3, 70)).round(1)
    pair = RankCorrelation("spearman", x, y), RankCorrelation("spearman", x, z)
    whole = compare(*pair, rounds=100)
    monkeypatch.setattr(stats, "CELLS", 3)
    assert compare(*pair, rounds=100) == pytest.approx(whole)


def test_rounds_without_a_figure_speak_for_luck() -> None:
    """Where swaps leave answers that are all alike there is no correlation: no sign that the systems differ."""
    x, y, z = np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 2.0]), np.array([2.0, 1.0, 1.0])
    seen = float(spearman(x[None], y[None])[0] - spearman(x[None], z[None])[0])
    large = []
    for swaps in itertools.product([False, True], repeat=3):
        with np.errstate(all="ignore"):
            a, b = (float(spearman(x[None], np.where(swaps, *sides)[None])[0]) for sides in ((z, y), (y, z)))
        large.append(not abs(a - b) < abs(seen) - 1e-9)
    assert all(large)  # half of them have no figure
    found = randomisation(RankCorrelation("spearman", x, y), RankCorrelation("spearman", x, z), 200)
    assert found == 1.0


def test_mcnemar_as_the_binomial_test() -> None:
    rng = np.random.default_rng(5)
    for shares in ((0.9, 0.8), (0.5, 0.5), (1.0, 1.0)):
        a, b = (rng.random(200) < share for share in shares)
        found = mcnemar(a, b)
        n = found["only_first"] + found["only_second"]
        expected = scipy.stats.binomtest(found["only_first"], n).pvalue if n else 1.0
        assert found["p"] == pytest.approx(expected)
    with pytest.raises(InputError, match="same examples"):
        mcnemar([True], [True, False])


def test_seeds() -> None:
    values = [0.81, 0.84, 0.79, 0.86]
    found = over_seeds(values)
    low, high = scipy.stats.t.interval(0.95, 3, np.mean(values), scipy.stats.sem(values))
    assert (found["low"], found["high"]) == pytest.approx((low, high))
    assert found["deviation"] == pytest.approx(np.std(values, ddof=1))
    assert over_seeds([0.5]) == {"mean": 0.5, "deviation": None, "low": None, "high": None, "n": 1}
    assert over_seeds([])["mean"] is None


def test_seeds_widen_the_interval() -> None:
    rng = np.random.default_rng(6)
    gold = rng.normal(size=500)
    runs = [mean_of("m", gold + shift) for shift in rng.normal(0, 0.5, 8)]
    base = [mean_of("m", gold - 0.1)]
    found = seeds_difference(runs, base, 2000)
    means = np.array([run.value for run in runs])
    reach = 1.96 * means.std() / math.sqrt(8)
    assert found["value"] == pytest.approx(means.mean() - base[0].value)
    # the examples' luck cancels between the runs: what is left is the seeds'
    assert found["high"] - found["low"] == pytest.approx(2 * reach, rel=0.1)
    assert found["seeds"] == (8, 1)
    one = seeds_difference(runs[:1], base, 500)
    plain = paired_bootstrap(runs[0], base[0], 500)
    assert (one["low"], one["high"], one["p"]) == pytest.approx((plain["low"], plain["high"], plain["p"]))


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InputError, match="same examples"):
        compare(mean_of("m", [1.0]), mean_of("m", [1.0, 2.0]))
    with pytest.raises(InputError, match="not the same"):
        compare(mean_of("a", [1.0]), mean_of("b", [1.0]))
    with pytest.raises(InputError, match="no runs"):
        seeds_difference([], [mean_of("m", [1.0])])


def test_nothing_to_compare() -> None:
    empty = mean_of("m", [])
    assert compare(empty, empty)["p"] == 1.0
    assert seeds_difference([empty], [empty])["n"] == 0
