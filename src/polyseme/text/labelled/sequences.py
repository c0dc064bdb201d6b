"""Sentences and a tag for each of their tokens, from CoNLL columns, CoNLL-U, JSON lines and tables.

.conllu          the column or MISC key that `columns` (tag=xpos) or `column` names; multiword ranges and empty nodes
                 are no words
.jsonl .json     {"text", "spans": [{"start", "end", "label"}]} with character offsets, `end` exclusive;
                 {"tokens", "tags"}, with or without "text";
                 CLUENER's {"text", "label": {kind: {words: [[first, last], …]}}}
                 and what annotation tools export: see `exports`, `spans`, `brat`, `datasets`
word/tag         a sentence a line, every word with its tag: see `token_lines`
.csv, headers    a row a token with the number of its sentence, or a row a sentence: see `token_tables`
others           a token a line, its fields parted by tabs (if the first line has one) or spaces: the token first, the
                 tag last; a blank line between sentences; -DOCSTART- lines and comments are skipped: see
                 `token_lines`; tags in another spelling become ours: see `tagging`

The text of columns is joined anew: see `spans.space_between`. Spans become BIO tags of tokens: words, single
Chinese characters and marks, cut further where a span begins or ends.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from polyseme.errors import ConfigError, CorpusError
from polyseme.text.labelled.conllu import conllu_records
from polyseme.text.labelled.exports import own_rows
from polyseme.text.labelled.guesses import columns_option
from polyseme.text.labelled.opening import (
    Columns,
    Numbered,
    checked_columns,
    column_numbers,
    follow,
    form_suffix,
    json_values,
    name_of,
    numbered_lines,
    parse_object,
    peek,
    scrub,
    sound,
)
from polyseme.text.labelled.records import Problems, TagRecord
from polyseme.text.labelled.spans import (
    is_one_token,
    is_spans,
    join_words,
    locate,
    marked_spans,
    placed,
    tagged_tokens,
    tokens_of,
)
from polyseme.text.labelled.tagging import are_tags, in_our_spelling, looks_tagged
from polyseme.text.labelled.token_lines import (
    Layout,
    fields_of,
    inline_tag,
    is_docstart,
    layout_of,
    tag_mark,
    tagged_lines,
)
from polyseme.text.labelled.token_tables import is_token_table, table_values
from polyseme.text.sources import RECORDS

__all__ = ["read_tags", "tag_records"]

_HALF = re.compile("[BIESMLUWO]-|-.*[^-]")  # but -LRB- is a part of speech
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
        columns: of CoNLL columns, numbers from 1: {"token": "1", "tag": "4"}; of JSON lines, the keys of "text",
            "tokens", "tags" and "spans"; of CoNLL-U {"tag": …}, as `column`.
        column: which column has the tags: of CoNLL columns a number from 1, of CoNLL-U upos (the default), xpos,
            deprel, feats or a key of MISC.
        encoding: a name, or "auto" to detect it.
        separator: of tables, what stands between fields; "auto" = as the file shows.
        problems: receives what was found wrong; such sentences are left out.
        labelled: tokens must have tags; else the file may have one column only, or be plain text, a sentence a line.

    Raises:  ConfigError: there is no such column; CorpusError: the file is missing, empty, binary, or more than half of
             its first 100 sentences are bad.
    """
    problems = Problems() if problems is None else problems
    if labelled and Path(path).suffix.lower() == ".txt" and Path(path).with_suffix(".ann").is_file():
        path = Path(path).with_suffix(".ann")  # brat's text
    lines = numbered_lines(path, encoding, problems)
    return sound(
        tag_records(path, lines, columns, column, problems, labelled, separator, "--columns tag="),
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
    separator: str = "auto",
    option: str = "--column ",
) -> Iterator[TagRecord | None]:
    """Records of lines that were opened already; None for one that was counted as bad. See `read_tags`.

    Args:
        option: how a column of tags is typed, for errors.
    """
    suffix = form_suffix(path)
    source = name_of(path)
    head, lines = peek(lines)
    first = next((line for _, line in head if line and not line.isspace()), "")
    is_json = first.lstrip().startswith(("{", "[{"))
    if suffix in RECORDS or (is_json and (not suffix or parse_object(first) is not None)):
        if column is not None:
            raise ConfigError("a column of JSON lines", where="--column", fix="--columns tags=KEY")
        columns = checked_columns(columns, _JSON_NAMES)
        rows = own_rows(json_values(lines, source), path, "tag", columns, labelled, problems)
        records = _json_records(rows, source, columns, problems, labelled)
        return in_our_spelling(records, problems) if labelled else records
    if first.startswith("#FORMAT=WebAnno"):
        raise CorpusError(
            "WebAnno's own tables, which INCEpTION exports",
            got=first[:80],
            where=source,
            fix="export the project once more, as CoNLL 2002",
        )
    if suffix == ".conllu" or _is_conllu([line for _, line in head], suffix):
        named = checked_columns(columns, ("token", "tag"))
        option = "--columns tag=" if named else option
        column = named.get("tag") or column or "upos"
        if named.get("token", "2").lower() not in ("2", "form"):
            raise ConfigError(
                "the words of CoNLL-U are its second column",
                got=f"token={named['token']}",
                where="--columns",
                fix=columns_option({"tag": column}),
            )
        problems.file(source).form = f"CoNLL-U, {column}"
        return conllu_records(lines, source, column, problems, labelled, option)
    columns = checked_columns(columns, _TABLE_NAMES)
    if column is None and is_token_table([line for _, line in head], suffix, columns or {}):
        rows = table_values(lines, source, suffix, columns, labelled, problems, separator)
        records = _json_records(rows, source, {}, problems, labelled, bad="too_few_fields")
        return in_our_spelling(records, problems) if labelled else records
    columns = checked_columns(columns, ("token", "tag"))
    mark = None if columns or column else tag_mark([line for _, line in head], labelled)
    if mark is not None:
        problems.file(source).form = f"word{mark}tag on a line"
        records = _line_records(lines, source, mark, problems, labelled)
        return in_our_spelling(records, problems) if labelled else records
    markup = inline_tag([line for _, line in head]) if labelled and not columns and not column else None
    if markup is not None:
        raise CorpusError(
            "tags are markup inside the text, which is not read",
            got=markup[:80],
            expected="a token and its tag on each line, word/tag on a line, or .jsonl with text and spans",
            where=source,
            fix="export the file once more, in one of these forms",
        )
    if columns and column_numbers(columns) is None:
        raise ConfigError(
            "columns of a file without a header are numbers",
            got=",".join(f"{ours}={theirs}" for ours, theirs in columns.items()),
            where=source,
            fix=f"--columns token=1,tag={max(2, layout_of([line for _, line in head], {}).width)}",
        )
    if column is not None:
        if not column.isdecimal() or column == "0":
            raise ConfigError(
                "columns are numbers from 1", got=column, where=option.partition(" ")[0], fix=f"{option}2"
            )
        columns = {"tag": column, **columns}
    if not labelled and not columns and not _has_columns([line for _, line in head]):
        return _plain_records(lines, source, problems)
    places = column_numbers(columns) or {}
    layout = layout_of([line for _, line in head], places)
    records = _column_records(lines, source, layout, places, problems, labelled)
    return in_our_spelling(records, problems) if labelled else records


