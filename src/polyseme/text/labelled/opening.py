"""Opening labelled files: their form, numbered lines, JSON records, and the check that refuses a bad file early."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, TypeVar

from polyseme.core.config import suggest
from polyseme.core.files import suffix_of
from polyseme.errors import ConfigError, CorpusError
from polyseme.text import records
from polyseme.text.clean import CleaningReport, replace_surrogates
from polyseme.text.encodings import check_name
from polyseme.text.labelled import brat, datasets
from polyseme.text.labelled.records import Problems, ReadFile
from polyseme.text.sources import ARROW, STDIN, SourceFile, missing, read_chunks, read_text
from polyseme.text.split import Numbered, peek
from polyseme.text.split import lines as split_lines

__all__ = [
    "BadRecord",
    "Columns",
    "LabelledFile",
    "ReadOptions",
    "Row",
    "Values",
    "checked_columns",
    "column_numbers",
    "columns_option",
    "existing",
    "files_of",
    "fingerprint",
    "follow",
    "form_suffix",
    "is_json",
    "json_values",
    "leaves",
    "name_of",
    "numbered_lines",
    "objects_in",
    "parse_object",
    "read_whole",
    "records_of",
    "scrub",
    "sound",
    "whole_values",
]

Columns = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """The user's options for reading files; one value from the command line to the readers.

    Args:
        columns: our names of columns to the file's.
        encoding: a name, or "auto" to detect it.
        separator: what stands between the fields of tables, or "auto" to see it in the file.
    """

    columns: Columns = field(default_factory=dict)
    encoding: str = "auto"
    separator: str = "auto"

    @classmethod
    def of(cls, columns: Columns | ReadOptions | None) -> ReadOptions:
        """Options from column names alone; options pass through unchanged."""
        return columns if isinstance(columns, ReadOptions) else cls(dict(columns or {}))

    @property
    def recorded(self) -> dict[str, str]:
        """The encoding and separator if they were given, for run.json."""
        both = {"encoding": self.encoding, "separator": self.separator}
        return {name: value for name, value in both.items() if value != "auto"}


@dataclass(frozen=True)
class LabelledFile:
    """A labelled file that is being read: how to read it, and where its problems are counted.

    Args:
        path: the file; "-" for the standard input.
        problems: receives the counts of problems.
        columns: our names of columns to the file's.
        labelled: whether labels are wanted.
        separator: what stands between the fields of a table; "auto" = as the file shows.
        encoding: a name, or "auto" to detect it.
        task: the task that reads the file, where annotation tools export files for it.
    """

    path: Path | str
    problems: Problems
    columns: Columns = field(default_factory=dict)
    labelled: bool = True
    separator: str = "auto"
    encoding: str = "auto"
    task: Literal["", "classify", "pair", "tag"] = ""

    @cached_property
    def name(self) -> str:
        """The file's name in reports."""
        return name_of(self.path)

    @cached_property
    def suffix(self) -> str:
        """The suffix that decides its form."""
        return form_suffix(self.path)

    @cached_property
    def read(self) -> ReadFile:
        """The report on how it was read."""
        return self.problems.file(self.name)

    def at(self, number: int) -> str:
        """The place of a line."""
        return f"{self.name}:{number}"

    def lines(self) -> Numbered:
        """Its lines; see `numbered_lines`."""
        return numbered_lines(self.path, self.encoding, self.problems)

    def scrub(self, text: str, where: str) -> str:
        """See `scrub`."""
        return scrub(text, self.problems, where)

    def leave_out(self, kind: str, where: str, got: str = "") -> None:
        """Count a record that is left out though it is no problem of the file."""
        self.problems.add(kind, where, got)
        self.read.not_accepted += 1

    def for_task(self, task: str, what: str, got: str | None = None) -> ConfigError:
        """The error for labels of another kind, which belong to another task."""
        return ConfigError(
            f"the labels of this file are {what}",
            got=got,
            where=self.name,
            fix=f"polyseme finetune {task} RUN --train {shlex.quote(str(self.path))} -o RUN2",
        )


