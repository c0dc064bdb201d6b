"""Scaled dot-product attention among the tokens of one example, and rotary positions.

The masks here are the only thing that keeps packed examples apart.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from polyseme.core.types import Batch


def example_mask(batch: Batch) -> Tensor | None:
    """Which pairs of tokens belong to the same example, or None where all pairs of a row do.

    Shapes:  -> (B, 1, T, T) boolean, True = may attend. Padding attends to padding, so no row is empty.
    """
    if not batch.packed:
        return None
    return (batch.segment[:, :, None] == batch.segment[:, None, :]).unsqueeze(1)


def window_mask(batch: Batch, window: int, mask: Tensor | None) -> Tensor | None:
    """Narrow a mask to tokens at most `window` positions apart, on either side.

    Shapes:  mask: (B, 1, T, T) or None -> the same, or None where nothing is hidden.
    Source:  Beltagy et al. (2020), section 3.1, the sliding window.
    """
    if batch.ids.size(1) <= window + 1:
        return mask
    distance = (batch.position[:, :, None] - batch.position[:, None, :]).abs().unsqueeze(1)
    near = distance <= window
    return near if mask is None else near & mask


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Weigh values by the softmax of scaled query-key products, with torch's fused kernel.

        out = softmax(q kᵀ / √D + mask) v

    Shapes:  q, k, v: (B, H, T, D).  mask: (B, 1, T, T) boolean -> out: (B, H, T, D)
    Source:  Vaswani et al. (2017), equation 1.
    """
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)


def attend_plain(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`attend` written out, which also gives the attention probabilities.

    Shapes:  q, k, v: (B, H, T, D).  mask: (B, 1, T, T) -> out: (B, H, T, D), probabilities: (B, H, T, T)
    Source:  Vaswani et al. (2017), equation 1.
    """
    scores = q @ k.transpose(-1, -2) / q.size(-1) ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    probabilities = torch.softmax(scores.float(), dim=-1).to(q.dtype)
    return probabilities @ v, probabilities


def rotary_table(position: Tensor, head_size: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of position × frequency, for `rotate`.

        angle(t, i) = t · θ^(-2i/D),  i = 0 … D/2 - 1

    Shapes:  position: (B, T) -> cos, sin: (B, T, 1, 1, D); the sine's first half is negated.
    Source:  Su et al. (2021), equation 15.
    """
    half = torch.arange(0, head_size, 2, dtype=torch.float32, device=position.device) / head_size
    angle = position[..., None].float() * theta**-half
    cos, sin = angle.cos(), angle.sin()
    return (
        torch.cat([cos, cos], dim=-1)[:, :, None, None, :],
        torch.cat([-sin, sin], dim=-1)[:, :, None, None, :],
    )


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (xᵢ, xᵢ₊D/2) by its position's angle, so that products depend on distances.

    Shapes:  x: (B, T, 2, H, D), queries and keys at once.  cos, sin: (B, T, 1, 1, D) -> the same shape as x
    Source:  Su et al. (2021), equation 34, with the halves convention of the common implementations.
    """
    first, second = x.chunk(2, dim=-1)
    return (x * cos + torch.cat([second, first], dim=-1) * sin).to(x.dtype)
