"""Packing loses nothing and never overfills; the order visits every row once an epoch."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polyseme.core.rng import Random
from polyseme.data.packing import RowPlan, pack

lengths = st.lists(st.integers(1, 40), min_size=0, max_size=200)


@given(lengths)
def test_every_example_is_in_exactly_one_row(sizes: list[int]) -> None:
    offsets, members = pack(np.array(sizes, np.int64), 40)
    assert sorted(members.tolist()) == list(range(len(sizes)))
    assert offsets[0] == 0
    assert offsets[-1] == len(sizes)
    assert (np.diff(offsets) >= 1).all()


@given(lengths)
def test_no_row_is_overfull_and_few_are_half_empty(sizes: list[int]) -> None:
    array = np.array(sizes, np.int64)
    offsets, members = pack(array, 40)
    filled = [int(array[members[a:b]].sum()) for a, b in pairwise(offsets)]
    assert all(f <= 40 for f in filled)
    # any two rows that together fit into one would be a missed chance
    assert sum(f <= 20 for f in filled) <= 1


@given(st.lists(st.integers(1, 16), min_size=1, max_size=60), st.integers(0, 2**63))
def test_an_epoch_visits_every_row_once(sizes: list[int], seed: int) -> None:
    plan = RowPlan(np.array(sizes, np.int64), 16, Random(seed, "order"))
    for epoch in range(2):
        seen = [i for c in range(plan.n_rows) for i in plan.row(epoch * plan.n_rows + c)]
        assert sorted(seen) == list(range(len(sizes)))


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**40), st.integers(1, 50))
def test_random_numbers_are_addressed_not_drawn(seed: int, counter: int, n: int) -> None:
    whole = Random(seed, "x").uniform(counter, np.arange(n))
    parts = [float(Random(seed, "x").uniform(counter, i)) for i in range(n)]
    assert whole.tolist() == parts
    assert ((whole >= 0) & (whole < 1)).all()
