"""Rows of tables and JSON lines, with their columns under our names.

tables    .tsv, .csv and others: separators and quotes are detected in the file, see dialects.py
JSON      one object a line, or one array of objects

Columns are matched by `--columns`; else by a header (or the keys of the objects) with our names; else by names in
common use, where exactly one reading of them is possible.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polyseme.errors import ConfigError
from polyseme.text.labelled.dialects import (
    SEPARATORS,
    are_row_names,
    fields_of,
    open_table,
    unusual_separator,
)
from polyseme.text.labelled.exports import rows_in_our_form
from polyseme.text.labelled.guesses import guess, is_header
from polyseme.text.labelled.opening import (
    FIRST,
    BadRecord,
    LabelledFile,
    Row,
    Values,
    column_numbers,
    columns_option,
    follow,
    json_values,
    leaves,
)
from polyseme.text.split import Numbered, peek

__all__ = [
    "Form",
    "delimited_rows",
    "field_text",
    "id_of",
    "json_objects",
    "json_rows",
    "plain_name",
    "resolve",
    "texts_in",
    "value_rows",
]

Reading = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Form:
    """The columns that a kind of file has.

    Args:
        needed: for each column, or group of columns, the possible names; our own come first.
        optional: the same for columns that a file may lack; the first that exists is used.
        hint: text to add to the error when the columns are not found.
    """

    needed: tuple[tuple[Reading, ...], ...]
    optional: tuple[tuple[Reading, ...], ...] = ()
    hint: str = ""

    @property
    def names(self) -> list[str]:
        """Our names of the columns that a file must have."""
        return [name for readings in self.needed for name in readings[0]]

    def names_of(self, ours: str) -> set[str]:
        """The possible names of a column."""
        all_readings = (reading for column in (*self.needed, *self.optional) for reading in column)
        return {reading[ours] for reading in all_readings if ours in reading} | {ours}

    @property
    def known(self) -> list[str]:
        """Our names of all columns."""
        return [*self.names, *(name for readings in self.optional for name in readings[0])]


def texts_in(file: LabelledFile, row: Row, names: Sequence[str]) -> list[str]:
    """The texts of some columns of a row.

    Raises:  BadRecord: a text is missing or empty.
    """
    texts: list[str] = []
    for name in names:
        text = row.values.get(name)
        if not isinstance(text, str):
            raise BadRecord("missing_field", name)
        if not text or text.isspace():
            raise BadRecord("empty_text", name)
        texts.append(text if text.isascii() else file.scrub(text, row.where))
    return texts


def field_text(value: Any) -> str:
    """A field as text: its string or integer; "" where it holds neither."""
    return "" if isinstance(value, bool) or not isinstance(value, str | int) else str(value).strip()


def id_of(values: Mapping[str, Any], number: int) -> str:
    """The id of a record, else its number."""
    return str(values["id"]) if field_text(values.get("id")) else str(number)


def plain_name(name: str) -> str:
    """A column's name, normalised for comparison."""
    name = name.strip("\ufeff \t").strip('"').strip()
    return name.lower().replace(" ", "_").replace("-", "_")


