"""The edge probe: from frozen hidden states of one span or two to its labels.

    h_t = γ Σ_l s_l h_l,t            s = softmax(w): a token's layers, mixed
    z_t = P h_t + b                  projected, for each side of a pair by its own P
    r   = Σ_t softmax_t(v · z_t) z_t     self-attentive pooling over the tokens of a span
    y   = σ(W₂ drop(norm(tanh(W₁ [r₁ ; r₂] + b₁))) + b₂)     a probability for each label by itself

Paper: Tenney et al. (2019a), the probing model and its appendix; the mix Peters et al. (2018), equation 1; the pooling
Lee et al. (2017). Departures: the layers of each token are normed before they are mixed, so that weights of layers of
different scale can be compared (Fayyaz et al. 2021 show that else they cannot).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from polyseme.layers.dropout import Dropout
from polyseme.layers.mix import ScalarMix
from polyseme.study.probing.cache import Active
from polyseme.study.probing.config import ProbeConfig

__all__ = ["EdgeProbe", "Side", "attentive_pooling", "mixed_rows"]


class Side(NamedTuple):
    """The tokens of one side of a batch of targets.

    Args:
        states: hidden states of the tokens of all spans, one after another.
        owner: which target each belongs to.
        targets: how many there are.

    Shapes:  states: (N, layers, width), or Active for N tokens.  owner: (N,)
    """

    states: Tensor | Active
    owner: Tensor
    targets: int


class EdgeProbe(nn.Module):
    """A probe of one task; see the head of this file.

    Args:
        layers, width: of the states.
        labels: how many there are.
        sides: 1 span or 2.
        config: sizes and dropout.
        sparse: the states are `Active`: the projection of a vector of zeros and ones is a sum of columns.
    Shapes:  sides of B targets -> logits (B, labels)
    """

    def __init__(
        self, layers: int, width: int, labels: int, sides: int, config: ProbeConfig, sparse: bool = False
    ) -> None:
        super().__init__()
        self.mix = None if sparse or layers == 1 else ScalarMix(layers)
        size = config.projection
        self.projections = nn.ModuleList(
            _Columns(width, size) if sparse else nn.Linear(width, size) for _ in range(sides)
        )
        self.scores = nn.ModuleList(nn.Linear(size, 1, bias=False) for _ in range(sides))
        self.hidden = nn.Linear(sides * size, config.hidden)
        self.norm = nn.LayerNorm(config.hidden)
        self.dropout = Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden, labels)

    def forward(self, *sides: Side) -> Tensor:
        pooled = []
        for side, projection, score in zip(sides, self.projections, self.scores, strict=True):
            z = projection(self._mixed(side.states))  # (N, projection)
            pooled.append(attentive_pooling(z, score(z)[:, 0], side.owner, side.targets))
        hidden = self.norm(torch.tanh(self.hidden(torch.cat(pooled, 1))))  # (B, hidden)
        logits: Tensor = self.classifier(self.dropout(hidden))
        return logits

    def _mixed(self, states: Tensor | Active) -> Tensor | Active:
        if isinstance(states, Active):
            return states
        return states[:, 0] if self.mix is None else mixed_rows(self.mix, states)

    @property
    def shares(self) -> list[float]:
        """The weight of each layer; [1.0] where there is one."""
        return [1.0] if self.mix is None else self.mix.shares


class _Columns(nn.Module):
    """W x + b for vectors x of zeros and ones: the sum of the columns of W where x is one.

    Shapes:  Active for N vectors -> (N, size)
    """

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        limit = size**-0.5  # a few columns are added, however many there are
        self.weight = nn.Parameter(torch.empty(width, size).uniform_(-limit, limit))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, active: Active) -> Tensor:
        sums = nn.functional.embedding_bag(active.columns, self.weight, active.starts, mode="sum")
        return sums + self.bias


def mixed_rows(mix: ScalarMix, states: Tensor) -> Tensor:
    """What `mix` gives for states that lie token by token, as one product; no gradient of the states is made.

    Shapes:  states: (N, layers, width) -> (N, width)
    """
    shares = mix.gamma * torch.softmax(mix.weights, dim=0)
    return torch.matmul(shares, states)


def attentive_pooling(z: Tensor, scores: Tensor, owner: Tensor, targets: int) -> Tensor:
    """The mean of each target's tokens, weighted by the softmax of their scores.

        r = Σ_t softmax_t(score_t) z_t

    Shapes:  z: (N, d).  scores, owner: (N,) -> (targets, d); every target has a token
    """
    if len(z) == targets:  # one token each: the softmax of one score is 1
        return z
    top = scores.detach().new_full((targets,), -torch.inf).scatter_reduce(0, owner, scores.detach(), "amax")
    weights = torch.exp(scores - top[owner])
    sums = torch.zeros(targets).index_add(0, owner, weights)
    shares = weights / sums[owner]
    return z.new_zeros(targets, z.size(1)).index_add(0, owner, shares[:, None] * z)
