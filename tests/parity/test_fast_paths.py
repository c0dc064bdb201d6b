"""Every fast path equals its plain form, values and gradients."""

from __future__ import annotations

import pytest
import torch

from polyseme.layers import cross_entropy
from polyseme.layers.attention import attend, attend_plain, rotary_table, rotate, rotate_plain
from polyseme.layers.cross_entropy import cross_entropy_sum, cross_entropy_sum_plain
from polyseme.layers.norm import rms_norm, rms_norm_plain


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


@pytest.mark.parametrize("key_heads", [4, 2, 1])
def test_causal_attention_with_shared_keys(key_heads: int) -> None:
    """The fused kernel, its plain form, and a mask written out with repeated keys."""
    mask = torch.ones(6, 6).tril().bool()[None, None]
    ways = (
        lambda q, k, v: attend(q, k, v, causal=True),
        lambda q, k, v: attend_plain(q, k, v, causal=True)[0],
        lambda q, k, v: attend(q, *(x.repeat_interleave(4 // key_heads, 1) for x in (k, v)), mask),
    )
    results = []
    for way in ways:
        generator = torch.Generator().manual_seed(2)
        heads = (4, key_heads, key_heads)
        q, k, v = (torch.randn(2, h, 6, 4, generator=generator, requires_grad=True) for h in heads)
        out = way(q, k, v)
        out.square().sum().backward()
        results.append([out.detach(), q.grad, k.grad, v.grad])
    for result in results[1:]:
        for one, other in zip(results[0], result, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("scale", [(8,), (5, 8)])
def test_rms_norm(scale: tuple[int, ...]) -> None:
    results = []
    for function in (rms_norm, rms_norm_plain):
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(3, 5, 8, generator=generator, requires_grad=True)
        weight = torch.randn(scale, generator=generator, requires_grad=True)
        out = function(x, weight, 1e-6)
        out.pow(3).sum().backward()
        results.append([out.detach(), x.grad, weight.grad])
        with torch.no_grad():
            torch.testing.assert_close(function(x, weight, 1e-6), out)
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-4)


def test_rms_norm_in_bfloat16_keeps_its_type() -> None:
    x = torch.randn(3, 8, generator=torch.Generator().manual_seed(0)).bfloat16().requires_grad_()
    weight = torch.ones(8, requires_grad=True)
    out = rms_norm(x, weight, 1e-6)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), rms_norm_plain(x.float(), weight, 1e-6), atol=2e-2, rtol=2e-2)
    out.float().square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rotation(dtype: torch.dtype) -> None:
    cos, sin = rotary_table(torch.arange(6)[None], 8, 100.0)
    results = []
    for function in (rotate, rotate_plain):
        x = torch.randn(2, 6, 2, 3, 8, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
        out = function(x, cos, sin)
        out.float().square().sum().backward()
        results.append([out.detach(), x.grad])
    for fast, plain in zip(*results, strict=True):
        near = 1e-5 if dtype == torch.float32 else 6e-2
        torch.testing.assert_close(fast, plain, atol=near, rtol=near)


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
