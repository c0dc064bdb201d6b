"""Heads that begin by looking at a neighbour, so that training does not have to discover where neighbours are.

With learned positions from a random start no head can tell a token's neighbours from the other tokens, and a post-norm
encoder spends its first minutes on the plateau where it predicts word frequency. How weights start is no part of a
format, so the table of positions may start as waves, and heads of the first layers as matched filters for one distance:

    p_t = √2 σ [cos ω_f t, sin ω_f t] repeated over the width,   ω_f = π ((f + ½) / n)^¾,   f = 0 … n - 1, n = D / 2
    W_q += s Π,   W_k += s R_h Π,   R_h turns pair f by -ω_f δ_h

where Π takes the mean of the repeats, σ is the deviation of the embeddings' random start, and head h has the offset
δ_h. The waves reach a layer with the amplitude A, which random texts tell, and the query at i scores position j

    q_i · k_j / √D ≈ s² A² / √D · Σ_f cos ω_f (j - i - δ_h),      at most PEAK, where j = i + δ_h

The exponent ¾ keeps the frequencies from having a common period, at which a second token would be as high. Values,
outputs, feed-forward parts and later layers start as ever.

Source:  waves as positions: Vaswani et al. (2017), section 3.5; the start of queries and keys is ours (docs/LOG.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count, islice
from typing import Protocol

import torch
from torch import Tensor, nn

from polyseme.core.protocols import Encoder
from polyseme.core.types import Batch, Reach
from polyseme.errors import ConfigError

__all__ = ["check_can_start_at_neighbours", "offsets", "start_at_neighbours", "waves"]

LAYERS = 2
TEXTS, LENGTH = 16, 128
PEAK = 7.0
"""Score of the neighbour: it gets nine tenths of the attention in a text of 128 tokens."""


class _Block(Protocol):
    heads: int
    query_key_value: nn.Linear


def start_at_neighbours(encoder: Encoder) -> None:
    """Write the waves and add the filters; see the head of this file.

    Args:
        encoder: with fresh weights, or whose token embeddings have been started.
    Raises:  ConfigError: it has no learned positions.
    """
    check_can_start_at_neighbours(encoder)
    positions: nn.Embedding = encoder.position_embeddings  # type: ignore[attr-defined]
    blocks: list[_Block] = list(encoder.blocks)[:LAYERS]  # type: ignore[attr-defined]
    size = positions.embedding_dim // blocks[0].heads
    pairs = size // 2
    table = positions.weight
    with torch.no_grad():
        wave = waves(len(table), pairs)
        width = table.size(1) // wave.size(1) * wave.size(1)
        table[:, :width] = float(table.std()) * math.sqrt(2) * wave.repeat(1, width // wave.size(1))
        mean = torch.eye(2 * pairs).repeat(1, width // wave.size(1)) * wave.size(1) / width  # Π: (2n, width)
        for layer, block in enumerate(blocks):
            weight = block.query_key_value.weight
            query, key, _ = weight.view(3, block.heads, size, -1)
            amplitude = _amplitude(_inputs(encoder, layer)[..., :width] @ mean.T, wave)
            filters = math.sqrt(PEAK * math.sqrt(size) / pairs) / amplitude * mean
            for head, offset in enumerate(islice(offsets(encoder.reach), block.heads)):
                query[head, : 2 * pairs, :width] += filters
                key[head, : 2 * pairs, :width] += _turned(filters, -offset)


def check_can_start_at_neighbours(encoder: object) -> None:
    """Refuse encoders, or classes of them, whose table of positions is not learned.

    Raises:  ConfigError: as `learned_positions` says.
    """
    if not getattr(encoder, "learned_positions", False):
        raise ConfigError(
            "only a model with learned positions can start by looking at neighbours",
            expected="bert, ernie or gpt",
            where="train.attention_start",
            fix="--set train.attention_start=random",
        )


def _inputs(encoder: Encoder, layer: int) -> Tensor:
    """What a layer's queries are made of, for random texts.  Shapes: -> (TEXTS, T, width)"""
    vocabulary, length = encoder.token_embedding().num_embeddings, min(LENGTH, encoder.max_length)
    ids = torch.randint(vocabulary, (TEXTS, length), generator=torch.Generator().manual_seed(0))
    zero = torch.zeros_like(ids)
    first = torch.arange(TEXTS) * length
    batch = Batch(ids, zero + 1, torch.arange(length).expand_as(ids), zero, first, packed=False)
    encoder.eval()
    states = encoder.encode(batch, keep="all").layers[layer]
    encoder.train()
    pre_norm = getattr(encoder, "pre_norm_decoder", False)
    return encoder.blocks[layer].attention_norm(states) if pre_norm else states  # type: ignore[attr-defined]


def _amplitude(projected: Tensor, wave: Tensor) -> float:
    """A of the head of this file, by regression on the waves.  Shapes: (B, T, 2n), (P, 2n) with P ≥ T"""
    wave = wave[: projected.size(1)]
    return float((projected * wave).mean() / wave.square().mean())


def waves(length: int, pairs: int) -> Tensor:
    """Cosines and sines of every position.  Shapes: -> (length, 2 · pairs), cosines first"""
    angle = torch.arange(length)[:, None] * _frequencies(pairs)
    return torch.cat([angle.cos(), angle.sin()], dim=1)


def offsets(reach: Reach) -> Iterator[int]:
    """Which neighbour each head looks at: -1, +1, -2, +2 … from both sides, or -1, -2, -3 … from the left alone."""
    if reach == "left":
        return count(-1, -1)
    return ((i // 2 + 1) * (1 if i % 2 else -1) for i in count())


def _frequencies(pairs: int) -> Tensor:
    return math.pi * ((torch.arange(pairs) + 0.5) / pairs) ** 0.75


def _turned(rows: Tensor, by: int) -> Tensor:
    """Pairs of rows turned by `by` positions.  Shapes: (2n, W) -> (2n, W)"""
    cosine, sine = rows.chunk(2)
    angle = (by * _frequencies(len(cosine)))[:, None]
    return torch.cat([cosine * angle.cos() - sine * angle.sin(), cosine * angle.sin() + sine * angle.cos()])
