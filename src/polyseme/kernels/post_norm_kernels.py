# mypy: disable-error-code="attr-defined,call-arg,no-untyped-call,no-untyped-def,unreachable,var-annotated"
"""What stands between the products of a post-norm encoder, compiled: a row is read once, and written as the next
product reads it.

    h ← LayerNorm(h + y),   y = s y₈ + b where the product was one of whole numbers

in float32, and beside it in bfloat16 (as uint16) or in whole numbers with a scale for the row.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from polyseme.core.compiled import compiled
from polyseme.kernels._compiled import PART, narrow, wide

_SUMS = {"reassoc", "contract", "arcp", "nsz", "afn"}
_ORDER = {"nnan", "nsz", "reassoc", "contract"}  # the largest of a row is found in any order


@njit(**PART, fastmath=_SUMS)
def _norm(h, y, scale, bias, weight, shift, eps):
    """One row, in place."""
    n = len(h)
    mean = np.float32(0.0)
    if len(bias) > 0:
        for i in range(n):
            h[i] += wide(y[i]) * scale + bias[i]
            mean += h[i]
    else:
        for i in range(n):
            h[i] += wide(y[i])
            mean += h[i]
    mean /= np.float32(n)
    square = np.float32(0.0)
    for i in range(n):
        square += (h[i] - mean) * (h[i] - mean)
    inverse = np.float32(1.0) / np.sqrt(square / np.float32(n) + eps)
    for i in range(n):
        h[i] = (h[i] - mean) * inverse * weight[i] + shift[i]


@njit(**PART, fastmath=_ORDER)
def _round(x, half, out):
    """A row as whole numbers half + 1 … 2 half + 1 around half + 1, and its scale."""
    most = np.float32(0.0)
    for i in range(len(x)):
        most = max(most, abs(x[i]))
    scale = max(most, np.float32(1e-30)) / np.float32(half)
    inverse, zero = np.float32(1.0) / scale, np.float32(half + 1) + np.float32(0.5)
    for i in range(len(x)):
        out[i] = np.uint8(np.int32(x[i] * inverse + zero))
    return scale


@compiled(nogil=True, error_model="numpy")
def add_norm(h, y, scales, bias, weight, shift, eps):
    """h ← LayerNorm(h + y).

    Args:
        scales, bias: what y still lacks, y = scale of the row · y + bias; empty where it lacks nothing.
    Shapes:  h, y: (N, d).  scales: (N,) or (0,).  bias: (d,) or (0,).  weight, shift: (d,)
    """
    for r in range(len(h)):
        scale = scales[r] if len(scales) > 0 else np.float32(1.0)
        _norm(h[r], y[r], scale, bias, weight, shift, eps)


@compiled(nogil=True, error_model="numpy")
def add_norm_narrow(h, y, scales, bias, weight, shift, eps, out):
    """`add_norm`, and the result in bfloat16 too.  Shapes: out: (N, d) uint16"""
    for r in range(len(h)):
        scale = scales[r] if len(scales) > 0 else np.float32(1.0)
        _norm(h[r], y[r], scale, bias, weight, shift, eps)
        to, x = out[r], h[r]
        for i in range(len(x)):
            to[i] = narrow(x[i], to[i])


@compiled(nogil=True, error_model="numpy")
def add_norm_round(h, y, scales, bias, weight, shift, eps, half, out, out_scales):
    """`add_norm`, and the result in whole numbers too.  Shapes: out: (N, d) uint8.  out_scales: (N,)"""
    for r in range(len(h)):
        scale = scales[r] if len(scales) > 0 else np.float32(1.0)
        _norm(h[r], y[r], scale, bias, weight, shift, eps)
        out_scales[r] = _round(h[r], half, out[r])


@compiled(nogil=True, error_model="numpy")
def round_rows(x, half, out, scales):
    """Rows in whole numbers: x ≈ scale (out - half - 1).  Shapes: x, out: (N, d), out uint8.  scales: (N,)"""
    for r in range(len(x)):
        scales[r] = _round(x[r], half, out[r])


@compiled(nogil=True, error_model="numpy")
def finish_narrow(y, scales, bias, out):
    """out = scale of the row · y + bias in bfloat16.  Shapes: y: (N, m).  scales: (N,).  bias: (m,).  out: (N, m)"""
    for r in range(len(y)):
        to, x, scale = out[r], y[r], scales[r]
        for i in range(len(x)):
            to[i] = narrow(x[i] * scale + bias[i], to[i])


@njit(**PART, fastmath=_ORDER)
def _curve(y, scale, bias, curve, least, top, row, out):
    """One row of `curve_round`."""
    edge, most = curve[0], np.float32(0.0)
    a, b, c, d, e, f, g, h = curve[1], curve[2], curve[3], curve[4], curve[5], curve[6], curve[7], curve[8]
    for i in range(len(y)):
        x = y[i] * scale + bias[i]
        near = min(max(x, -edge), edge)
        s = near * near
        p = ((((((a * s + b) * s + c) * s + d) * s + e) * s + f) * s + g) * s + h
        x = x * (np.float32(0.5) + near * p) + least
        row[i] = x
        most = max(most, x)
    scale = most / np.float32(top)
    inverse = np.float32(1.0) / scale
    for i in range(len(y)):
        out[i] = np.uint8(np.int32(max(row[i] * inverse, np.float32(0.0)) + np.float32(0.5)))
    return scale


@compiled(nogil=True, error_model="numpy")
def curve_round(y, scales, bias, curve, least, top, out, out_scales):
    """Rows of a product through a gelu, as whole numbers 0 … top.

        out = round((x Φ(x) + least) / scale),   x = scale of the row · y + bias,   Φ(x) ≈ ½ + x P(x²) for |x| ≤ edge

    Args:
        curve: the edge, and P's eight coefficients, that of the highest power first.
        least: what makes the smallest value of the activation no less than zero.
    Shapes:  y: (N, m).  scales: (N,).  bias: (m,).  out: (N, m) uint8.  out_scales: (N,)
    """
    row = np.empty(y.shape[1], np.float32)
    for r in range(len(y)):
        out_scales[r] = _curve(y[r], scales[r], bias, curve, least, top, row, out[r])
