"""The loss curve, the confusion matrix and the layer mix as charts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from polyseme.errors import InputError
from polyseme.report.files import save
from polyseme.report.run_charts import (
    LARGEST,
    confusion_chart,
    confusion_rows,
    loss_chart,
    loss_rows,
    mix_chart,
    mix_rows,
)
from polyseme.train.run import RunDirectory


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


def test_rows_hold_two_curves_over_minutes_and_a_baseline() -> None:
    rows, unigram = loss_rows(_records())
    by_curve = {
        name: [row for row in rows if row["curve"] == name] for name in {row["curve"] for row in rows}
    }
    assert {name: len(points) for name, points in by_curve.items()} == {
        "train": 40,
        "held-out": 4,
    }
    assert by_curve["train"][19]["minutes"] == 1.0
    assert unigram == 5.9


def test_long_runs_are_averaged_not_cut() -> None:
    records = [{"seconds": 60.0 * i, "loss": float(i)} for i in range(1000)]
    rows, _ = loss_rows(records)
    assert len(rows) == 200
    assert sum(row["loss"] for row in rows) / 200 == pytest.approx(499.5)


def test_lines_without_a_loss_are_passed_over() -> None:
    assert loss_rows([{"seconds": 1.0}, {"loss": 1.0}, {"seconds": 1.0, "heldout_loss": None}]) == ([], None)


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(InputError, match="no loss to draw"):
        loss_chart([])


def test_all_formats_are_written(tmp_path: Path) -> None:
    paths = [tmp_path / "deep" / f"loss.{ending}" for ending in ("svg", "png", "html")]
    assert save(loss_chart(_records(), "bert: loss"), paths) == paths
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
    save(loss_chart(records), [tmp_path / "loss.svg"])
    assert "held-out" not in (tmp_path / "loss.svg").read_text("utf-8")


def test_the_baseline_is_called_by_what_gives_it(tmp_path: Path) -> None:
    save(loss_chart(_records(), alone="by chance"), [tmp_path / "loss.svg"])
    text = (tmp_path / "loss.svg").read_text("utf-8")
    assert "loss by chance" in text
    assert "unigram" not in text


def test_the_matrix_is_normalised_by_row_and_keeps_its_counts() -> None:
    labels, rows = confusion_rows({"labels": ["a", "b", "c"], "counts": [[3, 1, 0], [0, 0, 0], [0, 2, 2]]})
    cells = {(row["gold"], row["predicted"]): (row["count"], row["share"]) for row in rows}
    assert labels == ["a", "b", "c"]
    assert len(cells) == 9
    assert cells["a", "b"] == (1, 0.25)
    assert cells["b", "b"] == (0, 0.0)
    assert cells["c", "b"] == (2, 0.5)


def test_of_very_many_labels_those_with_the_most_errors_are_drawn() -> None:
    n = LARGEST + 40
    counts = [[0] * n for _ in range(n)]
    for i in range(n):
        counts[i][i] = 5
    counts[100][3] = 7
    labels, rows = confusion_rows({"labels": [f"l{i}" for i in range(n)], "counts": counts})
    assert len(labels) == LARGEST
    assert {"l100", "l3"} <= set(labels)
    assert next(r for r in rows if (r["gold"], r["predicted"]) == ("l100", "l3"))["share"] == round(7 / 12, 4)


@pytest.mark.parametrize("n", [2, 12, 77])
def test_every_label_is_written_on_both_axes(n: int) -> None:
    labels = [f"很长的标签{i}" for i in range(n)]
    counts = [[int(i == j) for j in range(n)] for i in range(n)]
    spec = confusion_chart({"labels": labels, "counts": counts}).to_dict()
    encoding = spec["layer"][0]["encoding"]
    for axis in ("x", "y"):
        assert encoding[axis]["scale"]["domain"] == labels
        assert encoding[axis]["axis"]["labelOverlap"] is False
    assert spec["height"] / n > encoding["y"]["axis"]["labelFontSize"], "labels would overlap"


def _mixed(folder: str, task: str, weights: list[float] | None) -> RunDirectory:
    results = {"mix": {"weights": weights, "gamma": 1.5}} if weights else {}
    return RunDirectory(Path(folder), {"model": "elmo", "adapted": {"task": task}, "results": results})


def test_mixes_stand_side_by_side_a_column_a_run() -> None:
    runs = [_mixed("a", "tag", [0.2, 0.3, 0.5]), _mixed("b", "qa", [0.6, 0.4]), _mixed("c", "qa", [1.0])]
    names, rows = mix_rows(runs)
    assert names == ["tag, elmo", "qa, elmo: b", "qa, elmo: c"]
    assert [(row["layer"], row["weight"]) for row in rows if row["run"] == "tag, elmo"] == [
        (0, 0.2),
        (1, 0.3),
        (2, 0.5),
    ]
    spec = mix_chart(runs).to_dict()
    assert spec["layer"][0]["encoding"]["y"]["sort"] == [2, 1, 0], "embeddings at the bottom"
    assert spec["layer"][0]["encoding"]["x"]["sort"] == names


def test_a_run_without_a_mix_is_refused() -> None:
    with pytest.raises(InputError, match="has learned no mix") as error:
        mix_rows([_mixed("a", "tag", [1.0]), _mixed("b", "qa", None)])
    assert "--feature-based" in str(error.value)
