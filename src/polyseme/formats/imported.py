"""What every importer makes of a foreign model, and the run directory that is written from it.

A reader of some format (formats/huggingface, formats/sentence_transformers, formats/word2vec …) translates names and
configuration into an `Imported`; `write_run` checks that its tensors are exactly those that the model has, and writes a
run that `polyseme.load`, `embed`, `fill`, `pretrain --init` … take like one that was trained here.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from polyseme.core.files import new_folder, sha256_of, write_atomic
from polyseme.core.version import __version__
from polyseme.errors import CheckpointError, ConfigError
from polyseme.text.tokenizers import Tokenizer
from polyseme.train import card
from polyseme.train.building import build_encoder, build_heads, special_ids
from polyseme.train.recipe import Recipe, from_dict
from polyseme.train.run import RunDirectory

__all__ = ["Imported", "as_task", "file_digests", "write_run"]


@dataclass(frozen=True)
class Imported:
    """A foreign model in our terms.

    Args:
        architecture: the model's registry key: "bert", "gpt", "word2vec" …
        model: its configuration, by our names; what is left out has its default.
        objectives: registry keys of the objectives whose heads came with it; may be empty.
        tensors: float32, by our names: "encoder.…" and "heads.NAME.…".
        tokenizer: text to ids.
        source: where it came from, JSON-able: at least {"kind", "path", "files": SHA-256 by name}.
        sections: of the recipe, for tasks among the objectives: their labels and the like.
        decoding: what a task's predictions need beside its head; see `train/finetune.py`.
        embedding: how a vector of a text is made, {"pool": "mean" | "cls" | "max" | "last", "normalize", "max_length"},
            where the source says so.
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
        """The model and its objectives with default settings for all that an import does not know.

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
    """The same head for one text (classify) or for two (pair), which files of others do not tell apart.

    Raises:  ConfigError: there is no such head, or it is another task's.
    """
    (found, *others) = imported.objectives or [""]
    if found == task and not others:
        return imported
    if task not in _TEXTS or found not in _TEXTS:
        raise ConfigError(
            f"there is no head for {task}",
            got=", ".join(imported.objectives) or "the encoder alone",
            where=imported.source.get("path"),
            fix="leave --task out" if found else f"polyseme finetune {task} RUN --train FILE -o RUN2",
        )
    old, new = f"heads.{found}.", f"heads.{task}."
    tensors = {
        new + name.removeprefix(old) if name.startswith(old) else name: tensor
        for name, tensor in imported.tensors.items()
    }
    source = {k: v for k, v in imported.source.items() if k != "notes"}
    return replace(
        imported,
        objectives=[task],
        tensors=tensors,
        sections={task: imported.sections[found]},
        source=source,
    )


def write_run(imported: Imported, output: Path) -> RunDirectory:
    """Write a complete, loadable run; it appears as a whole or not at all.

    Args:
        imported: what a reader found.
        output: the folder to write; new or empty.
    Raises:  RunError: the folder holds something.  ConfigError: the configuration does not fit together.
             CheckpointError: a tensor is missing, unknown or of another shape; it is named.
             StorageError: the disk refuses.
    """
    recipe = imported.recipe()
    check_tensors(imported, recipe)
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


def check_tensors(imported: Imported, recipe: Recipe) -> None:
    """Compare names and shapes with those that the model has, without making its weights.

    Raises:  CheckpointError: a tensor is missing, unknown or of another shape.
    """
    with torch.device("meta"):
        encoder = build_encoder(recipe, imported.tokenizer)
        heads = build_heads(recipe, encoder, special_ids(imported.tokenizer))
    expected = {f"encoder.{name}": p.shape for name, p in encoder.named_parameters()}
    expected |= {f"heads.{name}": p.shape for name, p in heads.named_parameters()}
    for kind, some, others in (
        ("missing", expected, imported.tensors),
        ("unknown", imported.tensors, expected),
    ):
        if names := [name for name in some if name not in others]:
            raise CheckpointError(
                f"{len(names)} tensor(s) {kind}",
                got=", ".join(names[:4]) + (" …" if len(names) > 4 else ""),
                where=imported.source.get("path"),
            )
    for name, shape in expected.items():
        if imported.tensors[name].shape != shape:
            raise CheckpointError(
                f"tensor {name} has another shape",
                got=tuple(imported.tensors[name].shape),
                expected=tuple(shape),
                where=imported.source.get("path"),
            )


def file_digests(folder: Path, names: list[str]) -> dict[str, str]:
    """SHA-256 of files, for `Imported.source`; memory does not grow with their size."""
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
