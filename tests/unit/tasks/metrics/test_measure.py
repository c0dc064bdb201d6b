from __future__ import annotations

import numpy as np
import pytest

from polyseme.errors import InputError
from polyseme.tasks.metrics import classification, measure, regression, spans
from polyseme.tasks.metrics.measure import Measure, Resampled, mean_of, ratio, share

RNG = np.random.default_rng(7)
N = 60
GOLD, FIRST, SECOND = RNG.integers(0, 4, (3, N))
NUMBERS = RNG.normal(size=(3, N)).round(1)
HOT = RNG.random((3, N, 5)) < 0.3
TAGS = np.array(["O", "B-A", "I-A", "B-B"])[RNG.integers(0, 4, (3, N, 6))].tolist()


def figures(kind: str, gold: object, said: object) -> dict[str, Resampled]:
    if kind == "classes":
        return dict(classification.measures(gold, said, 4))
    if kind == "sets":
        return dict(classification.measures_of_sets(gold, said))
    if kind == "numbers":
        return regression.measures(gold, said)
    return dict(spans.measures(gold, said, kinds=["A", "B"]))


DATA = {"classes": (GOLD, FIRST, SECOND), "sets": HOT, "numbers": NUMBERS, "tags": TAGS}


def take(values: object, chosen: np.ndarray) -> object:
    return values[chosen] if isinstance(values, np.ndarray) else [values[i] for i in chosen]


@pytest.mark.parametrize("cells", [1, 200, 2**17])
@pytest.mark.parametrize("kind", DATA)
def test_draws_give_the_figure_of_the_drawn_examples(
    kind: str, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "CELLS", cells)
    gold, first, _ = DATA[kind]
    chosen = RNG.integers(0, N, (5, N))
    for name, figure in figures(kind, gold, first).items():
        again = [figures(kind, take(gold, row), take(first, row))[name].value for row in chosen]
        np.testing.assert_allclose(figure.values(chosen), again, rtol=1e-9)
        np.testing.assert_allclose(figure.values(np.arange(N)[None])[0], figure.value, rtol=1e-9)


@pytest.mark.parametrize("cells", [1, 200, 2**17])
@pytest.mark.parametrize("kind", DATA)
def test_swaps_give_the_figure_of_the_mixture(kind: str, cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "CELLS", cells)
    gold, first, second = DATA[kind]
    swapped = RNG.random((5, N)) < 0.5
    ours, theirs = figures(kind, gold, first), figures(kind, gold, second)
    for name, figure in ours.items():
        again = []
        for row in swapped:
            mixture = [b if s else a for a, b, s in zip(first, second, row, strict=True)]
            said = np.array(mixture) if isinstance(first, np.ndarray) else mixture
            again.append(figures(kind, gold, said)[name].value)
        np.testing.assert_allclose(figure.mixed(theirs[name], swapped), again, rtol=1e-9)
        nothing = np.zeros((1, N), bool)
        np.testing.assert_allclose(figure.mixed(theirs[name], nothing)[0], figure.value, rtol=1e-9)
        np.testing.assert_allclose(figure.mixed(theirs[name], ~nothing)[0], theirs[name].value, rtol=1e-9)


def test_shared_rows_are_the_rows_written_out() -> None:
    row = RNG.integers(0, 3, 20)
    counts = RNG.random((3, 2))
    short, long = Measure("m", counts, share, row=row), Measure("m", counts[row], share)
    chosen = RNG.integers(0, 20, (4, 20))
    assert short.n == short.examples == long.n == 20
    assert short.value == pytest.approx(long.value)
    np.testing.assert_allclose(short.values(chosen), long.values(chosen))


def test_what_was_not_measured_alike_is_refused() -> None:
    first, second = classification.measures([0, 1], [0, 1], 2), classification.measures([0, 1], [0, 2], 3)
    with pytest.raises(InputError, match="not measured alike"):
        first["macro_f1"].mixed(second["macro_f1"], np.ones((1, 2), bool))
    with pytest.raises(InputError, match="different gold"):
        regression.RankCorrelation("spearman", np.arange(3.0), np.arange(3.0)).mixed(
            regression.RankCorrelation("spearman", np.ones(3), np.arange(3.0)), np.ones((1, 3), bool)
        )


def test_nothing_is_nothing() -> None:
    assert np.isnan(mean_of("m", []).value)
    assert mean_of("m", []).n == 0
    np.testing.assert_array_equal(ratio(np.array([1.0, 2.0]), np.array([0.0, 4.0])), [0.0, 0.5])
