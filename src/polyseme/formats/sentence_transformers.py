"""Import and export of sentence-transformers directories: a transformers directory plus the pooling of its tokens.

    modules.json                 what follows what: Transformer, Pooling and, where vectors have length one, Normalize
    config.json …                the encoder and its tokenizer (formats/huggingface)
    sentence_bert_config.json    max_seq_length: tokens that are read of a text; do_lower_case
    1_Pooling/config.json        cls, mean, max or lasttoken; [CLS] and [SEP] count as tokens
    config_sentence_transformers.json    truncate_dim: numbers of a vector that are kept

Other modules, two poolings side by side, weighted means and default prompts are refused by name: without them the
vectors would differ. The supported settings are stored in the run's `embedding` (infer/pooling.py), which embed uses.
Optional prompts and the name of the similarity measure change no vector: they are kept for a later export, and the
import says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import tokenizers as hf

from polyseme.core.config import to_json
from polyseme.core.files import new_folder, saving
from polyseme.core.version import __version__
from polyseme.errors import CheckpointError, ConfigError
from polyseme.formats.huggingface.exporter import model_files
from polyseme.formats.huggingface.importer import read_model as read_transformer
from polyseme.formats.registry import Written
from polyseme.formats.runs import Imported, file_digests, open_run
from polyseme.formats.tensors import JSON_LIMIT, member, parse_json, read_json
from polyseme.text.tokenizers import Tokenizer

__all__ = ["detect", "read_model", "write_model"]

MODULES, SETTINGS, PROMPTS = "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"
_POOLS = {"cls": "cls", "mean": "mean", "max": "max", "lasttoken": "last"}
_THEIRS = {ours: theirs for theirs, ours in _POOLS.items()}
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_SETTINGS = (
    "max_seq_length",
    "do_lower_case",
    "transformer_task",
    "processing_kwargs",
    "modality_config",
    "module_output_name",
    "unpad_inputs",
)
_NAMED = (
    "__version__",
    "model_type",
    "prompts",
    "default_prompt_name",
    "similarity_fn_name",
    "truncate_dim",
)
KEPT = "sentence_transformers"
"""The key in run.json, beside the facts of the import, for settings that only a later export needs."""
_KNOWN = "Transformer, Pooling, Normalize, in this order"
_PREFIX = "sentence_transformers.models."


def detect(path: Path) -> bool:
    """Whether a path looks like such a directory."""
    return (path / MODULES).is_file()


def read_model(path: Path) -> Imported:
    """Read a directory as one of our models, with its pooling.

    Args:
        path: the folder.
    Raises:  ConfigError: a module, a pooling or a setting that polyseme does not support; the error names it.
             CheckpointError: a file is missing or damaged; tensors, as for a directory of transformers.
    """
    folders = _modules(path)
    inside = folders["Transformer"]
    imported = read_transformer(inside)
    settings = read_json(member(inside, SETTINGS)) if (inside / SETTINGS).is_file() else {}
    task = settings.get("transformer_task", "feature-extraction")
    if task != "feature-extraction" or settings.get("processing_kwargs"):
        name = "processing_kwargs" if task == "feature-extraction" else f"transformer_task {task!r}"
        raise ConfigError(f"{name} cannot be honoured", where=inside / SETTINGS)
    unknown = [key for key in settings if key not in _SETTINGS and settings[key] not in (None, False, {}, [])]
    if unknown:
        raise ConfigError(
            "a setting that is not known cannot be honoured",
            got=f"{unknown[0]} {settings[unknown[0]]!r}"[:200],
            expected=", ".join(_SETTINGS),
            where=inside / SETTINGS,
        )
    named = read_json(member(path, PROMPTS)) if (path / PROMPTS).is_file() else {}
    kept, notes = _kept(named, path / PROMPTS)
    pooling = read_json(member(folders["Pooling"], "config.json"))
    if pooling.get("include_prompt") is False:
        kept["include_prompt"] = False
    lower = settings.get("do_lower_case") is True
    embedding = {
        "pool": _pool(folders["Pooling"], imported),
        "normalize": "Normalize" in folders,
        "max_length": _max_length(settings, inside),
        "separators": True,
        **_truncated(named, path / PROMPTS),
    }
    files = [
        p
        for p in (path / MODULES, path / PROMPTS, inside / SETTINGS, folders["Pooling"] / "config.json")
        if p.is_file()
    ]
    digests = {str(p.relative_to(path)): file_digests(p.parent, [p.name])[p.name] for p in files}
    source = {
        **imported.source,
        "kind": "sentence-transformers",
        "path": str(path),
        "files": {**imported.source["files"], **digests},
        **({"notes": [*imported.source.get("notes", []), *notes]} if notes else {}),
        **({KEPT: kept} if kept else {}),
    }
    tokenizer = _lowering(imported.tokenizer) if lower else imported.tokenizer
    return replace(imported, tokenizer=tokenizer, source=source, embedding=embedding)


def _kept(named: Mapping[str, Any], file: Path) -> tuple[dict[str, Any], list[str]]:
    """Settings that change no vector but are needed for a later export, and notes for the user.

    Raises:  ConfigError: a prompt stands before every text. CheckpointError: malformed prompts.
    """
    prompts = named.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str | None) for text in prompts.values()):
        raise CheckpointError("prompts are not texts by name", got=str(prompts)[:200], where=file)
    default = named.get("default_prompt_name")
    if default is not None and prompts.get(str(default)) != "":
        raise ConfigError(
            "a prompt before every text cannot be honoured",
            got=f"default_prompt_name {default!r}: {prompts.get(str(default))!r}"[:200],
            where=file,
            fix="write null for default_prompt_name there, import, and put the prompt before the texts yourself",
        )
    measure = named.get("similarity_fn_name")
    kept = {
        "prompts": prompts or None,
        "default_prompt_name": default,
        "similarity_fn_name": measure if isinstance(measure, str) else None,
    }
    notes = []
    if used := {name: text for name, text in prompts.items() if text}:
        shown = ", ".join(f"{name} {text!r}" for name, text in used.items())
        notes.append(
            f"prompts are kept for the way back and not put before texts, as there: {shown[:300]}; where the model "
            "wants one, write it before your texts"
        )
    if kept["similarity_fn_name"] not in (None, "cosine"):
        notes.append(
            f"similarity_fn_name {measure!r} is kept for the way back; similarity gives cosines here"
        )
    unknown = [key for key in named if key not in _NAMED and named[key] not in (None, False, {}, [])]
    if unknown:
        notes.append(f"not known and left out: {', '.join(unknown)} of {file.name}"[:300])
    return {key: value for key, value in kept.items() if value is not None}, notes


def _truncated(named: Mapping[str, Any], file: Path) -> dict[str, int]:
    """The number of dimensions of a vector that are kept, where it is set."""
    n = named.get("truncate_dim")
    if n is None:
        return {}
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ConfigError("no such number of dimensions", got=f"truncate_dim {n!r}"[:100], where=file)
    return {"truncate_dim": n}


def _modules(path: Path) -> dict[str, Path]:
    """The folder of each module by its kind.

    Raises:  ConfigError: another module, or another order; the error names it.
    """
    file = member(path, MODULES)
    if not file.is_file():
        raise CheckpointError("no such file", where=file)
    if file.stat().st_size > JSON_LIMIT:
        raise CheckpointError(
            "a JSON file is too large", expected=f"at most {JSON_LIMIT:,} bytes", where=file
        )
    parsed = parse_json(b'{"modules": ' + file.read_bytes() + b"}", file)
    entries = parsed["modules"]
    if len(parsed) > 1 or not isinstance(entries, list):
        raise CheckpointError("not a list of modules", where=file)
    folders: dict[str, Path] = {}
    for entry in entries:
        kind = entry.get("type") if isinstance(entry, dict) else None
        place = entry.get("path") if isinstance(entry, dict) else None
        if not isinstance(kind, str) or not isinstance(place, str):
            raise CheckpointError("not a module", got=repr(entry)[:200], where=file)
        name = kind.rpartition(".")[2]
        if not kind.startswith("sentence_transformers.") or name not in (
            "Transformer",
            "Pooling",
            "Normalize",
        ):
            raise ConfigError(
                f"the module {name} cannot be honoured", got=kind[:200], expected=_KNOWN, where=file
            )
        if name in folders:
            raise ConfigError(f"two modules {name}", expected=_KNOWN, where=file)
        folders[name] = member(path, place) if place else path
    if tuple(folders) not in (("Transformer", "Pooling"), ("Transformer", "Pooling", "Normalize")):
        raise ConfigError(
            "these modules make no vectors of texts", got=", ".join(folders), expected=_KNOWN, where=file
        )
    if "Normalize" in folders and (folders["Normalize"] / "config.json").is_file():
        config = read_json(member(folders["Normalize"], "config.json"))
        if any(value not in (None, "sentence_embedding") for value in config.values()):
            raise ConfigError(
                "Normalize of something else than the sentence cannot be honoured",
                got=str(config)[:200],
                where=folders["Normalize"],
            )
    return folders


def _pool(folder: Path, imported: Imported) -> str:
    """Our name of a Pooling module's pooling.

    Raises:  ConfigError: several poolings, or one that polyseme does not support; the error names it.
    """
    config = read_json(member(folder, "config.json"))
    where = folder / "config.json"
    modes = config.get("pooling_mode")
    if modes is None:
        modes = [mode for flag, mode in _FLAGS.items() if config.get(flag)] or ["mean"]
    names = [modes] if isinstance(modes, str) else modes
    if not isinstance(names, list) or len(names) != 1 or str(names[0]) not in _POOLS:
        raise ConfigError(
            "this pooling cannot be honoured",
            got=str(modes)[:200],
            expected=f"one of {', '.join(_POOLS)}",
            where=where,
        )
    width = config.get("embedding_dimension", config.get("word_embedding_dimension"))
    if width is not None and width != imported.recipe().section("model").hidden_size:
        raise CheckpointError(
            "the pooling and the model have different widths",
            got=width,
            expected=imported.recipe().section("model").hidden_size,
            where=where,
        )
    return _POOLS[names[0]]


def _max_length(settings: Mapping[str, Any], folder: Path) -> int | None:
    """Tokens of a text that are read; None = as many as the model allows."""
    length = settings.get("max_seq_length")
    file = folder / "tokenizer_config.json"
    if length is None and file.is_file():
        length = read_json(member(folder, file.name)).get("model_max_length")
    if length is None or (isinstance(length, int | float) and length > 1 << 24):  # their value for "no limit"
        return None
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        raise ConfigError("no such length", got=f"max_seq_length {length!r}"[:100], where=folder / SETTINGS)
    return length


def _lowering(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer with lower-casing as its first step, where it does not lower-case already."""
    spec = tokenizer.as_json()
    old = spec.get("normalizer")
    steps = (
        old["normalizers"]
        if isinstance(old, dict) and old.get("type") == "Sequence"
        else [old]
        if old
        else []
    )
    if any(s.get("type") == "Lowercase" or s.get("lowercase") is True for s in steps):
        return tokenizer
    spec["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, *steps]}
    return Tokenizer(hf.Tokenizer.from_str(json.dumps(spec, ensure_ascii=False)), tokenizer.roles.settings())


def write_model(run: Path, output: Path) -> Written:
    """Write a run's encoder for sentence-transformers.

    If the run was imported from there, the vectors equal those of `polyseme embed RUN`. Other runs leave [CLS] and
    [SEP] out of the mean: their vectors equal those of `polyseme embed RUN --separators`, and the notes and the model
    card say so.

    Args:
        run: the run directory.
        output: the folder to write; new or empty.
    Raises:  ConfigError: transformers has no such architecture, or the vectors are one per word.
             RunError: there is no run, or the folder holds something.  StorageError: the disk refuses.
    """
    opened = open_run(run)
    embedding = opened.run.meta.get("embedding") or {}
    pool, normalize = embedding.get("pool", "mean"), bool(embedding.get("normalize", False))
    if pool not in _THEIRS:
        raise ConfigError("this pooling has no form there", got=pool, expected=", ".join(_THEIRS), where=run)
    kept = (opened.run.meta.get("imported") or {}).get(KEPT) or {}
    truncate = embedding.get("truncate_dim")
    longest = int(opened.encoder.max_length)
    length = min(embedding.get("max_length") or longest, longest)
    width = int(opened.encoder.config.hidden_size)
    with new_folder(output) as folder, saving(output):
        files, notes = model_files(opened, folder, tasks=False)
        if opened.encoder.reach == "left":
            _as_encoder(opened.tokenizer, folder)
        if not embedding.get("separators") and pool != "cls":
            notes.append(
                "sentence-transformers counts [CLS] and [SEP] as tokens: its vectors are those of "
                "`polyseme embed RUN --separators`"
            )
        modules = [
            {"idx": 0, "name": "0", "path": "", "type": f"{_PREFIX}Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{_PREFIX}Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": f"{_PREFIX}Normalize"},
        ]
        pooling = {"word_embedding_dimension": width} | {
            flag: mode == _THEIRS[pool] for flag, mode in _FLAGS.items()
        }
        if "include_prompt" in kept:
            pooling["include_prompt"] = kept["include_prompt"]
        named = {
            "similarity_fn_name": kept.get("similarity_fn_name", "cosine"),
            "prompts": kept.get("prompts", {}),
            "default_prompt_name": kept.get("default_prompt_name"),
            **({} if truncate is None else {"truncate_dim": truncate}),
        }
        documents: dict[str, Any] = {
            MODULES: modules[: 3 if normalize else 2],
            SETTINGS: {"max_seq_length": length, "do_lower_case": False},
            "1_Pooling/config.json": pooling,
            PROMPTS: named,
        }
        (folder / "1_Pooling").mkdir()
        if normalize:
            (folder / "2_Normalize").mkdir()
        for name, document in documents.items():
            (folder / name).write_text(to_json(document), "utf-8")
        card = _card(
            opened.recipe.architecture, min(width, truncate or width), length, pool, normalize, notes
        )
        (folder / "README.md").write_text(card, "utf-8", "backslashreplace")
    return Written(output, [*files, *documents], notes)


def _as_encoder(tokenizer: Tokenizer, folder: Path) -> None:
    """Make a decoder read whole texts from the left, with both separators, as `polyseme embed` does."""
    text = json.dumps(tokenizer.as_json(), ensure_ascii=False)
    (folder / "tokenizer.json").write_text(text + "\n", "utf-8")
    settings = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    (folder / "tokenizer_config.json").write_text(to_json({**settings, "padding_side": "right"}), "utf-8")


def _card(architecture: str, width: int, length: int, pool: str, normalize: bool, notes: list[str]) -> str:
    differs = "".join(f"\n- {note}" for note in notes)
    return f"""---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags:
- sentence-transformers
- {architecture}
- polyseme
---

# {architecture}: texts to vectors of {width} numbers

Written by polyseme {__version__}; reads {length} tokens, pooling {pool}{", normalised" if normalize else ""}.

```python
from sentence_transformers import SentenceTransformer

SentenceTransformer("PATH-OF-THIS-FOLDER").encode(["a text", "another"])
```
{"## What differs from polyseme" + chr(10) + differs + chr(10) if notes else ""}"""
