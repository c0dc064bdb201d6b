"""Sentences and a tag for each of their tokens, from CoNLL columns, CoNLL-U, JSON lines and tables.

.conllu          the column or MISC key that `columns` (tag=xpos) or `column` names; multiword ranges and empty nodes
                 are no words
.jsonl .json     {"text", "spans": [{"start", "end", "label"}]} with character offsets, `end` exclusive;
                 {"tokens", "tags"}, with or without "text";
                 CLUENER's {"text", "label": {kind: {words: [[first, last], …]}}}
                 and what annotation tools export: see `exports`, `spans`, `brat`, `datasets`
word/tag         a sentence a line, every word with its tag: see `token_lines`
.csv, headers    a row a token with the number of its sentence, or a row a sentence: see `token_tables`
others           a token a line, its fields separated by tabs (if the first line has one) or spaces: token first, the
                 tag last; a blank line between sentences; -DOCSTART- lines and comments are skipped: see
                 `token_lines`; tags in another spelling become ours: see `tagging`

The text of a columns file is joined from its words: see `spans.space_between`. Spans become BIO tags of tokens: words,
single Chinese characters and marks, cut further where a span begins or ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from polyseme.errors import ConfigError, CorpusError
from polyseme.text.labelled.conllu import conllu_records
from polyseme.text.labelled.exports import rows_in_our_form
from polyseme.text.labelled.guesses import guess_sentence_keys
from polyseme.text.labelled.opening import (
    FIRST,
    BadRecord,
    LabelledFile,
    Row,
    checked_columns,
    column_numbers,
    columns_option,
    follow,
    is_json,
    json_values,
    parse_object,
    records_of,
    sound,
)
from polyseme.text.labelled.records import Problems, TagRecord
from polyseme.text.labelled.rows import id_of
from polyseme.text.labelled.spans import (
    is_spans,
    join_words,
    locate,
    marked_spans,
    placed,
    tagged_tokens,
    tokens_of,
)
from polyseme.text.labelled.tagging import in_our_spelling, is_half_tag, looks_tagged
from polyseme.text.labelled.token_lines import (
    column_records,
    has_columns,
    inline_tag,
    layout_of,
    line_records,
    tag_mark,
)
from polyseme.text.labelled.token_tables import is_token_table, table_values
from polyseme.text.sources import RECORDS
from polyseme.text.split import Numbered, peek

__all__ = ["read_tags", "tag_records"]

_JSON_NAMES = {
    "text": ("text", "sentence", "originalText"),
    "tokens": ("tokens", "words"),
    "tags": ("tags", "ner_tags", "labels"),
    "spans": ("spans", "entities", "label", "labels", "ents", "annotations"),
}
_TABLE_NAMES = ("token", "tag", "text", "sentence")


def read_tags(
    path: Path | str,
    *,
    columns: Mapping[str, str] | None = None,
    column: str | None = None,
    encoding: str = "auto",
    separator: str = "auto",
    problems: Problems | None = None,
    labelled: bool = True,
) -> Iterator[TagRecord]:
    """Read a file of tagged sentences, one by one.

    Args:
        path: the file, also as .gz or .zst; "-" for the standard input.
        columns: for CoNLL columns numbers from 1: {"token": "1", "tag": "4"}; for JSON lines the keys of "text",
            "tokens", "tags" and "spans"; for CoNLL-U {"tag": …}, as `column`.
        column: the column of the tags: for CoNLL columns a number from 1, for CoNLL-U upos (the default), xpos, deprel,
            feats or a key of MISC.
        encoding: a name, or "auto" to detect it.
        separator: what stands between the fields of tables; "auto" = as the file shows.
        problems: receives the counts of problems; bad sentences are left out.
        labelled: tokens must have tags; if false, the file may have one column only, or be plain text, a sentence a
            line.

    Raises:  ConfigError: there is no such column; CorpusError: the file is missing, empty, binary, or more than half of
             its first 100 sentences are bad.
    """
    if labelled and Path(path).suffix.lower() == ".txt" and Path(path).with_suffix(".ann").is_file():
        path = Path(path).with_suffix(".ann")  # brat's text
    problems = Problems() if problems is None else problems
    file = LabelledFile(path, problems, dict(columns or {}), labelled, separator, encoding, task="tag")
    records = tag_records(file, file.lines(), column, "--columns tag=")
    return sound(records, file, "a tag for each token")


def tag_records(
    file: LabelledFile, lines: Numbered, column: str | None, option: str = "--column "
) -> Iterator[TagRecord | None]:
    """The records of lines that are already open; None for a bad one, which is counted. See `read_tags`.

    Args:
        option: how the user types a column of tags, for errors.
    """
    head, lines = peek(lines, FIRST)
    top = [line for _, line in head]
    first = next((line for line in top if line and not line.isspace()), "")
    if first.startswith("#FORMAT=WebAnno"):
        raise CorpusError(
            "WebAnno's own tables, which INCEpTION exports",
            got=first[:80],
            where=file.name,
            fix="export the project once more, as CoNLL 2002",
        )
    if file.suffix in RECORDS or (is_json(top) and (not file.suffix or parse_object(first) is not None)):
        if column is not None:
            raise ConfigError("a column of JSON lines", where="--column", fix="--columns tags=KEY")
        checked_columns(file.columns, _JSON_NAMES)
        records = _json_records(file, rows_in_our_form(file, json_values(lines, file.name)))
    elif file.suffix == ".conllu" or _is_conllu(top, file.suffix):
        return _conllu(file, lines, column, option)
    elif column is None and is_token_table(top, file.suffix, file.columns):
        checked_columns(file.columns, _TABLE_NAMES)
        records = _json_records(replace(file, columns={}), table_values(file, lines))
    else:
        checked_columns(file.columns, ("token", "tag") if column or file.columns else _TABLE_NAMES)
        records = _plain_lines(file, lines, top, column, option)
    return in_our_spelling(records, file.problems) if file.labelled else records


def _conllu(
    file: LabelledFile, lines: Numbered, column: str | None, option: str
) -> Iterator[TagRecord | None]:
    columns = checked_columns(file.columns, ("token", "tag"))
    column = columns.get("tag") or column or "upos"
    if columns.get("token", "2").lower() not in ("2", "form"):
        raise ConfigError(
            "the words of CoNLL-U are its second column",
            got=f"token={columns['token']}",
            where="--columns",
            fix=columns_option({"tag": column}),
        )
    file.read.form = f"CoNLL-U, {column}"
    return conllu_records(file, lines, column, "--columns tag=" if columns else option)


def _plain_lines(
    file: LabelledFile, lines: Numbered, top: Sequence[str], column: str | None, option: str
) -> Iterator[TagRecord | None]:
    """The sentences of word/tag lines or of CoNLL columns; without labels also plain text, a sentence a line."""
    columns, labelled = file.columns, file.labelled
    if not columns and not column:
        if mark := tag_mark(top, labelled):
            file.read.form = f"word{mark}tag on a line"
            return line_records(file, lines, mark)
        if labelled and (markup := inline_tag(top)) is not None:
            raise CorpusError(
                "tags are markup inside the text, which is not read",
                got=markup[:80],
                expected="a token and its tag on each line, word/tag on a line, or .jsonl with text and spans",
                where=file.name,
                fix="export the file once more, in one of these forms",
            )
        if not labelled and not has_columns(top):
            return _plain_records(file, lines)
    if columns and column_numbers(columns) is None:
        raise ConfigError(
            "columns of a file without a header are numbers",
            got=",".join(f"{ours}={theirs}" for ours, theirs in columns.items()),
            where=file.name,
            fix=f"--columns token=1,tag={max(2, layout_of(top, {}).width)}",
        )
    if column is not None:
        if not column.isdecimal() or column == "0":
            raise ConfigError(
                "columns are numbers from 1", got=column, where=option.partition(" ")[0], fix=f"{option}2"
            )
        columns = {"tag": column, **columns}
    return column_records(file, lines, column_numbers(columns) or {})


def _is_conllu(lines: Sequence[str], suffix: str) -> bool:
    """Whether a file with another suffix is CoNLL-U: ten columns, of which the first counts the words."""
    rows = [line for line in lines if line and not line.isspace() and not line.startswith("#")]
    ten = bool(rows) and all(row.count("\t") == 9 for row in rows)
    return ten and (not suffix or rows[0][:1].isdecimal())


def _plain_records(file: LabelledFile, lines: Numbered) -> Iterator[TagRecord | None]:
    for number, line in lines:
        where = file.at(number)
        if not line or line.isspace():
            file.problems.add("empty_text", where, "")
        else:
            text = file.scrub(line, where)
            yield TagRecord(str(number), text, tuple(tokens_of(text)), None, where)


def _json_records(file: LabelledFile, rows: Iterator[Row]) -> Iterator[TagRecord | None]:
    """The sentences of records; None for a bad one, which is counted."""
    head, rows = peek(rows, FIRST)
    if not file.read.form:
        tokens = any(follow(row.values, file.columns.get("tokens", "tokens")) for row in head)
        file.read.form = "JSON, " + ("tokens and tags" if tokens else "texts and spans")
    _check_keys(file, [row.values for row in head if not row.bad])
    yield from records_of(file, rows, lambda row: _json_record(file, row))


def _values_of(file: LabelledFile, record: Mapping[str, Any], name: str) -> Any:
    """The value of a record under one of our names, or a common variant of it; None where there is none."""
    names = (file.columns[name],) if name in file.columns else _JSON_NAMES[name]
    return next((value for key in names if (value := follow(record, key)) is not None), None)


def _check_keys(file: LabelledFile, records: Sequence[Mapping[str, Any]]) -> None:
    """Raise an error where no record has the keys that are needed.

    Raises:  ConfigError: the error lists the keys of the file, and those that may be meant.
    """
    columns, labelled = file.columns, file.labelled

    def has_key(name: str) -> bool:
        return any(_values_of(file, record, name) is not None for record in records)

    classes = [
        value
        for record in records
        for name in ((columns["spans"],) if "spans" in columns else ("label", "labels"))
        if (value := record.get(name)) is not None
    ]
    spans = any(is_spans(record.get(name)) for record in records for name in _JSON_NAMES["spans"])
    tagged = any(
        _tokens_of_tags(record.get("text"), record.get("labels", record.get("label"))) for record in records
    )
    if labelled and classes and not (spans or tagged or has_key("tokens")) and all(map(_is_class, classes)):
        raise file.for_task("classify", "classes of whole texts", repr(classes[0])[:80])
    if not records or (
        (has_key("tokens") or has_key("text")) and (not labelled or has_key("tags") or has_key("spans"))
    ):
        return
    keys = list(dict.fromkeys(key for record in records for key in record))
    if not keys:
        return
    typed = guess_sentence_keys(records, labelled)
    raise ConfigError(
        "no text with spans, and no tokens with tags, under the names that are known",
        got="keys " + ", ".join(keys)[:300],
        expected='{"text", "spans": [{"start", "end", "label"}]} or {"tokens", "tags"}',
        where=file.name,
        fix=columns_option(typed)
        if typed
        else "a file with spans or tags of its sentences; classes of whole texts are for the task classify",
    )


def _tokens_of_tags(text: Any, tags: Any) -> list[str] | None:
    """The tokens of a text that has one tag for each of its characters, or for each of its words; None otherwise."""
    if not isinstance(tags, list) or not tags or not all(isinstance(tag, str) for tag in tags):
        return None
    if isinstance(text, list):
        return text if len(text) == len(tags) else None
    if not isinstance(text, str) or not any(map(looks_tagged, tags)):
        return None
    return next((tokens for tokens in (list(text), text.split()) if len(tokens) == len(tags)), None)


def _is_class(value: Any) -> bool:
    """Whether a label is a class, or a list of classes."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(name, str) for name in value)
    return isinstance(value, str | int | float)


