from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as peer

from polyseme.errors import InputError
from polyseme.tasks.metrics.classification import (
    calibration_error,
    confusion,
    log_loss,
    measures,
    measures_of_sets,
    per_class,
)


@pytest.mark.parametrize("classes", [2, 3, 77])
@pytest.mark.parametrize("seed", range(5))
def test_classes_as_scikit_learn(classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, classes, 100)
    said = np.where(rng.random(100) < 0.6, gold, rng.integers(0, classes, 100))
    found = measures(gold, said, classes)
    assert found["accuracy"].value == pytest.approx(peer.accuracy_score(gold, said))
    assert found["macro_f1"].value == pytest.approx(
        peer.f1_score(gold, said, average="macro", zero_division=0)
    )
    assert found["weighted_f1"].value == pytest.approx(
        peer.f1_score(gold, said, average="weighted", zero_division=0)
    )
    assert found["matthews"].value == pytest.approx(peer.matthews_corrcoef(gold, said))
    assert {name: figure.value for name, figure in measures(gold, said).items()} == pytest.approx(
        {name: figure.value for name, figure in found.items()}
    )
    names = [str(number) for number in range(classes)]
    table = per_class(gold, said, names)
    theirs = peer.precision_recall_fscore_support(gold, said, labels=range(classes), zero_division=0)
    for key, column in zip(("precision", "recall", "f1", "support"), theirs, strict=True):
        np.testing.assert_allclose([row[key] for row in table], column)
    np.testing.assert_array_equal(
        confusion(gold, said, classes), peer.confusion_matrix(gold, said, labels=range(classes))
    )


def test_one_class_only() -> None:
    found = measures([1, 1, 1], [1, 1, 1])
    assert {name: figure.value for name, figure in found.items()} == {
        "accuracy": 1.0,
        "macro_f1": 1.0,
        "weighted_f1": 1.0,
        "matthews": 0.0,
    }
    assert measures([0, 0], [1, 1])["macro_f1"].value == 0.0


@pytest.mark.parametrize("density", [0.0, 0.05, 0.4])
def test_sets_as_scikit_learn(density: float) -> None:
    rng = np.random.default_rng(3)
    gold, said = rng.random((2, 80, 11)) < density
    found = measures_of_sets(gold, said)
    assert found["micro_f1"].value == pytest.approx(
        peer.f1_score(gold, said, average="micro", zero_division=0)
    )
    assert found["macro_f1"].value == pytest.approx(
        peer.f1_score(gold, said, average="macro", zero_division=0)
    )
    assert found["exact_match"].value == pytest.approx(peer.accuracy_score(gold, said))
    theirs = peer.precision_recall_fscore_support(gold, said, zero_division=0)
    table = per_class(gold, said, [str(number) for number in range(11)])
    for key, column in zip(("precision", "recall", "f1", "support"), theirs, strict=True):
        np.testing.assert_allclose([row[key] for row in table], column)


def test_log_loss_as_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    chances = rng.dirichlet(np.ones(5), 50)
    gold = rng.integers(0, 5, 50)
    assert log_loss(gold, chances).value == pytest.approx(peer.log_loss(gold, chances, labels=range(5)))
    assert log_loss([1], [[1.0, 0.0]]).value == pytest.approx(-np.log(np.finfo(np.float64).eps))


def test_calibration_error_by_its_formula() -> None:
    rng = np.random.default_rng(0)
    chances = rng.dirichlet(np.ones(3) / 2, 200)
    gold = rng.integers(0, 3, 200)
    confidence, right = chances.max(1), chances.argmax(1) == gold
    expected = 0.0
    for b in range(15):
        inside = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert calibration_error(gold, chances).value == pytest.approx(expected)
    assert calibration_error([0, 0], [[1.0, 0.0], [1.0, 0.0]]).value == 0.0


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="do not fit"):
        measures([0, 1], [0])
    with pytest.raises(InputError, match="negative"):
        measures([0, -1], [0, 0])
    with pytest.raises(InputError, match="do not fit"):
        measures_of_sets(np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(InputError, match="do not fit"):
        log_loss([0, 1], [[0.5, 0.5]])
