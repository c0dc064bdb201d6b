"""Reading config.json: every field is honoured, known to change nothing that is computed, or refused by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from polyseme.core.config import Config
from polyseme.errors import ConfigError
from polyseme.formats.huggingface._rename import Rule

__all__ = ["TASKS", "Family", "checked", "default_rope", "refused", "task_rules"]

MASKS = ("masked_lm", "knowledge_masking")
"""Our objectives whose head is their masked-LM head."""
PAIRS = ("next_sentence", "dialogue")
"""Our objectives whose head is their next-sentence head."""
TASKS = {
    "classify": "ForSequenceClassification",
    "pair": "ForSequenceClassification",
    "tag": "ForTokenClassification",
    "qa": "ForQuestionAnswering",
}
"""Our tasks, and how the names of their classes end."""


@dataclass(frozen=True)
class Family:
    """One architecture under both names.

    Args:
        model_type: theirs, in config.json.
        architecture: our registry key.
        prefix: what the names of the encoder's tensors begin with, in a model with a head.
        config: our configuration's class.
        rules: our objectives -> the key table.
        tied: tensors of theirs that are another of theirs under a second name, our configuration given.
        to_theirs, to_ours: tensors, our objectives and our configuration -> tensors.
        config_to_theirs, config_to_ours: the configuration.
        default_objectives: (masks, pairs or causal) that an imported head gets.
        classes: which of their classes holds which of our heads: ("masks", "pairs", "causal") -> class.
        heads: what the names of further heads may begin with; these are left out.
        stem: what the names of their classes for tasks begin with.
        tasks: our task -> modules of its head, ours to theirs.
        pools: how their ForSequenceClassification makes one vector of a text, the usual way first.
        pooled: whether it passes that vector through the pooler.
        inputs: what their tokenizer gives the model.
    """

    model_type: str
    architecture: str
    prefix: str
    config: type[Config]
    rules: Callable[[Sequence[str]], Sequence[Rule]]
    tied: Callable[[Mapping[str, Any]], Mapping[str, str]]
    to_theirs: Callable[[Mapping[str, Tensor], Sequence[str], Mapping[str, Any]], dict[str, Tensor]]
    to_ours: Callable[[Mapping[str, Tensor], Sequence[str], Mapping[str, Any]], dict[str, Tensor]]
    config_to_theirs: Callable[[dict[str, Any]], dict[str, Any]]
    config_to_ours: Callable[[dict[str, Any]], dict[str, Any]]
    default_objectives: Mapping[str, str]
    classes: Mapping[tuple[str, ...], str]
    stem: str
    tasks: Mapping[str, Mapping[str, str]]
    pools: tuple[str, ...]
    pooled: bool = False
    inputs: tuple[str, ...] = ("input_ids", "attention_mask")
    heads: tuple[str, ...] = ("classifier.", "qa_outputs.", "score.", "multiple_choice_head.")


def task_rules(tasks: Mapping[str, Mapping[str, str]], objectives: Sequence[str]) -> tuple[Rule, ...]:
    """The key table for the heads of those objectives that are tasks; see `Family.tasks`."""
    return tuple(
        (f"heads.{task}.{ours}.{kind}", f"{theirs}.{kind}")
        for task in objectives
        for ours, theirs in tasks.get(task, {}).items()
        for kind in ("weight", "bias")
    )


def one_layer(text: str, tag: str, qa: str, **before: str) -> dict[str, dict[str, str]]:
    """`Family.tasks` of heads that are one linear layer.

    Args:
        text, tag, qa: their names of it.
        before: their names of the modules of a transform before it.
    """
    shared = {f"transform.{ours}": theirs for ours, theirs in before.items()}
    names = {"classify": text, "pair": text, "tag": tag, "qa": qa}
    return {task: {**shared, "classifier": theirs} for task, theirs in names.items()}


_HARMLESS = frozenset({
    "_attn_implementation", "_attn_implementation_autoset", "_name_or_path", "architectures",
    "attn_implementation", "bad_words_ids", "begin_suppress_tokens", "chunk_size_feed_forward",
    "classifier_dropout", "decoder_start_token_id", "directionality", "diversity_penalty", "do_sample",
    "dtype", "early_stopping", "encoder_no_repeat_ngram_size", "exponential_decay_length_penalty",
    "finetuning_task", "forced_bos_token_id", "forced_eos_token_id", "gradient_checkpointing", "id2label",
    "keys_to_ignore_at_inference", "label2id", "length_penalty", "max_length", "max_new_tokens",
    "min_length", "model_max_length", "model_type", "name_or_path", "no_repeat_ngram_size",
    "num_beam_groups", "num_beams", "num_labels", "num_return_sequences", "output_attentions",
    "output_hidden_states", "output_past", "output_scores", "pooler_fc_size",
    "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type",
    "polyseme", "prefix", "problem_type", "remove_invalid_values", "repetition_penalty", "return_dict",
    "return_dict_in_generate", "sentence_transformers", "sep_token_id", "cls_token_id", "mask_token_id",
    "suppress_tokens",
    "task_specific_params", "temperature", "tf_legacy_loss", "tie_last_hidden_states", "tokenizer_class",
    "top_k", "top_p", "torch_dtype", "torchscript", "transformers_version", "typical_p", "unk_token_id",
    "use_bfloat16", "use_cache", "use_return_dict", "vocab_file",
})  # fmt: skip
_REQUIRED: Mapping[str, tuple[Any, ...]] = {
    "add_cross_attention": (False,),
    "auto_map": (),
    "compression_config": (),
    "cross_attention_hidden_size": (),
    "is_decoder": (False,),
    "is_encoder_decoder": (False,),
    "per_layer_config": ({},),
    "pruned_heads": ({},),
    "quantization_config": (),
    "tie_encoder_decoder": (False,),
}


def refused(field: str, value: object, expected: object, where: object = "config.json") -> ConfigError:
    """The error for a field whose value would change what is computed."""
    return ConfigError(f"{field} cannot be honoured", got=repr(value)[:200], expected=expected, where=where)


def checked(
    config: Mapping[str, Any],
    fields: Iterable[str],
    required: Mapping[str, Sequence[Any]] | None = None,
    harmless: Iterable[str] = (),
) -> None:
    """Refuse what is neither honoured nor harmless.

    Args:
        config: config.json.
        fields: those that the caller translates.
        required: fields that must be absent, null, or one of these.
        harmless: further fields that change nothing that is computed.
    Raises:  ConfigError: a field that cannot be honoured, with its value.
    """
    demands = {**_REQUIRED, **(required or {})}
    fine = {*fields, *harmless} | _HARMLESS
    for field, value in config.items():
        if field in demands:
            if value is not None and value not in demands[field]:
                wanted = " or ".join(map(repr, demands[field])) or "nothing"
                raise refused(field, value, wanted)
        elif field not in fine and value is not None:
            raise ConfigError(
                f"config.json has a field that polyseme does not know: {field}",
                got=repr(value)[:200],
                where="config.json",
                fix="take it out of config.json if the model computes the same without it",
            )


def default_rope(rope: object, field: str = "rope_parameters") -> float | None:
    """θ of ordinary rotary positions; None where nothing is said.

    Raises:  ConfigError: scaled or partial ones.
    """
    if rope is None:
        return None
    if not isinstance(rope, Mapping):
        raise refused(field, rope, "an object with rope_theta")
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        raise refused(f"{field}.rope_type", kind, "'default'")
    for key, value in rope.items():
        if key in ("rope_type", "type", "rope_theta") or value is None:
            continue
        if key == "partial_rotary_factor" and value == 1:
            continue
        raise refused(f"{field}.{key}", value, "nothing")
    theta = rope.get("rope_theta")
    if theta is not None and (isinstance(theta, bool) or not isinstance(theta, int | float)):
        raise refused(f"{field}.rope_theta", theta, "a number")
    return None if theta is None else float(theta)
