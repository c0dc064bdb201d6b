"""Runs adapted to tasks under one protocol: every cell is one adaptation, judged on the same test examples.

    rows (models, pretrained on the same text for the same minutes) × tasks × ways × seeds

A way is how a run is used: "frozen" (a learned mix of its layers and a small head) or "whole" (everything trained), and
the same from random weights: "frozen-scratch", "whole-scratch". Cells are done one after another and kept as files, so
that the work may be stopped at any time and goes on with the same command; two processes with the same command share
it. The predictions for the test examples are kept, so that figures and intervals are computed when the table is made.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field

from polyseme.core import registry
from polyseme.core.config import Config, suggest
from polyseme.core.reporter import Reporter
from polyseme.errors import ConfigError
from polyseme.infer.model import load
from polyseme.infer.predict import Predictor, gold_records
from polyseme.study.results import Piece, ResultCache, file_name
from polyseme.tasks.figures import chance_of
from polyseme.tasks.metrics.measure import Resampled
from polyseme.text.labelled.dialects import read_separator
from polyseme.text.labelled.opening import ReadOptions, existing, fingerprint
from polyseme.text.labelled.records import Problems
from polyseme.train.examples import subset_of
from polyseme.train.finetune import finetune
from polyseme.train.request import FinetuneRequest
from polyseme.train.run import RunDirectory
from polyseme.train.signals import goes_on_by

__all__ = [
    "SCRATCH",
    "WAYS",
    "Cell",
    "ClaimSpec",
    "Grid",
    "Protocol",
    "RowSpec",
    "TaskSpec",
    "Way",
    "check_grid",
    "settings_of",
]

Way = Literal["frozen", "whole", "frozen-scratch", "whole-scratch"]
WAYS: tuple[Way, ...] = ("frozen", "whole", "frozen-scratch", "whole-scratch")
SCRATCH = "scratch"


class TaskSpec(Config):
    """[tasks.NAME] of a comparison's file.

    Args:
        task: registry key.
        language: which run of a row is used.
        train, dev, test: labelled files; without dev a tenth of train is held out.
        columns: our names of columns to the files'.
        encoding, separator: of the files; "auto" = as they show.
        max_length, settings: as for `finetune`; settings = {"qa.overlap" = 64, whole = {…}, onehot = {…}} are by way
            and by model, too.
        epochs: as for `finetune`, by way where it is a table {frozen = …, whole = …}.
        metric: the figure that is shown; None = the task's main one.
        ways: of a row's ways only these; None = all of them.
        examples, dev_examples, test_examples: the largest numbers of examples; None = the comparison's.
    """

    task: str
    language: str = "en"
    train: str
    dev: str | None = None
    test: str
    columns: dict[str, str] = Field(default_factory=dict)
    encoding: str = "auto"
    separator: str = "auto"
    max_length: int | None = None
    epochs: float | dict[str, float] | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    metric: str | None = None
    ways: tuple[Way, ...] | None = None
    examples: int | None = None
    dev_examples: int | None = None
    test_examples: int | None = None

    @property
    def reading(self) -> ReadOptions:
        """How the files are read."""
        return ReadOptions(self.columns, self.encoding, read_separator(self.separator))

    def uses(self, way: Way) -> bool:
        """Whether rows are used in a way."""
        return self.ways is None or way in self.ways

    def epochs_of(self, way: Way) -> float | None:
        """Passes over the training examples, for a way."""
        if isinstance(self.epochs, dict):
            return self.epochs.get(way.removesuffix("-scratch"))
        return self.epochs


def settings_of(settings: Mapping[str, Any], way: str, model: str) -> dict[str, Any]:
    """Those of a task's settings that a way and a model have."""
    chosen = {key: value for key, value in settings.items() if not isinstance(value, dict)}
    for name in (way.removesuffix("-scratch"), model):
        own = settings.get(name)
        chosen |= own if isinstance(own, dict) else {}
    return chosen


class RowSpec(Config):
    """[rows.NAME]: the run for each language, and the ways in which it is used.

    Args:
        runs: run folders by language.
        ways: how it is used.
        scratch: the row whose random starts are this one's, too (ernie is bert with other lessons); None = its own.
        settings: as for `finetune`, by way: {all = {…}, whole = {"train.learning_rate" = 5e-4}}.
        tasks: only these; None = all.
    """

    runs: dict[str, str]
    ways: tuple[Way, ...] = ("frozen",)
    scratch: str | None = None
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict)
    tasks: list[str] | None = None


class ClaimSpec(Config):
    """[[claims]]: a sentence, and the two sides whose difference it is about.

    Args:
        text: the sentence.
        first: "ROW/WAY"; of several, the best on dev counts.
        second: the same, or ["scratch"]: the random start of the one that counts on the first side.
        tasks: only these; None = all.
    """

    text: str
    first: list[str] = Field(min_length=1)
    second: list[str] = Field(min_length=1)
    tasks: list[str] | None = None


