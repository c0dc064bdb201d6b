"""Read a labelled file as a task would, before training: its records, and the problems in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from polyseme.core import registry
from polyseme.core.paths import PathLike, path_of
from polyseme.core.result import Result
from polyseme.study import reading
from polyseme.text.labelled.opening import name_of
from polyseme.text.labelled.records import Problems

__all__ = ["LabelledFile", "read_labelled"]


@dataclass(frozen=True, eq=False, repr=False)
class LabelledFile(Result):
    """The records of a file.

    Args:
        task, file: what was read as what.
        records: in order: `TextRecord`, `TagRecord` or `QuestionRecord`.
        read: how the file was read: its form, rows read and left out.
        problems: the problems by kind: how many, and the first places.
        notes: the same in words.
    """

    kind = "labelled"

    task: str
    file: str
    records: list[Any]
    read: str
    problems: dict[str, Any]
    notes: list[str]

    def document(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return {
            "task": self.task,
            "file": self.file,
            "read": self.read,
            "records": self.rows(),
            "problems": self.problems,
        }

    def headline(self) -> str:
        """The file, and how it was read."""
        return f"{Path(self.file).name}, {self.read}"

    def rows(self) -> list[dict[str, Any]]:
        """A row a record."""
        return [asdict(record) for record in self.records]


def read_labelled(
    task: str,
    file: PathLike,
    *,
    columns: Mapping[str, str] | None = None,
    separator: str = "auto",
    encoding: str = "auto",
) -> LabelledFile:
    """Read a labelled file as `finetune` would.

    Args:
        task: classify, pair, tag or qa.
        file: of any of the forms that the guide lists.
        columns: our names of columns to the file's.
        separator, encoding: of the file; "auto" = as it shows.
    Raises:  ConfigError: no such task, or the columns cannot be told; CorpusError: no such file, or not worth reading.

    Example:
        read_labelled("classify", "reviews.csv", columns={"label": "stars"}).notes
    """
    entry, problems, path = registry.tasks.load(task), Problems(), path_of(file)
    asked = reading(columns, separator, encoding)
    records = list(entry.build.read(path, entry.config.of({}, task), asked, problems))
    read = problems.file(name_of(path)).described()
    return LabelledFile(task, str(path), records, read, problems.report(), problems.summary())
