"""Tables of key renames that run in either direction.

A rule is (ours, theirs): two patterns in which `{i}` stands for a layer number. Where one of our tensors holds
several of theirs stacked along the first dimension, `theirs` is a tuple.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from polyseme.errors import CheckpointError

Rule = tuple[str, str | tuple[str, ...]]


def expand(rules: Sequence[Rule], layers: int) -> Iterator[Rule]:
    """The rules with every layer number filled in."""
    for ours, theirs in rules:
        for i in range(layers) if "{i}" in ours else (0,):
            parts = theirs if isinstance(theirs, tuple) else (theirs,)
            filled = tuple(re.sub(r"\{i\}", str(i), part) for part in parts)
            yield ours.replace("{i}", str(i)), filled if isinstance(theirs, tuple) else filled[0]


def with_heads(rules: Sequence[Rule], heads: Mapping[str, str]) -> tuple[Rule, ...]:
    """The same table for heads of other names: {"masked_lm": "knowledge_masking"}."""
    renamed: list[Rule] = []
    for ours, theirs in rules:
        for old, new in heads.items():
            if ours.startswith(f"heads.{old}."):
                ours = f"heads.{new}." + ours.removeprefix(f"heads.{old}.")
                break
        renamed.append((ours, theirs))
    return tuple(renamed)


def to_theirs(tensors: Mapping[str, Tensor], rules: Sequence[Rule], layers: int) -> dict[str, Tensor]:
    """Rename (and split) our tensors; tensors that are absent on our side are left out."""
    result: dict[str, Tensor] = {}
    for ours, theirs in expand(rules, layers):
        if ours not in tensors:
            continue
        if isinstance(theirs, tuple):
            result.update(zip(theirs, tensors[ours].chunk(len(theirs)), strict=True))
        else:
            result[theirs] = tensors[ours]
    return result


def to_ours(tensors: Mapping[str, Tensor], rules: Sequence[Rule], layers: int) -> dict[str, Tensor]:
    """Rename (and stack) their tensors.

    Raises:  CheckpointError: some parts of a stacked tensor are there and others are missing.
    """
    result: dict[str, Tensor] = {}
    for ours, theirs in expand(rules, layers):
        parts = theirs if isinstance(theirs, tuple) else (theirs,)
        missing = [part for part in parts if part not in tensors]
        if missing and len(missing) < len(parts):
            raise CheckpointError("a tensor is missing", where=missing[0])
        if not missing:
            result[ours] = torch.cat([tensors[p] for p in parts]) if len(parts) > 1 else tensors[parts[0]]
    return result


Renaming = Callable[[Mapping[str, Tensor], Sequence[str], Mapping[str, Any]], dict[str, Tensor]]
"""(tensors, our objectives, our configuration as a dict) -> tensors under the other names."""


def both_ways(rules: Callable[[Sequence[str]], Sequence[Rule]]) -> tuple[Renaming, Renaming]:
    """`to_theirs` and `to_ours` of a family that needs nothing but its table.

    Args:
        rules: the table for the heads of some objectives.
    """

    def theirs(
        tensors: Mapping[str, Tensor], objectives: Sequence[str], config: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        return to_theirs(tensors, rules(objectives), config["num_hidden_layers"])

    def ours(
        tensors: Mapping[str, Tensor], objectives: Sequence[str], config: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        return to_ours(tensors, rules(objectives), config["num_hidden_layers"])

    return theirs, ours
