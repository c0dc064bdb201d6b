"""Random numbers are looked up by counters, so any of them can be had at once."""

from __future__ import annotations

import numpy as np

from polyseme.core.rng import Random


def test_a_value_depends_on_its_counters_alone() -> None:
    rng = Random(7, "mask")
    many = rng.uniform(3, np.arange(1000))
    assert rng.uniform(3, 999) == many[999]
    assert (Random(7, "mask").uniform(3, np.arange(10)) == many[:10]).all()


def test_seeds_and_streams_are_independent() -> None:
    at = np.arange(10_000)
    first = Random(1, "mask").uniform(at)
    for other in (
        Random(2, "mask").uniform(at),
        Random(1, "order").uniform(at),
        Random(1, "mask").uniform(1, at),
    ):
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.05


def test_uniform_is_uniform() -> None:
    values = Random(1, "mask").uniform(np.arange(100_000))
    assert values.min() >= 0.0
    assert values.max() < 1.0
    counts, _ = np.histogram(values, bins=10, range=(0, 1))
    assert abs(counts - 10_000).max() < 500  # five standard deviations


def test_integers_cover_their_range() -> None:
    values = Random(1, "x").integers(5, np.arange(1000))
    assert set(values.tolist()) == {0, 1, 2, 3, 4}


def test_a_permutation_holds_every_number_once() -> None:
    order = Random(1, "order").permutation(1000, 4)
    assert sorted(order.tolist()) == list(range(1000))
    assert order.tolist() != list(range(1000))
    assert (order == Random(1, "order").permutation(1000, 4)).all()
    assert (order != Random(1, "order").permutation(1000, 5)).any()


def test_seeds_up_to_64_bits_differ() -> None:
    assert Random(2**63, "x").bits(0) != Random(0, "x").bits(0)
