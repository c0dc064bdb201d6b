"""Any runs side by side: tasks, probes, senses and pairs of one file, under one protocol.

    RUN...  ×  [tasks.NAME]   every run adapted with every seed, judged on the same test examples   study/grid.py
            ×  [probes.NAME]  what its layers know                                                 study/probe.py
            ×  [senses]       whether it tells a word's senses apart                               study/senses.py
            ×  [pairs]        which of two sentences it finds more probable                        study/pairs.py

Every piece is kept as a file under what it depends on: work that was stopped goes on, a run that was trained again is
measured again, and several processes share the work. What a run cannot do is kept as its reason, never left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field

from polyseme.core import registry
from polyseme.core.config import Config, read_toml
from polyseme.errors import ConfigError, RunError
from polyseme.study._comparing_pieces import ANY, STUDIES, PairsSpec, ProbeSpec, SensesSpec, Study
from polyseme.study._standings import STUDY_STANDINGS, standings
from polyseme.study.grid import Grid
from polyseme.study.grid_spec import WAYS, GridConfig, RowSpec, TaskSpec
from polyseme.study.kept import Kept
from polyseme.study.probing.config import ProbeConfig
from polyseme.text.clean import replace_surrogates
from polyseme.train.run import RunDirectory

__all__ = ["ABSENT", "CompareConfig", "Comparison", "Piece", "names_of", "open_comparison"]


class CompareConfig(Config):
    """The TOML file of a comparison; every section may be left out, paths are relative to the file.

    Args:
        seeds: of heads, order and dropout.
        examples, dev_examples, test_examples: of each task's file at most so many.
        threads: of one piece of work.
        tasks, probes: by name.
        senses, pairs: one of each.
    """

    seeds: tuple[int, ...] = Field((1, 2, 3), min_length=1)
    examples: int = Field(4000, ge=1)
    dev_examples: int = Field(1000, ge=1)
    test_examples: int = Field(3000, ge=1)
    threads: int = Field(1, ge=1)
    tasks: dict[str, dict[str, Any]] = Field(default_factory=dict)
    probes: dict[str, dict[str, Any]] = Field(default_factory=dict)
    senses: dict[str, Any] | None = None
    pairs: dict[str, Any] | None = None


Spec = ProbeSpec | SensesSpec | PairsSpec


@dataclass(frozen=True)
class Piece:
    """One study of one run.

    Args:
        study: what is done.
        name: the section's, "probes.pos".
        run: the row's.
        spec: the section.
        asked: all that it depends on, JSON-able.
    """

    study: Study
    name: str
    run: str
    spec: Spec
    asked: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Comparison:
    """A specification and what is done of it.

    Args:
        file: the TOML file.
        config: what it says.
        runs: by the rows' names, in order.
        grid: the tasks' part.
        sections: the others, by name: "probes.pos", "senses", "pairs".
        kept: where pieces are.
        reading: encoding and separator of the sections that do not say their own.
    """

    file: Path
    config: CompareConfig
    runs: Mapping[str, RunDirectory]
    grid: Grid
    sections: Mapping[str, tuple[Study, Spec]]
    kept: Kept
    reading: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def fingerprints(self) -> dict[str, list[str]]:
        """Hashes of the files of every section, read once.

        Raises:  CorpusError: one is not there.
        """
        return {
            name: study.fingerprints(spec, self.file.parent) for name, (study, spec) in self.sections.items()
        }

    def pieces(self) -> list[Piece]:
        """All studies of all runs that read their language."""
        return [
            Piece(study, name, row, spec, self._asked(name, run))
            for name, (study, spec) in self.sections.items()
            for row, run in self.runs.items()
            if fits(run, spec.language)
        ]

    def left(self) -> int:
        """How many cells and pieces are to be done yet."""
        cells = sum(self.grid.result(cell) is None for cell in self.grid.cells())
        return cells + sum(self.kept.get(piece.asked) is None for piece in self.pieces())

    def document(self) -> dict[str, Any]:
        """What was found, JSON-able: {"settings", "runs", "tasks", "studies"}.

        runs: {name: {"path", "model", "language"}}.  tasks: see `_standings.standings`, one a task and way.
        studies: [{"name", "kind", "spec", "documents": {run: …}, "seconds": {run: …}, "absent": {run: reason}}];
        a document is what the study's own --json prints, and more; "standings" are as in a task's rows. Reasons:
        {"code", "text"}, see `ABSENT`.
        """
        return {
            "settings": {
                "file": str(self.file),
                "toml": self.file.read_text("utf-8-sig"),
                **{
                    k: getattr(self.config, k)
                    for k in ("examples", "dev_examples", "test_examples", "threads")
                },
                "seeds": list(self.config.seeds),
            },
            "runs": {
                name: {"path": str(run.path), "model": run.meta["model"], "language": language(run)}
                for name, run in self.runs.items()
            },
            "tasks": [
                standings(self.grid, task, way, self._why_not(task, way))
                for task, spec in self.grid.tasks.items()
                for way in WAYS
                if spec.uses(way)
            ],
            "studies": [self._study(name) for name in self.sections],
        }

    def _study(self, name: str) -> dict[str, Any]:
        study, spec = self.sections[name]
        found: dict[str, Any] = {"documents": {}, "seconds": {}, "absent": {}}
        for row, run in self.runs.items():
            if not fits(run, spec.language):
                found["absent"][row] = absent("language", f"{language(run)}, not {spec.language}")
                continue
            piece = self.kept.get(self._asked(name, run))
            if piece is None:
                found["absent"][row] = absent("not done")
            elif piece["found"] is None:
                found["absent"][row] = absent(piece["refused"])
            else:
                found["documents"][row] = piece["found"]
                found["seconds"][row] = piece["seconds"]
        found["standings"] = STUDY_STANDINGS[study.kind](found["documents"])
        return {"name": name, "kind": study.kind, "spec": spec.model_dump(mode="json"), **found}

    def _why_not(self, task: str, way: str) -> dict[str, dict[str, str]]:
        """Rows that a task is not done with in a way, and why."""
        wanted = self.grid.tasks[task].language
        reasons = {}
        for name, run in self.runs.items():
            if not fits(run, wanted):
                reasons[name] = absent("language", f"{language(run)}, not {wanted}")
            elif way not in self.grid.rows[name].ways:
                reasons[name] = absent("nothing to train")
        return reasons

    def _asked(self, name: str, run: RunDirectory) -> dict[str, Any]:
        study, spec = self.sections[name]
        return {
            "kind": study.kind,
            "version": study.version,
            "run": run.meta.get("files"),
            "files": self.fingerprints[name],
            "spec": {
                key: value
                for key, value in spec.model_dump(mode="json", exclude={"language"}).items()
                if key not in ("encoding", "separator") or value != "auto"
            },
            "seeds": list(self.config.seeds) if study.seeded else [],
        }


ABSENT = {
    "language": "the run was trained on text of another language: {detail}",
    "nothing to train": "nothing in this model can be trained by gradients, so there is no training as a whole",
    "no probability": "this model gives texts no probability",
    "not done": "not done yet: the same command goes on",
}
"""Why a figure is not there, by code."""


def absent(code: str, detail: str = "") -> dict[str, str]:
    """A reason as the document has it."""
    return {"code": code, "detail": detail, "text": ABSENT[code].format(detail=detail)}


def language(run: RunDirectory) -> str | None:
    """The language that a run was trained on; None where nobody knows, as of imported models."""
    found = (run.meta.get("corpus") or {}).get("language")
    return None if found is None else str(found)


def fits(run: RunDirectory, wanted: str) -> bool:
    """Whether a run is used for texts of a language."""
    return wanted == ANY or language(run) in (None, wanted)


def open_comparison(
    folders: Sequence[Path | str],
    file: Path,
    cells: Path,
    threads: int | None = None,
    reading: Mapping[str, str] | None = None,
) -> Comparison:
    """Read the runs and the TOML file.

    Args:
        folders: the runs.
        file: see `CompareConfig`.
        cells: where finished pieces are kept.
        threads: in place of the file's.
        reading: encoding and separator of the sections that do not say their own.
    Raises:  ConfigError: an unknown key (the nearest is suggested), nothing to compare.
             RunError: no run, one that has no weights yet, or the same one twice.
    """
    config = CompareConfig.of(read_toml(file), file.name)
    if threads is not None:
        config = config.model_copy(update={"threads": threads})
    runs = {name: RunDirectory.open(path) for name, path in names_of([Path(f) for f in folders]).items()}
    for run in runs.values():
        if not run.meta.get("files"):
            raise RunError(
                "the run has no weights yet", where=run.path, fix="leave it out, or let it train on"
            )
    reading = dict(reading or {})
    tasks = {name: _task(name, {**reading, **values}, file.name) for name, values in config.tasks.items()}
    return Comparison(
        file,
        config,
        runs,
        _grid(config, runs, tasks, file.parent, cells),
        _sections(config, file, reading),
        Kept(cells),
        reading,
    )


def names_of(folders: Sequence[Path]) -> dict[str, Path]:
    """A name for every run: that of its folder, with as many of the folders above it as tell it from the others.

    Raises:  ConfigError: no run, or one that is given twice.

    Example:
        >>> list(names_of([Path("a/bert"), Path("b/bert"), Path("b/gpt")]))
        ['a/bert', 'b/bert', 'gpt']
    """
    whole = [Path(folder).resolve() for folder in folders]
    if not whole:
        raise ConfigError(
            "no run is named", fix="polyseme compare RUN RUN … --tasks FILE.toml -o REPORT.html"
        )
    if len(set(whole)) < len(whole):
        twice = next(path for path in whole if whole.count(path) > 1)
        raise ConfigError("the same run is given twice", got=twice, fix="name it once")
    names: dict[str, Path] = {}
    for folder, path in zip(folders, whole, strict=True):
        others = [other.parts for other in whole if other != path]
        length = next(
            n for n in range(1, len(path.parts) + 1) if path.parts[-n:] not in [o[-n:] for o in others]
        )
        name = replace_surrogates("/".join(part.strip("/") for part in path.parts[-length:]))
        while name in names:  # two that differ in what no writing can show
            name += "'"
        names[name] = Path(folder)
    return names


def _task(name: str, values: Mapping[str, Any], where: str) -> TaskSpec:
    spec = TaskSpec.of({"language": ANY, "ways": ("frozen",), **values}, f"{where} [tasks.{name}]")
    registry.tasks.load(spec.task)
    return spec


def _sections(config: CompareConfig, file: Path, reading: Mapping[str, str]) -> dict[str, tuple[Study, Spec]]:
    found: dict[str, tuple[Study, Spec]] = {}
    for name, values in config.probes.items():
        encoding = {key: value for key, value in reading.items() if key == "encoding"}
        spec = ProbeSpec.of({**encoding, **values}, f"{file.name} [probes.{name}]")
        ProbeConfig.of(spec.settings, f"{file.name} [probes.{name}] settings")
        found[f"probes.{name}"] = STUDIES["probe"], spec
    if config.senses is not None:
        found["senses"] = (
            STUDIES["senses"],
            SensesSpec.of({**reading, **config.senses}, f"{file.name} [senses]"),
        )
    if config.pairs is not None:
        found["pairs"] = STUDIES["pairs"], PairsSpec.of({**reading, **config.pairs}, f"{file.name} [pairs]")
    return found


def _grid(
    config: CompareConfig,
    runs: Mapping[str, RunDirectory],
    tasks: Mapping[str, TaskSpec],
    base: Path,
    cells: Path,
) -> Grid:
    """The tasks' part: a row a run, used for the tasks of its language in the ways that it can be."""
    settings = config.model_dump(include={"seeds", "examples", "dev_examples", "test_examples", "threads"})
    languages = {spec.language for spec in tasks.values()}
    rows = {}
    for name, run in runs.items():
        whole = any(spec.uses("whole") or spec.uses("whole-scratch") for spec in tasks.values())
        ways = WAYS if whole and learns(run) else tuple(way for way in WAYS if not way.startswith("whole"))
        mine = {one: str(run.path.resolve()) for one in languages if fits(run, one)}
        rows[name] = RowSpec(runs=mine, ways=ways)
    return Grid(GridConfig(rows={}, tasks={}, **settings), rows, tasks, [], base, cells)


def learns(run: RunDirectory) -> bool:
    """Whether gradients can train something in a run's encoder: not in 1-of-N and word classes."""
    from polyseme.text.tokenizers import Tokenizer
    from polyseme.train.building import build_encoder
    from polyseme.train.recipe import from_dict

    tokenizer = Tokenizer.from_file(run.path / "tokenizer.json")
    return any(p.requires_grad for p in build_encoder(from_dict(run.meta["recipe"]), tokenizer).parameters())
