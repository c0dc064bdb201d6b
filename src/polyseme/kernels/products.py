"""float32 products of matrices through oneDNN where this machine's other library, which torch takes, is slower.

    y = x Wᵀ + b,    dL/dx = g W,    dL/dW = gᵀ x,    dL/db = Σ g

torch hands float32 products to MKL, which on processors of other makers takes a path for AVX2: half of what the core
can do. oneDNN, which torch brings as well and takes for bfloat16, has no such preference. Which of the two is faster is
measured, once in a process; names of processors decide nothing. Both round differently in the last digits, so a run
keeps its choice (`train.products`), and POLYSEME_PRODUCTS=torch or onednn settles it everywhere.

layers/linear.py has the plain form.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from polyseme.errors import ConfigError

__all__ = ["Library", "Products", "Rates", "library", "linear", "measured", "serves", "through"]

Library = Literal["torch", "onednn"]
Products = Literal["auto", "torch", "onednn"]

VARIABLE = "POLYSEME_PRODUCTS"
LEAST_GAIN = 1.2
"""oneDNN must be so many times as fast: machines where the two are level keep torch's, whatever the hour."""
FEWEST_ROWS = 32
"""With fewer rows oneDNN's putting the weights in order takes longer than the product."""

_ROWS, _IN, _OUT = 512, 256, 1024
_TRIES = 6
_through: list[Library] = []


@dataclass(frozen=True)
class Rates:
    """What was measured: 10⁹ operations a second of a linear layer, its way forward and both ways back.

    Args:
        torch, onednn: through either library; 0 where this build of torch has no oneDNN.
        threads: with so many threads.
    """

    torch: float
    onednn: float
    threads: int

    @property
    def faster(self) -> Library:
        """The one to use."""
        return "onednn" if self.onednn > LEAST_GAIN * self.torch else "torch"


def measured() -> Rates:
    """Both rates on this machine with the present number of threads; the first call takes some 50 ms."""
    return _measured(torch.get_num_threads())


@cache
def _measured(threads: int) -> Rates:
    if not available():
        return Rates(_rate(_Torch), 0.0, threads)
    rates = {"torch": 0.0, "onednn": 0.0}
    for _ in range(2):  # in turn: other work on the machine must not decide
        for name, form in (("torch", _Torch), ("onednn", _OneDnn)):
            rates[name] = max(rates[name], _rate(form))
    return Rates(threads=threads, **rates)


def _rate(form: Any) -> float:
    """The best of some tries, in 10⁹ operations a second."""
    x, weight, g = torch.ones(_ROWS, _IN), torch.ones(_OUT, _IN), torch.ones(_ROWS, _OUT)
    best = float("inf")
    with torch.no_grad():
        for _ in range(_TRIES):
            start = time.perf_counter()
            form.outputs(x, weight, None)
            form.to_inputs(g, weight)
            form.to_weights(g, x)
            best = min(best, time.perf_counter() - start)
    return 3 * 2 * _ROWS * _IN * _OUT / best / 1e9


