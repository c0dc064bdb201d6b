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
from polyseme.kernels._compiled import PART, narrow, pointer, wide
from polyseme.kernels._panels import curve_row, largest_size, round_row
from polyseme.kernels._tiles import LANES

_SUMS = {"reassoc", "contract", "arcp", "nsz", "afn"}


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


@njit(**PART, fastmath={"contract"})
def _round(at, n, half, to):
    """A row of float32 as whole numbers 1 … 2 half + 1 around half + 1, and its scale, NaN if one is; addresses."""
    most, whole = np.float32(0.0), n // LANES
    x, out = pointer(at, np.empty(0, np.float32)), pointer(to, np.empty(0, np.uint8))
    if whole > 0:
        most = largest_size(at, whole)
    for i in range(whole * LANES, n):
        size = abs(x[i])
        if size > most or size != size:  # NaN stays
            most = size
    scale = (np.float32(1e-30) if most < np.float32(1e-30) else most) / np.float32(half)
    inverse, zero = np.float32(1.0) / scale, np.float32(half + 1) + np.float32(0.5)
    if whole > 0:
        round_row(at, whole, inverse, zero, to)
    for i in range(whole * LANES, n):
        out[i] = np.uint8(np.int32(x[i] * inverse + zero))
    return scale


@compiled(nogil=True, error_model="numpy")
def add_norm(h, y, scales, bias, weight, shift, eps):
    """Add and normalise in place: h ← LayerNorm(h + y).

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
    n = h.shape[1]
    for r in range(len(h)):
        scale = scales[r] if len(scales) > 0 else np.float32(1.0)
        _norm(h[r], y[r], scale, bias, weight, shift, eps)
        out_scales[r] = _round(h.ctypes.data + 4 * r * n, n, half, out.ctypes.data + r * n)


@compiled(nogil=True, error_model="numpy")
def round_rows(x, half, out, scales):
    """Rows in whole numbers: x ≈ scale (out - half - 1).  Shapes: x, out: (N, d), out uint8.  scales: (N,)"""
    n = x.shape[1]
    for r in range(len(x)):
        scales[r] = _round(x.ctypes.data + 4 * r * n, n, half, out.ctypes.data + r * n)


@compiled(nogil=True, error_model="numpy")
def finish_narrow(y, scales, bias, out):
    """What a product of whole numbers lacks, scale of the row · y + bias, in bfloat16.

    Shapes: y: (N, m).  scales: (N,).  bias: (m,).  out: (N, m)"""
    for r in range(len(y)):
        to, x, scale = out[r], y[r], scales[r]
        for i in range(len(x)):
            to[i] = narrow(x[i] * scale + bias[i], to[i])


@compiled(nogil=True, error_model="numpy")
def curve_round(y, scales, bias, curve, least, top, out, out_scales):
    """Rows of a product through a gelu, as whole numbers 0 … top.

        out = round((x Φ(x) + least) / scale),   x = scale of the row · y + bias,   Φ(x) ≈ ½ + x P(x²) for |x| ≤ edge

    Args:
        curve: the edge, and P's eight coefficients, that of the highest power first.
        least: what makes the smallest value of the activation no less than zero.
    Shapes:  y: (N, m).  scales: (N,).  bias: (m,).  out: (N, m) uint8.  out_scales: (N,)
    """
    n = y.shape[1]
    size = (n + LANES - 1) // LANES * LANES  # what is behind the last number counts as 0
    row, last, shift = np.empty(size, np.float32), np.zeros(size, np.float32), np.zeros(size, np.float32)
    bytes_, row_at = np.empty(size, np.uint8), row.ctypes.data
    shift[:n] = bias
    for r in range(len(y)):
        at, to = y.ctypes.data + 4 * r * n, out.ctypes.data + r * n
        if size > n:
            for i in range(n):
                last[i] = y[r, i]
            at, to = last.ctypes.data, bytes_.ctypes.data
        most = curve_row(at, size // LANES, scales[r], shift.ctypes.data, curve.ctypes.data, least, row_at)
        out_scales[r] = most / np.float32(top)
        round_row(row_at, size // LANES, np.float32(1.0) / out_scales[r], np.float32(0.5), to)
        if size > n:
            for i in range(n):
                out[r, i] = bytes_[i]