def resolve(
    form: Form,
    names: Sequence[str],
    columns: Mapping[str, str],
    where: str,
    rows: Sequence[Sequence[str]] = (),
) -> dict[str, str]:
    """The file's column for each of our names.

    Args:
        names: the columns of the file.
        columns: the mapping of `--columns`.
        rows: fields of the first rows, from which an error guesses the columns.

    Raises:  ConfigError: a column is missing, or several could be meant.
    """
    plain: dict[str, str] = {}
    for name in names:
        plain.setdefault(plain_name(name), name)
    resolved: dict[str, str] = {}
    for ours, theirs in columns.items():
        name = theirs if theirs in names else plain.get(plain_name(theirs), "")
        if theirs not in names and plain_name(theirs) not in plain:
            raise _no_reading(form, names, {}, where, f"no column {theirs!r}", rows)
        resolved[ours] = name
    for needed, readings in [(True, reading) for reading in form.needed] + [
        (False, reading) for reading in form.optional
    ]:
        given = {ours for ours in readings[0] if ours in resolved}
        if len(given) == len(readings[0]):
            continue
        fits = [
            {ours: plain[theirs] for ours, theirs in reading.items() if ours not in given}
            for reading in (readings[:1] if given else readings)
            if all(theirs in plain for ours, theirs in reading.items() if ours not in given)
        ]
        bears_our_names = all(ours in given or ours in plain for ours in readings[0])
        if needed and (not fits or (len(fits) > 1 and not bears_our_names)):
            ours = " and ".join(readings[0])
            several = ", ".join("+".join(reading.values()) for reading in fits)
            what = f"several columns could be {ours}: {several}" if fits else f"no column for {ours}"
            raise _no_reading(form, names, resolved, where, what, rows)
        if fits:
            resolved.update(fits[0])
    return resolved


def _no_reading(
    form: Form,
    names: Sequence[str],
    resolved: Mapping[str, str],
    where: str,
    what: str,
    rows: Sequence[Sequence[str]] = (),
) -> ConfigError:
    """The error for columns that are not clear; its `try:` names those that are probably meant."""
    places = guess(form.names, names, rows or [names], resolved)
    if places is None:
        fix = f"a file with a column for each of {', '.join(form.names)}"
    else:
        optional = {ours: theirs for ours, theirs in resolved.items() if ours not in form.names}
        fix = columns_option({ours: _one_of(names, place) for ours, place in places.items()} | optional)
    return ConfigError(
        what,
        got="columns " + _shown(names),
        expected=", ".join(form.names) + (f" ({form.hint})" if form.hint else ""),
        where=where,
        fix=fix,
    )


def _one_of(names: Sequence[str], place: int) -> str:
    """How the user types the column at a place; equal names are distinguished by a number."""
    name = names[place]
    return name if names.count(name) == 1 else f"{name}.{names[:place].count(name)}"


def _shown(names: Sequence[str]) -> str:
    """Names for an error, shortened: a line that is no header may have many long fields."""
    short = [name if len(name) <= 60 else name[:59] + "…" for name in names[:20]]
    return ", ".join([*short, *["…"] * (len(names) > 20)])


def delimited_rows(file: LabelledFile, lines: Numbered, form: Form) -> Iterator[Row]:
    """The rows of a table below its header, or all of them where columns are numbers.

    Raises:  ConfigError: the columns are missing or not clear.
    """
    columns = file.columns
    places = column_numbers(columns)
    if places is not None and (missing := [name for name in form.names if name not in places]):
        typed = ",".join(f"{name}={columns.get(name, 'NUMBER')}" for name in form.names)
        raise ConfigError(
            f"no column is named for {missing[0]!r}", where="--columns", fix=f"--columns {typed}"
        )
    needed = 0 if places is None else 1 + max(places[name] for name in form.names)
    file.read.not_accepted = 0  # a file may be read again

    def tell(kind: str, number: int, line: str) -> None:
        if kind == "empty_row":
            file.leave_out(kind, file.at(number), line)
        else:
            file.problems.add(kind, file.at(number), line)

    dialect, rows, top = open_table(
        lines,
        file.suffix,
        lambda names: fits(form, names, columns),
        tell,
        needed=needed,
        separator=file.separator,
    )
    file.read.form = str(dialect)
    if places is not None:
        head, rows = peek(rows, FIRST)
        width = _width([fields for _, fields, _ in head if fields], needed)
        if head and _names_columns(form, places, head[0][1]):
            file.problems.add("header_row", file.at(head[0][0]), head[0][2])
            next(rows)
    else:
        first = next(rows, None)
        if first is None:
            return
        number, fields, line = first
        header = (
            fields
            if fields is not None
            else [name.strip('"') for name in line.split(dialect.separator or None)]
        )
        head, rows = peek(rows, FIRST)
        below = [fields for _, fields, _ in head if fields]
        places = _places(file, form, header, below, file.at(number), top)
        width = len(header)
        if are_row_names(below, width + 1):  # as R's write.table writes them
            places = {ours: place + 1 for ours, place in places.items()}
            width += 1
    last = max(place for ours, place in places.items() if ours in form.names)
    for number, fields, line in rows:
        where = file.at(number)
        if fields is None:
            bad = "bad_quotes"
        elif len(fields) <= last:
            bad = "comment" if line.startswith("#") else "too_few_fields"
        elif width and any(fields[width:]):
            bad = "too_many_fields"
        else:
            values = {ours: fields[place] for ours, place in places.items() if place < len(fields)}
            yield Row(number, where, values)
            continue
        got = line if fields is None else " | ".join(fields)
        if bad == "comment":
            file.problems.add(bad, where, got)
        else:
            yield Row(number, where, {}, bad=bad, got=got)


