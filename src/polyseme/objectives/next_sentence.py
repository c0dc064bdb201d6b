"""Next-sentence prediction: does B follow A in the text, or does it come from another document?

Paper: Devlin et al. (2019), section 3.1, task 2.

    p = softmax(W · pooled + b),   pooled = tanh(W_p h_[CLS] + b_p);   0 = B follows A, 1 = it does not
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from polyseme.core.config import Config
from polyseme.core.rng import Random
from polyseme.data.examples import SentencePairs, SpecialTokens
from polyseme.data.store import TokenStore
from polyseme.errors import ConfigError, CorpusError
from polyseme.objectives._example_label import ExampleLabel


class NextSentenceConfig(Config):
    """Section [next_sentence] of a recipe; there is nothing to set."""


class NextSentenceHead(nn.Module):
    """Two classes from a pooled vector; it brings a pooler of its own where the family has none.

    Shapes:  (E, hidden_size) -> (E, 2)
    """

    def __init__(self, encoder: Any) -> None:
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
        return self.classifier(pool(first))  # type: ignore[no-any-return]


class NextSentence(ExampleLabel):
    """The objective: two classes per pair, cross-entropy.

    Args:
        config: nothing to set.
        special: ids of the separators.
        seed: the run's seed.
    Source:  Devlin et al. (2019), section 3.1.
    """

    name = "next_sentence"
    draws = True

    def __init__(self, config: NextSentenceConfig, special: SpecialTokens, seed: int) -> None:
        self.config, self._special = config, special
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

    def build_head(self, encoder: Any, counts: Tensor | None = None) -> NextSentenceHead:
        """A fresh head; the counts do not matter.

        Raises:  ConfigError: the model's [CLS] has not read the pair.
        """
        check_reads_ahead(encoder)
        return NextSentenceHead(encoder)


def check_reads_ahead(encoder: Any, name: str = "next_sentence") -> None:
    """Raises:  ConfigError: the vector of an example's first token, from which is judged, cannot see the others."""
    if encoder.reach not in ("both", "right"):
        raise ConfigError(
            f"{name} judges from [CLS], the first token, which must see what follows",
            got=f"a model that sees {encoder.reach}",
            fix="polyseme pretrain bert …, or leave objectives as they are",
        )


CONFIG = NextSentenceConfig
BUILD = NextSentence
CHECK = check_reads_ahead
