"""Knowledge masking: hide characters and words, then whole phrases, then whole entities; predict their tokens.

Paper: Sun et al. (2019), section 3.2, three stages: "basic-level" masks Chinese characters and English words,
"phrase-level" whole phrases, "entity-level" whole names, each 15 % of the tokens.

    loss = -Σ_{units u chosen} Σ_{i ∈ u} log softmax(E · head(h_i) + b)[token_i]

A unit is hidden, replaced or kept as a whole (80/10/10, decided once for the unit), and never in part. Where units
come from says data/units.py: the user's lexicon, the segmenter, and collocations mined from the text.

Departures: the paper does not say how many of the hidden tokens are of which kind. By default every token is hidden
equally often, whatever unit it is in; a share that is given makes the tokens of a kind more or less likely than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator
from torch import Tensor, nn

from polyseme.core.arrays import BoolArray, Float64Array, IntArray
from polyseme.core.config import Config
from polyseme.core.entries import ObjectiveEntry
from polyseme.core.protocols import Encoder
from polyseme.core.rng import Random
from polyseme.core.types import Batch, Encoding
from polyseme.data.examples import SpecialTokens
from polyseme.data.loader import Rows
from polyseme.data.mining import Mining, learn_units
from polyseme.data.store import TokenStore
from polyseme.data.units import BASIC, ENTITY, KINDS, PHRASE, RowUnits, Units
from polyseme.kernels.twins import faster_at
from polyseme.objectives.masked_lm import (
    HiddenTokens,
    MaskedLM,
    MaskedLMConfig,
    MaskedLMHead,
    check_sees_both_sides,
)
from polyseme.text.lexicon import Entry
from polyseme.text.tokenizers import Tokenizer

STAGES = ("characters and words", "whole phrases, too", "whole entities, too")


class KnowledgeMaskingConfig(Config):
    """Section [knowledge_masking] of a recipe.

    Args:
        rate: share of the tokens that is predicted.
        unit: "knowledge", or "token" = BERT's single tokens, as which every run is judged.
        phrases_from, entities_from: share of the budget after which phrases, and entities, are hidden as wholes; the
            defaults are three equal stages, and 0 for both is a mixture from the start.
        phrase_share, entity_share: of the hidden tokens, those in phrases and in entities; None = as large as they are
            in the text. More than `rate` allows to hide of a kind is taken from the next lower one.
        mask_share, random_share: of the chosen units, replaced by [MASK]s, by random tokens; the rest stays.
        bias: the decoder's bias starts at "zero" (the paper) or at the log "unigram" frequencies.
        min_count, min_npmi, passes: mined phrases occur so often, have such an association, and up to 2^passes words
            (data/mining.py); passes = 0 mines none.
        min_name_count: names that the segmenter or capitals show occur so often; 0 = take none.
    """

    rate: float = Field(0.15, gt=0, lt=1)
    unit: Literal["knowledge", "token"] = "knowledge"
    phrases_from: float = Field(1 / 3, ge=0, le=1)
    entities_from: float = Field(2 / 3, ge=0, le=1)
    phrase_share: float | None = Field(None, ge=0, le=1)
    entity_share: float | None = Field(None, ge=0, le=1)
    mask_share: float = Field(0.8, ge=0, le=1)
    random_share: float = Field(0.1, ge=0, le=1)
    bias: Literal["zero", "unigram"] = "zero"
    min_count: int = Field(8, ge=2)
    min_npmi: float = Field(0.4, ge=-1, le=1)
    passes: int = Field(2, ge=0, le=4)
    min_name_count: int = Field(2, ge=0)

    @model_validator(mode="after")
    def _shares_fit(self) -> KnowledgeMaskingConfig:
        if (self.phrase_share or 0.0) + (self.entity_share or 0.0) > 1:
            raise ValueError("phrase_share and entity_share of at most 1 together")
        if self.entities_from < self.phrases_from:
            raise ValueError("entities_from not before phrases_from")
        return self

    def deepest_at(self, progress: float) -> int:
        """The largest kind of unit hidden when this share of the budget is spent: BASIC, PHRASE or ENTITY."""
        if progress >= self.entities_from:
            return ENTITY
        return PHRASE if progress >= self.phrases_from else BASIC


@faster_at("polyseme.kernels.units:choose_units")
def choose_units(
    unit: IntArray,
    kind: npt.NDArray[np.int8],
    quota: IntArray,
    weights: Float64Array,
    order: Float64Array,
    coin: Float64Array,
) -> BoolArray:
    """Choose whole units of every row.

    Args:
        unit, kind: from `find_units`.
        quota: tokens to choose in each row.
        weights: how much more often than the quota alone says tokens of phrases, and of entities, are taken.
        order, coin: random numbers in [0, 1).
    Shapes:  unit, kind, order, coin: (B, T).  quota: (B,).  weights: (3,), the first is not read -> (B, T)
    """
    chosen = np.zeros(unit.shape, np.bool_)
    for b in range(len(unit)):
        starts = np.flatnonzero(unit[b] == np.arange(unit.shape[1])).tolist()
        units = [(start, int((unit[b] == start).sum()), int(kind[b, start])) for start in starts]
        for start, size in choose_of_row(units, int(quota[b]), weights, order[b], coin[b]):
            chosen[b, start : start + size] = True
    return chosen


def choose_of_row(
    units: list[tuple[int, int, int]],
    quota: int,
    weights: Float64Array,
    order: Float64Array,
    coin: Float64Array,
) -> list[tuple[int, int]]:
    """The chosen of the units (start, size, kind) of a row, as (start, size)."""
    chosen: list[tuple[int, int]] = []
    by_chance = sorted(units, key=lambda unit: order[unit[0]])
    tokens = [sum(size for _, size, kind in units if kind == k) for k in range(3)]

    def left() -> int:
        return quota - sum(size for _, size in chosen)

    carried = 0.0  # what a kind could not give, the next one does
    for k in (ENTITY, PHRASE) if units and quota else ():
        target = weights[k] * tokens[k] / sum(tokens) * quota + carried
        for start, size, kind in by_chance:
            if kind != k:
                continue
            if size > target:  # the last one: in or out so that the target is met on average
                if coin[start] * size < target and size <= left():
                    chosen.append((start, size))
                target = 0.0
                break
            if size <= left():
                chosen.append((start, size))
                target -= size
        carried = target
    for k in (BASIC, PHRASE, ENTITY):  # basic units up to the quota; others only where those do not suffice
        for start, size, kind in by_chance:
            if kind == k and (start, size) not in chosen and 0 < size <= left():
                chosen.append((start, size))
    return chosen


class KnowledgeMasking:
    """The objective: 15 % of the tokens in whole units, 80/10/10 by unit, cross-entropy over the vocabulary.

    Args:
        config: rates, stages, shares.
        special: ids of the special tokens, and which ids are never predicted.
        seed: the run's seed.
    Source:  Sun et al. (2019), section 3.2.
    """

    name = "knowledge_masking"
    draws = False
    hides = True

    def __init__(self, config: KnowledgeMaskingConfig, special: SpecialTokens, seed: int) -> None:
        self.config = config
        self._random = Random(seed, "mask")
        self._hidden = HiddenTokens(special, seed, config.mask_share, config.random_share)
        shared = {n: getattr(config, n) for n in ("rate", "mask_share", "random_share", "bias")}
        self._tokens = MaskedLM(MaskedLMConfig(**shared), special, seed)
        self._tokens.name = self.name
        self.units = Units(np.zeros(len(special.special), np.bool_))

    @property
    def stages(self) -> dict[str, float]:
        """What it hides, for `polyseme mask`, and from which share of the budget on."""
        c = self.config
        stages = zip(STAGES, (0.0, c.phrases_from, c.entities_from), (BASIC, PHRASE, ENTITY), strict=True)
        return {name: start for name, start, kind in stages if c.deepest_at(start) == kind}

    def use(self, units: Units) -> None:
        """Take over what `read_corpus` learned; without it the only units are words."""
        self.units = units

    def find(self, rows: Rows) -> RowUnits:
        """The units of some rows at this point of the run."""
        piece = np.where(rows.maskable, rows.segment, 0)
        return self.units.find(rows.ids, rows.word_starts, piece, self.config.deepest_at(rows.progress))

    def weights(self, progress: float) -> Float64Array:
        """How much more often than others tokens of each kind are hidden: the wanted share over that of the text.

        Shapes:  -> (3,)
        """
        here = self.units.coverage.get(
            "entities" if self.config.deepest_at(progress) == ENTITY else "phrases", {}
        )
        weights = np.ones(3)
        for kind, share in ((PHRASE, self.config.phrase_share), (ENTITY, self.config.entity_share)):
            if share is not None:
                covered = here.get(KINDS[kind], 0.0)
                weights[kind] = share / covered if covered else 1.0
        return weights

    def choose(self, rows: Rows, units: RowUnits) -> BoolArray:
        """Which tokens to predict: whole units, `rate` of each row's tokens in all, as near as units fit.

        A kind's last unit is taken by chance so that its share is met on average.

        Shapes:  -> (B, T)
        """
        t = rows.ids.shape[1]
        text = rows.maskable.sum(1)
        quota = np.floor(self.config.rate * text + 0.5).astype(np.int64)
        quota = np.minimum(np.maximum(quota, 1), text)
        columns = np.arange(t)
        order = self._random.uniform(rows.counters[:, None], columns)
        coin = self._random.uniform(rows.counters[:, None], columns + t)
        return choose_units(units.unit, units.kind, quota, self.weights(rows.progress), order, coin)

    def prepare(self, rows: Rows) -> tuple[IntArray, IntArray, IntArray]:
        """Choose units and replace them; a pure function of the rows and the seed.

        Shapes:  rows of (B, T) -> ids: (B, T), positions: (P,), labels: (P,)
        """
        if self.config.unit == "token":
            return self._tokens.prepare(rows)
        units = self.find(rows)
        positions = np.flatnonzero(self.choose(rows, units))
        return self._hidden.hide(rows, positions, units.unit.ravel()[positions])

    def build_head(self, encoder: Encoder, counts: Tensor | None = None) -> MaskedLMHead:
        """A fresh head, BERT's; `counts` are the training text's unigram counts, (vocab_size,)."""
        return self._tokens.build_head(encoder, counts)

    def loss(self, encoding: Encoding, head: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        """Sum of -log p(label) over the chosen positions, in nats, and their number."""
        return self._tokens.loss(encoding, head, batch)

    def score(self, encoding: Encoding, head: nn.Module, batch: Batch) -> dict[str, tuple[float, int]]:
        """Held-out sums: {"loss": (nats, n), "accuracy": (correct, n)}."""
        return self._tokens.score(encoding, head, batch)

    def baseline(self, batch: Batch, counts: Tensor) -> tuple[float, int]:
        """The same positions predicted from word frequency alone: the number that a model must beat."""
        return self._tokens.baseline(batch, counts)


def read_corpus(
    config: KnowledgeMaskingConfig, store: TokenStore, tokenizer: Tokenizer, lexicon: Sequence[Entry]
) -> Units:
    """Learn the units of a training text: the user's lexicon, names and mined phrases."""
    mining = Mining(config.min_count, config.min_npmi, config.passes, config.min_name_count)
    return learn_units(store, tokenizer, lexicon, mining)


ENTRY = ObjectiveEntry(
    config=KnowledgeMaskingConfig,
    build=KnowledgeMasking,
    check=partial(check_sees_both_sides, name="knowledge_masking"),
    judged={"rate": 0.15, "unit": "token", "mask_share": 0.8, "random_share": 0.1},
    read=read_corpus,
    parse=Units.from_bytes,
    predicts="masked",
)
