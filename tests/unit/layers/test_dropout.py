from __future__ import annotations

import pytest
import torch

from polyseme.kernels.attention import can_drop
from polyseme.layers.attention import attend, attend_dropped
from polyseme.layers.dropout import Dropout, drawn, drop


def test_the_share_that_is_dropped_is_the_one_asked_for_and_the_mean_stays() -> None:
    torch.manual_seed(3)
    for p in (0.1, 0.5, 0.9):
        dropped, scale = drawn((400, 1000), p)
        assert abs(float(dropped.float().mean()) - p) < 0.003
        x = torch.ones(400, 1000)
        filled = x.masked_fill(dropped, 0.0) * scale
        kept = drop(x, dropped, scale)
        assert torch.equal(kept, filled)
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


def test_nothing_is_dropped_outside_training() -> None:
    layer, x = Dropout(0.5), torch.randn(4, 4)
    assert layer.eval()(x) is x
    assert Dropout(0.0).train()(x) is x
    assert float((layer.train()(x) == 0).float().mean()) > 0


def test_attend_drops_by_the_same_draw_causal_or_not_with_shared_keys() -> None:
    q, k, v = torch.randn(2, 4, 5, 3), torch.randn(2, 2, 5, 3), torch.randn(2, 2, 5, 3)
    assert can_drop(q)
    wide_k, wide_v = (t.repeat_interleave(2, dim=1) for t in (k, v))
    before = torch.ones(5, 5, dtype=torch.bool).tril().expand(2, 1, 5, 5)
    for causal, mask in ((True, before), (False, None)):
        torch.manual_seed(2)
        mine = attend(q, k, v, None, 0.2, causal)
        torch.manual_seed(2)
        plain = attend_dropped.plain(q, wide_k, wide_v, mask, *drawn((2, 4, 5, 5), 0.2))
        torch.testing.assert_close(mine, plain)


def test_doubles_go_torchs_way() -> None:
    q = torch.randn(1, 2, 3, 4, dtype=torch.float64)
    assert not can_drop(q)
    assert attend(q, q, q, None, 0.5).dtype == torch.float64
