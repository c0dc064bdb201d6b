"""Texts, or pairs of texts, and their classes from .tsv, .csv, JSON lines and plain text.

.tsv .csv       a header with text[, text_b] and label, or `columns`: their names, or numbers from 1 without a header
.jsonl .json    an object a line (or an array of objects) with these keys
.txt, others    as .tsv if the first line is such a header or columns are given; as JSON lines if it begins with "{";
                else, unlabelled, a text a line (a pair: two texts with a tab between)

Labels of tables are strings. In JSON a string is a class, a list of strings several classes, an integer or a
boolean the class of that name, and a number with a fraction a value. With pairs "-" is no label: so the corpora of
inference mark pairs on which the annotators did not agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from polyseme.errors import ConfigError
from polyseme.text.labelled.opening import (
    Numbered,
    checked_columns,
    column_numbers,
    name_of,
    numbered_lines,
    peek,
    scrub,
    sound,
    suffix_of,
)
from polyseme.text.labelled.records import Label, Problems, TextRecord
from polyseme.text.labelled.rows import Form, Row, delimited_rows, json_rows, resolve, texts_in

__all__ = ["read_texts", "rows_of"]

_TEXTS = (
    "text",
    "sentence",
    "text_a",
    "review",
    "content",
    "utterance",
    "comment",
    "tweet",
    "document",
    "query",
)
_PAIRS = (
    ("text", "text_b"),
    ("text_a", "text_b"),
    ("sentence1", "sentence2"),
    ("sentence_a", "sentence_b"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("question", "sentence"),
)
_LABELS = (
    "label",
    "labels",
    "gold_label",
    "class",
    "sentiment",
    "intent",
    "score",
    "entailment_judgment",
    "category",
)
_ID = (tuple({"id": name} for name in ("id",)),)


def _form(pair: bool, labelled: bool) -> Form:
    """The columns of texts or pairs, with or without labels."""
    if pair:
        texts = tuple({"text": a, "text_b": b} for a, b in _PAIRS)
    else:
        texts = tuple({"text": name} for name in _TEXTS)
    labels = tuple({"label": name} for name in _LABELS)
    hint = "" if pair else "a file of two texts a row is for the task pair"
    if labelled:
        return Form((texts, labels), _ID, hint)
    return Form((texts,), (*_ID, labels), hint)


def read_texts(
    path: Path | str,
    *,
    pair: bool = False,
    columns: Mapping[str, str] | None = None,
    encoding: str = "auto",
    problems: Problems | None = None,
    labelled: bool = True,
) -> Iterator[TextRecord]:
    r"""Read a file of texts or pairs, row by row.

    Args:
        path: the file, also as .gz or .zst; "-" for the standard input.
        pair: two texts a row.
        columns: ours to theirs: {"text": "sentence1", "text_b": "sentence2", "label": "gold", "id": "number"}; all
            of them numbers from 1 for a file without a header.
        encoding: a name, or "auto" to detect it.
        problems: receives what was found wrong; such rows are left out.
        labelled: rows must have a label; else no label is read.

    Raises:  ConfigError: the columns are not there or cannot be told; CorpusError: the file is missing, empty, binary,
             or more than half of its first 100 rows are bad.
    Example:
        >>> import pathlib, tempfile
        >>> file = pathlib.Path(tempfile.mkdtemp(), "a.tsv")
        >>> _ = file.write_text("text\tlabel\na fine day\tgood\n")
        >>> [(record.text, record.label) for record in read_texts(file)]
        [('a fine day', 'good')]
    """
    problems = Problems() if problems is None else problems
    form = _form(pair, labelled)
    columns = checked_columns(columns, form.known)
    rows = rows_of(path, numbered_lines(path, encoding, problems), form, columns, problems, labelled)
    records = (_record(row, labelled, pair, problems) for row in rows)
    return sound(records, path, problems, "rows with " + " and ".join(form.names))


def rows_of(
    path: Path | str,
    lines: Numbered,
    form: Form,
    columns: Mapping[str, str],
    problems: Problems,
    labelled: bool,
) -> Iterator[Row]:
    """The rows of a file whose form its suffix tells, or else its first line.

    Raises:  ConfigError: the columns are not there, or not to be told; CorpusError: a broken JSON array.
    """
    suffix = suffix_of(path)
    if suffix in (".jsonl", ".ndjson", ".json"):
        return json_rows(lines, path, form, columns, problems)
    if suffix in (".tsv", ".csv"):
        return delimited_rows(lines, path, suffix, form, columns, problems)
    head, lines = peek(lines, 1)
    first = head[0][1] if head else ""
    if first.lstrip().startswith(("{", "[{")) and column_numbers(columns) is None:
        return json_rows(lines, path, form, columns, problems)
    if labelled or columns or _is_header(first, form):
        return delimited_rows(lines, path, ".tsv", form, columns, problems)
    return _plain_rows(lines, path, form, problems)


def _is_header(line: str, form: Form) -> bool:
    """Whether a line of a file that may be plain text names the columns of a table."""
    if "\t" not in line:
        return False
    try:
        resolve(form, line.split("\t"), {}, "")
    except ConfigError:
        return False
    return True


def _plain_rows(lines: Numbered, path: Path | str, form: Form, problems: Problems) -> Iterator[Row]:
    """A text a line; of a pair, two with a tab between."""
    for number, line in lines:
        where = f"{name_of(path)}:{number}"
        if not line or line.isspace():
            problems.add("empty_text", where, "")
            continue
        if form.names == ["text"]:
            yield Row(number, where, {"text": line})
        elif line.count("\t") == 1:
            yield Row(number, where, dict(zip(form.names, line.split("\t"), strict=True)))
        else:
            problems.add("too_many_fields" if "\t" in line else "too_few_fields", where, line)
            yield Row(number, where, None)


def _record(row: Row, labelled: bool, pair: bool, problems: Problems) -> TextRecord | None:
    """The record of a row; None, counted, where something is missing."""
    values = row.values
    if values is None:
        return None
    texts = texts_in(row, ("text", "text_b") if pair else ("text",), problems)
    if texts is None:
        return None
    label = None
    if labelled:
        value = values.get("label")
        if value is None or (isinstance(value, str) and value.strip() in (("", "-") if pair else ("",))):
            problems.add("missing_label", row.where, value or "")
            return None
        label = _label(value)
        if label is None:
            problems.add("bad_label", row.where, repr(value))
            return None
        if isinstance(label, str):
            label = scrub(label, problems, row.where)
        elif isinstance(label, tuple):
            label = tuple(scrub(one, problems, row.where) for one in label)
    id = values.get("id")
    named = isinstance(id, str | int) and not isinstance(id, bool) and str(id).strip()
    return TextRecord(
        scrub(str(id), problems, row.where) if named else str(row.number),
        texts[0],
        texts[1] if pair else None,
        label,
        row.where,
    )


def _label(value: Any) -> Label | None:
    """A label from a field of a table or of a JSON object; None where it is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int):
        return str(value) if abs(value) < 1 << 63 else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        several = [_label(item) for item in value]
        if all(isinstance(one, str) and one for one in several):
            return tuple(dict.fromkeys(str(one) for one in several))
    return None
