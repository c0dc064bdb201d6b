"""Large whole numbers as people write them."""

from __future__ import annotations

import pytest

from polyseme.core.counts import read_count, short_count


@pytest.mark.parametrize(
    "number", [0, 999, 1_500, 123_456_700, 123_456_789, 2_300_000, 10**9, 12_345_600_000]
)
def test_the_short_form_is_the_same_number(number: int) -> None:
    assert read_count(short_count(number)) == number


def test_every_tenth_of_a_unit_is_read() -> None:
    for tenths in range(1, 2000):
        for unit, size in (("k", 10**3), ("M", 10**6)):
            assert read_count(f"{tenths // 10}.{tenths % 10}{unit}") == tenths * size // 10


@pytest.mark.parametrize(
    "text", ["", "k", "x", "1.5", "nan", "inf", "1e400", "1e999999999", "0.0005k", "5 M k"]
)
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write a whole number"):
        read_count(text)
