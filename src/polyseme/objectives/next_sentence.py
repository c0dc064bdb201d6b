"""Next-sentence prediction: does B follow A in the text, or does it come from another document?

Paper: Devlin et al. (2019), section 3.1, task 2.

    p = softmax(W · pooled + b),   pooled = tanh(W_p h_[CLS] + b_p);   0 = B follows A, 1 = it does not

In the paper every example is such a pair. Half of them are two texts of half the length that have nothing to do with
each other, and whether they do is learned in a fraction of the time that words take. So a share of the batches may
do, and the others are whole stretches of text.
"""

from __future__ import annotations

import math

from pydantic import Field
from torch import Tensor, nn

from polyseme.core.arrays import IntArray
from polyseme.core.config import Config
from polyseme.core.entries import ObjectiveEntry
from polyseme.core.protocols import Encoder
from polyseme.core.rng import Random
from polyseme.core.types import Batch, Encoding
from polyseme.data.examples import NO_LABEL, SentencePairs, SpecialTokens
from polyseme.data.loader import Rows
from polyseme.data.store import TokenStore
from polyseme.errors import ConfigError, CorpusError


class ExampleLabel:
    """An objective that reads an example's label, 0 or 1, from the vector of its first token.

    The examples carry their labels; half of them are 1 by construction.
    """

    name: str
    # what is counted is examples, which are independent of each other, and no tokens of one text
    of_examples = True

    def prepare(self, rows: Rows) -> tuple[IntArray, IntArray, IntArray]:
        """The labels that the examples carry.  Shapes: -> ids: (B, T) unchanged, positions, labels: (P,)"""
        known = rows.labels != NO_LABEL
        return rows.ids, rows.first[known], rows.labels[known]

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
        """A coin toss: nats, and number of examples."""
        n = len(batch.targets[self.name].labels)
        return n * math.log(2), n


class NextSentenceConfig(Config):
    """Section [next_sentence] of a recipe.

    Args:
        share: of the batches that hold pairs; the others are stretches of text for what is learned beside it.
    """

    share: float = Field(1.0, gt=0, le=1)


class NextSentenceHead(nn.Module):
    """Two classes from a pooled vector; it brings a pooler of its own where the family has none.

    Shapes:  (E, hidden_size) -> (E, 2)
    """

    of_first = True  # it reads the vectors of the examples' first tokens

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        d, std = encoder.config.hidden_size, encoder.config.initializer_range
        theirs = encoder.pooler()
        self.family_pooler = [theirs]  # in a list: the encoder owns it
        self.pooler = None if theirs is not None else nn.Sequential(nn.Linear(d, d), nn.Tanh())
        self.classifier = nn.Linear(d, 2)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=std)
                nn.init.zeros_(module.bias)

    def forward(self, first: Tensor) -> Tensor:
        pool = self.family_pooler[0] if self.pooler is None else self.pooler
        assert pool is not None
        return self.classifier(pool(first))  # type: ignore[no-any-return]


class NextSentence(ExampleLabel):
    """The objective: two classes per pair, cross-entropy.

    Args:
        config: how many of the batches are pairs.
        special: ids of the separators.
        seed: the run's seed.
    Source:  Devlin et al. (2019), section 3.1.
    """

    name = "next_sentence"
    draws = True

    def __init__(self, config: NextSentenceConfig, special: SpecialTokens, seed: int) -> None:
        self.config, self._special, self.share = config, special, config.share
        self._random = Random(seed, "pairs")

    def examples(self, store: TokenStore, length: int) -> SentencePairs:
        """Pairs drawn from a store.

        Raises:  CorpusError: fewer than two documents, so that no B can come from elsewhere, or no document of
            several sentences.
        """
        if store.n_documents < 2:
            raise CorpusError(
                "next-sentence prediction needs at least two documents",
                got=f"{store.n_documents} document(s) in one split",
                fix="--set text.documents=blank, --set text.valid_share=0.2, more text, or --set objectives=masked_lm",
            )
        pairs = SentencePairs(store, length, self._special, self._random)
        if not pairs.n_pairs:
            raise CorpusError(
                "next-sentence prediction needs documents of several sentences",
                got="one sentence in every document of a split",
                fix="--set text.documents=file, or --set objectives=masked_lm",
            )
        return pairs

    def build_head(self, encoder: Encoder, counts: Tensor | None = None) -> NextSentenceHead:
        """A fresh head; the counts do not matter.

        Raises:  ConfigError: the model's [CLS] has not read the pair.
        """
        check_reads_ahead(encoder)
        return NextSentenceHead(encoder)


def check_reads_ahead(encoder: Encoder, name: str = "next_sentence") -> None:
    """Raises:  ConfigError: the vector of an example's first token, from which is judged, cannot see the others."""
    if encoder.reach not in ("both", "right"):
        raise ConfigError(
            f"{name} judges from [CLS], the first token, which must see what follows",
            got=f"a model that sees {encoder.reach}",
            fix="polyseme pretrain bert …, or leave objectives as they are",
        )


ENTRY = ObjectiveEntry(
    config=NextSentenceConfig, build=NextSentence, check=check_reads_ahead, judged={"share": 1.0}
)
