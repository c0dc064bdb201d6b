"""An evaluation as text, the confusion matrix and the layer mix as pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from polyseme.errors import ConfigError, InputError
from polyseme.report import charts
from polyseme.report.confusion_chart import LARGEST, confusion_chart, confusion_rows
from polyseme.report.evaluation import evaluation_parts, write_errors
from polyseme.report.figures import width
from polyseme.report.mix_chart import mix_chart, mix_rows
from polyseme.report.terminal import text
from polyseme.study.evaluate import Evaluation
from polyseme.train.run import RunDirectory


def _evaluation(**changes: Any) -> Evaluation:
    figures = {
        "accuracy": {"value": 0.75, "low": 0.5, "high": 0.9, "n": 1200},
        "matthews": {"value": None, "low": None, "high": None, "n": 1200},
    }
    row = {"precision": 0.5, "recall": 0.25, "f1": 1 / 3, "support": 8, "predicted": 4}
    fields: dict[str, Any] = {
        "task": "classify",
        "run": "runs/a",
        "file": "test.tsv",
        "figures": figures,
        "per_class": [{"label": "好评", **row}, {"label": "negative", **row}],
        "confusion": None,
        "confusions": [{"gold": "好评", "predicted": "negative", "count": 1000}],
        "errors": [{"text": "一\u2028二", "probability": 0.9}],
        "predictions": [],
        "examples": 1200,
        "threshold": None,
        "unknown_labels": {},
        "problems": {},
        "notes": [],
    }
    return Evaluation(**{**fields, **changes})


def test_columns_stand_below_each_other_with_chinese_labels() -> None:
    lines = text(evaluation_parts(_evaluation())).split("\n")
    table = [line for line in lines if line.startswith(("label", "好评", "negative"))]
    assert len({width(line) for line in table}) == 1
    assert any("1,000  好评 taken for negative" in line for line in lines)
    assert any(line.startswith("matthews") and "—" in line for line in lines)


def test_rare_labels_are_left_out_of_the_text_alone() -> None:
    rows = [
        {"label": f"l{i}", "precision": 0, "recall": 0, "f1": 0, "support": i, "predicted": 0}
        for i in range(77)
    ]
    shown = text(evaluation_parts(_evaluation(per_class=rows, unknown_labels={"l76": 3})))
    assert "… and 47 rarer labels" in shown
    assert "l76 (not learned)" in shown
    assert "l46\n" not in shown


def test_the_larger_p_of_both_tests_is_shown() -> None:
    figure = {"value": 0.75, "low": 0.5, "high": 0.9, "n": 8}
    difference = {"value": 0.25, "low": -0.1, "high": 0.5, "p": 0.04, "p_randomisation": 0.0625, "n": 8}
    one = {**figure, "against": {**figure, "value": 0.5}, "difference": difference}
    shown = text(evaluation_parts(_evaluation(figures={"accuracy": one}, against="runs/b")), 100)
    assert "runs/a against runs/b" in shown
    assert "+0.2500 (-0.1000 … +0.5000)  0.0625" in shown


def test_errors_are_json_lines(tmp_path: Path) -> None:
    path = write_errors(_evaluation(), tmp_path / "new" / "errors.jsonl")
    assert [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]] == [
        {"text": "一\u2028二", "probability": 0.9}
    ]


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
    for layer in spec["layer"]:
        for axis in ("x", "y"):
            assert layer["encoding"][axis]["scale"]["domain"] == labels
            assert layer["encoding"][axis]["axis"]["labelOverlap"] is False
    pixels = spec["height"] / n
    assert pixels > spec["layer"][0]["encoding"]["y"]["axis"]["labelFontSize"], "labels would overlap"


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


def test_boxes_are_announced_only_where_they_appear(monkeypatch: pytest.MonkeyPatch) -> None:
    png, svg = Path("a.png"), Path("a.svg")
    monkeypatch.setattr(charts, "_draws_chinese", lambda: False)
    assert "a.png" in (charts.boxes_for(["ok", "好"], [png, svg]) or "")
    assert charts.boxes_for(["ok"], [png]) is None
    assert charts.boxes_for(["好"], [svg]) is None
    monkeypatch.setattr(charts, "_draws_chinese", lambda: True)
    assert charts.boxes_for(["好"], [png]) is None


def test_other_formats_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown chart format"):
        charts.check_formats([Path("a.pdf")])
