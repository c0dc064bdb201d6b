"""The scalar mix: one vector per token from all layers of any encoder.

Paper: Peters et al. (2018), section 3.2, equation 1: a task learns how much of each layer it wants.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

EPSILON = 1e-12


class ScalarMix(nn.Module):
    """A learned weighted mean of layers.

        mix = γ · Σ_k softmax(w)_k h_k,   with layer norm  h_k ← (h_k - mean(h_k)) / √(variance(h_k) + ε)

    Mean and variance of a layer are one number each, over all tokens of the batch that are not padding and all
    dimensions (layer_norm=True, the paper's); or, with layer_norm="token", of every token its own, so that what a text
    gives does not depend on the texts beside it: what tasks here learn with. At the start w = 0 and γ = 1: the mean.

    Args:
        layers: how many there are.
        layer_norm: bring the layers to one scale first: the paper's norm, or that of each "token".
    Shapes:  layers × (B, T, hidden_size), mask: (B, T), true where there is a token -> (B, T, hidden_size)
    Source:  Peters et al. (2018), equation 1; the masked norm: section 3.2, as in the authors' code.
    """

    def __init__(self, layers: int, layer_norm: bool | Literal["token"] = False) -> None:
        super().__init__()
        self.layer_norm = layer_norm
        self.weights = nn.Parameter(torch.zeros(layers))
        self.gamma = nn.Parameter(torch.ones(()))

    def forward(self, layers: Sequence[Tensor], mask: Tensor | None = None) -> Tensor:
        shares = torch.softmax(self.weights, dim=0)
        mixed = torch.zeros_like(layers[0])
        for share, h in zip(shares, layers, strict=True):
            mixed = mixed + share * self._normed(h, mask)
        return self.gamma * mixed

    def _normed(self, h: Tensor, mask: Tensor | None) -> Tensor:
        if self.layer_norm == "token":
            return nn.functional.layer_norm(h, h.shape[-1:], eps=EPSILON)
        return masked_norm(h, mask) if self.layer_norm else h

    @property
    def shares(self) -> list[float]:
        """The weight of every layer, softmax(w): they sum to one."""
        shares: list[float] = torch.softmax(self.weights.detach(), dim=0).tolist()
        return shares


def masked_norm(h: Tensor, mask: Tensor | None = None) -> Tensor:
    """A layer brought to mean 0 and variance 1 over all its tokens.

    Shapes:  h: (B, T, d).  mask: (B, T), true where there is a token; None = everywhere -> (B, T, d)
    """
    inside = h.new_ones(h.shape[:-1]) if mask is None else mask.to(h.dtype)
    count = inside.sum() * h.size(-1)
    mean = (h * inside[..., None]).sum() / count
    variance = ((h - mean).square() * inside[..., None]).sum() / count
    return (h - mean) * torch.rsqrt(variance + EPSILON)
