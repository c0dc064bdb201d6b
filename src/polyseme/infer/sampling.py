"""From the logits of the next token to the token that is taken: pure functions, one row a text.

    logits ─ penalise ─ temper ─ keep_top_k ─ keep_top_p ─ draw          (in this order)

A token that is ruled out has the logit -∞. Every function returns a new tensor and leaves its argument alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["draw", "forbid", "keep_top_k", "keep_top_p", "keep_top_p_plain", "penalise", "temper"]

_NUCLEUS = 256
"""Tokens that the fast form of `keep_top_p` looks at before it sorts the whole vocabulary."""


def forbid(logits: Tensor, ids: Tensor) -> Tensor:
    """Rule tokens out.

    Shapes:  logits: (R, V).  ids: (S,) -> (R, V)
    """
    return logits.index_fill(1, ids, float("-inf"))


def penalise(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Make tokens that have occurred less likely.

        x' = x / penalty where x > 0,  x · penalty where x ≤ 0,    for tokens already seen

    Args:
        logits: scores of the next token, or log-probabilities.
        seen: True for tokens of the prompt and of the continuation so far.
        penalty: above 1 discourages repetition, 1 changes nothing, below 1 encourages it.
    Shapes:  logits, seen: (R, V) -> (R, V)
    Source:  Keskar et al. (2019), CTRL, section 4.1. Departure: the paper divides negative scores too, which makes
             them more likely; later implementations multiply them.
    """
    if penalty == 1.0:
        return logits
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def temper(logits: Tensor, temperature: float) -> Tensor:
    """Sharpen (below 1) or flatten (above 1) the distribution: x' = x / temperature.

    Shapes:  logits: (R, V) -> (R, V)
    Source:  Ackley, Hinton and Sejnowski (1985), equation 5.
    """
    return logits if temperature == 1.0 else logits / temperature


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Rule out all but the k largest logits; logits equal to the k-th are kept.

    Shapes:  logits: (R, V) -> (R, V)
    Source:  Fan et al. (2018), section 5.4.
    """
    if k >= logits.size(1):
        return logits
    least = logits.topk(k, dim=1).values[:, -1:]
    return logits.masked_fill(logits < least, float("-inf"))


def keep_top_p_plain(logits: Tensor, p: float) -> Tensor:
    """Keep the nucleus: the fewest most probable tokens whose probabilities add up to at least p.

    Shapes:  logits: (R, V) -> (R, V)
    Source:  Holtzman et al. (2020), equation 2.
    """
    ordered, ids = logits.sort(dim=1, descending=True, stable=True)
    probabilities = torch.softmax(ordered, dim=1)
    before = probabilities.cumsum(1) - probabilities  # mass of what is more probable
    outside = before >= p
    outside[:, 0] = False
    return logits.masked_fill(torch.zeros_like(outside).scatter(1, ids, outside), float("-inf"))


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """`keep_top_p_plain` without sorting a whole vocabulary where the nucleus is small, as it mostly is.

    Shapes:  logits: (R, V) -> (R, V)
    """
    if p >= 1.0:
        return logits
    if logits.size(1) <= _NUCLEUS:
        return keep_top_p_plain(logits, p)
    ordered = logits.topk(_NUCLEUS, dim=1).values
    probabilities = (ordered - logits.logsumexp(1, keepdim=True)).exp()
    mass = probabilities.cumsum(1)
    if bool((mass[:, -1] < p).any()):
        return keep_top_p_plain(logits, p)
    last = ((mass - probabilities) < p).sum(1, keepdim=True).clamp(min=1) - 1  # the nucleus's smallest member
    least = ordered.gather(1, last)
    inside = logits >= least
    if bool((inside.sum(1, keepdim=True) != last + 1).any()):  # ties at the edge: order of ids decides
        return keep_top_p_plain(logits, p)
    return logits.masked_fill(~inside, float("-inf"))


def draw(logits: Tensor, uniform: Tensor) -> Tensor:
    """The token at which the cumulative distribution passes a uniform number.

        token = min { i : Σ_{j ≤ i} softmax(x)_j > u }

    A pure function: the same logits and the same number give the same token, whatever stands in other rows.

    Shapes:  logits: (R, V).  uniform: (R,) in [0, 1), float64 -> (R,)
    """
    mass = torch.softmax(logits, dim=1, dtype=torch.float64).cumsum(1)
    total = mass[:, -1:]
    level = torch.minimum(uniform[:, None] * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(mass, level, right=True).squeeze(1)
