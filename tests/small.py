"""Small models and objectives for tests."""

from __future__ import annotations

from typing import Any

import torch

from polyseme.core import registry
from polyseme.data.examples import SpecialTokens
from polyseme.train.config import TrainConfig
from polyseme.train.gradient import GradientLearner

VOCABULARY = 64
SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "local_attention": 8,
    "initializer_range": 0.2,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


def make_encoder(name: str, **changes: Any) -> Any:
    entry = registry.models.load(name).ENTRY
    fields = {k: v for k, v in {**SMALL, **changes}.items() if k in entry.config.model_fields}
    torch.manual_seed(0)
    return entry.build(entry.config(**fields))


def make_objectives(names: tuple[str, ...], special: SpecialTokens, **config: Any) -> list[Any]:
    made = []
    for name in names:
        module = registry.objectives.load(name)
        fields = {k: v for k, v in config.items() if k in module.CONFIG.model_fields}
        made.append(module.BUILD(module.CONFIG(**fields), special, seed=3))
    return made


def make_learner(encoder: Any, objectives: list[Any], **config: Any) -> GradientLearner:
    config = {"precision": "float32", "warmup": 0.0, "schedule": "constant", "learning_rate": 3e-3} | config
    torch.manual_seed(1)
    counts = torch.ones(VOCABULARY, dtype=torch.long)
    return GradientLearner(encoder, objectives, TrainConfig(**config), torch.device("cpu"), counts, seed=5)
