"""Reading and writing with one set of weights: batches of masked and of causal language modelling take turns.

Paper: Yu et al. (2024), "AntLM: Bridging Causal and Masked Language Models" (CoNLL-BabyLM), section 3; batches that
are mixed in a ratio are those of Charpentier and Samuel (2024), "GPT or BERT: why not both?", section 2.

    masked batch   tokens see both sides    loss = -Σ_{i chosen} log softmax(E · head(h_i) + b)[token_i]
    causal batch   tokens see the left      loss = -Σ_i          log softmax(E · head(h_i) + b)[token_{i+1}]

One network, one head; the mask alone tells it what is asked. As in AntLM the masked head predicts a token at its own
place: GPT-BERT's predicts it one place before, as a causal head does, and then no program could fill its masks.
Departures: the two take turns batch by batch and not in phases of epochs, so that a run may end at any time.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from polyseme.core.arrays import IntArray
from polyseme.core.entries import ObjectiveEntry
from polyseme.core.protocols import Encoder
from polyseme.data.examples import NextTokenWindows, SpecialTokens
from polyseme.data.store import TokenStore
from polyseme.errors import ConfigError
from polyseme.objectives import masked_lm
from polyseme.objectives.causal_lm import CausalLM, CausalLMConfig
from polyseme.objectives.masked_lm import MaskedLM, MaskedLMConfig, MaskedLMHead


class HybridConfig(MaskedLMConfig):
    """Section [hybrid] of a recipe: what [masked_lm] has, and a ratio.

    Args:
        causal: share of the batches that are causal; at 0 and 1 it is one of its parts alone.
    """

    causal: float = Field(0.5, ge=0, le=1)


class Hybrid:
    """The objective: masked and causal batches in turn, one head for both.

    It has no loss of its own: its parts do, under their own names.

    Args:
        config: the ratio, and the rates and units of masked batches.
        special: ids of the special tokens, and which ids are never predicted.
        seed: the run's seed.
    Source:  Yu et al. (2024), section 3.
    """

    name = "hybrid"
    draws = True
    hides = True

    def __init__(self, config: HybridConfig, special: SpecialTokens, seed: int) -> None:
        self.config = config
        self._causal = CausalLM(CausalLMConfig(), special, seed)
        self.parts = (MaskedLM(config, special, seed), self._causal)
        self.shares = (1.0 - config.causal, config.causal)

    def examples(self, store: TokenStore, length: int) -> NextTokenWindows:
        """The stretches of causal batches; those of masked ones can be had of any text."""
        return self._causal.examples(store, length)

    def counts(self, store: TokenStore) -> IntArray:
        """How often each token is to be predicted: as it occurs, and [SEP] once a document, by causal batches."""
        return self._causal.counts(store)

    def build_head(self, encoder: Encoder, counts: Tensor | None = None) -> MaskedLMHead:
        """A fresh masked-LM head, which predicts the next token, too.

        Raises:  ConfigError: the model cannot read both ways, or its embeddings cannot be the output layer.
        """
        check_reads_both_ways(encoder)
        return self.parts[0].build_head(encoder, counts)


def check_reads_both_ways(encoder: Encoder) -> None:
    """Raises:  ConfigError: the encoder cannot read with and without what comes behind a token."""
    if encoder.reach == "both" and hasattr(encoder, "decode"):
        return
    sees = {"both": "both sides, always", "none": "no neighbours"}.get(
        encoder.reach, f"the {encoder.reach} side alone"
    )
    raise ConfigError(
        "hybrid needs a model that can read with both sides and with the left side alone",
        got=f"a model that sees {sees}",
        expected="modernbert, bert",
        fix="polyseme pretrain modernbert … --recipe hybrid, or leave objectives as they are",
    )


ENTRY = ObjectiveEntry(
    config=HybridConfig,
    build=Hybrid,
    check=check_reads_both_ways,
    judged=masked_lm.ENTRY.judged,
    predicts="masked",
    parts=("masked_lm", "causal_lm"),
)
