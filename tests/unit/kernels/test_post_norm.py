"""The compiled layers of a post-norm encoder are its blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from polyseme.core.types import Batch
from polyseme.kernels import post_norm
from polyseme.kernels._tiles import LANES
from polyseme.kernels.packed import HALF, Precision, prepare
from polyseme.kernels.post_norm import Layers, curve_of
from polyseme.kernels.post_norm_kernels import curve_round
from small import make_encoder


@pytest.fixture(autouse=True)
def _however_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post_norm, "LEAST_WORK", 0)


def batch_of(*rows: tuple[int, ...], width: int) -> Batch:
    """Rows of examples so many tokens long, and padding."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 60, (len(rows), width), generator=generator)
    segment, position = torch.zeros_like(ids), torch.zeros_like(ids)
    for r, lengths in enumerate(rows):
        end = 0
        for number, n in enumerate(lengths, 1):
            segment[r, end : end + n], position[r, end : end + n] = number, torch.arange(n)
            end += n
    packed = any(sum(lengths) < width or len(lengths) > 1 for lengths in rows)
    return Batch(ids, segment, position, torch.zeros_like(ids), torch.zeros(0, dtype=torch.long), packed)


BATCHES = [
    batch_of((17,), (17,), (17,), width=17),
    batch_of((1,), (30,), (13,), width=30),
    batch_of((5, 9, 1), (20,), (3, 3), width=20),
    batch_of((1,), width=1),
]


@pytest.mark.parametrize("sizes", [(32, 2), (24, 3), (80, 2), (34, 1)])
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", ["bert", "ernie"])
def test_every_layer_is_that_of_the_blocks(name: str, batch: Batch, sizes: tuple[int, int]) -> None:
    encoder = make_encoder(name, hidden_size=sizes[0], num_attention_heads=sizes[1]).eval()
    twin = prepare(encoder)
    real = (batch.segment != 0)[..., None]
    with torch.inference_mode():
        assert Layers.serve(twin.blocks, twin.embed(batch))
        expected, found = (e.encode(batch, keep="all").layers for e in (encoder, twin))
        assert len(expected) == len(found)
        for one, other in zip(expected, found, strict=True):
            torch.testing.assert_close(other * real, one * real, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(twin.encode(batch).last, found[-1])
        places = batch.segment.flatten().nonzero()[:, 0].flip(0)[::2]
        at = twin.encode(batch, at=places)
        assert at.positions is places
        torch.testing.assert_close(at.last, encoder.encode(batch, at=places).at(places), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu", "silu"])
def test_other_precisions_are_near(precision: Precision, activation: str) -> None:
    encoder = make_encoder("bert", hidden_act=activation).eval()
    for parameter in encoder.parameters():
        parameter.requires_grad_(False).mul_(3 if parameter.ndim > 1 else 1)
    twin, batch = prepare(encoder, precision), BATCHES[1]
    with torch.inference_mode():
        expected, found = (e.encode(batch).last[batch.segment != 0] for e in (encoder, twin))
    assert 0 < (found - expected).norm() <= 0.12 * expected.norm()


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_a_text_does_not_depend_on_those_beside_it(precision: Precision) -> None:
    twin = prepare(make_encoder("bert").eval(), precision)
    whole = batch_of((30,), (30,), (30,), width=30)
    with torch.inference_mode():
        alone = twin.encode(replace(whole, ids=whole.ids[:1], segment=whole.segment[:1],
                                    position=whole.position[:1], type=whole.type[:1])).last  # fmt: skip
        torch.testing.assert_close(twin.encode(whole).last[:1], alone, atol=1e-6, rtol=1e-6)


def test_where_it_does_not_serve_the_blocks_compute() -> None:
    encoder = make_encoder("bert").eval()
    twin, batch = prepare(encoder), BATCHES[2]
    assert twin.encode(batch).last.requires_grad  # the fast form has none
    with torch.inference_mode():
        assert len(twin.encode(batch, attentions=True).attentions) == len(encoder.blocks)
        assert not Layers.serve(encoder.blocks, encoder.embed(batch))


@pytest.mark.parametrize("name", ["gelu", "gelu_new"])
def test_the_curve_of_an_activation(name: str) -> None:
    curve = curve_of(name)
    x = np.linspace(-9, 9, 4001, dtype=np.float32)
    expected = torch.nn.functional.gelu(torch.from_numpy(x), approximate="tanh" if name != "gelu" else "none")
    near = np.clip(x, -curve[0], curve[0])
    found = x * (0.5 + near * np.polyval(curve[1:].astype(np.float64), near.astype(np.float64) ** 2))
    assert np.abs(found - expected.numpy()).max() < 1e-3
    assert expected.min() + post_norm.LEAST >= 0
    assert curve_of("relu") is None


def test_a_short_text_is_read_by_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32 alone: there both forms are alike."""
    monkeypatch.undo()
    encoder, batch = make_encoder("bert").eval(), BATCHES[1]
    with torch.inference_mode():
        assert not Layers.serve(prepare(encoder).blocks, encoder.embed(batch))
        assert Layers.serve(prepare(encoder, "int8").blocks, encoder.embed(batch))


@pytest.mark.parametrize("width", [5, LANES, LANES + 3])
def test_a_row_that_holds_no_number_gives_none(width: int) -> None:
    x = torch.randn(2, width)
    x[1, -1] = torch.nan
    _, scales = post_norm.round_rows(x, HALF)
    assert scales.isfinite().tolist() == [True, False]
    scales = torch.empty(2)
    curve_round(
        x.numpy(), np.ones(2, np.float32), np.zeros(width, np.float32), curve_of("gelu"), post_norm.LEAST,
        255, np.empty((2, width), np.uint8), scales.numpy(),
    )  # fmt: skip
    assert scales.isfinite().tolist() == [True, False]


def test_a_process_that_stays_does_little_work_by_compiled_code_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post_norm, "LEAST_WORK", 1 << 20)
    monkeypatch.setattr(post_norm, "_loaded", [])
    encoder = make_encoder("bert").eval()
    twin = prepare(encoder)
    with torch.inference_mode():
        h = twin.embed(BATCHES[0])
        assert not Layers.serve(twin.blocks, h)
        assert not post_norm.drops_padding(twin)
        post_norm.load_compiled(twin.blocks)
        assert Layers.serve(twin.blocks, h)
        assert post_norm.drops_padding(twin)
        assert not post_norm.drops_padding(make_encoder("gpt"))
