"""Sentences and a tag for each of their tokens, from CoNLL columns, CoNLL-U and JSON lines.

.conllu          the column or MISC key that `column` names; multiword ranges and empty nodes are no words
.jsonl .json     {"text", "spans": [{"start", "end", "label"}]} with character offsets, `end` exclusive;
                 {"tokens", "tags"}, with or without "text";
                 CLUENER's {"text", "label": {kind: {words: [[first, last], …]}}}
others           a token a line, its fields parted by tabs (if the first line has one) or spaces: the token first, the
                 tag last; a blank line between sentences; -DOCSTART- lines are skipped

The text of columns is joined anew: see `located.space_between`. Spans become BIO tags of tokens: words, single
Chinese characters and marks, cut further where a span begins or ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from polyseme.errors import ConfigError
from polyseme.text.labelled.conllu import conllu_records
from polyseme.text.labelled.located import is_one_token, join_words, locate, tagged_tokens, tokens_of
from polyseme.text.labelled.opening import (
    Columns,
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
from polyseme.text.labelled.records import Problems, TagRecord
from polyseme.text.labelled.rows import json_objects
from polyseme.text.labelled.tagging import Span, scheme_of

__all__ = ["read_tags", "tag_records"]

_FIELDS = re.compile("[ \t]+")
_HALF = re.compile("[BIESMLUWO]-|-.*[^-]")  # but -LRB- is a part of speech
_JSON_NAMES = {
    "text": ("text", "sentence"),
    "tokens": ("tokens", "words"),
    "tags": ("tags", "ner_tags", "labels"),
    "spans": ("spans", "entities", "label"),
}


def read_tags(
    path: Path | str,
    *,
    columns: Mapping[str, str] | None = None,
    column: str | None = None,
    encoding: str = "auto",
    problems: Problems | None = None,
    labelled: bool = True,
) -> Iterator[TagRecord]:
    """Read a file of tagged sentences, one by one.

    Args:
        path: the file, also as .gz or .zst; "-" for the standard input.
        columns: of CoNLL columns, numbers from 1: {"token": "1", "tag": "4"}; of JSON lines, the keys of "text",
            "tokens", "tags" and "spans".
        column: which column has the tags: of CoNLL columns a number from 1, of CoNLL-U upos (the default), xpos,
            deprel, feats or a key of MISC.
        encoding: a name, or "auto" to detect it.
        problems: receives what was found wrong; such sentences are left out.
        labelled: tokens must have tags; else the file may have one column only, or be plain text, a sentence a line.

    Raises:  ConfigError: there is no such column; CorpusError: the file is missing, empty, binary, or more than half of
             its first 100 sentences are bad.
    """
    problems = Problems() if problems is None else problems
    lines = numbered_lines(path, encoding, problems)
    return sound(
        tag_records(path, lines, columns, column, problems, labelled),
        path,
        problems,
        "a tag for each token",
    )


def tag_records(
    path: Path | str,
    lines: Numbered,
    columns: Columns | None,
    column: str | None,
    problems: Problems,
    labelled: bool,
) -> Iterator[TagRecord | None]:
    """Records of lines that were opened already; None for one that was counted as bad. See `read_tags`."""
    suffix = suffix_of(path)
    source = name_of(path)
    head, lines = peek(lines)
    first = next((line for _, line in head if line and not line.isspace()), "")
    if suffix in (".jsonl", ".ndjson", ".json") or (not suffix and first.lstrip().startswith(("{", "[{"))):
        if column is not None:
            raise ConfigError("a column of JSON lines", where="--column", fix="--columns tags=KEY")
        return _json_records(lines, source, checked_columns(columns, _JSON_NAMES), problems, labelled)
    columns = checked_columns(columns, ("token", "tag"))
    if suffix == ".conllu" or (not suffix and (first.startswith("# ") or first.count("\t") == 9)):
        if columns:
            raise ConfigError(
                "CoNLL-U has fixed columns", where="--columns", fix="--column upos|xpos|deprel|feats|KEY"
            )
        return conllu_records(lines, source, column or "upos", problems, labelled)
    if columns and column_numbers(columns) is None:
        raise ConfigError(
            "columns of a file without a header are numbers", where="--columns", fix="--columns token=1,tag=2"
        )
    if column is not None:
        if not column.isdecimal() or column == "0":
            raise ConfigError("columns are numbers from 1", got=column, where="--column", fix="--column 2")
        columns = {"tag": column, **columns}
    if not labelled and not columns and not _has_columns([line for _, line in head]):
        return _plain_records(lines, source, problems)
    return _column_records(lines, source, column_numbers(columns) or {}, problems, labelled)


def _has_columns(lines: Sequence[str]) -> bool:
    """Whether the lines of a file without tags are tokens rather than sentences."""
    tokens = [line for line in lines if line.strip(" \t") and not _is_docstart(line)]
    rows = [_fields(line, "\t" in tokens[0]) for line in tokens]
    if not rows:
        return False
    if len(rows[0]) > 1:
        alike = len({len(row) for row in rows}) == 1
        tagged = scheme_of(row[-1] for row in rows) is not None
        return alike and (tagged or "\t" in tokens[0])
    several = any(line.strip() == "" for line in lines[:-1]) and len(rows) > 1
    return several and all(len(row) == 1 and is_one_token(row[0]) for row in rows)


def _fields(line: str, tabs: bool) -> list[str]:
    """The fields of a line, parted by tabs, or by tabs and spaces."""
    line = line.strip(" \t")
    return [field.strip(" ") for field in line.split("\t")] if tabs else _FIELDS.split(line)


def _is_docstart(line: str) -> bool:
    return line.startswith("-DOCSTART-")


def _plain_records(lines: Numbered, source: str, problems: Problems) -> Iterator[TagRecord | None]:
    for number, line in lines:
        where = f"{source}:{number}"
        if not line or line.isspace():
            problems.add("empty_text", where, "")
        else:
            text = scrub(line, problems, where)
            yield TagRecord(str(number), text, tuple(tokens_of(text)), None, where)


def _column_records(
    lines: Numbered, source: str, places: Mapping[str, int], problems: Problems, labelled: bool
) -> Iterator[TagRecord | None]:
    """Sentences of CoNLL columns; None for one with a bad line, counted."""
    token_at, tag_at = places.get("token", 0), places.get("tag")
    width, tabs, start, good = 0, False, 0, True
    words: list[str] = []
    tags: list[str] = []
    for number, line in lines:
        where = f"{source}:{number}"
        if not line or not line.strip(" \t") or _is_docstart(line):
            if start:
                yield _sentence(words, tags if labelled else None, start, source, problems) if good else None
            words, tags, start, good = [], [], 0, True
            continue
        tabs = "\t" in line if not width else tabs
        fields = _fields(line, tabs)
        start = start or number
        if not width:
            width = len(fields)
            last = max(token_at, tag_at or 0 if labelled else 0)
            if last >= width or (labelled and tag_at is None and width < 2):
                raise ConfigError(
                    f"no column {last + 1}" if last >= width else "no column of tags: one field a line",
                    got=line[:200],
                    expected="a token and its tag on each line, a blank line between sentences",
                    where=where,
                    fix="--columns token=1,tag=2 with the numbers of the columns, from 1",
                )
            tag_at = width - 1 if tag_at is None or not labelled else tag_at
        if len(fields) == width - 1 and line[0] in " \t":  # the token is a space
            problems.add("blank_token", where, line)
        elif len(fields) != width:
            problems.add("too_few_fields" if len(fields) < width else "too_many_fields", where, line)
            good = False
        else:
            word, tag = fields[token_at], fields[-1 if tag_at is None else tag_at]
            if not word or word.isspace():
                problems.add("blank_token", where, line)
                continue
            if labelled and _is_bad(tag):
                problems.add("bad_tag", where, tag)
                good = False
            words.append(scrub(word, problems, where))
            tags.append(tag)
    if start:
        yield _sentence(words, tags if labelled else None, start, source, problems) if good else None


def _is_bad(tag: str) -> bool:
    """Whether a tag is half a tag: a letter without its kind or a kind without its letter."""
    return not tag or tag.isspace() or _HALF.fullmatch(tag) is not None


def _sentence(
    words: Sequence[str], tags: Sequence[str] | None, number: int, source: str, problems: Problems
) -> TagRecord | None:
    where = f"{source}:{number}"
    if not words:
        problems.add("empty_text", where)
        return None
    text, offsets = join_words(words)
    return TagRecord(str(number), text, offsets, None if tags is None else tuple(tags), where)


def _json_records(
    lines: Numbered, source: str, columns: Mapping[str, str], problems: Problems, labelled: bool
) -> Iterator[TagRecord | None]:
    for number, where, record in json_objects(lines, source):
        if record is None:
            problems.add("bad_json", where)
        yield None if record is None else _json_record(record, number, where, columns, problems, labelled)


def _json_record(
    record: Mapping[str, Any],
    number: int,
    where: str,
    columns: Mapping[str, str],
    problems: Problems,
    labelled: bool,
) -> TagRecord | None:
    def value(name: str) -> Any:
        names = (columns[name],) if name in columns else _JSON_NAMES[name]
        return next((record[one] for one in names if record.get(one) is not None), None)

    id = record.get("id")
    id = (
        scrub(str(id), problems, where)
        if isinstance(id, str | int) and not isinstance(id, bool)
        else str(number)
    )
    text, words = value("text"), value("tokens")
    if text is not None and (not isinstance(text, str) or not text or text.isspace()):
        problems.add("empty_text", where, repr(text))
        return None
    text = None if text is None else scrub(text, problems, where)
    if words is not None:
        if not isinstance(words, list) or not words or not all(isinstance(one, str) for one in words):
            problems.add("bad_offsets", where, repr(words))
            return None
        words = [scrub(one, problems, where) for one in words]
        tags = value("tags") if labelled else [""] * len(words)
        if tags is None or not isinstance(tags, list) or len(tags) != len(words):
            problems.add("missing_label" if tags is None else "bad_offsets", where, repr(tags))
            return None
        names = [
            scrub(one, problems, where) if isinstance(one, str) else str(one) if isinstance(one, int) else ""
            for one in tags
        ]
        if labelled and (bad := [name for name in names if _is_bad(name)]):
            problems.add("bad_tag", where, bad[0])
            return None
        kept = [(word, name) for word, name in zip(words, names, strict=True) if word and not word.isspace()]
        if len(kept) < len(words):
            problems.add("blank_token", where, n=len(words) - len(kept))
        if not kept:
            problems.add("empty_text", where)
            return None
        words = [word for word, _ in kept]
        offsets = None if text is None else locate(words, text)
        if text is not None and offsets is None:
            problems.add("text_mismatch", where, text)
        if text is None or offsets is None:
            text, offsets = join_words(words)
        return TagRecord(id, text, offsets, tuple(name for _, name in kept) if labelled else None, where)
    if text is None:
        problems.add("missing_field", where, "text or tokens")
        return None
    if not labelled:
        return TagRecord(id, text, tuple(tokens_of(text)), None, where)
    given = value("spans")
    if given is None:
        problems.add("missing_label", where)
        return None
    marked = _nested_spans(given) if isinstance(given, dict) else _flat_spans(given)
    if marked is None:
        problems.add("bad_offsets", where, repr(given))
        return None
    marked = [(scrub(kind, problems, where), start, end) for kind, start, end in marked]
    tokens, bio = tagged_tokens(text, marked, problems, where)
    return TagRecord(id, text, tokens, bio, where)


def _flat_spans(given: Any) -> list[Span] | None:
    """Spans as {"start", "end", "label"} or [start, end, label]; None where one has another form."""
    found: list[Span] = []
    for one in given if isinstance(given, list) else [None]:
        if isinstance(one, dict):
            kind = next((one[name] for name in ("label", "type", "entity") if name in one), None)
            start, end = one.get("start"), one.get("end")
        elif isinstance(one, list) and len(one) == 3:
            start, end, kind = one
        else:
            return None
        if type(start) is not int or type(end) is not int or not isinstance(kind, str) or not kind:
            return None
        found.append((kind, start, end))
    return found


def _nested_spans(given: Mapping[str, Any]) -> list[Span] | None:
    """Spans as CLUENER has them: {kind: {words: [[first, last], …]}}; None where one has another form."""
    found: list[Span] = []
    for kind, by_words in given.items():
        if not isinstance(by_words, dict):
            return None
        for places in by_words.values():
            for place in places if isinstance(places, list) else [None]:
                if (
                    not isinstance(place, list)
                    or len(place) != 2
                    or any(type(one) is not int for one in place)
                ):
                    return None
                found.append((kind, place[0], place[1] + 1))
    return found
