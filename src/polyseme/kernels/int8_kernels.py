# mypy: disable-error-code="no-untyped-def"
"""What stands before and behind a product of whole numbers (kernels/int8.py), compiled: one pass each."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from polyseme.core.compiled import compiled
from polyseme.kernels.step_kernels import _round_rows


def whole_product(x: Tensor, rounded: Tensor, scale: Tensor, sums: Tensor, bias: Tensor | None) -> Tensor:
    """As kernels/int8.py's."""
    rows, outer = len(x), len(rounded)
    whole, y = np.empty(x.shape, np.uint8), np.empty((rows, outer), np.float32)
    scales, zeros = np.empty(rows, np.float32), np.empty(rows, np.int32)
    _round(x.detach().contiguous().numpy(), whole, scales, zeros)
    totals = torch._int_mm(torch.from_numpy(whole), rounded.t()).numpy()
    shift = np.zeros(outer, np.float32) if bias is None else bias.detach().numpy()
    _scale(totals, scales, zeros, sums.numpy(), scale.numpy(), shift, y)
    return torch.from_numpy(y)


@compiled(nogil=True, error_model="numpy")
def _round(x, whole, scales, zeros):
    """Shapes:  x, whole: (R, K).  scales, zeros: (R,)"""
    _round_rows(x, len(x), whole, scales, zeros)


@compiled(nogil=True, error_model="numpy", fastmath={"contract"})
def _scale(totals, scales, zeros, sums, factors, bias, y):
    """Shapes:  totals, y: (R, N).  scales, zeros: (R,).  sums, factors, bias: (N,)"""
    for b in range(totals.shape[0]):
        total, out, scale, zero = totals[b], y[b], scales[b], zeros[b]
        for n in range(totals.shape[1]):
            out[n] = np.float32(total[n] - zero * sums[n]) * (scale * factors[n]) + bias[n]
