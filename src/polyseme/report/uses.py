"""Uses of a word for people: a line each, the word below the word, as a concordance has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polyseme.core.result import Result
from polyseme.report.figures import width
from polyseme.report.files import write_json_lines, write_study
from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Either, Notes, Part, Table

__all__ = ["uses_page", "write_uses"]

_PAGE, _TERMINAL = 72, 26
"""Columns that are shown on either side of the word."""
_SHOWN = 20
"""Uses that a terminal shows."""


def uses_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """The whole page of a word's uses.

    Raises:  ConfigError: another language.
    """
    say = Speaker(lang)
    uses, strong = document["uses"], frozenset((row, 1) for row in range(len(document["uses"])))
    hints = {(row, 1): use["text"] for row, use in enumerate(uses)}
    wide = Table([""] * 3, [_line(use, _PAGE) for use in uses], "", (1, 2), strong, hints)
    narrow = Table([""] * 3, [_line(use, _TERMINAL) for use in uses[:_SHOWN]], "", (1, 2))
    more = len(uses) - _SHOWN
    rest = say("… and {n} more", n=f"{more:,}") if more > 0 else ""
    parts: list[Part] = [
        Either(page=[wide], terminal=[narrow, rest]),
        Either(page=[Notes([say.note(note) for note in document["notes"]])]),
    ]
    return Page(say("Uses of {word}", word=document["word"]), _what(document, say), parts, lang)


def _what(document: Mapping[str, Any], say: Speaker) -> str:
    counts = {"n": f"{len(document['uses']):,}", "found": f"{document['found']:,}"}
    read = f"{document['texts_read']:,}"
    if document["from"] == "store":
        return say(
            "{n} of {found} uses in the text that {run} was trained on, {read} documents.",
            **counts,
            run=Path(document["run"]).name,
            read=read,
        )
    if document["from"] == "texts":
        return say("{n} of {found} uses in {read} documents.", **counts, read=read)
    return say("{n} of {found} uses in {read} lines.", **counts, read=read)


def _line(use: Mapping[str, Any], most: int) -> list[str]:
    text, start, end = use["text"], use["start"], use["end"]
    before = _nearest(" ".join(text[:start].split())[::-1], most)[::-1]
    return [before, text[start:end], _nearest(" ".join(text[end:].split()), most)]


def _nearest(text: str, most: int) -> str:
    """The beginning of a text, as many columns as fit, and a mark where there is more."""
    if width(text) <= most:
        return text
    while width(text) >= most:
        text = text[: most - 1] if len(text) > most else text[:-1]
    return text + "…"


def write_uses(result: Result, path: Path, lang: str = "en") -> tuple[list[Path], list[str]]:
    """Write uses.html, uses.json, and uses.jsonl, which `senses` reads.

    Raises:  StorageError: they cannot be written.  ConfigError: another language.
    """
    document = result.document()
    files, note = write_study("uses", document, uses_page(document, lang), path)
    rows = [{**use, "word": document["word"]} for use in document["uses"]]
    return [write_json_lines(rows, path / "uses.jsonl"), *files], [note] if note else []
