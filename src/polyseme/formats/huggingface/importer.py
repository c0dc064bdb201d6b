"""Reading a directory of transformers: config.json, model.safetensors (or its shards), and the tokenizer's files.

names      theirs, with or without the model's prefix ("bert."), and TensorFlow's gamma and beta
buffers    position_ids and the like hold no weights and are left out
tied       a second name of a tensor must hold the same numbers
heads      masked-LM, next-sentence and language-model heads come along, and those of tasks for whose class we have one
           (formats/huggingface/heads.py); others are left out, by name
the rest   every other tensor must be one that the encoder has, and every one that it has must be there
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from polyseme.errors import CheckpointError, ConfigError
from polyseme.formats.huggingface import bert, ernie, gpt, heads, modernbert, qwen3
from polyseme.formats.huggingface.family import KINDS, Family
from polyseme.formats.huggingface.tokenizer import read_tokenizer, tokenizer_files
from polyseme.formats.runs import Imported, check_same, file_digests, shapes_of
from polyseme.formats.tensors import member, read_folder, read_json
from polyseme.text.tokenizers import Tokenizer
from polyseme.train.recipe import from_dict
from polyseme.train.run import check_finite

__all__ = ["FAMILIES", "detect", "family_of", "read_model"]

FAMILIES: dict[str, Family] = {m.FAMILY.model_type: m.FAMILY for m in (bert, ernie, modernbert, gpt, qwen3)}

LARGEST_SIZE = 1 << 31
_BUFFERS = re.compile(
    r"(^|\.)embeddings\.(position_ids|token_type_ids)$|(^|\.)h\.\d+\.attn\.(bias|masked_bias)$|rotary_emb\.\w*inv_freq$"
)
_OLD_NAMES = {"gamma": "weight", "beta": "bias"}
_DIGESTED = re.compile(r"model(-\d+-of-\d+)?\.safetensors")


def detect(path: Path) -> bool:
    """Whether a path looks like such a directory."""
    return (path / "config.json").is_file()


def read_model(path: Path) -> Imported:
    """Read a directory as one of our models.

    Args:
        path: the folder.
    Raises:  ConfigError: an architecture or settings that polyseme does not support.
             CheckpointError: a file is missing or damaged; a tensor is missing, unknown, of another shape, or
             holds NaN.
    """
    config = read_json(member(path, "config.json"))
    family = family_of(config, path)
    try:
        model = family.config_to_ours(config)
    except ConfigError as error:
        error.where = path / "config.json"
        raise
    stored = _named(read_folder(path), family, model, path)
    objectives = _objectives(config, family, stored)
    model = _with_pooler(model, family, stored)
    tokenizer = read_tokenizer(path, config | _generation(path))
    try:
        fields = family.config.of(model, str(path / "config.json")).model_dump()
    except ConfigError as error:
        error.where = error.where or path / "config.json"
        raise
    if tokenizer.vocab_size > fields["vocab_size"]:
        raise ConfigError(
            "the tokenizer has more tokens than the model",
            got=f"{tokenizer.vocab_size:,}",
            expected=f"at most vocab_size = {fields['vocab_size']:,}",
            where=path,
        )
    head = None if objectives else heads.find_head(config, family, stored, fields, path / "config.json")
    sections = {} if head is None else {head.task: head.section}
    objectives = objectives or [*sections]
    expected = _expected(family, model, fields, (objectives, sections), tokenizer, len(stored), path)
    left_out = sorted(
        name for name in stored if head is None and name not in expected and name.startswith(family.heads)
    )
    tensors = {name: tensor for name, tensor in stored.items() if name not in left_out}
    check_same(tensors, expected, path)
    check_finite(tensors, path)
    files = [p.name for p in sorted(path.iterdir()) if _DIGESTED.fullmatch(p.name)]
    return Imported(
        architecture=family.architecture,
        model=model,
        objectives=objectives,
        tensors=heads.completed(family.to_ours(tensors, objectives, fields), head),
        tokenizer=tokenizer,
        source={
            "kind": "huggingface",
            "path": str(path),
            "files": file_digests(path, ["config.json", *tokenizer_files(path), *files]),
            "architectures": config.get("architectures"),
            "left_out": left_out,
            **({"notes": notes} if (notes := _notes(tokenizer, head)) else {}),
        },
        sections=sections,
        decoding=head.decoding if head is not None else {},
    )


def _notes(tokenizer: Tokenizer, head: heads.TaskHead | None) -> list[str]:
    """Notes on the import for the user."""
    notes = list(head.notes) if head is not None else []
    if tokenizer.added:
        shown = " ".join(tokenizer.added[:8]) + (" …" if len(tokenizer.added) > 8 else "")
        notes.append(f"{len(tokenizer.added):,} added tokens are tokens wherever a text has them: {shown}")
    return notes


def family_of(config: Mapping[str, Any], path: Path) -> Family:
    """The family that a config.json names.

    Raises:  ConfigError: it is missing, or polyseme does not support it.
    """
    kind = config.get("model_type")
    if kind is None and "type_vocab_size" in config and "position_embedding_type" not in config:
        kind = "bert"  # the first files of BERT do not name their type
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise ConfigError(
            "polyseme does not have this architecture",
            got=f"model_type {kind!r}"[:100],
            expected=", ".join(FAMILIES),
            where=path / "config.json",
        )
    return FAMILIES[kind]


def _generation(path: Path) -> dict[str, Any]:
    """The tokens that begin and end a text, from generation_config.json; they override config.json."""
    if not (path / "generation_config.json").is_file():
        return {}
    settings = read_json(member(path, "generation_config.json"))
    return {k: settings[k] for k in ("bos_token_id", "eos_token_id") if settings.get(k) is not None}


def _named(
    tensors: Mapping[str, Tensor], family: Family, model: Mapping[str, Any], path: Path
) -> dict[str, Tensor]:
    """The tensors under their newest full names, without buffers and tied second names."""
    inside = _inside(family)
    result: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if _BUFFERS.search(name):
            continue
        new = name
        stem, _, last = name.rpartition(".")
        if last in _OLD_NAMES:
            new = f"{stem}.{_OLD_NAMES[last]}"
        if not new.startswith(family.prefix) and new.split(".")[0] in inside:
            new = family.prefix + new
        if new in result:
            raise CheckpointError("a tensor is there under two names", got=f"{name}: {new}", where=path)
        if not tensor.is_floating_point():
            raise CheckpointError(f"tensor {name} holds no weights", got=str(tensor.dtype), where=path)
        result[new] = tensor
    tied = family.tied({"tie_word_embeddings": True, **model})
    for second, first in tied.items():
        if second not in result:
            continue
        tensor = result.pop(second)
        if first not in result:
            result[first] = tensor
        elif not torch.equal(result[first], tensor):
            raise ConfigError(
                "tensors that should be one differ: an output layer of its own cannot be honoured",
                got=second,
                expected=f"the numbers of {first}",
                where=path,
            )
    return result


def _inside(family: Family) -> set[str]:
    """The first words of the encoder's tensors after the prefix: {"embeddings", "encoder", "pooler"}."""
    words = set()
    for _, theirs in family.rules(()):
        for name in theirs if isinstance(theirs, tuple) else (theirs,):
            if name.startswith(family.prefix):
                words.add(name.removeprefix(family.prefix).split(".")[0])
    return words


