"""RMS normalisation, with a backward pass written out for CPUs, where torch has no fused kernel."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def rms_norm_plain(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Divide vectors by their root mean square and scale them.

        y = w ⊙ x / √(mean(x²) + ε)

    Shapes:  x: (…, D).  weight: (D,), or more dimensions to the left -> the shape of x
    Source:  Zhang and Sennrich (2019), equation 4.
    """
    return F.rms_norm(x, (x.size(-1),), eps=eps) * weight


class _RmsNorm(torch.autograd.Function):
    """The same: with x̂ = x / rms and g' = g ⊙ w, the gradients are (g' - x̂ mean(g' x̂)) / rms and Σ g ⊙ x̂."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        size = x.size(-1)
        norm = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        inverse = norm.square_().div_(size).add_(eps).rsqrt_()
        unit = wide * inverse
        ctx.save_for_backward(unit, inverse, weight)
        return (unit * weight).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        (grad,) = grads
        unit, inverse, weight = ctx.saved_tensors
        product = grad * unit
        grad_weight = product.sum_to_size(weight.shape).to(weight.dtype)
        mean = product.mul_(weight).mean(dim=-1, keepdim=True)
        grad_x = torch.addcmul(grad * weight, unit, mean, value=-1.0).mul_(inverse)
        return grad_x.to(grad.dtype), grad_weight, None


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """`rms_norm_plain`, by whichever way is fastest.

    On CPUs torch composes it of five operations and derives each by itself; this takes about half as long
    (docs/LOG.md).

    Shapes:  x: (…, D).  weight: (D,), or more dimensions to the left -> the shape of x
    """
    if x.device.type == "cpu" and torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad):
        return _RmsNorm.apply(x, weight, eps)  # type: ignore[no-any-return, no-untyped-call]
    return rms_norm_plain(x, weight, eps)


class RMSNorm(nn.Module):
    """`rms_norm` with a learned scale that starts at one.

    Args:
        size: of the vectors.
        eps: keeps the divisor above zero.
    Shapes:  (…, size) -> (…, size)
    """

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.weight, self.eps)
