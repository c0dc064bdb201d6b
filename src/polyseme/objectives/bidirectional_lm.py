"""Bidirectional language modelling: the next word from the left, the word before from the right.

Paper: Peters et al. (2018), section 3.1.

    loss = -Σ_t log softmax(W f_{t-1} + b)[w_t] + log softmax(W g_{t+1} + b)[w_t]

f is the forward half of a hidden state, g the backward half; W and b serve both. Every word of an example is
predicted once from each side, the first from [CLS] alone and the last from [SEP] alone; separators are never
predicted. All words without an entry of their own are one class, [UNK], and count as any other.

Training may replace the softmax by a sample of the classes (layers/cross_entropy.py); what is reported is always the
full softmax.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from polyseme.core.arrays import IntArray
from polyseme.core.config import Config
from polyseme.core.entries import ObjectiveEntry
from polyseme.core.protocols import Encoder
from polyseme.core.rng import Random
from polyseme.core.types import Batch, Encoding
from polyseme.data.examples import SpecialTokens
from polyseme.data.loader import Rows
from polyseme.errors import ConfigError
from polyseme.layers.cross_entropy import cross_entropy_sum, log_uniform, sampled_cross_entropy_sum
from polyseme.layers.linear import linear


class BidirectionalLMConfig(Config):
    """Section [bidirectional_lm] of a recipe.

    Args:
        samples: draws of the sampled softmax; 0 = the full softmax. With as many draws as classes it is full, too.
        softmax_size: predict the first so many ids only, the rest as [UNK]; None = all. (Ids of kind `words` are in
            the order of frequency.)
        tied: the softmax's weights are the input's table of words, where the encoder has one.
        bias: the softmax's bias starts at "zero" or at the log "unigram" frequencies.
    """

    samples: int = Field(8192, ge=0)
    softmax_size: int | None = Field(None, ge=6)
    tied: bool = True
    bias: Literal["zero", "unigram"] = "unigram"


class BidirectionalLMHead(nn.Module):
    """Scores of the classes from one direction's half of a hidden state: W h + b, -∞ where nothing is ever predicted.

    Shapes:  (P, projection) -> (P, classes)
    """

    mask: Tensor
    order: Tensor

    def __init__(
        self, encoder: Encoder, config: BidirectionalLMConfig, never: Tensor, counts: Tensor | None
    ) -> None:
        super().__init__()
        classes, width = len(never), encoder.config.hidden_size // 2
        table = encoder.token_embedding()
        self.tied = (
            [table] if config.tied and table.weight.requires_grad else []
        )  # in a list: not a second owner
        embeddings = nn.Parameter(torch.empty(classes, width))
        nn.init.normal_(embeddings, std=width**-0.5)
        self.decoder = nn.ParameterDict({} if self.tied else {"embeddings": embeddings})
        self.bias = nn.Parameter(torch.zeros(classes))
        self.register_buffer("mask", torch.zeros(classes).masked_fill(never, float("-inf")), persistent=False)
        frequent = torch.zeros(classes, dtype=torch.long) if counts is None else counts
        order = torch.argsort(frequent.masked_fill(never, -1), descending=True, stable=True)
        self.register_buffer("order", order[: int((~never).sum())], persistent=False)
        if counts is not None and config.bias == "unigram":
            with torch.no_grad():
                self.bias.copy_(_log_frequencies(counts, never)).masked_fill_(never, 0.0)

    @property
    def weight(self) -> Tensor:
        """The decoder's weight: (classes, projection)."""
        weight: Tensor = self.tied[0].weight[: len(self.bias)] if self.tied else self.decoder["embeddings"]
        return weight

    def logits(self, h: Tensor) -> Tensor:
        """Scores of the classes from one half of hidden states: (…, projection) -> (…, classes)"""
        return linear(h, self.weight, self.bias) + self.mask

    def forward(self, h: Tensor) -> Tensor:
        return self.logits(h)