def _line_records(
    lines: Numbered, source: str, mark: str, problems: Problems, labelled: bool
) -> Iterator[TagRecord | None]:
    """Sentences with word/tag on a line; None, counted, for one with a word without a tag."""
    for number, words, tags in tagged_lines(lines, source, mark, problems):
        where = f"{source}:{number}"
        bad = next((word for word, tag in zip(words, tags, strict=True) if labelled and _is_bad(tag)), None)
        if bad is not None:
            problems.add("bad_tag", where, bad)
            yield None
            continue
        words = [scrub(word, problems, where) for word in words]
        yield _sentence(words, tags if labelled else None, number, source, problems)


def _is_conllu(lines: Sequence[str], suffix: str) -> bool:
    """Whether a file of another name is CoNLL-U: ten columns, of which the first counts the words."""
    rows = [line for line in lines if line and not line.isspace() and not line.startswith("#")]
    ten = bool(rows) and all(row.count("\t") == 9 for row in rows)
    return ten and (not suffix or rows[0][:1].isdecimal())


def _has_columns(lines: Sequence[str]) -> bool:
    """Whether the lines of a file without tags are tokens rather than sentences."""
    layout = layout_of(lines, {})
    tokens = [line for line in lines if line.strip(" \t") and not is_docstart(line)]
    tokens = [line for line in tokens if not layout.is_comment(line, False)] if layout.width > 1 else tokens
    rows = [fields_of(line, "\t" in tokens[0]) for line in tokens]
    if not rows:
        return False
    if len(rows[0]) > 1:
        alike = len({len(row) for row in rows}) == 1
        tagged = layout.open_ended or are_tags(row[-1] for row in rows)
        return alike and (tagged or "\t" in tokens[0])
    several = any(line.strip() == "" for line in lines[:-1]) and len(rows) > 1
    return several and all(len(row) == 1 and is_one_token(row[0]) for row in rows)


def _plain_records(lines: Numbered, source: str, problems: Problems) -> Iterator[TagRecord | None]:
    for number, line in lines:
        where = f"{source}:{number}"
        if not line or line.isspace():
            problems.add("empty_text", where, "")
        else:
            text = scrub(line, problems, where)
            yield TagRecord(str(number), text, tuple(tokens_of(text)), None, where)