class Protocol(Config):
    """What all cells have in common.

    Args:
        seeds: of heads, order and dropout.
        examples, dev_examples, test_examples: the largest numbers of examples of each task's files.
        threads: of one piece of work.
    """

    seeds: tuple[int, ...] = Field((1, 2, 3), min_length=1)
    examples: int = Field(4000, ge=1)
    dev_examples: int = Field(1000, ge=1)
    test_examples: int = Field(3000, ge=1)
    threads: int = Field(1, ge=1)


@dataclass(frozen=True, order=True)
class Cell:
    """One adaptation.

    Args:
        seed, task, row, way: which.
    """

    seed: int
    task: str
    row: str
    way: Way

    @property
    def name(self) -> str:
        """Its file's name."""
        return file_name(f"{self.task}.{self.row}.{self.way}.{self.seed}")


class Grid:
    """A grid's specification and what is done of it.

    Args:
        config, rows, tasks, claims: what the TOML file says.
        base: the folder of the TOML file; paths are relative to it.
        cache: where results are kept.
    """

    def __init__(
        self,
        config: Protocol,
        rows: Mapping[str, RowSpec],
        tasks: Mapping[str, TaskSpec],
        claims: Sequence[ClaimSpec],
        base: Path,
        cache: ResultCache,
    ) -> None:
        self.config, self.rows, self.tasks, self.claims = config, rows, tasks, claims
        self.base, self.cache = base, cache
        self._records: dict[str, list[Any]] = {}
        self._fingerprints: dict[Path, str] = {}

    def cells(self) -> list[Cell]:
        """All cells: a seed after another, so that an unfinished grid is whole for the first seeds."""
        return [
            Cell(seed, task, row, way)
            for seed in self.config.seeds
            for task in self.tasks
            for row, spec in self.rows.items()
            for way in spec.ways
            if self.tasks[task].language in spec.runs and self.tasks[task].uses(way)
            if spec.tasks is None or task in spec.tasks
        ]

    def has(self, way: Way) -> bool:
        """Whether some row is used in a way, for some task."""
        return any(way in row.ways for row in self.rows.values()) and any(
            task.uses(way) for task in self.tasks.values()
        )

    def scratch(self, row: str, way: Way) -> tuple[str, Way] | None:
        """Row and way of the random start that a row is compared with; None where the grid has none."""
        other = self.rows[row].scratch or row
        random: Way = "frozen-scratch" if way == "frozen" else "whole-scratch"
        exists = not way.endswith("scratch") and other in self.rows and random in self.rows[other].ways
        return (other, random) if exists else None

    def result(self, cell: Cell) -> dict[str, Any] | None:
        """The result of a cell; None if it has not been made with the present settings."""
        return self.cache.get(self._asked(cell), cell.name)

    def pieces(self) -> list[Piece]:
        """The work of all cells."""
        return [
            Piece(self._asked(cell), cell.name, partial(_done, self, cell), cell.name)
            for cell in self.cells()
        ]

    def measure(self, cell: Cell) -> Resampled | None:
        """The cell's figure on the test examples, ready for resampling.

        Raises:  ConfigError: the task has no such figure.
        """
        result = self.result(cell)
        if result is None:
            return None
        spec, task = self.tasks[cell.task], self._task(cell, result)
        measures = task.measures(self.records(cell.task), [_expanded(p) for p in result["predictions"]])
        name = spec.metric or next(iter(measures))
        if name not in measures:
            where = f"[tasks.{cell.task}] metric"
            raise ConfigError("no such figure", got=name, where=where, fix=suggest(name, measures))
        measure: Resampled = measures[name]
        return measure

    def _task(self, cell: Cell, result: Mapping[str, Any]) -> Any:
        entry = registry.tasks.load(self.tasks[cell.task].task)
        return entry.build(entry.config.of(result["config"], cell.name))

    def chance(self, cell: Cell) -> float | None:
        """The cell's figure without any knowledge of the text; None if the cell is not done, or if it is not known."""
        result, measure = self.result(cell), self.measure(cell)
        if result is None or measure is None:
            return None
        return chance_of(self._task(cell, result), self.records(cell.task), measure.name)

    def records(self, name: str) -> list[Any]:
        """The test examples of a task."""
        if name not in self._records:
            spec = self.tasks[name]
            entry = registry.tasks.load(spec.task)
            config = entry.config.of(
                {k.partition(".")[2]: v for k, v in spec.settings.items() if k.startswith(f"{spec.task}.")},
                name,
            )
            path = self.path(spec.test)
            all_records = gold_records(entry.build.read(path, config, spec.reading, Problems()), path)
            self._records[name] = subset_of(all_records, spec.test_examples or self.config.test_examples)
        return self._records[name]

    def request(self, cell: Cell) -> FinetuneRequest:
        """What `finetune` is asked for in a cell."""
        spec, row = self.tasks[cell.task], self.rows[cell.row]
        run = self.path(row.runs[spec.language])
        return FinetuneRequest(
            task=spec.task,
            run=run,
            train=self.path(spec.train),
            dev=None if spec.dev is None else self.path(spec.dev),
            output=self.cache.folder / "work" / cell.name,
            feature_based=cell.way.startswith("frozen"),
            from_scratch=cell.way.endswith("scratch"),
            epochs=spec.epochs_of(cell.way),
            max_length=spec.max_length,
            examples=spec.examples or self.config.examples,
            dev_examples=spec.dev_examples or self.config.dev_examples,
            settings={
                **settings_of(spec.settings, cell.way, RunDirectory.open(run).meta["model"]),
                **row.settings.get("all", {}),
                **row.settings.get(cell.way.removesuffix("-scratch"), {}),
            },
            columns=spec.columns,
            encoding=spec.encoding,
            separator=spec.reading.separator,
            seed=cell.seed,
            threads=self.config.threads,
        )

    def path(self, name: str) -> Path:
        """A path of the file, relative to it."""
        return self.base / name

    def _fingerprint(self, name: str) -> str:
        """Hash of a file, read once."""
        path = self.path(name)
        if path not in self._fingerprints:
            self._fingerprints[path] = fingerprint(path)
        return self._fingerprints[path]

    def _asked(self, cell: Cell) -> dict[str, Any]:
        """Everything that a cell depends on; a kept result counts only if this is the same."""
        request, spec = self.request(cell), self.tasks[cell.task]
        return {
            "run": RunDirectory.open(request.run).meta.get("files"),
            "files": [self._fingerprint(p) if p else None for p in (spec.train, spec.dev, spec.test)],
            "task": [request.task, request.columns, request.settings, request.max_length, request.epochs],
            "way": cell.way,
            **request.reading.recorded,
            "examples": [
                request.examples,
                request.dev_examples,
                spec.test_examples or self.config.test_examples,
            ],
        }


