"""The dialogue objective: are these turns a real dialogue, or is one of them from elsewhere?

Paper: Sun et al. (2019), section 3.4, the dialogue language model: query and response with their roles as types,
predicted masks beside it, and a judgement real or fake from [CLS].

    p = softmax(W · pooled + b),   pooled = tanh(W_p h_[CLS] + b_p);   0 = real, 1 = fake

It says what an example is, so it takes the place of next-sentence prediction; the masks are those of the objective
beside it: objectives = ["knowledge_masking", "dialogue"].
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from polyseme.core.config import Config
from polyseme.core.rng import Random
from polyseme.core.types import Batch, Encoding
from polyseme.data.dialogues import DialogueTurns
from polyseme.data.examples import NO_LABEL, SpecialTokens
from polyseme.data.packing import Rows
from polyseme.data.store import TokenStore
from polyseme.errors import CorpusError
from polyseme.objectives.next_sentence import NextSentenceHead, check_reads_ahead

IntArray = npt.NDArray[np.int64]


class DialogueConfig(Config):
    """Section [dialogue] of a recipe.

    Args:
        turns: turns of an example: 2 = query and response, 3 = the paper's query, response, query.
    """

    turns: Literal[2, 3] = 3


class Dialogue:
    """The objective: two classes per example, cross-entropy.

    Args:
        config: how many turns.
        special: ids of the separators.
        seed: the run's seed.
    Source:  Sun et al. (2019), section 3.4.
    """

    name = "dialogue"
    draws = True

    def __init__(self, config: DialogueConfig, special: SpecialTokens, seed: int) -> None:
        self.config, self._special = config, special
        self._random = Random(seed, "turns")

    def examples(self, store: TokenStore, length: int) -> DialogueTurns:
        """Turns drawn from a store.

        Raises:  CorpusError: fewer than two dialogues, or none with two turns.
        """
        sizes = np.diff(np.asarray(store.documents))
        if len(sizes) < 2 or sizes.max(initial=0) < 2:
            raise CorpusError(
                "the dialogue objective needs dialogues of several turns",
                got=f"{len(sizes)} document(s) in one split, of at most {sizes.max(initial=0)} turn(s)",
                expected="a dialogue a document and a turn a line",
                fix="--recipe ernie-dialogue reads blank lines between dialogues and a turn on each line",
            )
        return DialogueTurns(store, length, self._special, self._random, self.config.turns)

    def prepare(self, rows: Rows) -> tuple[IntArray, IntArray, IntArray]:
        """The labels that the examples carry.  Shapes: -> ids: (B, T) unchanged, positions, labels: (P,)"""
        known = rows.labels != NO_LABEL
        return rows.ids, rows.first[known], rows.labels[known]

    def build_head(self, encoder: Any, counts: Tensor | None = None) -> NextSentenceHead:
        """A fresh head of two classes; the counts do not matter.

        Raises:  ConfigError: the model's [CLS] has not read the turns.
        """
        check_reads_ahead(encoder, self.name)
        return NextSentenceHead(encoder)

    def loss(self, encoding: Encoding, head: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        """Sum of -log p(label) over the examples, in nats, and their number."""
        positions, labels = batch.targets[self.name]
        logits = head(encoding.at(positions)).float()
        return nn.functional.cross_entropy(logits, labels, reduction="sum"), len(labels)

    def score(self, encoding: Encoding, head: nn.Module, batch: Batch) -> dict[str, tuple[float, int]]:
        """Held-out sums: {"loss": (nats, n), "accuracy": (correct, n)}."""
        positions, labels = batch.targets[self.name]
        logits = head(encoding.at(positions)).float()
        loss = nn.functional.cross_entropy(logits, labels, reduction="sum")
        correct = (logits.argmax(1) == labels).sum()
        return {"loss": (float(loss), len(labels)), "accuracy": (float(correct), len(labels))}

    def baseline(self, batch: Batch, counts: Tensor) -> tuple[float, int]:
        """A coin toss, as half of the examples are real by construction: nats, and number of examples."""
        n = len(batch.targets[self.name].labels)
        return n * math.log(2), n


CONFIG = DialogueConfig
BUILD = Dialogue
CHECK = partial(check_reads_ahead, name="dialogue")
