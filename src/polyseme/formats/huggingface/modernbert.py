"""Key tables between our `modernbert` with its head and transformers' ModernBertForMaskedLM, and for a run that also
writes ModernBertDecoderForCausalLM: the same network under a causal mask, its stacked matrix split in three.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyseme.formats.huggingface.family import (
    Family,
    Rule,
    checked,
    default_rope,
    one_layer,
    refused,
    task_rules,
    with_heads,
)
from polyseme.models.modernbert import ModernBertConfig

ARCHITECTURE = "ModernBertForMaskedLM"

_LAYER = "model.layers.{i}."
_BOTH = ("weight", "bias")

RULES: tuple[Rule, ...] = tuple(
    (f"{ours}.{kind}", f"{theirs}.{kind}")
    for ours, theirs, kinds in (
        ("encoder.word_embeddings", "model.embeddings.tok_embeddings", ("weight",)),
        ("encoder.embedding_norm", "model.embeddings.norm", _BOTH),
        ("encoder.blocks.{i}.attention_norm", _LAYER + "attn_norm", _BOTH),
        ("encoder.blocks.{i}.query_key_value", _LAYER + "attn.Wqkv", _BOTH),
        ("encoder.blocks.{i}.attention_output", _LAYER + "attn.Wo", _BOTH),
        ("encoder.blocks.{i}.feedforward_norm", _LAYER + "mlp_norm", _BOTH),
        ("encoder.blocks.{i}.input_and_gate", _LAYER + "mlp.Wi", _BOTH),
        ("encoder.blocks.{i}.output", _LAYER + "mlp.Wo", _BOTH),
        ("encoder.final_norm", "model.final_norm", _BOTH),
        ("heads.masked_lm.dense", "head.dense", _BOTH),
        ("heads.masked_lm.norm", "head.norm", _BOTH),
        ("heads.masked_lm.decoder", "decoder", ("bias",)),
    )
    for kind in kinds
)

TIED = {"decoder.weight": "model.embeddings.tok_embeddings.weight"}
"""Their tied tensors: second names of other tensors."""

TASKS = one_layer("classifier", "classifier", "classifier", dense="head.dense", norm="head.norm")
"""Modules of tasks' heads."""

_ELSEWHERE = ("global_rope_theta", "local_rope_theta")
_KINDS = {"full_attention": "global_rope_theta", "sliding_attention": "local_rope_theta"}


def rules(objectives: Sequence[str] = ()) -> tuple[Rule, ...]:
    """The key table for the head of these objectives; their masked-LM head stands for any masking objective."""
    of_tasks = task_rules(TASKS, objectives)  # their transform is named like the masked-LM head's
    table = RULES if not of_tasks else [rule for rule in RULES if not rule[0].startswith("heads.")]
    return (*with_heads(table, objectives), *of_tasks)


def config_to_theirs(config: dict[str, Any]) -> dict[str, Any]:
    """config.json of transformers from our configuration; only the rotary bases have another place."""
    fields = {k: v for k, v in config.items() if k not in _ELSEWHERE}
    rope = {kind: {"rope_type": "default", "rope_theta": config[name]} for kind, name in _KINDS.items()}
    return {"model_type": "modernbert", "architectures": [ARCHITECTURE], **fields, "rope_parameters": rope}


def config_to_ours(config: dict[str, Any]) -> dict[str, Any]:
    """Our configuration's fields from config.json, of transformers 4 (global_rope_theta …) or 5 (rope_parameters …).

    Raises:  ConfigError: a field that cannot be honoured.
    """
    fields = list(ModernBertConfig.model_fields)
    checked(
        config,
        [*fields, "rope_parameters", "layer_types", "bos_token_id", "eos_token_id", "tie_word_embeddings"],
        # position_embedding_type and layer_norm_eps are in the published files but have no effect
        {"rope_scaling": (), "position_embedding_type": ("absolute", "rope")},
        ("layer_norm_eps", "classifier_pooling", "deterministic_flash_attn", "sparse_prediction",
         "sparse_pred_ignore_index", "reference_compile", "repad_logits_with_grad"),
    )  # fmt: skip
    values = {name: config[name] for name in fields if config.get(name) is not None}
    rope = config.get("rope_parameters") or {}
    if not isinstance(rope, Mapping) or set(rope) - set(_KINDS):
        raise refused("rope_parameters", rope, f"one for each of {', '.join(_KINDS)}")
    for kind, name in _KINDS.items():
        if (theta := default_rope(rope.get(kind), f"rope_parameters.{kind}")) is not None:
            values[name] = theta
    if config.get("layer_types") is not None:
        values["global_attn_every_n_layers"] = _period(config["layer_types"])
    return values


def _period(kinds: object) -> int:
    """The period of the layers that attend to the whole example.

    Raises:  ConfigError: the layers follow no such period.
    """
    if isinstance(kinds, list) and kinds and set(map(str, kinds)) <= set(_KINDS):
        for period in range(1, len(kinds) + 1):
            if kinds == [[*_KINDS][bool(i % period)] for i in range(len(kinds))]:
                return period
    raise refused("layer_types", kinds, "full_attention every so many layers, from the first on")


_DECODERS = {"attn.Wqkv": ("attn.q_proj", "attn.k_proj", "attn.v_proj"), "head.": ("lm_head.",)}
"""Parts of names that differ in their decoder."""


def _decoder_rules(objectives: Sequence[str] = ()) -> tuple[Rule, ...]:
    """The key table of their decoder."""
    table: list[Rule] = []
    for ours, theirs in with_heads(RULES, objectives):
        assert isinstance(theirs, str)
        for part, names in _DECODERS.items():
            if part in theirs:
                split = tuple(theirs.replace(part, name) for name in names)
                table.append((ours, split if len(split) > 1 else split[0]))
                break
        else:
            table.append((ours, theirs))
    return tuple(table)


def _decoder_config(config: dict[str, Any]) -> dict[str, Any]:
    """config.json of their decoder, which says for every layer what it attends to."""
    period = config["global_attn_every_n_layers"]
    kinds = [[*_KINDS][bool(i % period)] for i in range(config["num_hidden_layers"])]
    fields = {k: v for k, v in config_to_theirs(config).items() if k != "global_attn_every_n_layers"}
    return {**fields, "model_type": "modernbert-decoder", "layer_types": kinds}


DECODER = Family(
    model_type="modernbert-decoder",
    architecture="modernbert",
    prefix="model.",
    config=ModernBertConfig,
    rules=_decoder_rules,
    tied=lambda config: TIED,
    config_to_theirs=_decoder_config,
    config_to_ours=config_to_ours,
    default_objectives={"masks": "hybrid"},
    classes={("masks",): "ModernBertDecoderForCausalLM"},
    stem="ModernBertDecoder",
    tasks={},
    pools=("last",),
    decodes=True,
)

FAMILY = Family(
    model_type="modernbert",
    architecture="modernbert",
    prefix="model.",
    config=ModernBertConfig,
    rules=rules,
    tied=lambda config: TIED,
    config_to_theirs=config_to_theirs,
    config_to_ours=config_to_ours,
    default_objectives={"masks": "masked_lm"},
    classes={("masks",): "ModernBertForMaskedLM", (): "ModernBertModel"},
    stem="ModernBert",
    tasks=TASKS,
    pools=("cls", "mean"),
    heads=("classifier.", "qa_outputs.", "head."),
    decoder=DECODER,
)
