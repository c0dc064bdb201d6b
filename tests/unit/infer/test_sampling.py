from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from polyseme.infer import sampling

INF = float("inf")


def logits_of(*probabilities: float) -> torch.Tensor:
    return torch.tensor([probabilities]).log()


def test_forbid() -> None:
    logits = torch.zeros(2, 4)
    assert sampling.forbid(logits, torch.tensor([0, 3])).tolist() == [[-INF, 0, 0, -INF]] * 2
    assert logits.eq(0).all()


def test_penalise_lowers_what_was_seen_whatever_its_sign() -> None:
    seen = torch.tensor([[True, True, False]])
    assert sampling.penalise(torch.tensor([[2.0, -2.0, 2.0]]), seen, 2.0).tolist() == [[1.0, -4.0, 2.0]]
    assert sampling.penalise(torch.tensor([[2.0, -2.0, 2.0]]), seen, 1.0).tolist() == [[2.0, -2.0, 2.0]]


def test_temper() -> None:
    assert sampling.temper(torch.tensor([[1.0, 2.0]]), 0.5).tolist() == [[2.0, 4.0]]


def test_keep_top_k_keeps_ties() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.0, 2.0]])
    assert sampling.keep_top_k(logits, 2).tolist() == [[3.0, -INF, 2.0, 2.0]]
    assert sampling.keep_top_k(logits, 9) is logits


@pytest.mark.parametrize(
    ("p", "kept"),
    [(0.4, [1]), (0.5, [1]), (0.51, [1, 2]), (0.81, [0, 1, 2]), (0.9, [0, 1, 2, 3]), (1e-9, [1])],
)
def test_keep_top_p_keeps_the_fewest_that_reach_p(p: float, kept: list[int]) -> None:
    found = sampling.keep_top_p(logits_of(0.125, 0.5, 0.25, 0.125), p)
    assert found.isfinite().nonzero()[:, 1].tolist() == kept


@pytest.mark.parametrize("p", [0.01, 0.3, 0.7, 0.9, 0.99, 0.9999])
@pytest.mark.parametrize("scale", [0.1, 1.0, 4.0])
def test_fast_nucleus_equals_the_plain_one(p: float, scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 3000, generator=generator) * scale
    assert torch.equal(sampling.keep_top_p(logits, p), sampling.keep_top_p_plain(logits, p))
    ties = (logits * 2).round()
    assert torch.equal(sampling.keep_top_p(ties, p), sampling.keep_top_p_plain(ties, p))


def test_draw_is_the_inverse_of_the_cumulative_distribution() -> None:
    logits = logits_of(0.0, 0.25, 0.0, 0.5, 0.25, 0.0).expand(6, -1)
    uniform = torch.tensor(
        [0.0, 0.2499, 0.2501, 0.7499, 0.7501, math.nextafter(1.0, 0.0)], dtype=torch.float64
    )
    assert sampling.draw(logits, uniform).tolist() == [1, 1, 3, 3, 4, 4]


def test_draw_has_the_right_frequencies() -> None:
    probabilities = (0.1, 0.6, 0.05, 0.25)
    uniform = torch.from_numpy((np.arange(4000) + 0.5) / 4000)
    drawn = sampling.draw(logits_of(*probabilities).expand(4000, -1), uniform)
    shares = torch.bincount(drawn, minlength=4) / 4000
    torch.testing.assert_close(shares, torch.tensor(probabilities), atol=1e-3, rtol=0)
