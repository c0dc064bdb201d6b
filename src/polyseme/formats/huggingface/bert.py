"""Key table between our `bert` with its heads and transformers' BertForPreTraining."""

from __future__ import annotations

from typing import Any

from polyseme.formats.huggingface._rename import Rule

ARCHITECTURE = "BertForPreTraining"

_LAYER = "bert.encoder.layer.{i}."

RULES: tuple[Rule, ...] = tuple(
    (
        f"{ours}.{kind}",
        tuple(f"{t}.{kind}" for t in theirs) if isinstance(theirs, tuple) else f"{theirs}.{kind}",
    )
    for ours, theirs, kinds in (
        ("encoder.word_embeddings", "bert.embeddings.word_embeddings", ("weight",)),
        ("encoder.position_embeddings", "bert.embeddings.position_embeddings", ("weight",)),
        ("encoder.token_type_embeddings", "bert.embeddings.token_type_embeddings", ("weight",)),
        ("encoder.embedding_norm", "bert.embeddings.LayerNorm", ("weight", "bias")),
        (
            "encoder.blocks.{i}.query_key_value",
            tuple(_LAYER + "attention.self." + part for part in ("query", "key", "value")),
            ("weight", "bias"),
        ),
        ("encoder.blocks.{i}.attention_output", _LAYER + "attention.output.dense", ("weight", "bias")),
        ("encoder.blocks.{i}.attention_norm", _LAYER + "attention.output.LayerNorm", ("weight", "bias")),
        ("encoder.blocks.{i}.intermediate", _LAYER + "intermediate.dense", ("weight", "bias")),
        ("encoder.blocks.{i}.output", _LAYER + "output.dense", ("weight", "bias")),
        ("encoder.blocks.{i}.output_norm", _LAYER + "output.LayerNorm", ("weight", "bias")),
        ("encoder.pool.dense", "bert.pooler.dense", ("weight", "bias")),
        ("heads.masked_lm.dense", "cls.predictions.transform.dense", ("weight", "bias")),
        ("heads.masked_lm.norm", "cls.predictions.transform.LayerNorm", ("weight", "bias")),
        ("heads.masked_lm.decoder", "cls.predictions", ("bias",)),
        ("heads.next_sentence.classifier", "cls.seq_relationship", ("weight", "bias")),
    )
    for kind in kinds
)

TIED = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}
"""Tensors of theirs that are another of theirs under a second name."""


def config_to_theirs(config: dict[str, Any]) -> dict[str, Any]:
    """config.json of transformers from our configuration: the names are the same."""
    return {"model_type": "bert", "architectures": [ARCHITECTURE], **config}
