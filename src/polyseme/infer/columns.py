"""How a file is read where nobody says it: as in training, as far as the file can be read so.

columns      those of training
separator    that of training, where it parts the file's first line
encoding     that of training, but for a file in UTF-8
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from polyseme.errors import PolysemeError
from polyseme.text.encodings import detect
from polyseme.text.labelled.dialects import SEPARATORS, fields_of
from polyseme.text.labelled.opening import ReadOptions, form_suffix, numbered_lines
from polyseme.text.labelled.records import Problems
from polyseme.text.sources import STDIN, read_chunks

__all__ = ["inherited", "inherited_options"]

GOLD = ("label", "tag", "tags", "spans", "answer", "start")
_TABLES = (".tsv", ".csv")
_ROWS = (".jsonl", ".ndjson", ".json")


def inherited_options(
    adapted: Mapping[str, Any],
    path: Path | str,
    labelled: bool,
    columns: Mapping[str, str] | None,
    asked: ReadOptions,
) -> ReadOptions:
    """How a file is read: as it is asked for, else as the training file was.

    Args:
        adapted: what run.json says of the training files: "columns", "separator", "encoding".
        path: the file to read.
        labelled: whether labels are read.
        columns: our names of columns to the file's; None = those of training.
        asked: for its encoding and separator; "auto" = those of training.
    """
    trained = adapted.get("columns", {})
    encoding, separator = asked.encoding, asked.separator
    if encoding == "auto" and "encoding" in adapted and not _is_unicode(path):
        encoding = adapted["encoding"]
    if separator == "auto" and "separator" in adapted:
        known = trained if columns is None else columns
        separator = _separator(adapted["separator"], known, path, labelled, encoding)
    if columns is None:
        columns = inherited(trained, path, labelled, encoding, separator)
    return ReadOptions(columns, encoding, separator)


def _is_unicode(path: Path | str) -> bool:
    """Whether a file shows its encoding: it is in UTF-8, or a mark says what it is in; a pipe is not asked."""
    if not Path(path).is_file() or form_suffix(path) == ".parquet":
        return True
    try:
        found = detect(next(read_chunks(Path(path)), b""))
    except PolysemeError:  # who reads it in earnest says why
        return True
    return found is not None and (found[0] in ("utf-8", "ascii") or found[1] > 0)


def _separator(
    trained: str, columns: Mapping[str, str], path: Path | str, labelled: bool, encoding: str
) -> str:
    """The separator of training where the file's first line has it, else "auto"."""
    suffix = form_suffix(path)
    if suffix in (*_ROWS, ".conllu"):
        return "auto"
    if Path(path) == STDIN:
        return trained if labelled else "auto"
    fields = [field.strip() for field in fields_of(_first_line(path, encoding), trained)]
    if len(fields) < 2 or fields[0].startswith(("{", "[")):
        return "auto"
    if suffix in _TABLES or labelled:
        return trained
    wanted = {theirs for ours, theirs in columns.items() if ours not in GOLD}  # else it may be plain text
    return trained if (wanted or {"text"}) <= set(fields) or any(map(str.isdecimal, wanted)) else "auto"


def inherited(
    trained: Mapping[str, str],
    path: Path | str,
    labelled: bool,
    encoding: str = "auto",
    separator: str = "auto",
) -> dict[str, str]:
    """The columns of training, less those that a file of another form cannot have.

    Numbers mean a table, names a table or JSON; CoNLL-U and SQuAD's JSON have fixed ones. A file that may be plain
    text is a table if its first line has all the names, or for numbers a tab. The standard input is not asked.

    Args:
        trained: our names to the training file's.
        path: the file to read.
        labelled: whether labels are read; without them, their columns need not be there.
        encoding, separator: of the file; "auto" = as it shows.
    """
    columns = {ours: theirs for ours, theirs in trained.items() if labelled or ours not in GOLD}
    numbers = any(theirs.isdecimal() for theirs in columns.values())
    suffix = form_suffix(path)
    if not columns or suffix == ".conllu":
        return {}
    if suffix in _TABLES or (labelled and suffix not in _ROWS):
        return columns
    if suffix in _ROWS:
        return {} if numbers or ({"question", "context"} & set(columns) and suffix == ".json") else columns
    if Path(path) == STDIN:
        return {}
    first = _first_line(path, encoding)
    if numbers:
        return columns if separator != "auto" or "\t" in first else {}
    marks = SEPARATORS if separator == "auto" else (separator,)
    there = any(set(columns.values()) <= set(fields_of(first, mark)) for mark in marks)
    return columns if there else {}


def _first_line(path: Path | str, encoding: str) -> str:
    """The first line of a regular file that is no comment; "" where it cannot be read: its reader says why."""
    if not Path(path).is_file():
        return ""
    try:
        first = islice(numbered_lines(path, encoding, Problems()), 100)
        return next((line for _, line in first if line and not line.startswith("#")), "")
    except PolysemeError:
        return ""
