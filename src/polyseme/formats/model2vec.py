"""Folders of model2vec: a table of vectors, its tokenizer, and whether the mean of a text's vectors has length one.

    model.safetensors   embeddings: (tokens, dimensions); in smaller files also mapping (token -> row) and weights
    tokenizer.json      without separators; the letters "[MASK]" in a text are letters
    config.json         normalize, max_length
    modules.json        the same folder for sentence-transformers

There a text's vector is the mean of its tokens without the unknown ones, which are left out: the unknown token has a
vector of zeros here, so that vectors of length one are equal.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from polyseme.core.config import to_json
from polyseme.core.files import new_folder, saving
from polyseme.core.shell import typed
from polyseme.core.version import __version__
from polyseme.errors import CheckpointError, ConfigError
from polyseme.formats.huggingface.tokenizer import read_tokenizer
from polyseme.formats.registry import Written
from polyseme.formats.runs import Imported, Opened, file_digests, open_run
from polyseme.formats.tensors import member, read_json, read_safetensors
from polyseme.text.tokenizers import ABSENT, Tokenizer

__all__ = ["detect", "read_model", "write_model"]

CONFIG, WEIGHTS, TOKENIZER, MODULES = "config.json", "model.safetensors", "tokenizer.json", "modules.json"
_KIND = "model2vec"
_USUAL_LENGTH = 512
_THEIRS = "sentence_transformers.models."


def detect(path: Path) -> bool:
    """Whether a path looks like such a folder."""
    try:
        return read_json(path / CONFIG).get("model_type") == _KIND
    except CheckpointError:
        return False


def read_model(path: Path) -> Imported:
    """Read a folder as a `word2vec` model.

    Args:
        path: the folder.
    Raises:  CheckpointError: a file is missing or damaged, or the table has not a row for every token.
             ConfigError: settings of the tokenizer that cannot be honoured.
    """
    config = read_json(member(path, CONFIG))
    tensors = read_safetensors(member(path, WEIGHTS))
    tokenizer = read_tokenizer(path, {})
    table = _table(tensors, tokenizer.vocab_size, path / WEIGHTS)
    if tokenizer.unk_id != ABSENT:
        table[tokenizer.unk_id] = 0.0
    length = config.get("max_length", _USUAL_LENGTH)
    if length is not None and (isinstance(length, bool) or not isinstance(length, int) or length < 1):
        raise CheckpointError("no such length", got=f"max_length {length!r}"[:100], where=path / CONFIG)
    around = len(tokenizer.prefix_ids) + len(tokenizer.suffix_ids)
    return Imported(
        architecture="word2vec",
        model={"vocab_size": len(table), "hidden_size": table.size(1)},
        objectives=[],
        tensors={"encoder.word_embeddings.weight": table},
        tokenizer=tokenizer,
        source={"kind": _KIND, "path": str(path), "files": file_digests(path, [CONFIG, WEIGHTS, TOKENIZER])},
        embedding={
            "pool": "mean",
            "normalize": config.get("normalize") is True,
            "max_length": None if length is None else length + around,
        },
    )


def _table(tensors: dict[str, Tensor], tokens: int, where: Path) -> Tensor:
    """A row a token: rows are shared by `mapping` and scaled by `weights` where these are there.

    Shapes:  -> (tokens, dimensions)
    """
    rows = tensors.get("embeddings")
    if rows is None or rows.dim() != 2 or rows.size(1) < 1:
        raise CheckpointError(
            "there is no table of vectors", got=", ".join(tensors)[:200], expected="embeddings", where=where
        )
    mapping, weights = tensors.get("mapping"), tensors.get("weights")
    if mapping is not None:
        mapping = mapping.long()
        if (
            mapping.dim() != 1
            or len(mapping) < 1
            or not 0 <= int(mapping.min()) <= int(mapping.max()) < len(rows)
        ):
            raise CheckpointError("mapping names rows that are not there", where=where)
        rows = rows[mapping]
    rows = rows.float().clone()
    if len(rows) != tokens or (weights is not None and weights.shape != (tokens,)):
        raise CheckpointError(
            "the table and the tokenizer have different sizes",
            got=f"{len(rows):,} rows",
            expected=f"{tokens:,} tokens",
            where=where,
        )
    return rows if weights is None else rows * weights.float()[:, None]


def write_model(run: Path, output: Path) -> Written:
    """Write a static run for model2vec: `StaticModel.from_pretrained(FOLDER)`, or for sentence-transformers.

    Args:
        run: the run directory.
        output: the folder to write; new or empty.
    Raises:  ConfigError: the run is not a table of vectors, or pools in another way than the mean.
             RunError: there is no run, or the folder holds something.  StorageError: the disk refuses.
    """
    opened = open_run(run)
    if not hasattr(opened.encoder, "means"):
        static = opened.encoder.reach == "none"
        raise ConfigError(
            "only vectors of words have this form",
            got=opened.recipe.architecture,
            expected="a word2vec run",
            where=run,
            fix="polyseme list formats"
            if static
            else f"polyseme distil {typed(run)} -o STATIC, and export that",
        )
    embedding = opened.run.meta.get("embedding") or {}
    if (
        embedding.get("pool", "mean") != "mean"
        or embedding.get("separators")
        or embedding.get("truncate_dim")
    ):
        raise ConfigError("this pooling has no form there", got=embedding, expected="mean", where=run)
    tokenizer = opened.tokenizer
    spec, notes = _tokenizer(tokenizer)
    table = opened.encoder.token_embedding().weight.detach()[: tokenizer.vocab_size].float().contiguous()
    normalize, length = bool(embedding.get("normalize")), embedding.get("max_length")
    if length is not None:
        length -= len(tokenizer.prefix_ids) + len(tokenizer.suffix_ids)
        notes.append("model2vec also cuts long texts by their letters, before it makes tokens of them")
    if tokenizer.unk_id != ABSENT and (not normalize or bool(table[tokenizer.unk_id].any())):
        notes.append("model2vec leaves unknown tokens out of the mean, polyseme counts them")
    config = {
        "model_type": _KIND,
        "architectures": ["StaticModel"],
        "tokenizer_name": opened.run.path.name,
        "apply_pca": table.size(1),
        "sif_coefficient": (opened.run.meta.get("imported") or {}).get("sif"),
        "hidden_dim": table.size(1),
        "seq_length": 1_000_000,
        "normalize": normalize,
        "max_length": length,
        "pooling": "mean",
        "embedding_dtype": "float32",
    }
    modules = [{"idx": 0, "name": "0", "path": ".", "type": f"{_THEIRS}StaticEmbedding"}]
    if normalize:
        modules.append({"idx": 1, "name": "1", "path": "1_Normalize", "type": f"{_THEIRS}Normalize"})
    with new_folder(output) as folder, saving(output):
        save_file({"embeddings": table}, folder / WEIGHTS, {"format": "pt"})
        (folder / TOKENIZER).write_text(json.dumps(spec, ensure_ascii=False) + "\n", "utf-8")
        (folder / CONFIG).write_text(to_json(config), "utf-8")
        (folder / MODULES).write_text(json.dumps(modules, indent=2) + "\n", "utf-8")
        (folder / "README.md").write_text(_card(opened, notes), "utf-8", "backslashreplace")
    return Written(output, [WEIGHTS, TOKENIZER, CONFIG, MODULES, "README.md"], notes)


def _tokenizer(tokenizer: Tokenizer) -> tuple[dict[str, Any], list[str]]:
    """Their tokenizer.json, and what it does differently.

    As in `Tokenizer`, special tokens in a text are its letters, except those that somebody added; so they move from
    the added tokens, which are found in texts, to the vocabulary.
    """
    spec = {**tokenizer.as_json(), "post_processor": None, "truncation": None, "padding": None}
    model = spec["model"]
    added = []
    for token in spec.get("added_tokens") or ():
        if not token["special"] or token["content"] in tokenizer.added or not _in_vocabulary(model, token):
            added.append(token)
    spec["added_tokens"] = added
    notes = []
    if tokenizer.spelling == "words":
        notes.append("Chinese words are not cut there: give texts whose words stand apart")
    if tokenizer.phrases:
        notes.append("phrases are not joined there")
    return spec, notes


def _in_vocabulary(model: dict[str, Any], token: dict[str, Any]) -> bool:
    """Whether the model's vocabulary has an added token, which is put there if there is a place."""
    vocabulary, name, id = model["vocab"], token["content"], token["id"]
    if isinstance(vocabulary, dict):
        return bool(vocabulary.setdefault(name, id) == id)
    return bool(id < len(vocabulary) and vocabulary[id][0] == name)


def _card(opened: Opened, notes: list[str]) -> str:
    differs = "".join(f"\n- {note}" for note in notes)
    return f"""---
library_name: model2vec
tags:
- model2vec
- static-embeddings
- polyseme
---

# Static vectors of {opened.encoder.config.hidden_size} numbers

Written by polyseme {__version__}.

```python
from model2vec import StaticModel

StaticModel.from_pretrained("PATH-OF-THIS-FOLDER").encode(["a text", "another"])
```
{"## What differs from polyseme" + chr(10) + differs + chr(10) if notes else ""}"""
