"""What is held out of a training file where there is no dev file."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from polyseme.text.labelled.records import QuestionRecord, TagRecord, TextRecord
from polyseme.train.examples import _chosen, _group, _held_out, _key, _place


def texts(*labels: Any, prefix: str = "text") -> list[TextRecord]:
    return [TextRecord(str(n), f"{prefix} {n}", None, label) for n, label in enumerate(labels)]


@pytest.mark.parametrize("n", [5, 10, 30, 40, 60, 100, 300])
@pytest.mark.parametrize("prefix", ["a", "b", "c", "d"])
def test_of_few_examples_about_a_tenth_is_held_out(n: int, prefix: str) -> None:
    records = texts(*["good", "bad"] * (n // 2), *["bad"] * (n % 2), prefix=prefix)
    held = _chosen(records, _group)
    assert max(1, 0.05 * n) <= len(held) <= max(1, 0.2 * n + 1)
    assert _chosen(records, _group) == held
    kept = [r for r in records if r not in held]
    assert {r.label for r in kept} == {"good", "bad"}


def test_of_many_examples_the_hash_alone_decides() -> None:
    records = texts(*["good", "bad"] * 3000)
    held = _chosen(records, _group)
    assert held == [r for r in records if _held_out(_group(r))]
    assert len(held) == pytest.approx(600, abs=90)
    more = _chosen([*records, *texts(*["good"] * 500, prefix="more")], _group)
    assert more[: len(held)] == held  # what is added changes nothing for the others


def test_a_label_keeps_an_example_to_learn_from() -> None:
    for prefix in "abcdefgh":
        labels = np.array(["common"] * 58 + ["rare", "several"], object)
        records = texts(*labels, prefix=prefix)
        records[-1] = TextRecord("last", "a last text", None, ("several", "common"))
        held = _chosen(records, _group)
        assert all(r.label == "common" for r in held), prefix
        assert 3 <= len(held) <= 12
    sentences = [
        TagRecord(str(n), f"the cat {n}", ((0, 3), (4, 7)), ("O", "B-RARE" if n in (3, 9) else "O"))
        for n in range(24)
    ]
    held_tags = Counter(tag for r in _chosen(sentences, _group) for tag in r.tags or ())
    assert held_tags["O"] > 0
    assert held_tags["B-RARE"] <= 1


def test_values_may_be_held_out_though_none_comes_twice() -> None:
    held = _chosen(texts(*(f"{n}.25" for n in range(40))), _group)
    assert 2 <= len(held) <= 8


def test_equal_inputs_and_articles_stay_together() -> None:
    records = [TextRecord(str(n), f"text {n % 20}", None, "ab"[n % 2]) for n in range(60)]
    sides: dict[str, set[bool]] = {}
    held = _chosen(records, _group)
    for record in records:
        sides.setdefault(record.text, set()).add(record in held)
    assert all(len(side) == 1 for side in sides.values())
    assert len(held) in (3, 6, 9, 12)
    one = [QuestionRecord(str(n), f"question {n}", "the passage", (), "the article") for n in range(30)]
    assert _chosen(one, _group) == []  # one article: its questions are parted instead
    assert 2 <= len(_chosen(one, _key)) <= 6
    assert _chosen(one[:1], _key) == []
    few = [TextRecord(str(n), f"text {n % 4}", None, "ab"[n % 2]) for n in range(32)]
    assert len(_chosen(few, _group)) == 8  # all that are equal, though they are more than wanted
    two = [TextRecord(str(n), f"text {n % 2}", None, "ab"[n // 16]) for n in range(32)]
    assert _chosen(two, _group) == _chosen(two, _key) == []
    assert 2 <= len(_chosen(two, _place)) <= 6
