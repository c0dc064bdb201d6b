"""Softmax cross-entropy over a vocabulary, whole or sampled, without ever keeping the logits.

Gradients are formed chunk by chunk while the logits are still at hand, so memory is flat in the number of predictions.
The losses written out: layers/cross_entropy.py.

Source: the idea of forming gradients during the forward pass: Hsu et al. (2024), Liger Kernel, section 3.2.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from polyseme.kernels.products import products_of

LEAST_CHANCE = 1e-30
"""Below it the logarithm of a softmax's number is not exact."""

CHUNK_BYTES = 16 * 2**20
"""Logits in memory at once; about half of a last-level cache measured best (see docs/LOG.md)."""


def cross_entropy_sum(hidden: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor) -> Tensor:
    """Sum over rows of -log softmax(W h + b)[label], with flat memory in P.

    Shapes:  hidden: (P, d).  weight: (V, d).  bias: (V,) or None.  labels: (P,) -> scalar, nats
    """
    kind = hidden.device.type
    if torch.is_autocast_enabled(kind):
        hidden = hidden.to(torch.get_autocast_dtype(kind))
    with torch.autocast(kind, enabled=False):
        result: Tensor = _CrossEntropySum.apply(hidden, weight, bias, labels)  # type: ignore[no-untyped-call]
    return result


class _CrossEntropySum(torch.autograd.Function):
    """The sum, and its gradients for a slope of one, which the way back only scales.

    Products are in the type of the hidden states; the gradients of weight and bias are summed in float32.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor) -> Tensor:
        need = any(ctx.needs_input_grad)
        dtypes = (weight.dtype, None if bias is None else bias.dtype)
        weight, bias = weight.to(hidden.dtype), None if bias is None else bias.to(hidden.dtype)
        rows = max(1, CHUNK_BYTES // (4 * weight.size(0)))
        total = hidden.new_zeros((), dtype=torch.float32)
        grad_hidden = torch.empty_like(hidden) if need else None
        # in float32 whatever the products are in: a large batch adds up many chunks
        grad_weight: Tensor | None = None
        grad_bias = torch.zeros_like(bias, dtype=torch.float32) if need and bias is not None else None
        products = products_of(hidden, weight)
        for start in range(0, hidden.size(0), rows):
            h, gold = hidden[start : start + rows], labels[start : start + rows, None]
            logits = products.outputs(h, weight, bias)
            slope = torch.softmax(logits, dim=1)  # (rows, V), soon minus one at the gold label
            chance = slope.gather(1, gold).float()
            # p - 1 as the sum of all others, which in bfloat16 is exact also where p is nearly 1
            others = slope.scatter_(1, gold, 0.0).sum(1, keepdim=True, dtype=torch.float32)
            nats = (1 + others / chance).log()
            lost = (chance < LEAST_CHANCE).squeeze(1)
            if bool(lost.any()):  # e^(s - max) is too small for a float32
                nats[lost] = F.cross_entropy(logits[lost].float(), gold[lost, 0], reduction="none")[:, None]
            total += nats.sum()
            if grad_hidden is None:
                continue
            slope.scatter_(1, gold, -others.to(slope.dtype))
            grad_hidden[start : start + rows] = products.to_inputs(slope, weight)
            grad_weight = products.add_to_weights(grad_weight, slope, h)
            if grad_bias is not None:
                grad_bias += slope.sum(0)
        if need and grad_weight is None:  # there were no rows
            grad_weight = torch.zeros_like(weight, dtype=torch.float32)
        ctx.dtypes = dtypes
        ctx.gradients = grad_hidden, grad_weight, grad_bias
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (scale,) = grads
        hidden, weight, bias = ctx.gradients
        ctx.gradients = None  # a second way back fails: the gradients are scaled where they are
        of_weight, of_bias = ctx.dtypes
        return (
            hidden.mul_(scale),
            weight.mul_(scale).to(of_weight),
            None if bias is None else bias.mul_(scale).to(of_bias),
            None,
        )


def sampled_cross_entropy_sum(
    hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, sample: Tensor, log_q: Tensor
) -> Tensor:
    """Over a sample of the classes, likewise; under autocast its products are in that type.

    Shapes:  hidden: (P, d).  weight: (V, d).  bias: (V,).  labels: (P,).  sample, log_q: (S,) -> scalar, nats
    """
    kind = hidden.device.type
    if torch.is_autocast_enabled(kind):
        hidden = hidden.to(torch.get_autocast_dtype(kind))
    with torch.autocast(kind, enabled=False):
        result: Tensor = _SampledCrossEntropySum.apply(hidden, weight, bias, labels, sample, log_q)  # type: ignore[no-untyped-call]
    return result


class _SampledCrossEntropySum(torch.autograd.Function):
    """Likewise; the row of the gold label is apart from those of the sample."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, sample: Tensor, log_q: Tensor
    ) -> Tensor:
        need = any(ctx.needs_input_grad)
        w = weight[sample].to(hidden.dtype)  # (S, d)
        b = bias[sample].float() - log_q
        w_gold = weight[labels].to(hidden.dtype)  # (P, d)
        gold = (hidden.float() * w_gold.float()).sum(1) + bias[labels].float()
        place = torch.full((weight.size(0),), -1, device=hidden.device)
        place[sample] = torch.arange(len(sample), device=hidden.device)
        place = place[labels]  # (P,) where S holds the label, else -1
        rows = max(1, CHUNK_BYTES // (4 * len(sample)))
        total = torch.zeros((), device=hidden.device)
        d_hidden = torch.empty_like(hidden) if need else None
        d_w = torch.zeros_like(w, dtype=torch.float32) if need else None
        d_b = torch.zeros_like(b) if need else None
        d_gold = torch.empty_like(gold)
        for start in range(0, hidden.size(0), rows):
            h, s_gold = hidden[start : start + rows], gold[start : start + rows]
            scores = (h @ w.T).float().add_(b)
            hits = (place[start : start + rows] >= 0).nonzero().squeeze(1)
            scores[hits, place[start : start + rows][hits]] = float("-inf")
            top = torch.maximum(scores.amax(dim=1), s_gold)
            scores = scores.sub_(top[:, None]).exp_()
            e_gold = (s_gold - top).exp()
            z = scores.sum(dim=1) + e_gold
            total += (z.log() + top - s_gold).sum()
            d_gold[start : start + rows] = e_gold / z - 1.0
            if d_hidden is None or d_w is None or d_b is None:
                continue
            scores.div_(z[:, None])
            slope = scores.to(hidden.dtype)
            torch.mm(slope, w, out=d_hidden[start : start + rows])
            d_w += (slope.T @ h).float()
            d_b += scores.sum(0)
        if d_hidden is not None:
            d_hidden.addcmul_(d_gold[:, None].to(hidden.dtype), w_gold)
        ctx.shape = weight.shape
        ctx.save_for_backward(hidden, labels, sample, d_hidden, d_w, d_b, d_gold)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (scale,) = grads
        hidden, labels, sample, d_hidden, d_w, d_b, d_gold = ctx.saved_tensors
        weight = torch.zeros(ctx.shape, device=hidden.device)
        weight[sample] = d_w * scale
        weight.index_add_(0, labels, hidden.float() * (d_gold * scale)[:, None])
        bias = torch.zeros(ctx.shape[0], device=hidden.device)
        bias[sample] = d_b * scale
        bias.index_add_(0, labels, d_gold * scale)
        return d_hidden * scale.to(hidden.dtype), weight, bias, None, None, None
