"""Key table between our `ernie` with its heads and transformers' ErnieForPreTraining."""

from __future__ import annotations

from typing import Any

from polyseme.formats.huggingface import bert
from polyseme.formats.huggingface._rename import Rule

ARCHITECTURE = "ErnieForPreTraining"


def _of_ernie(key: str) -> str:
    return "ernie." + key.removeprefix("bert.") if key.startswith("bert.") else key


def rules(sentence_head: str = "next_sentence") -> tuple[Rule, ...]:
    """The table; their head of two classes over [CLS] is our `sentence_head`: next_sentence or dialogue."""
    heads = {
        "heads.masked_lm.": "heads.knowledge_masking.",
        "heads.next_sentence.": f"heads.{sentence_head}.",
    }
    table: list[Rule] = []
    for ours, theirs in bert.RULES:
        for old, new in heads.items():
            ours = new + ours.removeprefix(old) if ours.startswith(old) else ours
        parts = tuple(map(_of_ernie, theirs)) if isinstance(theirs, tuple) else _of_ernie(theirs)
        table.append((ours, parts))
    task = ("encoder.task_type_embeddings.weight", "ernie.embeddings.task_type_embeddings.weight")
    return (*table, task)


RULES = rules()

TIED = {_of_ernie(theirs): _of_ernie(source) for theirs, source in bert.TIED.items()}
"""Tensors of theirs that are another of theirs under a second name."""


def config_to_theirs(config: dict[str, Any]) -> dict[str, Any]:
    """config.json of transformers from our configuration: the names are the same."""
    return {"model_type": "ernie", "architectures": [ARCHITECTURE], **config}
