"""Softmax cross-entropy over a sample of the classes, for training with large vocabularies.

    loss = -s_gold + log( e^{s_gold} + Σ_{k in S, k ≠ gold} e^{s_k} / q_k ),   s = W h + b

S is drawn once and shared by all rows; q_k is the probability that class k is in S. The sum in the logarithm is so an
unbiased estimate of the softmax's denominator, and exact when every class is in S.

Source:  importance sampling of the denominator: Bengio and Senécal (2008), section 3; one sample for a whole batch,
drawn log-uniformly over ranks of frequency: Józefowicz et al. (2016), section 3.1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from polyseme.layers.cross_entropy import CHUNK_BYTES


def log_uniform(
    uniform: npt.NDArray[np.float64], classes: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Distinct ranks 0 … classes - 1 from uniform numbers, and how probable it was that each is among them.

        P(rank) = log((rank + 2) / (rank + 1)) / log(classes + 1);   q = 1 - (1 - P)^n  for n uniform numbers

    Shapes:  uniform: (n,) -> ranks: (S,) ascending, q: (S,)
    """
    ranks = np.unique(np.minimum((np.exp(uniform * math.log(classes + 1)) - 1).astype(np.int64), classes - 1))
    probability = np.log1p(1.0 / (ranks + 1)) / math.log(classes + 1)
    return ranks, -np.expm1(len(uniform) * np.log1p(-probability))


def sampled_cross_entropy_sum_plain(
    hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, sample: Tensor, log_q: Tensor
) -> Tensor:
    """Sum over rows of the loss of this file's head, written out.

    Args:
        sample: the classes in S, all different.
        log_q: logarithms of their q.
    Shapes:  hidden: (P, d).  weight: (V, d).  bias: (V,).  labels: (P,).  sample, log_q: (S,) -> scalar, nats
    """
    gold = (hidden * weight[labels]).sum(1) + bias[labels]
    scores = hidden @ weight[sample].T + bias[sample] - log_q
    scores = scores.masked_fill(sample == labels[:, None], float("-inf"))
    return (torch.logsumexp(torch.cat([gold[:, None], scores], dim=1), dim=1) - gold).sum()


class _SampledCrossEntropySum(torch.autograd.Function):
    """The same number; gradients are formed chunk by chunk while the scores are still at hand."""

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


def sampled_cross_entropy_sum(
    hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, sample: Tensor, log_q: Tensor
) -> Tensor:
    """`sampled_cross_entropy_sum_plain` with flat memory in P; under autocast its products are in that type.

    Shapes:  as of `sampled_cross_entropy_sum_plain`
    """
    kind = hidden.device.type
    if torch.is_autocast_enabled(kind):
        hidden = hidden.to(torch.get_autocast_dtype(kind))
    with torch.autocast(kind, enabled=False):
        result: Tensor = _SampledCrossEntropySum.apply(hidden, weight, bias, labels, sample, log_q)  # type: ignore[no-untyped-call]
    return result
