"""Keys and values that a decoder keeps, so that a new token costs one token's work."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from polyseme.core.arrays import IntArray
from polyseme.core.protocols import DecodingEncoder
from polyseme.errors import InputError


class KeyValueCache:
    """Keys and values of every layer for the tokens read so far, in slots that are set aside once.

    A forward pass over `n` new tokens asks `positions(n)` and `view(n)`, calls `append` once in every layer, and
    ends with `advance(n)`: only that moves `length`. Rows of different lengths end in the same slot: the shorter ones
    begin later, after hidden slots (left padding), and `start` says where.

    Args:
        layers: layers of the decoder.
        rows: sequences that are read side by side.
        heads: key-value heads of a layer.
        capacity: slots of a row.
        head_size: size of a head.
        start: each row's first real slot; None = 0 for all.
        positions: how many tokens of a text the decoder can read; None = any number.
    Attributes:
        length: slots in use, the same in all rows.
    Shapes:  start: (B,)
    Raises:  InputError: the decoder has fewer positions than `capacity`.
    """

    def __init__(
        self,
        layers: int,
        rows: int,
        heads: int,
        capacity: int,
        head_size: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        start: Tensor | None = None,
        positions: int | None = None,
    ) -> None:
        if positions is not None and capacity > positions:
            raise InputError(
                "the model has fewer positions",
                got=f"{capacity:,} tokens",
                expected=f"at most {positions:,}",
                fix="a shorter text or fewer new tokens",
            )
        shape = (layers, rows, heads, capacity, head_size)
        self._keys = torch.empty(shape, dtype=dtype, device=device)
        self._values = torch.empty(shape, dtype=dtype, device=device)
        self.start = start.to(device) if start is not None and bool(start.any()) else None
        self.capacity, self.length = capacity, 0

    @property
    def rows(self) -> int:
        """Sequences side by side."""
        return self._keys.size(1)

    def positions(self, n_new: int) -> Tensor:
        """Places of the next tokens in their own sequences; 0 in hidden slots.

        Shapes:  -> (B, n_new)
        Raises:  InputError: they do not fit.
        """
        if self.length + n_new > self.capacity:
            raise InputError(
                "the text grows longer than the room that was set aside",
                got=f"{self.length + n_new:,} tokens",
                expected=f"at most {self.capacity:,}",
                fix="a shorter text or fewer new tokens",
            )
        slots = torch.arange(self.length, self.length + n_new, device=self._keys.device)
        if self.start is None:
            return slots.expand(self.rows, n_new)
        return (slots - self.start[:, None]).clamp(min=0)

    def view(self, n_new: int) -> tuple[Tensor | None, bool]:
        """What the next tokens may attend to, in the cheapest form: a mask, or that causal order is enough."""
        if self.start is None and (n_new == 1 or self.length == 0):
            return None, n_new > 1
        return self.mask(n_new), False

    def mask(self, n_new: int) -> Tensor | None:
        """Which slots the next tokens may attend to: those up to their own, from their row's start on.

        A hidden slot attends to itself alone, so that no row of the mask is empty.

        Shapes:  -> (B, 1, n_new, length + n_new) boolean, or None where one token sees every slot
        """
        if self.start is None and n_new == 1:
            return None
        device, total = self._keys.device, self.length + n_new
        slot = torch.arange(total, device=device)
        new = slot[self.length :, None]  # (n_new, 1)
        seen = (slot <= new)[None]  # (1, n_new, T)
        if self.start is not None:
            seen = (seen & (slot >= self.start[:, None, None])) | (slot == new)
        return seen.expand(self.rows, n_new, total)[:, None]

    def nearby(self, n_new: int, window: int) -> tuple[Tensor | None, bool]:
        """`view` narrowed to the slots at most `window` before a token's own."""
        total = self.length + n_new
        if total <= window + 1:
            return self.view(n_new)
        slot = torch.arange(total, device=self._keys.device)
        ahead = slot[self.length :, None] - slot  # (n_new, T)
        near = (ahead >= 0) & (ahead <= window)
        seen = self.mask(n_new)
        return (near[None, None] if seen is None else near & seen), False

    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Write one layer's keys and values of the new tokens; `length` stays until `advance`.

        Shapes:  k, v: (B, H, n_new, D) -> (B, H, length + n_new, D), views of everything so far
        """
        end = self.length + k.size(2)
        keys, values = self._keys[layer], self._values[layer]
        keys[:, :, self.length : end] = k
        values[:, :, self.length : end] = v
        return keys[:, :, :end], values[:, :, :end]

    def addresses(self) -> tuple[IntArray, IntArray]:
        """Where each layer's keys and values begin in memory, (rows, heads, capacity, head_size) each; for kernels."""
        layer = np.arange(self._keys.size(0)) * (self._keys[0].numel() * self._keys.element_size())
        return self._keys.data_ptr() + layer, self._values.data_ptr() + layer

    def advance(self, n_new: int) -> None:
        """End a forward pass over so many new tokens."""
        self.length += n_new

    def reorder(self, index: Tensor) -> None:
        """Let row i go on from what row index[i] holds, as beams do; the number of rows may change.

        Shapes:  index: (B',)
        """
        if index.numel() == self.rows:
            used = slice(0, self.length)
            if not torch.equal(index, torch.arange(self.rows, device=index.device)):
                self._keys[:, :, :, used] = self._keys[:, index, :, used]
                self._values[:, :, :, used] = self._values[:, index, :, used]
        else:
            self._keys, self._values = self._keys.index_select(1, index), self._values.index_select(1, index)
        if self.start is not None:
            self.start = self.start[index]

    def truncate(self, length: int) -> None:
        """Forget everything after the first `length` slots."""
        self.length = min(self.length, length)


def cache_for(
    encoder: DecodingEncoder, rows: int, capacity: int, start: Tensor | None = None
) -> KeyValueCache:
    """The cache that an encoder's `new_cache` gives, by the names of config.json.

    Args:
        encoder: a model of models/; its norms have the type of keys and values.
        start: each row's first real slot, where rows are padded on the left.
    Shapes:  start: (B,)
    Raises:  InputError: the model has fewer positions.
    """
    c, weight = encoder.config, next(p for p in encoder.parameters() if p.ndim == 1)
    heads = c.num_attention_heads
    return KeyValueCache(
        c.num_hidden_layers, rows, getattr(c, "num_key_value_heads", heads), capacity,
        getattr(c, "head_size", c.hidden_size // heads),
        dtype=weight.dtype, device=weight.device, start=start, positions=encoder.max_length,
    )  # fmt: skip
