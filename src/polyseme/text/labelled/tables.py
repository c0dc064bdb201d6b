"""Texts, or pairs of texts, and their classes from .tsv, .csv, JSON lines and plain text.

.tsv .csv       a header with text[, text_b] and label, or `columns`: their names, or numbers from 1 without a header
.jsonl .json    an object a line (or an array of objects) with these keys
.parquet        a table with these columns
__label__       lines of fastText: labels and a text, see below
.txt, others    as .tsv if the first line is such a header or columns are given; as JSON lines if it begins with "{";
                else, unlabelled, a text a line (a pair: two texts with a tab between)

A label has one form, whatever the file: an integer "3" (also of 3.0), a truth value "true" or "false" (also of True
and TRUE), a list several classes (also as JSON or as Python prints it, in a field of a table), a JSON number with a
fraction a value, all else the class of that name. With pairs "-" is no label: so the corpora of inference mark pairs on
which the annotators did not agree.

Programs write nan, NULL, #N/A … for missing values: rows with such a label or text are left out and counted. None, NA,
N/A, - and ? may be real values: they are kept and counted.

Lines of fastText: labels, each with `__label__` before it, and a text.

    __label__pro a good day
    __label__sauce __label__cheese How much starch does a cheese sauce need?
    __label__4 , a comma that stands between label and text on every line is no part of the text

fastText takes them from anywhere in a line; files have them at the head, some at the end. A file whose header names
columns is a table, even if its labels begin with `__label__`.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from polyseme.text.labelled.dialects import SEPARATORS, fields_of
from polyseme.text.labelled.opening import (
    FIRST,
    BadRecord,
    LabelledFile,
    Row,
    checked_columns,
    column_numbers,
    is_json,
    parse_object,
    records_of,
    sound,
)
from polyseme.text.labelled.records import Label, Problems, TextRecord
from polyseme.text.labelled.rows import Form, delimited_rows, fits, id_of, json_rows, texts_in
from polyseme.text.sources import RECORDS, TABLES
from polyseme.text.split import Numbered, peek

__all__ = [
    "are_label_lines",
    "as_number",
    "has_decimal_comma",
    "label_lines",
    "may_be_thousands",
    "read_texts",
    "rows_of",
]

_MARK = "__label__"
_HEAD = re.compile(rf"[\s\ufeff]*((?:{_MARK}\S+(?:\s+|$))+)")
_END = re.compile(rf"((?:(?:^|\s+){_MARK}\S+)+)\s*$")
_COMMA = re.compile(r",\s+")


def are_label_lines(lines: Sequence[str]) -> bool:
    """Whether the first lines of a file are fastText's: the first line, and nearly all others."""
    full = [line for line in lines if line and not line.isspace()]
    labelled = [_parts(line) is not None for line in full]
    return bool(labelled) and labelled[0] and sum(labelled) >= 0.9 * len(labelled)


def label_lines(lines: Numbered) -> Iterator[tuple[int, dict[str, Any]]]:
    """The number of each line that is not blank, its text, and its label, a list where it has several."""
    head, lines = peek(lines, FIRST)
    parts = [parted for _, line in head if (parted := _parts(line))]
    comma = all(_COMMA.match(text) for _, text in parts)
    for number, line in lines:
        if not line or line.isspace():
            continue
        labels, text = _parts(line) or ([], line.strip())
        if comma and labels:
            text = _COMMA.sub("", text, count=1)
        yield number, {"text": text, "label": labels[0] if len(labels) == 1 else labels or None}


def _parts(line: str) -> tuple[list[str], str] | None:
    """The labels and the text of a line; None where it has no label."""
    if _MARK not in line:
        return None
    if match := _HEAD.match(line):
        text = line[match.end() :]
    elif match := _END.search(line):
        text = line[: match.start()]
    else:
        return None
    return [label.removeprefix(_MARK) for label in match[1].split()], text.strip()


