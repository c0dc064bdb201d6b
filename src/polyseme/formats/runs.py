"""Between runs and the models of other programs: the result of every importer, and the input of every exporter.

A reader of a format (formats/huggingface, formats/sentence_transformers, formats/word_vectors) translates names and
configuration into an `Imported`. `write_run` checks that its tensors are exactly those of the model, and writes a run.
`polyseme.load`, `embed`, `fill`, `pretrain --init` … use it like a run that was trained here. A writer receives an
`Opened` run.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from polyseme.core.files import new_folder, sha256_of, write_atomic
from polyseme.core.protocols import Encoder
from polyseme.core.version import __version__
from polyseme.errors import CheckpointError, ConfigError
from polyseme.text.tokenizers import Tokenizer
from polyseme.train import card
from polyseme.train.build import build_encoder, build_heads, rebuild, special_ids
from polyseme.train.recipe import Recipe, from_dict
from polyseme.train.run import RunDirectory

__all__ = ["Imported", "Opened", "as_task", "check_same", "file_digests", "open_run", "write_run"]


@dataclass(frozen=True)
class Imported:
    """A foreign model in our terms.

    Args:
        architecture: the model's registry key: "bert", "gpt", "word2vec" …
        model: its configuration, by our names; absent fields have their defaults.
        objectives: registry keys of the objectives whose heads were imported; may be empty.
        tensors: float32, by our names: "encoder.…" and "heads.NAME.…".
        tokenizer: text to ids.
        source: where it came from, JSON-able: at least {"kind", "path", "files": SHA-256 by name}.
        sections: sections of the recipe for tasks among the objectives, with labels and the like.
        decoding: tuned values that a task's predictions need besides its head; see `train/finetune.py`.
        embedding: how a text is pooled to a vector, {"pool": "mean" | "cls" | "max" | "last", "normalize",
            "max_length"}, where the source says so.
    """

    architecture: str
    model: dict[str, Any]
    objectives: list[str]
    tensors: dict[str, Tensor]
    tokenizer: Tokenizer
    source: dict[str, Any] = field(default_factory=dict)
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    decoding: dict[str, Any] = field(default_factory=dict)
    embedding: dict[str, Any] | None = None

    def recipe(self) -> Recipe:
        """The recipe of the model and its objectives, with default settings for everything else.

        Raises:  ConfigError: the model's fields do not fit together.
        """
        described = {
            "architecture": self.architecture,
            "objectives": self.objectives,
            "model": self.model,
        }
        return from_dict({**described, **self.sections})


_TEXTS = ("classify", "pair")


def as_task(imported: Imported, task: str) -> Imported:
    """The same head for one text (classify) or for two (pair), which other programs' files do not distinguish.

    Raises:  ConfigError: there is no such head, or it belongs to another task.
    """
    (objective, *further) = imported.objectives or [""]
    if objective == task and not further:
        return imported
    if task not in _TEXTS or objective not in _TEXTS:
        raise ConfigError(
            f"there is no head for {task}",
            got=", ".join(imported.objectives) or "the encoder alone",
            where=imported.source.get("path"),
            fix="leave --task out" if objective else f"polyseme finetune {task} RUN --train FILE -o RUN2",
        )
    old, new = f"heads.{objective}.", f"heads.{task}."
    tensors = {
        new + name.removeprefix(old) if name.startswith(old) else name: tensor
        for name, tensor in imported.tensors.items()
    }
    source = {k: v for k, v in imported.source.items() if k != "notes"}
    return replace(
        imported,
        objectives=[task],
        tensors=tensors,
        sections={task: imported.sections[objective]},
        source=source,
    )


def write_run(imported: Imported, output: Path) -> RunDirectory:
    """Write a complete, loadable run, atomically.

    Args:
        imported: the result of a reader.
        output: the folder to write; new or empty.
    Raises:  RunError: the folder holds something.  ConfigError: the configuration does not fit together.
             CheckpointError: a tensor is missing, unknown or of another shape; it is named.
             StorageError: the disk refuses.
    """
    recipe = imported.recipe()
    check_same(imported.tensors, shapes_of(recipe, imported.tokenizer), imported.source.get("path"))
    tensors = {name: tensor.float().contiguous() for name, tensor in imported.tensors.items()}
    meta = {
        "model": imported.architecture,
        "status": "importing",
        "recipe": recipe.as_dict(),
        "parameters": sum(tensor.numel() for tensor in tensors.values()),
        "imported": imported.source,
        "embedding": imported.embedding,
        **({"decoding": imported.decoding} if imported.decoding else {}),
        "versions": {
            "polyseme": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }
    with new_folder(output) as folder:
        run = RunDirectory.create(folder, meta)
        imported.tokenizer.save(folder / "tokenizer.json")
        run.publish(tensors, status="imported")
        write_atomic(folder / "README.md", card_text(run.meta).encode("utf-8", "backslashreplace"))
    return RunDirectory.open(output)


def shapes_of(recipe: Recipe, tokenizer: Tokenizer) -> dict[str, Tensor]:
    """All tensors of a recipe's encoder and heads, by our names, without values."""
    with torch.device("meta"):
        encoder = build_encoder(recipe, tokenizer)
        heads = build_heads(recipe, encoder, special_ids(tokenizer))
    expected: dict[str, Tensor] = {f"encoder.{name}": p for name, p in encoder.named_parameters()}
    return expected | {f"heads.{name}": p for name, p in heads.named_parameters()}


