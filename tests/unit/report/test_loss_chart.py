"""The loss curve as a chart."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from polyseme.errors import ConfigError, InputError
from polyseme.report.loss_chart import curve_rows, loss_chart, write_loss_chart


def _records(n: int = 40) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for step in range(1, n + 1):
        records.append({"step": step, "seconds": 3.0 * step, "loss": 4 + 2 * math.exp(-step / n)})
        if step % 10 == 0:
            records.append(
                {
                    "step": step,
                    "seconds": 3.0 * step,
                    "heldout_loss": 4.1 + 2 * math.exp(-step / n),
                    "unigram_loss": 5.9,
                }
            )
    return records


def test_rows_hold_three_curves_over_minutes() -> None:
    rows = curve_rows(_records())
    by_curve = {
        name: [row for row in rows if row["curve"] == name] for name in {row["curve"] for row in rows}
    }
    assert {name: len(points) for name, points in by_curve.items()} == {
        "train": 40,
        "held-out": 4,
        "unigram baseline": 2,
    }
    assert by_curve["train"][19]["minutes"] == 1.0
    assert [(row["minutes"], row["loss"]) for row in by_curve["unigram baseline"]] == [(0.0, 5.9), (2.0, 5.9)]


def test_long_runs_are_averaged_not_cut() -> None:
    records = [{"seconds": 60.0 * i, "loss": float(i)} for i in range(1000)]
    rows = curve_rows(records)
    assert len(rows) == 200
    assert sum(row["loss"] for row in rows) / 200 == pytest.approx(499.5)


def test_lines_without_a_loss_are_passed_over() -> None:
    assert curve_rows([{"seconds": 1.0}, {"loss": 1.0}, {"seconds": 1.0, "heldout_loss": None}]) == []


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(InputError, match="no loss to draw"):
        loss_chart([])


def test_all_formats_are_written(tmp_path: Path) -> None:
    paths = [tmp_path / "deep" / f"loss.{ending}" for ending in ("svg", "png", "html")]
    assert write_loss_chart(_records(), paths, "bert: loss") == paths
    svg, png, html = paths
    text = svg.read_text("utf-8")
    for words in ("bert: loss", "held-out", "unigram baseline", "minutes of training"):
        assert words in text
    assert png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    page = html.read_text("utf-8")
    assert "unigram baseline" in page
    assert "<script src=" not in page  # the drawing library is inside: the page opens without a network


def test_without_evaluations_only_the_train_loss_is_shown(tmp_path: Path) -> None:
    records = [record for record in _records() if "loss" in record]
    write_loss_chart(records, [tmp_path / "loss.svg"])
    assert "held-out" not in (tmp_path / "loss.svg").read_text("utf-8")


def test_an_unknown_ending_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown chart format"):
        write_loss_chart(_records(), [tmp_path / "loss.svg", tmp_path / "loss.gif"])
    assert list(tmp_path.iterdir()) == []
