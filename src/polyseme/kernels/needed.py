"""Computing a last layer only where its output is needed.

A masked-LM head reads 15 % of the positions. In the last block every token still gives a key and a value, but a
query, an output projection and a feed-forward network are needed at those positions alone: with 4 layers this
saves about a sixth of all arithmetic, and changes no number.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Needed:
    """Positions of a batch, arranged so that every row has equally many.

    Args:
        slots: flat positions by row; rows with fewer repeat one of their tokens.
        keep: which of the B·Q slots are the wanted positions, in the order they were asked for.

    Shapes:  slots: (B, Q).  keep: (P,)
    """

    slots: Tensor
    keep: Tensor

    @classmethod
    def of(cls, positions: Tensor, shape: torch.Size) -> Needed:
        """Arrange flat positions of a (B, T) batch.  Shapes: positions: (P,)"""
        rows, length = shape
        order = positions.argsort()
        row = positions[order] // length
        counts = torch.bincount(row, minlength=rows)
        width = max(1, int(counts.max())) if len(positions) else 1
        starts = counts.cumsum(0) - counts
        column = torch.arange(len(positions), device=positions.device) - starts[row]
        slots = (torch.arange(rows, device=positions.device) * length)[:, None].repeat(1, width)
        slots[row, column] = positions[order]
        keep = torch.empty_like(positions)
        keep[order] = row * width + column
        return cls(slots, keep)

    def rows_of(self, h: Tensor) -> Tensor:
        """Pick the slots out of a hidden state: (B, T, d) -> (B, Q, d)"""
        return h.reshape(-1, h.size(-1)).index_select(0, self.slots.reshape(-1)).view(*self.slots.shape, -1)

    def rows_of_mask(self, mask: Tensor | None) -> Tensor | None:
        """Pick the slots' rows out of an attention mask: (B, 1, T, T) -> (B, 1, Q, T)"""
        if mask is None:
            return None
        b, _, t, _ = mask.shape
        return mask.reshape(b * t, t).index_select(0, self.slots.reshape(-1)).view(b, 1, -1, t)

    def wanted(self, h: Tensor) -> Tensor:
        """What was asked for, in that order: (B, Q, d) -> (P, d)"""
        return h.reshape(-1, h.size(-1)).index_select(0, self.keep)
