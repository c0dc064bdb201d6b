"""Gated activations with a backward pass written out, for CPUs.

torch derives the halves each by itself and puts their gradients together by a further copy. The equation:
layers/activation.py.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_TANH = ("gelu_new", "gelu_pytorch_tanh")
_NAMES = ("gelu", *_TANH, "silu")


def serves(x: Tensor, name: str) -> bool:
    """Whether there is a gradient to save time on."""
    return (
        x.device.type == "cpu"
        and name in _NAMES
        and torch.is_grad_enabled()
        and x.requires_grad
        and not torch.compiler.is_compiling()
        and not torch.compiler.is_exporting()
    )


def gated(x: Tensor, name: str) -> Tensor:
    """As layers/activation.py's.  Shapes: (…, 2 m) -> (…, m)"""
    return _Gated.apply(x, name)  # type: ignore[no-any-return, no-untyped-call]


class _Gated(torch.autograd.Function):
    """Both gradients are written into one matrix: g act'(u) gate, and g act(u)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, name: str) -> Tensor:
        u, gate = x.chunk(2, dim=-1)
        ctx.approximate = "tanh" if name in _TANH else "none"
        ctx.silu = name == "silu"
        activated = F.silu(u) if ctx.silu else F.gelu(u, approximate=ctx.approximate)
        ctx.save_for_backward(x, activated)
        return activated * gate

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        x, activated = ctx.saved_tensors
        u, gate = x.chunk(2, dim=-1)
        grad = torch.empty_like(x)
        of_u, of_gate = grad.chunk(2, dim=-1)
        torch.mul(grads[0], activated, out=of_gate)
        inner = grads[0] * gate
        if ctx.silu:
            torch.ops.aten.silu_backward.grad_input(inner, u, grad_input=of_u)
        else:
            torch.ops.aten.gelu_backward.grad_input(inner, u, approximate=ctx.approximate, grad_input=of_u)
        return grad, None
