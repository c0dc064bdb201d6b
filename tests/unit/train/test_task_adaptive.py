"""Pretraining on a task's own texts before the task: what it reads, that it goes on, and what cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from adapting import adapt, start_run, write_examples
from polyseme.errors import ConfigError, Interrupted, PolysemeError
from polyseme.text.labelled.records import QuestionRecord, TextRecord
from polyseme.train import finetune as finetuning
from polyseme.train import task_adaptive
from polyseme.train.opening import ADAPTED
from polyseme.train.request import Budget, FinetuneRequest
from polyseme.train.run import RunDirectory
from polyseme.train.task_adaptive import task_texts
from trained import make_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("adapted")


@pytest.fixture(scope="module")
def start(folder: Path) -> Path:
    return make_run(folder / "bert")


@pytest.fixture(scope="module")
def train(folder: Path) -> Path:
    return write_examples(folder / "train", "classify", 40)


def learned(start: Path, train: Path, output: Path, **options: Any) -> RunDirectory:
    options = {"adapt": "3steps", "epochs": 1, **options}
    return adapt("classify", start, train, output, **{"dev": None, **options})


def weights(run: Path) -> dict[str, torch.Tensor]:
    return RunDirectory.open(run).weights()[0]


def same(a: Path, b: Path) -> bool:
    ours, theirs = weights(a), weights(b)
    return all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.fixture(scope="module")
def whole(start: Path, train: Path, folder: Path) -> RunDirectory:
    return learned(start, train, folder / "whole")


def test_it_goes_on_with_the_runs_own_pretraining(start: Path, whole: RunDirectory) -> None:
    facts, inner = whole.meta["adapted"]["pretraining"], RunDirectory.open(whole.path / ADAPTED)
    own, then = RunDirectory.open(start).meta["recipe"], inner.meta["recipe"]
    assert (facts["budget"], facts["steps"]) == ("3 steps", 3)
    assert facts["objectives"] == then["objectives"] == ["masked_lm"]  # lone sentences have no next ones
    assert facts["texts"] == whole.meta["adapted"]["train"]["examples"]
    assert then["train"] == own["train"]
    assert then["model"] == own["model"]
    assert any("pretrained further for 3 steps" in note for note in whole.meta["adapted"]["notes"])
    assert "pretrained further" in (whole.path / "README.md").read_text("utf-8")
    assert not same(inner.path, start)
    assert sorted(p.name for p in whole.path.iterdir() if "adapted" in p.name) == [
        ADAPTED
    ]  # no texts left behind
    assert not (inner.path / "store").exists()
    assert not (inner.path / "resume").exists()


def test_texts_are_those_of_training_once_and_none_of_dev() -> None:
    train = [
        TextRecord("1", "a", "b", "x"),
        TextRecord("2", "a", "c", "y"),
        QuestionRecord("3", "q", "passage", ()),
    ]
    dev = [TextRecord("4", "c", "d", "x")]
    assert task_texts(train, dev) == (["a", "b", "passage", "q"], 1)


def test_other_text_is_read_beside_them(start: Path, train: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.txt"
    more.write_text("the old bird sees a river\n", "utf-8")
    run = learned(start, train, tmp_path / "run", adapt_on=[str(more)])
    facts = run.meta["adapted"]["pretraining"]
    read = RunDirectory.open(run.path / ADAPTED).meta["corpus"]["splits"].values()
    assert facts["adapt_on"] == [str(more)]
    assert sum(part["documents"] for part in read) == facts["texts"] + 1


def test_the_same_seed_gives_the_same_and_another_does_not(
    start: Path, train: Path, whole: RunDirectory, tmp_path: Path
) -> None:
    assert same(learned(start, train, tmp_path / "again").path, whole.path)
    other = learned(start, train, tmp_path / "other", seed=2)
    assert not same(other.path / ADAPTED, whole.path / ADAPTED)


def test_stopped_in_the_middle_of_pretraining_it_goes_on_to_the_same(
    start: Path, train: Path, whole: RunDirectory, tmp_path: Path, monkeypatch: Any
) -> None:
    whole_pretrain = task_adaptive.pretrain

    class Stops:
        def __getattr__(self, name: str) -> Any:
            def stop(*arguments: Any, **_: Any) -> None:
                if name == "log" and arguments[0].get("step") == 2:
                    raise KeyboardInterrupt

            return stop

    monkeypatch.setattr(task_adaptive, "pretrain", lambda request, _: whole_pretrain(request, Stops()))
    with pytest.raises(Interrupted):
        learned(start, train, tmp_path / "run")
    monkeypatch.undo()
    assert same(learned(start, train, tmp_path / "run", resume=True).path, whole.path)


def test_stopped_behind_it_the_texts_are_not_learned_again(
    start: Path, train: Path, whole: RunDirectory, tmp_path: Path, monkeypatch: Any
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(finetuning, "_build", stop)
    with pytest.raises(Interrupted):
        learned(start, train, tmp_path / "run")
    monkeypatch.undo()
    monkeypatch.setattr(task_adaptive, "pretrain", stop)
    with pytest.raises(PolysemeError, match="another adapt"):
        learned(start, train, tmp_path / "run", resume=True, adapt="4steps")
    assert same(learned(start, train, tmp_path / "run", resume=True).path, whole.path)


@pytest.mark.parametrize(
    ("value", "budget"),
    [
        (5, "5 minutes"),
        ("1.5", "1.5 minutes"),
        ("2 min", "2 minutes"),
        ("10epochs", "10 epochs"),
        ("200 steps", "200 steps"),
        ("1Mtokens", "1000000 tokens"),
        ("5k words", "5000 words"),
    ],
)
def test_a_budget_is_one_value(value: str | float, budget: str) -> None:
    assert str(Budget.read(value, "--adapt")) == budget


@pytest.mark.parametrize("value", ["5m", "many", "", "3 rounds", "0", "-1", "nan", "1.5steps"])
def test_a_budget_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"--adapt|above zero"):
        Budget.read(value, "--adapt")


def test_what_has_no_pretraining_to_go_on_with_is_refused(
    start: Path, train: Path, whole: RunDirectory, tmp_path: Path
) -> None:
    def refused(run: Path, match: str, **options: Any) -> None:
        with pytest.raises(ConfigError, match=match):
            learned(run, train, tmp_path / "refused", **options)
        assert not (tmp_path / "refused").exists()

    refused(start, "random weights", from_scratch=True)
    refused(whole.path, "has learned a task since")
    refused(start_run(tmp_path / "alone"), "no pretraining to go on with")
    refused(start_run(tmp_path / "static", "word2vec"), "learn by gradients")
    refused(start, "that dev examples are from", dev=train, adapt_on=[str(train)])
    refused(start, "that dev examples are from", adapt_on=[str(train)])  # dev is a part of it
    with pytest.raises(ConfigError, match="not for how long"):
        FinetuneRequest(task="classify", run=start, train=train, output=tmp_path / "x", adapt_on=["a.txt"])
