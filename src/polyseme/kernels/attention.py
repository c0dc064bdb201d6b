"""Attention without gradients, compiled; with dropout or in bfloat16, and rotary positions, with ways back written out.

On CPUs torch's attention runs at a third of the products' rate, and with dropout or in bfloat16 it goes through the
matrix of probabilities a dozen times. The equations: layers/attention.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polyseme.core.compiled import compiles
from polyseme.kernels import MOST_SIZE

FEWEST = 4
"""Queries below which turning the keys costs more than it brings."""

LEAST_SCORES = 1 << 19
"""Scores of a call below which loading the compiled form, a second or two, is not worth it."""

AT_ONCE = 1 << 20
"""Probabilities that are computed together; with their bits they stay in the second or third cache."""


def can_drop(q: Tensor, *_: Any) -> bool:
    """Whether `attend_dropped` serves these queries: on CPUs, in float32 and bfloat16."""
    return (
        q.device.type == "cpu"
        and q.dtype in (torch.float32, torch.bfloat16)
        and not torch.compiler.is_compiling()
        and not torch.compiler.is_exporting()
    )


def attend_dropped(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropped: Tensor | None = None, scale: float = 1.0
) -> Tensor:
    """As layers/attention.py's; under autocast in that type.

    Shapes:  q: (B, H, Q, D).  k, v: (B, H, T, D).  mask: (B, 1, Q, T) boolean.  dropped: (B, H, Q, T)
             -> (B, H, Q, D)
    """
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        q, k, v = q.to(dtype), k.to(dtype), v.to(dtype)
    with torch.autocast("cpu", enabled=False):
        out: Tensor = _AttendDropped.apply(q, k, v, mask, dropped, scale)  # type: ignore[no-untyped-call]
    return out


def can_attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, causal: bool = False) -> bool:
    """Whether `attend_fused` serves: in float32 on one thread of a CPU, without gradients, for more than a few queries.

    torch's own computes with all its threads, and reads a long cache for one new token as it lies.
    """
    return (
        not torch.is_grad_enabled()
        and q.device.type == "cpu"
        and q.dtype == k.dtype == v.dtype == torch.float32
        and q.size(2) >= FEWEST
        and q.numel() // max(1, q.size(3)) * k.size(2) >= LEAST_SCORES
        and 0 < q.size(3) <= MOST_SIZE
        and k.size(2) > 0
        and q.stride(3) == k.stride(3) == v.stride(3) == 1
        and (mask is None or mask.stride(3) == 1)
        and torch.get_num_threads() == 1
        and not torch.compiler.is_compiling()
        and compiles()
    )


def attend_fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
    """As layers/attention.py's; what it gives lies as the next product reads it, token by token.

    Shapes:  q: (B, H, Q, D).  k, v: (B, H / share, T, D).  mask: (B, 1, Q, T) boolean -> (B, H, Q, D)
    """
    from polyseme.kernels.attention_kernels import attend_heads

    b, h, n, d = q.shape
    out = q.new_empty(b, n, h, d).transpose(1, 2)
    places = [
        np.array([x.data_ptr(), *(4 * x.stride(i) for i in range(3))], np.int64) for x in (q, k, v, out)
    ]
    shape = np.array([b, h, k.size(1), n, k.size(2), d], np.int64)
    at, strides = 0, np.zeros(2, np.int64)
    if mask is not None:
        mask = mask.expand(b, 1, n, k.size(2))
        at, strides = mask.data_ptr(), np.array([mask.stride(0), mask.stride(2)], np.int64)
    attend_heads(np.empty(0, np.float32), shape, *places, causal, at, strides)
    return out


class _AttendDropped(torch.autograd.Function):
    """A few rows of the batch at a time, so that what is between the products stays in the cache.

    With P = softmax, P' = P ∘ keep, s = 1 / (1 - p) and the gradient g of out:

        dv = P'ᵀ s g,   dP = (s g vᵀ) ∘ keep,   dS = P ∘ (dP - Σ dP ∘ P),   dq = dS k / √D,   dk = dSᵀ q / √D
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropped: Tensor | None, scale: float
    ) -> Tensor:
        b, h, n, d = q.shape
        t = k.size(2)
        q = (q * d**-0.5).reshape(b * h, n, d)
        k, v = k.reshape(b * h, t, d), v.reshape(b * h, t, d)
        dropped = None if dropped is None else dropped.view(b * h, n, t)
        p, out, zero = q.new_empty(b * h, n, t), torch.empty_like(q), q.new_zeros(())
        for rows in _parts(b, h * n * t):
            part = slice(rows.start * h, rows.stop * h)
            scores = torch.bmm(q[part], k[part].transpose(1, 2))
            if mask is not None:
                hidden = torch.where(mask[rows], 0.0, -torch.inf).to(q.dtype)
                scores.view(-1, h, n, t).add_(hidden)
            torch.softmax(scores, -1, out=p[part])
            kept = p[part] if dropped is None else torch.where(dropped[part], zero, p[part], out=scores)
            torch.bmm(kept, v[part], out=out[part])
        ctx.save_for_backward(q, k, v, p, dropped)
        ctx.scale, ctx.heads = scale, h
        return (out if scale == 1.0 else out.mul_(scale)).view(b, h, n, d)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        q, k, v, p, dropped = ctx.saved_tensors
        b, h, n, d = grads[0].shape
        t = k.size(1)
        grad = (grads[0] if ctx.scale == 1.0 else grads[0] * ctx.scale).reshape(b * h, n, d)
        grad_q, grad_k, grad_v = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        zero = q.new_zeros(())
        for rows in _parts(b, h * n * t):
            part = slice(rows.start * h, rows.stop * h)
            kept = p[part] if dropped is None else torch.where(dropped[part], zero, p[part])
            torch.bmm(kept.transpose(1, 2), grad[part], out=grad_v[part])
            kept = torch.bmm(grad[part], v[part].transpose(1, 2))
            if dropped is not None:
                kept.masked_fill_(dropped[part], 0.0)
            grad_s = torch._softmax_backward_data(kept, p[part], -1, p.dtype)
            torch.bmm(grad_s, k[part], out=grad_q[part])
            torch.bmm(grad_s.transpose(1, 2), q[part], out=grad_k[part])
        grad_q.mul_(d**-0.5)
        return grad_q.view(b, h, n, d), grad_k.view(b, h, t, d), grad_v.view(b, h, t, d), None, None, None