def _objectives(config: Mapping[str, Any], family: Family, stored: Mapping[str, Tensor]) -> list[str]:
    """The objectives whose heads are in the directory."""
    classes = config.get("architectures")
    named = classes[0] if isinstance(classes, list) and classes and isinstance(classes[0], str) else ""
    groups = []
    if "causal" in family.default_objectives:
        lacks = "lm_head.weight" not in stored and not config.get(
            "tie_word_embeddings", family.architecture == "gpt"
        )
        task = any(name.startswith(family.heads) for name in stored)
        if (
            not lacks
            and not task
            and (not named.startswith(("GPT2For", "Qwen3For")) or named.endswith("CausalLM"))
        ):
            groups.append("causal")
    elif family.architecture == "modernbert":
        if "decoder.bias" in stored or (
            "head.dense.weight" in stored and named == family.classes[("masks",)]
        ):
            groups.append("masks")
    else:
        groups += ["masks"] if any(name.startswith("cls.predictions.") for name in stored) else []
        groups += ["pairs"] if any(name.startswith("cls.seq_relationship.") for name in stored) else []
    ours = config.get("polyseme")
    stated = ours.get("objectives") if isinstance(ours, Mapping) else None
    if isinstance(stated, list) and sorted(str(KINDS.get(str(name))) for name in stated) == sorted(groups):
        return [str(name) for name in stated]  # an export of ours
    return [family.default_objectives[group] for group in groups]


def _with_pooler(model: dict[str, Any], family: Family, stored: Mapping[str, Tensor]) -> dict[str, Any]:
    if "add_pooling_layer" not in family.config.model_fields:
        return model
    return {**model, "add_pooling_layer": any(".pooler." in name for name in stored)}


def _expected(
    family: Family,
    model: Mapping[str, Any],
    fields: Mapping[str, Any],
    learned: tuple[list[str], Mapping[str, Any]],
    tokenizer: Tokenizer,
    most_layers: int,
    path: Path,
) -> dict[str, Tensor]:
    """Names and shapes of all their tensors that our model corresponds to, without values.

    Args:
        learned: the objectives and tasks, and the sections of the tasks.
    """
    objectives, sections = learned
    for key, value in fields.items():
        if isinstance(value, int) and value > LARGEST_SIZE:
            raise ConfigError(
                f"{key} cannot be",
                got=f"{value:.3g}",
                expected=f"at most {LARGEST_SIZE:,}",
                where=path / "config.json",
            )
    if fields["num_hidden_layers"] > most_layers:
        raise CheckpointError(
            "there are fewer tensors than layers",
            got=f"{most_layers:,} tensors",
            expected=f"num_hidden_layers = {fields['num_hidden_layers']:,}",
            where=path,
        )
    described = {"architecture": family.architecture, "objectives": objectives, "model": dict(model)}
    recipe = from_dict({**described, **sections})
    try:
        ours = shapes_of(recipe, tokenizer)
    except (RuntimeError, TypeError, IndexError, OverflowError) as error:
        raise ConfigError(
            "the sizes cannot be", got=str(error).partition("\n")[0][:200], where=path
        ) from None
    return family.to_theirs(ours, objectives, fields)
