"""Key table between our `gpt` with its head and transformers' GPT2LMHeadModel.

GPT-2's "Conv1D" layers keep their matrices as (in, out), the transpose of a linear layer's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from polyseme.formats.huggingface import _rename
from polyseme.formats.huggingface._rename import Rule

ARCHITECTURE = "GPT2LMHeadModel"

_LAYER = "transformer.h.{i}."
_BOTH = ("weight", "bias")

RULES: tuple[Rule, ...] = tuple(
    (f"{ours}.{kind}", f"{theirs}.{kind}")
    for ours, theirs, kinds in (
        ("encoder.word_embeddings", "transformer.wte", ("weight",)),
        ("encoder.position_embeddings", "transformer.wpe", ("weight",)),
        ("encoder.blocks.{i}.attention_norm", _LAYER + "ln_1", _BOTH),
        ("encoder.blocks.{i}.query_key_value", _LAYER + "attn.c_attn", _BOTH),
        ("encoder.blocks.{i}.attention_output", _LAYER + "attn.c_proj", _BOTH),
        ("encoder.blocks.{i}.feedforward_norm", _LAYER + "ln_2", _BOTH),
        ("encoder.blocks.{i}.intermediate", _LAYER + "mlp.c_fc", _BOTH),
        ("encoder.blocks.{i}.output", _LAYER + "mlp.c_proj", _BOTH),
        ("encoder.final_norm", "transformer.ln_f", _BOTH),
    )
    for kind in kinds
)

TIED = {"lm_head.weight": "transformer.wte.weight"}
"""Tensors of theirs that are another of theirs under a second name."""

_TRANSPOSED = ("c_attn.weight", "c_proj.weight", "c_fc.weight")

_NAMES = {
    "hidden_size": "n_embd",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "intermediate_size": "n_inner",
    "max_position_embeddings": "n_positions",
    "hidden_act": "activation_function",
    "attention_probs_dropout_prob": "attn_pdrop",
    "hidden_dropout_prob": "resid_pdrop",
    "layer_norm_eps": "layer_norm_epsilon",
}


def _transpose(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k: v.t().contiguous() if k.endswith(_TRANSPOSED) else v for k, v in tensors.items()}


def to_theirs(tensors: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Their tensors from ours."""
    return _transpose(_rename.to_theirs(tensors, RULES, layers))


def to_ours(tensors: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Our tensors from theirs."""
    return _rename.to_ours(_transpose(tensors), RULES, layers)


def config_to_theirs(config: dict[str, Any]) -> dict[str, Any]:
    """config.json of transformers from our configuration; GPT-2 has names of its own, and two dropouts for our one."""
    renamed = {_NAMES.get(k, k): v for k, v in config.items()}
    return {
        "model_type": "gpt2",
        "architectures": [ARCHITECTURE],
        **renamed,
        "embd_pdrop": config["hidden_dropout_prob"],
    }


def config_to_ours(config: dict[str, Any]) -> dict[str, Any]:
    """Our configuration's fields from GPT-2's config.json; what a decoder does not need is left out."""
    ours = {theirs: name for name, theirs in _NAMES.items()}
    kept = {ours[k]: v for k, v in config.items() if k in ours}
    kept |= {
        k: config[k]
        for k in ("vocab_size", "initializer_range", "bos_token_id", "eos_token_id")
        if k in config
    }
    if kept.get("intermediate_size") is None and "hidden_size" in kept:
        kept["intermediate_size"] = 4 * kept["hidden_size"]
    return kept
