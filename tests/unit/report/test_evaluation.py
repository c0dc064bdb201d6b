"""An evaluation as text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from polyseme.errors import ConfigError
from polyseme.report.evaluation import evaluation_page, write_errors
from polyseme.report.figures import width
from polyseme.study.evaluate import Evaluation


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
    lines = str(_evaluation()).split("\n")
    table = [line for line in lines if line.startswith(("label", "好评", "negative"))]
    assert len({width(line) for line in table}) == 1
    assert any("1,000  好评 taken for negative" in line for line in lines)
    assert any(line.startswith("matthews") and "—" in line for line in lines)


def test_rare_labels_are_left_out_of_the_text_alone() -> None:
    rows = [
        {"label": f"l{i}", "precision": 0, "recall": 0, "f1": 0, "support": i, "predicted": 0}
        for i in range(77)
    ]
    shown = str(_evaluation(per_class=rows, unknown_labels={"l76": 3}))
    assert "… and 47 rarer labels" in shown
    assert "l76 (not learned)" in shown
    assert "l46\n" not in shown


def test_the_larger_p_of_both_tests_is_shown() -> None:
    figure = {"value": 0.75, "low": 0.5, "high": 0.9, "n": 8}
    difference = {"value": 0.25, "low": -0.1, "high": 0.5, "p": 0.04, "p_randomisation": 0.0625, "n": 8}
    one = {**figure, "against": {**figure, "value": 0.5}, "difference": difference}
    shown = evaluation_page(_evaluation(figures={"accuracy": one}, against="runs/b").document()).text(100)
    assert "runs/a against runs/b" in shown
    assert "+0.2500 (-0.1000 … +0.5000)  0.0625" in shown


def test_errors_are_json_lines(tmp_path: Path) -> None:
    path = write_errors(_evaluation(), tmp_path / "new" / "errors.jsonl")
    assert [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]] == [
        {"text": "一\u2028二", "probability": 0.9}
    ]


def test_an_unknown_language_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such language"):
        _evaluation().save(tmp_path / "out", "fr")
