"""What the columns of a file in CoNLL's manner are: how they are parted, which hold token and tag, which lines comment.

    MultiCoNER     "# id … domain=en" before each sentence; token _ _ tag
    GermEval 2014  "# source" before each sentence; number, token, tag, second tag (of nested names)
    CoNLL-2012     "#begin document …"; the token is column 4, names are column 11

A line that begins with "#" is a comment where it stands before the first token of a sentence and cannot be a row:
"#tag O" and "# O" are tokens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polyseme.text.labelled.tagging import looks_tagged

__all__ = ["Layout", "fields_of", "is_docstart", "layout_of"]

_FIELDS = re.compile("[ \t]+")
_DOCUMENT = ("#begin document", "#end document")
_ONTONOTES = {"token": 3, "tag": 10}
"""Columns from 0 of CoNLL-2012's word and name."""


@dataclass(frozen=True)
class Layout:
    """How the lines of a file are read.

    Args:
        width: fields a line; of CoNLL-2012 the least, since predicates add columns. 0 = there is no line.
        tabs: fields are parted by tabs; else by tabs and spaces.
        token, tag: their columns from 0.
        second: the column of further tags that are not read.
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
        fields = fields_of(line, self.tabs)
        if len(fields) != self.width:
            return True
        tag = fields[self.tag] if self.tag < len(fields) else ""
        if tag in self.known or looks_tagged(tag):
            return False
        return all(map(looks_tagged, self.known)) or "=" in line or line.startswith(("# id", "#\thttp"))


def fields_of(line: str, tabs: bool) -> list[str]:
    """The fields of a line, parted by tabs, or by tabs and spaces."""
    line = line.strip(" \t")
    return [field.strip(" ") for field in line.split("\t")] if tabs else _FIELDS.split(line)


def is_docstart(line: str) -> bool:
    """Whether a line begins a document and is no token."""
    return line.startswith("-DOCSTART-")


def layout_of(lines: Sequence[str], places: Mapping[str, int]) -> Layout:
    """The layout that the first lines of a file show.

    Args:
        lines: its first lines, blank ones too.
        places: columns from 0 that the user has named, of "token" and "tag".
    """
    full = [line for line in lines if line.strip(" \t") and not is_docstart(line)]
    rows = [line for line in full if not line.startswith("#")] or full
    if not rows:
        return Layout(0)
    tabs = "\t" in rows[0]
    fields = [fields_of(line, tabs) for line in rows]
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
    seen = 0
    for line in lines:
        if not line.strip(" \t") or is_docstart(line):
            expected = None
        elif not line.startswith("#"):
            first = fields_of(line, tabs)[0]
            if not first.isdecimal() or (int(first) > 1 if expected is None else int(first) != expected):
                return False
            expected = int(first) + 1
            seen += 1
    return seen > 1


def _all_tagged(rows: Sequence[Sequence[str]], column: int) -> bool:
    return all(looks_tagged(row[column]) for row in rows)
