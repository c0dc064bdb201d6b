"""Packed linear layers are the linear layers they stand in for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from polyseme.kernels.int8 import in_int8
from polyseme.kernels.packed import Bfloat16Linear, Int8Linear, PackedLinear, prepare
from polyseme.layers.activation import ActivatedLinear
from small import GRADIENT_MODELS, make_encoder


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7, 24), (2, 5, 24), (1, 24), (0, 24), (2, 0, 24)])
def test_products_are_the_same(bias: bool, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(24, 40, bias=bias).requires_grad_(False)
    x = torch.randn(shape) + 0.3
    expected = linear(x)
    torch.testing.assert_close(PackedLinear(linear)(x), expected, atol=1e-5, rtol=1e-5)
    for near, tolerance in ((Bfloat16Linear(linear), 2e-2), (Int8Linear(linear), 3e-2)):
        found = near(x)
        assert found.shape == expected.shape
        assert found.dtype == expected.dtype
        assert (found - expected).norm() <= tolerance * expected.norm()


def test_few_numbers_of_rows_reach_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps code for every number that it has seen: half a megabyte each."""
    seen: dict[str, set[int]] = {"float": set(), "whole": set()}
    for owner, name, kind in (
        (torch.ops.mkldnn, "_linear_pointwise", "float"),
        (torch.ops.onednn, "qlinear_pointwise", "whole"),
    ):

        def told(
            x: torch.Tensor, *rest: object, _of: object = getattr(owner, name), _in: str = kind
        ) -> object:
            seen[_in].add(len(x))
            return _of(x, *rest)  # type: ignore[operator]

        monkeypatch.setattr(owner, name, told)
    linear = nn.Linear(8, 8).requires_grad_(False)
    for layer in (PackedLinear(linear), Int8Linear(linear)):
        for n in range(1, 513):
            x = torch.full((n, 8), 0.5)
            assert (layer(x) - linear(x)).abs().max() < 0.02
    for numbers in seen.values():
        assert len(numbers) <= 28
        assert max(numbers) <= 512


@pytest.mark.parametrize("name", ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu"])
def test_an_activation_behind_it(name: str) -> None:
    class Part(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide, self.narrow = ActivatedLinear(8, 32, name), nn.Linear(32, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.narrow(self.wide(x))  # type: ignore[no-any-return]

    torch.manual_seed(0)
    part = Part().requires_grad_(False)
    x = torch.randn(9, 8) * 3
    before = part(x)
    for precision, tolerance in (("float32", 1e-5), ("bfloat16", 3e-2), ("int8", 5e-2)):
        found = prepare(part, precision)(x)  # type: ignore[arg-type]
        assert (found - before).norm() <= tolerance * before.norm()
    assert torch.equal(part(x), before)


def test_a_range_far_from_zero_keeps_zero() -> None:
    linear = nn.Linear(4, 4).requires_grad_(False)
    for x in (torch.full((3, 4), 5.0), torch.full((3, 4), -5.0), torch.zeros(3, 4)):
        expected = linear(x)
        assert (Int8Linear(linear)(x) - expected).norm() <= 2e-2 * expected.norm()


@pytest.mark.parametrize("name", GRADIENT_MODELS)
def test_every_encoder_can_be_prepared(name: str) -> None:
    encoder = make_encoder(name).eval()
    twin = prepare(encoder)
    linears = [m for m in twin.modules() if isinstance(m, nn.Linear)]
    assert not linears
    assert {id(p) for p in twin.parameters()} == {id(p) for p in encoder.parameters()}


def test_a_linear_layer_of_another_kind_keeps_its_own_computation() -> None:
    class Doubled(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(8, 8), Doubled(8, 8)).requires_grad_(False).eval()
    x = torch.randn(5, 8)
    torch.testing.assert_close(prepare(module)(x), module(x), atol=1e-5, rtol=1e-5)
    rounded = in_int8(module, [])(x)
    assert (rounded - module(x)).norm() <= 0.05 * module(x).norm()
