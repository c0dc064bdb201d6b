"""Masked language modelling: hide some tokens, predict them from both sides.

Paper: Devlin et al. (2019), section 3.1, task 1 and appendix A.1: 15 % of the tokens are chosen anew at every
visit; of these 80 % become [MASK], 10 % a random token, 10 % stay.

    loss = -Σ_{i chosen} log softmax(E · head(h_i) + b)[token_i]

Units: single tokens; whole words (the paper's later release; Cui et al. 2021 for Chinese, where words are the
segmenter's); or spans of words with geometric lengths (Joshi et al. 2020, SpanBERT, section 3.1). The head and
its vocabulary-sized product are computed only at chosen positions.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from polyseme.core.arrays import BoolArray, IntArray
from polyseme.core.config import Config
from polyseme.core.entries import ObjectiveEntry
from polyseme.core.protocols import Encoder
from polyseme.core.rng import Random
from polyseme.core.types import Batch, Encoding
from polyseme.data.examples import SpecialTokens
from polyseme.data.loader import Rows
from polyseme.errors import ConfigError
from polyseme.layers.activation import activation
from polyseme.layers.cross_entropy import cross_entropy_sum
from polyseme.layers.linear import Linear, linear


class MaskedLMConfig(Config):
    """Section [masked_lm] of a recipe.

    Args:
        rate: share of the tokens that is predicted.
        final_rate: if given, the rate moves linearly to it over the budget (Yang et al. 2023).
        unit: what is hidden together: "token", "word" or "span".
        mask_share, random_share: of the chosen tokens, replaced by [MASK], by a random token; the rest stays.
        span_p, span_max: spans of words have lengths from a geometric distribution, cut at span_max.
        bias: the decoder's bias starts at "zero" (the paper) or at the log "unigram" frequencies.
    """

    rate: float = Field(0.15, gt=0, lt=1)
    final_rate: float | None = Field(None, gt=0, lt=1)
    unit: Literal["token", "word", "span"] = "token"
    mask_share: float = Field(0.8, ge=0, le=1)
    random_share: float = Field(0.1, ge=0, le=1)
    span_p: float = Field(0.2, gt=0, le=1)
    span_max: int = Field(10, ge=1)
    bias: Literal["zero", "unigram"] = "zero"

    def rate_at(self, progress: float) -> float:
        """The masking rate when this share of the budget is spent."""
        if self.final_rate is None:
            return self.rate
        return self.rate + (self.final_rate - self.rate) * min(1.0, max(0.0, progress))


def _choose_tokens(rows: Rows, quota: IntArray, random: Random) -> BoolArray:
    """`quota` tokens of every row, uniformly."""
    b, t = rows.ids.shape
    keys = random.uniform(rows.counters[:, None], np.arange(t))
    keys[~rows.maskable] = 2.0  # above every uniform number: never among the first
    rank = np.empty((b, t), np.int64)
    np.put_along_axis(rank, np.argsort(keys, axis=1), np.arange(t)[None, :], axis=1)
    return rank < quota[:, None]


def _units(rows: Rows, row: int) -> list[tuple[int, int]]:
    """Words of one row as (start, end), each within one example and free of special tokens."""
    maskable = rows.maskable[row]
    segment = rows.segment[row]
    begins = maskable & (rows.word_starts[row] | ~np.roll(maskable, 1) | (np.roll(segment, 1) != segment))
    begins[0] = maskable[0]
    starts = np.flatnonzero(begins)
    breaks = np.flatnonzero(begins | ~maskable)
    ends = np.append(breaks, len(maskable))[np.searchsorted(breaks, starts, side="right")]
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def _choose_units(rows: Rows, quota: IntArray, random: Random, config: MaskedLMConfig) -> BoolArray:
    """Whole words, or spans of words, never more than `quota` tokens of a row and as near to it as they fit."""
    t = rows.ids.shape[1]
    chosen = np.zeros(rows.ids.shape, np.bool_)
    for row, counter in enumerate(rows.counters):
        words = _units(rows, row)
        left = int(quota[row])
        keys = random.uniform(int(counter), np.arange(2 * t))
        lengths = np.ones(t, np.int64)
        if config.unit == "span":
            log_miss = np.log1p(-config.span_p) if config.span_p < 1 else -np.inf
            lengths = np.minimum(1 + (np.log1p(-keys[t:]) / log_miss).astype(np.int64), config.span_max)
        for first in np.argsort(keys[: len(words)]):
            if left == 0:
                break
            for i in range(first, min(first + int(lengths[first]), len(words))):
                start, end = words[i]
                joined = i == first or start == words[i - 1][1]
                if not joined or end - start > left or chosen[row, start]:
                    break
                chosen[row, start:end] = True
                left -= end - start
    return chosen


class HiddenTokens:
    """Hides chosen tokens: 80 % become [MASK], 10 % a random token, 10 % stay, or other shares.

    Args:
        special: ids of the special tokens, and which ids are never predicted.
        seed: the run's seed.
        mask_share, random_share: of the chosen, replaced by [MASK], by a random ordinary token; the rest stays.
    Source:  Devlin et al. (2019), appendix A.1.
    """

    def __init__(self, special: SpecialTokens, seed: int, mask_share: float, random_share: float) -> None:
        self._mask, self._mask_share, self._random_share = special.mask, mask_share, random_share
        self._random = Random(seed, "replace")
        self._ordinary = np.flatnonzero(~special.special)

    def hide(
        self, rows: Rows, positions: IntArray, unit: IntArray | None = None
    ) -> tuple[IntArray, IntArray, IntArray]:
        """Replace what stands at the positions; a pure function of the rows, the positions and the seed.

        Args:
            unit: number of each position's unit within its row; the tokens of a unit have one fate. None: each its own.
        Shapes:  rows of (B, T), positions, unit: (P,) -> ids: (B, T), positions: (P,), labels: (P,)
        """
        row, column = np.divmod(positions, rows.ids.shape[1])
        labels = rows.ids.ravel()[positions]
        u = self._random.uniform(rows.counters[row], 2 * (column if unit is None else unit))
        pick = self._random.integers(len(self._ordinary), rows.counters[row], 2 * column + 1)
        masked = u < self._mask_share
        replaced = ~masked & (u < self._mask_share + self._random_share)
        ids = rows.ids.copy()
        ids.ravel()[positions] = np.where(
            masked, self._mask, np.where(replaced, self._ordinary[pick], labels)
        )
        return ids, positions, labels


class MaskedLMHead(nn.Module):
    """From a hidden state to what the tied decoder reads: norm(act(W h + b)); the decoder's own bias.

    Shapes:  (P, hidden_size) -> (P, hidden_size)
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        style, d = encoder.head_style, encoder.config.hidden_size
        self.dense = Linear(d, d, bias=style.dense_bias)
        self.act = activation(style.activation)
        self.norm = nn.LayerNorm(d, eps=style.norm_eps, bias=style.norm_bias)
        bias = torch.zeros(encoder.config.vocab_size)
        self.decoder = nn.ParameterDict({"bias": nn.Parameter(bias)} if style.decoder_bias else {})
        self.tied = [encoder.token_embedding()]  # in a list, so that it is not a second owner of the weight
        nn.init.normal_(self.dense.weight, std=style.initializer_range)
        if style.dense_bias:
            nn.init.zeros_(self.dense.bias)

    def forward(self, h: Tensor) -> Tensor:
        return self.norm(self.act(self.dense(h)))  # type: ignore[no-any-return]

    @property
    def weight(self) -> Tensor:
        """The decoder's weight, which is the input embedding: (vocab_size, hidden_size)."""
        weight: Tensor = self.tied[0].weight
        return weight

    @property
    def bias(self) -> Tensor | None:
        """The decoder's bias, (vocab_size,), where the family has one."""
        return dict(self.decoder.items()).get("bias")

    def logits(self, h: Tensor) -> Tensor:
        """Scores of every token of the vocabulary: (P, hidden_size) -> (P, vocab_size)"""
        return linear(self(h), self.weight, self.bias)


