"""Key table between our `qwen3` with its head and transformers' Qwen3ForCausalLM.

With shared heads our query-key-value matrix stacks parts of different sizes, so the configuration decides the cuts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from polyseme.formats.huggingface.family import (
    Family,
    Rule,
    Tensors,
    checked,
    default_rope,
    one_layer,
    refused,
    task_rules,
)
from polyseme.models.qwen3 import Qwen3Config

ARCHITECTURE = "Qwen3ForCausalLM"

_LAYER = "model.layers.{i}."

RULES: tuple[Rule, ...] = tuple(
    (
        f"{ours}.weight",
        tuple(f"{t}.weight" for t in theirs) if isinstance(theirs, tuple) else f"{theirs}.weight",
    )
    for ours, theirs in (
        ("encoder.word_embeddings", "model.embed_tokens"),
        ("encoder.blocks.{i}.attention_norm", _LAYER + "input_layernorm"),
        ("encoder.blocks.{i}.query_key_value", _LAYER + "self_attn.qkv_proj"),
        ("encoder.blocks.{i}.query_norm", _LAYER + "self_attn.q_norm"),
        ("encoder.blocks.{i}.key_norm", _LAYER + "self_attn.k_norm"),
        ("encoder.blocks.{i}.attention_output", _LAYER + "self_attn.o_proj"),
        ("encoder.blocks.{i}.feedforward_norm", _LAYER + "post_attention_layernorm"),
        ("encoder.blocks.{i}.input_and_gate", (_LAYER + "mlp.gate_proj", _LAYER + "mlp.up_proj")),
        ("encoder.blocks.{i}.output", _LAYER + "mlp.down_proj"),
        ("encoder.final_norm", "model.norm"),
        ("heads.causal_lm.decoder", "lm_head"),
    )
)
"""`qkv_proj` stands for q_proj, k_proj and v_proj, one on top of the other."""

TIED = {"lm_head.weight": "model.embed_tokens.weight"}
"""Their tied tensors, second names of other tensors, if tie_word_embeddings."""

TASKS = one_layer("score", "score", "qa_outputs")
"""Modules of tasks' heads."""

_PREFIX = "model."
_PREFIX_OF_QA = "transformer."  # only their class for questions has this name for the decoder
_PARTS = ("q_proj", "k_proj", "v_proj")
_ELSEWHERE = ("rope_theta",)


def _rows(config: Mapping[str, Any]) -> list[int]:
    heads, shared = config["num_attention_heads"], config["num_key_value_heads"]
    size = config["head_dim"] or config["hidden_size"] // heads
    return [heads * size, shared * size, shared * size]


def rules(objectives: Sequence[str] = ()) -> tuple[Rule, ...]:
    """The key table with the heads of the tasks among the objectives."""
    return (*RULES, *task_rules(TASKS, objectives))


def _with_prefix(tensors: Tensors, old: str, new: str) -> dict[str, Tensor]:
    return {new + k.removeprefix(old) if k.startswith(old) else k: t for k, t in tensors.items()}


def _cut(tensors: Tensors, objectives: Sequence[str], config: Mapping[str, Any]) -> Tensors:
    result: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if "qkv_proj" in name:
            parts = torch.split(tensor, _rows(config))
            result |= {name.replace("qkv_proj", p): t for p, t in zip(_PARTS, parts, strict=True)}
        else:
            result[name] = tensor
    return _with_prefix(result, _PREFIX, _PREFIX_OF_QA) if "qa" in objectives else result


def _join(tensors: Tensors, objectives: Sequence[str], config: Mapping[str, Any]) -> Tensors:
    joined = _with_prefix(tensors, _PREFIX_OF_QA, _PREFIX) if "qa" in objectives else dict(tensors)
    for i in range(config["num_hidden_layers"]):
        names = [f"{_LAYER.format(i=i)}self_attn.{part}.weight" for part in _PARTS]
        if all(name in joined for name in names):
            joined[names[0].replace("q_proj", "qkv_proj")] = torch.cat([joined.pop(name) for name in names])
    if config["tie_word_embeddings"]:
        joined.pop("lm_head.weight", None)
    return joined


def config_to_theirs(config: dict[str, Any]) -> dict[str, Any]:
    """config.json of transformers from our configuration; only the rotary base has another place."""
    fields = {k: v for k, v in config.items() if k not in _ELSEWHERE}
    fields["head_dim"] = config["head_dim"] or config["hidden_size"] // config["num_attention_heads"]
    return {
        "model_type": "qwen3",
        "architectures": [ARCHITECTURE],
        **fields,
        "attention_bias": False,
        "rope_parameters": {"rope_type": "default", "rope_theta": config["rope_theta"]},
    }


_THEIR_DEFAULTS = {
    "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 32, "head_dim": 128, "max_position_embeddings": 32768, "tie_word_embeddings": False,
    "rope_theta": 10_000.0,
}  # fmt: skip
"""Transformers' defaults for fields missing in config.json, where our defaults differ."""


def config_to_ours(config: dict[str, Any]) -> dict[str, Any]:
    """Our configuration's fields from Qwen3's config.json.

    Raises:  ConfigError: a field that cannot be honoured: biases, scaled rotary positions, sliding windows.
    """
    fields = list(Qwen3Config.model_fields)
    windows = {} if config.get("use_sliding_window") else {"sliding_window": None}  # no window is used
    checked(
        config,
        [*fields, "rope_parameters", "layer_types"],
        {"attention_bias": (False,), "use_sliding_window": (False,), "rope_scaling": ()},
        ("max_window_layers", *windows),
    )
    layers = config.get("layer_types")
    if layers is not None and (not isinstance(layers, list) or any(k != "full_attention" for k in layers)):
        raise refused("layer_types", layers, "full_attention everywhere")
    given = {k: v for k, v in config.items() if k in fields and v is not None}
    values = {**_THEIR_DEFAULTS, **given}
    if config.get("num_key_value_heads", 0) is None:
        values["num_key_value_heads"] = values["num_attention_heads"]
    for key in ("bos_token_id", "eos_token_id"):
        if isinstance(values.get(key), list):
            values[key] = values[key][0] if values[key] else 0
    theta = default_rope(config.get("rope_parameters"))
    return values if theta is None else {**values, "rope_theta": theta}


def _tied(config: Mapping[str, Any]) -> Mapping[str, str]:
    return TIED if config["tie_word_embeddings"] else {}


FAMILY = Family(
    model_type="qwen3",
    architecture="qwen3",
    prefix=_PREFIX,
    config=Qwen3Config,
    rules=rules,
    tied=_tied,
    cut=_cut,
    join=_join,
    config_to_theirs=config_to_theirs,
    config_to_ours=config_to_ours,
    default_objectives={"causal": "causal_lm"},
    decodes=True,
    classes={("causal",): ARCHITECTURE, (): "Qwen3Model"},
    stem="Qwen3",
    tasks=TASKS,
    pools=("last",),
    heads=("score.", "qa_outputs.", "classifier."),
)
