"""The fast form of a post-norm encoder's layers without gradients: tokens of many texts in one line, no padding.

    qkv = W x + b                       oneDNN, weights laid out once (kernels/packed.py)
    mixed = attention(qkv)              a text at a time (kernels/attention_kernels.py)
    h ← LayerNorm(h + W mixed + b)      one pass, which also writes h as the next product reads it
    u = act(W x + b)                    the activation in the product
    h ← LayerNorm(h + W u + b)

The stream h is float32 always. In bfloat16 everything that products read and write is; in int8 they read whole numbers
with a scale for every token, so that what a text gives does not depend on those beside it. An encoder whose blocks have
the names that `Layers` reads says so by `post_norm_encoder = True`; the plain form is the blocks themselves.
A process that stays, such as a server, calls `load_compiled`: little work is done by compiled code from then on, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from polyseme.core.compiled import compiles
from polyseme.core.types import Batch, Encoding, Keep
from polyseme.kernels.packed import FILLED, HALF, Bfloat16Linear, Int8Linear, PackedLinear, filled

NOTHING = np.empty(0, np.float32)

LEAST_WORK = 1 << 20
"""Numbers of the hidden states of all layers below which the blocks compute in float32, where both forms are alike: to
load compiled code takes a second or two, the first time ten."""

_loaded: list[bool] = []  # something in it: `load_compiled` was called


class Layers:
    """The layers of a post-norm encoder, prepared.

    Args:
        blocks: with linear layers that kernels/packed.py has prepared, all in one precision.
    """

    def __init__(self, blocks: nn.ModuleList) -> None:
        self._blocks: list[Any] = list(blocks)

    @staticmethod
    def serve(blocks: nn.ModuleList, h: Tensor) -> bool:
        """Whether there is a fast form of such blocks: prepared layers, heads that fit, work enough, and a compiler.

        Args:
            h: the embeddings.
        """
        first: Any = blocks[0] if len(blocks) else None
        return (
            first is not None
            and isinstance(first.query_key_value, PackedLinear | Int8Linear)
            and (
                type(first.query_key_value) is not PackedLinear
                or _loaded
                or h.numel() * len(blocks) >= LEAST_WORK
            )
            and first.attention_norm.normalized_shape[0] // first.heads <= 256
            and first.attention_norm.weight.dtype == torch.float32
            and not torch.is_grad_enabled()
            and compiles()
        )

    def run(self, h: Tensor, starts: np.ndarray[Any, Any], at: Tensor | None = None) -> Iterator[Tensor]:
        """Hidden states after every layer; the tensor is the same each time and is written over.

        Args:
            h: the embeddings, which are written over.
            starts: where each text begins, and the end of the last.
            at: the tokens at which the last layer is wanted; None = all.
        Shapes:  h: (N, d).  starts: (texts + 1,).  at: (P,) -> (N, d), and the last (P, d)
        """
        form = _FORMS[type(self._blocks[0].query_key_value)]()
        x = form.read(h)
        for number, block in enumerate(self._blocks):
            mixed = torch.empty(h.shape, dtype=form.between)
            form.attend(form.product(block.query_key_value, x), starts, block.heads, mixed)
            if at is not None and number == len(self._blocks) - 1:
                h, mixed = h.index_select(0, at), mixed.index_select(0, at)
            x = form.add_norm(h, form.product(block.attention_output, form.read(mixed)), block.attention_norm)
            u = form.activated(block.intermediate, x)
            x = form.add_norm(h, form.product(block.output, u), block.output_norm)
            yield h


def load_compiled(blocks: nn.ModuleList) -> None:
    """Load the compiled code by doing a little with it, and use it for little work, too, as long as the process lasts.

    Args:
        blocks: any that `Layers` can run.
    """
    if compiles():
        first: Any = blocks[0]
        with torch.inference_mode():
            h = torch.zeros(FILLED[0], first.attention_norm.normalized_shape[0])
            for _ in Layers(blocks).run(h, np.array([0, len(h)])):
                pass
        _loaded.append(True)


def drops_padding(encoder: object) -> bool:
    """Whether an encoder whose layers are prepared reads no padding, since `load_compiled` was called."""
    return bool(_loaded) and bool(getattr(encoder, "post_norm_encoder", False))


def fast_encoding(blocks: nn.ModuleList, h: Tensor, batch: Batch, keep: Keep, at: Tensor | None) -> Encoding:
    """Hidden states of a batch by `Layers`, as an encoder's `encode` gives them; those of padding are 0.

    Args:
        h: the embeddings, (B, T, d).
    """
    shape, flat = h.shape, h.reshape(-1, h.size(-1))
    segment = batch.segment
    begins = torch.ones_like(segment, dtype=torch.bool)
    begins[:, 1:] = segment[:, 1:] != segment[:, :-1]
    real = (segment != 0).reshape(-1) if batch.packed else None
    begins = begins.reshape(-1)
    places = at if keep == "last" else None
    if real is not None:
        kept = real.nonzero()[:, 0]
        flat, begins = flat.index_select(0, kept), begins[kept]
        if places is not None:
            places = (real.cumsum(0) - 1).clamp_(min=0)[places]
    else:
        flat = flat.clone()
    n = len(flat)
    flat = filled(flat)  # once here and not before every product; what is added is a text by itself

    def whole(x: Tensor) -> Tensor:
        if real is None:
            return x[:n].clone().view(shape)
        return x.new_zeros(len(real), x.size(1)).index_copy_(0, kept, x[:n]).view(shape)

    ends = [n] if len(flat) == n else [n, len(flat)]
    starts = torch.cat([begins.nonzero()[:, 0], torch.tensor(ends)]).numpy()
    layers = [whole(flat)] if keep == "all" else []
    for last in Layers(blocks).run(flat, starts, places):
        if keep == "all":
            layers.append(whole(last))
    if keep == "last":
        layers = [last if places is not None else whole(last)]
    return Encoding(tuple(layers), positions=None if places is None else at)


def _array(x: Tensor) -> Any:
    """The same memory for compiled code; bfloat16 as its bits."""
    return (x.view(torch.uint16) if x.dtype == torch.bfloat16 else x).numpy()


_Product = tuple[Tensor, Any, Any]
"""What a product gave, and the scales of its rows and the bias that it still lacks."""


class _Float32:
    between = torch.float32

    def read(self, x: Tensor) -> Any:
        return x

    def product(self, linear: Any, x: Any) -> _Product:
        return linear(x), NOTHING, NOTHING

    def activated(self, linear: Any, x: Any) -> Any:
        return linear(x)

    def attend(self, qkv: _Product, starts: Any, heads: int, mixed: Tensor) -> None:
        from polyseme.kernels.attention_kernels import attend_texts

        attend_texts(_array(qkv[0]), qkv[1], qkv[2], starts, heads, _array(mixed))

    def add_norm(self, h: Tensor, y: _Product, norm: nn.LayerNorm) -> Any:
        from polyseme.kernels.post_norm_kernels import add_norm

        add_norm(h.numpy(), _array(y[0]), y[1], y[2], *_norm(norm))
        return h


class _Bfloat16(_Float32):
    between = torch.bfloat16

    def read(self, x: Tensor) -> Any:
        return x.to(torch.bfloat16)

    def attend(self, qkv: _Product, starts: Any, heads: int, mixed: Tensor) -> None:
        if _on_matrix_unit(mixed, heads):
            from polyseme.kernels.attention_matrix import attend_texts

            attend_texts(_array(qkv[0]), starts, heads, _array(mixed))
        else:
            super().attend(qkv, starts, heads, mixed)

    def add_norm(self, h: Tensor, y: _Product, norm: nn.LayerNorm) -> Any:
        from polyseme.kernels.post_norm_kernels import add_norm_narrow

        x = torch.empty(h.shape, dtype=torch.bfloat16)
        add_norm_narrow(h.numpy(), _array(y[0]), y[1], y[2], *_norm(norm), _array(x))
        return x


class _Int8(_Float32):
    """Rows are (whole numbers, the scale of each, by how much every number is too large)."""

    def read(self, x: Tensor) -> Any:
        return *round_rows(x, HALF), 0.0

    def product(self, linear: Any, x: Any) -> _Product:
        whole, scales, shift = x
        bias = linear.shift(shift)
        return linear.raw(whole, 0 if shift else HALF + 1), scales.numpy(), bias.numpy()

    def attend(self, qkv: _Product, starts: Any, heads: int, mixed: Tensor) -> None:
        if _on_matrix_unit(mixed, heads):
            from polyseme.kernels.attention_matrix import attend_texts
            from polyseme.kernels.post_norm_kernels import finish_narrow

            narrow = torch.empty(qkv[0].shape, dtype=torch.bfloat16)
            finish_narrow(_array(qkv[0]), qkv[1], qkv[2], _array(narrow))
            attend_texts(_array(narrow), starts, heads, _array(mixed))
        else:
            super().attend(qkv, starts, heads, mixed)

    def activated(self, linear: Any, x: Any) -> Any:
        curve = curve_of(linear.activation)
        y, scales, bias = self.product(linear, x)
        if curve is None:
            whole = y.mul_(torch.from_numpy(scales)[:, None]).add_(torch.from_numpy(bias))
            return self.read(linear.act(whole))
        from polyseme.kernels.post_norm_kernels import curve_round

        out, out_scales = torch.empty(y.shape, dtype=torch.uint8), torch.empty(len(y))
        curve_round(y.numpy(), scales, bias, curve, LEAST, 2 * HALF + 1, out.numpy(), out_scales.numpy())
        return out, out_scales, LEAST

    def add_norm(self, h: Tensor, y: _Product, norm: nn.LayerNorm) -> Any:
        from polyseme.kernels.post_norm_kernels import add_norm_round

        out, scales = torch.empty(h.shape, dtype=torch.uint8), torch.empty(len(h))
        add_norm_round(h.numpy(), _array(y[0]), y[1], y[2], *_norm(norm), HALF, out.numpy(), scales.numpy())
        return out, scales, 0.0


def _on_matrix_unit(mixed: Tensor, heads: int) -> bool:
    from polyseme.kernels._matrix_tiles import matrix_unit

    return matrix_unit() and mixed.size(1) // heads <= 128


LEAST = np.float32(0.1701)
"""No gelu is less than minus this."""
_EDGE = 4.0


@lru_cache
def curve_of(activation: str | None) -> Any:
    """What `curve_round` takes for an activation x Φ(x), or None where it is none of these.

    P is fitted where P(x²) x² counts most; x Φ(x) is met within 2e-4, a sixtieth of what rounding to 8 bits moves it.
    """
    if activation not in ("gelu", "gelu_new", "gelu_pytorch_tanh"):
        return None
    x = np.sqrt(np.linspace(1e-6, _EDGE**2, 4000))
    approximate = "none" if activation == "gelu" else "tanh"
    y = nn.functional.gelu(torch.from_numpy(x), approximate=approximate).numpy()
    powers = np.polynomial.Chebyshev.fit(x**2, (y / x - 0.5) / x, 7, w=x**2 + 0.1).convert(
        kind=np.polynomial.Polynomial
    )
    return np.array([_EDGE, *powers.coef[::-1]], np.float32)


def round_rows(x: Tensor, half: int) -> tuple[Tensor, Tensor]:
    """As kernels/packed.py's.  Shapes: (N, d) -> (N, d) uint8, (N,)"""
    from polyseme.kernels import post_norm_kernels as kernels

    whole, scales = torch.empty(x.shape, dtype=torch.uint8), torch.empty(len(x))
    kernels.round_rows(x.contiguous().numpy(), half, whole.numpy(), scales.numpy())
    return whole, scales


def _norm(norm: nn.LayerNorm) -> tuple[Any, Any, np.float32]:
    return norm.weight.detach().numpy(), norm.bias.detach().numpy(), np.float32(norm.eps)


_FORMS: dict[type, type[_Float32]] = {PackedLinear: _Float32, Bfloat16Linear: _Bfloat16, Int8Linear: _Int8}
