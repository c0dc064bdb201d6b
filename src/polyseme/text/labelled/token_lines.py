"""Tagged text in plain lines: CoNLL columns, a token a line, and word/tag, a sentence a line.

How CoNLL columns are read: what separates them, which hold token and tag, which lines are comments.

    MultiCoNER     "# id … domain=en" before each sentence; token _ _ tag
    GermEval 2014  "# source" before each sentence; number, token, tag, second tag (of nested names)
    CoNLL-2012     "#begin document …"; the token is column 4, names are column 11

A line that begins with "#" is a comment where it stands before the first token of a sentence and cannot be a row:
"#tag O" and "# O" are tokens.

Tagged text, a sentence a line: every word with its tag after its last "/" or "_".

    The/at jury/nn said/vbd ./.          Brown
    Ada_NNP smiles_VBZ ._.               Stanford's tagger
    迈向/v  充满/v  [中央/n  人民/n]nt     People's Daily; a line may begin with its number, 19980101-01-001-001/m

The brackets around names of several words are not read: the words keep their own tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from polyseme.errors import ConfigError
from polyseme.text.labelled.opening import FIRST, LabelledFile
from polyseme.text.labelled.records import TagRecord
from polyseme.text.labelled.spans import is_one_token, join_words
from polyseme.text.labelled.tagging import are_tags, is_half_tag, looks_tagged
from polyseme.text.split import Numbered, peek

__all__ = ["column_records", "has_columns", "inline_tag", "layout_of", "line_records", "tag_mark"]

_FIELDS = re.compile("[ \t]+")
_DOCUMENT = ("#begin document", "#end document")
_ONTONOTES = {"token": 3, "tag": 10}
"""Columns from 0 of CoNLL-2012's word and name."""


@dataclass(frozen=True)
class Layout:
    """How the lines of a file are read.

    Args:
        width: fields per line; for CoNLL-2012 the fewest, since predicates add columns. 0 = there is no line.
        tabs: tabs separate the fields; else tabs and spaces.
        token, tag: columns of token and tag, from 0.
        second: the column of second tags, which are not read.
        known: the tags of the first lines.
        open_ended: lines may have more fields than `width`.
    """

    width: int
    tabs: bool = False
    token: int = 0
    tag: int = 0
    second: int | None = None
    known: frozenset[str] = frozenset()
    open_ended: bool = False

    def is_comment(self, line: str, inside: bool) -> bool:
        """Whether a line is a comment.

        Args:
            inside: a token of the sentence came before.
        """
        if not line.startswith("#"):
            return False
        if line.startswith(_DOCUMENT):
            return True
        if inside or not (line[1:2] in ("", " ", "\t") or "=" in line):
            return False
        fields = _fields_of(line, self.tabs)
        if len(fields) != self.width:
            return True
        tag = fields[self.tag] if self.tag < len(fields) else ""
        if tag in self.known or looks_tagged(tag):
            return False
        return all(map(looks_tagged, self.known)) or "=" in line or line.startswith(("# id", "#\thttp"))


def _fields_of(line: str, tabs: bool) -> list[str]:
    """The fields of a line, separated by tabs, or by tabs and spaces."""
    line = line.strip(" \t")
    return [field.strip(" ") for field in line.split("\t")] if tabs else _FIELDS.split(line)


def _is_docstart(line: str) -> bool:
    """Whether a line begins a document and is no token."""
    return line.startswith("-DOCSTART-")


def layout_of(lines: Sequence[str], places: Mapping[str, int]) -> Layout:
    """The layout of a file, detected from its first lines.

    Args:
        lines: its first lines, blank ones too.
        places: columns from 0 that the user has named, of "token" and "tag".
    """
    full = [line for line in lines if line.strip(" \t") and not _is_docstart(line)]
    rows = [line for line in full if not line.startswith("#")] or full
    if not rows:
        return Layout(0)
    tabs = "\t" in rows[0]
    fields = [_fields_of(line, tabs) for line in rows]
    width = len(fields[0])
    token, tag, second, ontonotes = 0, width - 1, None, False
    if any(line.startswith(_DOCUMENT) for line in full) and width > _ONTONOTES["tag"]:
        token, tag, ontonotes = _ONTONOTES["token"], _ONTONOTES["tag"], True
        width = min(map(len, fields))
    elif width > 2 and _is_numbered(lines, tabs):
        token = 1
        several = [row for row in fields if len(row) == width]
        if width > 3 and _all_tagged(several, width - 1) and _all_tagged(several, width - 2):
            tag, second = width - 2, width - 1
    token, tag = places.get("token", token), places.get("tag", tag)
    known = frozenset(row[tag] for row in fields if len(row) > tag)
    return Layout(width, tabs, token, tag, second if "tag" not in places else None, known, ontonotes)


