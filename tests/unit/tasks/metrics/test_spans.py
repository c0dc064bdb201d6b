from __future__ import annotations

import json
from pathlib import Path

import pytest

from polyseme.errors import InputError
from polyseme.tasks.metrics.spans import measures, per_kind, span_measures, spans_of, token_accuracy

GOLDEN = Path(__file__).resolve().parents[3] / "parity" / "seqeval.json"
CASES = json.loads(GOLDEN.read_text("utf-8"))["cases"]


@pytest.mark.parametrize("mode", ["default", "strict"])
def test_as_seqeval(mode: str) -> None:
    for case in CASES:
        strict = case["scheme"] if mode == "strict" else None
        expected = case[mode]
        gold, said = case["gold"], case["predicted"]
        found = spans_of(gold, strict)
        assert [sorted(sentence) for sentence in found] == [
            sorted(map(tuple, spans)) for spans in expected["spans"]
        ]
        figures = measures(gold, said, strict)
        values = [figures[name].value for name in ("precision", "recall", "f1")]
        assert values == pytest.approx(expected["micro"], abs=1e-9), case
        assert figures["f1"].n == expected["support"]
        table = per_kind(found, spans_of(said, strict))
        assert (expected["macro"] is None) == (not table)  # seqeval gives NaN without a span anywhere
        if not table:
            assert figures["macro_f1"].value == 0.0
            continue
        means = [sum(row[key] for row in table) / len(table) for key in ("precision", "recall", "f1")]
        assert means == pytest.approx(expected["macro"], abs=1e-9), case
        assert figures["macro_f1"].value == pytest.approx(expected["macro"][2], abs=1e-9)


def test_by_hand() -> None:
    gold = [["B-A", "I-A", "O", "B-B"], ["O", "O"], ["B-A"]]
    said = [["B-A", "I-A", "O", "B-A"], ["O", "B-B"], ["B-A"]]
    figures = measures(gold, said)
    assert figures["precision"].value == 0.5
    assert figures["recall"].value == pytest.approx(2 / 3)
    assert figures["token_accuracy"].value == pytest.approx(5 / 7)
    assert (figures["precision"].n, figures["recall"].n, figures["token_accuracy"].n) == (4, 3, 7)
    assert figures["f1"].examples == 3
    assert per_kind(spans_of(gold), spans_of(said))[1] == {
        "label": "B",
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
        "support": 1,
        "predicted": 1,
    }


def test_without_spans_everything_is_zero() -> None:
    figures = measures([["O"], []], [["O"], []])
    assert [figures[name].value for name in ("precision", "recall", "f1", "macro_f1")] == [0.0] * 4
    assert figures["f1"].n == 0


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="do not fit"):
        span_measures([set()], [])
    with pytest.raises(InputError, match=r"sentence 2"):
        token_accuracy([["O"], ["O"]], [["O"], []])
