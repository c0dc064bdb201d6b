"""Every fast twin gives what its plain form gives, values and gradients."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

import polyseme.data.cutting as cutting
import polyseme.formats.word_vectors
import polyseme.layers
import polyseme.objectives.knowledge_masking
from polyseme.data.units import find_units
from polyseme.kernels import attention, cross_entropy
from polyseme.kernels.int8 import quantise
from polyseme.kernels.lstm import Weights
from polyseme.kernels.twins import PAIRS
from polyseme.layers.attention import attend, attend_plain, rotary_table, rotate
from polyseme.layers.dropout import drawn
from polyseme.layers.lstm import starts
from polyseme.layers.norm import rms_norm
from polyseme.text import automaton

for module in pkgutil.iter_modules(polyseme.layers.__path__, "polyseme.layers."):
    importlib.import_module(module.name)


def floats(*shape: int) -> Tensor:
    return torch.randn(*shape, requires_grad=True)


def lstm(directions: int, clip: float) -> tuple[Any, ...]:
    segment = torch.tensor([[1] * 9, [1, 1, 2, 2, 2, 3, 3, 3, 3], [1] * 5 + [0] * 4, [1, 2] + [3] * 7]).T
    begins = torch.stack([starts(segment), starts(segment.flip(0))])[:directions]
    d = directions
    weights = Weights(floats(d, 28, 5), floats(d, 28, 6), floats(d, 28), floats(d, 6, 7))
    return (floats(d, 9, 4, 5), begins, weights, clip, 0.7 * clip)


def attend_dropped(queries: int, keys: int, masked: bool) -> tuple[Any, ...]:
    mask = torch.rand(3, 1, queries, keys) < 0.6
    mask[..., 0] = True
    q, k, v = (floats(3, n, 2, 4).transpose(1, 2).detach().requires_grad_() for n in (queries, keys, keys))
    return q, k, v, mask if masked else None, *drawn((3, 2, queries, keys), 0.25)


def attended(
    queries: int, keys: int, size: int, shared: int = 2, masked: bool = False, causal: bool = False
) -> tuple[Any, ...]:
    mask = torch.rand(3, 1, queries, keys) < 0.6
    mask[..., 0] = True
    q = torch.randn(3, queries, 2, size).transpose(1, 2)
    k, v = torch.randn(2, 3, keys, shared, size).transpose(2, 3)
    return 3 * q, k, v, mask if masked else None, causal


def rotated(dtype: torch.dtype) -> tuple[Any, ...]:
    return (
        torch.randn(2, 6, 2, 3, 8).to(dtype).requires_grad_(),
        *rotary_table(torch.arange(6)[None], 8, 100.0),
    )


def units(deepest: int) -> tuple[Any, ...]:
    random = np.random.default_rng(deepest)
    patterns = [(5, 6), (6, 7, 5), (9,), (7, 7), (5, 6, 7)]
    return (
        random.integers(4, 12, (4, 40)),
        random.random((4, 40)) < 0.6,
        np.repeat(random.integers(0, 3, (4, 8)), 5, axis=1),
        np.arange(12) >= 9,
        patterns,
        np.array([1, 2, 0, 1, 1], np.int8),
        automaton.build(patterns),
        deepest,
    )


def whole_numbers(rows: int, width: int, bias: bool) -> tuple[Any, ...]:
    rounded, scale = quantise(torch.randn(21, width))
    sums = rounded.sum(1, dtype=torch.int32)
    return torch.randn(rows, width), rounded, scale, sums, torch.randn(21) if bias else None


def chosen() -> tuple[Any, ...]:
    random = np.random.default_rng(0)
    unit, kind, _ = find_units.plain(*units(2))
    chance = random.random((2, *unit.shape))
    return unit, kind, np.array([6, 0, 12, 40]), np.array([1.0, 1.4, 0.6]), *chance


WRAPPED = "the lamp stood on the table by the door of the\n"
TEXTS = [
    "Mr. Fox ran. The end… he said!  “Stop.”\n\n- one\n- two\r\n\u3000",
    WRAPPED + "house, and the fox ran over the hill and away\nfrom it. Then\n  he came",
    "",
    WRAPPED + "(a) the house, and the fox ran over the hill a\n==\n12) dogs\n* cats",
    "北京大学。我们学习C语言！！ 好\uf900々\U00020000.\n第一章",
    " \n\t\x1c\n",
]


def cut(step: str) -> tuple[Any, ...]:
    texts = cutting.Texts(TEXTS)
    starts, ends, _ = cutting.paragraphs.plain(texts)
    if step != "sentences":
        return texts, starts, ends
    return texts, starts, ends, *cutting._parts(texts, starts, ends, ["en"] * len(starts))


CASES: dict[str, list[Callable[[], tuple[Any, ...]]]] = {
    "are_chinese": [lambda: (cutting.Texts(TEXTS), 8, 0.1), lambda: (cutting.Texts(TEXTS), 4000, 0.8)],
    "attend_dropped": [
        lambda: attend_dropped(7, 7, True),
        lambda: attend_dropped(7, 7, False),
        lambda: attend_dropped(2, 9, True),
        lambda: attend_dropped(7, 7, True)[:4],
    ],
    "attend_fused": [
        lambda: attended(7, 7, 32),
        lambda: attended(33, 33, 64),
        lambda: attended(4, 600, 20),
        lambda: attended(1100, 1100, 16, causal=True),
        lambda: attended(40, 40, 4, shared=1, causal=True),
        lambda: attended(13, 50, 128, shared=1, masked=True),
        lambda: attended(5, 530, 8, masked=True),
    ],
    "choose_units": [chosen],
    "cross_entropy_sum": [
        lambda: (floats(17, 8), floats(50, 8), floats(50), torch.randint(50, (17,))),
        lambda: (floats(17, 8), floats(50, 8), None, torch.randint(50, (17,))),
    ],
    "find_units": [lambda: units(0), lambda: units(1), lambda: units(2)],
    "gated": [lambda name=name: (floats(3, 5, 8), name) for name in ("gelu", "gelu_new", "silu")],
    "linear": [
        lambda: (floats(3, 5, 8), floats(6, 8), floats(6)),
        lambda: (floats(40, 6), floats(9, 6), None),
    ],
    "lstm": [lambda: lstm(1, 0.0), lambda: lstm(2, 0.0), lambda: lstm(1, 0.25), lambda: lstm(2, 0.25)],
    "paragraphs": [lambda: (cutting.Texts(TEXTS),), lambda: (cutting.Texts([]),)],
    "parse_decimals": [lambda: (b"0.1 -2e-3 +17 .5 6.02214076e23 1e-40 1e39 0.30000001192092896", 8)],
    "pieces": [
        lambda: (*cut("pieces"), cutting.PieceSplitter(" \n", alone="!-/\u4e00-\u9fff")),
        lambda: (*cut("pieces"), cutting.PieceSplitter(" \n")),
        lambda: (*cut("pieces"), cutting.PieceSplitter(" \n\u3000", before_spaces=True)),
    ],
    "rms_norm": [lambda: (floats(3, 5, 8), floats(8), 1e-6), lambda: (floats(3, 5, 8), floats(5, 8), 1e-6)],
    "round_rows": [lambda: (torch.randn(5, 40), 127), lambda: (torch.zeros(2, 3), 63)],
    "rotate": [lambda: rotated(torch.float32), lambda: rotated(torch.bfloat16)],
    "split_heads": [
        lambda: (floats(2, 6, 3, 4, 8), None),
        lambda: (floats(2, 6, 3, 4, 8), rotary_table(torch.arange(6)[None], 8, 100.0)),
        lambda: (floats(2, 6, 3, 4, 8), rotary_table(torch.arange(12).view(2, 6), 8, 100.0)),
    ],
    "sampled_cross_entropy_sum": [
        lambda: (
            *(floats(40, 6), floats(50, 6), floats(50), torch.randint(50, (40,))),
            *(torch.randperm(50)[:30], -torch.rand(30)),
        )
    ],
    "sentences": [lambda: cut("sentences")],
    "whole_product": [lambda: whole_numbers(1, 40, False), lambda: whole_numbers(7, 33, True)],
}


def test_every_pair_is_here() -> None:
    assert sorted(pair.plain.__name__ for pair in PAIRS) == sorted(CASES)
    assert all(pair.fast.__name__ == pair.plain.__name__ for pair in PAIRS)


@pytest.mark.parametrize("small_parts", [True, False])
@pytest.mark.parametrize(("name", "case"), [(name, i) for name in CASES for i in range(len(CASES[name]))])
def test_values_and_gradients(
    name: str, case: int, small_parts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if small_parts:  # what is computed part by part has several
        monkeypatch.setattr(cross_entropy, "CHUNK_BYTES", 4 * 50 * 3)
        monkeypatch.setattr(attention, "AT_ONCE", 2 * 2 * 49)
    pair = next(pair for pair in PAIRS if pair.plain.__name__ == name)
    results = []
    for form in (pair.plain, pair.fast):
        torch.manual_seed(case)
        arguments = CASES[name][case]()
        leaves = [a for a in tree_leaves(arguments) if isinstance(a, Tensor) and a.requires_grad]
        y = form(*arguments)
        if not leaves:  # there are no gradients
            results.append([torch.as_tensor(a) for a in tree_leaves(y)])
            continue
        y = torch.stack(y) if isinstance(y, tuple) else y
        gradients = torch.autograd.grad(y, leaves, torch.linspace(-1, 1, y.numel()).view(y.shape).to(y.dtype))
        results.append([y.detach(), *gradients])
    for plain, fast in zip(*results, strict=True):
        near = 1e-5 if plain.dtype == torch.float32 else 6e-2
        torch.testing.assert_close(fast, plain, atol=near, rtol=10 * near)


def test_attention_with_a_block_mask() -> None:
    generator = torch.Generator().manual_seed(0)
    segment = torch.tensor([[1, 1, 1, 2, 2, 0], [1, 1, 1, 1, 1, 1]])
    mask = (segment[:, :, None] == segment[:, None, :])[:, None]
    grads = []
    for function in (attend, lambda q, k, v, m: attend_plain(q, k, v, m)[0]):
        generator.manual_seed(2)
        q, k, v = (torch.randn(2, 3, 6, 4, generator=generator, requires_grad=True) for _ in range(3))
        out = function(q, k, v, mask)
        out.square().sum().backward()
        grads.append([out.detach(), q.grad, k.grad, v.grad])
    for fast, plain in zip(*grads, strict=True):
        torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("key_heads", [4, 2, 1])
def test_causal_attention_with_shared_keys(key_heads: int) -> None:
    """The fused kernel, its plain form, and a mask written out with repeated keys."""
    mask = torch.ones(6, 6).tril().bool()[None, None]
    ways = (
        lambda q, k, v: attend(q, k, v, causal=True),
        lambda q, k, v: attend_plain(q, k, v, causal=True)[0],
        lambda q, k, v: attend(q, *(x.repeat_interleave(4 // key_heads, 1) for x in (k, v)), mask),
    )
    results = []
    for way in ways:
        generator = torch.Generator().manual_seed(2)
        heads = (4, key_heads, key_heads)
        q, k, v = (torch.randn(2, h, 6, 4, generator=generator, requires_grad=True) for h in heads)
        out = way(q, k, v)
        out.square().sum().backward()
        results.append([out.detach(), q.grad, k.grad, v.grad])
    for result in results[1:]:
        for one, other in zip(results[0], result, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_rms_norm_in_bfloat16_keeps_its_type() -> None:
    x = torch.randn(3, 8, generator=torch.Generator().manual_seed(0)).bfloat16().requires_grad_()
    weight = torch.ones(8, requires_grad=True)
    out = rms_norm(x, weight, 1e-6)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), rms_norm.plain(x.float(), weight, 1e-6), atol=2e-2, rtol=2e-2)
    out.float().square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_rotation_depends_on_distance_alone() -> None:
    position = torch.arange(40)[None]
    cos, sin = rotary_table(position, 8, 100.0)
    q, k = torch.randn(8), torch.randn(8)
    x = torch.stack([q, k]).expand(1, 40, 2, 8)[:, :, :, None, :]
    turned = rotate(x, cos, sin)[0, :, :, 0]  # (40, 2, 8)
    scores = turned[:, 0] @ turned[:, 1].T
    for distance in (-7, 0, 3):
        diagonal = scores.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(scores[0, 5], scores[0, 9])
