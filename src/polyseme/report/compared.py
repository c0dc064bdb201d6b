"""What `compare` gives: runs beside each other, done as far as it is, as a page, a table of Markdown or rows."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from polyseme.core.files import write_atomic
from polyseme.core.paths import PathLike, names_of, path_of
from polyseme.core.reporter import Reporter
from polyseme.core.result import Result
from polyseme.errors import ConfigError
from polyseme.infer.inputs import at_least_one
from polyseme.infer.loaded import path_of_run
from polyseme.report.compare import compare_document, compare_page
from polyseme.report.compare_table import table_parts
from polyseme.report.markdown import markdown
from polyseme.study import Run, reading, several
from polyseme.study.compare import Comparison, compare_runs, open_comparison

__all__ = ["Compared", "check_form", "compare", "compared", "write_compared"]


@dataclass(frozen=True, eq=False, repr=False)
class Compared(Result):
    """What `compare` has done.

    Args:
        comparison: what is compared, and what is done of it.
        missing: pieces that are not done yet, or that another process is at.
        command, machine: that the page tells, see `compare_document`.
        notes: what a person should know.
    """

    kind = "compare"

    comparison: Comparison
    missing: int
    command: str
    machine: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """What `compare_document` gives."""
        return self._document

    @cached_property
    def _document(self) -> dict[str, Any]:
        return compare_document(self.comparison, self.command, self.machine)

    def headline(self) -> str:
        """The runs."""
        return (
            f"{', '.join(self.comparison.runs or self.comparison.grid.rows)} by {self.comparison.file.name}"
        )

    def rows(self) -> list[dict[str, Any]]:
        """A row a task or study and run, with its main figure, and whether it is surely below the best."""
        document = self.document()
        return [
            {"of": one["name"], "way": one.get("way", ""), "run": run}
            | {name: row.get(name) for name in ("value", "low", "high", "n", "best", "below")}
            for one in [*document["tasks"], *document["studies"]]
            for run, row in one.get("rows", one.get("standings", {})).items()
        ]


def compare(
    runs: Run | Sequence[Run],
    tasks: PathLike,
    *,
    cells: PathLike | None = None,
    only_write: bool = False,
    processes: int = 1,
    threads: int | None = None,
    separator: str = "auto",
    encoding: str = "auto",
    reporter: Reporter | None = None,
) -> Compared:
    """Compare runs on tasks, probes, senses and minimal pairs, under one protocol.

    What is done is kept: the work may be stopped at any time, and the same call goes on.

    Args:
        runs: one or several; none where the file has [rows.NAME].
        tasks: the .toml file that says what is compared, see `CompareConfig`.
        cells: the folder of what is done; TASKS.cells beside the file when None.
        only_write: do no more, take what is done.
        processes: so many share the work; each loads its own models.
        threads: of each; None = as the file says.
        separator, encoding: of the sections that do not say their own.
        reporter: told how far it is.
    Raises:  ConfigError, RunError, CorpusError: see `open_comparison`.
    """
    at_least_one("processes", processes)
    if threads is not None:
        at_least_one("threads", threads)
    folders = names_of(map(path_of_run, several(runs)), "a run")
    file = path_of(tasks)
    kept = file.with_name(file.name + ".cells") if cells is None else path_of(cells)
    asked = reading(None, separator, encoding).recorded
    comparison = open_comparison(folders, file, kept, threads, asked)
    typed = [
        "polyseme",
        "compare",
        *folders,
        "--tasks",
        str(file),
        "-o",
        "report.html",
        "--cells",
        str(kept),
    ]
    return compared(comparison, shlex.join(typed), reporter, processes, only_write)


def compared(
    comparison: Comparison,
    command: str,
    reporter: Reporter | None = None,
    processes: int = 1,
    only_write: bool = False,
    machine: Mapping[str, Any] | None = None,
) -> Compared:
    """Do what is left of a comparison, and give what is done of it.

    Args:
        command, machine: see `compare_document`.
        reporter, processes: see `compare_runs`.
        only_write: do no more.
    """
    missing = comparison.left() if only_write else compare_runs(comparison, reporter, processes)
    waiting = f"{missing} pieces are not done yet, or another process is at them: the same command goes on"
    return Compared(comparison, missing, command, machine or {}, (waiting,) if missing else ())


def check_form(comparison: Comparison, output: Path, figures: Path | None = None) -> None:
    """Refuse a page, or its figures, of what makes a table alone.

    Raises:  ConfigError: the file has rows or claims, and the output is no table.
    """
    makes_table = comparison.config.rows or comparison.config.claims
    if makes_table and (output.suffix.lower() != ".md" or figures is not None):
        folders = [str(run.path) for run in comparison.runs.values()]
        table = ["polyseme", "compare", *folders, "--tasks", str(comparison.file)]
        raise ConfigError(
            "[rows] and [[claims]] make a table, not a page",
            got=output if figures is None else f"--figures {figures}",
            where=comparison.file,
            fix=shlex.join([*table, "-o", str(output.with_suffix(".md"))]),
        )


def write_compared(result: Compared, output: Path, lang: str = "en") -> tuple[list[Path], list[str]]:
    """Write the page, or one table of Markdown where the name ends in .md.

    Raises:  ConfigError: see `check_form`.  StorageError: the disk refuses.
    """
    check_form(result.comparison, output)
    if output.suffix.lower() == ".md":
        write_atomic(output, markdown(table_parts(result.comparison)).encode("utf-8", "backslashreplace"))
    else:
        compare_page(result.document(), lang).write(output)
    return [output, result.comparison.cache.folder], []
