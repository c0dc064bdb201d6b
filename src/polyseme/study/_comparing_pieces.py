"""The sections of a comparison's file beside its tasks, and the studies that they ask for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from polyseme.core.config import Config
from polyseme.core.reporter import Reporter
from polyseme.errors import CorpusError
from polyseme.text.labelled.opening import fingerprint

__all__ = ["STUDIES", "PairsSpec", "ProbeSpec", "SensesSpec", "Study", "files_of"]


class ProbeSpec(Config):
    """[probes.NAME]

    Args:
        task: what is probed: pos, dependencies, chunks, ner, relations, edges.
        train, dev, test: labelled files; without dev a share of train is held out.
        examples: so many sentences of train at most; None = all.
        language: only runs trained on it are probed; None = all runs.
    """

    task: str
    train: str
    dev: str | None = None
    test: str
    examples: int | None = Field(None, ge=1)
    language: str | None = None


class SensesSpec(Config):
    """[senses]

    Args:
        file: a file or folder of words in contexts.
        words: only these; empty = all.
        limit: so many contexts of a word at most; None = all.
        language: only runs trained on it are looked at; None = all runs.
    """

    file: str
    words: tuple[str, ...] = ()
    limit: int | None = Field(None, ge=2)
    language: str | None = None


class PairsSpec(Config):
    """[pairs]

    Args:
        files: minimal pairs; folders and patterns stand for the files in them.
        limit: so many pairs of a file at most; None = all.
        language: only runs trained on it are asked; None = all runs.
    """

    files: tuple[str, ...] = Field(min_length=1)
    limit: int | None = Field(None, ge=1)
    language: str | None = None


Make = Callable[[Any, Any, Path, Sequence[int], Reporter], dict[str, Any]]
"""(loaded run, section, folder of the TOML file, seeds, reporter) -> the study's document"""


@dataclass(frozen=True)
class Study:
    """What a section asks for.

    Args:
        kind: begins its pieces' names.
        version: raised when a document gets another form, so that old pieces are made anew.
        seeded: whether the comparison's seeds count.
        files: the files that a section names.
        make: does it.
    """

    kind: str
    version: int
    seeded: bool
    files: Callable[[Any, Path], list[Path]]
    make: Make

    def fingerprints(self, spec: Any, base: Path) -> list[str]:
        """Hashes of everything that is read."""
        return [
            hashlib.blake2b(f"{path.name}\n{fingerprint(path)}".encode(), digest_size=16).hexdigest()
            for path in self.files(spec, base)
        ]


def files_of(base: Path, names: Sequence[str]) -> list[Path]:
    """The files that names, folders and patterns stand for, relative to a folder.

    Raises:  CorpusError: a name or pattern stands for nothing.
    """
    found: list[Path] = []
    for name in names:
        path = base / name
        if path.is_dir():
            mine = [p for p in sorted(path.rglob("*")) if p.is_file() and not p.name.startswith(".")]
        elif any(sign in name for sign in "*?["):
            root = Path(path.anchor) if path.is_absolute() else Path()
            mine = sorted(p for p in root.glob(str(path.relative_to(root))) if p.is_file())
        else:
            mine = [path]
        if not mine:
            raise CorpusError(
                "no such file", where=path, fix="a file, a folder or a pattern such as pairs/*.jsonl"
            )
        found += mine
    return list(dict.fromkeys(found))