def _json_record(file: LabelledFile, row: Row) -> TagRecord:
    """The sentence of a record: of tokens and tags, or of a text and spans.

    Raises:  BadRecord: a field is missing.
    """
    problems, labelled, where = file.problems, file.labelled, row.where
    id = file.scrub(id_of(row.values, row.number), where)
    text, words, tags, spans = (_values_of(file, row.values, name) for name in _JSON_NAMES)
    if isinstance(words, list) and words and all(isinstance(word, dict) for word in words):
        # The keys of tokens in Prodigy and spaCy; the spans are in characters.
        written = [word.get("text", word.get("orth")) for word in words]
        words = None if text is not None else written
    given = spans if tags is None else tags
    if words is None and (parts := _tokens_of_tags(text, given)):
        words, tags = parts, given
        text = text if isinstance(text, str) else None
    if text is not None and (not isinstance(text, str) or not text or text.isspace()):
        raise BadRecord("empty_text", repr(text))
    text = None if text is None else file.scrub(text, where)
    if words is not None:
        if not isinstance(words, list) or not words or not all(isinstance(item, str) for item in words):
            raise BadRecord("bad_offsets", repr(words))
        words = [file.scrub(item, where) for item in words]
        tags = tags if labelled else [""] * len(words)
        if tags is None or not isinstance(tags, list) or len(tags) != len(words):
            raise BadRecord("missing_label" if tags is None else "bad_offsets", repr(tags))
        names = [
            file.scrub(item, where) if isinstance(item, str) else str(item) if isinstance(item, int) else ""
            for item in tags
        ]
        if labelled and (bad := [name for name in names if is_half_tag(name)]):
            raise BadRecord("bad_tag", bad[0])
        kept = [(word, name) for word, name in zip(words, names, strict=True) if word and not word.isspace()]
        if len(kept) < len(words):
            problems.add("blank_token", where, n=len(words) - len(kept))
        if not kept:
            raise BadRecord("empty_text")
        words = [word for word, _ in kept]
        offsets = None if text is None else locate(words, text)
        if text is not None and offsets is None:
            problems.add("text_mismatch", where, text)
        if text is None or offsets is None:
            text, offsets = join_words(words)
        return TagRecord(id, text, offsets, tuple(name for _, name in kept) if labelled else None, where)
    if text is None:
        raise BadRecord("missing_field", "text or tokens")
    if not labelled:
        return TagRecord(id, text, tuple(tokens_of(text)), None, where)
    if spans is None:
        raise BadRecord("missing_label")
    marked = marked_spans(spans)
    if marked is None:
        raise BadRecord("bad_offsets", repr(spans))
    placed_spans = [(file.scrub(kind, where), a, b) for kind, a, b in placed(text, marked, problems, where)]
    tokens, bio = tagged_tokens(text, placed_spans, problems, where)
    return TagRecord(id, text, tokens, bio, where)