@dataclass(slots=True)
class Row:
    """One row, object or sentence of a file, before it is checked.

    Args:
        number: of its line, from 1; of an array's item.
        where: its place.
        values: its fields by name; empty where it is `bad`.
        plain: it is a line of plain text, without marks that a program wrote.
        bad: the kind of problem that makes it unusable, or "".
        got: the text to show for the problem.
    """

    number: int
    where: str
    values: dict[str, Any]
    plain: bool = False
    bad: str = ""
    got: str = ""

    @classmethod
    def of(cls, number: int, where: str, value: Any, bad: str = "bad_json") -> Row:
        """The row of an object; a bad row where the value is no object."""
        return cls(number, where, value) if isinstance(value, dict) else cls(number, where, {}, bad=bad)


class BadRecord(Exception):
    """This row alone cannot be used.

    Args:
        kind: of the problem.
        got: the text to show for it.
    """

    def __init__(self, kind: str, got: str = "") -> None:
        super().__init__(kind)
        self.kind, self.got = kind, got


T = TypeVar("T")
_PLAIN = re.compile(r"[\w@%+=:,./-]+")
_AS_JSON = (".ann", ".spacy", *ARROW)
FIRST = 100
"""Number of first rows that decide whether a file has the expected form."""


def form_suffix(path: Path | str) -> str:
    """The suffix that decides the form of a labelled file; that of JSON lines for all that is read as such.

    Example:
        >>> form_suffix("a/b.TSV.gz"), form_suffix("-")
        ('.tsv', '')
    """
    suffix = suffix_of(path)
    # The content of these files is converted to JSON lines.
    return ".jsonl" if suffix in _AS_JSON or _is_whole_folder(Path(path)) else suffix


def _is_whole_folder(path: Path) -> bool:
    """Whether a folder as a whole counts as one labelled file."""
    return path.is_dir() and (brat.is_brat_folder(path) or datasets.is_arrow_folder(path))


def name_of(path: Path | str) -> str:
    """The name of a file in reports."""
    return "standard input" if Path(path) == STDIN else str(path)


