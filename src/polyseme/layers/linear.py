"""Linear layers, whose float32 products go through the library that is faster here.

Source: of the choice: kernels/products.py, docs/decisions/0040.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polyseme.kernels import products as kernel
from polyseme.kernels.twins import faster


@faster(kernel.linear, kernel.serves)
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """One product of matrices: y = x Wᵀ + b.  Shapes: x: (…, in).  weight: (out, in).  bias: (out,) -> (…, out)"""
    return F.linear(x, weight, bias)


class Linear(nn.Linear):
    """torch's linear layer with `linear` for its product.

    Attributes:
        activation: of those that have one, its name in config.json; see kernels/packed.py.
    Shapes:  (…, in_features) -> (…, out_features)
    """

    activation = ""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def narrowed(h: Tensor) -> Tensor:
    """The hidden states that enter the first block, in the number format of the products where autocast says so.

    Sums and norms give the format that they are given. So what passes from layer to layer and back is half as large,
    and no product has to convert its input or its gradient; inside a norm everything is float32. On other devices than
    CPUs, autocast's norms give float32 whatever comes, and nothing is changed.

    Shapes:  of any shape -> the same
    """
    if h.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        return h.to(torch.get_autocast_dtype("cpu"))
    return h
