"""Errors, the most confident first."""

from __future__ import annotations

from typing import Any

import pytest

from polyseme.core import registry
from polyseme.study.evaluate import confusions, mistakes
from polyseme.text.labelled.records import QuestionRecord, TagRecord, TextRecord


def _task(name: str, **config: Any) -> Any:
    module = registry.tasks.load(name)
    return module.build(module.config(**config))


def test_of_one_label() -> None:
    task = _task("classify", kind="single", labels=("a", "b"))
    records = [TextRecord(str(i), f"text {i}", None, label, f"f:{i}") for i, label in enumerate("aab")]
    said = [{"label": "b", "probability": p} for p in (0.6, 0.9, 0.7)]
    found = mistakes(task, records, said)
    assert [(one["id"], one["gold"], one["predicted"], one["probability"]) for one in found] == [
        ("1", "a", "b", 0.9),
        ("0", "a", "b", 0.6),
    ]
    assert found[0]["text"] == "text 1"
    assert found[0]["where"] == "f:1"


def test_of_several_labels_the_worst_one_counts() -> None:
    task = _task("classify", kind="several", labels=("a", "b", "c"))
    labels: list[tuple[str, ...]] = [("a",), ("a", "b"), (), ("new",)]
    records = [TextRecord(str(i), "t", None, label) for i, label in enumerate(labels)]
    said = [
        {"labels": ["a", "b"], "probabilities": {"a": 0.9, "b": 0.7, "c": 0.1}},  # b is said with 0.7
        {"labels": ["a"], "probabilities": {"a": 0.9, "b": 0.05, "c": 0.1}},  # b is denied with 0.95
        {"labels": [], "probabilities": {"a": 0.1, "b": 0.1, "c": 0.1}},
        {"labels": [], "probabilities": {"a": 0.1, "b": 0.1, "c": 0.1}},  # a label that was not learned
    ]
    found = mistakes(task, records, said)
    assert [(one["id"], one["probability"]) for one in found] == [
        ("3", 1.0),
        ("1", pytest.approx(0.95)),
        ("0", 0.7),
    ]


def test_of_numbers_those_farther_away_than_the_mean() -> None:
    task = _task("pair", kind="number")
    records = [TextRecord(str(i), "a", "b", value) for i, value in enumerate((1.0, 2.0, 3.0))]
    said = [{"value": 1.1}, {"value": 4.0}, {"value": 2.0}]  # away by 0.1, 2 and 1: 1.033 on average
    (one,) = mistakes(task, records, said)
    assert (one["id"], one["difference"], one["text_b"]) == ("1", 2.0, "b")


def test_of_tags_the_wrong_tokens_are_listed() -> None:
    task = _task("tag", labels=("O", "B-A"))
    record = TagRecord("s", "ab cd", ((0, 2), (3, 5)), ("O", "B-A"), "f:1")
    tokens = [
        {"start": 0, "end": 2, "text": "ab", "tag": "O", "probability": 0.99},
        {"start": 3, "end": 5, "text": "cd", "tag": "O", "probability": 0.8},
    ]
    (one,) = mistakes(
        task, [record, record], [{"tokens": tokens}, {"tokens": [tokens[0], {**tokens[1], "tag": "B-A"}]}]
    )
    assert one["gold"] == ["O", "B-A"]
    assert one["predicted"] == ["O", "O"]
    assert one["tokens"] == [{**tokens[1], "gold": "B-A"}]
    assert one["probability"] == 0.8


def test_of_questions_the_official_rules_decide() -> None:
    task = _task("qa", rules="squad-2.0")
    records = [
        QuestionRecord("a", "who?", "The King ruled.", (("The King", 0),)),
        QuestionRecord("b", "who?", "Nobody.", ()),
    ]
    said = [{"answer": "king", "probability": 0.9}, {"answer": "Nobody", "probability": 0.4}]
    (one,) = mistakes(task, records, said)
    assert (one["id"], one["gold"], one["predicted"], one["context"]) == ("b", [], "Nobody", "Nobody.")


def test_confusions_are_sorted_and_leave_out_what_is_right() -> None:
    details = {"confusion": {"labels": ["a", "b", "c"], "counts": [[9, 1, 0], [3, 9, 2], [0, 0, 9]]}}
    assert confusions(details, 2) == [
        {"gold": "b", "predicted": "a", "count": 3},
        {"gold": "b", "predicted": "c", "count": 2},
    ]
    assert confusions({}) == []
