"""A small decoder with a tokenizer of its own, as if it had been trained and loaded."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from polyseme.infer.model import Model
from polyseme.objectives.causal_lm import CausalLMHead
from polyseme.objectives.masked_lm import MaskedLMHead
from polyseme.text.config import TokenizerConfig
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.training import train_tokenizer
from polyseme.train.build import special_ids
from small import make_encoder, make_objectives

TEXTS = ['the cat sat on the mat, and it\'s a "good" day. 北京欢迎你', "é ü one two three, four"] * 9
SIZES = {"wordpiece": 90, "byte-bpe": 330, "unigram": 80, "characters": 64, "words": 64, "spaces": 64}


def make_tokenizer(kind: str = "wordpiece") -> Tokenizer:
    return train_tokenizer(TEXTS, TokenizerConfig(kind=kind, vocab_size=SIZES[kind], min_count=1), 0)  # type: ignore[arg-type]


def make_loaded(model: str = "gpt", kind: str = "wordpiece", hybrid: bool = False, **changes: Any) -> Model:
    tokenizer = make_tokenizer(kind)
    encoder = make_encoder(model, **{"vocab_size": tokenizer.vocab_size, **changes}).eval()
    causal = encoder.reach == "left"
    torch.manual_seed(0)
    heads: Any = {"causal_lm": CausalLMHead(encoder)} if causal else {"masked_lm": MaskedLMHead(encoder)}
    if model == "elmo":
        (objective,) = make_objectives(("bidirectional_lm",), special_ids(tokenizer))
        heads = {"bidirectional_lm": objective.build_head(encoder)}
    if hybrid:
        heads = {"hybrid": MaskedLMHead(encoder)}
    recipe: Any = SimpleNamespace(architecture=model, objectives=tuple(heads))
    run: Any = SimpleNamespace(path=Path("runs/test"), meta={}, store=None)
    return Model(
        run, encoder, {n: h.eval() for n, h in heads.items()}, tokenizer, recipe, special_ids(tokenizer)
    )