def fits(form: Form, names: Sequence[str], columns: Mapping[str, str]) -> bool:
    """Whether names form a header of the wanted columns."""
    numbered = {theirs: match[1] for theirs in columns.values() if (match := _ONE_OF.fullmatch(theirs))}
    asked = {
        ours: theirs if theirs in names else numbered.get(theirs, theirs) for ours, theirs in columns.items()
    }
    try:
        resolve(form, names, asked, "")
    except ConfigError:
        return False
    return True


_ONE_OF = re.compile(r"(.+)\.(\d{1,3})")
"""The suffix that distinguishes columns of one name: the first is NAME.0, the second NAME.1, as in pandas."""


def _places(
    file: LabelledFile,
    form: Form,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    where: str,
    lines: Sequence[str],
) -> dict[str, int]:
    """The column numbers, from 0, by our names.

    Raises:  ConfigError: they are missing or not clear, or two have the same name.
    """
    names, columns = list(header), file.columns
    for theirs in columns.values():
        if (match := _ONE_OF.fullmatch(theirs)) and theirs not in names:
            alike = [place for place, name in enumerate(header) if plain_name(name) == plain_name(match[1])]
            if int(match[2]) < len(alike):
                names[alike[int(match[2])]] = theirs
    try:
        reading = resolve(form, names, columns, where, rows)
    except ConfigError as error:
        raise _better(error, file, form, names, rows, lines) from None
    exact = set(columns.values())
    for ours, theirs in reading.items():
        same = [name for name in names if plain_name(name) == plain_name(theirs)]
        if len(same) > 1 and (theirs not in exact or names.count(theirs) > 1):
            first = same.index(theirs)
            wanted = {name: reading[name] for name in form.names if name in reading}
            raise ConfigError(
                f"{len(same)} columns are called {theirs!r}",
                got="columns " + _shown(header),
                expected=f"{theirs}.0 for the first of them, {theirs}.1 for the second",
                where=where,
                fix=columns_option({**wanted, ours: f"{theirs}.{first}"}),
            )
    return {ours: names.index(theirs) for ours, theirs in reading.items()}


def _better(
    error: ConfigError,
    file: LabelledFile,
    form: Form,
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    lines: Sequence[str],
) -> ConfigError:
    """The error with a better hint: another separator, or numbers where the first line is a row of data."""
    if file.separator != "auto":
        for mark, name in SEPARATORS.items():
            if mark != file.separator and fits(form, fields_of(lines[0], mark), file.columns):
                error.fix = f"--separator {name}"
                return error
    elif len(names) == 1 and (other := unusual_separator(lines)):
        error.fix = f"--separator {SEPARATORS.get(other) or shlex.quote(other)}"
        return error
    if file.columns:
        return error
    places = guess(form.names, [f"column {n}" for n in range(len(names))], [*rows, names], {})
    if places is not None and not is_header(names, rows, places):
        error.got = f"{' | '.join(names)[:200]}, which looks like a row of data"
        error.fix = columns_option({ours: str(place + 1) for ours, place in places.items()})
    return error


