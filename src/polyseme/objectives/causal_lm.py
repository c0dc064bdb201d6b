"""Causal language modelling: predict every token from those before it.

Paper: Bengio et al. (2003), equation 1, with the transformer decoder of Radford et al. (2018), section 3.1.

    loss = -Σ_i log softmax(W h_i)[token_{i+1}]

A document is [CLS] tokens [SEP]: the model starts from [CLS] and says that a text is over by predicting [SEP]. The
logits of a large vocabulary never stand in memory at once: layers/cross_entropy forms them chunk by chunk. A masked
model's head, which changes h_i before W and has a bias, predicts in the same way (objectives/hybrid.py).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from polyseme.core.arrays import IntArray
from polyseme.core.config import Config
from polyseme.core.entries import ObjectiveEntry
from polyseme.core.protocols import Encoder
from polyseme.core.types import Batch, Encoding
from polyseme.data.examples import NO_LABEL, NextTokenWindows, SpecialTokens
from polyseme.data.loader import Rows
from polyseme.data.store import TokenStore
from polyseme.errors import ConfigError
from polyseme.kernels.cross_entropy import CHUNK_BYTES
from polyseme.kernels.int8 import Int8Embedding, Int8Linear
from polyseme.layers.cross_entropy import cross_entropy_sum
from polyseme.layers.linear import Linear, linear
from polyseme.objectives.masked_lm import MaskedLMHead, log_unigram


class CausalLMConfig(Config):
    """Section [causal_lm] of a recipe; there is nothing to set."""


class CausalLMHead(nn.Module):
    """Scores of the next token: one matrix, no bias; the input embedding where the model ties them.

    Shapes:  (…, hidden_size) -> (…, hidden_size), and with the matrix (…, vocab_size)
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        config = encoder.config
        self.tied = [encoder.token_embedding()]  # in a list, so that it is not a second owner of the weight
        self.decoder: nn.Linear | None = None
        if not getattr(config, "tie_word_embeddings", True):
            self.decoder = Linear(config.hidden_size, config.vocab_size, bias=False)
            nn.init.normal_(self.decoder.weight, std=encoder.head_style.initializer_range)

    @property
    def matrix(self) -> nn.Module:
        """The module that holds the matrix: the input embedding, or the head's own."""
        return self.tied[0] if self.decoder is None else self.decoder

    @property
    def weight(self) -> Tensor:
        """The matrix: (vocab_size, hidden_size)."""
        weight: Tensor = self.matrix.weight  # type: ignore[assignment]
        return weight

    @property
    def bias(self) -> None:
        """There is none."""
        return

    def logits(self, h: Tensor) -> Tensor:
        """Scores of every token of the vocabulary: (…, hidden_size) -> (…, vocab_size)"""
        matrix = self.matrix
        return matrix.product(h) if isinstance(matrix, Int8Embedding | Int8Linear) else linear(h, self.weight)

    def forward(self, h: Tensor) -> Tensor:
        """What the matrix reads: the hidden state as it is."""
        return h


class CausalLM:
    """The objective: every token from its left side, cross-entropy over the vocabulary.

    Args:
        config: nothing to set.
        special: ids of the special tokens.
        seed: not used: nothing is random.
    Source:  Radford et al. (2018), section 3.1.
    """

    name = "causal_lm"
    draws = True
    causal = True

    def __init__(self, config: CausalLMConfig, special: SpecialTokens, seed: int) -> None:
        self.config, self._special = config, special

    def examples(self, store: TokenStore, length: int) -> NextTokenWindows:
        """Stretches of documents from a store, each with the token that follows it."""
        return NextTokenWindows(store, length, self._special)

    def counts(self, store: TokenStore) -> IntArray:
        """How often each token is to be predicted: as it occurs, and [SEP] once a document."""
        counts = np.array(store.counts)
        counts[self._special.sep] += store.n_documents
        return counts

    def prepare(self, rows: Rows) -> tuple[IntArray, IntArray, IntArray]:
        """Every position predicts its right neighbour; an example's last one the label that it carries.

        An example without a label ends without a prediction.

        Shapes:  -> ids: (B, T) unchanged, positions, labels: (P,)
        """
        labels = np.full(rows.ids.shape, NO_LABEL, np.int64)
        labels[:, :-1] = rows.ids[:, 1:]
        last = rows.segment != 0
        last[:, :-1] &= rows.segment[:, :-1] != rows.segment[:, 1:]
        labels[last] = rows.labels  # examples and their ends are both in reading order
        flat = labels.ravel()
        positions = np.flatnonzero((rows.segment.ravel() != 0) & (flat != NO_LABEL))
        return rows.ids, positions, flat[positions]

    def build_head(self, encoder: Encoder, counts: Tensor | None = None) -> CausalLMHead:
        """A fresh head; the counts do not matter, as the family's output layers have no bias.

        Raises:  ConfigError: the model sees what it should predict.
        """
        check_sees_the_left_side(encoder)
        return CausalLMHead(encoder)

    def loss(self, encoding: Encoding, head: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        """Sum of -log p(next token) over all positions, in nats, and their number."""
        assert isinstance(head, CausalLMHead | MaskedLMHead)
        positions, labels = batch.targets[self.name]
        hidden = head(_states(encoding, positions))
        return cross_entropy_sum(hidden, head.weight, head.bias, labels), len(labels)

    def score(self, encoding: Encoding, head: nn.Module, batch: Batch) -> dict[str, tuple[float, int]]:
        """Held-out sums: {"loss": (nats, n), "accuracy": (correct, n)}."""
        assert isinstance(head, CausalLMHead | MaskedLMHead)
        positions, labels = batch.targets[self.name]
        states = _states(encoding, positions)
        rows = max(1, CHUNK_BYTES // (4 * head.weight.size(0)))
        loss, correct = 0.0, 0
        for h, gold in zip(torch.split(states, rows), torch.split(labels, rows), strict=True):
            logits = head.logits(h).float()
            loss += float(nn.functional.cross_entropy(logits, gold, reduction="sum"))
            correct += int((logits.argmax(1) == gold).sum())
        return {"loss": (loss, len(labels)), "accuracy": (float(correct), len(labels))}

    def baseline(self, batch: Batch, counts: Tensor) -> tuple[float, int]:
        """The same tokens predicted from frequency alone: the number that a model must beat."""
        labels = batch.targets[self.name].labels.cpu()
        return float(-log_unigram(counts)[labels].double().sum()), len(labels)


def check_sees_the_left_side(encoder: Encoder) -> None:
    """Raises:  ConfigError: the encoder sees what it should predict, or nothing."""
    if encoder.reach != "left":
        other = "masked_lm" if encoder.reach == "both" and not getattr(encoder, "two_way", False) else None
        raise ConfigError(
            "causal_lm needs a model that sees the left side alone",
            got=f"a model that sees {encoder.reach}",
            fix="polyseme pretrain gpt …, or "
            + (f"--set objectives={other}" if other else "leave objectives as they are"),
        )


def _states(encoding: Encoding, positions: Tensor) -> Tensor:
    """`encoding.at`, without a copy where every position of the batch predicts.  Shapes: -> (P, hidden_size)"""
    last = encoding.last
    if encoding.positions is None and len(positions) == last.size(0) * last.size(1):
        return last.reshape(-1, last.size(-1))  # positions are in order, so they are all
    return encoding.at(positions)


ENTRY = ObjectiveEntry(
    config=CausalLMConfig, build=CausalLM, check=check_sees_the_left_side, predicts="next", perplexity=True
)
