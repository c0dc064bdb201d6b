"""Predicting: in order, in pieces, and without a look at the labels."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapting import TASKS, adapt, start_run, write_examples
from polyseme import load
from polyseme.cli import main
from polyseme.errors import ConfigError
from polyseme.infer import predict
from polyseme.infer.predict import Predictor
from polyseme.text.labelled.records import Problems


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return start_run(tmp_path_factory.mktemp("start") / "bert")


@pytest.mark.parametrize("task", TASKS)
def test_labels_are_not_looked_at(start: Path, task: str, tmp_path: Path) -> None:
    file = write_examples(tmp_path / "a", task, 12)
    predictor = Predictor(load(adapt(task, start, file, tmp_path / "run").path))
    labelled = list(predictor.read(file))
    field = {"tag": "tags", "qa": "answers"}.get(task, "label")
    bare = [replace(record, **{field: None}) for record in labelled]
    wrong = {"tag": ("X",), "qa": ((labelled[0].context[:3], 0),) if task == "qa" else ()}.get(task, "new")
    mixed = [r if n % 2 else replace(r, **{field: None}) for n, r in enumerate(labelled)]
    mixed[1] = replace(mixed[1], **{field: wrong})
    expected = list(predictor.predict(bare))
    assert list(predictor.predict(labelled)) == expected
    assert list(predictor.predict(mixed)) == expected
    assert [one["id"] for one in expected] == [record.id for record in labelled]


@pytest.mark.parametrize("task", ["tag", "qa", "classify"])
def test_detail_adds_and_changes_nothing(start: Path, task: str, tmp_path: Path) -> None:
    file = write_examples(tmp_path / "a", task, 6)
    loaded = load(adapt(task, start, file, tmp_path / "run").path)
    plain, more = (Predictor(loaded, detail=detail) for detail in (False, True))
    for before, said in zip(plain.predict(plain.read(file)), more.predict(more.read(file)), strict=True):
        if task == "tag":
            for token in said["tokens"]:
                shares = token.pop("probabilities")
                assert sum(shares.values()) == pytest.approx(1.0, abs=1e-4)
                assert shares[token["tag"]] == pytest.approx(token["probability"])
        if task == "qa":
            for token in said["tokens"]:
                assert 0 <= token["start_probability"] <= 1
            new = set(said) - set(before)
            assert new == {"tokens", "spans", "no_answer", "threshold"}
            said = {name: said[name] for name in before}
        assert said == before
    output = tmp_path / "said.jsonl"
    assert main(["predict", str(tmp_path / "run"), str(file), "--detail", "-o", str(output)]) == 0
    line = json.loads(output.read_text("utf-8").split("\n")[0])
    assert ("spans" in line) == (task != "classify")


def test_a_thousand_at_a_time_changes_nothing(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_examples(tmp_path / "a", "classify", 30)
    predictor = Predictor(load(adapt("classify", start, file, tmp_path / "run").path))
    together = list(predictor.predict(predictor.read(file)))
    monkeypatch.setattr(predict, "RECORDS_AT_ONCE", 7)
    apart = list(predictor.predict(predictor.read(file)))
    assert [one["label"] for one in apart] == [one["label"] for one in together]
    for a, b in zip(apart, together, strict=True):
        assert a["probabilities"] == pytest.approx(b["probabilities"], abs=1e-5)
        assert sum(a["probabilities"].values()) == pytest.approx(1.0, abs=1e-5)
    assert list(predictor.predict([])) == []
    assert f"run': classify of {', '.join(predictor.config.labels)})" in repr(predictor)


def test_records_are_read_as_they_are_asked_for(start: Path, tmp_path: Path) -> None:
    file = write_examples(tmp_path / "a", "classify")
    predictor = Predictor(load(adapt("classify", start, file, tmp_path / "run").path))
    records = list(predictor.read(file))
    taken = 0

    def endless():  # type: ignore[no-untyped-def]
        nonlocal taken
        while True:
            taken += 1
            yield records[taken % len(records)]

    found = predictor.predict(endless())
    for _ in range(3):
        next(found)
    assert taken == predict.RECORDS_AT_ONCE


@pytest.mark.parametrize("task", TASKS)
def test_texts_that_are_cut_are_counted_in_one_warning(
    start: Path, task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_examples(tmp_path / "a", task, 12)
    loaded = load(adapt(task, start, file, tmp_path / "run").path)
    monkeypatch.setattr(predict, "RECORDS_AT_ONCE", 2)
    long = "the cat sat on the mat " * 200
    texts: list[Any] = ["short", long, "the cat", long]
    if task in ("pair", "qa"):
        texts = [("the cat", text) for text in texts]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        said = loaded.predict(texts)
    cut = [str(one.message) for one in caught if "not read" in str(one.message)]
    if task in ("classify", "pair"):
        assert len(cut) == 1
        assert cut[0].startswith("2 of 4 texts are longer than the ")
        assert cut[0].endswith("tokens in all (number 2, 4)")
        assert ["cut" in one for one in said] == [False, True, False, True]
        n = len(loaded.tokenizer.encode(long))
        assert n > said[1]["cut"] == said[3]["cut"] > n - 100
    else:  # read in windows
        assert cut == []
        assert not any("cut" in one for one in said)


def test_blank_lines_of_plain_text_are_counted(start: Path, tmp_path: Path) -> None:
    file = write_examples(tmp_path / "a", "classify")
    predictor = Predictor(load(adapt("classify", start, file, tmp_path / "run").path))
    (tmp_path / "lines.txt").write_bytes(b"the cat\n\n  a\rb \nlast")
    problems = Problems()
    said = list(predictor.predict(predictor.read(tmp_path / "lines.txt", None, problems, labelled=False)))
    assert [(one["id"], one["text"]) for one in said] == [("1", "the cat"), ("3", "  a\rb "), ("4", "last")]
    assert problems.counts == {"empty_text": 1}


def test_a_run_without_a_task(start: Path) -> None:
    with pytest.raises(ConfigError, match="not adapted to a task"):
        Predictor(load(start))


def test_a_run_of_another_task_can_be_adapted_again(start: Path, tmp_path: Path) -> None:
    tags = write_examples(tmp_path / "a", "tag")
    texts = write_examples(tmp_path / "b", "classify")
    first = adapt("tag", start, tags, tmp_path / "tag", feature_based=True)
    second = adapt("classify", first.path, texts, tmp_path / "classify")
    loaded = load(second.path)
    assert set(loaded.heads) == {"classify"}
    assert {one["label"] for one in Predictor(loaded).predict(Predictor(loaded).read(texts))} <= {
        "good",
        "bad",
    }
