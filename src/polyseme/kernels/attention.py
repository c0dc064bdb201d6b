"""Attention with dropout, and rotary positions, with backward passes written out for CPUs.

torch's attention with dropout goes through the matrix of probabilities a dozen times. The equations:
layers/attention.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

AT_ONCE = 1 << 20
"""Probabilities that are computed together; with their bits they stay in the second or third cache."""


def can_drop(q: Tensor, *_: Any) -> bool:
    """Whether `attend_dropped` serves these queries: on CPUs, in float32."""
    return (
        q.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and q.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
    )


def attend_dropped(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropped: Tensor, scale: float
) -> Tensor:
    """As layers/attention.py's.

    Shapes:  q: (B, H, Q, D).  k, v: (B, H, T, D).  mask: (B, 1, Q, T) boolean.  dropped: (B, H, Q, T)
             -> (B, H, Q, D)
    """
    return _AttendDropped.apply(q, k, v, mask, dropped, scale)  # type: ignore[no-any-return, no-untyped-call]


class _AttendDropped(torch.autograd.Function):
    """A few rows of the batch at a time, so that what is between the products stays in the cache.

    With P = softmax, P' = P ∘ keep, s = 1 / (1 - p) and the gradient g of out:

        dv = P'ᵀ s g,   dP = (s g vᵀ) ∘ keep,   dS = P ∘ (dP - Σ dP ∘ P),   dq = dS k / √D,   dk = dSᵀ q / √D
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropped: Tensor, scale: float
    ) -> Tensor:
        b, h, n, d = q.shape
        t = k.size(2)
        q = (q * d**-0.5).reshape(b * h, n, d)
        k, v, dropped = k.reshape(b * h, t, d), v.reshape(b * h, t, d), dropped.view(b * h, n, t)
        p, out, zero = q.new_empty(b * h, n, t), torch.empty_like(q), q.new_zeros(())
        for rows in _parts(b, h * n * t):
            part = slice(rows.start * h, rows.stop * h)
            scores = torch.bmm(q[part], k[part].transpose(1, 2))
            if mask is not None:
                hidden = torch.where(mask[rows], 0.0, -torch.inf).to(q.dtype)
                scores.view(-1, h, n, t).add_(hidden)
            torch.softmax(scores, -1, out=p[part])
            torch.where(dropped[part], zero, p[part], out=scores)
            torch.bmm(scores, v[part], out=out[part])
        ctx.save_for_backward(q, k, v, p, dropped)
        ctx.scale, ctx.heads = scale, h
        return out.mul_(scale).view(b, h, n, d)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        q, k, v, p, dropped = ctx.saved_tensors
        b, h, n, d = grads[0].shape
        t = k.size(1)
        grad = (grads[0] * ctx.scale).reshape(b * h, n, d)
        grad_q, grad_k, grad_v = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        zero = q.new_zeros(())
        for rows in _parts(b, h * n * t):
            part = slice(rows.start * h, rows.stop * h)
            kept = torch.where(dropped[part], zero, p[part])
            torch.bmm(kept.transpose(1, 2), grad[part], out=grad_v[part])
            torch.bmm(grad[part], v[part].transpose(1, 2), out=kept).masked_fill_(dropped[part], 0.0)
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
    half = x.size(-1) // 2
    turned = x * cos
    turned[..., :half].addcmul_(x[..., half:], sin[..., :half])
    turned[..., half:].addcmul_(x[..., :half], sin[..., half:])
    return turned