def _width(rows: Sequence[Sequence[str]], needed: int) -> int:
    """The number of fields that nearly all rows of a table without a header have; 0 = they differ."""
    widths = [len(row) for row in rows]
    for width in sorted(set(widths)):
        if width >= needed and widths.count(width) >= 0.9 * len(widths):
            return width
    return 0


def _names_columns(form: Form, places: Mapping[str, int], first: Sequence[str] | None) -> bool:
    """Whether the first row of a table is a header although `--columns` gives numbers."""
    wanted = [ours for ours in form.names if ours in places]
    return (
        first is not None
        and len(first) > 1
        and all(
            places[ours] < len(first) and plain_name(first[places[ours]]) in form.names_of(ours)
            for ours in wanted
        )
    )


def json_rows(file: LabelledFile, lines: Numbered, form: Form) -> Iterator[Row]:
    """The objects of a file, one a line or all in one array; see `value_rows`."""
    return value_rows(file, json_values(lines, file.name), form)


def value_rows(file: LabelledFile, values: Values, form: Form) -> Iterator[Row]:
    """The objects among the values of a file.

    Raises:  ConfigError: the fields are missing or not clear; CorpusError: a broken array.
    """
    columns = file.columns
    first, values = peek(values, 1)
    array = bool(first) and first[0][1] != file.at(first[0][0])
    file.read.form = "a JSON array" if array else "JSON lines"
    rows = rows_in_our_form(file, values) if file.task else json_objects(values)
    head, rows = peek(rows, FIRST)
    good = [row.values for row in head if not row.bad]
    keys = dict.fromkeys(key for value in good for key in value)
    for theirs in columns.values():
        if any(follow(value, theirs) is not None for value in good):
            keys[theirs] = None
    if not good:
        yield from head
        return
    if column_numbers(columns) is not None:
        raise _numbers_of_keys(form, keys, good, file.name)
    reading = _keys(form, keys, good, columns, file.name)
    for row in rows:
        row.values = {} if row.bad else {ours: follow(row.values, theirs) for ours, theirs in reading.items()}
        yield row


def _keys(
    form: Form,
    keys: Mapping[str, None],
    objects: Sequence[Mapping[str, Any]],
    columns: Mapping[str, str],
    source: str,
) -> dict[str, str]:
    """The key for each of our names.

    Raises:  ConfigError: they are missing or not clear; the error also proposes keys of inner objects.
    """
    try:
        return resolve(form, list(keys), columns, source)
    except ConfigError as error:
        inner: dict[str, None] = {}
        for value in objects:
            inner.update(dict.fromkeys(leaves(value)))
        rows = [["" if (v := follow(value, key)) is None else str(v) for key in inner] for value in objects]
        known = {ours: theirs for ours, theirs in columns.items() if theirs in inner}
        known = {name: name for name in form.names if name in inner} | known
        places = guess(form.names, list(inner), rows, known)
        if places is not None:
            error.fix = columns_option({ours: list(inner)[place] for ours, place in places.items()})
        raise


def _numbers_of_keys(
    form: Form, keys: Mapping[str, None], objects: Sequence[Mapping[str, Any]], source: str
) -> ConfigError:
    """The error for columns by number in a file whose columns have names."""
    try:
        fix = columns_option(_keys(form, keys, objects, {}, source))
    except ConfigError as error:
        fix = error.fix or ""
    return ConfigError("columns by number in a file of JSON objects", where=source, fix=fix)


def json_objects(values: Values) -> Iterator[Row]:
    """A row for each value of a file; a bad row for a value that is no object."""
    return (Row.of(*value) for value in values)
