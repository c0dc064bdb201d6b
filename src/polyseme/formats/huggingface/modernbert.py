"""Key table between our `modernbert` with its head and transformers' ModernBertForMaskedLM."""

from __future__ import annotations

from typing import Any

from polyseme.formats.huggingface._rename import Rule

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
"""Tensors of theirs that are another of theirs under a second name."""


def config_to_theirs(config: dict[str, Any]) -> dict[str, Any]:
    """config.json of transformers from our configuration; only the rotary bases stand elsewhere."""
    kept = {k: v for k, v in config.items() if k not in ("global_rope_theta", "local_rope_theta")}
    rope = {
        "full_attention": {"rope_type": "default", "rope_theta": config["global_rope_theta"]},
        "sliding_attention": {"rope_type": "default", "rope_theta": config["local_rope_theta"]},
    }
    return {"model_type": "modernbert", "architectures": [ARCHITECTURE], **kept, "rope_parameters": rope}