def _is_numbered(lines: Sequence[str], tabs: bool) -> bool:
    """Whether the first column counts the tokens of each sentence, from 0 or 1."""
    expected: int | None = None
    n_rows = 0
    for line in lines:
        if not line.strip(" \t") or _is_docstart(line):
            expected = None
        elif not line.startswith("#"):
            first = _fields_of(line, tabs)[0]
            if not first.isdecimal() or (int(first) > 1 if expected is None else int(first) != expected):
                return False
            expected = int(first) + 1
            n_rows += 1
    return n_rows > 1


def _all_tagged(rows: Sequence[Sequence[str]], column: int) -> bool:
    return all(looks_tagged(row[column]) for row in rows)


_MARKS = {"/": re.compile(r".+/[^/\s]+"), "_": re.compile(r".+_[^_\s]+")}
_CLOSED = re.compile(r"(.+?)/([^/\]\s]+)((?:\]/?[A-Za-z]+)+)")
_SPELT = frozenset(f"{letter}_" for letter in "BIESMLUW")
_NUMBER = re.compile(r"\d{8}-\d+-\d+-\d+/m")
_INLINE = re.compile(r"<([A-Za-z]\w*)(?:[\s:][^<>]*)?>[^<>]+</\1>|<START(?::\w+)?> [^<>]+ <END>")


def tag_mark(lines: Sequence[str], labelled: bool) -> str | None:
    """The mark between word and tag in the first lines of a file; None where they have another form.

    Args:
        lines: blank ones too.
        labelled: the file is known to have tags; if false, tags must also repeat, unlike in plain text with "and/or".
    """
    rows = [line.strip().split() for line in lines if line and not line.isspace()]
    if any("\t" in line.strip() for line in lines) or 2 * sum(len(row) > 1 for row in rows) <= len(rows):
        return None  # columns, or a token a line
    items = [item for row in rows for item in row]
    for mark, form in _MARKS.items():
        tags = [item.rpartition(mark)[2] for item in items if form.fullmatch(item)]
        if len(tags) < 0.98 * len(items) or (not labelled and len(set(tags)) == len(tags)):
            continue
        if not all(form.fullmatch(item) for item in rows[0]):
            continue
        if mark == "/" or not all(len(row) == len(rows[0]) for row in rows) or len(rows) == 1:
            return mark
        if not all(row[-1][:2] in _SPELT for row in rows):  # CoNLL columns with tags spelt B_PER
            return mark
    return None


def inline_tag(lines: Sequence[str]) -> str | None:
    """The first inline markup around words, such as <PER>Ada</PER>; None where there is none, or it is a token."""
    full = [line for line in lines if line and not line.isspace()]
    markup = [match[0] for line in full if (match := _INLINE.search(line))]
    columns = len({len(line.split()) for line in full}) == 1
    return markup[0] if markup and (not columns or 2 * len(markup) > len(full)) else None


def has_columns(lines: Sequence[str]) -> bool:
    """Whether the lines of a file without tags are tokens rather than sentences."""
    layout = layout_of(lines, {})
    tokens = [line for line in lines if line.strip(" \t") and not _is_docstart(line)]
    tokens = [line for line in tokens if not layout.is_comment(line, False)] if layout.width > 1 else tokens
    rows = [_fields_of(line, "\t" in tokens[0]) for line in tokens]
    if not rows:
        return False
    if len(rows[0]) > 1:
        alike = len({len(row) for row in rows}) == 1
        tagged = layout.open_ended or are_tags(row[-1] for row in rows)
        return alike and (tagged or "\t" in tokens[0])
    several = any(line.strip() == "" for line in lines[:-1]) and len(rows) > 1
    return several and all(len(row) == 1 and is_one_token(row[0]) for row in rows)


