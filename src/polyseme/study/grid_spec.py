"""What a grid's TOML file says: seeds, rows, tasks and claims."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from polyseme.core.config import Config
from polyseme.text.labelled.dialects import read_separator
from polyseme.text.labelled.opening import ReadOptions

__all__ = ["SCRATCH", "WAYS", "ClaimSpec", "GridConfig", "RowSpec", "TaskSpec", "Way"]

Way = Literal["frozen", "whole", "frozen-scratch", "whole-scratch"]
WAYS: tuple[Way, ...] = ("frozen", "whole", "frozen-scratch", "whole-scratch")
SCRATCH = "scratch"


class TaskSpec(Config):
    """[tasks.NAME] of a grid's file.

    Args:
        task: registry key.
        language: which run of a row is used.
        train, dev, test: labelled files; without dev a tenth of train is held out.
        columns: our names of columns to the files'.
        encoding, separator: of the files; "auto" = as they show.
        max_length, settings: as for `finetune`; settings = {"qa.overlap" = 64, whole = {…}} are by way, too.
        epochs: as for `finetune`, by way where it is a table {frozen = …, whole = …}.
        metric: the figure that is shown; None = the task's main one.
        ways: of a row's ways only these; None = all of them.
        examples, dev_examples, test_examples: at most so many; None = the grid's.
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

    def settings_of(self, way: Way) -> dict[str, Any]:
        """Settings of recipes, for a way."""
        by_way = {name: self.settings.get(name) for name in ("frozen", "whole")}
        every = {k: v for k, v in self.settings.items() if not isinstance(by_way.get(k), dict)}
        mine = by_way[way.removesuffix("-scratch")]
        return every | (mine if isinstance(mine, dict) else {})


class RowSpec(Config):
    """[rows.NAME]: the run for each language, and the ways in which it is used.

    Args:
        runs: run folders by language.
        ways: how it is used.
        scratch: the row whose random starts are this one's, too (ernie is bert with other lessons); None = its own.
        settings: as for `finetune`, by way: {all = {…}, whole = {"train.learning_rate" = 5e-4}}.
    """

    runs: dict[str, str]
    ways: tuple[Way, ...] = ("frozen",)
    scratch: str | None = None
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict)


class ClaimSpec(Config):
    """[[claims]]: a sentence, and the two sides whose difference it is about.

    Args:
        text: the sentence.
        first: "ROW/WAY"; of several the best on dev counts.
        second: the same, or ["scratch"]: the random start of the one that counts on the first side.
        tasks: only these; None = all.
    """

    text: str
    first: list[str] = Field(min_length=1)
    second: list[str] = Field(min_length=1)
    tasks: list[str] | None = None


class GridConfig(Config):
    """A grid's TOML file.

    Args:
        seeds: of heads, order and dropout.
        examples, dev_examples, test_examples: of each file at most so many.
        threads: of one cell.
    """

    seeds: tuple[int, ...] = (1, 2, 3)
    examples: int = Field(4000, ge=1)
    dev_examples: int = Field(1000, ge=1)
    test_examples: int = Field(3000, ge=1)
    threads: int = Field(1, ge=1)
    rows: dict[str, dict[str, Any]]
    tasks: dict[str, dict[str, Any]]
    claims: list[dict[str, Any]] = Field(default_factory=list)
