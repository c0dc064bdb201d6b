"""Activations by the names that config.json uses, and a linear layer with one behind it."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from polyseme.core.config import suggest
from polyseme.errors import ConfigError
from polyseme.kernels import gated as kernel
from polyseme.kernels.twins import faster
from polyseme.layers.linear import Linear

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
}


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The activation function that config.json calls by this name.

    Raises:  ConfigError: no such name; it lists the known ones.
    """
    if name not in _ACTIVATIONS:
        raise ConfigError(f"unknown activation {name!r}", fix=suggest(name, _ACTIVATIONS))
    return _ACTIVATIONS[name]


@faster(kernel.gated, kernel.serves)
def gated(x: Tensor, name: str) -> Tensor:
    """A gated linear unit: act(u) ⊙ g, where u and g are the halves of x.

    Args:
        name: the activation's in config.json.
    Shapes:  (…, 2 m) -> (…, m)
    Source:  Shazeer (2020), equation 5.
    """
    u, gate = x.chunk(2, dim=-1)
    return activation(name)(u) * gate


class ActivatedLinear(Linear):
    """A linear layer whose output goes through an activation and nowhere else: act(W x + b).

    Prepared for use without gradients (kernels/packed.py) the two are one operation.

    Args:
        activation: its name in config.json.
    Shapes:  (…, in_features) -> (…, out_features)
    """

    def __init__(self, in_features: int, out_features: int, activation: str) -> None:
        super().__init__(in_features, out_features)
        self.activation, self.act = activation, _ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        return self.act(super().forward(x))
