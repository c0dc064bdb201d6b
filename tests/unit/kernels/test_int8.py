"""Matrices in whole numbers: what rounding keeps, and that both forms of a product say what the equations say."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from polyseme.kernels import int8
from polyseme.kernels._tiles import LANES, WHOLE
from polyseme.kernels.int8 import Int8Embedding, Int8Linear, round_rows


def inputs(rows: int, width: int) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(width)) * 2 - 0.3


def test_rounded_inputs_are_half_a_step_from_what_they_were() -> None:
    x = inputs(5, 300)
    x[1] = x[1].abs()
    x[2] = 0.0
    x[3] *= 1e-6
    whole, scale, zero = round_rows(x)
    assert whole.dtype == torch.uint8
    back = (whole.float() - zero) * scale
    assert ((back - x).abs() <= 0.51 * scale).all()
    assert (back[2] == 0).all()
    assert (back[x == 0] == 0).all()
    alone = round_rows(x[1:2])
    assert all(torch.equal(a[1:2], b) for a, b in zip((whole, scale, zero), alone, strict=True))


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("shape", [(7, 5), (96, 64), (33, 130), (300, 768)])
def test_products_are_those_of_the_rounded_numbers(
    shape: tuple[int, int], whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "rounds_inputs", lambda: whole)
    layer = Int8Linear(nn.Linear(shape[1], shape[0]))
    for rows in (1, 3, 40):
        x = inputs(rows, shape[1])
        exact = x.double()
        if whole:
            numbers, scale, zero = round_rows(x)
            exact = (numbers.double() - zero) * scale
        expected = exact @ layer.weight.double().T + layer.bias
        torch.testing.assert_close(layer(x).double(), expected.detach(), atol=1e-5, rtol=1e-5)
        assert torch.equal(layer(x[None])[0], layer(x))
    assert layer(inputs(1, shape[1])[:0]).shape == (0, shape[0])


def test_a_row_that_holds_no_number_gives_none() -> None:
    layer = Int8Linear(nn.Linear(70, 9))
    x = inputs(3, 70)
    expected = layer(x)
    x[1, 4] = torch.nan
    found = layer(x)
    assert found[1].isnan().all()
    assert torch.equal(found[[0, 2]], expected[[0, 2]])


def test_entries_and_their_scores_are_of_one_matrix() -> None:
    table = Int8Embedding(nn.Embedding(50, 24))
    ids = torch.tensor([[3, 49]])
    assert torch.equal(table(ids), table.weight[ids])
    torch.testing.assert_close(
        table.product(inputs(2, 24)), inputs(2, 24) @ table.weight.T, atol=0.3, rtol=0.05
    )


@cache
def compiled_product() -> Any:
    """Rounding and product, called from Python; compiled once for all cases."""
    from numba import njit

    from polyseme.kernels import step_kernels as kernels

    @njit
    def run(w, x, scales, zeros, sums, y, rows, totals, whole):  # type: ignore[no-untyped-def]
        kernels._round_rows(x, rows, whole, scales, zeros)
        kernels._product_whole(w, whole, scales, zeros, sums, y, rows, 2, w.shape[0], totals)

    return run


@pytest.mark.skipif(not WHOLE, reason="the processor has no instructions for products of whole numbers")
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 8, 11, 16])
@pytest.mark.parametrize("width", [LANES, 4 * LANES, 100, 768, 1100])
def test_the_compiled_product_is_exact(rows: int, width: int) -> None:
    random, room = np.random.default_rng(width), -(-rows // 8) * 8
    w = random.integers(-127, 128, (21, width), np.int8)
    x = np.zeros((room, width), np.float32)
    x[:rows] = inputs(rows, width).numpy()
    whole, y = np.zeros((room, width + 5), np.uint8), np.zeros((room, 21), np.float32)
    scales, zeros, totals = np.zeros(room, np.float32), np.zeros(room, np.int32), np.zeros(LANES, np.int32)
    compiled_product()(w, x, scales, zeros, w.sum(1, dtype=np.int32), y, rows, totals, whole)
    numbers, scale, zero = (part.numpy() for part in round_rows(torch.from_numpy(x[:rows])))
    np.testing.assert_allclose(scales[:rows], scale[:, 0], rtol=1e-6)
    assert np.array_equal(zeros[:rows], zero[:, 0])
    assert (np.abs(whole[:rows, :width].astype(int) - numbers) <= 1).all()  # at a half
    expected = scale * (
        (whole[:rows, :width].astype(np.int64) - zero.astype(np.int64)) @ w.T.astype(np.int64)
    )
    np.testing.assert_allclose(y[:rows, 2:], expected[:, 2:], rtol=1e-6)
    assert not y[:, :2].any()