class BidirectionalLM:
    """The objective: cross-entropy of every word from its left and from its right.

    Args:
        config: how the softmax is computed.
        special: ids of the special tokens.
        seed: the run's seed.
    Source:  Peters et al. (2018), section 3.1.
    """

    name = "bidirectional_lm"
    draws = False

    def __init__(self, config: BidirectionalLMConfig, special: SpecialTokens, seed: int) -> None:
        self.config, self._special = config, special
        self._random = Random(seed, "negatives")
        size = len(special.special)
        self._classes = min(size, config.softmax_size or size)
        ordinary = np.setdiff1d(
            np.flatnonzero(special.special), [special.pad, special.cls, special.sep, special.mask]
        )
        self._unknown = int(ordinary[0]) if len(ordinary) else -1
        never = special.special[: self._classes].copy()
        if 0 <= self._unknown < self._classes:
            never[self._unknown] = False
        self._never = torch.from_numpy(never)

    def prepare(self, rows: Rows) -> tuple[IntArray, IntArray, IntArray]:
        """Where each word is predicted from: first all places to their left, then all places to their right.

        Shapes:  rows of (B, T) -> ids: (B, T), positions: (2W,), labels: (2W,) for W words
        """
        words = rows.maskable | (rows.ids == self._unknown)
        segment = np.pad(rows.segment, ((0, 0), (1, 1)))
        within = (segment[:, :-2] == segment[:, 1:-1]) & (segment[:, 2:] == segment[:, 1:-1])
        places = np.flatnonzero(words & within & (rows.segment != 0))
        labels = rows.ids.ravel()[places]
        labels[labels >= self._classes] = self._unknown
        return rows.ids, np.concatenate([places - 1, places + 1]), np.concatenate([labels, labels])

    def build_head(self, encoder: Encoder, counts: Tensor | None = None) -> BidirectionalLMHead:
        """A fresh head; `counts` are the training text's unigram counts, (vocab_size,).

        Raises:  ConfigError: the model's vectors have seen the words that they should predict.
        """
        check_is_two_way(encoder)
        folded = None if counts is None else self._fold(counts)
        return BidirectionalLMHead(encoder, self.config, self._never, folded)

    def loss(self, encoding: Encoding, head: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        """Sum of -log p(word) from both sides, in nats, and their number."""
        assert isinstance(head, BidirectionalLMHead)
        labels = batch.targets[self.name].labels
        hidden = torch.cat(self._halves(encoding, batch))
        possible = len(head.order)
        if not 0 < self.config.samples < possible:
            return cross_entropy_sum(hidden, head.weight, head.bias + head.mask, labels), len(labels)
        ranks, q = log_uniform(self._random.uniform(batch.counter, np.arange(self.config.samples)), possible)
        sample = head.order[torch.from_numpy(ranks).to(labels.device)]
        log_q = torch.from_numpy(np.log(q)).float().to(labels.device)
        return sampled_cross_entropy_sum(hidden, head.weight, head.bias, labels, sample, log_q), len(labels)

    def score(self, encoding: Encoding, head: nn.Module, batch: Batch) -> dict[str, tuple[float, int]]:
        """Held-out sums by the full softmax: loss of both directions, and of each; e^loss is perplexity."""
        assert isinstance(head, BidirectionalLMHead)
        halves = self._halves(encoding, batch)
        parts = batch.targets[self.name].labels.chunk(2)
        weight, bias = head.weight.detach(), (head.bias + head.mask).detach()  # no gradient is to be formed
        sums = [
            float(cross_entropy_sum(half.detach(), weight, bias, labels))
            for half, labels in zip(halves, parts, strict=True)
        ]
        forward, backward = sums
        return {
            "loss": (forward + backward, len(parts[0]) + len(parts[1])),
            "forward": (forward, len(parts[0])),
            "backward": (backward, len(parts[1])),
        }

    def baseline(self, batch: Batch, counts: Tensor) -> tuple[float, int]:
        """The same words predicted from word frequency alone: the number that a model must beat."""
        labels = batch.targets[self.name].labels.cpu()
        return float(-_log_frequencies(self._fold(counts), self._never)[labels].double().sum()), len(labels)

    def _halves(self, encoding: Encoding, batch: Batch) -> tuple[Tensor, Tensor]:
        """Forward vectors left of every word, backward vectors right of it: twice (W, projection)."""
        positions = batch.targets[self.name].positions
        n = len(positions) // 2
        width = encoding.last.size(-1) // 2
        if encoding.positions is not None:
            h = encoding.at(positions)
            return h[:n, :width], h[n:, width:]
        flat = encoding.last.reshape(-1, 2 * width)
        return flat[:, :width].index_select(0, positions[:n]), flat[:, width:].index_select(0, positions[n:])

    def _fold(self, counts: Tensor) -> Tensor:
        """Counts of the classes: what has none counts as [UNK].  Shapes: (vocab_size,) -> (classes,)"""
        folded = counts[: self._classes].clone()
        if 0 <= self._unknown < self._classes:
            folded[self._unknown] += counts[self._classes :].sum()
        return folded


def check_is_two_way(encoder: Encoder) -> None:
    """Raises:  ConfigError: the encoder has no two halves that see one side each."""
    if not getattr(encoder, "two_way", False):
        other = {"left": "causal_lm", "both": "masked_lm"}.get(encoder.reach)
        raise ConfigError(
            "bidirectional_lm needs a model of two directions that do not see each other",
            got=f"a model that sees {encoder.reach}",
            fix="polyseme pretrain elmo …, or "
            + (f"--set objectives={other}" if other else "leave objectives as they are"),
        )


def _log_frequencies(counts: Tensor, never: Tensor) -> Tensor:
    """Log relative frequencies of the classes with one added to each.  Shapes: (classes,) -> (classes,)"""
    smoothed = (counts.double() + 1.0).masked_fill(never, 0.0)
    return (smoothed / smoothed.sum()).log().float()


ENTRY = ObjectiveEntry(
    config=BidirectionalLMConfig,
    build=BidirectionalLM,
    check=check_is_two_way,
    predicts="both",
    perplexity=True,
)
