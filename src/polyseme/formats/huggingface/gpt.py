"""Key table between our `gpt` with its head and transformers' GPT2LMHeadModel.

GPT-2's "Conv1D" layers keep their matrices as (in, out), the transpose of a linear layer's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyseme.formats.huggingface.family import (
    Family,
    Rule,
    Tensors,
    checked,
    one_layer,
    refused,
    task_rules,
)
from polyseme.models.gpt import GptConfig

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
"""Their tied tensors: second names of other tensors."""

TASKS = one_layer("score", "classifier", "qa_outputs")
"""Modules of tasks' heads."""

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


def _transposed(tensors: Tensors, objectives: Sequence[str], config: Mapping[str, Any]) -> Tensors:
    return {k: v.t().contiguous() if k.endswith(_TRANSPOSED) else v for k, v in tensors.items()}


def rules(objectives: Sequence[str] = ()) -> tuple[Rule, ...]:
    """The key table with the heads of the tasks among the objectives."""
    return (*RULES, *task_rules(TASKS, objectives))


def config_to_theirs(config: dict[str, Any]) -> dict[str, Any]:
    """config.json of transformers from our configuration; GPT-2 has other names, and two dropouts for our one."""
    renamed = {_NAMES.get(k, k): v for k, v in config.items()}
    return {
        "model_type": "gpt2",
        "architectures": [ARCHITECTURE],
        **renamed,
        "embd_pdrop": config["hidden_dropout_prob"],
    }


def config_to_ours(config: dict[str, Any]) -> dict[str, Any]:
    """Our configuration's fields from GPT-2's config.json.

    Raises:  ConfigError: a field that cannot be honoured.
    """
    ours = {theirs: name for name, theirs in _NAMES.items()}
    same = ("vocab_size", "initializer_range", "bos_token_id", "eos_token_id")
    checked(
        config,
        [*ours, *same, "pad_token_id", "embd_pdrop", "tie_word_embeddings"],
        {"scale_attn_weights": (True,), "scale_attn_by_inverse_layer_idx": (False,)},
        ("n_ctx", "reorder_and_upcast_attn", "summary_activation", "summary_first_dropout",
         "summary_proj_to_labels", "summary_type", "summary_use_proj"),
    )  # fmt: skip
    fields = {ours[k]: v for k, v in config.items() if k in ours and v is not None}
    fields |= {k: _first(config.get(k, 50256)) for k in same[2:] if config.get(k, 50256) is not None}
    fields |= {k: config[k] for k in same[:2] if config.get(k) is not None}
    if "intermediate_size" not in fields:
        width = fields.get("hidden_size", GptConfig.model_fields["hidden_size"].default)
        if type(width) is not int:
            raise refused("n_embd", width, "a whole number")
        fields["intermediate_size"] = 4 * width
    return fields


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


FAMILY = Family(
    model_type="gpt2",
    architecture="gpt",
    prefix="transformer.",
    config=GptConfig,
    rules=rules,
    tied=lambda config: TIED,
    cut=_transposed,
    join=_transposed,
    config_to_theirs=config_to_theirs,
    config_to_ours=config_to_ours,
    default_objectives={"causal": "causal_lm"},
    decodes=True,
    classes={("causal",): ARCHITECTURE, (): "GPT2Model"},
    stem="GPT2",
    tasks=TASKS,
    pools=("last",),
    heads=("score.", "classifier.", "qa_outputs.", "multiple_choice_head."),
)
