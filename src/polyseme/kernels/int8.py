"""Weights as whole numbers of eight bits: a quarter of the memory, and of the time to read them.

    Ŵ[n, k] = s[n] · Q[n, k],  s[n] = max_k |W[n, k]| / 127,  Q = round(W / s)

One scale for each row of a matrix, that is for each output of a linear layer or each entry of a vocabulary. Norms,
biases and positions stay as they are. Where the processor multiplies whole numbers, the inputs of a product are
rounded, too, each row with a scale and a zero of its own, so that no text changes what another gives:

    y = s_x s_w (Q_w (Q_x - z)) + b,    Q_x = round(x / s_x) + z  in 0 … 255

Elsewhere they stay float32. Sums are exact in the first case, float32 in the second.

Source: Dettmers et al. (2022), LLM.int8(), section 2.1: "absmax" quantisation, vector-wise; the zero is that of
"zeropoint" quantisation, for what an activation lets through is nearly all of one sign.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import cache
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polyseme.core.compiled import compiles
from polyseme.kernels.packed import is_linear
from polyseme.kernels.twins import faster_at

T = TypeVar("T")

NEAR = 1 << 18
"""Numbers of a matrix that are made float32 at a time, and stay in a cache until they are multiplied."""


@cache
def rounds_inputs() -> bool:
    """Whether products are formed of whole numbers on both sides here."""
    if not compiles():
        return False
    from polyseme.kernels._tiles import WHOLE

    return WHOLE


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Rows as whole numbers and a scale each.

    Shapes:  weight: (N, K) -> (N, K) int8, (N,) float32
    """
    scale = weight.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / 127
    return (weight / scale[:, None]).round_().to(torch.int8), scale


def round_rows(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs as whole numbers from 0 to 255, and what each row's scale and zero are.

    Shapes:  x: (R, K) -> (R, K) uint8, (R, 1), (R, 1) float32
    """
    low, high = x.amin(1, keepdim=True).clamp_(max=0), x.amax(1, keepdim=True).clamp_(min=0)
    scale = ((high - low) / 255).clamp_(min=1e-30)
    zero = torch.floor(0.5 - low / scale)
    whole = torch.addcmul(zero + 0.5, x, 1 / scale).clamp_(0, 255)
    return whole.to(torch.uint8), scale, zero


def whole_numbers_serve(*_: Any) -> bool:
    """Whether the fast form of `whole_product` can be had: where its plain one is used."""
    return rounds_inputs()


@faster_at("polyseme.kernels.int8_kernels:whole_product", whole_numbers_serve)
def whole_product(x: Tensor, rounded: Tensor, scale: Tensor, sums: Tensor, bias: Tensor | None) -> Tensor:
    """s_x s_w (Q_w (Q_x - z)) + b: the middle by oneDNN, which reads the weights where they lie.

    Shapes:  x: (R, K) float32.  rounded: (N, K).  scale, sums, bias: (N,) -> (R, N)
    """
    whole, s, zero = round_rows(x)
    totals = torch._int_mm(whole, rounded.t()) - zero.int() * sums
    y = totals * (s * scale)
    return y if bias is None else y + bias


class _Rounded(nn.Module):
    """A matrix in eight bits.

    Attributes:
        rounded: (N, K) int8.
        scale: (N,) float32.
        sums: (N,) int32, of the rows of `rounded`.
    """

    rounded: Tensor
    scale: Tensor
    sums: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        rounded, scale = quantise(weight.detach())
        self.register_buffer("rounded", rounded)
        self.register_buffer("scale", scale)
        self.register_buffer("sums", rounded.sum(1, dtype=torch.int32))

    @property
    def weight(self) -> Tensor:
        """The matrix in float32, made when it is asked for: (N, K)"""
        return self.rounded * self.scale[:, None]

    def product(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """The layer without its activation, x Ŵᵀ + b.  Shapes: (…, K) -> (…, N)"""
        rows = x.reshape(-1, x.size(-1))
        if x.device.type == "cpu" and rounds_inputs() and len(rows):
            y = whole_product(rows.float(), self.rounded, self.scale, self.sums, bias).to(x.dtype)
        else:
            n = max(1, NEAR // x.size(-1))
            y = (
                torch.cat([F.linear(rows, part.to(x.dtype)) for part in torch.split(self.rounded, n)], 1)
                * self.scale
            )
            y = y if bias is None else y + bias
        return y.view(*x.shape[:-1], len(self.rounded))


class Int8Linear(_Rounded):
    """`nn.Linear`, or one with its activation, with rounded weights.  Shapes: (…, K) -> (…, N)"""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear.weight)
        self.in_features, self.out_features, self.bias = linear.in_features, linear.out_features, linear.bias
        self.act = getattr(linear, "act", None)

    def forward(self, x: Tensor) -> Tensor:
        y = self.product(x, self.bias)
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
