"""Writing a run as a directory of transformers: a native architecture, float32, without code of its own.

config.json             their names (formats/huggingface/bert.py …), and the run's objectives under "polyseme"
model.safetensors       encoder and heads
tokenizer.json          the run's; that of a decoder puts the token before a text with which it begins, that of a task
                        the separators around one text and between two
tokenizer_config.json   roles of tokens; special_tokens_map.json for older programs
generation_config.json  decoders: how a text begins and ends, and which tokens are never written
README.md               a model card
decoder/                of a run that reads and writes: the same network as their decoder, with files of its own
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from polyseme.core import registry
from polyseme.core.config import to_json
from polyseme.core.files import new_folder, saving
from polyseme.core.version import __version__
from polyseme.errors import ConfigError
from polyseme.formats.huggingface import heads
from polyseme.formats.huggingface.family import KINDS, Family
from polyseme.formats.huggingface.importer import FAMILIES
from polyseme.formats.huggingface.tokenizer import for_beginnings, for_pairs
from polyseme.formats.registry import Written
from polyseme.formats.runs import Opened, open_run
from polyseme.text.roles import ROLES
from polyseme.text.tokenizers import Tokenizer
from polyseme.train import card

__all__ = ["all_files", "model_files", "write_model"]

_INSTEAD = {
    "word2vec": "its vectors go into the formats word2vec and projector",
    "onehot": "it counts words; there is nothing in it that another program would read",
    "word-classes": "RUN/paths holds the classes in the form that other programs read",
    "elmo": "the format onnx holds any neural model",
}
_LONGEST_LIST = 4096


def write_model(run: Path, output: Path) -> Written:
    """Write a run's model and tokenizer for transformers.

    Args:
        run: the run directory.
        output: the folder to write; new or empty.
    Raises:  ConfigError: transformers has no such architecture, or no class that computes the head of the run's task;
             the error says what to do.
             RunError: there is no run, or the folder is not empty.  StorageError: the disk refuses.
    """
    opened = open_run(run)
    with new_folder(output) as folder, saving(output):
        files, notes = all_files(opened, folder)
    return Written(output, files, notes)


def all_files(opened: Opened, folder: Path) -> tuple[list[str], list[str]]:
    """`model_files`, and under decoder/ those of the decoder that a run is, too."""
    files, notes = model_files(opened, folder)
    if (twin := _decoder(opened)) is not None:
        (folder / "decoder").mkdir()
        more, _ = model_files(opened, folder / "decoder", family=twin)
        files += [f"decoder/{name}" for name in more]
        notes.append(f"decoder/ is {twin.classes[('masks',)]}: the same weights, for continuing texts")
    return files, notes


def _decoder(opened: Opened) -> Family | None:
    """Their decoder that a run is, too; None = it does not predict the next token, or is a decoder alone."""
    parts = [part for name in opened.recipe.objectives for part in registry.learned(name).parts]
    both = any(registry.learned(part).predicts == "next" for part in parts)
    return _family(opened.recipe.architecture).decoder if both else None


def model_files(
    opened: Opened, folder: Path, tasks: bool = True, family: Family | None = None
) -> tuple[list[str], list[str]]:
    """Write a run's files into an existing folder.

    Args:
        tasks: also export the head of a task.
        family: as what; None = the family of its architecture.
    Returns the file names, and notes on what differs from the run or was left out.
    Raises:  ConfigError: transformers has no such architecture, or no class for the head of the task.
    """
    family = family or _family(opened.recipe.architecture)
    task = heads.task_of(opened.recipe.objectives) if tasks else None
    if task is not None:
        heads.check_expressible(opened, family, task)
    tensors, objectives, notes = _tensors(opened, family, task)
    config = _config(opened, family, objectives, task)
    tokenizer = opened.tokenizer
    decoder = family.decodes
    roles = {k: v for k, v in _named_roles(tokenizer, decoder).items() if v is not None}
    if task is not None and config["pad_token_id"] is not None:
        roles.setdefault("pad_token", tokenizer.token(config["pad_token_id"]))
    documents: dict[str, Any] = {
        "config.json": config,
        "tokenizer_config.json": _tokenizer_config(opened, family, decoder, task) | roles,
        "special_tokens_map.json": roles,
    }
    if decoder and task is None:
        documents["generation_config.json"] = _generation_config(opened)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    spec = tokenizer.as_json()
    if task is not None:
        spec = for_pairs(tokenizer, "token_type_ids" in family.inputs)
        notes += heads.notes_of(opened, task)
    elif decoder and tokenizer.suffix_ids:
        spec = for_beginnings(tokenizer)
    text = json.dumps(spec, ensure_ascii=False)
    (folder / "tokenizer.json").write_text(text + "\n", "utf-8")
    for name, document in documents.items():
        (folder / name).write_text(to_json(document), "utf-8")
    notes += _differences(tokenizer, decoder and task is None)
    if (more := opened.run.meta.get("extended_vocabulary")) is not None:
        notes.append(
            f"the vocabulary has {more['entries']:,} entries more than that of {more['from']}, behind its own: "
            "use this tokenizer.json, not the one of the model that training went on from"
        )
    (folder / "README.md").write_text(
        _card(opened, config["architectures"][0], notes, task, decoder), "utf-8", "backslashreplace"
    )
    return ["model.safetensors", "tokenizer.json", *documents, "README.md"], notes


def _family(architecture: str) -> Family:
    for family in FAMILIES.values():
        if family.architecture == architecture:
            return family
    raise ConfigError(
        f"transformers has no architecture for {architecture}",
        expected=", ".join(family.architecture for family in FAMILIES.values()),
        fix=_INSTEAD.get(architecture, "polyseme list formats"),
    )


def _tensors(
    opened: Opened, family: Family, task: str | None
) -> tuple[dict[str, Tensor], list[str], list[str]]:
    """Their tensors, the objectives whose heads they include, and notes on what was left out."""
    parts: dict[str, Tensor] = {f"encoder.{k}": p.detach() for k, p in opened.encoder.named_parameters()}
    parts |= {f"heads.{k}": p.detach() for k, p in opened.heads.named_parameters()}
    config = opened.recipe.section("model").model_dump()
    if task is not None:
        of_task = family.to_theirs(parts, [task], config)
        if task in ("tag", "qa"):  # their classes have no pooler
            of_task = {name: tensor for name, tensor in of_task.items() if ".pooler." not in name}
        return {name: tensor.contiguous().clone() for name, tensor in of_task.items()}, [task], []
    expressible: list[str] = []
    for name in opened.recipe.objectives:
        known = KINDS.get(name) in family.default_objectives
        if known and KINDS[name] not in [KINDS[other] for other in expressible]:
            expressible.append(name)
    theirs = family.to_theirs(parts, expressible, config)
    expressed = set(family.to_ours(theirs, expressible, config))
    left = sorted({name.split(".")[1] for name in parts if name not in expressed})
    notes = [f"the head of {name} has no place in {family.model_type} and was left out" for name in left]
    tensors = {name: tensor.contiguous().clone() for name, tensor in theirs.items()}
    return tensors, [name for name in expressible if name not in left], notes


def _config(opened: Opened, family: Family, objectives: Sequence[str], task: str | None) -> dict[str, Any]:
    config = family.config_to_theirs(opened.recipe.section("model").model_dump())
    ours: dict[str, Any] = {"version": __version__, "objectives": list(objectives)}
    if task is not None:
        added = heads.config_of(opened, family, task)
        ours |= added.pop("polyseme")
        config |= added
    else:
        kinds = sorted((KINDS[name] for name in objectives), key=["masks", "pairs", "causal"].index)
        config["architectures"] = [family.classes[tuple(kinds)]]
    if "tie_word_embeddings" not in config:
        config["tie_word_embeddings"] = True
    t = opened.tokenizer
    ids = {"pad_token_id": t.pad_id}
    if family.architecture not in ("bert", "ernie"):
        ids |= {"bos_token_id": t.cls_id, "eos_token_id": t.sep_id}
    if family.architecture == "modernbert":
        ids |= {"cls_token_id": t.cls_id, "sep_token_id": t.sep_id}
    for name, id in ids.items():
        if name not in config:
            config[name] = id if id >= 0 else None
    return {**config, "dtype": "float32", "polyseme": ours}


def _named_roles(tokenizer: Tokenizer, decoder: bool) -> dict[str, str | None]:
    """Special tokens by their names in tokenizer_config.json."""
    cls, sep = ("bos_token", "eos_token") if decoder else ("cls_token", "sep_token")
    keys = {"pad": "pad_token", "unk": "unk_token", "cls": cls, "sep": sep, "mask": "mask_token"}
    return {keys[role]: tokenizer.roles.tokens.get(role) for role in ROLES}


def _tokenizer_config(opened: Opened, family: Family, decoder: bool, task: str | None) -> dict[str, Any]:
    longest = int(opened.encoder.max_length)
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": longest if task is None else min(longest, opened.recipe.section(task).max_length),
        "model_input_names": list(family.inputs),
        "padding_side": "left" if decoder and task is None else "right",
        "clean_up_tokenization_spaces": False,
        **_named_roles(opened.tokenizer, decoder),
    }


def _generation_config(opened: Opened) -> dict[str, Any]:
    """The settings of `polyseme generate --temperature 0`: the same suppressed tokens, the same end of a text."""
    t = opened.tokenizer
    entries = int(opened.encoder.token_embedding().weight.size(0))
    never = sorted({*t.special_ids} - {*t.end_ids} | {*range(t.vocab_size, entries)})
    ends = [*t.end_ids]
    config: dict[str, Any] = {
        "bos_token_id": t.cls_id if t.cls_id >= 0 else None,
        "eos_token_id": ends[0] if len(ends) == 1 else ends or None,
        "pad_token_id": t.pad_id,
        "do_sample": False,
    }
    return config | ({"suppress_tokens": never} if 0 < len(never) <= _LONGEST_LIST else {})


def _differences(tokenizer: Tokenizer, decoder: bool) -> list[str]:
    """Notes on what other programs do differently with the same tokenizer.json."""
    notes = []
    if tokenizer.spelling == "words":
        notes.append(
            "Chinese text: polyseme cuts it into words with a dictionary, which tokenizer.json cannot say; other "
            "programs give other tokens for it"
        )
    if tokenizer.phrases is not None:
        notes.append(
            "phrases such as new york are one token here; other programs give their words one by one"
        )
    if decoder and tokenizer.spelling in ("pieces", "words", "spaces"):
        notes.append(
            "spaces around marks: the tokens that are generated are the same, their text may be spaced otherwise"
        )
    return notes


_PIPELINES = ("fill-mask", "text-generation", "text-classification", "token-classification")


def _card(opened: Opened, architecture: str, notes: Sequence[str], task: str | None, decoder: bool) -> str:
    recipe, meta = opened.recipe.as_dict(), opened.run.meta
    tag = "text-generation" if decoder and task is None else card.use_of(recipe)[0]
    whole = task is not None or not heads.task_of(recipe["objectives"])
    tag = tag if whole and tag in (*_PIPELINES, "question-answering") else "feature-extraction"
    language = (meta.get("corpus") or {}).get("language")
    use = f"""from transformers import pipeline

pipe = pipeline("{tag}", "PATH-OF-THIS-FOLDER")"""
    if tag == "question-answering":  # transformers has no pipeline for it
        use = """from transformers import AutoModelForQuestionAnswering, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("PATH-OF-THIS-FOLDER")
model = AutoModelForQuestionAnswering.from_pretrained("PATH-OF-THIS-FOLDER")
scores = model(**tokenizer("a question", "a passage", return_tensors="pt"))"""
    differs = "".join(f"\n- {note}" for note in notes)
    return f"""---
library_name: transformers
pipeline_tag: {tag}
{f"language: {language}" if language else "tags:"}{chr(10) + "tags:" if language else ""}
- {recipe["architecture"]}
- polyseme
---

# {recipe["architecture"]}, {meta.get("parameters", 0):,} parameters

`{architecture}`, float32, written by polyseme {__version__}; objectives: {", ".join(recipe["objectives"]) or "none"}.

```python
{use}
```
{"## What differs from polyseme" + chr(10) + differs + chr(10) if notes else ""}"""