def _parts(rows: int, numbers: int) -> Iterator[slice]:
    """Stretches of rows that have so many numbers each."""
    step = max(1, AT_ONCE // max(1, numbers))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def splits(qkv: Tensor, *_: Any) -> bool:
    """Whether `split_heads` serves: bfloat16 on CPUs, with a gradient; torch's attention in float32 reads any order."""
    return can_drop(qkv) and qkv.dtype == torch.bfloat16 and torch.is_grad_enabled() and qkv.requires_grad


def split_heads(qkv: Tensor, rotary: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor, Tensor]:
    """As layers/attention.py's.  Shapes: qkv: (B, T, 3, H, D) -> each (B, H, T, D)"""
    cos, sin = (None, None) if rotary is None else (table.to(qkv.dtype) for table in rotary)
    q, k, v = _SplitHeads.apply(qkv, cos, sin)  # type: ignore[no-untyped-call]
    return q, k, v


class _SplitHeads(torch.autograd.Function):
    """Each is written once in the order that products read, and all gradients go into one matrix."""

    @staticmethod
    def forward(
        ctx: Any, qkv: Tensor, cos: Tensor | None, sin: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(cos, sin)
        b, t, _, h, d = qkv.shape
        out = qkv.new_empty(3, b, h, t, d)
        by_token = out.permute(1, 3, 0, 2, 4)  # (B, T, 3, H, D)
        if cos is None or sin is None:
            by_token.copy_(qkv)
        else:
            _turn_into(by_token[:, :, :2], qkv[:, :, :2], cos, sin)
            by_token[:, :, 2].copy_(qkv[:, :, 2])
        return out[0], out[1], out[2]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        b, h, t, d = grads[0].shape
        grad = grads[0].new_empty(b, t, 3, h, d)
        for i, part in enumerate(grads):
            part = part.transpose(1, 2)  # (B, T, H, D)
            if i == 2 or cos is None:
                grad[:, :, i].copy_(part)
            else:
                _turn_into(grad[:, :, i], part, cos[:, :, 0], -sin[:, :, 0])
        return grad, None, None


def _turn_into(out: Tensor, x: Tensor, cos: Tensor, sin: Tensor) -> None:
    half = x.size(-1) // 2
    torch.mul(x, cos, out=out)
    out[..., :half].addcmul_(x[..., half:], sin[..., :half])
    out[..., half:].addcmul_(x[..., :half], sin[..., half:])


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """As layers/attention.py's, in three passes.

    Shapes:  x: (B, T, 2, H, D), queries and keys at once.  cos, sin: (B, T, 1, 1, D) -> the same shape as x
    """
    return _Rotate.apply(x, cos.to(x.dtype), sin.to(x.dtype))  # type: ignore[no-any-return, no-untyped-call]


class _Rotate(torch.autograd.Function):
    """The gradient is turned back by the same angle."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turn(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turn(grads[0], cos, -sin), None, None


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    turned = torch.empty_like(x)
    _turn_into(turned, x, cos, sin)
    return turned
