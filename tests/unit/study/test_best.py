"""Which figure may be called the best."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from polyseme.core import registry
from polyseme.study.standings import _rank, above, highest_apart, stands_out
from polyseme.study.stats import seeds_difference
from polyseme.tasks.figures import chance_of
from polyseme.tasks.metrics.measure import mean_of
from polyseme.text.labelled.records import QuestionRecord, TagRecord, TextRecord


@pytest.mark.parametrize(
    ("value", "below", "chance", "metric", "expected"),
    [
        (0.9, [True, True], 0.5, "accuracy", True),
        (0.9, [], 0.5, "accuracy", False),  # the only value
        (0.9, [True, False], 0.5, "accuracy", False),  # one of the others may be as good
        (0.5, [True], 0.5, "accuracy", False),  # chance itself
        (0.4, [True], 0.5, "accuracy", False),
        (0.4, [True], None, "accuracy", True),
        (None, [True], 0.5, "accuracy", False),
        (0.3, [True], 0.5, "mean_squared_error", True),
        (0.6, [True], 0.5, "mean_squared_error", False),
    ],
)
def test_the_rule(
    value: float | None, below: list[bool], chance: float | None, metric: str, expected: bool
) -> None:
    assert stands_out(value, below, chance, metric) is expected
    assert above(value, chance, metric) or not expected


def figure(value: float | None, reach: float | None = 0.05) -> dict[str, Any]:
    if value is None or reach is None:
        return {"value": value, "low": None, "high": None}
    return {"value": value, "low": value - reach, "high": value + reach}


def test_where_only_intervals_are_known_they_must_not_meet() -> None:
    assert highest_apart([figure(0.9), figure(0.7)], 0.5) == 0
    assert highest_apart([figure(0.7), None, figure(0.9)], 0.5) == 2
    assert highest_apart([figure(0.8), figure(0.75)], 0.5) is None  # they meet
    assert highest_apart([figure(0.9), figure(0.9)], 0.5) is None  # a tie
    assert highest_apart([figure(0.9), None], 0.5) is None  # the only one
    assert highest_apart([figure(0.4), figure(0.2)], 0.5) is None  # below chance
    assert highest_apart([figure(0.9, None), figure(0.2)], 0.5) is None  # nothing is known of its luck
    assert highest_apart([None, figure(None)], 0.5) is None


def test_runs_stand_by_the_rule() -> None:
    rng = np.random.default_rng(0)
    scores = {"good": 0.8, "like it": 0.79, "bad": 0.3}
    right = {name: (rng.random(400) < p).astype(float) for name, p in scores.items()}

    def ranked(names: list[str], chance: float | None) -> dict[str, dict[str, Any]]:
        rows = {name: {"value": float(right[name].mean())} for name in names}

        def less(best: str, other: str) -> dict[str, Any]:
            return seeds_difference([mean_of("m", right[best])], [mean_of("m", right[other])], 500)

        _rank(rows, less, "accuracy", dict.fromkeys(rows, chance))
        return rows

    out = lambda rows: [name for name, row in rows.items() if row["stands_out"]]  # noqa: E731
    assert out(ranked(["good", "bad"], 0.5)) == ["good"]
    assert out(ranked(["good", "like it", "bad"], 0.5)) == []
    assert out(ranked(["good"], 0.5)) == []
    assert out(ranked(["good", "bad"], 0.95)) == []
    assert ranked(["good"], 0.5)["good"]["best"]  # whom others are compared with


def text(label: Any) -> TextRecord:
    return TextRecord(id="", text="t", label=label, where="f:1")


def test_what_no_knowledge_gives() -> None:
    classify = registry.tasks.load("classify")
    single = classify.build(classify.config.of({"labels": ["a", "b"]}, "t"))
    records = [text("a"), text("b"), text("b"), text("b")]
    assert chance_of(single, records, "accuracy") == 0.75
    assert chance_of(single, records, "macro_f1") == pytest.approx((0 + 2 * 3 / 7) / 2)
    assert chance_of(single, records, "no such figure") is None
    assert chance_of(single, [], "accuracy") is None
    number = classify.build(classify.config.of({"kind": "number", "labels": []}, "t"))
    values = [text(1.0), text(2.0), text(6.0)]
    assert chance_of(number, values, "spearman") == 0.0  # constant answers have no correlation
    assert chance_of(number, values, "mean_squared_error") == pytest.approx((4 + 1 + 9) / 3)
    several = classify.build(classify.config.of({"kind": "several", "labels": ["a", "b"]}, "t"))
    assert chance_of(several, [text(("a",)), text(("a",)), text(("a", "b"))], "micro_f1") == pytest.approx(
        6 / 7
    )


def test_what_no_knowledge_gives_of_tags_and_answers() -> None:
    tag = registry.tasks.load("tag")
    tagger = tag.build(tag.config.of({"labels": ["N", "V"]}, "t"))
    tagged = TagRecord(
        id="", text="a b c", tokens=((0, 1), (2, 3), (4, 5)), tags=("N", "V", "N"), where="f:1"
    )
    assert chance_of(tagger, [tagged], "accuracy") == pytest.approx(2 / 3)
    qa = registry.tasks.load("qa")
    reader = qa.build(qa.config.of({"unanswerable": True}, "t"))
    asked = [
        QuestionRecord(id="1", question="q", context="red house", answers=(("red", 0),), where="f:1"),
        QuestionRecord(id="2", question="q", context="red house", answers=(), where="f:1"),
    ]
    assert chance_of(reader, asked, "f1") == 0.5
