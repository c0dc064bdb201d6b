"""RMS normalisation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polyseme.kernels import rms_norm as kernel
from polyseme.kernels.twins import faster


@faster(kernel.rms_norm, kernel.serves)
def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Divide vectors by their root mean square and scale them.

        y = w ⊙ x / √(mean(x²) + ε)

    Shapes:  x: (…, D).  weight: (D,), or more dimensions to the left -> the shape of x
    Source:  Zhang and Sennrich (2019), equation 4.
    """
    return F.rms_norm(x, (x.size(-1),), eps=eps) * weight


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
