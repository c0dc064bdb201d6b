"""Linear layers prepared for use without gradients: weights laid out once for the matrix kernels of this CPU.

    PackedLinear    y = act(W x + b), W in oneDNN's own order, the activation joined with the product
    Bfloat16Linear  the same in bfloat16
    Int8Linear      y ≈ W x + b, whole numbers of 8 bits: W with a scale per output, x with a scale per row

They stand in for an nn.Linear of the same weights, or one with its activation (`prepare`): they keep its `weight` and
`bias` for those who read them, and have no gradient. `F.linear` reorders the weights at every call; at the widths of
small encoders that is a large part of the time (docs/LOG.md).

Source: Dettmers et al. (2022), section 2.1, for whole numbers with a scale per row on both sides.
"""

from __future__ import annotations

import copy
from typing import Any, Literal, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polyseme.core.compiled import compiles
from polyseme.core.pauses import check
from polyseme.errors import ConfigError
from polyseme.kernels.twins import faster_at

__all__ = [
    "FILLED",
    "Bfloat16Linear",
    "Int8Linear",
    "PackedLinear",
    "Precision",
    "can_pack",
    "filled",
    "prepare",
]

Precision = Literal["float32", "bfloat16", "int8"]

ROWS = 1024
"""Tokens of a typical batch; oneDNN may choose another order of the weights for other sizes, and any is right."""

FILLED = 8, 32
"""Rows of a product are made a multiple of these, of the first where they are few: for every new number of rows oneDNN
writes code, which takes milliseconds and half a megabyte that it keeps (docs/LOG.md)."""
FEW = 128


def can_pack(tensor: Tensor) -> bool:
    """Whether this build of torch can lay out this weight."""
    return (
        tensor.device.type == "cpu"
        and tensor.dtype in (torch.float32, torch.bfloat16)
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    )


_FUSED = {
    "gelu": ("gelu", "none"),
    "gelu_new": ("gelu", "tanh"),
    "gelu_pytorch_tanh": ("gelu", "tanh"),
    "relu": ("relu", ""),
}
"""What oneDNN calls the activations that it computes right behind a product: (name, algorithm)."""


class _Prepared(nn.Module):
    """The weights of a linear layer, shared, and what follows it: fused with the product, or after it."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias
        fused = _FUSED.get(getattr(linear, "activation", ""))
        self._name, self._algorithm = fused or ("none", "")
        self._then = None if fused else getattr(linear, "act", None)

    def forward(self, x: Tensor) -> Tensor:
        if not x.numel():
            return x.new_zeros(*x.shape[:-1], len(self.weight))
        check()
        rows = x.reshape(-1, x.size(-1))
        y = self._product(filled(rows))[: len(rows)].view(*x.shape[:-1], -1)
        return y if self._then is None else self._then(y)

    def _product(self, x: Tensor) -> Tensor:
        raise NotImplementedError


def filled(rows: Tensor) -> Tensor:
    """Rows with zeros behind them up to a number that others have, too.  Shapes: (N, d) -> (N', d)"""
    missing = -len(rows) % FILLED[len(rows) > FEW]
    return F.pad(rows, (0, 0, 0, missing)) if missing else rows


class PackedLinear(_Prepared):
    """An nn.Linear, and the activation behind it, as one product with weights that are laid out once.

        y = act(W x + b)

    Args:
        linear: whose weights; they are shared, and the packed copy stays as it is when they change.
    Shapes:  (…, in) -> (…, out)
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        with torch.no_grad():
            self._packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), ROWS)

    def _product(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(  # type: ignore[no-any-return]
            x, self._packed, self.bias, self._name, [], self._algorithm
        )


class Bfloat16Linear(PackedLinear):
    """The same in bfloat16: the input is rounded, the product is summed in float32, the output rounded again.

    Shapes:  (…, in) -> (…, out), of the input's type
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        with torch.no_grad():
            weight = linear.weight.detach().bfloat16()
            self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)
            bias: Tensor | None = linear.bias  # torch's type leaves out that there may be none
            self._bias = None if bias is None else bias.detach().bfloat16()

    def _product(self, x: Tensor) -> Tensor:
        y = torch.ops.mkldnn._linear_pointwise(
            x.bfloat16(), self._packed, self._bias, self._name, [], self._algorithm
        )
        return y.to(x.dtype)  # type: ignore[no-any-return]


