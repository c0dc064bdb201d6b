"""Evaluating two runs that were trained otherwise, and files of another kind than the run's."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapting import adapt, start_run, write_examples
from polyseme.errors import CorpusError
from polyseme.study.evaluate import evaluate


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


def test_a_run_of_numbers_wants_numbers(start: Path, tmp_path: Path) -> None:
    train = tmp_path / "numbers.tsv"
    train.write_text("text\tlabel\n" + "".join(f"the cat {n}\t{n}.5\n" for n in range(8)), "utf-8")
    run = adapt("classify", start, train, tmp_path / "run", epochs=1).path
    assert evaluate(run, train).figures["mean_absolute_error"]["value"] > 0
    for label in ("good", "nan", ""):
        test = tmp_path / "test.tsv"
        test.write_text(f"text\tlabel\nthe cat\t1.5\na dog\t2\nthe bird\t{label}\n", "utf-8")
        if label:
            with pytest.raises(CorpusError, match="not a number") as caught:
                evaluate(run, test)
            assert str(caught.value.where).endswith("test.tsv:4")
        else:
            assert evaluate(run, test).examples == 2