_TEXTS = (
    "text", "sentence", "text_a", "review", "content", "utterance", "comment", "tweet", "document", "query",
)  # fmt: skip
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
    "label", "labels", "gold_label", "class", "sentiment", "intent", "score", "entailment_judgment", "category",
)  # fmt: skip
_ID = (({"id": "id"},),)
_MISSING = frozenset((
    "nan", "-nan", "<na>", "#na", "#n/a", "#n/a n/a", "nat", "null", "\\n", "#null!", "#value!", "#ref!", "#name?",
    "#div/0!",
))  # fmt: skip
"""Marks of pandas, databases and Excel for a missing value, in lower case."""
_DOUBTFUL = frozenset(("none", "na", "n/a", "-", "--", "?"))
"""Marks that may be real values, or stand for a missing one."""
_LONGEST_MARK = 16
"""Every mark is shorter than this many characters."""
_WHOLE = re.compile(r"([+-]?[0-9]+)\.0+")
_TRUTH = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false"}
_ITEM = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|-?[0-9]+)"""
_JOINED = re.compile(r"[^\s#]+(?:#[^\s#]+)+")
_LIST = re.compile(rf"\[\s*(?:{_ITEM}(?:\s*,\s*{_ITEM})*)?\s*,?\s*\]", re.DOTALL)


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
    separator: str = "auto",
    known: Collection[str] = (),
    numbers: bool = False,
) -> Iterator[TextRecord]:
    r"""Read a file of texts or pairs, row by row.

    Args:
        path: the file, also as .gz or .zst; "-" for the standard input.
        pair: two texts a row.
        columns: ours to theirs: {"text": "sentence1", "text_b": "sentence2", "label": "gold", "id": "number"}; all
            of them numbers from 1 for a file without a header.
        encoding: a name, or "auto" to detect it.
        problems: receives the counts of problems; bad rows are left out.
        labelled: rows must have a label; if false, no label is read.
        separator: what stands between the fields of a table; "auto" = as the file shows.
        known: labels that are accepted unchanged, even if they look like missing values.
        numbers: labels must be numbers.

    Raises:  ConfigError: the columns are missing or not clear; CorpusError: the file is missing, empty, binary,
             or more than half of its first 100 rows are bad.
    Example:
        >>> import pathlib, tempfile
        >>> file = pathlib.Path(tempfile.mkdtemp(), "a.tsv")
        >>> _ = file.write_text("text\tlabel\na fine day\tgood\n")
        >>> [(record.text, record.label) for record in read_texts(file)]
        [('a fine day', 'good')]
    """
    form = _form(pair, labelled)
    file = LabelledFile(
        path,
        Problems() if problems is None else problems,
        checked_columns(columns, form.known),
        labelled,
        separator,
        encoding,
        task="pair" if pair else "classify",
    )
    rows = rows_of(file, form)
    known = frozenset(known)
    records = records_of(file, rows, lambda row: _record(file, row, pair, known, numbers))
    return sound(records, file, "rows with " + " and ".join(form.names))


def rows_of(file: LabelledFile, form: Form) -> Iterator[Row]:
    """The rows of a file; its suffix decides its form, or else its first line.

    Raises:  ConfigError: the columns are missing or not clear; CorpusError: a broken JSON array.
    """
    lines = file.lines()
    if file.suffix in RECORDS:
        return json_rows(file, lines, form)
    head, lines = peek(lines, FIRST)
    first = [line for _, line in head]
    by_option = bool(file.columns) or file.separator != "auto"
    if file.task == "classify" and not by_option and are_label_lines(first):
        file.read.form = "fastText lines"
        return (Row(number, file.at(number), values) for number, values in label_lines(lines))
    if file.suffix not in TABLES and is_json(first) and column_numbers(file.columns) is None:
        return json_rows(file, lines, form)
    if file.suffix in TABLES or by_option or file.labelled or _is_table(first[:20], form):
        return delimited_rows(file, lines, form)
    file.read.form = "plain text"
    return _plain_rows(file, lines, form)


def _is_table(lines: list[str], form: Form) -> bool:
    """Whether the first lines of a possibly plain text are a table with a header."""
    for mark in ("\t", *SEPARATORS):
        names = fields_of(lines[0], mark) if lines else []
        if len(names) < 2 or not fits(form, names, {}):
            continue
        if mark == "\t" or all(len(fields_of(line, mark)) == len(names) for line in lines if line.strip()):
            return True
    return False


def _plain_rows(file: LabelledFile, lines: Numbered, form: Form) -> Iterator[Row]:
    """One text a line; for pairs two, with a tab between."""
    for number, line in lines:
        where = file.at(number)
        if not line or line.isspace():
            file.problems.add("empty_text", where, "")
            continue
        if form.names == ["text"]:
            yield Row(number, where, {"text": line}, plain=True)
        elif line.count("\t") == 1:
            yield Row(number, where, dict(zip(form.names, line.split("\t"), strict=True)), plain=True)
        else:
            yield Row(
                number, where, {}, bad="too_many_fields" if "\t" in line else "too_few_fields", got=line
            )


def _record(file: LabelledFile, row: Row, pair: bool, known: frozenset[str], numbers: bool) -> TextRecord:
    """The record of a row.

    Raises:  BadRecord: a field is missing.
    """
    values, problems = row.values, file.problems
    texts = texts_in(file, row, ("text", "text_b") if pair else ("text",))
    if not row.plain:
        for text in texts:
            mark = text.strip()[:_LONGEST_MARK].casefold()
            if mark in _MISSING:
                raise BadRecord("missing_text_mark", text)
            if mark in _DOUBTFUL:
                problems.add("doubtful_text", row.where, text)
    label = None
    if file.labelled:
        value = values.get("label")
        if value is None or (isinstance(value, str) and value.strip() in (("", "-") if pair else ("",))):
            raise BadRecord("missing_label", value or "")
        if value not in known if isinstance(value, str) else value != value:  # JSON's NaN
            mark = str(value).strip().casefold()
            if mark in _MISSING:
                raise BadRecord("missing_label_mark", str(value))
            if mark in _DOUBTFUL and not numbers:
                problems.add("doubtful_label", row.where, str(value))
        label = _label(value, known)
        if label is None:
            raise BadRecord("bad_label", repr(value))
        if numbers and as_number(label) is None:
            raise BadRecord("ambiguous_number" if may_be_thousands(label) else "not_a_number", str(value))
        if isinstance(label, str):
            if label not in known and _JOINED.fullmatch(label):
                problems.add("joined_label", row.where, label)
            label = file.scrub(label, row.where)
        elif isinstance(label, tuple):
            label = tuple(file.scrub(name, row.where) for name in label)
    return TextRecord(
        file.scrub(id_of(values, row.number), row.where),
        texts[0],
        texts[1] if pair else None,
        label,
        row.where,
    )


def _label(value: Any, known: Collection[str] = ()) -> Label | None:
    """A label from a field of a table or of a JSON object; None where the field is no label.

    Example:
        >>> [_label(v) for v in ("3.0", 3, 3.0, "True", True, "01", 2.5, "2.5", ["b", 1], "['b', 1]", "[?]")]
        ['3', '3', '3', 'true', 'true', '01', 2.5, '2.5', ('b', '1'), ('b', '1'), '[?]']
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        choices = parse_object(value) if value.startswith('{"choices"') else None  # Label Studio's .csv
        if choices is not None:
            return _label(choices.get("choices"), known)
        name = value.strip()
        if name in known:
            return name
        if whole := _WHOLE.fullmatch(name):
            return whole[1]
        if name.startswith("[") and _LIST.fullmatch(name):
            inner = _label(_list(name), known)
            return name if inner is None else inner
        return _TRUTH.get(name, name)
    if isinstance(value, int):
        return str(value) if abs(value) < 1 << 63 else None
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 1 << 53 else value
    if isinstance(value, list):
        several = [_label(item, known) for item in value]
        if all(isinstance(part, str) and part for part in several):
            return tuple(dict.fromkeys(str(part) for part in several))
    return None


