"""RMS normalisation with a backward pass written out, for CPUs, where torch has no fused kernel.

torch composes it of five operations and derives each by itself; this takes about half as long (docs/LOG.md). The
equation: layers/norm.py.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def serves(x: Tensor, weight: Tensor, eps: float) -> bool:
    """Whether there is a gradient to save time on."""
    return x.device.type == "cpu" and torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """As layers/norm.py's.  Shapes: x: (…, D).  weight: (D,), or more dimensions to the left -> the shape of x"""
    return _RmsNorm.apply(x, weight, eps)  # type: ignore[no-any-return, no-untyped-call]


class _RmsNorm(torch.autograd.Function):
    """With x̂ = x / rms and g' = g ⊙ w, the gradients are (g' - x̂ mean(g' x̂)) / rms and Σ g ⊙ x̂."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        size = x.size(-1)
        norm = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        inverse = norm.square_().div_(size).add_(eps).rsqrt_()
        unit = wide * inverse
        ctx.save_for_backward(unit, inverse, weight)
        scaled: Tensor = (unit * weight).to(x.dtype)
        return scaled

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        (grad,) = grads
        unit, inverse, weight = ctx.saved_tensors
        product = grad * unit
        grad_weight = product.sum_to_size(weight.shape).to(weight.dtype)
        mean = product.mul_(weight).mean(dim=-1, keepdim=True)
        grad_x = torch.addcmul(grad * weight, unit, mean, value=-1.0).mul_(inverse)
        return grad_x.to(grad.dtype), grad_weight, None
