from __future__ import annotations

import pytest
import torch

from polyseme.layers.attention import attend
from polyseme.layers.dropout import (
    Dropout,
    _AttendDropped,
    attend_dropped_plain,
    can_drop,
    drawn,
    dropout,
    dropout_plain,
)


def test_the_share_that_is_dropped_is_the_one_asked_for_and_the_mean_stays() -> None:
    torch.manual_seed(3)
    for p in (0.1, 0.5, 0.9):
        dropped, scale = drawn((400, 1000), p)
        assert abs(float(dropped.float().mean()) - p) < 0.003
        kept = dropout_plain(torch.ones(400, 1000), dropped, scale)
        assert abs(float(kept.mean()) - 1) < 0.03
        assert scale == pytest.approx(1 / (1 - p), rel=2e-4)


def test_neighbours_and_rows_are_dropped_independently() -> None:
    torch.manual_seed(4)
    dropped = drawn((300_000,), 0.3)[0].float() - 0.3
    for lag in (1, 2, 3, 4, 8, 384):
        assert abs(float((dropped[lag:] * dropped[:-lag]).mean())) < 0.002


def test_the_seed_decides_and_every_size_is_served() -> None:
    for shape in [(), (1,), (0, 3), (5,), (3, 7, 11)]:
        torch.manual_seed(9)
        first, _ = drawn(shape, 0.4)
        torch.manual_seed(9)
        second, _ = drawn(shape, 0.4)
        assert first.shape == torch.Size(shape)
        assert torch.equal(first, second)


def test_values_and_gradients_are_those_of_the_plain_form() -> None:
    x = torch.randn(6, 5, requires_grad=True)
    g = torch.randn(6, 5)
    torch.manual_seed(1)
    mine = dropout(x, 0.3)
    torch.manual_seed(1)
    plain = dropout_plain(x, *drawn(x.shape, 0.3))
    torch.testing.assert_close(mine, plain)
    for one, other in zip(torch.autograd.grad(mine, x, g), torch.autograd.grad(plain, x, g), strict=True):
        torch.testing.assert_close(one, other)


def test_nothing_is_dropped_outside_training() -> None:
    layer, x = Dropout(0.5), torch.randn(4, 4)
    assert layer.eval()(x) is x
    assert Dropout(0.0).train()(x) is x
    assert float((layer.train()(x) == 0).float().mean()) > 0


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize(("queries", "keys"), [(7, 7), (2, 9)])
def test_attention_and_its_gradients_are_those_of_the_plain_form(
    masked: bool, queries: int, keys: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polyseme.layers.dropout.AT_ONCE", 2 * 2 * queries * keys)  # three rows in two parts
    torch.manual_seed(5)
    q = torch.randn(3, queries, 2, 4).transpose(1, 2).requires_grad_()
    k, v = (torch.randn(3, keys, 2, 4).transpose(1, 2).requires_grad_() for _ in range(2))
    mask = torch.rand(3, 1, queries, keys) < 0.6
    mask[..., 0] = True
    dropped, scale = drawn((3, 2, queries, keys), 0.25)
    g = torch.randn(3, 2, queries, 4)
    results = []
    for function in (attend_dropped_plain, _AttendDropped.apply):
        out = function(q, k, v, mask if masked else None, dropped, scale)
        results.append((out, *torch.autograd.grad(out, (q, k, v), g)))
    for plain, fast in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-5, atol=1e-6)


def test_attend_drops_by_the_same_draw_causal_or_not_with_shared_keys() -> None:
    q, k, v = torch.randn(2, 4, 5, 3), torch.randn(2, 2, 5, 3), torch.randn(2, 2, 5, 3)
    assert can_drop(q)
    wide_k, wide_v = (t.repeat_interleave(2, dim=1) for t in (k, v))
    before = torch.ones(5, 5, dtype=torch.bool).tril().expand(2, 1, 5, 5)
    for causal, mask in ((True, before), (False, None)):
        torch.manual_seed(2)
        mine = attend(q, k, v, None, 0.2, causal)
        torch.manual_seed(2)
        plain = attend_dropped_plain(q, wide_k, wide_v, mask, *drawn((2, 4, 5, 5), 0.2))
        torch.testing.assert_close(mine, plain)


def test_doubles_go_torchs_way() -> None:
    q = torch.randn(1, 2, 3, 4, dtype=torch.float64)
    assert not can_drop(q)
    assert attend(q, q, q, None, 0.5).dtype == torch.float64