def _column_records(
    lines: Numbered,
    source: str,
    layout: Layout,
    places: Mapping[str, int],
    problems: Problems,
    labelled: bool,
) -> Iterator[TagRecord | None]:
    """Sentences of CoNLL columns; None for one with a bad line, counted."""
    width, tabs, token_at, tag_at = layout.width, layout.tabs, layout.token, layout.tag
    start, good, checked = 0, True, False
    words: list[str] = []
    tags: list[str] = []

    def sentence() -> TagRecord | None:
        if good and labelled and layout.second is not None:
            problems.add("second_tags", f"{source}:{start}", f"column {layout.second + 1}")
        return _sentence(words, tags if labelled else None, start, source, problems) if good else None

    for number, line in lines:
        where = f"{source}:{number}"
        if not line or not line.strip(" \t") or is_docstart(line):
            if start:
                yield sentence()
            words, tags, start, good = [], [], 0, True
            continue
        if width > 1 and layout.is_comment(line, inside=bool(start)):
            problems.add("comment_line", where, line)
            continue
        fields = fields_of(line, tabs)
        start = start or number
        if not checked:
            checked = True
            last = max(token_at, tag_at if labelled or "tag" in places else 0)
            if last >= width or (labelled and "tag" not in places and width < 2):
                raise ConfigError(
                    f"no column {last + 1}" if last >= width else "no column of tags: one field a line",
                    got=line[:200],
                    expected="a token and its tag on each line, a blank line between sentences",
                    where=where,
                    fix=f"--columns token=1,tag={width}"
                    if width > 1
                    else "write the tag behind each token, or .jsonl with tokens and tags",
                )
            if labelled:
                what = f"CoNLL columns, token = column {token_at + 1}, tag = column {tag_at + 1}"
                problems.file(source).form = what
        if len(fields) == width - 1 and line[0] in " \t":  # the token is a space
            problems.add("blank_token", where, line)
        elif len(fields) != width and not (layout.open_ended and len(fields) > width):
            problems.add("too_few_fields" if len(fields) < width else "too_many_fields", where, line)
            good = False
        else:
            word, tag = fields[token_at], fields[tag_at if labelled or tag_at < len(fields) else -1]
            if not word or word.isspace():
                problems.add("blank_token", where, line)
                continue
            if labelled and _is_bad(tag):
                problems.add("bad_tag", where, tag)
                good = False
            words.append(scrub(word, problems, where))
            tags.append(tag)
    if start:
        yield sentence()


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
    rows: Iterator[tuple[int, str, dict[str, Any] | None]],
    source: str,
    columns: Mapping[str, str],
    problems: Problems,
    labelled: bool,
    bad: str = "bad_json",
) -> Iterator[TagRecord | None]:
    """Sentences of records; None for one that was counted as bad."""
    head, rows = peek(rows)
    read = problems.file(source)
    if not read.form:
        tokens = any(record and follow(record, columns.get("tokens", "tokens")) for _, _, record in head)
        read.form = "JSON, " + ("tokens and tags" if tokens else "texts and spans")
    _check_keys([record for _, _, record in head if record is not None], source, columns, labelled)
    for number, where, record in rows:
        if record is None:
            problems.add(bad, where)
        yield None if record is None else _json_record(record, number, where, columns, problems, labelled)


def _check_keys(
    records: Sequence[Mapping[str, Any]], source: str, columns: Mapping[str, str], labelled: bool
) -> None:
    """Raise where none of the records has what is needed under the names that are looked for.

    Raises:  ConfigError: with the keys that are there, and those that may be meant.
    """

    def there(name: str) -> bool:
        names = (columns[name],) if name in columns else _JSON_NAMES[name]
        return any(follow(record, one) is not None for record in records for one in names)

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
    if labelled and classes and not (spans or tagged or there("tokens")) and all(map(_is_class, classes)):
        raise ConfigError(
            "the labels of this file are classes of whole texts",
            got=repr(classes[0])[:80],
            where=source,
            fix=f"polyseme finetune classify RUN --train {shlex.quote(source)} -o RUN2",
        )
    if not records or (
        (there("tokens") or there("text")) and (not labelled or there("tags") or there("spans"))
    ):
        return
    keys = list(dict.fromkeys(key for record in records for key in record))
    if not keys:
        return
    typed = _guess(records, keys, labelled)
    raise ConfigError(
        "no text with spans, and no tokens with tags, under the names that are known",
        got="keys " + ", ".join(keys)[:300],
        expected='{"text", "spans": [{"start", "end", "label"}]} or {"tokens", "tags"}',
        where=source,
        fix=columns_option(typed)
        if typed
        else "a file with spans or tags of its sentences; classes of whole texts are for the task classify",
    )