class MaskedLM:
    """The objective: 15 % of the tokens, 80/10/10, cross-entropy over the vocabulary.

    Args:
        config: rates and units.
        special: ids of the special tokens, and which ids are never predicted.
        seed: the run's seed.
    Source:  Devlin et al. (2019), section 3.1.
    """

    name = "masked_lm"
    draws = False
    hides = True

    def __init__(self, config: MaskedLMConfig, special: SpecialTokens, seed: int) -> None:
        self.config = config
        self._random = Random(seed, "mask")
        self._hidden = HiddenTokens(special, seed, config.mask_share, config.random_share)

    @property
    def stages(self) -> dict[str, float]:
        """What it hides, for `polyseme mask`; the same all the time."""
        return {
            {"token": "single tokens", "word": "whole words", "span": "spans of words"}[self.config.unit]: 0.0
        }

    def prepare(self, rows: Rows) -> tuple[IntArray, IntArray, IntArray]:
        """Choose tokens and replace them; a pure function of the rows and the seed.

        The number chosen is `rate` of the maskable tokens of each row, rounded, and at least one: full rows all
        have the same number, so batches of full rows have a fixed number of predictions.

        Shapes:  rows of (B, T) -> ids: (B, T), positions: (P,), labels: (P,)
        """
        maskable = rows.maskable.sum(1)
        quota = np.floor(self.config.rate_at(rows.progress) * maskable + 0.5).astype(np.int64)
        quota = np.minimum(np.maximum(quota, 1), maskable)
        if self.config.unit == "token":
            chosen = _choose_tokens(rows, quota, self._random)
        else:
            chosen = _choose_units(rows, quota, self._random, self.config)
        return self._hidden.hide(rows, np.flatnonzero(chosen))

    def build_head(self, encoder: Encoder, counts: Tensor | None = None) -> MaskedLMHead:
        """A fresh head; `counts` are the training text's unigram counts, (vocab_size,), for bias="unigram".

        Raises:  ConfigError: the model sees nothing around a mask, or its embeddings cannot be the output layer.
        """
        check_sees_both_sides(encoder, self.name)
        if encoder.token_embedding().embedding_dim != encoder.config.hidden_size:
            raise cannot_train(self.name, "embeddings of another size than its hidden states")
        head = MaskedLMHead(encoder)
        if self.config.bias == "unigram" and counts is not None and head.bias is not None:
            with torch.no_grad():
                head.bias.copy_(log_unigram(counts))
        return head

    def loss(self, encoding: Encoding, head: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        """Sum of -log p(label) over the chosen positions, in nats, and their number."""
        assert isinstance(head, MaskedLMHead)
        positions, labels = batch.targets[self.name]
        hidden = head(encoding.at(positions))
        return cross_entropy_sum(hidden, head.weight, head.bias, labels), len(labels)

    def score(self, encoding: Encoding, head: nn.Module, batch: Batch) -> dict[str, tuple[float, int]]:
        """Held-out sums: {"loss": (nats, n), "accuracy": (correct, n)}."""
        assert isinstance(head, MaskedLMHead)
        positions, labels = batch.targets[self.name]
        logits = head.logits(encoding.at(positions)).float()
        loss = nn.functional.cross_entropy(logits, labels, reduction="sum")
        correct = (logits.argmax(1) == labels).sum()
        return {"loss": (float(loss), len(labels)), "accuracy": (float(correct), len(labels))}

    def baseline(self, batch: Batch, counts: Tensor) -> tuple[float, int]:
        """The same positions predicted from word frequency alone: the number that a model must beat."""
        labels = batch.targets[self.name].labels.cpu()
        return float(-log_unigram(counts)[labels].double().sum()), len(labels)


def check_sees_both_sides(encoder: Encoder, name: str = "masked_lm") -> None:
    """Raises:  ConfigError: no vector of the encoder has seen both sides of a token."""
    if encoder.reach == "none":
        raise cannot_train(name, "a model that sees nothing around a mask")
    if encoder.reach != "both":
        raise cannot_train(name, f"a model that sees the {encoder.reach} side of a mask alone")
    if getattr(encoder, "two_way", False):
        raise cannot_train(name, "a model of two halves, each of which sees one side of a mask")


def cannot_train(name: str, got: str) -> ConfigError:
    """The error of an objective with masks for a model that it is not made for."""
    return ConfigError(
        f"{name} cannot train this model",
        got=got,
        expected="an encoder whose vectors see both sides: bert, modernbert, ernie",
        fix="polyseme pretrain bert …, or leave objectives as they are",
    )


def log_unigram(counts: Tensor) -> Tensor:
    """Log relative frequencies with one added to each count.  Shapes: (V,) -> (V,)"""
    smoothed = counts.double() + 1.0
    return (smoothed / smoothed.sum()).log().float()


ENTRY = ObjectiveEntry(
    config=MaskedLMConfig,
    build=MaskedLM,
    check=check_sees_both_sides,
    judged={"rate": 0.15, "final_rate": None, "unit": "token", "mask_share": 0.8, "random_share": 0.1},
    predicts="masked",
)
