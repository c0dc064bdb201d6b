"""Contrastive learning of sentence vectors: a text and its like near to each other, far from the others of the batch.

Paper: Gao, Yao and Chen (2021), "SimCSE: Simple Contrastive Learning of Sentence Embeddings", sections 3 and 4.

    loss = -Σ_i log ( e^{cos(h_i, h'_i) / τ} / Σ_j e^{cos(h_i, h'_j) / τ} ),    τ = 0.05

h_i and h'_i are the vectors of one sentence that was read twice, each time under another dropout: what dropout changes
is to matter less than what makes sentences different. With `pairs` they are of two texts that mean the same
(section 4). A vector is the mean over the tokens of the text, which is what `embed` gives of the run.

It goes on from weights that masks or next words have trained (`--init`): alone it learns no words. Departures: the mean
in place of [CLS] under a layer of its own; held-out text is read without dropout, so that of a sentence with itself the
loss says only how far the vectors of different sentences are apart.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from polyseme.core.arrays import IntArray
from polyseme.core.config import Config
from polyseme.core.entries import ObjectiveEntry
from polyseme.core.protocols import Encoder
from polyseme.core.types import Batch, Encoding
from polyseme.data.examples import SpecialTokens, TextPairs
from polyseme.data.loader import Rows
from polyseme.data.store import TokenStore
from polyseme.errors import ConfigError, CorpusError


class ContrastiveConfig(Config):
    """Section [contrastive] of a recipe.

    Args:
        temperature: τ.
        dropout: of the model while it learns this; the run's own dropout stays as it was.
        pairs: a document's sentences are pairs that mean the same; else each is paired with itself.
        least: tokens of the shortest text that is learned from.
    """

    temperature: float = Field(0.05, gt=0)
    dropout: float = Field(0.1, gt=0, lt=1)
    pairs: bool = False
    least: int = Field(4, ge=1)


class Contrastive:
    """The objective: which text of the batch is the like of this one?

    Args:
        config: temperature, dropout, pairs.
        special: ids of the separators.
        seed: nothing is drawn; dropout is the trainer's.
    Source:  Gao et al. (2021), equation 4.
    """

    name = "contrastive"
    draws = True

    def __init__(self, config: ContrastiveConfig, special: SpecialTokens, seed: int) -> None:
        self.config, self._special = config, special

    def examples(self, store: TokenStore, length: int) -> TextPairs:
        """Pairs of texts of a store.

        Raises:  CorpusError: no sentence is long enough, or no document has two.
        """
        config = self.config
        pairs = TextPairs(store, length, self._special, config.pairs, config.least)
        if not len(pairs.lengths):
            what = "documents of two lines each" if config.pairs else "sentences"
            raise CorpusError(
                f"contrastive needs {what}, of at least {config.least} tokens",
                got=f"{store.n_documents} document(s) of {store.n_sentences} sentence(s) in one split",
                fix="a pair of lines a document, with blank lines between, and --recipe contrastive-pairs"
                if config.pairs
                else "longer texts, or --set contrastive.least=1",
            )
        return pairs

    def prepare(self, rows: Rows) -> tuple[IntArray, IntArray, IntArray]:
        """The tokens of the texts without separators, and how many of them each text of a pair has.

        Shapes:  -> ids: (B, T) unchanged, positions: (P,), labels: (pairs, 2), which sum to P
        """
        inside = np.flatnonzero(rows.segment)
        sizes = np.bincount(np.searchsorted(rows.first, inside, side="right") - 1, minlength=len(rows.first))
        text = np.ones(rows.ids.size, np.bool_)
        text[rows.first] = text[rows.first + sizes - 1] = False  # [CLS], [SEP]
        return rows.ids, inside[text[inside]], (sizes - 2).reshape(-1, 2)

    def build_head(self, encoder: Encoder, counts: Tensor | None = None) -> nn.Module:
        """Nothing to learn beside the encoder.

        Raises:  ConfigError: a token has one vector whatever stands around it.
        """
        check_reads_context(encoder)
        return nn.Identity()

    def cosines(self, encoding: Encoding, batch: Batch) -> Tensor:
        """Cosine / τ of every first text with every second one, in float32.  Shapes: -> (pairs, pairs)"""
        positions, sizes = batch.targets[self.name]
        h = encoding.at(positions).float()
        text = torch.repeat_interleave(torch.arange(sizes.numel(), device=h.device), sizes.reshape(-1))
        means = h.new_zeros(sizes.numel(), h.size(1)).index_add(0, text, h) / sizes.reshape(-1, 1)
        first, second = nn.functional.normalize(means, dim=1).view(-1, 2, h.size(1)).unbind(1)
        with torch.autocast(
            h.device.type, enabled=False
        ):  # eight bits are too few for differences of cosines
            return first @ second.T / self.config.temperature

    def loss(self, encoding: Encoding, head: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        """Sum of -log p(the like | the first text) over the pairs, in nats, and their number."""
        scores = self.cosines(encoding, batch)
        right = torch.arange(len(scores), device=scores.device)
        return nn.functional.cross_entropy(scores, right, reduction="sum"), len(scores)

    def score(self, encoding: Encoding, head: nn.Module, batch: Batch) -> dict[str, tuple[float, int]]:
        """Held-out sums: {"loss": (nats, n)}, and of two texts "accuracy": (found, n)."""
        scores = self.cosines(encoding, batch)
        right = torch.arange(len(scores), device=scores.device)
        sums = {"loss": (float(nn.functional.cross_entropy(scores, right, reduction="sum")), len(scores))}
        if self.config.pairs:  # a sentence without dropout is its own like, always
            sums["accuracy"] = (float((scores.argmax(1) == right).sum()), len(scores))
        return sums

    def baseline(self, batch: Batch, counts: Tensor) -> tuple[float, int]:
        """One of the batch's texts at random: nats, and number of pairs."""
        n = len(batch.targets[self.name].labels)
        return n * math.log(max(1, n)), n


def check_reads_context(encoder: Encoder) -> None:
    """Raises:  ConfigError: a token of the model has one vector in every text."""
    if encoder.reach == "none":
        raise ConfigError(
            "contrastive teaches models that read context",
            got="a model that has one vector a token",
            expected="modernbert, bert, ernie, elmo, gpt",
            fix="polyseme pretrain modernbert … first, then --init its run",
        )


ENTRY = ObjectiveEntry(
    config=ContrastiveConfig,
    build=Contrastive,
    check=check_reads_context,
    alone="by chance",
    goes_on=True,
)