@cache
def available() -> bool:
    """Whether this build of torch has oneDNN's products."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")  # type: ignore[no-untyped-call]


def chosen(products: Products = "auto") -> Library:
    """The library for "auto", "torch" or "onednn".

    POLYSEME_PRODUCTS decides about "auto"; without it the measurement does.

    Raises:  ConfigError: no such library, or oneDNN is asked for where this build of torch has none.
    """
    named = products if products != "auto" else os.environ.get(VARIABLE) or "auto"
    if named not in get_args(Products):
        raise ConfigError(
            "no such library of products", got=f"{VARIABLE}={named}", expected=", ".join(get_args(Products))
        )
    if named == "onednn" and not available():
        raise ConfigError(
            "this build of torch has no oneDNN", got=f"torch {torch.__version__}", fix="train.products=torch"
        )
    if named == "auto":
        return measured().faster
    return "onednn" if named == "onednn" else "torch"


def library() -> Library:
    """The library that float32 products go through now."""
    return _through[-1] if _through else chosen()


@contextmanager
def through(products: Products) -> Iterator[None]:
    """Compute what begins in here through this library, as `chosen` understands it."""
    _through.append(chosen(products))
    try:
        yield
    finally:
        _through.pop()


def serves(x: Tensor, weight: Tensor, *_: Any) -> bool:
    """Whether there is a choice: float32 on CPUs, rows enough, no program that is exported or compiled."""
    return (
        x.dtype == torch.float32 == weight.dtype
        and x.device.type == "cpu"
        and x.numel() >= FEWEST_ROWS * x.size(-1)
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch.compiler.is_exporting()
        and library() == "onednn"
    )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """As layers/linear.py's, by oneDNN.  Shapes: x: (…, in).  weight: (out, in).  bias: (out,) -> (…, out)"""
    return _Linear.apply(x, weight, bias)  # type: ignore[no-any-return, no-untyped-call]


class _Torch:
    """The products as torch computes them."""

    @staticmethod
    def outputs(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """X Wᵀ + b.  Shapes: (n, in), (out, in) -> (n, out)"""
        return F.linear(x, weight, bias)

    @staticmethod
    def to_inputs(g: Tensor, weight: Tensor) -> Tensor:
        """G W.  Shapes: (n, out), (out, in) -> (n, in)"""
        return torch.mm(g, weight)

    @staticmethod
    def to_weights(g: Tensor, x: Tensor) -> Tensor:
        """gᵀ x.  Shapes: (n, out), (n, in) -> (out, in)"""
        return torch.mm(g.t(), x)

    @staticmethod
    def add_to_weights(total: Tensor | None, g: Tensor, x: Tensor) -> Tensor:
        """A sum in float32, which may be written over, and gᵀ x; None is 0.  Shapes: total: (out, in)"""
        if total is None:
            return torch.mm(g.t(), x).float()
        return total.addmm_(g.t(), x) if g.dtype == total.dtype else total.add_(torch.mm(g.t(), x))


class _OneDnn:
    """The same by oneDNN."""

    @staticmethod
    def outputs(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return product(x, weight, bias)

    @staticmethod
    def to_inputs(g: Tensor, weight: Tensor) -> Tensor:
        return product(g, weight.t())

    @staticmethod
    def to_weights(g: Tensor, x: Tensor) -> Tensor:
        # the first of a product is copied where it lies turned: the smaller one is
        return product(g.t(), x.t()) if g.size(1) <= x.size(1) else product(x.t(), g.t()).t()

    @staticmethod
    def add_to_weights(total: Tensor | None, g: Tensor, x: Tensor) -> Tensor:
        if total is None:
            return _OneDnn.to_weights(g, x).contiguous()
        return torch.ops.mkldnn._linear_pointwise.binary(  # type: ignore[no-any-return]
            g.t(), total, x.t(), None, "add"
        )


def product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """A bᵀ + bias.  Shapes: (n, k), (m, k) -> (n, m)"""
    return torch.ops.mkldnn._linear_pointwise(a, b, bias, "none", [], "")  # type: ignore[no-any-return]


def products_of(x: Tensor, weight: Tensor) -> type[_Torch] | type[_OneDnn]:
    """The products of these two, for gradients that are written out."""
    return _OneDnn if serves(x, weight) else _Torch


class _Linear(torch.autograd.Function):
    """Three products; see this file's head."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        return _OneDnn.outputs(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        g = grads[0].reshape(-1, weight.size(0))
        to_x = _OneDnn.to_inputs(g, weight).view(x.shape) if ctx.needs_input_grad[0] else None
        to_weight = _OneDnn.to_weights(g, x.reshape(-1, x.size(-1))) if ctx.needs_input_grad[1] else None
        return to_x, to_weight, g.sum(0) if ctx.has_bias and ctx.needs_input_grad[2] else None
