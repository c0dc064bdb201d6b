"""Computing a last layer only where its output is wanted (docs/decisions/0004).

A masked-LM head reads 15 % of the positions. In the last block every token still gives a key and a value, but a
query, an output projection and a feed-forward network are needed at those positions alone: with 4 layers this
saves about a sixth of all arithmetic, and changes no number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn

from polyseme.layers.attention import rotate, split_heads
from polyseme.layers.linear import linear


@dataclass(frozen=True, slots=True)
class Rows:
    """The tokens whose next hidden state is wanted: all, or some positions arranged so that every row has equally many.

    Args:
        positions: flat positions, None = all.
        slots: the same by row; rows with fewer repeat one of their tokens.
        kept: which of the B·Q slots are the positions, in the order they were asked for.

    Shapes:  positions: (P,).  slots: (B, Q).  kept: (P,).  Of all tokens, Q is T below.
    """

    positions: Tensor | None = None
    slots: Tensor | None = None
    kept: Tensor | None = None

    @classmethod
    def of(cls, positions: Tensor | None, shape: torch.Size) -> Self:
        """Arrange flat positions of a (B, T) batch.  Shapes: positions: (P,)"""
        if positions is None:
            return cls()
        rows, length = shape
        order = positions.argsort()
        row = positions[order] // length
        counts = torch.bincount(row, minlength=rows)
        width = max(1, int(counts.max())) if len(positions) else 1
        starts = counts.cumsum(0) - counts
        column = torch.arange(len(positions), device=positions.device) - starts[row]
        slots = (torch.arange(rows, device=positions.device) * length)[:, None].repeat(1, width)
        slots[row, column] = positions[order]
        kept = torch.empty_like(positions)
        kept[order] = row * width + column
        return cls(positions, slots, kept)

    def of_last(self, blocks: nn.ModuleList) -> Sequence[Callable[..., Tensor]]:
        """The blocks, of which the last is asked for these rows only."""
        return [*blocks[:-1], partial(blocks[-1], rows=self)]

    def pick(self, h: Tensor) -> Tensor:
        """Their hidden states: (B, T, d) -> (B, Q, d)"""
        if self.slots is None:
            return h
        return h.reshape(-1, h.size(-1)).index_select(0, self.slots.reshape(-1)).view(*self.slots.shape, -1)

    def pick_mask(self, mask: Tensor | None) -> Tensor | None:
        """Their rows of an attention mask: (B, 1, T, T) -> (B, 1, Q, T)"""
        if mask is None or self.slots is None:
            return mask
        b, _, t, _ = mask.shape
        return mask.reshape(b * t, t).index_select(0, self.slots.reshape(-1)).view(b, 1, -1, t)

    def flat(self, h: Tensor) -> Tensor:
        """What was asked for, in that order: (B, Q, d) -> (P, d), or unchanged where all were."""
        return h if self.kept is None else h.reshape(-1, h.size(-1)).index_select(0, self.kept)

    def project(
        self, query_key_value: nn.Linear, h: Tensor, heads: int, rotary: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries of these rows, keys and values of all, from one stacked matrix; turned by `rotary` where given.

        Shapes:  h: (B, T, d) -> q: (B, H, Q, D), k and v: (B, H, T, D)
        """
        b, t, d = h.shape
        if self.slots is None:
            return split_heads(query_key_value(h).view(b, t, 3, heads, -1), rotary)
        weight = query_key_value.weight
        bias: Tensor | None = query_key_value.bias
        of_q, of_kv = (None, None) if bias is None else (bias[:d], bias[d:])
        kv = linear(h, weight[d:], of_kv).view(b, t, 2, heads, -1)
        q = linear(self.pick(h), weight[:d], of_q).view(b, -1, 1, heads, d // heads)
        if rotary is None:
            k, v = kv.permute(2, 0, 3, 1, 4)
            return q[:, :, 0].transpose(1, 2), k, v
        angles: list[Any] = [self.pick(table.view(b, t, -1))[:, :, None, None] for table in rotary]
        k = rotate(kv[:, :, :1], *rotary)[:, :, 0].transpose(1, 2)
        return rotate(q, *angles)[:, :, 0].transpose(1, 2), k, kv[:, :, 1].transpose(1, 2)


ALL = Rows()
