"""Key table between our `bert` with its heads and transformers' BertForPreTraining."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from polyseme.core.config import Config
from polyseme.formats.huggingface.family import (
    Family,
    Rule,
    Tensors,
    checked,
    one_layer,
    task_rules,
    with_heads,
)
from polyseme.models.bert import BertConfig

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
"""Their tied tensors: second names of other tensors."""

TASKS = one_layer("classifier", "classifier", "qa_outputs")
"""Modules of tasks' heads."""

_NOT_THEIRS = ("add_pooling_layer",)  # transformers shows this by omitting the pooler's tensors
_REQUIRED: Mapping[str, tuple[Any, ...]] = {"position_embedding_type": ("absolute",)}


def rules(objectives: Sequence[str] = ()) -> tuple[Rule, ...]:
    """The key table for the heads of these objectives; their masked-LM head stands for any masking objective."""
    return (*with_heads(RULES, objectives), *task_rules(TASKS, objectives))


def config_to_theirs(config: dict[str, Any]) -> dict[str, Any]:
    """config.json of transformers from our configuration: the names are the same."""
    fields = {k: v for k, v in config.items() if k not in _NOT_THEIRS}
    return {"model_type": "bert", "architectures": [ARCHITECTURE], **fields}


def config_to_ours(config: dict[str, Any], ours: type[Config] = BertConfig) -> dict[str, Any]:
    """Our configuration's fields from config.json; absent fields have the same default in both.

    Raises:  ConfigError: a field that cannot be honoured.
    """
    fields = [name for name in ours.model_fields if name not in _NOT_THEIRS]
    checked(config, [*fields, "bos_token_id", "eos_token_id", "tie_word_embeddings"], _REQUIRED)
    return {name: config[name] for name in fields if config.get(name) is not None}


def decoder_of(family: Family, name: str) -> Family:
    """The same network as their decoder, which is_decoder alone tells apart.

    Args:
        name: of their class.
    """

    def without_pooler(tensors: Tensors, objectives: Sequence[str], config: Mapping[str, Any]) -> Tensors:
        return {key: tensor for key, tensor in tensors.items() if ".pooler." not in key}

    return replace(
        family,
        cut=without_pooler,
        config_to_theirs=lambda config: {**family.config_to_theirs(config), "is_decoder": True},
        default_objectives={"masks": "hybrid"},
        classes={("masks",): name},
        tasks={},
        inputs=("input_ids", "attention_mask"),
        decodes=True,
    )


_ENCODER = Family(
    model_type="bert",
    architecture="bert",
    prefix="bert.",
    config=BertConfig,
    rules=rules,
    tied=lambda config: TIED,
    config_to_theirs=config_to_theirs,
    config_to_ours=config_to_ours,
    default_objectives={"masks": "masked_lm", "pairs": "next_sentence"},
    classes={
        ("masks", "pairs"): "BertForPreTraining",
        ("masks",): "BertForMaskedLM",
        ("pairs",): "BertForNextSentencePrediction",
        (): "BertModel",
    },
    stem="Bert",
    tasks=TASKS,
    pools=("cls",),
    pooled=True,
    inputs=("input_ids", "token_type_ids", "attention_mask"),
)
FAMILY = replace(_ENCODER, decoder=decoder_of(_ENCODER, "BertLMHeadModel"))
