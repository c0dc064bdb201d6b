"""Softmax cross-entropy over a vocabulary: over all its classes, or, where it is large, over a sample of them.

    loss = -s_gold + log Σ_k e^{s_k},   s = W h + b
    loss = -s_gold + log( e^{s_gold} + Σ_{k in S, k ≠ gold} e^{s_k} / q_k )

S is drawn once and shared by all rows; q_k is the probability that class k is in S. The sum in the logarithm is so an
unbiased estimate of the softmax's denominator, and exact when every class is in S.

Source:  importance sampling of the denominator: Bengio and Senécal (2008), section 3; one sample for a whole batch,
drawn log-uniformly over ranks of frequency: Józefowicz et al. (2016), section 3.1.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from polyseme.core.arrays import Float64Array, IntArray
from polyseme.kernels import cross_entropy as kernel
from polyseme.kernels.twins import faster


@faster(kernel.cross_entropy_sum)
def cross_entropy_sum(hidden: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor) -> Tensor:
    """Sum over rows of -log softmax(W h + b)[label], written out.

    Shapes:  hidden: (P, d).  weight: (V, d).  bias: (V,).  labels: (P,) -> scalar, nats
    """
    return F.cross_entropy(F.linear(hidden, weight, bias).float(), labels, reduction="sum")


def log_uniform(uniform: Float64Array, classes: int) -> tuple[IntArray, Float64Array]:
    """Distinct ranks 0 … classes - 1 from uniform numbers, and how probable it was that each is among them.

        P(rank) = log((rank + 2) / (rank + 1)) / log(classes + 1);   q = 1 - (1 - P)^n  for n uniform numbers

    Shapes:  uniform: (n,) -> ranks: (S,) ascending, q: (S,)
    """
    ranks = np.unique(np.minimum((np.exp(uniform * math.log(classes + 1)) - 1).astype(np.int64), classes - 1))
    probability = np.log1p(1.0 / (ranks + 1)) / math.log(classes + 1)
    return ranks, -np.expm1(len(uniform) * np.log1p(-probability))


@faster(kernel.sampled_cross_entropy_sum)
def sampled_cross_entropy_sum(
    hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, sample: Tensor, log_q: Tensor
) -> Tensor:
    """Sum over rows of this file's second loss.

    Args:
        sample: the classes in S, all different.
        log_q: logarithms of their q.
    Shapes:  hidden: (P, d).  weight: (V, d).  bias: (V,).  labels: (P,).  sample, log_q: (S,) -> scalar, nats
    """
    gold = (hidden * weight[labels]).sum(1) + bias[labels]
    scores = hidden @ weight[sample].T + bias[sample] - log_q
    scores = scores.masked_fill(sample == labels[:, None], float("-inf"))
    return (torch.logsumexp(torch.cat([gold[:, None], scores], dim=1), dim=1) - gold).sum()