def column_records(
    file: LabelledFile, lines: Numbered, places: Mapping[str, int]
) -> Iterator[TagRecord | None]:
    """The sentences of CoNLL columns; None for a sentence with a bad line, which is counted.

    Args:
        places: columns from 0 that the user has named, of "token" and "tag".
    """
    head, lines = peek(lines, FIRST)
    layout = layout_of([line for _, line in head], places)
    problems, labelled = file.problems, file.labelled
    width, tabs, token_at, tag_at = layout.width, layout.tabs, layout.token, layout.tag
    start, sentence_ok, checked = 0, True, False
    words: list[str] = []
    tags: list[str] = []

    def sentence() -> TagRecord | None:
        if sentence_ok and labelled and layout.second is not None:
            problems.add("second_tags", file.at(start), f"column {layout.second + 1}")
        return _sentence(file, words, tags, start) if sentence_ok else None

    source = file.name
    for number, line in lines:
        where = f"{source}:{number}"
        if not line or not line.strip(" \t") or _is_docstart(line):
            if start:
                yield sentence()
            words, tags, start, sentence_ok = [], [], 0, True
            continue
        if width > 1 and layout.is_comment(line, inside=bool(start)):
            problems.add("comment_line", where, line)
            continue
        fields = _fields_of(line, tabs)
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
                form = f"CoNLL columns, token = column {token_at + 1}, tag = column {tag_at + 1}"
                file.read.form = form
        if len(fields) == width - 1 and line[0] in " \t":  # the token is a space
            problems.add("blank_token", where, line)
        elif len(fields) != width and not (layout.open_ended and len(fields) > width):
            problems.add("too_few_fields" if len(fields) < width else "too_many_fields", where, line)
            sentence_ok = False
        else:
            word, tag = fields[token_at], fields[tag_at if labelled or tag_at < len(fields) else -1]
            if not word or word.isspace():
                problems.add("blank_token", where, line)
                continue
            if labelled and is_half_tag(tag):
                problems.add("bad_tag", where, tag)
                sentence_ok = False
            words.append(word if word.isascii() else file.scrub(word, where))
            tags.append(tag)
    if start:
        yield sentence()


def line_records(file: LabelledFile, lines: Numbered, mark: str) -> Iterator[TagRecord | None]:
    """The sentences of word/tag lines; None for a sentence with an untagged word, which is counted."""
    for number, line in lines:
        where = file.at(number)
        words, tags = _tagged_words(file, line, mark, where)
        if not words:
            continue
        bad = next((word for word, tag in zip(words, tags, strict=True) if is_half_tag(tag)), None)
        if file.labelled and bad is not None:
            file.problems.add("bad_tag", where, bad)
            yield None
        else:
            yield _sentence(file, [file.scrub(word, where) for word in words], tags, number)


def _tagged_words(file: LabelledFile, line: str, mark: str, where: str) -> tuple[list[str], list[str]]:
    """The words and tags of a line; a word without a tag has ""."""
    items = line.split()
    if items and mark == "/" and _NUMBER.fullmatch(items[0]):
        file.problems.add("sentence_numbers", where, items.pop(0))
    words: list[str] = []
    tags: list[str] = []
    for item in items:
        word, separator, tag = item.rpartition(mark)
        if mark == "/" and (match := _CLOSED.fullmatch(item)):
            word, tag = match[1], match[2]
        if mark == "/" and len(word) > 1 and word.startswith("["):
            file.problems.add("word_brackets", where, item)
            word = word.lstrip("[") or "["
        words.append(word if separator and word else item)
        tags.append(tag if separator and word else "")
    return words, tags


def _sentence(file: LabelledFile, words: Sequence[str], tags: Sequence[str], number: int) -> TagRecord | None:
    where = file.at(number)
    if not words:
        file.problems.add("empty_text", where)
        return None
    text, offsets = join_words(words)
    return TagRecord(str(number), text, offsets, tuple(tags) if file.labelled else None, where)
