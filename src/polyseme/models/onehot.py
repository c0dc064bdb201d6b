"""1-of-N encoding: a word is a vector of zeros with a single one.

    h_t = e(id_t),        e(i)_j = 1 if i = j else 0

Every two words are equally far apart (√2), so it knows which words are the same and nothing else. A text's mean
over its tokens is its bag of words: the relative frequency of every word.

There is nothing to learn but the vocabulary, which the tokenizer holds. Departures: none.
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from polyseme.core.config import Config
from polyseme.core.entries import ModelEntry
from polyseme.core.protocols import HeadStyle
from polyseme.core.types import Batch, Encoding, Keep, Reach
from polyseme.errors import ConfigError

LARGEST_TABLE = 20_000
"""Vocabulary up to which the identity matrix is written out where somebody asks for it (1.6 GB)."""


class OneHotConfig(Config):
    """A vocabulary; its size is also that of the vectors."""

    vocab_size: int = Field(30522, ge=6)

    @property
    def hidden_size(self) -> int:
        """Length of a vector: vocab_size."""
        return self.vocab_size

    @property
    def num_hidden_layers(self) -> int:
        """0: there is the embedding layer only."""
        return 0


class OneHot(nn.Module):
    """The encoder: one layer of unit vectors.

    Shapes:  batch of (B, T) -> 1 layer of (B, T, vocab_size)
    """

    reach: Reach = "none"
    max_length = 1 << 30
    head_style = HeadStyle()
    one_of_n = True

    def __init__(self, config: OneHotConfig) -> None:
        super().__init__()
        self.config = config

    def encode(
        self, batch: Batch, keep: Keep = "last", attentions: bool = False, at: Tensor | None = None
    ) -> Encoding:
        """Dense unit vectors of a batch; `active` tells the same without the zeros."""
        ids = batch.ids if at is None else batch.ids.reshape(-1)[at]
        return Encoding((nn.functional.one_hot(ids, self.config.vocab_size).float(),), positions=at)

    def forward(self, batch: Batch) -> Tensor:
        """The only layer, (B, T, vocab_size)."""
        return self.encode(batch).last

    def active(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Which numbers are one.  Shapes:  ids: (N,) -> rows, columns: (N,)"""
        return torch.arange(len(ids)), ids

    def neighbours(self, id: int, top: int) -> list[tuple[int, dict[str, Any]]]:
        """No word is nearer than another.

        Raises:  ConfigError: always; it says so.
        """
        raise ConfigError(
            "in a 1-of-N encoding every two words are equally far apart: no word has neighbours",
            expected="a run of a model that learns from contexts, such as word-classes",
            fix="polyseme pretrain word-classes CORPUS -o RUN, then polyseme neighbours RUN WORD",
        )

    def token_embedding(self) -> nn.Embedding:
        """The identity matrix.

        Raises:  ConfigError: it would be larger than is sensible.
        """
        if self.config.vocab_size > LARGEST_TABLE:
            raise ConfigError(
                "the embedding table of a 1-of-N encoding is the identity matrix, too large to write out",
                got=f"{self.config.vocab_size:,} words",
                expected=f"at most {LARGEST_TABLE:,}",
            )
        n = self.config.vocab_size
        return nn.Embedding(n, n, _weight=torch.eye(n))

    def pooler(self) -> None:
        """None: it has no vector of a text of its own."""


ENTRY = ModelEntry(
    config=OneHotConfig,
    build=OneHot,
    objectives=("unigram",),
    why_no_attention="a word has one vector, whatever stands beside it",
)
