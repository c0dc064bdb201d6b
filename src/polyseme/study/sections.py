"""The sections of a comparison's file besides its tasks, and the studies that they ask for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from polyseme.core.config import Config
from polyseme.core.reporter import Reporter
from polyseme.errors import ConfigError, CorpusError
from polyseme.infer.loaded import Loaded
from polyseme.infer.score import kind_of
from polyseme.study.pairs import Scoring, pairs
from polyseme.study.probe import ProbeConfig, ProbeTask, probe
from polyseme.study.senses import senses
from polyseme.text.labelled.minimal_pairs import pair_files
from polyseme.text.labelled.opening import fingerprint

__all__ = ["STUDIES", "PairsSpec", "ProbeSpec", "SensesSpec", "Study"]

ANY = "any"
"""The language of a section that every run is used for."""


class ProbeSpec(ProbeTask):
    """[probes.NAME]: a task of `probe`, and beside it

    Args:
        language: only runs trained on it are probed.
        settings: how probes are made and learned, see `ProbeConfig`; seeds are the comparison's.
    """

    language: str = ANY
    settings: dict[str, Any] = Field(default_factory=dict)


class SensesSpec(Config):
    """[senses]

    Args:
        file: a file or folder of words in contexts, see text/labelled/senses.py.
        words: only these; empty = all of the file.
        columns: our names of columns to the file's.
        encoding, separator: of the file; "auto" = as it shows.
        limit: the largest number of uses of a word; None = all.
        balance: the same number of uses of every sense of a word.
        folds: of the cross-validation.
        map: how maps are drawn.
        language: only runs trained on it are looked at.
    """

    file: str
    words: tuple[str, ...] = ()
    columns: dict[str, str] = Field(default_factory=dict)
    encoding: str = "auto"
    separator: str = "auto"
    limit: int | None = Field(None, ge=4)
    balance: bool = False
    folds: int = Field(10, ge=2)
    map: Literal["pca", "umap"] = "pca"
    language: str = ANY


class PairsSpec(Config):
    """[pairs]

    Args:
        files: minimal pairs, or folders of such, see text/labelled/minimal_pairs.py.
        columns: our names of columns to the files'.
        encoding, separator: of the files; "auto" = as they show.
        scoring: of masked models, see `pairs`; the others have one way.
        limit: the largest number of pairs of a paradigm; None = all.
        language: only runs trained on it are asked.
    """

    files: tuple[str, ...] = Field(min_length=1)
    columns: dict[str, str] = Field(default_factory=dict)
    encoding: str = "auto"
    separator: str = "auto"
    scoring: Scoring = "within-word"
    limit: int | None = Field(None, ge=1)
    language: str = ANY


Make = Callable[[Loaded, Any, Path, Sequence[int], Reporter], dict[str, Any]]
"""(loaded run, section, folder of the TOML file, seeds, reporter) -> the study's document"""


@dataclass(frozen=True)
class Study:
    """The study that a section asks for.

    Args:
        kind: the first part of its result files' names.
        version: raised when the form of the document changes, so that old results are made again.
        seeded: whether the result depends on the comparison's seeds.
        files: the files that a section names.
        make: runs the study and returns its document.
        refuses: the code of the reason why a run cannot be studied; None if it can. See `compare.ABSENT`.
    """

    kind: str
    version: int
    seeded: bool
    files: Callable[[Any, Path], list[Path]]
    make: Make
    refuses: Callable[[Loaded], str | None]

    def fingerprints(self, spec: Any, base: Path) -> list[str]:
        """Hashes of all files that are read."""
        return [
            hashlib.blake2b(
                f"{path.name}\n{fingerprint(path)}".encode("utf-8", "surrogatepass"), digest_size=16
            ).hexdigest()
            for path in self.files(spec, base)
        ]


def _probe(
    loaded: Loaded, spec: ProbeSpec, base: Path, seeds: Sequence[int], reporter: Reporter
) -> dict[str, Any]:
    files = {part: str(base / name) for part in ("train", "dev", "test") if (name := getattr(spec, part))}
    task = ProbeTask(**{**spec.model_dump(exclude={"language", "settings"}), **files})
    config = {"seeds": len(seeds), "seed": min(seeds), **spec.settings}
    asked = ProbeConfig.of(config, "[probes] settings")
    return probe(loaded, {spec.task: task}, config=asked, reporter=reporter).document()


def _senses(
    loaded: Loaded, spec: SensesSpec, base: Path, seeds: Sequence[int], reporter: Reporter
) -> dict[str, Any]:
    return senses(
        loaded,
        base / spec.file,
        word=spec.words,
        limit=spec.limit,
        folds=spec.folds,
        map=spec.map,
        balance=spec.balance,
        columns=spec.columns,
        separator=spec.separator,
        encoding=spec.encoding,
        reporter=reporter,
    ).document() | {"file": ""}  # the file name is not part of the kept document


def _pairs(
    loaded: Loaded, spec: PairsSpec, base: Path, seeds: Sequence[int], reporter: Reporter
) -> dict[str, Any]:
    """The document, and "right" of every paradigm: a digit a pair, 2 where the good text wins, 1 for a tie."""
    scoring = spec.scoring if kind_of(loaded) == "pseudo-log-likelihood" else None
    files = [base / name for name in spec.files]
    result = pairs(
        loaded,
        files,
        scoring=scoring,
        columns=spec.columns,
        limit=spec.limit,
        reporter=reporter,
        encoding=spec.encoding,
        separator=spec.separator,
    )
    right: dict[tuple[str, str], str] = {(row["paradigm"], row["phenomenon"]): "" for row in result.paradigms}
    for pair in result.pairs:
        won = (pair["margin"] > 0) + (pair["margin"] >= 0)
        right[pair["paradigm"], pair["phenomenon"]] += str(won)
    return {**result.document(), "right": list(right.values())}


def _no_probability(loaded: Loaded) -> str | None:
    try:
        kind_of(loaded)
    except ConfigError:
        return "no probability"
    return None


def _inside(path: Path) -> list[Path]:
    """A file, or the files of a folder.

    Raises:  CorpusError: neither.
    """
    if not path.is_dir():
        return [path]
    files = [p for p in sorted(path.rglob("*")) if p.is_file() and not p.name.startswith(".")]
    if not files:
        raise CorpusError("the folder is empty", where=path)
    return files


STUDIES = {
    "probe": Study(
        "probe",
        3,
        True,
        lambda spec, base: [base / name for name in (spec.train, spec.dev, spec.test) if name],
        _probe,
        lambda loaded: None,
    ),
    "senses": Study(
        "senses", 3, False, lambda spec, base: _inside(base / spec.file), _senses, lambda loaded: None
    ),
    "pairs": Study(
        "pairs",
        1,
        False,
        lambda spec, base: pair_files([base / f for f in spec.files]),
        _pairs,
        _no_probability,
    ),
}
