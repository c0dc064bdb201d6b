from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from polyseme.errors import ConfigError
from polyseme.layers.crf import LinearChainCRF, marginals, viterbi

LENGTHS = [4, 1, 3, 0, 2]
K = 3


def case(
    dtype: torch.dtype = torch.float64,
) -> tuple[LinearChainCRF, torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    crf = LinearChainCRF(K).to(dtype)
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    scores = torch.randn(len(LENGTHS), max(LENGTHS), K, dtype=dtype)
    tags = torch.randint(0, K, scores.shape[:2])
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    return crf, scores, tags, mask


@torch.no_grad()
def total(crf: LinearChainCRF, scores: torch.Tensor, path: tuple[int, ...]) -> float:
    value = crf.start[path[0]] + crf.end[path[-1]] + sum(scores[t, k] for t, k in enumerate(path))
    return float(value + sum(crf.transition[a, b] for a, b in itertools.pairwise(path)))


def test_all_sequences_by_hand() -> None:
    crf, scores, tags, mask = case()
    expected = 0.0
    best = crf.decode(scores, mask)
    for row, n in enumerate(LENGTHS):
        assert best[row, n:].eq(0).all()
        if n == 0:
            continue
        every = {path: total(crf, scores[row], path) for path in itertools.product(range(K), repeat=n)}
        expected += math.log(sum(map(math.exp, every.values()))) - every[tuple(tags[row, :n].tolist())]
        assert tuple(best[row, :n].tolist()) == max(every, key=every.__getitem__)
    assert crf(scores, tags, mask).item() == pytest.approx(expected)


def test_gradients() -> None:
    crf, scores, tags, mask = case()
    names = [name for name, _ in crf.named_parameters()]

    def of(scores: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(
            crf, dict(zip(names, parameters, strict=True)), (scores, tags, mask)
        )

    inputs = [scores, *(parameter.detach().clone() for parameter in crf.parameters())]
    assert torch.autograd.gradcheck(of, [value.requires_grad_() for value in inputs])


def test_what_is_masked_does_not_matter() -> None:
    crf, scores, tags, mask = case()
    changed = torch.where(mask[..., None], scores, math.nan)
    assert torch.equal(crf(changed, tags.masked_fill(~mask, 10**6), mask), crf(scores, tags, mask))
    changed.requires_grad_()
    (gradient,) = torch.autograd.grad(crf(changed, tags, mask), changed)
    assert gradient[mask].isfinite().all()
    assert gradient[~mask].eq(0).all()
    assert torch.equal(crf.decode(changed, mask), crf.decode(scores, mask))


def test_forbidden_scores_are_finite() -> None:
    crf, scores, tags, mask = case(torch.float32)
    scores[0] = -math.inf
    scores[1, 0, 1] = -math.inf
    scores.requires_grad_()
    loss = crf(scores, tags, mask)
    loss.backward()
    assert loss.isfinite()
    assert scores.grad is not None
    assert all(value.isfinite().all() for value in (scores.grad, *(p.grad for p in crf.parameters())))


def test_half_precision_is_summed_in_float32() -> None:
    crf, scores, tags, mask = case(torch.float32)
    loss = crf(scores.bfloat16(), tags, mask)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, crf(scores.bfloat16().float(), tags, mask))


def test_masks_with_holes_are_refused() -> None:
    crf, scores, tags, mask = case()
    mask[0, 1] = False
    with pytest.raises(ConfigError, match="holes"):
        crf(scores, tags, mask)
    with pytest.raises(ConfigError, match="constraints"):
        LinearChainCRF(2, (np.ones(2, bool), np.ones((3, 3), bool), np.ones(2, bool)))


def constraints(rng: np.random.Generator, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    start, step, end = rng.random(k) < 0.6, rng.random((k, k)) < 0.6, rng.random(k) < 0.6
    start[0] = end[0] = step[0, 0] = True  # one sequence at least
    return start, step, end


def test_constraints_hold_when_decoding_alone() -> None:
    crf, scores, tags, mask = case()
    allowed = constraints(np.random.default_rng(1), K)
    bound = LinearChainCRF(K, allowed).double()
    bound.load_state_dict(crf.state_dict())
    assert torch.equal(bound(scores, tags, mask), crf(scores, tags, mask))
    best = bound.decode(scores, mask)
    start, step, end = allowed
    for row, n in enumerate(LENGTHS):
        every = {
            path: total(crf, scores[row], path)
            for path in itertools.product(range(K), repeat=n)
            if path
            and start[path[0]]
            and end[path[-1]]
            and all(step[a, b] for a, b in itertools.pairwise(path))
        }
        if every:
            assert tuple(best[row, :n].tolist()) == max(every, key=every.__getitem__)


@pytest.mark.parametrize("cells", [1, 2**21])
@pytest.mark.parametrize("seed", range(4))
def test_viterbi_by_hand(seed: int, cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyseme.layers.crf._CELLS", cells)
    rng = np.random.default_rng(seed)
    k = 4
    start, step, end = constraints(rng, k)
    scores = [rng.normal(size=(n, k)) for n in (2, 5, 0, 1, 5, 3)]
    for row, path in zip(scores, viterbi(scores, start, step, end), strict=True):
        every = {
            ways: sum(row[t, j] for t, j in enumerate(ways))
            for ways in itertools.product(range(k), repeat=len(row))
            if ways
            and start[ways[0]]
            and end[ways[-1]]
            and all(step[a, b] for a, b in itertools.pairwise(ways))
        }
        assert tuple(path.tolist()) == (max(every, key=every.__getitem__) if every else ())


def test_viterbi_without_any_way_and_without_input() -> None:
    none = np.zeros(2, bool)
    (path,) = viterbi([np.zeros((3, 2), np.float32)], none, np.zeros((2, 2), bool), none)
    assert path.shape == (3,)
    assert viterbi([], none, np.zeros((2, 2), bool), none) == []


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("cells", [1, 2**21])
@pytest.mark.parametrize("seed", range(4))
def test_marginals_by_hand(seed: int, cells: int, learned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyseme.layers.crf._CELLS", cells)
    rng = np.random.default_rng(seed)
    k = 3
    limits = constraints(rng, k)
    if learned:
        limits = tuple(np.where(part, rng.normal(size=part.shape), -np.inf) for part in limits)  # type: ignore[assignment]
    start, step, end = (np.where(p, 0.0, -np.inf) if p.dtype == bool else p for p in limits)
    scores = [rng.normal(scale=3, size=(n, k)).astype(np.float32) for n in (2, 5, 0, 1, 5, 3)]
    for row, found in zip(scores, marginals(scores, *limits), strict=True):
        expected = np.zeros((len(row), k))
        for ways in itertools.product(range(k), repeat=len(row)):
            if ways:
                s = start[ways[0]] + end[ways[-1]] + sum(step[a, b] for a, b in itertools.pairwise(ways))
                expected[np.arange(len(row)), ways] += np.exp(
                    s + sum(float(row[t, j]) for t, j in enumerate(ways))
                )
        if len(row):
            expected /= expected.sum(1, keepdims=True)
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_marginals_of_scores_far_apart_and_without_any_way() -> None:
    chain = np.array([[0.0, -np.inf], [-np.inf, 0.0]])
    free = np.zeros(2)
    (p,) = marginals([np.array([[2000.0, 0.0], [0.0, 1999.0]])], free, chain, free)
    np.testing.assert_allclose(p[:, 0], 1 / (1 + np.exp(-1.0)))  # both tokens alike: 2000 against 1999
    none = np.zeros(2, bool)
    (p,) = marginals([np.zeros((3, 2), np.float32)], none, np.zeros((2, 2), bool), none)
    assert p.tolist() == [[0.0, 0.0]] * 3
    assert marginals([], none, np.zeros((2, 2), bool), none) == []
