"""Linear CKA: what it must not see, what it must, and sums over blocks against the plain n × n formulas."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from polyseme.study import cka as module
from polyseme.study.cka import alignment, dependence


def blocks(x: Any, borders: tuple[int, ...] = (0, 17, 30, 64, 80)) -> list[Any]:
    return [x[a:b] for a, b in pairwise(borders)]


def cka(x: Any, y: Any, borders: tuple[int, ...] = (0, 17, 30, 64, 80)) -> dict[str, Any]:
    a, b = blocks(x, borders), blocks(y, borders)
    return alignment(dependence(a, b), dependence(a, a), dependence(b, b))


def plain_hsic(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Both estimators, written down from the papers over n × n matrices."""
    n = len(x)
    k, l = x @ x.T, y @ y.T  # noqa: E741
    centre = np.eye(n) - 1 / n
    biased = np.trace(k @ centre @ l @ centre)
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))  # noqa: E741
    one = np.ones(n)
    unbiased = (
        np.trace(k @ l)
        + (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2))
        - 2 / (n - 2) * (one @ k @ l @ one)
    ) / (n * (n - 3))
    return float(biased), float(unbiased)


@pytest.fixture
def two() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(80, 3))
    x = np.concatenate([shared, rng.normal(size=(80, 4))], 1) @ rng.normal(size=(7, 7)) + 2.0
    y = np.concatenate([shared, rng.normal(size=(80, 2))], 1) @ rng.normal(size=(5, 5)) - 1.0
    return x, y


def test_sums_over_blocks_equal_the_plain_formulas(two: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = two
    borders = (0, 17, 30, 64, 80)
    found = dependence(blocks(x, borders), blocks(y, borders))
    for place, left_out in enumerate([slice(0, 0), *map(slice, borders, borders[1:])]):
        kept = np.delete(np.arange(80), left_out)
        biased, unbiased = plain_hsic(x[kept], y[kept])
        assert found.plain[place] == pytest.approx(biased, rel=1e-9)
        assert found.debiased[place] == pytest.approx(unbiased, rel=1e-8)
        assert found.n[place] == len(kept)


def test_chunks_of_any_size_give_the_same(
    two: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = two
    whole = cka(x, y, (0, 80))
    for borders in [(0, 40, 80), (0, 1, 2, 3, 80), tuple(range(81))]:
        assert cka(x, y, borders)["value"] == pytest.approx(whole["value"], rel=1e-9)
        assert cka(x, y, borders)["plain"] == pytest.approx(whole["plain"], rel=1e-9)
    kept = cka(x, y)
    monkeypatch.setattr(module, "KEPT_NUMBERS", 0)  # products are computed again in place of being kept
    assert cka(x, y) == kept


def test_identical_is_one_and_rotation_and_scale_change_nothing(two: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = two
    same = cka(x, x)
    assert same["value"] == pytest.approx(1.0)
    assert same["plain"] == pytest.approx(1.0)
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(7, 7)))[0]
    turned = 3.7 * x @ rotation + 5.0
    assert cka(turned, x)["value"] == pytest.approx(1.0)
    assert cka(turned, y)["value"] == pytest.approx(cka(x, y)["value"], rel=1e-8)
    stretched = x * np.array([1, 9, 1, 1, 1, 1, 1])  # not isotropic
    assert cka(stretched, x)["value"] < 0.99


def test_independent_is_about_nothing_when_debiased_only() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(200, 150)), rng.normal(size=(200, 150))
    found = cka(x, y, tuple(range(0, 201, 10)))
    assert abs(found["value"]) < 0.05
    assert found["low"] < 0 < found["high"]
    assert found["plain"] > 0.4  # many columns to few examples


def test_intervals_cover_as_often_as_they_say() -> None:
    """Of draws from one population, nearly all intervals hold the value of a very large draw."""
    rng = np.random.default_rng(3)
    mix = rng.normal(size=(4, 4))

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        x = rng.normal(size=(n, 4))
        return x, x @ mix + 1.5 * rng.normal(size=(n, 4))

    truth = cka(*draw(60_000), (0, 60_000))["value"]
    covered = 0
    for _ in range(100):
        found = cka(*draw(300), tuple(range(0, 301, 15)))
        covered += found["low"] <= truth <= found["high"]
    assert 86 <= covered <= 100


def test_blocks_of_different_sizes_have_about_the_same_interval(two: tuple[np.ndarray, np.ndarray]) -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(600, 5))
    y = x + rng.normal(size=(600, 5))
    even = cka(x, y, tuple(range(0, 601, 20)))
    cuts = np.sort(rng.choice(np.arange(1, 600), 29, replace=False))
    odd = cka(x, y, (0, *cuts.tolist(), 600))
    assert odd["value"] == pytest.approx(even["value"])
    assert 0.5 < (odd["high"] - odd["low"]) / (even["high"] - even["low"]) < 2


def test_sparse_vectors_are_exact() -> None:
    rng = np.random.default_rng(5)
    x = (rng.random((80, 30)) < 0.1).astype(np.float32)
    y = rng.normal(size=(80, 6)) + x[:, :6]
    sparse = scipy.sparse.csr_matrix(x)
    for one, other in ((sparse, sparse), (sparse, y), (y, sparse)):
        dense = [np.asarray(part.todense()) if scipy.sparse.issparse(part) else part for part in (one, other)]
        assert cka(one, other)["value"] == pytest.approx(cka(*dense)["value"], rel=1e-9)
        assert cka(one, other)["low"] == pytest.approx(cka(*dense)["low"], rel=1e-6)


def test_what_does_not_vary_has_no_similarity() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(80, 3))
    still = np.ones((80, 2))
    assert cka(x, still)["value"] is None
    assert cka(x, still)["plain"] is None


def test_one_block_has_no_interval() -> None:
    x = np.random.default_rng(7).normal(size=(80, 3))
    found = cka(x, x, (0, 80))
    assert (found["low"], found["high"], found["n"]) == (None, None, 80)
