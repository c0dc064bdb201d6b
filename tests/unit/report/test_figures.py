"""How numbers are written for people."""

from __future__ import annotations

import math

import pytest

from polyseme.report.figures import clock, count, duration, size, sparkline


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (4.26, "4.3 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (192, "3 min 12 s"),
        (5400, "1 h 30 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0:00"), (59.6, "1:00"), (192, "3:12"), (5405, "1:30:05")]
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (12_345, "12,345"),
        (999_999, "999,999"),
        (999_999.6, "1.00 M"),
        (1_500_000, "1.50 M"),
        (150_000_000, "150 M"),
        (999_600_000, "1.00 G"),
        (3e15, "3000 T"),
    ],
)
def test_count(number: float, text: str) -> None:
    assert count(number) == text


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (512, "512 B"),
        (2_300_000, "2.3 MB"),
        (999_600, "1.0 MB"),
        (25_300_000_000, "25.3 GB"),
        (271e9, "271 GB"),
    ],
)
def test_size(n_bytes: float, text: str) -> None:
    assert size(n_bytes) == text


def test_sparkline_spans_from_lowest_to_highest() -> None:
    assert sparkline([3, 2, 1], 10) == "█▅▁"
    assert sparkline([3, 2, 1], 10, ascii_only=True) == "@+_"


def test_sparkline_averages_equal_shares() -> None:
    assert sparkline([4, 4, 0, 0, 0, 0, 4, 4], 4) == "█▁▁█"
    assert len(sparkline([float(i) for i in range(1000)], 32)) == 32


def test_sparkline_of_odd_input() -> None:
    assert sparkline([], 10) == ""
    assert sparkline([math.nan, math.inf], 10) == ""
    assert sparkline([1.0, 1.0], 10) == "▁▁"
    assert sparkline([1.0], 0) == ""
