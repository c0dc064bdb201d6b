"""Small runs with random weights, to be exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from polyseme.core import registry
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.training import from_words
from polyseme.train.build import special_ids
from polyseme.train.recipe import from_dict
from polyseme.train.run import RunDirectory
from small import SMALL, WORDS, is_gradient, make_encoder, make_objectives, objectives_of


def run_of(name: str, folder: Path, **changes: Any) -> Path:
    """A run with random weights, of one layer where one is enough to see everything."""
    sizes = {"num_hidden_layers": 2 if name == "modernbert" else 1, **changes}
    encoder = make_encoder(name, **sizes)
    tokenizer = Tokenizer(from_words(WORDS[5:], "words", True))
    objectives = ["masked_lm", "next_sentence"] if name == "ernie" else list(objectives_of(name))
    objectives = objectives if is_gradient(name) else []
    heads = {
        o.name: o.build_head(encoder) for o in make_objectives(tuple(objectives), special_ids(tokenizer))
    }
    tensors = {f"encoder.{n}": p.detach() for n, p in encoder.named_parameters()}
    for head_name, head in heads.items():
        tensors |= {f"heads.{head_name}.{n}": p.detach() for n, p in head.named_parameters()}
    generator = torch.Generator().manual_seed(1)
    for key, tensor in tensors.items():  # biases and norms, which start alike, too
        if tensor.ndim == 1:
            tensors[key] = tensor + 0.1 * torch.randn(tensor.shape, generator=generator)
    config = registry.models.load(name).config
    model = {k: v for k, v in {**SMALL, **sizes}.items() if k in config.model_fields}
    recipe = from_dict({"architecture": name, "objectives": objectives, "model": model})
    run = RunDirectory.create(folder, {"model": name, "recipe": recipe.as_dict()})
    tokenizer.save(run.path / "tokenizer.json")
    run.publish(tensors)
    return run.path