def _tokens_of_tags(text: Any, tags: Any) -> list[str] | None:
    """The tokens of a text that has a tag for each of its characters, or of its words; None where it has not."""
    if not isinstance(tags, list) or not tags or not all(isinstance(one, str) for one in tags):
        return None
    if isinstance(text, list):
        return text if len(text) == len(tags) else None
    if not isinstance(text, str) or not any(map(looks_tagged, tags)):
        return None
    return next((some for some in (list(text), text.split()) if len(some) == len(tags)), None)


def _is_class(value: Any) -> bool:
    """Whether a label is a class, or a list of classes."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(one, str) for one in value)
    return isinstance(value, str | int | float)


def _guess(records: Sequence[Mapping[str, Any]], keys: Sequence[str], labelled: bool) -> dict[str, str]:
    """Which keys may be meant, by their values; nothing where that is not clear."""

    def most(fits: Callable[[Any], bool], but: Sequence[str] = ()) -> list[str]:
        return [
            key
            for key in keys
            if key not in but and 2 * sum(fits(record.get(key)) for record in records) > len(records)
        ]

    nested = [key for key in _paths(records[0]) if "." in key]
    inner = {key: [follow(record, key) for record in records] for key in nested}
    deep = [key for key, some in inner.items() if 2 * sum(map(is_spans, some)) > len(records)]
    lists = most(lambda value: isinstance(value, list) and bool(value))
    spans = [*most(is_spans), *deep]
    tokens = [
        k for k in lists if k not in spans and _all_strings(records, k) and _alike_long(records, k, lists)
    ]
    texts = most(lambda value: isinstance(value, str) and bool(value))
    text = max(texts, key=lambda key: sum(len(str(record.get(key))) for record in records), default="")
    if len(tokens) > 1 or (tokens and not labelled):
        words = max(tokens, key=lambda key: len({one for record in records for one in record.get(key) or ()}))
        tags = [key for key in tokens if key != words]
        return {"tokens": words} | ({"tags": tags[0]} if labelled else {})
    if not text or (labelled and not spans):
        return {}
    return {"text": text} | ({"spans": spans[0]} if labelled else {})


def _paths(value: Mapping[str, Any], above: str = "", depth: int = 3) -> Iterator[str]:
    """Paths to what a record holds, such as "job.annotations.entities"."""
    for key, inner in value.items():
        yield f"{above}{key}"
        if isinstance(inner, dict) and depth:
            yield from _paths(inner, f"{above}{key}.", depth - 1)


def _all_strings(records: Sequence[Mapping[str, Any]], key: str) -> bool:
    return all(isinstance(one, str) for record in records for one in record.get(key) or ())


def _alike_long(records: Sequence[Mapping[str, Any]], key: str, keys: Sequence[str]) -> bool:
    """Whether another list is as long as this one in every record."""
    lengths = [
        [len(record[name]) for record in records if isinstance(record.get(name), list)] for name in keys
    ]
    own = [len(record[key]) for record in records if isinstance(record.get(key), list)]
    return lengths.count(own) > 1


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
        return next((found for one in names if (found := follow(record, one)) is not None), None)

    id = record.get("id")
    id = (
        scrub(str(id), problems, where)
        if isinstance(id, str | int) and not isinstance(id, bool)
        else str(number)
    )
    text, words = value("text"), value("tokens")
    if isinstance(words, list) and words and all(isinstance(one, dict) for one in words):
        # What Prodigy and spaCy say of each token; the spans are in characters.
        written = [one.get("text", one.get("orth")) for one in words]
        words = None if text is not None else written
    tags = value("tags")
    if words is None and (parts := _tokens_of_tags(text, tags if tags is not None else value("spans"))):
        words, tags = parts, tags if tags is not None else value("spans")
        text = text if isinstance(text, str) else None
    if text is not None and (not isinstance(text, str) or not text or text.isspace()):
        problems.add("empty_text", where, repr(text))
        return None
    text = None if text is None else scrub(text, problems, where)
    if words is not None:
        if not isinstance(words, list) or not words or not all(isinstance(one, str) for one in words):
            problems.add("bad_offsets", where, repr(words))
            return None
        words = [scrub(one, problems, where) for one in words]
        tags = tags if labelled else [""] * len(words)
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
    marked = marked_spans(given)
    if marked is None:
        problems.add("bad_offsets", where, repr(given))
        return None
    found = [(scrub(kind, problems, where), a, b) for kind, a, b in placed(text, marked, problems, where)]
    tokens, bio = tagged_tokens(text, found, problems, where)
    return TagRecord(id, text, tokens, bio, where)
