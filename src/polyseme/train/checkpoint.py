"""Checkpoints: complete or absent, two kept, the older used when the newer is damaged.

    resume/step-000001200/
      tensors.safetensors   weights, optimiser moments
      best.safetensors      the best weights so far, when those are not the current ones
      state.json            counters
      manifest.json         SHA-256 of the three; written last

The folder is written under another name, put on the disk, and renamed; only then is the oldest one removed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load as parse_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor

from polyseme.core.config import to_json
from polyseme.core.files import saving, sync, sync_folder
from polyseme.errors import CheckpointError

KEPT = 2


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One moment of a run.

    Args:
        tensors: weights and moments by name.
        best: the best weights so far, or None when they are the current ones.
        state: JSON-able counters, at least "step".
    """

    tensors: dict[str, Tensor]
    best: dict[str, Tensor] | None
    state: dict[str, Any]


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint under `folder` and keep the newest two.

    Raises:  StorageError: the disk refuses; the checkpoints before are untouched.
    """
    name = place(folder, checkpoint.state["step"]).name
    partial = folder / f".{name}.partial"
    with saving(folder):
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            manifest = {}
            files: dict[str, bytes] = {"tensors.safetensors": to_safetensors(checkpoint.tensors)}
            if checkpoint.best is not None:
                files["best.safetensors"] = to_safetensors(checkpoint.best)
            files["state.json"] = to_json(checkpoint.state).encode()
            for file, data in files.items():
                manifest[file] = hashlib.sha256(data).hexdigest()
                _write(partial / file, data)
            _write(partial / "manifest.json", to_json(manifest).encode())
            sync_folder(partial)
            if (folder / name).exists():  # a damaged one of the same step, or the same save again
                (folder / name).rename(folder / f".{name}.old.partial")
            partial.rename(folder / name)
            sync_folder(folder)
        except OSError:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        for old in _steps(folder)[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
        for abandoned in folder.glob(".step-*.partial"):
            shutil.rmtree(abandoned, ignore_errors=True)


def load(folder: Path) -> Checkpoint:
    """Read one checkpoint and check it.

    Raises:  CheckpointError: a file is missing, truncated or altered; it names the file.
    """
    try:
        manifest: Mapping[str, str] = json.loads((folder / "manifest.json").read_bytes())
        data = {}
        for name, sha256 in manifest.items():
            data[name] = (folder / name).read_bytes()
            if hashlib.sha256(data[name]).hexdigest() != sha256:
                raise CheckpointError("a checkpoint was truncated or altered", where=folder / name)
        return Checkpoint(
            tensors=parse_safetensors(data["tensors.safetensors"]),
            best=parse_safetensors(data["best.safetensors"]) if "best.safetensors" in data else None,
            state=json.loads(data["state.json"]),
        )
    except FileNotFoundError as error:
        raise CheckpointError("a checkpoint is incomplete", where=error.filename) from None
    except (ValueError, KeyError, AttributeError) as error:
        raise CheckpointError("a checkpoint is damaged", got=str(error), where=folder) from None


def newest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint, if any, and what is wrong with the newer ones."""
    problems: list[str] = []
    for path in _steps(folder):
        try:
            return load(path), problems
        except CheckpointError as error:
            problems.append(f"{error.what}: {error.where}")
    return None, problems


def place(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step is under `folder`."""
    return folder / f"step-{step:09d}"


def exists(folder: Path) -> bool:
    """Whether there is a checkpoint, whole or not."""
    return bool(_steps(folder))


def _steps(folder: Path) -> list[Path]:
    return sorted((p for p in folder.glob("step-*") if p.is_dir()), reverse=True) if folder.is_dir() else []


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        sync(file)
