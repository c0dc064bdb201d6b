"""Evaluating two runs that were trained otherwise, and files of another kind than the run's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adapting import adapt, start_run, write_examples
from polyseme.errors import CorpusError
from polyseme.study.evaluate import evaluate
from polyseme.study.stats import mcnemar


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return start_run(tmp_path_factory.mktemp("evaluate") / "bert")


def test_runs_with_class_weights_and_other_labels_are_compared(start: Path, tmp_path: Path) -> None:
    first, third = write_examples(tmp_path / "two", "classify", 16), tmp_path / "three.tsv"
    third.write_text(first.read_text("utf-8") + "the old river\tneither\na small river\tneither\n", "utf-8")
    weighted = {"classify.class_weights": "balanced"}
    runs = [
        adapt("classify", start, file, tmp_path / file.stem, epochs=1, settings=weighted).path
        for file in (first, third)
    ]
    for run, other in (runs, runs[::-1]):
        found = evaluate(run, third, against=other)
        assert found.examples == 18
        assert {row["label"] for row in found.per_class} == {"good", "bad", "neither"}
        alone = evaluate(other, third).figures["accuracy"]
        assert found.figures["accuracy"]["against"] == alone


def test_probabilities_are_judged_and_right_answers_are_paired(start: Path, tmp_path: Path) -> None:
    file = write_examples(tmp_path / "train", "classify", 40)
    runs = [
        adapt("classify", start, file, tmp_path / f"{epochs}", epochs=epochs, seed=epochs).path
        for epochs in (1, 3)
    ]
    gold = [line.split("\t")[1] for line in file.read_text("utf-8").splitlines()[1:]]
    found, other = evaluate(runs[0], file, against=runs[1]), evaluate(runs[1], file)
    for one in (found, other):
        p = [said["probabilities"][label] for said, label in zip(one.predictions, gold, strict=True)]
        assert one.figures["log_loss"]["value"] == pytest.approx(-np.log(p).mean())
        confidence = np.array([said["probability"] for said in one.predictions])
        right = np.array([said["label"] == label for said, label in zip(one.predictions, gold, strict=True)])
        bins = np.ceil(confidence * 15)
        gaps = [abs((right - confidence)[bins == b].sum()) for b in np.unique(bins)]
        assert one.figures["calibration_error"]["value"] == pytest.approx(sum(gaps) / len(gold))
    a, b = (
        [said["label"] == label for said, label in zip(one.predictions, gold, strict=True)]
        for one in (found, other)
    )
    test = found.figures["accuracy"]["difference"]["mcnemar"]
    assert test["only_first"] == sum(x and not y for x, y in zip(a, b, strict=True))
    assert test["only_second"] == sum(y and not x for x, y in zip(a, b, strict=True))
    assert test["p"] == mcnemar(a, b)["p"]
    assert f"(McNemar p {test['p']:.4f})" in str(found)
    assert "McNemar" not in str(other)


def test_a_run_of_numbers_wants_numbers(start: Path, tmp_path: Path) -> None:
    train = tmp_path / "numbers.tsv"
    train.write_text("text\tlabel\n" + "".join(f"the cat {n}\t{n}.5\n" for n in range(8)), "utf-8")
    run = adapt("classify", start, train, tmp_path / "run", epochs=1).path
    assert evaluate(run, train).figures["mean_absolute_error"]["value"] > 0
    for label in ("good", "nan", ""):
        test = tmp_path / "test.tsv"
        test.write_text(f"text\tlabel\nthe cat\t1.5\na dog\t2\nthe bird\t{label}\n", "utf-8")
        found = evaluate(run, test)
        assert found.examples == 2
        assert any("test.tsv:4" in note and "skipped" in note for note in found.notes)
        assert found.read.endswith("numbers from 1.5 to 2 (regression); 2 rows read, 1 left out")
    test.write_text("text\tlabel\nthe cat\t1.5\na dog\tgood\nthe bird\tbad\n", "utf-8")
    with pytest.raises(CorpusError, match="not a number"):
        evaluate(run, test)


def test_f1_of_no_gold_is_not_known() -> None:
    """Nothing to find and nothing found: that is no F1 of 0, which looks like a bad tagger."""
    from polyseme.study.evaluate import _absent, _figures
    from polyseme.tasks.metrics import spans

    nothing = spans.measures([["O", "O"], ["O"]], [["O", "O"], ["O"]])
    figures = _figures(nothing, 50, 0)
    assert figures["f1"] == figures["recall"] == {"value": None, "low": None, "high": None, "n": 0}
    assert figures["token_accuracy"]["value"] == 1.0
    (note,) = _absent(nothing)
    assert "f1" in note
    some = _figures(spans.measures([["B-X", "O"]], [["O", "O"]]), 50, 0)
    assert some["f1"]["value"] == 0.0
    assert _absent(spans.measures([["B-X", "O"]], [["O", "O"]])) == []
