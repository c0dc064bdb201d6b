"""A run opened for export: its encoder and heads with their weights, and its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from polyseme.core.protocols import Encoder
from polyseme.text.tokenizers import Tokenizer
from polyseme.train.building import rebuild
from polyseme.train.recipe import Recipe
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
    encoder: Encoder
    heads: nn.ModuleDict


def open_run(path: Path | str) -> Opened:
    """Open a run.

    Raises:  RunError: there is no run.  CheckpointError: its files are damaged beyond the checkpoints,
             or hold weights that are no numbers.
    """
    run = RunDirectory.open(path)
    tensors, _ = run.weights()
    return Opened(run, *rebuild(run, tensors))