def _list(text: str) -> Any:
    """A list of strings and integers as JSON or Python writes it; None where the text is no such list."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)  # literals alone: no code is run
    except (ValueError, SyntaxError):
        return None


def as_number(label: Label | None, *, commas: bool = True) -> float | None:
    """A label as a number; None where it is no number.

    Args:
        commas: a comma is a decimal comma, unless it may also separate thousands (`may_be_thousands`).

    Example:
        >>> as_number("4,25"), as_number("1,000"), as_number(2.5), as_number("good"), as_number("nan")
        (4.25, None, 2.5, None, None)
    """
    if isinstance(label, tuple) or label is None:
        return None
    if commas and isinstance(label, str) and _DECIMAL_COMMA.fullmatch(label) and not may_be_thousands(label):
        label = label.replace(",", ".")
    try:
        value = float(label)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def has_decimal_comma(label: Label | None) -> bool:
    """Whether a label is two integers with a comma between: a decimal number, thousands, or two classes."""
    return isinstance(label, str) and _DECIMAL_COMMA.fullmatch(label) is not None


def may_be_thousands(label: Label | None) -> bool:
    """Whether the comma of a label may separate either thousands or decimals.

    Example:
        >>> [may_be_thousands(label) for label in ("1,000", "12,345", "0,125", "1,00", "1234,567")]
        [True, True, False, False, False]
    """
    return isinstance(label, str) and _THOUSANDS.fullmatch(label) is not None


_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")
