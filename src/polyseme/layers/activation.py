"""Activations by the names that config.json uses."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from polyseme.core.config import suggest
from polyseme.errors import ConfigError

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


_JOINED = {
    "gelu": ("gelu", "none"),
    "gelu_new": ("gelu", "tanh"),
    "gelu_pytorch_tanh": ("gelu", "tanh"),
    "relu": ("relu", ""),
}


def joinable(function: Callable[[Tensor], Tensor]) -> tuple[str, str] | None:
    """What oneDNN calls this function where it can compute it right behind a product: (name, algorithm), or None."""
    return next(
        (_JOINED[name] for name, known in _ACTIVATIONS.items() if known is function and name in _JOINED), None
    )
