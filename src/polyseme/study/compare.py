"""Compare any runs on the tasks, probes, senses and pairs of one file, under one protocol.

    RUN...  ×  [tasks.NAME]   every run adapted with every seed, judged on the same test examples   study/grid.py
            ×  [probes.NAME]  what its layers know                                                 study/probe.py
            ×  [senses]       whether it tells a word's senses apart                               study/senses.py
            ×  [pairs]        which of two sentences it finds more probable                        study/pairs.py

Every result is a file whose name depends on everything that the result depends on. So work that was stopped goes on, a
run that was trained again is measured again, and several processes share the work. If a run cannot do something, the
reason is kept in place of the result.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from polyseme.core import registry
from polyseme.core.config import read_toml
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.errors import ConfigError, PolysemeError, RunError
from polyseme.infer.model import load
from polyseme.study.grid import WAYS, ClaimSpec, Grid, Protocol, RowSpec, TaskSpec, check_grid
from polyseme.study.probing.targets import ProbeConfig
from polyseme.study.results import Piece, ResultCache
from polyseme.study.sections import ANY, STUDIES, PairsSpec, ProbeSpec, SensesSpec, Study
from polyseme.study.standings import STUDY_STANDINGS, standings
from polyseme.text.clean import replace_surrogates
from polyseme.train.run import RunDirectory

__all__ = ["ABSENT", "CompareConfig", "Comparison", "compare_runs", "names_of", "open_comparison"]


class CompareConfig(Protocol):
    """The TOML file of a comparison; every section may be left out, paths are relative to the file.

    Args:
        tasks, probes: by name.
        senses, pairs: one of each.
        rows: by name, in place of runs: see `RowSpec`; then there are only tasks.
        claims: see `ClaimSpec`.
    """

    tasks: dict[str, dict[str, Any]] = Field(default_factory=dict)
    probes: dict[str, dict[str, Any]] = Field(default_factory=dict)
    senses: dict[str, Any] | None = None
    pairs: dict[str, Any] | None = None
    rows: dict[str, dict[str, Any]] = Field(default_factory=dict)
    claims: list[dict[str, Any]] = Field(default_factory=list)


Spec = ProbeSpec | SensesSpec | PairsSpec


@dataclass(frozen=True, eq=False)
class Comparison:
    """A specification and what is done of it.

    Args:
        file: the TOML file.
        config: what it says.
        runs: by the rows' names, in order.
        grid: the tasks' part.
        sections: the others, by name: "probes.pos", "senses", "pairs".
        cache: where results are kept.
        reading: encoding and separator for the sections that name none.
    """

    file: Path
    config: CompareConfig
    runs: Mapping[str, RunDirectory]
    grid: Grid
    sections: Mapping[str, tuple[Study, Spec]]
    cache: ResultCache
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
            Piece(self._asked(name, run), f"{name} of {row}", partial(_done, self, name, row))
            for name, (_, spec) in self.sections.items()
            for row, run in self.runs.items()
            if fits(run, spec.language)
        ]

    def left(self) -> int:
        """The number of cells and pieces that are not done yet."""
        pieces = [*self.grid.pieces(), *self.pieces()]
        return sum(self.cache.get(piece.asked, piece.name) is None for piece in pieces)

    def document(self) -> dict[str, Any]:
        """All results, JSON-able: {"settings", "runs", "tasks", "studies"}.

        runs: {name: {"path", "model", "language"}}.  tasks: see `standings.standings`, one a task and way.
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
                if spec.uses(way) and (not self.config.rows or self.grid.has(way))
            ],
            "studies": [self.study(name) for name in self.sections],
        }

    def study(self, name: str) -> dict[str, Any]:
        """The document's part of one section beside the tasks."""
        study, spec = self.sections[name]
        part: dict[str, Any] = {"documents": {}, "seconds": {}, "absent": {}}
        for row, run in self.runs.items():
            if not fits(run, spec.language):
                part["absent"][row] = absent("language", f"{language(run)}, not {spec.language}")
                continue
            piece = self.cache.get(self._asked(name, run))
            if piece is None:
                part["absent"][row] = absent("not done")
            elif piece["found"] is None:
                part["absent"][row] = absent(piece["refused"])
            else:
                part["documents"][row] = piece["found"]
                part["seconds"][row] = piece["seconds"]
        part["standings"] = STUDY_STANDINGS[study.kind](part["documents"])
        return {"name": name, "kind": study.kind, "spec": spec.model_dump(mode="json"), **part}

    def _why_not(self, task: str, way: str) -> dict[str, dict[str, str]]:
        """The rows that are not used for a task in a way, and the reasons."""
        wanted = self.grid.tasks[task].language
        reasons = {}
        for name, row in self.grid.rows.items():
            run = self.runs.get(name)
            if wanted not in row.runs:
                reasons[name] = (
                    absent("language", f"{language(run)}, not {wanted}") if run else absent("no run")
                )
            elif way not in row.ways:
                reasons[name] = absent("nothing to train" if run else "not asked")
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
    "no run": "the row has no run for texts of this language",
    "not asked": "the row is not used in this way",
    "no probability": "this model gives texts no probability",
    "not done": "not done yet: the same command goes on",
}
"""Why a figure is not there, by code."""


