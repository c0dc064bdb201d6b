"""Which library computes float32 products."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from polyseme.errors import ConfigError
from polyseme.kernels import products
from polyseme.kernels.cross_entropy import cross_entropy_sum
from polyseme.kernels.products import Rates, chosen, library, linear, measured, through
from polyseme.layers.linear import Linear
from polyseme.layers.linear import linear as either


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """The shapes of what oneDNN multiplies."""
    calls: list[torch.Size] = []
    product = products.product

    def counted(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
        calls.append(a.shape)
        return product(a, b, bias)

    monkeypatch.setattr(products, "product", counted)
    return calls


def test_a_gain_must_be_clear() -> None:
    assert Rates(100.0, 119.0, 1).faster == "torch"
    assert Rates(100.0, 121.0, 1).faster == "onednn"
    assert Rates(100.0, 0.0, 1).faster == "torch"


def test_it_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLYSEME_PRODUCTS")
    rates = measured()
    assert rates.torch > 0
    assert rates.onednn > 0
    monkeypatch.setattr(products, "_rate", lambda form: 1 / 0)
    assert measured() is rates
    assert chosen() == rates.faster


def test_the_environment_and_the_setting_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "measured", lambda: Rates(1.0, 2.0, 1))
    monkeypatch.setenv("POLYSEME_PRODUCTS", "torch")
    assert chosen() == "torch"
    assert chosen("onednn") == "onednn"
    monkeypatch.delenv("POLYSEME_PRODUCTS")
    assert chosen() == "onednn"
    with through("torch"):
        assert library() == "torch"
        with through("onednn"):
            assert library() == "onednn"
    assert library() == "onednn"


def test_what_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYSEME_PRODUCTS", "mkl")
    with pytest.raises(ConfigError, match="no such library"):
        chosen()
    monkeypatch.setattr(products, "available", lambda: False)
    with pytest.raises(ConfigError, match="no oneDNN"):
        chosen("onednn")


def test_layers_and_heads_go_through_it(called: list[torch.Size]) -> None:
    layer, x = Linear(8, 6), torch.randn(4, 10, 8, requires_grad=True)
    with through("onednn"):
        layer(x).square().sum().backward()
        assert len(called) == 3
        cross_entropy_sum(layer(x)[0].repeat(4, 1), torch.randn(9, 6), None, torch.arange(40) % 9).backward()
        assert len(called) == 3 + 1 + 3 + 2
    with through("torch"):
        layer(x).sum().backward()
    assert len(called) == 9


@pytest.mark.parametrize(
    "change",
    [lambda x: x[:1], lambda x: x.double(), lambda x: x.bfloat16()],
    ids=["few rows", "double", "bf16"],
)
def test_what_has_no_choice(change: object, called: list[torch.Size]) -> None:
    x = change(torch.randn(40, 8))  # type: ignore[operator]
    with through("onednn"):
        either(x, torch.randn(6, 8, dtype=x.dtype))
        with torch.autocast("cpu", torch.bfloat16):
            either(torch.randn(40, 8), torch.randn(6, 8))
    assert not called


def test_a_frozen_weight_or_input_has_no_product(called: list[torch.Size]) -> None:
    weight = nn.Parameter(torch.randn(6, 8))
    linear(torch.randn(40, 8), weight).sum().backward()
    assert len(called) == 2
    linear(torch.randn(40, 8, requires_grad=True), weight.detach()).sum().backward()
    assert len(called) == 4
