"""Dropout for CPUs: sixteen random bits decide about a number, and attention is dropped in place.

    dropout(x) = x ∘ keep / (1 - p),    keep ~ Bernoulli(1 - p) for every number

torch draws a float for every number, which at the sizes of small encoders takes a tenth of a fine-tuning step, and its
attention with dropout goes through the matrix of probabilities a dozen times. Here four decisions come from one
random word of 64 bits, and attention has a backward pass written out.

Source: Srivastava et al. (2014), section 4, in the form that scales while training. Departures: p is rounded to a
multiple of 2⁻¹⁶ (0.1 to 0.1000061), and what is kept is scaled by the rounded one, so the mean is exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

LEVELS = 1 << 16
AT_ONCE = 1 << 20
"""Probabilities of attention that are computed together; with their bits they stay in the second or third cache."""


def drawn(shape: torch.Size | tuple[int, ...], p: float) -> tuple[Tensor, float]:
    """Which numbers are dropped, and what the others are multiplied by; from torch's generator of CPUs.

    Shapes:  -> (shape) boolean
    """
    n = torch.Size(shape).numel()
    level = min(LEVELS - 1, round(p * LEVELS))
    words = torch.empty((n + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    bits = words.view(torch.int16)[:n].view(shape)
    return bits < level - LEVELS // 2, LEVELS / (LEVELS - level)


def dropout_plain(x: Tensor, dropped: Tensor, scale: float) -> Tensor:
    """Zeros where numbers are dropped, the others scaled.  Shapes: of any shape, the same for both"""
    return x.masked_fill(dropped, 0.0) * scale


def dropout(x: Tensor, p: float, training: bool = True) -> Tensor:
    """Drop each number with probability p while training.

    On other devices than CPUs it is torch's.

    Shapes:  of any shape -> the same
    """
    if not training or p == 0.0:
        return x
    if not _is_ours(x):
        return nn.functional.dropout(x, p)
    dropped, scale = drawn(x.shape, p)
    return x * dropped.logical_not_().to(x.dtype).mul_(scale)


def _is_ours(x: Tensor) -> bool:
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


class Dropout(nn.Module):
    """`dropout` as a layer.

    Args:
        p: share that is dropped, 0 ≤ p < 1.
    Shapes:  of any shape -> the same
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"p={self.p}"


def attend_dropped_plain(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropped: Tensor, scale: float
) -> Tensor:
    """Attention in which some of the probabilities are dropped.

        out = (softmax(q kᵀ / √D + mask) ∘ keep / (1 - p)) v

    Shapes:  q: (B, H, Q, D).  k, v: (B, H, T, D).  mask: (B, 1, Q, T) boolean.  dropped: (B, H, Q, T)
             -> (B, H, Q, D)
    """
    scores = q @ k.transpose(-1, -2) / q.size(-1) ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return dropout_plain(torch.softmax(scores, dim=-1), dropped, scale) @ v


class _AttendDropped(torch.autograd.Function):
    """The same, a few rows of the batch at a time, so that what is between the products stays in the cache.

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


def can_drop(q: Tensor) -> bool:
    """Whether `attend_dropped` serves these queries."""
    return _is_ours(q) and q.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


def attend_dropped(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, p: float) -> Tensor:
    """`attend_dropped_plain` with what is dropped drawn here; on CPUs in float32 (`can_drop`).

    Shapes:  q: (B, H, Q, D).  k, v: (B, H, T, D).  mask: (B, 1, Q, T) boolean -> (B, H, Q, D)
    """
    dropped, scale = drawn((*q.shape[:-1], k.size(-2)), p)
    return _AttendDropped.apply(q, k, v, mask, dropped, scale)  # type: ignore[no-any-return, no-untyped-call]