def absent(code: str, detail: str = "") -> dict[str, str]:
    """A reason as the document has it."""
    return {"code": code, "detail": detail, "text": ABSENT[code].format(detail=detail)}


def language(run: RunDirectory) -> str | None:
    """The language that a run was trained on; None if it is not known, as for imported models."""
    code = (run.meta.get("corpus") or {}).get("language")
    return None if code is None else str(code)


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
        reading: encoding and separator for the sections that name none.
    Raises:  ConfigError: an unknown key (the nearest is suggested), nothing to compare, a row or way that is not there.
             CorpusError: a labelled file that is not there.
             RunError: no run, one that has no weights yet, or the same one twice.
    """
    config = CompareConfig.of(read_toml(file), file.name)
    if threads is not None:
        config = config.model_copy(update={"threads": threads})
    reading = dict(reading or {})
    usual = {} if config.rows else {"language": ANY, "ways": ("frozen",)}
    tasks = {
        name: TaskSpec.of({**usual, **reading, **values}, f"{file.name} [tasks.{name}]")
        for name, values in config.tasks.items()
    }
    for spec in tasks.values():
        registry.tasks.load(spec.task)
    if config.rows:
        _only_rows(config, folders, file)
        runs: dict[str, RunDirectory] = {}
        rows = {
            name: RowSpec.of(values, f"{file.name} [rows.{name}]") for name, values in config.rows.items()
        }
    else:
        runs = {name: RunDirectory.open(path) for name, path in names_of([Path(f) for f in folders]).items()}
        for run in runs.values():
            if not run.meta.get("files"):
                raise RunError(
                    "the run has no weights yet", where=run.path, fix="leave it out, or let it train on"
                )
        rows = _rows(runs, tasks)
    claims = [ClaimSpec.of(values, f"{file.name} [[claims]]") for values in config.claims]
    cache = ResultCache(cells)
    grid = Grid(config, rows, tasks, claims, file.parent, cache)
    check_grid(grid, file.name)
    return Comparison(file, config, runs, grid, _sections(config, file, reading), cache, reading)


def _only_rows(config: CompareConfig, folders: Sequence[Path | str], file: Path) -> None:
    """Rows in the file replace runs named in the command, and are used for tasks only."""
    if folders:
        raise ConfigError(
            "the file has [rows], and runs are named, too",
            got=", ".join(map(str, folders)),
            where=file,
            fix="leave the runs out of the command, or [rows] out of the file",
        )
    if config.probes or config.senses is not None or config.pairs is not None:
        raise ConfigError(
            "[rows] are for tasks",
            got="probes, senses or pairs beside them",
            where=file,
            fix="leave [rows] out of the file and name the runs in the command",
        )


def names_of(folders: Sequence[Path]) -> dict[str, Path]:
    """A name for every run: its folder's name, with as many parent folders as are needed to make it unique.

    Raises:  ConfigError: no run, or one that is given twice.

    Example:
        >>> list(names_of([Path("a/bert"), Path("b/bert"), Path("b/gpt")]))
        ['a/bert', 'b/bert', 'gpt']
    """
    resolved = [Path(folder).resolve() for folder in folders]
    if not resolved:
        raise ConfigError(
            "no run is named", fix="polyseme compare RUN RUN … --tasks FILE.toml -o REPORT.html"
        )
    if len(set(resolved)) < len(resolved):
        twice = next(path for path in resolved if resolved.count(path) > 1)
        raise ConfigError("the same run is given twice", got=twice, fix="name it once")
    names: dict[str, Path] = {}
    for folder, path in zip(folders, resolved, strict=True):
        other_parts = [other.parts for other in resolved if other != path]
        length = next(
            n for n in range(1, len(path.parts) + 1) if path.parts[-n:] not in [o[-n:] for o in other_parts]
        )
        name = replace_surrogates("/".join(part.strip("/") for part in path.parts[-length:]))
        while name in names:  # two that differ in what no writing can show
            name += "'"
        names[name] = Path(folder)
    return names


def _sections(config: CompareConfig, file: Path, reading: Mapping[str, str]) -> dict[str, tuple[Study, Spec]]:
    sections: dict[str, tuple[Study, Spec]] = {}
    for name, values in config.probes.items():
        encoding = {key: value for key, value in reading.items() if key == "encoding"}
        spec = ProbeSpec.of({**encoding, **values}, f"{file.name} [probes.{name}]")
        ProbeConfig.of(spec.settings, f"{file.name} [probes.{name}] settings")
        sections[f"probes.{name}"] = STUDIES["probe"], spec
    if config.senses is not None:
        sections["senses"] = (
            STUDIES["senses"],
            SensesSpec.of({**reading, **config.senses}, f"{file.name} [senses]"),
        )
    if config.pairs is not None:
        pairs = PairsSpec.of({**reading, **config.pairs}, f"{file.name} [pairs]")
        sections["pairs"] = STUDIES["pairs"], pairs
    return sections


def _rows(runs: Mapping[str, RunDirectory], tasks: Mapping[str, TaskSpec]) -> dict[str, RowSpec]:
    """A row a run, used for the tasks of its language in the ways that it can be."""
    languages = {spec.language for spec in tasks.values()}
    rows = {}
    for name, run in runs.items():
        any_whole = any(spec.uses("whole") or spec.uses("whole-scratch") for spec in tasks.values())
        frozen = tuple(way for way in WAYS if not way.startswith("whole"))
        ways = WAYS if any_whole and learns(run) else frozen
        mine = {language: str(run.path.resolve()) for language in languages if fits(run, language)}
        rows[name] = RowSpec(runs=mine, ways=ways)
    return rows


def learns(run: RunDirectory) -> bool:
    """Whether gradients can train something in a run's encoder: not in 1-of-N and word classes."""
    from polyseme.text.tokenizers import Tokenizer
    from polyseme.train.build import build_encoder
    from polyseme.train.recipe import from_dict

    tokenizer = Tokenizer.from_file(run.path / "tokenizer.json")
    return any(p.requires_grad for p in build_encoder(from_dict(run.meta["recipe"]), tokenizer).parameters())


