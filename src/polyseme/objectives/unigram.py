"""Unigram: how often each word of the vocabulary occurs, and nothing else.

    loss = -Σ_t log p(w_t),        p(w) = (count(w) + 1) / (N + V)

It is what a 1-of-N encoding can learn: the loss is the baseline that every other model is measured against.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from polyseme.core.config import Config
from polyseme.core.entries import ObjectiveEntry
from polyseme.core.protocols import Encoder, Span
from polyseme.data.store import TokenStore
from polyseme.objectives.masked_lm import log_unigram

SPAN = 1 << 20
"""Tokens counted in a step."""

BLOCKS = 40
"""Enough that a loss's interval is hardly wider than with more, few enough that each holds tokens of several texts."""


class UnigramConfig(Config):
    """Section [unigram]: it has no settings."""


class UnigramHead(nn.Module):
    """Counts of the vocabulary.  Shapes:  counts: (vocab_size,)"""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        counts = torch.zeros(encoder.config.vocab_size, dtype=torch.int64)
        self.counts = nn.Parameter(counts, requires_grad=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Log probability of each token, whatever its context.  Shapes:  (N,) -> (N,)"""
        return log_unigram(self.counts)[ids]


class UnigramLearner:
    """Counts the training text once; see `CorpusLearner`."""

    def __init__(
        self, encoder: Encoder, config: UnigramConfig, *, train: TokenStore, valid: TokenStore,
        heldout_tokens: int, **_: Any,
    ) -> None:  # fmt: skip
        self.head = UnigramHead(encoder)
        self._train, self._valid, self._heldout_tokens = train, valid, heldout_tokens
        self._done = 0
        self.tokens_per_step = float(min(SPAN, max(1, train.n_tokens)))
        self.steps_per_epoch = float(max(1, -(-train.n_tokens // SPAN)))
        self.n_parameters = int(encoder.config.vocab_size)

    @property
    def finished(self) -> bool:
        """Whether the whole text is counted."""
        return self._done >= self._train.n_tokens

    def stream(self, step: int, progress: Callable[[int], float]) -> Iterator[Span]:
        """Consecutive spans of the training text, then empty ones."""
        while True:
            start = min(step * SPAN, self._train.n_tokens)
            yield Span(start, min(start + SPAN, self._train.n_tokens))
            step += 1

    def step(self, batches: Sequence[Span], progress: float) -> dict[str, float]:
        """Count the tokens of the spans."""
        counts = self.head.counts
        for span in batches:
            counted = np.bincount(self._train.tokens[span.start : span.end], minlength=len(counts))
            counts.add_(torch.from_numpy(counted.astype(np.int64)))
            self._done = max(self._done, span.end)
        return {"words_seen": float((counts > 0).sum())}

    def evaluate(self, batches: Sequence[Any]) -> dict[str, float]:
        """unigram_loss and unigram_baseline, equal once all is counted."""
        tokens = heldout_tokens(self._valid, self._heldout_tokens)
        ids = torch.from_numpy(np.asarray(self._valid.tokens)[tokens].astype(np.int64))
        known = torch.from_numpy(np.array(self._train.counts))
        return {
            "unigram_loss": float(-self.head(ids).double().mean()),
            "unigram_baseline": float(-log_unigram(known)[ids].double().mean()),
        }

    def weights(self) -> dict[str, Tensor]:
        """The counts."""
        return {"heads.unigram.counts": self.head.counts.detach().clone()}

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on counting from another text's counts."""
        self.head.counts.copy_(tensors["heads.unigram.counts"])

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The counts, and how far the text is counted."""
        return self.weights(), {"done": self._done}

    def load_state_dict(self, tensors: Mapping[str, Tensor], extra: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.load_weights(tensors)
        self._done = int(extra["done"])


def heldout_tokens(store: TokenStore, most: int, block: int = 256) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Positions of held-out tokens to score: all, or blocks spread evenly over the text, `most` in all at most."""
    if store.n_tokens <= most:
        return np.arange(store.n_tokens)
    n_blocks = max(1, most // block)
    starts = np.linspace(0, store.n_tokens - min(block, most), n_blocks).astype(np.int64)
    return np.unique((starts[:, None] + np.arange(min(block, most))).ravel())


def block_sums(losses: npt.ArrayLike) -> list[tuple[float, float]]:
    """Sum and number of each block of text, of learners that compute held-out losses token by token.

    Args:
        losses: of the held-out tokens in the order of the text.
    Shapes:  losses: (N,)
    """
    values = np.asarray(losses, np.float64)
    return [(float(part.sum()), len(part)) for part in np.array_split(values, BLOCKS) if len(part)]


ENTRY = ObjectiveEntry(config=UnigramConfig, learner=UnigramLearner, head=UnigramHead, neighbours=False)
