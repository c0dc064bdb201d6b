"""Every fast path equals its plain form, values and gradients."""

from __future__ import annotations

import pytest
import torch

from polyseme.layers import cross_entropy
from polyseme.layers.attention import attend, attend_plain, rotary_table, rotate
from polyseme.layers.cross_entropy import cross_entropy_sum, cross_entropy_sum_plain


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("chunk_bytes", [4 * 50 * 3, 16 * 2**20])
def test_cross_entropy(monkeypatch: pytest.MonkeyPatch, with_bias: bool, chunk_bytes: int) -> None:
    monkeypatch.setattr(cross_entropy, "CHUNK_BYTES", chunk_bytes)
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(50, (17,), generator=generator)
    results = []
    for function in (cross_entropy_sum, cross_entropy_sum_plain):
        generator.manual_seed(1)
        hidden = torch.randn(17, 8, generator=generator, requires_grad=True)
        weight = torch.randn(50, 8, generator=generator, requires_grad=True)
        bias = torch.randn(50, generator=generator, requires_grad=True) if with_bias else None
        loss = function(hidden, weight, bias, labels)
        (loss * 0.3).backward()
        results.append([loss.detach(), hidden.grad, weight.grad, *([bias.grad] if bias is not None else [])])
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-5)


def test_attention_with_a_block_mask() -> None:
    generator = torch.Generator().manual_seed(0)
    segment = torch.tensor([[1, 1, 1, 2, 2, 0], [1, 1, 1, 1, 1, 1]])
    mask = (segment[:, :, None] == segment[:, None, :])[:, None]
    grads = []
    for function in (attend, lambda q, k, v, m: attend_plain(q, k, v, m)[0]):
        generator.manual_seed(2)
        q, k, v = (torch.randn(2, 3, 6, 4, generator=generator, requires_grad=True) for _ in range(3))
        out = function(q, k, v, mask)
        out.square().sum().backward()
        grads.append([out.detach(), q.grad, k.grad, v.grad])
    for fast, plain in zip(*grads, strict=True):
        torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-5)


def test_rotation_depends_on_distance_alone() -> None:
    position = torch.arange(40)[None]
    cos, sin = rotary_table(position, 8, 100.0)
    q, k = torch.randn(8), torch.randn(8)
    x = torch.stack([q, k]).expand(1, 40, 2, 8)[:, :, :, None, :]
    turned = rotate(x, cos, sin)[0, :, :, 0]  # (40, 2, 8)
    scores = turned[:, 0] @ turned[:, 1].T
    for distance in (-7, 0, 3):
        diagonal = scores.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(scores[0, 5], scores[0, 9])