def check_grid(grid: Grid, file: str) -> None:
    """Check that rows and claims name existing things.

    Raises:  ConfigError: a row or a way that is not there.  RunError: a run that is not there.
             CorpusError: a labelled file that is not there.
    """
    for name, spec in grid.rows.items():
        if spec.scratch is not None and spec.scratch not in grid.rows:
            raise ConfigError(
                "no such row",
                got=spec.scratch,
                where=f"{file} [rows.{name}] scratch",
                fix=suggest(spec.scratch, grid.rows),
            )
        for task in spec.tasks or ():
            if task not in grid.tasks:
                where = f"{file} [rows.{name}] tasks"
                raise ConfigError("no such task", got=task, where=where, fix=suggest(task, grid.tasks))
    known_sides = [f"{name}/{way}" for name, spec in grid.rows.items() for way in spec.ways]
    for claim in grid.claims:
        against_scratch = claim.second == [SCRATCH]
        for side in claim.first if against_scratch else (*claim.first, *claim.second):
            row, _, way = side.partition("/")
            if side not in known_sides:
                raise ConfigError(
                    "a claim about a row or way that is not there",
                    got=side,
                    expected=", ".join(known_sides),
                    where=file,
                )
            if against_scratch and grid.scratch(row, way) is None:  # type: ignore[arg-type]
                raise ConfigError(
                    "a claim about a random start that is not there",
                    got=side,
                    expected=f"a row that has the way {way.removesuffix('-scratch')}-scratch, too",
                    where=file,
                )
    for run in dict.fromkeys(grid.request(cell).run for cell in grid.cells()):
        RunDirectory.open(run)
    known = ("frozen", "whole", *registry.models.names())
    for name, of_task in grid.tasks.items():
        for key, value in of_task.settings.items():
            if isinstance(value, dict) and key not in known:
                where = f"{file} [tasks.{name}] settings"
                raise ConfigError("no such way or model", got=key, where=where, fix=suggest(key, known))
        for path in filter(None, (of_task.train, of_task.dev, of_task.test)):
            existing(grid.path(path))


def _done(grid: Grid, cell: Cell, reporter: Reporter) -> dict[str, Any]:
    """Train and judge one cell."""
    request = grid.request(cell)
    shutil.rmtree(request.output, ignore_errors=True)
    try:
        with goes_on_by("the same command goes on", grid.cache.folder):
            run = finetune(request)
        torch.set_num_threads(grid.config.threads)
        predictor = Predictor(load(run.path))
        predictions = list(predictor.predict(grid.records(cell.task)))
        results = run.meta["results"]
        return {
            "cell": cell.name,
            "dev": results["dev"],
            "mix": results.get("mix"),
            "steps": results["steps"],
            "seconds": results["seconds"],
            "parameters": run.meta["parameters"],
            "trained_parameters": run.meta["trained_parameters"],
            "examples": run.meta["adapted"]["train"]["examples"],
            "config": run.meta["recipe"][request.task],
            "predictions": [_compact(p) for p in predictions],
        }
    finally:
        shutil.rmtree(request.output, ignore_errors=True)


def _compact(prediction: Mapping[str, Any]) -> Any:
    """The part of a prediction that figures need."""
    if "tokens" in prediction:
        return {"tags": [token["tag"] for token in prediction["tokens"]]}
    return {k: prediction[k] for k in ("label", "labels", "value", "answer") if k in prediction}


def _expanded(compact: Mapping[str, Any]) -> dict[str, Any]:
    if "tags" in compact:
        return {"tokens": [{"tag": tag} for tag in compact["tags"]]}
    return dict(compact)
