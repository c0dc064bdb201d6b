"""Key table between our `ernie` with its heads and transformers' ErnieForPreTraining."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from polyseme.formats.huggingface import _rename, bert
from polyseme.formats.huggingface._config import Family, checked
from polyseme.formats.huggingface._rename import Rule
from polyseme.models.ernie import ErnieConfig

ARCHITECTURE = "ErnieForPreTraining"


def _of_ernie(key: str) -> str:
    return "ernie." + key.removeprefix("bert.") if key.startswith("bert.") else key


def rules(objectives: Sequence[str] = ("knowledge_masking", "next_sentence")) -> tuple[Rule, ...]:
    """The table for the heads of these objectives; their head of two classes is our next_sentence or dialogue."""
    table: list[Rule] = []
    for ours, theirs in bert.rules(objectives):
        parts = tuple(map(_of_ernie, theirs)) if isinstance(theirs, tuple) else _of_ernie(theirs)
        table.append((ours, parts))
    task = ("encoder.task_type_embeddings.weight", "ernie.embeddings.task_type_embeddings.weight")
    return (*table, task)


RULES = rules()

TIED = {_of_ernie(theirs): _of_ernie(source) for theirs, source in bert.TIED.items()}
"""Tensors of theirs that are another of theirs under a second name."""


to_theirs, to_ours = _rename.both_ways(rules)


def config_to_theirs(config: dict[str, Any]) -> dict[str, Any]:
    """config.json of transformers from our configuration: the names are the same."""
    return {**bert.config_to_theirs(config), "model_type": "ernie", "architectures": [ARCHITECTURE]}


def config_to_ours(config: dict[str, Any]) -> dict[str, Any]:
    """Our configuration's fields from config.json; what is absent has the same default in both.

    Raises:  ConfigError: a field that cannot be honoured.
    """
    fields = [name for name in ErnieConfig.model_fields if name != "add_pooling_layer"]
    checked(config, [*fields, "bos_token_id", "eos_token_id", "tie_word_embeddings"], bert.REQUIRED)
    return {name: config[name] for name in fields if config.get(name) is not None}


FAMILY = Family(
    model_type="ernie",
    architecture="ernie",
    prefix="ernie.",
    config=ErnieConfig,
    rules=rules,
    tied=lambda config: TIED,
    to_theirs=to_theirs,
    to_ours=to_ours,
    config_to_theirs=config_to_theirs,
    config_to_ours=config_to_ours,
    default_objectives={"masks": "knowledge_masking", "pairs": "next_sentence"},
    classes={heads: name.replace("Bert", "Ernie") for heads, name in bert.FAMILY.classes.items()},
    stem="Ernie",
    tasks=bert.TASKS,
    pools=bert.FAMILY.pools,
    pooled=bert.FAMILY.pooled,
    inputs=bert.FAMILY.inputs,
)
