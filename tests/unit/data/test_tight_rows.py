from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polyseme.data.labelled import tight_rows
from polyseme.data.packing import pack


@given(st.lists(st.integers(1, 90), min_size=1, max_size=40))
def test_every_example_is_in_one_row_that_holds_it(lengths: list[int]) -> None:
    sizes = np.array(lengths)
    length, offsets, members = tight_rows(sizes)
    assert sorted(members.tolist()) == list(range(len(sizes)))
    assert length >= sizes.max()
    rows = [sizes[members[a:b]].sum() for a, b in pairwise(offsets)]
    assert max(rows) <= length
    longest = int(sizes.max())
    assert (len(offsets) - 1) * length <= (len(pack(sizes, longest)[0]) - 1) * longest


def test_rows_a_little_longer_than_the_longest_leave_less_padding() -> None:
    sizes = np.array([20] * 10 + [30])
    length, offsets, _ = tight_rows(sizes)
    assert (len(offsets) - 1) * length < (
        len(pack(sizes, 30)[0]) - 1
    ) * 30  # eleven rows of 30, one example each
