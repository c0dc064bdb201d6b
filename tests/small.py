"""Small models and objectives for tests."""

from __future__ import annotations

from typing import Any

import torch

from polyseme.core import registry
from polyseme.data.examples import SpecialTokens
from polyseme.train.config import TrainConfig
from polyseme.train.gradient import GradientLearner

VOCABULARY = 64
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(5, VOCABULARY))]
SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "local_attention": 8,
    "initializer_range": 0.2,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "filters": ((1, 8), (2, 8), (3, 16)),
}
TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "tokenizer.vocab_size": 800,
    "train.batch_size": 4,
    "train.heldout_tokens": 512,
}
"""Settings of runs of pages and notebooks, which are trained to be shown."""


def make_encoder(name: str, **changes: Any) -> Any:
    entry = registry.models.load(name)
    fields = {k: v for k, v in {**SMALL, **changes}.items() if k in entry.config.model_fields}
    torch.manual_seed(0)
    encoder = entry.build(entry.config(**fields))
    if hasattr(encoder, "read_vocabulary"):
        encoder.read_vocabulary(WORDS)
    return encoder


def is_gradient(name: str) -> bool:
    """Whether a model is learned by gradient descent; the others bring learners of their own."""
    objectives = registry.models.load(name).objectives
    return all(registry.objectives.load(o).build is not None for o in objectives)


def objectives_of(name: str) -> tuple[str, ...]:
    """Everything that a model is tested with."""
    objectives = registry.models.load(name).objectives
    return ("masked_lm", "next_sentence") if "masked_lm" in objectives else objectives


GRADIENT_MODELS = [name for name in registry.models.names() if is_gradient(name)]
CASES = [
    (name, objectives)
    for name in GRADIENT_MODELS
    for objectives in dict.fromkeys([*((o,) for o in objectives_of(name)), objectives_of(name)])
]
BOTH_WAYS = [
    name
    for name in GRADIENT_MODELS
    for model in [registry.models.load(name).build]
    if model.reach == "both" and hasattr(model, "decode")
]
"""Models that can also read from the left alone."""
CASES += [(name, ("hybrid",)) for name in BOTH_WAYS]


def make_objectives(names: tuple[str, ...], special: SpecialTokens, **config: Any) -> list[Any]:
    made = []
    for name in names:
        module = registry.objectives.load(name)
        fields = {k: v for k, v in config.items() if k in module.config.model_fields}
        made.append(module.build(module.config(**fields), special, seed=3))
    return made


def make_learner(encoder: Any, objectives: list[Any], **config: Any) -> GradientLearner:
    config = {"precision": "float32", "warmup": 0.0, "schedule": "constant", "learning_rate": 3e-3} | config
    torch.manual_seed(1)
    counts = torch.ones(VOCABULARY, dtype=torch.long)
    return GradientLearner(encoder, objectives, TrainConfig(**config), torch.device("cpu"), counts, seed=5)