def fingerprint(path: Path | str) -> str:
    """Hash of a file's decompressed content: independent of its place and compression.

    Raises:  CorpusError: the file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    for file in files_of(path):
        for chunk in read_chunks(file):
            digest.update(chunk)
    return digest.hexdigest()


def files_of(path: Path | str) -> list[Path]:
    """The files that a labelled file consists of: itself; for brat also its text; for a folder all that are read.

    Raises:  CorpusError: it cannot be read.
    """
    path = existing(path)
    if path.is_dir() or path.suffix.lower() == ".ann":
        return brat.brat_files(path) if not datasets.is_arrow_folder(path) else datasets.arrow_files(path)
    return [path]


def existing(path: Path | str) -> Path:
    """The path of a file that can be read, or of a folder of brat's or of a data set.

    Raises:  CorpusError: there is no such file, or the folder is of another kind; the error lists files with similar
             names.
    """
    path = Path(path)
    if path == STDIN or path.is_file() or path.is_fifo():
        return path
    if path.is_dir():
        if _is_whole_folder(path):
            return path
        raise CorpusError("a folder instead of a file", where=path, fix="name one labelled file")
    if path.exists():
        raise CorpusError("neither a file nor a pipe", where=path, fix="name one labelled file")
    raise missing(path, "no such file", "name a labelled file, or - for the standard input")


def _chunks(path: Path | str, encoding: str, problems: Problems) -> Iterator[str]:
    """The text of a file in pieces, with its line ends unchanged; broken bytes are counted at the end."""
    path = existing(path)
    if encoding != "auto":
        check_name(encoding)
    report = CleaningReport()
    read = problems.file(name_of(path))
    for chunk in read_text(SourceFile(path, 0, 0, named=True), encoding, report, unify=False) or ():
        encoding_kind = next((kind for kind in report.counts if kind.startswith("encoding_")), "")
        read.encoding = (
            encoding_kind.removeprefix("encoding_") if encoding == "auto" else encoding_kind and encoding
        )
        yield chunk
    if broken := report.counts["broken_bytes"]:
        problems.add("broken_bytes", report.examples["broken_bytes"], n=broken)


def numbered_lines(path: Path | str, encoding: str, problems: Problems) -> Numbered:
    r"""The lines of a file from number 1, split at \n and \r\n and nowhere else, without their ends.

    A file with \r and no \n in its first megabyte comes from an old Mac: its lines end at \r.

    Raises:  CorpusError: there is no such file, or it is not text; ConfigError: an unknown encoding.
    """
    if (
        Path(path) != STDIN
        and form_suffix(path) == ".jsonl"
        and (json_lines := _as_json_lines(path, encoding, problems))
    ):
        yield from json_lines
        return
    first, chunks = peek(_chunks(path, encoding, problems), 1)
    if first and "\r" in first[0].rstrip("\r") and "\n" not in first[0]:
        problems.add("cr_lines", name_of(path))
        chunks = (chunk.replace("\r", "\n") for chunk in chunks)
    for number, line in enumerate(split_lines(chunks), 1):
        if line is None:
            problems.add("line_too_long", f"{name_of(path)}:{number}")
        else:
            yield number, line.removesuffix("\r")


def _as_json_lines(path: Path | str, encoding: str, problems: Problems) -> Numbered | None:
    """JSON lines made from binary files or from several files; None for a plain file."""
    path = Path(path)
    if path.suffix.lower() == ".spacy":
        raise CorpusError(
            "spaCy's binary format",
            expected='a JSON line for each document: {"text", "spans"}, which doc.to_json() gives in spaCy',
            where=existing(path),
            fix="read it with spacy.tokens.DocBin and write doc.to_json() of each document as a line of a .jsonl",
        )
    if path.suffix.lower() in ARROW or (path.is_dir() and datasets.is_arrow_folder(path)):
        parquet = path.suffix.lower() == ".parquet"
        problems.file(name_of(path)).form = "a Parquet table" if parquet else "a data set of Hugging Face"
        return datasets.arrow_lines(existing(path))
    if path.suffix.lower() == ".ann" or path.is_dir():
        texts = {file: "".join(_chunks(file, encoding, problems)) for file in files_of(path)}
        problems.file(name_of(path)).form = "brat's annotation"
        return brat.brat_lines(path, problems, texts)
    return None


def read_whole(path: Path | str, encoding: str, problems: Problems) -> str:
    """All text of a file."""
    return "".join(_chunks(path, encoding, problems))


def is_json(lines: Sequence[str]) -> bool:
    """Whether the first line that is not blank begins an object, or an array of objects; `{{` is a template's mark."""
    first = next((line for line in lines if line and not line.isspace()), "")
    return first.lstrip().startswith(("{", "[{")) and not first.lstrip().startswith("{{")


