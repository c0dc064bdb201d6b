"""Texts that are being continued: their tokens, the decoder's cache, and a new window when a text outgrows the model.

    row = [PAD] … [PAD] [CLS] t₁ t₂ … tₙ        left-padded, so that the next token of every row is one column

A model reads at most `max_length` tokens. When a text grows past that, its last ⌊max_length / 2⌋ tokens become the new
window: one re-encoding for half a window of new tokens. It begins without [CLS], which stands for the beginning of a
text, as the stretches of long documents do in training. `score` cuts long texts by the same rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from polyseme.core.pauses import pause
from polyseme.core.protocols import DecodingEncoder, TokenHead
from polyseme.data.examples import SpecialTokens
from polyseme.infer.hidden import reader
from polyseme.kernels.step import MOST_ROWS, Step
from polyseme.kernels.team import torch_alone

__all__ = ["Contexts", "kept"]


def kept(max_length: int) -> int:
    """The number of last tokens that go into the next window when a text outgrows its window."""
    return max(1, max_length // 2)


class Contexts:
    """Rows of text and the logits of each row's next token, computed one column at a time.

    Args:
        encoder: a decoder with `new_cache` and `decode`.
        head: its causal_lm head.
        special: id of [PAD].
        windows: token ids of each text, [CLS] in front, at most the model's `max_length` of them.
        steps: how many tokens will be added at most.
    """

    def __init__(
        self,
        encoder: DecodingEncoder,
        head: TokenHead,
        special: SpecialTokens,
        windows: Sequence[Sequence[int]],
        steps: int,
    ) -> None:
        self._encoder, self._head, self._special = encoder, head, special
        self._max_length = int(encoder.max_length)
        self._device = next(encoder.parameters()).device
        self._fast = Step.serves(encoder, head)
        self._steps = steps
        self._encode(windows)

    def __len__(self) -> int:
        return self._ids.size(0)

    def _encode(self, windows: Sequence[Sequence[int]]) -> None:
        """Read whole windows into a new cache."""
        lengths = torch.tensor([len(window) for window in windows])
        width = int(lengths.max())
        self._left = self._max_length - width  # columns until the longest row outgrows its window
        capacity = width + min(self._left, self._steps)
        ids = torch.full((len(windows), capacity), self._special.pad)
        for row, window in enumerate(windows):
            ids[row, width - len(window) : width] = torch.tensor(window)
        self._ids, self._width = ids.to(self._device), width
        self._start = (width - lengths).to(self._device)  # (R,) first real column of each row
        padded = bool((lengths < width).any())
        self._cache = self._encoder.new_cache(len(windows), capacity, self._start if padded else None)
        hidden = reader(self._encoder).decode(self._ids[:, :width], self._cache)[:, -1]
        self._step = Step(self._encoder, self._head, self._cache) if self._fast else None
        self._logits: Tensor = self._head.logits(hidden).float()

    def logits(self) -> Tensor:
        """Scores of every row's next token: (R, V), float32; `push` may write the next ones over them."""
        return self._logits

    def between_steps(self) -> AbstractContextManager[None]:
        """Where the next tokens are chosen: keeps torch's helpers out of the way of the threads that step."""
        return torch_alone() if self._step is not None and self._step.threads > 1 else nullcontext()

    def push(self, ids: Tensor) -> None:
        """Add one token to every row.  Shapes: ids: (R,)"""
        pause()
        self._steps -= 1
        if not self._left:
            self._slide(ids)
            return
        self._ids[:, self._width] = ids
        self._width += 1
        self._left -= 1
        if self._step is not None and len(ids) <= MOST_ROWS:
            self._logits = self._step.logits(ids)
        else:
            self._logits = self._head.logits(self._encoder.decode(ids[:, None], self._cache)[:, -1]).float()

    def _slide(self, ids: Tensor) -> None:
        """Add one token when the longest row is full: full rows keep their last tokens, the others all of theirs."""
        rows = torch.cat([self._ids[:, : self._width], ids[:, None]], dim=1).tolist()
        windows = [row[start:] for row, start in zip(rows, self._start.tolist(), strict=True)]
        most = self._max_length
        self._encode([window[-kept(most) :] if len(window) > most else window for window in windows])

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order; a row may be named several times or not at all.  Shapes: rows: (N,)"""
        self._ids, self._start, self._logits = self._ids[rows], self._start[rows], self._logits[rows]
        self._cache.reorder(rows)
