"""The dialogue objective: are these turns a real dialogue, or is one of them from elsewhere?

Paper: Sun et al. (2019), section 3.4, the dialogue language model: query and response with their roles as types,
predicted masks beside it, and a judgement real or fake from [CLS].

    p = softmax(W · pooled + b),   pooled = tanh(W_p h_[CLS] + b_p);   0 = real, 1 = fake

It says what an example is, so it takes the place of next-sentence prediction; the masks are those of the objective
beside it: objectives = ["knowledge_masking", "dialogue"].
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
from torch import Tensor

from polyseme.core.config import Config
from polyseme.core.entries import ObjectiveEntry
from polyseme.core.protocols import Encoder
from polyseme.core.rng import Random
from polyseme.data.examples import DialogueTurns, SpecialTokens
from polyseme.data.store import TokenStore
from polyseme.errors import CorpusError
from polyseme.objectives.next_sentence import ExampleLabel, NextSentenceHead, check_reads_ahead


class DialogueConfig(Config):
    """Section [dialogue] of a recipe.

    Args:
        turns: turns of an example: 2 = query and response, 3 = the paper's query, response, query.
    """

    turns: Literal[2, 3] = 3


class Dialogue(ExampleLabel):
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
                fix="part dialogues by blank lines, a turn on each line, and take the recipe ernie-dialogue",
            )
        return DialogueTurns(store, length, self._special, self._random, self.config.turns)

    def build_head(self, encoder: Encoder, counts: Tensor | None = None) -> NextSentenceHead:
        """A fresh head of two classes; the counts do not matter.

        Raises:  ConfigError: the model's [CLS] has not read the turns.
        """
        check_reads_ahead(encoder, self.name)
        return NextSentenceHead(encoder)


ENTRY = ObjectiveEntry(
    config=DialogueConfig, build=Dialogue, check=partial(check_reads_ahead, name="dialogue")
)
