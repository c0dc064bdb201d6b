"""Softmax cross-entropy over a vocabulary, without ever keeping the logits."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK_BYTES = 16 * 2**20
"""Logits in memory at once; about half of a last-level cache measured best (see docs/LOG.md)."""


def cross_entropy_sum_plain(hidden: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor) -> Tensor:
    """Sum over rows of -log softmax(W h + b)[label], written out.

    Shapes:  hidden: (P, d).  weight: (V, d).  bias: (V,).  labels: (P,) -> scalar, nats
    """
    return F.cross_entropy(F.linear(hidden, weight, bias).float(), labels, reduction="sum")


class _CrossEntropySum(torch.autograd.Function):
    """The same number; gradients are formed chunk by chunk while the logits are still at hand."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor) -> Tensor:
        need = any(ctx.needs_input_grad)
        rows = max(1, CHUNK_BYTES // (4 * weight.size(0)))
        total = hidden.new_zeros((), dtype=torch.float32)
        grad_hidden = torch.empty_like(hidden) if need else None
        # in float32 whatever the products are in: a large batch adds up many chunks
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if need else None
        grad_bias = torch.zeros_like(bias, dtype=torch.float32) if need and bias is not None else None
        for start in range(0, hidden.size(0), rows):
            h, gold = hidden[start : start + rows], labels[start : start + rows, None]
            logits = F.linear(h, weight, bias).float()
            log_z = torch.logsumexp(logits, dim=1, keepdim=True)
            total += (log_z - logits.gather(1, gold)).sum()
            if grad_hidden is None or grad_weight is None:
                continue
            slope = logits.sub_(log_z).exp_()  # (rows, V): softmax, then minus one at the gold label
            slope.scatter_add_(1, gold, slope.new_full((), -1.0).expand_as(gold))
            slope = slope.to(weight.dtype)
            torch.mm(slope, weight, out=grad_hidden[start : start + rows])
            if weight.dtype == torch.float32:
                grad_weight.addmm_(slope.t(), h)
            else:
                grad_weight += slope.t() @ h
            if grad_bias is not None:
                grad_bias += slope.sum(0)
        ctx.dtype = weight.dtype
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (scale,) = grads
        hidden, weight, bias = ctx.saved_tensors
        return (
            hidden * scale.to(hidden.dtype),
            (weight * scale).to(ctx.dtype),
            None if bias is None else (bias * scale).to(ctx.dtype),
            None,
        )


def cross_entropy_sum(hidden: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor) -> Tensor:
    """Sum over rows of -log softmax(W h + b)[label], with flat memory in P.

    Shapes:  hidden: (P, d).  weight: (V, d).  bias: (V,) or None.  labels: (P,) -> scalar, nats
    Source:  the idea of forming gradients during the forward pass: Hsu et al. (2024), Liger Kernel, section 3.2.
    """
    if torch.is_autocast_enabled(hidden.device.type):
        dtype = torch.get_autocast_dtype(hidden.device.type)
        hidden, weight = hidden.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
        with torch.autocast(hidden.device.type, enabled=False):
            return _CrossEntropySum.apply(hidden, weight, bias, labels)  # type: ignore[no-any-return, no-untyped-call]
    return _CrossEntropySum.apply(hidden, weight, bias, labels)  # type: ignore[no-any-return, no-untyped-call]
