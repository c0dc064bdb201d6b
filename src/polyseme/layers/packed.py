"""Linear layers prepared for use without gradients: weights laid out once for the matrix kernels of this CPU.

    PackedLinear    y = act(W x + b), float32 or bfloat16, W in oneDNN's own order, the activation joined with the product
    Int8Linear      y ≈ W x + b, W as whole numbers of 8 bits with a scale per output, x likewise while it is computed

Both stand in for an nn.Linear of the same weights (`prepare`): they keep its `weight` and `bias`, so whoever reads those
finds them, and have no gradient. `F.linear` reorders the weights at every call; at the widths of small encoders that
is a large part of the time (docs/LOG.md).

Source: Dettmers et al. (2022), section 2.1, for whole numbers with a scale per row (there without a zero point).
"""

from __future__ import annotations

import copy
from typing import Any, Literal

import torch
from torch import Tensor, nn

from polyseme.errors import ConfigError
from polyseme.layers.activation import joinable

__all__ = ["Int8Linear", "PackedLinear", "Precision", "can_pack", "prepare"]

Precision = Literal["float32", "bfloat16", "int8"]

ROWS = 1024
"""Tokens of a typical batch; oneDNN may choose another order of the weights for other sizes, and any is right."""


def can_pack(tensor: Tensor) -> bool:
    """Whether this build of torch can lay out this weight."""
    return (
        tensor.device.type == "cpu"
        and tensor.dtype in (torch.float32, torch.bfloat16)
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    )


class PackedLinear(nn.Module):
    """An nn.Linear, and the activation behind it, as one product with weights that are laid out once.

        y = act(W x + b)

    Args:
        linear: whose weights; they are shared, and the packed copy stays as it is when they change.
        then: what follows: (name, algorithm) of oneDNN's, from `joinable`; None = nothing.
    Shapes:  (…, in) -> (…, out)
    """

    def __init__(self, linear: nn.Linear, then: tuple[str, str] | None = None) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias
        self._name, self._algorithm = then or ("none", "")
        with torch.no_grad():
            self._packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), ROWS)

    def forward(self, x: Tensor) -> Tensor:
        if not x.numel():
            return x.new_zeros(*x.shape[:-1], len(self.weight))
        return torch.ops.mkldnn._linear_pointwise(  # type: ignore[no-any-return]
            x, self._packed, self.bias, self._name, [], self._algorithm
        )


class Bfloat16Linear(PackedLinear):
    """The same in bfloat16: the input is rounded, the product is summed in float32, the output rounded again.

    Shapes:  (…, in) -> (…, out), of the input's type
    """

    def __init__(self, linear: nn.Linear, then: tuple[str, str] | None = None) -> None:
        super().__init__(linear, then)
        with torch.no_grad():
            weight = linear.weight.detach().bfloat16()
            self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)
            self._bias = None if linear.bias is None else linear.bias.detach().bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        if not x.numel():
            return x.new_zeros(*x.shape[:-1], len(self.weight))
        y = torch.ops.mkldnn._linear_pointwise(
            x.bfloat16(), self._packed, self._bias, self._name, [], self._algorithm
        )
        return y.to(x.dtype)  # type: ignore[no-any-return]


class Int8Linear(nn.Module):
    """To be measured."""


def prepare(module: nn.Module, precision: Precision = "float32") -> nn.Module:
    """A twin of a module whose linear layers are packed; everything else, weights too, is shared.

    A module in it that passes the output of a linear layer through an activation, and nothing else, may say so:
    `joined = (("intermediate", "act"),)`, names of its attributes. Both then become one product.

    Args:
        module: in evaluation mode; it is not changed.
        precision: of the products.
    Returns the module itself where there is nothing to gain.
    Raises:  ConfigError: this build of torch has no kernels for that precision.
    """
    some = next((m.weight for m in module.modules() if type(m) is nn.Linear), None)
    if some is None or not can_pack(some):
        if some is not None and precision != "float32":
            raise ConfigError(
                f"no {precision} products here",
                got=f"torch {torch.__version__} on {some.device.type}, weights of {some.dtype}",
                fix="leave the precision out: float32",
            )
        return module
    make = {"float32": PackedLinear, "bfloat16": Bfloat16Linear, "int8": Int8Linear}[precision]
    memo: dict[int, Any] = {id(t): t for t in (*module.parameters(), *module.buffers())}
    twin = copy.deepcopy(module, memo)
    for owner in list(twin.modules()):
        joined = dict(getattr(owner, "joined", ()))
        for name, child in list(owner.named_children()):
            if type(child) is not nn.Linear:
                continue
            then = joinable(getattr(owner, joined[name])) if name in joined else None
            setattr(owner, name, make(child, then))
            if then is not None:
                setattr(owner, joined[name], _same)
    return twin


def _same(x: Tensor) -> Tensor:
    return x
