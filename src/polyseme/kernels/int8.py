"""Weights as whole numbers of eight bits: a quarter of the memory, and of the time to read them.

    Ŵ[n, k] = s[n] · Q[n, k],  s[n] = max_k |W[n, k]| / 127,  Q = round(W / s)

One scale for each row of a matrix, that is for each output of a linear layer or each entry of a vocabulary. Only
weights are rounded; inputs, products and sums stay float32. Norms, biases and positions stay as they are.

Source: Dettmers et al. (2022), LLM.int8(), section 2.1: "absmax" quantisation, vector-wise; here of weights alone.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polyseme.kernels.packed import is_linear

T = TypeVar("T")


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Rows as whole numbers and a scale each.

    Shapes:  weight: (N, K) -> (N, K) int8, (N,) float32
    """
    scale = weight.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / 127
    return (weight / scale[:, None]).round_().to(torch.int8), scale


class _Rounded(nn.Module):
    """A matrix in eight bits.

    Attributes:
        rounded: (N, K) int8.
        scale: (N,) float32.
    """

    rounded: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        rounded, scale = quantise(weight.detach())
        self.register_buffer("rounded", rounded)
        self.register_buffer("scale", scale)

    @property
    def weight(self) -> Tensor:
        """The matrix in float32, made when it is asked for: (N, K)"""
        return self.rounded * self.scale[:, None]


class Int8Linear(_Rounded):
    """`nn.Linear`, or one with its activation, with rounded weights.  Shapes: (…, K) -> (…, N)"""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear.weight)
        self.in_features, self.out_features, self.bias = linear.in_features, linear.out_features, linear.bias
        self.act = getattr(linear, "act", None)

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(x, self.weight, self.bias)
        return y if self.act is None else self.act(y)


class Int8Embedding(_Rounded):
    """`nn.Embedding` with rounded weights.  Shapes: (…) -> (…, K)"""

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__(embedding.weight)
        self.num_embeddings, self.embedding_dim = embedding.num_embeddings, embedding.embedding_dim

    def forward(self, ids: Tensor) -> Tensor:
        return self.rounded[ids] * self.scale[ids][..., None]


def in_int8(modules: T, embeddings: Iterable[nn.Embedding]) -> T:
    """Modules with the weights of all linear layers and of these embeddings rounded.

    Args:
        modules: a module, or any structure of them; what they share, they share in the copy, too.
        embeddings: of the modules' own.
    Returns a copy; parameters that are not rounded are shared with the original, which does not change.
    """
    memo: dict[int, Any] = {}
    for embedding in embeddings:
        memo[id(embedding)] = Int8Embedding(embedding)
    for module in _modules(modules):
        memo |= {id(p): p for p in module.parameters(recurse=False)}
        if is_linear(module):
            memo[id(module)] = Int8Linear(module)
    return copy.deepcopy(modules, memo)


def _modules(structure: Any) -> Iterable[nn.Module]:
    if isinstance(structure, nn.Module):
        yield from structure.modules()
    elif isinstance(structure, dict):
        for part in structure.values():
            yield from _modules(part)
    elif isinstance(structure, (list, tuple)):
        for part in structure:
            yield from _modules(part)