def compare_runs(comparison: Comparison, reporter: Reporter | None = None, processes: int = 1) -> int:
    """Make the results that are missing.

    Args:
        comparison: what to do.
        reporter: receives the progress.
        processes: how many share the work; each loads its own models.
    Returns the number of pieces that another command is working on; the rest is done.
    Raises:  the errors of `finetune` and of the studies, if files are wrong; finished results stay. If a run cannot do
             something, the reason is kept.
    """
    reporter = reporter or NullReporter()
    with _helpers(comparison, min(processes, comparison.left()) - 1) as helpers:
        elsewhere = _work(comparison, reporter)
        for helper in helpers:
            helper.join()
    return _work(comparison, reporter) if elsewhere else 0


def _work(comparison: Comparison, reporter: Reporter) -> int:
    cache = comparison.cache
    return cache.fill(comparison.grid.pieces(), reporter) + cache.fill(comparison.pieces(), reporter)


def _done(comparison: Comparison, section: str, row: str, reporter: Reporter) -> dict[str, Any]:
    """One study of one run: {"of", "found", "refused", "seconds"}."""
    torch.set_num_threads(comparison.config.threads)
    began = time.perf_counter()
    study, spec = comparison.sections[section]
    loaded = load(comparison.runs[row].path)
    refused = study.refuses(loaded)
    document = None
    if refused is None:
        base, seeds = comparison.file.parent, comparison.config.seeds
        document = study.make(loaded, spec, base, seeds, _Quiet(reporter))
    seconds = round(time.perf_counter() - began, 3)
    return {"of": [section, row], "found": document, "refused": refused, "seconds": seconds}


class _Quiet(NullReporter):
    """Passes stages and notes on, and stays open when a study is through with it."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter

    def stage(self, name: str, done: float, total: float | None, detail: str = "") -> None:
        self.reporter.stage(name, done, total, detail)

    def note(self, text: str) -> None:
        self.reporter.note(text)


@contextmanager
def _helpers(comparison: Comparison, n: int) -> Iterator[list[Any]]:
    """Processes that share the work; this process does what they leave."""
    context = multiprocessing.get_context("spawn")
    folders = [str(run.path) for run in comparison.runs.values()]
    arguments = (
        folders,
        comparison.file,
        comparison.cache.folder,
        comparison.config.threads,
        dict(comparison.reading),
    )
    helpers = [context.Process(target=_help, args=arguments, daemon=False) for _ in range(n)]
    for helper in helpers:
        helper.start()
    try:
        yield helpers
    except BaseException:
        for helper in helpers:
            helper.terminate()
        raise


def _help(folders: Sequence[str], file: Path, cells: Path, threads: int, reading: dict[str, str]) -> None:
    with suppress(PolysemeError, KeyboardInterrupt):  # who began does the piece again and says what is wrong
        _work(open_comparison(folders, file, cells, threads, reading), NullReporter())
