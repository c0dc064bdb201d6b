"""What a probing study is asked: its tasks, and how its probes are made and learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from polyseme.core.config import Config, read_toml
from polyseme.errors import ConfigError
from polyseme.text.clean import replace_surrogates

__all__ = ["ProbeConfig", "ProbeTask", "read_probes", "tasks_of_files"]

Stored = Literal["float16", "float32"]


class ProbeTask(Config):
    """One task: [tasks.NAME] of a TOML file.

    Args:
        task: pos, dependencies, chunks, ner, relations, edges; "auto" = as the training file shows.
        train, dev, test: labelled files; what is absent is held out of train, a tenth of its texts each.
        column, columns, encoding: see `read_edges`.
        examples: at most so many texts of each file; None = as the study says.
    """

    task: str = "auto"
    train: str
    dev: str | None = None
    test: str | None = None
    column: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    encoding: str = "auto"
    examples: int | None = Field(None, ge=1)


class ProbeConfig(Config):
    """How probes are made and learned; the same for every task and every control.

    Args:
        projection: numbers of a token before spans are pooled.
        hidden: numbers of the classifier's hidden layer.
        dropout: of its hidden layer.
        batch_size: targets of an update.
        learning_rate: Adam's, at the start; it falls to 0 in a straight line.
        mix_learning_rate: that of the layer weights and their scale.
        updates: about so many; decides the epochs where they are not given.
        epochs: passes over the training targets; None = 3 … 50, by `updates`.
        patience: epochs without a better figure on dev before learning ends.
        seeds: probes of each kind; they differ in first weights, order and dropout.
        seed: of the first one.
        controls: also probe layer 0, a random encoder and random labels.
        cumulative: also probe layers 0 … l for every l.
        examples: at most so many texts of each file, drawn by chance but always the same ones; None = all.
        max_length: tokens of a text that are read; None = as many as the model can.
        cache_bytes: hidden states kept in memory; beyond, they go into a temporary file.
        stored: numbers in that file.
        resamples: draws of the intervals.
    """

    projection: int = Field(256, ge=1)
    hidden: int = Field(256, ge=1)
    dropout: float = Field(0.3, ge=0, lt=1)
    batch_size: int = Field(128, ge=1)
    learning_rate: float = Field(2e-3, gt=0)
    mix_learning_rate: float = Field(2e-2, gt=0)
    updates: int = Field(1500, ge=1)
    epochs: int | None = Field(None, ge=1)
    patience: int = Field(3, ge=1)
    seeds: int = Field(3, ge=1)
    seed: int = Field(1, ge=0)
    controls: bool = True
    cumulative: bool = True
    examples: int | None = Field(None, ge=1)
    max_length: int | None = Field(None, ge=1)
    cache_bytes: int = Field(1 << 30, ge=0)
    stored: Stored = "float16"
    resamples: int = Field(1000, ge=1)

    def epochs_of(self, targets: int) -> int:
        """Passes over so many training targets."""
        if self.epochs is not None:
            return self.epochs
        steps = -(-targets // self.batch_size)
        return max(3, min(50, -(-self.updates // max(1, steps))))


def read_probes(path: Path, changes: Mapping[str, Any]) -> tuple[dict[str, ProbeTask], ProbeConfig]:
    """A study as a TOML file: [tasks.NAME], and above them what `ProbeConfig` has. Its paths are relative to it.

    Args:
        changes: what is asked beside the file and counts more than it.
    Raises:  ConfigError: a missing file, an unknown key, or no task.
    """
    given = read_toml(path)
    tables = given.pop("tasks", {})
    if (
        not isinstance(tables, dict)
        or not tables
        or not all(isinstance(one, dict) for one in tables.values())
    ):
        raise ConfigError(
            "a study without tasks", where=path, expected='[tasks.NAME] with task = "pos", train = "FILE"'
        )
    tasks = {}
    for name, table in tables.items():
        files = {key: _beside(path, table[key]) for key in ("train", "dev", "test") if key in table}
        tasks[name] = ProbeTask.of({**table, **files}, f"{path}: tasks.{name}")
    return tasks, ProbeConfig.of({**given, **changes}, str(path))


def _beside(path: Path, file: Any) -> Any:
    return str(path.parent / file) if isinstance(file, str) else file


def tasks_of_files(
    files: Sequence[Path],
    task: str,
    dev: Path | None,
    test: Path | None,
    column: str | None,
    encoding: str = "auto",
) -> dict[str, ProbeTask]:
    """A task of each file, named as its file where there are several.

    Raises:  ConfigError: dev or test for several files.
    """
    if len(files) > 1 and (dev is not None or test is not None):
        raise ConfigError(
            "one --dev and --test for several files",
            got=f"{len(files)} files",
            fix="a TOML file with [tasks.NAME] train, dev and test",
        )
    tasks: dict[str, ProbeTask] = {}
    for file in files:
        name = replace_surrogates(file.stem) if len(files) > 1 or task == "auto" else task
        while name in tasks:
            name += "'"
        tasks[name] = ProbeTask(
            task=task,
            train=str(file),
            dev=None if dev is None else str(dev),
            test=None if test is None else str(test),
            column=column,
            encoding=encoding,
        )
    return tasks
