"""Runs with random weights for tests of embedding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from polyseme.core import registry
from polyseme.infer.model import Model, load
from polyseme.text.config import TokenizerConfig
from polyseme.text.training import train_tokenizer
from polyseme.train.build import build_encoder
from polyseme.train.recipe import from_dict
from polyseme.train.run import RunDirectory
from small import SMALL

TEXTS = [
    "the cat sat on the mat",
    "",
    "a dog",
    "the old dog sees the small cat and the small cat sees the old dog " * 3,
    "on the mat",
    "今天天气很好",
    "cat",
    "the dog sat on the old mat, and the cat sat on the small one",
]


def random_run(
    folder: Path, name: str, embedding: dict[str, Any] | None = None, tokenizer: Any = None
) -> Model:
    """A loaded run of a model with random weights; `tokenizer` is a kind."""
    kind = tokenizer or ("words" if name in ("elmo", "word2vec", "onehot", "word-classes") else "wordpiece")
    size = {"words": None, "byte-bpe": 330}.get(kind, 160)
    config = TokenizerConfig(kind=kind, vocab_size=size, min_count=1)
    tokenizer = train_tokenizer([t for t in TEXTS if t] * 5, config, 10_000)
    entry = registry.models.load(name)
    sizes = {**SMALL, "vocab_size": tokenizer.vocab_size}
    fields = {k: v for k, v in sizes.items() if k in entry.config.model_fields}
    recipe = from_dict({"architecture": name, "objectives": [], "model": fields})
    torch.manual_seed(0)
    encoder = build_encoder(recipe, tokenizer)
    for parameter in encoder.parameters():
        if parameter.is_floating_point():  # word classes are integers
            parameter.data.add_(torch.randn(parameter.shape) * 0.1)
    meta = {"model": name, "status": "finished", "recipe": recipe.as_dict(), "embedding": embedding}
    run = RunDirectory.create(folder / name, meta)
    tokenizer.save(run.path / "tokenizer.json")
    run.publish({f"encoder.{k}": p.detach() for k, p in encoder.named_parameters()})
    return load(run.path)
