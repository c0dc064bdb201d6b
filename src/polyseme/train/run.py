"""The run directory (format_version 1): what a trained model is on disk.

    run.json            model, fully resolved recipe, corpus, versions, budget spent, results, digests of the weights
    tokenizer.json      the Hugging Face tokenizers file
    model.safetensors   the encoder
    heads/NAME.safetensors
    metrics.jsonl       a line per logged step
    README.md           a model card
    paths …             what else a learner writes for people and other programs, such as word classes' paths
    store/              the prepared corpus; deletable, made again from the text when it is needed
    resume/             checkpoints; deletable, needed only to go on

Weights are replaced one file at a time, and run.json, which holds their SHA-256, comes last. A reader either finds the
digests right, or knows that a save was cut off and takes the newest whole checkpoint instead.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor

from polyseme.core.config import to_json
from polyseme.core.files import make_folder, write_atomic
from polyseme.core.paths import path_of
from polyseme.core.remote import remote_path
from polyseme.core.reporter import Reporter
from polyseme.core.result import frame
from polyseme.errors import CheckpointError, RunError
from polyseme.train.checkpoint import newest

FORMAT_VERSION = 1
_TOLD = ("heldout_loss", "steps", "seconds")


def read_tensors(path: Path, sha256: str | None = None) -> dict[str, Tensor]:
    """Read a safetensors file and check its digest.

    Raises:  CheckpointError: it is missing, truncated or altered.
    """
    try:
        data = path.read_bytes()
    except OSError:
        raise CheckpointError("a file of weights is missing", where=path) from None
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise CheckpointError(
            "a file of weights was truncated or altered",
            got=f"{len(data):,} bytes whose SHA-256 differs from the one recorded",
            where=path,
        )
    try:
        return parse_safetensors(data)
    except SafetensorError as error:
        raise CheckpointError("not a valid safetensors file", got=str(error), where=path) from None


def check_finite(tensors: Mapping[str, Tensor], where: object) -> None:
    """Refuse weights with NaN or infinite values: everything that a model computes from them would be NaN, too.

    Args:
        tensors: by the names that the error should show.
        where: their file or folder.
    Raises:  CheckpointError: a tensor holds NaN or an infinite number; it is named, with the place of the first.
    """
    for name, tensor in tensors.items():
        if not tensor.numel() or not tensor.is_floating_point():
            continue
        if all(map(math.isfinite, torch.stack(torch.aminmax(tensor)).tolist())):  # aminmax propagates NaN
            continue
        wrong = ~torch.isfinite(tensor)
        first = wrong.nonzero()[0].tolist()
        raise CheckpointError(
            f"tensor {name} holds NaN or infinite numbers",
            got=f"{int(wrong.sum()):,} of {tensor.numel():,}, the first at {first}: {tensor[tuple(first)].item()}",
            expected="finite numbers",
            where=where,
            fix="fetch the files again, or take an earlier checkpoint: training may have diverged",
        )


class RunDirectory:
    """A run on disk.

    Args:
        path: its folder.
        meta: the contents of run.json.
    """

    def __init__(self, path: Path, meta: dict[str, Any]) -> None:
        self.path, self.meta = path, meta

    def __repr__(self) -> str:
        results = self.meta.get("results") or {}
        facts = [self.meta.get("model"), self.meta.get("status")]
        facts += [
            f"{name.replace('_', ' ')} {results[name]:.4g}" for name in _TOLD if results.get(name) is not None
        ]
        return (
            f"RunDirectory({str(self.path)!r}: {', '.join(str(fact) for fact in facts if fact is not None)})"
        )

    def _repr_html_(self) -> str:
        summary = importlib.import_module(
            "polyseme.report.run_summary"
        )  # three floors up, for notebooks alone
        return str(summary.inspect(self)._repr_html_())

    @property
    def store(self) -> Path | None:
        """The prepared corpus that the run keeps or was trained from; None where it is gone or holds other text."""
        fingerprint = (self.meta.get("corpus") or {}).get("fingerprint")
        for folder in (self.path / "store", Path(str(self.meta.get("store") or ""))):
            try:
                known = json.loads((folder / "store.json").read_bytes()).get("fingerprint")
            except (OSError, ValueError, AttributeError):
                continue
            if known == fingerprint is not None:
                return folder
        return None

    def to_pandas(self) -> Any:
        """The lines of metrics.jsonl as a pandas.DataFrame, a row a logged step.

        Raises:  ConfigError: pandas is not installed.
        """
        return frame(self.metrics())

    @classmethod
    def open(cls, path: Path | str) -> RunDirectory:
        """Open an existing run.

        Raises:  RunError: there is no run, or a newer polyseme wrote it.
                 CheckpointError: run.json is damaged.
        """
        path = path_of(path)
        file = path / "run.json"
        if not file.is_file():
            raise RunError(
                "not a run",
                got="a folder without run.json"
                if path.is_dir()
                else "a file"
                if path.exists()
                else "no such folder",
                where=path,
                fix="the folder that was given to `polyseme pretrain … -o`",
            )
        try:
            meta = json.loads(file.read_bytes())
            version = int(meta["format_version"])
        except (ValueError, KeyError, TypeError):
            raise CheckpointError(
                "run.json is damaged", where=file, fix="pretrain again with another -o"
            ) from None
        if version > FORMAT_VERSION:
            raise RunError(
                "a newer polyseme wrote this run",
                got=f"format {version}",
                expected=f"format {FORMAT_VERSION}",
                where=path,
                fix="upgrade polyseme",
            )
        return cls(path, meta)

    @classmethod
    def create(cls, path: Path, meta: Mapping[str, Any]) -> RunDirectory:
        """Start a run in a new or empty folder.

        Raises:  RunError: the folder holds something already.
                 StorageError: it cannot be written.
        """
        if (remote := remote_path(path)) is not None:
            raise RunError("a run is kept on a disk", got="a URL", where=remote, fix="-o runs/mine")
        if (path / "run.json").exists():
            raise RunError(
                "the output folder holds another run",
                where=path,
                fix="--resume to go on with it, or another -o",
            )
        leftovers = [p for p in path.iterdir() if not p.name.startswith(".")] if path.is_dir() else []
        if path.is_file() or leftovers:
            raise RunError(
                "the output folder is not empty",
                got="a file" if path.is_file() else f"it holds {leftovers[0].name}",
                where=path,
                fix="another -o",
            )
        make_folder(path)
        run = cls(path, {"format_version": FORMAT_VERSION, **meta})
        run.save_meta()
        return run

    def save_meta(self, **changes: Any) -> None:
        """Update run.json."""
        self.meta.update(changes)
        write_atomic(self.path / "run.json", to_json(self.meta).encode())

    def add_notes(self, notes: Iterable[str | None], reporter: Reporter) -> None:
        """Report notes for readers of the figures, and keep them under "notes" of run.json: each note once."""
        known = self.meta.get("notes", [])
        new = [note for note in notes if note and note not in known]
        for note in new:
            reporter.note(note)
        if new:
            self.save_meta(notes=[*known, *new])

    def publish(
        self, weights: Mapping[str, Tensor], extra_files: Mapping[str, bytes] | None = None, **changes: Any
    ) -> None:
        """Replace the weights, then run.json with their digests.

        Args:
            weights: "encoder.…" and "heads.NAME.…".
            extra_files: further files by name; their digests are in run.json's "other_files".
            changes: other new values of run.json.
        """
        files: dict[str, dict[str, Tensor]] = defaultdict(dict)
        files["model.safetensors"] = {}  # written even when the encoder has no weights
        for name, tensor in weights.items():
            room, _, rest = name.partition(".")
            if room == "encoder":
                files["model.safetensors"][rest] = tensor
            else:
                head, _, rest = rest.partition(".")
                files[f"heads/{head}.safetensors"][rest] = tensor
        make_folder(self.path / "heads")
        digests = {
            name: write_atomic(self.path / name, to_safetensors(tensors, {"format": "pt"}))
            for name, tensors in files.items()
        }
        if extra_files:
            changes["other_files"] = {n: write_atomic(self.path / n, data) for n, data in extra_files.items()}
        self.save_meta(files=digests, **changes)

    def weights(self) -> tuple[dict[str, Tensor], str | None]:
        """The weights, "encoder.…" and "heads.NAME.…", and a warning when they are an older checkpoint's.

        Raises:  CheckpointError: neither the weights nor any checkpoint are whole.
        """
        files = self.meta.get("files") or {}
        error = None if files else CheckpointError("the run has no weights yet", where=self.path)
        result: dict[str, Tensor] = {}
        lost: list[str] = []
        for name, sha256 in files.items():
            part = name.removesuffix(".safetensors").replace("/", ".")
            part = "encoder" if part == "model" else part
            try:
                for key, tensor in read_tensors(self.path / name, sha256).items():
                    result[f"{part}.{key}"] = tensor
            except CheckpointError as broken:
                error = error or broken
                lost.append(f"{part}.")
        if error is None:
            return result, None
        checkpoint, _ = newest(self.path / "resume")
        if checkpoint is None:
            raise error
        weights = {k: v for k, v in checkpoint.tensors.items() if k.startswith(("encoder.", "heads."))}
        if not all(any(key.startswith(part) for key in weights) for part in lost):
            raise error  # a checkpoint of a frozen encoder's head does not hold the encoder
        return (
            result | weights,
            f"{error.what} ({error.where}); using the checkpoint of step {checkpoint.state['step']:,}",
        )

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; a last line that was cut off is left out."""
        file = self.path / "metrics.jsonl"
        lines = file.read_bytes().split(b"\n") if file.is_file() else []
        records = []
        for line in lines:
            try:
                records.append(json.loads(line))
            except ValueError:
                continue
        return records
