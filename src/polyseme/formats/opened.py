"""A run opened for export: its encoder and heads with their weights, and its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from polyseme.errors import CheckpointError
from polyseme.text.tokenizers import Tokenizer
from polyseme.train.building import build_encoder, build_heads, special_ids
from polyseme.train.recipe import Recipe, from_dict
from polyseme.train.run import RunDirectory

__all__ = ["Opened", "open_run"]


@dataclass(frozen=True)
class Opened:
    """A run in memory, in evaluation mode, float32, on the CPU.

    Args:
        run: where it came from.
        recipe: what it is.
        tokenizer: text to ids.
        encoder: satisfies `Encoder`.
        heads: the objectives' heads by name.
    """

    run: RunDirectory
    recipe: Recipe
    tokenizer: Tokenizer
    encoder: Any
    heads: nn.ModuleDict


def open_run(path: Path | str) -> Opened:
    """Open a run.

    Raises:  RunError: there is no run.  CheckpointError: its files are damaged beyond the checkpoints.
    """
    run = RunDirectory.open(path)
    tensors, _ = run.weights()
    recipe = from_dict(run.meta["recipe"])
    try:
        tokenizer = Tokenizer.from_file(run.path / "tokenizer.json")
    except FileNotFoundError:
        raise CheckpointError("the run's tokenizer is missing", where=run.path / "tokenizer.json") from None
    encoder = build_encoder(recipe, tokenizer)
    heads = build_heads(recipe, encoder, special_ids(tokenizer))
    for room, module in (("encoder", encoder), ("heads", heads)):
        own = {f"{room}.{name}": parameter for name, parameter in module.named_parameters()}
        stored = {name: tensor for name, tensor in tensors.items() if name.startswith(f"{room}.")}
        for name in {**own, **stored}:
            if name not in own or name not in stored or own[name].shape != stored[name].shape:
                raise CheckpointError("a tensor does not fit the run's model", got=name, where=run.path)
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(stored[name])
        module.eval()
    return Opened(run, recipe, tokenizer, encoder, heads)
