"""Rows of tables and JSON lines, with their columns under our names.

.tsv      fields are parted by tabs; quotes mean themselves
.csv      RFC 4180: a field in double quotes may hold commas, line ends and doubled quotes
JSON      one object a line, or one array of objects

Which column is which: what `--columns` says; else a header (or the keys of the objects) that bears our names; else
names in common use, where exactly one reading of them is possible.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyseme.errors import ConfigError, CorpusError
from polyseme.text.labelled.exports import Target, own_rows
from polyseme.text.labelled.opening import Numbered, column_numbers, follow, name_of, peek, scrub
from polyseme.text.labelled.records import Problems
from polyseme.text.labelled.values import json_values

__all__ = [
    "Form",
    "Reading",
    "Row",
    "delimited",
    "delimited_rows",
    "json_objects",
    "json_rows",
    "resolve",
    "texts_in",
]

Reading = Mapping[str, str]
_TARGETS: dict[frozenset[str], Target] = {
    frozenset({"text"}): "classify",
    frozenset({"text", "text_b"}): "pair",
}
"""The tasks whose files annotation tools export, by the columns of their texts."""


@dataclass(frozen=True, slots=True)
class Form:
    """The columns that a kind of file has.

    Args:
        needed: for each column, or columns that go together, the names they go by; our own come first.
        optional: the same for what a file may lack; the first that is there is taken.
        hint: what to add to the error when the columns are not found.
    """

    needed: tuple[tuple[Reading, ...], ...]
    optional: tuple[tuple[Reading, ...], ...] = ()
    hint: str = ""

    @property
    def names(self) -> list[str]:
        """Our names of the columns that a file must have."""
        return [name for readings in self.needed for name in readings[0]]

    @property
    def known(self) -> list[str]:
        """Our names of all columns."""
        return [*self.names, *(name for readings in self.optional for name in readings[0])]


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its place, and what it has under our names; `values` is None for a row that was counted as bad."""

    number: int
    where: str
    values: dict[str, Any] | None


def texts_in(row: Row, names: Sequence[str], problems: Problems) -> list[str] | None:
    """The texts of some columns of a row; None, counted, where one is missing or empty, or the row is bad."""
    if row.values is None:
        return None
    texts: list[str] = []
    for name in names:
        text = row.values.get(name)
        if not isinstance(text, str):
            problems.add("missing_field", row.where, name)
            return None
        if not text or text.isspace():
            problems.add("empty_text", row.where, name)
            return None
        texts.append(scrub(text, problems, row.where))
    return texts


def _plain(name: str) -> str:
    """A column's name without differences that do not matter."""
    return name.strip().strip('"').strip().lower().replace(" ", "_").replace("-", "_")


def resolve(form: Form, there: Sequence[str], columns: Mapping[str, str], where: str) -> dict[str, str]:
    """Which of the columns that are there bears which of our names.

    Raises:  ConfigError: a column is missing, or several could be meant.
    """
    plain: dict[str, str] = {}
    for name in there:
        plain.setdefault(_plain(name), name)
    found: dict[str, str] = {}
    for ours, theirs in columns.items():
        name = theirs if theirs in there else plain.get(_plain(theirs), "")
        if theirs not in there and _plain(theirs) not in plain:
            raise _no_reading(form, there, {}, where, f"no column {theirs!r}")
        found[ours] = name
    for needed, readings in [(True, one) for one in form.needed] + [(False, one) for one in form.optional]:
        given = {ours for ours in readings[0] if ours in found}
        if len(given) == len(readings[0]):
            continue
        fits = [
            {ours: plain[theirs] for ours, theirs in one.items() if ours not in given}
            for one in (readings[:1] if given else readings)
            if all(theirs in plain for ours, theirs in one.items() if ours not in given)
        ]
        own = all(ours in given or ours in plain for ours in readings[0])
        if needed and (not fits or (len(fits) > 1 and not own)):
            ours = " and ".join(readings[0])
            several = ", ".join("+".join(one.values()) for one in fits)
            what = f"several columns could be {ours}: {several}" if fits else f"no column for {ours}"
            raise _no_reading(form, there, found, where, what)
        if fits:
            found.update(fits[0])
    return found


def _no_reading(
    form: Form, there: Sequence[str], found: Mapping[str, str], where: str, what: str
) -> ConfigError:
    typed = ",".join(f"{name}={found.get(name, '…')}" for name in form.names)
    return ConfigError(
        what,
        got="columns " + _shown(there),
        expected=", ".join(form.names),
        where=where,
        fix=f"--columns {typed}" + (f"; {form.hint}" if form.hint else ""),
    )


def _shown(names: Sequence[str]) -> str:
    """Names for an error, which a line that is no header may have many and long of."""
    short = [name if len(name) <= 60 else name[:59] + "…" for name in names[:20]]
    return ", ".join([*short, *["…"] * (len(names) > 20)])


