"""Lines of fastText: labels, each with `__label__` before it, and a text.

    __label__pro a good day
    __label__sauce __label__cheese How much starch does a cheese sauce need?
    __label__4 , a comma that stands between label and text on every line is no part of the text

fastText takes them from anywhere in a line; files have them at the head, some at the end. A table whose header
names its columns is a table, whatever its labels are called.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from polyseme.text.labelled.opening import Numbered, peek

__all__ = ["are_label_lines", "label_lines"]

_MARK = "__label__"
_HEAD = re.compile(rf"[\s\ufeff]*((?:{_MARK}\S+(?:\s+|$))+)")
_END = re.compile(rf"((?:(?:^|\s+){_MARK}\S+)+)\s*$")
_COMMA = re.compile(r",\s+")


def are_label_lines(lines: Sequence[str]) -> bool:
    """Whether the first lines of a file are such lines: the first one, and nearly all others."""
    full = [line for line in lines if line and not line.isspace()]
    found = [_parts(line) is not None for line in full]
    return bool(found) and found[0] and sum(found) >= 0.9 * len(found)


def label_lines(lines: Numbered) -> Iterator[tuple[int, dict[str, Any]]]:
    """The number of each line that is not blank, its text, and its label, a list where it has several."""
    head, lines = peek(lines)
    parts = [found for _, line in head if (found := _parts(line))]
    comma = all(_COMMA.match(text) for _, text in parts)
    for number, line in lines:
        if not line or line.isspace():
            continue
        labels, text = _parts(line) or ([], line.strip())
        if comma and labels:
            text = _COMMA.sub("", text, count=1)
        yield number, {"text": text, "label": labels[0] if len(labels) == 1 else labels or None}


def _parts(line: str) -> tuple[list[str], str] | None:
    """The labels of a line and its text; None where it has no label."""
    if _MARK not in line:
        return None
    if match := _HEAD.match(line):
        text = line[match.end() :]
    elif match := _END.search(line):
        text = line[: match.start()]
    else:
        return None
    return [label.removeprefix(_MARK) for label in match[1].split()], text.strip()
