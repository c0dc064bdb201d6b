"""An architecture under our names and transformers': tables of key renames that work in both directions, and its
config.json. Every field of it is honoured, known to change nothing that is computed, or refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from polyseme.core.config import Config
from polyseme.errors import CheckpointError, ConfigError

Rule = tuple[str, str | tuple[str, ...]]
"""(ours, theirs): two patterns in which `{i}` stands for a layer number. `theirs` is a tuple where one of our tensors
stacks several of theirs along the first dimension."""
Tensors = Mapping[str, Tensor]

KINDS = {
    "masked_lm": "masks",
    "knowledge_masking": "masks",
    "next_sentence": "pairs",
    "dialogue": "pairs",
    "causal_lm": "causal",
    "hybrid": "masks",
}
"""The kind of their head for each of our objectives: masked-LM, next-sentence or language-model head."""
TASKS = {
    "classify": "ForSequenceClassification",
    "pair": "ForSequenceClassification",
    "tag": "ForTokenClassification",
    "qa": "ForQuestionAnswering",
}
"""Our tasks, and the endings of the names of their classes."""


def expand(rules: Sequence[Rule], layers: int) -> Iterator[Rule]:
    """The rules with every layer number filled in."""
    for ours, theirs in rules:
        for i in range(layers) if "{i}" in ours else (0,):
            parts = theirs if isinstance(theirs, tuple) else (theirs,)
            filled = tuple(re.sub(r"\{i\}", str(i), part) for part in parts)
            yield ours.replace("{i}", str(i)), filled if isinstance(theirs, tuple) else filled[0]


def with_heads(rules: Sequence[Rule], objectives: Sequence[str]) -> tuple[Rule, ...]:
    """The same table for the heads of these objectives; several objectives may have a head of the same kind."""
    # the objectives that the table itself names
    names = {kind: name for name, kind in reversed(KINDS.items())}
    renamed = {names[KINDS[name]]: name for name in reversed(objectives) if name in KINDS}
    table: list[Rule] = []
    for ours, theirs in rules:
        parts = ours.split(".")
        if parts[0] == "heads":
            parts[1] = renamed.get(parts[1], parts[1])
        table.append((".".join(parts), theirs))
    return tuple(table)


def to_theirs(tensors: Mapping[str, Tensor], rules: Sequence[Rule], layers: int) -> dict[str, Tensor]:
    """Rename (and split) our tensors; tensors that are absent on our side are left out."""
    result: dict[str, Tensor] = {}
    for ours, theirs in expand(rules, layers):
        if ours not in tensors:
            continue
        if isinstance(theirs, tuple):
            result.update(zip(theirs, tensors[ours].chunk(len(theirs)), strict=True))
        else:
            result[theirs] = tensors[ours]
    return result


def to_ours(tensors: Mapping[str, Tensor], rules: Sequence[Rule], layers: int) -> dict[str, Tensor]:
    """Rename (and stack) their tensors.

    Raises:  CheckpointError: some parts of a stacked tensor are missing.
    """
    result: dict[str, Tensor] = {}
    for ours, theirs in expand(rules, layers):
        parts = theirs if isinstance(theirs, tuple) else (theirs,)
        missing = [part for part in parts if part not in tensors]
        if missing and len(missing) < len(parts):
            raise CheckpointError("a tensor is missing", where=missing[0])
        if not missing:
            result[ours] = torch.cat([tensors[p] for p in parts]) if len(parts) > 1 else tensors[parts[0]]
    return result


def _same(tensors: Tensors, objectives: Sequence[str], config: Mapping[str, Any]) -> Tensors:
    return tensors


@dataclass(frozen=True, kw_only=True)
class Family:
    """One architecture under both names.

    Args:
        model_type: theirs, in config.json.
        architecture: our registry key.
        prefix: the prefix of the encoder's tensor names, in a model with a head.
        config: our configuration's class.
        rules: our objectives -> the key table.
        tied: our configuration -> their tied tensors, second names of other tensors.
        cut, join: functions for tensors that the table alone does not translate: `cut` runs after the table on the way
            to theirs, `join` before it on the way to ours; both also receive our objectives and our configuration.
        config_to_theirs, config_to_ours: translate the configuration.
        default_objectives: (masks, pairs or causal) that an imported head gets.
        classes: their class for a set of our heads: ("masks", "pairs", "causal") -> class.
        heads: prefixes of the names of further heads, which are left out.
        stem: the prefix of the names of their classes for tasks.
        tasks: our task -> modules of its head, ours to theirs.
        pools: the ways in which their ForSequenceClassification pools a text to one vector, the usual way first.
        pooled: whether that vector passes through the pooler.
        inputs: the inputs that their tokenizer gives the model.
        decodes: it continues texts.
        decoder: their decoder with the same network, for runs that predict the next token, too.
    """

    model_type: str
    architecture: str
    prefix: str
    config: type[Config]
    rules: Callable[[Sequence[str]], Sequence[Rule]]
    tied: Callable[[Mapping[str, Any]], Mapping[str, str]]
    cut: Callable[[Tensors, Sequence[str], Mapping[str, Any]], Tensors] = _same
    join: Callable[[Tensors, Sequence[str], Mapping[str, Any]], Tensors] = _same
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
    decodes: bool = False
    decoder: Family | None = None

    def to_theirs(
        self, tensors: Tensors, objectives: Sequence[str], config: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """Their tensors from ours; `config` is our configuration as a dict."""
        renamed = to_theirs(tensors, self.rules(objectives), config["num_hidden_layers"])
        return dict(self.cut(renamed, objectives, config))

    def to_ours(
        self, tensors: Tensors, objectives: Sequence[str], config: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """Our tensors from theirs; `config` is our configuration as a dict."""
        joined = self.join(tensors, objectives, config)
        return to_ours(joined, self.rules(objectives), config["num_hidden_layers"])


def task_rules(tasks: Mapping[str, Mapping[str, str]], objectives: Sequence[str]) -> tuple[Rule, ...]:
    """The key table for the heads of the tasks among the objectives; see `Family.tasks`."""
    return tuple(
        (f"heads.{task}.{ours}.{kind}", f"{theirs}.{kind}")
        for task in objectives
        for ours, theirs in tasks.get(task, {}).items()
        for kind in ("weight", "bias")
    )


def one_layer(text: str, tag: str, qa: str, **before: str) -> dict[str, dict[str, str]]:
    """`Family.tasks` for heads that are one linear layer.

    Args:
        text, tag, qa: their names of the layer.
        before: their names of the modules of a transform before the layer.
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
    """Refuse fields that are neither honoured nor harmless.

    Args:
        config: config.json.
        fields: the fields that the caller translates.
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
    """θ of ordinary rotary positions; None where it is not given.

    Raises:  ConfigError: the rotary positions are scaled or partial.
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
