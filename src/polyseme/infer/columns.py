"""Which columns a file is read by, where nobody names them: those of training, as far as the file can have them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from polyseme.errors import PolysemeError
from polyseme.text.labelled.dialects import SEPARATORS, fields_of
from polyseme.text.labelled.opening import numbered_lines, suffix_of
from polyseme.text.labelled.records import Problems
from polyseme.text.sources import STDIN

__all__ = ["inherited"]

GOLD = ("label", "tag", "tags", "spans", "answer", "start")
_TABLES = (".tsv", ".csv")
_ROWS = (".jsonl", ".ndjson", ".json")


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
    suffix = suffix_of(path)
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
    """The first line of a regular file; "" where it cannot be read: who reads it in earnest says why."""
    if not Path(path).is_file():
        return ""
    try:
        return next((line for _, line in islice(numbered_lines(path, encoding, Problems()), 1)), "")
    except PolysemeError:
        return ""