def parse_object(line: str) -> dict[str, Any] | None:
    """The JSON object on a line; None where the line holds none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def follow(record: Mapping[str, Any], field: str) -> Any:
    """The value of a record under a key, or under a path such as "target.text"; None where there is none."""
    if field in record:
        return record[field]
    value: Any = record
    for key in field.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def objects_in(values: Any) -> list[dict[str, Any]]:
    """The objects in a list; empty where the value is no list."""
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def leaves(value: Mapping[str, Any], above: str = "", depth: int = 3) -> Iterator[str]:
    """Paths to all values in an object and its inner objects, except objects."""
    for key, inner in value.items():
        path = f"{above}{key}"
        if isinstance(inner, dict) and depth:
            yield from leaves(inner, f"{path}.", depth - 1)
        else:
            yield path


def scrub(text: str, problems: Problems, where: str) -> str:
    """Replace lone surrogates, which no tokenizer accepts, by U+FFFD; the length stays the same."""
    if text.isascii():
        return text
    whole = replace_surrogates(text)
    if whole != text:
        problems.add("lone_surrogate", where)
    return whole


def checked_columns(columns: Columns | None, known: Iterable[str]) -> dict[str, str]:
    """The mapping of `--columns`, checked to hold only names that the form of file has.

    Raises:  ConfigError: an unknown name on the left, nothing on the right, or numbers mixed with names.
    """
    columns = dict(columns or {})
    known = list(known)
    for ours, theirs in columns.items():
        if ours not in known:
            raise ConfigError(f"unknown column {ours!r}", where="--columns", fix=suggest(ours, known))
        if not theirs:
            raise ConfigError(
                f"no column is named for {ours!r}", where="--columns", fix=f"--columns {ours}=NAME"
            )
    numbers = [theirs.isdecimal() for theirs in columns.values()]
    if any(numbers) and not all(numbers):
        raise ConfigError(
            "columns by number and by name together",
            got=",".join(f"{ours}={theirs}" for ours, theirs in columns.items()),
            where="--columns",
            fix="numbers for a file without a header, names for one with a header",
        )
    return columns


def columns_option(columns: Mapping[str, str]) -> str:
    """The `--columns` option as typed in a shell.

    Example:
        >>> columns_option({"text": "内容", "label": "标签"}), columns_option({"text": "Review Text"})
        ('--columns text=内容,label=标签', "--columns 'text=Review Text'")
    """
    typed = ",".join(f"{ours}={theirs}" for ours, theirs in columns.items())
    return "--columns " + (typed if _PLAIN.fullmatch(typed) else shlex.quote(typed))


def column_numbers(columns: Columns) -> dict[str, int] | None:
    """Column numbers from 0, where `--columns` counts from 1; None where it gives names.

    Raises:  ConfigError: a column 0.
    """
    if not columns or not all(theirs.isdecimal() for theirs in columns.values()):
        return None
    places = {ours: int(theirs) - 1 for ours, theirs in columns.items()}
    for ours, place in places.items():
        if place < 0:
            raise ConfigError("columns are counted from 1", got=f"{ours}=0", where="--columns")
    return places


def records_of(file: LabelledFile, rows: Iterable[Row], read: Callable[[Row], T]) -> Iterator[T | None]:
    """The records that `read` makes of rows; None for a bad row (`read` raises `BadRecord`), which is counted."""
    for row in rows:
        record: T | None = None
        try:
            if row.bad:
                raise BadRecord(row.bad, row.got)
            record = read(row)
        except BadRecord as error:
            file.problems.add(error.kind, row.where, error.got)
        yield record


def sound(records: Iterator[T | None], file: LabelledFile, expected: str) -> Iterator[T]:
    """The good records; None, which stands for a bad row that was counted, is left out.

    Args:
        expected: a description of a good file, for the error.

    Raises:  CorpusError: the file holds no row, or more than half of its first 100 rows are bad.
    """
    before = file.problems.counts
    head, records = peek(records, FIRST)
    bad = sum(record is None for record in head)
    if 2 * bad > len(head) or not head:  # records that annotators left out are not in the head
        new = Problems()
        for kind, entry in file.problems.report().items():
            count = entry["count"] - before.get(kind, 0)
            if count > 0:
                last = entry["examples"][-1]
                new.add(kind, last["where"], last["got"], n=count)
        what = "more than half of the first rows cannot be used" if head else "no labelled text in this file"
        raise CorpusError(
            what,
            got=f"{bad} of {len(head)} bad; " + "; ".join(new.summary())
            if head
            else "; ".join(new.summary()) or "an empty file",
            expected=expected,
            where=file.name,
            fix="check the form of the file and the names of its columns",
        )
    file.read.rows = file.read.left_out = 0  # a file may be read again
    for record in records:
        if record is None:
            file.read.left_out += 1
        else:
            file.read.rows += 1
            yield record


Values = Iterator[tuple[int, str, Any]]
"""Number, place (FILE:LINE or FILE: record N) and value; the value is None where a line is no JSON."""


def json_values(lines: Numbered, source: str) -> Values:
    """The JSON values of a file, one by one; an array gives its items.

    Raises:  CorpusError: an array that is broken.
    """
    chunks = iter(lambda: "\n".join([*map(itemgetter(1), islice(lines, 1000)), ""]), "")
    return _placed(records.json_values(chunks, source, list_lines=True, longest=sys.maxsize), source)


def whole_values(text: str, source: str) -> Values:
    """The same from the whole text of a file, whose values may span several lines."""
    return _placed(records.json_values([text], source, list_lines=True, longest=sys.maxsize), source)


def _placed(values: Iterator[records.Value], source: str) -> Values:
    for number, value, item, blank, _ in values:
        if not blank:
            yield number, f"{source}: record {number}" if item else f"{source}:{number}", value
