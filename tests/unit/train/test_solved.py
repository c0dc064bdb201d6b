"""Heads that are solved for: the lowest point is found, dev chooses the penalty, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adapting import adapt, start_run, write_examples
from polyseme import load
from polyseme.errors import ConfigError, CorpusError, PolysemeError
from polyseme.tasks.classify import PENALTIES, Classify, TextConfig
from polyseme.train.run import RunDirectory
from polyseme.train.solved import solved

RANDOM = np.random.default_rng(5)
SCORES = {
    "single": (3, torch.from_numpy(RANDOM.integers(0, 3, 60))),
    "several": (3, torch.from_numpy(RANDOM.integers(0, 2, (60, 3)).astype(np.float32))),
    "number": (1, torch.from_numpy(RANDOM.normal(5, 2, 60).astype(np.float32))),
}


def rows() -> Any:
    from scipy.sparse import random

    return random(60, 40, 0.3, "csr", random_state=3)


def task_of(kind: Any, **changes: Any) -> Classify:
    labels = ("a", "b", "c") if kind != "number" else ()
    return Classify(TextConfig(kind=kind, labels=labels, pool="mean", ngrams=2, **changes))


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("weights", [(), (0.5, 1.0, 3.0)])
def test_the_gradient_of_the_plain_form_is_zero(kind: str, weights: tuple[float, ...]) -> None:
    outputs, gold = SCORES[kind]
    task = task_of(kind, weights=weights if kind == "single" else ())
    x, penalty = rows(), 0.3
    a, mean, rounds = solved(
        x, x.T.tocsr(), lambda z: task.loss_of(z, gold), penalty, np.zeros((61, outputs))
    )
    w, b = (torch.from_numpy(part.copy()).requires_grad_() for part in (x.T @ a[:-1], a[-1]))
    loss, n = task.loss_of(torch.from_numpy(x.toarray()) @ w + b, gold)
    (loss + penalty / 2 * w.square().sum()).backward()
    flat = 1e-3 if kind == "number" else 2e-5  # a share of the steepest slope, which grows with the numbers
    assert w.grad.abs().max() / n < flat
    assert b.grad.abs().max() / n < flat
    assert w.abs().max() > 0.1
    assert mean == pytest.approx(loss.item() / n)
    assert 1 < rounds < 500


@pytest.mark.parametrize("penalty", [2.0, 0.1])
def test_two_labels_are_scikit_learns_logistic_regression(penalty: float) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    gold = torch.from_numpy(RANDOM.integers(0, 2, 60))
    task = Classify(TextConfig(kind="single", labels=("a", "b"), pool="mean", ngrams=2))
    x = rows()
    a, _, _ = solved(x, x.T.tocsr(), lambda z: task.loss_of(z, gold), penalty, np.zeros((61, 2)))
    weight, bias = x.T @ a[:-1], a[-1]
    peer = linear.LogisticRegression(C=2 / penalty, tol=1e-8, max_iter=2000).fit(x, gold.numpy())
    np.testing.assert_allclose(weight[:, 1] - weight[:, 0], peer.coef_[0], atol=5e-3)
    assert bias[1] - bias[0] == pytest.approx(peer.intercept_[0], abs=5e-3)


def test_two_labels_are_solved_for_in_one_column(run: RunDirectory) -> None:
    weights = run.weights()[0]
    weight, bias = (weights[f"heads.classify.{name}"] for name in ("weight", "bias"))
    assert torch.equal(weight[:, 0], -weight[:, 1])
    assert torch.equal(bias[0], -bias[1])
    assert weight.abs().max() > 0.1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("solved")


@pytest.fixture(scope="module")
def start(folder: Path) -> Path:
    return start_run(folder / "onehot", "onehot")


@pytest.fixture(scope="module")
def train(folder: Path) -> Path:
    return write_examples(folder / "train", "classify", 60)


@pytest.fixture(scope="module")
def run(folder: Path, start: Path, train: Path) -> RunDirectory:
    dev = write_examples(folder / "dev", "classify", 30, seed=4)
    return learn(start, train, folder / "run", dev=dev)


def learn(start: Path, train: Path, output: Path, **changes: Any) -> RunDirectory:
    settings = {"classify.ngrams": 2, "classify.characters": 3} | changes.pop("settings", {})
    asked: dict[str, Any] = {"epochs": None, "batch_size": None, "learning_rate": None} | changes
    return adapt("classify", start, train, output, settings=settings, **asked)


def test_every_penalty_is_judged_and_the_best_is_kept(run: RunDirectory) -> None:
    steps = [line for line in run.metrics() if "penalty" in line]
    judged = [line for line in run.metrics() if "heldout_classify_accuracy" in line]
    assert [line["penalty"] for line in steps] == list(PENALTIES)
    assert [line["step"] for line in judged] == list(range(1, 1 + len(PENALTIES)))
    assert [line["loss"] for line in steps] == sorted((line["loss"] for line in steps), reverse=True)
    accuracies = [line["heldout_classify_accuracy"] for line in judged]
    best = run.meta["published_step"]
    assert accuracies[best - 1] == max(accuracies) == pytest.approx(run.meta["results"]["dev"]["accuracy"])
    assert run.meta["results"]["ngrams"]["penalty"] == PENALTIES[best - 1]
    assert run.meta["status"] == "finished"


def test_it_predicts_as_it_was_judged(run: RunDirectory, train: Path) -> None:
    model = load(run.path)
    lines = [line.split("\t") for line in train.read_text("utf-8").splitlines()[1:]]
    said = model.predict([text for text, _ in lines])
    assert np.mean([p["label"] == label for p, (_, label) in zip(said, lines, strict=True)]) > 0.95
    assert model.predict("")["probabilities"].keys() == {"bad", "good"}
    assert model.predict("an unheard-of good word")["label"] == "good"
    telling = run.meta["results"]["ngrams"]["telling"]
    assert "good" in telling["good"]
    assert "bad" in telling["bad"]
    assert run.meta["results"]["ngrams"]["number"] == len(model.heads["classify"].tree)


def test_the_same_twice_and_with_any_seed(start: Path, train: Path, tmp_path: Path) -> None:
    runs = [learn(start, train, tmp_path / str(n), seed=seed) for n, seed in enumerate((1, 1, 2))]
    digests = [run.meta["files"] for run in (RunDirectory.open(run.path) for run in runs)]
    assert digests[0] == digests[1] == digests[2]


def test_it_is_resumed(start: Path, train: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from polyseme.errors import Interrupted
    from polyseme.train.solved import SolvedLearner

    whole = learn(start, train, tmp_path / "whole")
    step = SolvedLearner.step

    def stopping(self: SolvedLearner, *args: Any) -> Any:
        import os
        import signal

        if self.steps == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(SolvedLearner, "step", stopping)
        with pytest.raises(Interrupted):
            learn(start, train, tmp_path / "run")
    assert RunDirectory.open(tmp_path / "run").meta["status"] == "stopped"
    again = learn(start, train, tmp_path / "run", resume=True)
    assert again.meta["files"] == whole.meta["files"]
    assert [line["step"] for line in again.metrics()] == [line["step"] for line in whole.metrics()]


def test_a_penalty_of_ones_own(start: Path, train: Path, tmp_path: Path) -> None:
    run = learn(start, train, tmp_path / "run", settings={"classify.penalty": 0.5})
    assert [line["penalty"] for line in run.metrics() if "penalty" in line] == [0.5]
    assert run.meta["results"]["ngrams"]["penalty"] == 0.5


@pytest.mark.parametrize(
    ("rows", "figure"),
    [
        (
            [f"{w} cat {n}\t{n % 3 + (w == 'good') * 4}.5" for n, w in enumerate(["good", "bad"] * 20)],
            "spearman",
        ),
        (
            [
                json.dumps({"text": f"{w} cat {n}", "label": [w, "all"]})
                for n, w in enumerate(["good", "bad"] * 20)
            ],
            "micro_f1",
        ),
    ],
)
def test_numbers_and_several_labels(start: Path, rows: list[str], figure: str, tmp_path: Path) -> None:
    file = tmp_path / ("train.jsonl" if rows[0].startswith("{") else "train.tsv")
    file.write_text("\n".join(rows if file.suffix == ".jsonl" else ["text\tlabel", *rows]), "utf-8")
    run = learn(start, file, tmp_path / "run")
    assert run.meta["results"]["dev"][figure] > 0.8
    assert load(run.path).predict("good cat")


def test_long_texts_are_read_whole_unless_a_length_is_asked_for(start: Path, tmp_path: Path) -> None:
    rows = [f"{'the cat ' * 100}{mood}\t{mood}" for mood in ("good", "bad")] * 10
    file = tmp_path / "train.tsv"
    file.write_text("\n".join(["text\tlabel", *rows]), "utf-8")
    assert learn(start, file, tmp_path / "whole").meta["results"]["dev"]["accuracy"] == 1.0
    cut = learn(start, file, tmp_path / "cut", max_length=64)
    assert cut.meta["results"]["dev"]["accuracy"] == 0.5


def test_what_means_nothing_is_told(start: Path, train: Path, tmp_path: Path) -> None:
    run = learn(start, train, tmp_path / "run", epochs=3, settings={"train.patience": 2})
    notes = [note for note in run.meta["adapted"]["notes"] if "means nothing" in note]
    assert len(notes) == 1
    assert "--epochs 3" in notes[0]
    assert "train.patience" in notes[0]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"classify.ngrams": 9}, "bad value for ngrams"),
        ({"classify.ngrams": -1}, "bad value for ngrams"),
        ({"classify.characters": 20}, "bad value for characters"),
        ({"classify.penalty": 0}, "bad value for penalty"),
        ({"classify.penalty": -1.0}, "bad value for penalty"),
        ({"classify.penalty": "best"}, "bad value for penalty"),
        ({"classify.lstm": 8}, "only a linear layer"),
        ({"classify.hidden": 8}, "only a linear layer"),
    ],
)
def test_settings_that_are_refused(
    start: Path, train: Path, settings: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=says):
        learn(start, train, tmp_path / "run", settings=settings)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["characters", "idf", "penalty"])
def test_what_belongs_to_ngrams_is_refused_without_them(
    start: Path, train: Path, name: str, tmp_path: Path
) -> None:
    value = {"characters": 3, "idf": False, "penalty": 1.0}[name]
    with pytest.raises(ConfigError, match="whole section") as error:
        adapt("classify", start, train, tmp_path / "run", settings={f"classify.{name}": value})
    assert "set ngrams, too" in str(error.value.expected)


def test_texts_that_have_nothing_in_common_are_refused(start: Path, tmp_path: Path) -> None:
    file = tmp_path / "train.tsv"
    words = ["the", "cat", "dog", "river", "good", "bad", "day", "bird"]
    file.write_text("text\tlabel\n" + "".join(f"{w}\t{'ab'[i % 2]}\n" for i, w in enumerate(words)))
    with pytest.raises(CorpusError, match="no n-gram stands in two"):
        learn(start, file, tmp_path / "run", settings={"classify.characters": 0})


@pytest.mark.parametrize("model", ["word-classes", "word2vec", "bert"])
def test_other_models_are_refused(model: str, train: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="in place of 1-of-N vectors") as caught:
        learn(start_run(tmp_path / model, model), train, tmp_path / "run")
    assert "polyseme pretrain onehot" in str(caught.value.fix)
    assert not (tmp_path / "run").exists()


def test_pairs_and_tags_are_refused(start: Path, tmp_path: Path) -> None:
    for task, says in (("pair", "of one text, not of two"), ("tag", "unknown key 'tag.ngrams'")):
        file = write_examples(tmp_path / task, task)
        with pytest.raises(PolysemeError, match=says):
            adapt(task, start, file, tmp_path / "run", settings={f"{task}.ngrams": 2})


def test_it_is_not_exported_to_onnx(run: RunDirectory, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from polyseme.formats.onnx import export_onnx

    with pytest.raises(ConfigError, match="not a neural model"):
        export_onnx(run.path, tmp_path / "out")


def test_the_plain_form_is_as_before(start: Path, train: Path, tmp_path: Path) -> None:
    run = adapt("classify", start, train, tmp_path / "run", feature_based=True)
    losses = [line["loss"] for line in run.metrics() if "loss" in line]
    assert losses[:3] == pytest.approx(PLAIN, abs=1e-5)
    assert run.meta["results"]["dev"]["loss"] == pytest.approx(0.636829, abs=1e-5)


PLAIN = [0.693147, 0.694938, 0.6987]  # as the first version of this form had them
