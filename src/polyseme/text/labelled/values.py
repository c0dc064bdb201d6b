"""The JSON values of a file, whatever they are: a line each, in one array, or one value over many lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from polyseme.errors import CorpusError
from polyseme.text.labelled.opening import Numbered

__all__ = ["Values", "json_values"]

Values = Iterator[tuple[int, str, Any]]
"""Number, place (FILE:LINE or FILE: record N) and value; None where a line is no JSON."""


def json_values(lines: Numbered, source: str) -> Values:
    """The values of a file, one by one; an array gives its items.

    A file is one value where its first line is none by itself, and where it is an array that stands alone: lists may
    also come one a line, as spaCy's pairs do.

    Raises:  CorpusError: an array that is broken.
    """
    kept: list[tuple[int, str]] = []
    for number, line in lines:
        if line and not line.isspace():
            kept.append((number, line))
            break
    if not kept:
        return
    number, first = kept[0]
    value, error = _parsed(first)
    if isinstance(value, list):
        second = next(((n, line) for n, line in lines if line and not line.isspace()), None)
        if second is None:
            yield from (
                _items(value, source) if not _is_pair(value) else [(number, f"{source}:{number}", value)]
            )
            return
        kept.append(second)
        if not isinstance(_parsed(second[1])[0], list):
            error = "text after the array"
            value = None
    elif error and first.lstrip().startswith(("[", "{")):
        kept += [(n, line) for n, line in lines]
        whole, reason = _parsed("\n".join(line for _, line in kept))
        if not reason:
            yield from (
                _items(whole, source) if isinstance(whole, list) else [(number, f"{source}:{number}", whole)]
            )
            return
        error = reason
    if error and first.lstrip().startswith("["):
        raise CorpusError(
            "broken JSON",
            got=error,
            where=f"{source}:{number}",
            fix="write one object a line, or one array",
        )
    for some in (kept, lines):
        for n, line in some:
            if line and not line.isspace():
                yield n, f"{source}:{n}", _parsed(line)[0]


def _parsed(text: str) -> tuple[Any, str]:
    """The value, and what is wrong with the text."""
    try:
        return json.loads(text), ""
    except (ValueError, RecursionError) as error:
        return None, str(error)


def _items(values: list[Any], source: str) -> Values:
    for n, value in enumerate(values, 1):
        yield n, f"{source}: record {n}", value


def _is_pair(value: list[Any]) -> bool:
    """Whether a list is one record of spaCy, a text and its annotation, and no array of records."""
    return len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict)