class Int8Linear(_Prepared):
    """An nn.Linear in whole numbers of 8 bits, both sides: weights once, inputs while they are computed.

        y = s_x s_w W₈ (x₈ - z) + b,    W₈ = round(W / s_w),    x₈ = round(x / s_x) + z

    A scale s_w for every output and a scale s_x for every row of x, so that a text's vector does not depend on the
    texts beside it. Products are summed in 32 bits by oneDNN, which also takes off what z adds, s_w W₈ z.

    Args:
        linear: whose weights; they are shared, and the 8-bit copy stays as it is when they change.
    Shapes:  (…, in) -> (…, out)
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        weight = linear.weight.detach().float()
        self.activation: str | None = getattr(linear, "activation", None)
        self.act = self._then = getattr(linear, "act", None)  # not fused: it needs the row's scale first
        self._scale = weight.abs().amax(1).clamp_min_(1e-12) / 127
        self._zero = torch.zeros(len(weight), dtype=torch.long)
        bias: Tensor | None = linear.bias  # torch's type leaves out that there may be none
        self._bias = weight.new_zeros(len(weight)) if bias is None else bias.detach().float()
        whole = (weight / self._scale[:, None]).round_().to(torch.int8)
        self._sums = self._scale * whole.sum(1)
        self._packed = torch.ops.onednn.qlinear_prepack(whole, [ROWS, weight.size(1)])

    def raw(self, whole: Tensor, zero: int) -> Tensor:
        """The product without the rows' scales and the bias.  Shapes: (N, in) uint8 -> (N, out) float32"""
        check()
        off = None if zero == 0 else -zero * self._sums
        y: Tensor = torch.ops.onednn.qlinear_pointwise(
            filled(whole),
            1.0,
            0,
            self._packed,
            self._scale,
            self._zero,
            off,
            1.0,
            0,
            torch.float32,
            "none",
            [],
            "",
        )
        return y[: len(whole)]

    def shift(self, less: float) -> Tensor:
        """The bias, where every input is larger by `less` than it should be.  Shapes: -> (out,)"""
        return self._bias - less * self._sums

    def _product(self, x: Tensor) -> Tensor:
        whole, scales = round_rows(x.float(), HALF)
        return self.raw(whole, HALF + 1).mul_(scales[:, None]).add_(self._bias).to(x.dtype)


HALF = 127 if torch.cpu._is_vnni_supported() else 63
"""Without VNNI pairs of products are summed in 16 bits, which 8 bits of the input would leave."""


@faster_at("polyseme.kernels.post_norm:round_rows", lambda *_: compiles())
def round_rows(x: Tensor, half: int) -> tuple[Tensor, Tensor]:
    """Every row in whole numbers, 1 … 2 half + 1 around half + 1, and its scale.

    Shapes:  (N, d) -> (N, d) uint8, (N,)
    """
    scales = x.abs().amax(1).clamp_min_(1e-30) / half
    return (x / scales[:, None] + (half + 1.5)).to(torch.uint8), scales


def prepare(module: nn.Module, precision: Precision = "float32") -> nn.Module:
    """A twin of a module whose linear layers are packed; everything else, weights too, is shared.

    Args:
        module: in evaluation mode; it is not changed.
        precision: of the products.
    Returns the module itself where there is nothing to gain.
    Raises:  ConfigError: no such precision, or this build of torch has no kernels for it.
    """
    if precision not in _KINDS:
        raise ConfigError("no such precision", got=repr(precision), expected=", ".join(_KINDS))
    first = next((m.weight for m in module.modules() if isinstance(m, nn.Linear)), None)
    if first is None or not can_pack(first):
        if first is not None and precision != "float32":
            raise ConfigError(
                f"no {precision} products here",
                got=f"torch {torch.__version__} on {first.device.type}, weights of {first.dtype}",
                fix="leave the precision out: float32",
            )
        return module
    if precision == "int8" and not hasattr(torch.ops.onednn, "qlinear_pointwise"):
        raise ConfigError("this build of torch has no int8 products", fix="leave the precision out: float32")
    make: Any = _KINDS[precision]
    memo: dict[int, Any] = {id(t): t for t in (*module.parameters(), *module.buffers())}
    twin = copy.deepcopy(module, memo)
    for owner in list(twin.modules()):
        for name, child in list(owner.named_children()):
            if is_linear(child):
                setattr(owner, name, make(child))
    return twin


def is_linear(module: nn.Module) -> TypeGuard[nn.Linear]:
    """Whether a module is W x + b, or that with an activation: a class of somebody else's may compute another thing."""
    return type(module) is nn.Linear or (
        isinstance(module, nn.Linear) and isinstance(getattr(module, "activation", None), str)
    )


_KINDS = {"float32": PackedLinear, "bfloat16": Bfloat16Linear, "int8": Int8Linear}
