"""Dropout: sixteen random bits decide about a number.

    dropout(x) = x ∘ keep / (1 - p),    keep ~ Bernoulli(1 - p) for every number

torch draws a float for every number, which at the sizes of small encoders takes a tenth of a fine-tuning step. Here
four decisions come from one random word of 64 bits.

Source: Srivastava et al. (2014), section 4, in the form that scales while training. Departures: p is rounded to a
multiple of 2⁻¹⁶ (0.1 to 0.1000061), and what is kept is scaled by the rounded one, so the mean is exact.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEVELS = 1 << 16


def drawn(shape: torch.Size | tuple[int, ...], p: float) -> tuple[Tensor, float]:
    """Which numbers are dropped, and what the others are multiplied by; from torch's generator of CPUs.

    Shapes:  -> (shape) boolean
    """
    n = torch.Size(shape).numel()
    level = min(LEVELS - 1, round(p * LEVELS))
    words = torch.empty((n + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    bits = words.view(torch.int16)[:n].view(shape)
    return bits < level - LEVELS // 2, LEVELS / (LEVELS - level)


def drop(x: Tensor, dropped: Tensor, scale: float) -> Tensor:
    """Zeros where numbers are dropped, the others scaled; `dropped` is written over.

    One product keeps less for the way back than a mask that fills.

    Shapes:  of any shape, the same for both
    """
    return x * dropped.logical_not_().to(x.dtype).mul_(scale)


class Dropout(nn.Module):
    """Drops each number with probability p while training; on other devices than CPUs by torch.

    Args:
        p: share that is dropped, 0 ≤ p < 1.
    Shapes:  of any shape -> the same
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return x
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return nn.functional.dropout(x, self.p)
        return drop(x, *drawn(x.shape, self.p))

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"p={self.p}"