def delimited(lines: Numbered, suffix: str) -> Iterator[tuple[int, list[str] | None]]:
    """The fields of each line of a table that is not blank; None where the quotes of a .csv do not come out."""
    if suffix != ".csv":
        for number, line in lines:
            if line and not line.isspace():
                yield number, line.split("\t")
        return
    at, quotes, ended = 0, 0, False

    def feed() -> Iterator[str]:
        nonlocal at, quotes, ended
        for number, line in lines:
            at = number
            quotes += line.count('"')
            yield line + "\n"
        ended = True

    reader = csv.reader(feed())
    while True:
        start, quotes = at + 1, 0
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield start, None
            continue
        if ended and quotes % 2:  # the last quote is still open
            yield start, None
        elif any(field and not field.isspace() for field in row):
            yield start, row


def delimited_rows(
    lines: Numbered, path: Path | str, suffix: str, form: Form, columns: Mapping[str, str], problems: Problems
) -> Iterator[Row]:
    """The rows of a table below its header, or all of them where columns are numbers.

    Raises:  ConfigError: the columns are not there, or not to be told.
    """
    source = name_of(path)
    rows = delimited(lines, suffix)
    places = column_numbers(columns)
    width = 0
    if places is not None:
        if missing := [name for name in form.names if name not in places]:
            typed = ",".join(f"{name}={columns.get(name, 'NUMBER')}" for name in form.names)
            raise ConfigError(
                f"no column is named for {missing[0]!r}", where="--columns", fix=f"--columns {typed}"
            )
    else:
        number, header = next(rows, (1, []))
        if header is None:
            raise CorpusError("the header's quotes do not come out", where=f"{source}:{number}")
        if not header:
            return
        try:
            reading = resolve(form, header, columns, f"{source}:{number}")
        except ConfigError as error:
            if not columns and len(header) == len(form.names):
                error.fix = f"{_numbered(form, header)} if this is a row of data: {' | '.join(header)[:200]}"
            raise
        places = {ours: header.index(theirs) for ours, theirs in reading.items()}
        width = len(header)
    last = max(place for ours, place in places.items() if ours in form.names)
    for number, fields in rows:
        where = f"{source}:{number}"
        if fields is None:
            problems.add("bad_quotes", where)
            yield Row(number, where, None)
        elif len(fields) <= last:
            problems.add("too_few_fields", where, " | ".join(fields))
            yield Row(number, where, None)
        elif width and any(fields[width:]):
            problems.add("too_many_fields", where, " | ".join(fields))
            yield Row(number, where, None)
        else:
            values = {ours: fields[place] for ours, place in places.items() if place < len(fields)}
            yield Row(number, where, values)


def _numbered(form: Form, row: Sequence[str]) -> str:
    """The `--columns` for a file without a header; the label is the shortest field."""
    names = form.names
    if "label" in names:
        label = min(range(len(row)), key=lambda i: len(row[i]))
        texts = iter([i for i in range(len(row)) if i != label])
        places = [label if name == "label" else next(texts) for name in names]
    else:
        places = list(range(len(names)))
    return "--columns " + ",".join(f"{name}={place + 1}" for name, place in zip(names, places, strict=True))


def json_rows(
    lines: Numbered, path: Path | str, form: Form, columns: Mapping[str, str], problems: Problems
) -> Iterator[Row]:
    """The objects of a file, one a line or all in one array.

    Raises:  ConfigError: the fields are not there, or not to be told; CorpusError: a broken array.
    """
    if column_numbers(columns) is not None:
        raise ConfigError(
            "columns by number in a file of JSON objects",
            where="--columns",
            fix="name the keys: text=KEY,label=KEY",
        )
    source = name_of(path)
    values = json_values(lines, source)
    target = _TARGETS.get(frozenset(form.names) - {"label"})
    objects = (
        own_rows(values, path, target, columns, "label" in form.names, problems)
        if target is not None
        else ((number, where, one if isinstance(one, dict) else None) for number, where, one in values)
    )
    head, objects = peek(objects)
    keys: dict[str, None] = {}
    for _, _, value in head:
        keys.update(dict.fromkeys(value or ()))
    for theirs in columns.values():
        if any(value is not None and follow(value, theirs) is not None for _, _, value in head):
            keys[theirs] = None
    if not keys and not any(value is not None for _, _, value in head):
        for _, where, _ in objects:
            problems.add("bad_json", where)
            yield Row(0, where, None)
        return
    reading = resolve(form, list(keys), columns, source)
    for number, where, value in objects:
        if value is None:
            problems.add("bad_json", where)
            yield Row(number, where, None)
        else:
            yield Row(number, where, {ours: follow(value, theirs) for ours, theirs in reading.items()})


def json_objects(lines: Numbered, source: str) -> Iterator[tuple[int, str, dict[str, Any] | None]]:
    """Number, place and value of each object; None where a line holds something else."""
    for number, where, value in json_values(lines, source):
        yield number, where, value if isinstance(value, dict) else None
