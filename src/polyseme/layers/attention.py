"""Scaled dot-product attention among the tokens of one example, and rotary positions.

The masks here are the only thing that keeps packed examples apart.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from polyseme.core.types import Batch
from polyseme.kernels import attention as kernel
from polyseme.kernels.twins import faster, on_cpus
from polyseme.layers.dropout import drawn, drop


def example_mask(batch: Batch) -> Tensor | None:
    """Which pairs of tokens belong to the same example, or None where all pairs of a row do.

    Shapes:  -> (B, 1, T, T) boolean, True = may attend. Padding attends to padding, so no row is empty.
    """
    if not batch.packed:
        return None
    return (batch.segment[:, :, None] == batch.segment[:, None, :]).unsqueeze(1)


def causal_mask(batch: Batch) -> Tensor | None:
    """Which tokens come before or at another in the same example, or None where each row is one example.

    Shapes:  -> (B, 1, T, T) boolean, True = may attend. Padding attends to padding, so no row is empty.
    """
    mask = example_mask(batch)
    if mask is None:
        return None
    return mask & (batch.position[:, :, None] >= batch.position[:, None, :]).unsqueeze(1)


def window_mask(batch: Batch, window: int, mask: Tensor | None) -> Tensor | None:
    """Narrow a mask to tokens at most `window` positions apart: on either side, or of a causal batch before.

    Shapes:  mask: (B, 1, T, T) or None -> the same, or None where nothing more is hidden.
    Source:  Beltagy et al. (2020), section 3.1, the sliding window.
    """
    if not torch.compiler.is_exporting() and batch.ids.size(1) <= window + 1:  # an export serves every length
        return mask
    ahead = (batch.position[:, :, None] - batch.position[:, None, :]).unsqueeze(
        1
    )  # of the query, before the key
    near = (ahead >= 0) & (ahead <= window) if batch.causal else ahead.abs() <= window
    return near if mask is None else near & mask


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    causal: bool = False,
) -> Tensor:
    """Weigh values by the softmax of scaled query-key products, by whichever kernel is fastest.

        out = softmax(q kᵀ / √D + mask) v

    `attend_fused`; on CPUs with dropout, for which torch has no fused kernel, and in bfloat16, where its backward pass
    is several times slower than the plain products (docs/LOG.md), `attend_dropped`. With `causal`, in place of a mask,
    token i sees tokens 0 … i. Queries may have several times as many heads as keys and values; neighbours then share
    (Ainslie et al. 2023, section 2.2).

    Shapes:  q: (B, H, Q, D).  k, v: (B, H / share, T, D).  mask: (B, 1, Q, T) boolean -> out: (B, H, Q, D)
    Source:  Vaswani et al. (2017), equation 1.
    """
    if dropout == 0.0 and not (q.device.type == "cpu" and _computes_in_bfloat16(q)):
        return attend_fused(q, k, v, mask, causal)
    k, v = _for_every_query_head(q, k), _for_every_query_head(q, v)
    if kernel.can_drop(q):
        if causal:
            before = torch.ones(q.size(2), k.size(2), dtype=torch.bool).tril()
            mask = before.expand(q.size(0), 1, -1, -1)
        shape = (*q.shape[:-1], k.size(-2))
        return attend_dropped(q, k, v, mask, *(drawn(shape, dropout) if dropout > 0.0 else ()))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=causal)


@faster(kernel.attend_fused, kernel.can_attend)
def attend_fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
    """`attend` without dropout, by torch's fused kernel.

    Shapes:  q: (B, H, Q, D).  k, v: (B, H / share, T, D).  mask: (B, 1, Q, T) boolean -> out: (B, H, Q, D)
    """
    k, v = _for_every_query_head(q, k), _for_every_query_head(q, v)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)


def _for_every_query_head(q: Tensor, k: Tensor) -> Tensor:
    share = q.size(1) // k.size(1)
    return k if share == 1 else k.repeat_interleave(share, dim=1)


def _computes_in_bfloat16(q: Tensor) -> bool:
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu") == torch.bfloat16
    return q.dtype == torch.bfloat16


def attend_plain(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, causal: bool = False
) -> tuple[Tensor, Tensor]:
    """`attend` written out, which also gives the attention probabilities.

    Shapes:  q: (B, H, Q, D).  k, v: (B, H / share, T, D).  mask: (B, 1, Q, T)
             -> out: (B, H, Q, D), probabilities: (B, H, Q, T)
    Source:  Vaswani et al. (2017), equation 1.
    """
    k, v = _for_every_query_head(q, k), _for_every_query_head(q, v)
    if causal:
        mask = torch.ones(q.size(2), k.size(2), dtype=torch.bool, device=q.device).tril()
    scores = q @ k.transpose(-1, -2) / q.size(-1) ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    probabilities = torch.softmax(scores, dim=-1, dtype=torch.float32).to(v.dtype)
    return probabilities @ v, probabilities


@faster(kernel.attend_dropped, kernel.can_drop)
def attend_dropped(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropped: Tensor | None = None, scale: float = 1.0
) -> Tensor:
    """Attention in which some of the probabilities are dropped, or none.

        out = (softmax(q kᵀ / √D + mask) ∘ keep / (1 - p)) v

    Shapes:  q: (B, H, Q, D).  k, v: (B, H, T, D).  mask: (B, 1, Q, T) boolean.  dropped: (B, H, Q, T)
             -> (B, H, Q, D)
    """
    scores = q @ k.transpose(-1, -2) / q.size(-1) ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    probabilities = torch.softmax(scores, dim=-1)
    return (probabilities if dropped is None else drop(probabilities, dropped, scale)) @ v


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


@faster(kernel.rotate, on_cpus)
def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (xᵢ, xᵢ₊D/2) by its position's angle, so that products depend on distances.

    Shapes:  x: (B, T, 2, H, D), queries and keys at once.  cos, sin: (B, T, 1, 1, D) -> the same shape as x
    Source:  Su et al. (2021), equation 34, with the halves convention of the common implementations.
    """
    first, second = x.chunk(2, dim=-1)
    return x * cos.to(x.dtype) + torch.cat([second, first], dim=-1) * sin.to(x.dtype)


@faster(kernel.split_heads, kernel.splits)
def split_heads(qkv: Tensor, rotary: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of every head from one stacked matrix; the first two turned by `rotary` where given.

    Shapes:  qkv: (B, T, 3, H, D) -> each (B, H, T, D)
    """
    if rotary is None:
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        return q, k, v
    q, k = rotate(qkv[:, :, :2], *rotary).permute(2, 0, 3, 1, 4)
    return q, k, qkv[:, :, 2].transpose(1, 2)
