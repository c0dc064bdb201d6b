"""brat's standoff annotation: NAME.txt has the text, NAME.ann beside it the spans.

    T1 <tab> PER 0 4 <tab> Otto          a span; "PER 0 4;10 14" has a gap, which tags cannot write down
    R1, E1, A1, M1, N1, #1, *            relations, events, attributes, normalisations, notes: not read

A line of the text is a record; lines that a span joins stay one. Offsets count characters.

Source: brat.nlplab.org, standoff format.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from polyseme.errors import CorpusError
from polyseme.text.labelled.records import Problems

__all__ = ["brat_files", "brat_lines", "is_brat_folder"]

_SPAN = re.compile(r"T[^\t]*\t(\S+) ([0-9]+ [0-9]+(?:;[0-9]+ [0-9]+)*)(?:\t(.*))?")


def is_brat_folder(path: Path) -> bool:
    """Whether a folder holds a pair of files."""
    return path.is_dir() and any(
        annotation.with_suffix(".txt").is_file() for annotation in path.glob("*.ann")
    )


def brat_files(path: Path) -> list[Path]:
    """The pairs of files of an .ann, or of a whole folder.

    Raises:  CorpusError: an .ann has no text beside it.
    """
    annotations = sorted(path.glob("*.ann")) if path.is_dir() else [path]
    for annotation in annotations:
        if not annotation.with_suffix(".txt").is_file():
            raise CorpusError(
                "brat's annotation without its text",
                expected=annotation.with_suffix(".txt").name,
                where=annotation,
                fix="put the text beside it, under the same name",
            )
    return [file for annotation in annotations for file in (annotation, annotation.with_suffix(".txt"))]


def brat_lines(path: Path, problems: Problems, text_of: dict[Path, str]) -> Iterator[tuple[int, str]]:
    """A JSON line {"id", "text", "spans"} for each record, numbered through all files.

    Args:
        text_of: the content of each of `brat_files`.
    """
    number = 0
    texts = set(path.glob("*.txt")) if path.is_dir() else set()
    for lonely in sorted(texts - set(text_of)):
        problems.add("not_annotated", str(lonely))
    for annotation in (file for file in text_of if file.suffix == ".ann"):
        text = text_of[annotation.with_suffix(".txt")]
        spans = list(_spans(text_of[annotation], annotation, problems))
        for start, end in _pieces(text, [(a, b) for _, a, b, _ in spans]):
            number += 1
            inside = [
                {
                    "label": kind,
                    "start": a - start,
                    "end": b - start,
                    **({"text": surface} if surface else {}),
                }
                for kind, a, b, surface in spans
                if start <= a < end or (a >= len(text) and end == len(text))
            ]
            row = {"id": f"{annotation.stem}:{start}", "text": text[start:end], "spans": inside}
            yield number, json.dumps(row, ensure_ascii=False)


def _spans(text: str, path: Path, problems: Problems) -> Iterator[tuple[str, int, int, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        line, where = line.removesuffix("\r"), f"{path}:{number}"
        match = _SPAN.fullmatch(line)
        if match is not None and ";" in match[2]:
            problems.add("gap_in_span", where, line)
        elif match is not None:
            start, end = map(int, match[2].split())
            yield match[1], start, end, match[3] or ""
        elif line.startswith(("R", "E", "*")):
            problems.add("relations", where, line)
        elif line.startswith("T"):
            problems.add("bad_offsets", where, line)


def _pieces(text: str, spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """[start, end) of the lines that hold text; a span that goes on in the next line joins them."""
    start = at = 0
    for line in text.split("\n"):
        end = at + len(line)
        at = end + 1
        if any(a < end < b for a, b in spans):
            continue
        if text[start:end].strip():
            yield start, end
        start = at
    if start < len(text) and text[start:].strip():
        yield start, len(text)