def check_same(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], where: object) -> None:
    """Compare names and shapes of tensors.

    Raises:  CheckpointError: a tensor is missing, unknown or of another shape; it is named.
    """
    for kind, names in (
        ("missing", [name for name in expected if name not in tensors]),
        ("unknown", [name for name in tensors if name not in expected]),
    ):
        if names:
            raise CheckpointError(
                f"{len(names)} tensor(s) {kind}",
                got=", ".join(names[:4]) + (" …" if len(names) > 4 else ""),
                where=where,
            )
    for name, tensor in expected.items():
        if tensors[name].shape != tensor.shape:
            raise CheckpointError(
                f"tensor {name} has another shape",
                got=tuple(tensors[name].shape),
                expected=tuple(tensor.shape),
                where=where,
            )


def file_digests(folder: Path, names: list[str]) -> dict[str, str]:
    """SHA-256 of files, for `Imported.source`, in constant memory."""
    return {name: sha256_of(folder / name) for name in names}


def card_text(meta: Mapping[str, Any]) -> str:
    """The model card of an imported run as Markdown."""
    recipe, source = meta["recipe"], meta["imported"]
    use = card.use_of(recipe)[1]
    files = "\n".join(f"| `{name}` | `{sha}` |" for name, sha in source.get("files", {}).items())
    return f"""{card.head(meta)}
Imported with polyseme {meta["versions"]["polyseme"]} from {source.get("kind", "another format")};
objectives: {", ".join(recipe["objectives"]) or "none, the encoder alone"}. The terms of the original apply.

| file | SHA-256 |
|---|---|
{files}

## Use

```console
polyseme {use}
polyseme inspect RUN
```
"""


@dataclass(frozen=True)
class Opened:
    """A run in memory, in evaluation mode, float32, on the CPU.

    Args:
        run: the run directory.
        recipe: its recipe.
        tokenizer: text to ids.
        encoder: satisfies `Encoder`.
        heads: the objectives' heads by name.
    """

    run: RunDirectory
    recipe: Recipe
    tokenizer: Tokenizer
    encoder: Encoder
    heads: nn.ModuleDict


def open_run(path: Path | str) -> Opened:
    """Open a run.

    Raises:  RunError: there is no run.  CheckpointError: its files are damaged and no checkpoint replaces them, or its
             weights are not finite.
    """
    run = RunDirectory.open(path)
    tensors, _ = run.weights()
    return Opened(run, *rebuild(run, tensors))
