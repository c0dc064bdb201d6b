"""Key table between our `ernie` with its heads and transformers' ErnieForPreTraining: BERT's and one embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from polyseme.formats.huggingface import bert
from polyseme.formats.huggingface.family import Rule
from polyseme.models.ernie import ErnieConfig

ARCHITECTURE = "ErnieForPreTraining"


def _of_ernie(key: str) -> str:
    return "ernie." + key.removeprefix("bert.") if key.startswith("bert.") else key


def rules(objectives: Sequence[str] = ("knowledge_masking", "next_sentence")) -> tuple[Rule, ...]:
    """The key table for the heads of these objectives; their head of two classes is our next_sentence or dialogue."""
    table: list[Rule] = []
    for ours, theirs in bert.rules(objectives):
        parts = tuple(map(_of_ernie, theirs)) if isinstance(theirs, tuple) else _of_ernie(theirs)
        table.append((ours, parts))
    task = ("encoder.task_type_embeddings.weight", "ernie.embeddings.task_type_embeddings.weight")
    return (*table, task)


RULES = rules()

TIED = {_of_ernie(theirs): _of_ernie(source) for theirs, source in bert.TIED.items()}
"""Their tied tensors: second names of other tensors."""


def config_to_theirs(config: dict[str, Any]) -> dict[str, Any]:
    """config.json of transformers from our configuration: the names are the same."""
    return {**bert.config_to_theirs(config), "model_type": "ernie", "architectures": [ARCHITECTURE]}


_ENCODER = replace(
    bert.FAMILY,
    model_type="ernie",
    architecture="ernie",
    prefix="ernie.",
    config=ErnieConfig,
    rules=rules,
    tied=lambda config: TIED,
    config_to_theirs=config_to_theirs,
    config_to_ours=partial(bert.config_to_ours, ours=ErnieConfig),
    default_objectives={"masks": "knowledge_masking", "pairs": "next_sentence"},
    classes={heads: name.replace("Bert", "Ernie") for heads, name in bert.FAMILY.classes.items()},
    stem="Ernie",
)
FAMILY = replace(_ENCODER, decoder=bert.decoder_of(_ENCODER, "ErnieForCausalLM"))
