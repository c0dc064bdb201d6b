"""Looking inside trained models, with intervals.

Every study is one function: a run (its path, or in memory) and texts or files go in, with the options of the verb of
its name, and a `Result` comes out, which report/ shows.

    senses(runs, uses)  probe(run, files)  pairs(run, files)  attention(run, text)  cka(runs, texts)
    similarity(run, files)  analogy(run, file)  evaluate(run, file)  read_labelled(task, file)
    uses(run, word)  cosines(runs, words)  holes(run, texts)  tree(run, words)  directions(run, text)

and above them report.compared.compare(runs, tasks) and report.run_summary.inspect(runs).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from polyseme.errors import ConfigError
from polyseme.infer.inputs import check_loaded
from polyseme.infer.loaded import Loaded, path_of_run
from polyseme.infer.model import load
from polyseme.text.encodings import check_name
from polyseme.text.labelled.dialects import read_separator
from polyseme.text.labelled.opening import ReadOptions
from polyseme.train.run import RunDirectory

__all__ = ["Run", "names_of_runs", "opened", "reading", "several"]

Run: TypeAlias = Loaded | RunDirectory | Path | str
"""A run in memory, what `pretrain` gave, or the path of one."""


def opened(run: Run) -> Loaded:
    """The run in memory.

    Raises:  RunError: there is no run.  CheckpointError: its files are damaged.  InputError: neither a run nor a path.
    """
    if isinstance(run, RunDirectory | Path | str):
        return load(path_of_run(run))
    check_loaded(run)
    return run


def several(runs: Run | Sequence[Run]) -> list[Run]:
    """A list of runs, from a list or from a single run."""
    return [runs] if isinstance(runs, str) or not isinstance(runs, Iterable) else list(runs)


def names_of_runs(paths: Sequence[str]) -> list[str]:
    """Short names of runs: their folders, or their paths where two folders are called the same."""
    short = [Path(path).name for path in paths]
    names = short if len(set(short)) == len(short) else list(paths)
    return names if len(set(names)) == len(names) else [f"{n} ({i})" for i, n in enumerate(names, 1)]


def reading(
    columns: Mapping[str, str] | None = None, separator: str = "auto", encoding: str = "auto"
) -> ReadOptions:
    """How to read files, from the values of the verbs' --columns, --separator and --encoding.

    Raises:  ConfigError: no such encoding, or no separator, or columns that are no dict.
    """
    if columns is not None and not isinstance(columns, Mapping):
        raise ConfigError(
            "columns must be a dict", got=repr(columns), expected='{"text": "a column of the file"}'
        )
    if encoding != "auto":
        check_name(encoding)
    return ReadOptions(dict(columns or {}), encoding, read_separator(separator))
