r"""A corpus in fixed pieces, each of which any process can read by itself.

    files ──► pieces of about `size` bytes: [(file, begin, end), …], in the order of the corpus

A piece is made of whole files and of parts of files. What it is depends on the files and on `size` alone, never on who
reads it, so that the pieces of a corpus can be prepared anywhere, in any order and again.

A plain text file is cut where a document ends: behind blank lines, behind a line, above a heading. Then the documents
of all pieces are those of the corpus. Only a file that is one document (rule "file") has no such place: longer than a
piece, it is cut behind a line, as its documents of 32,000 characters are. Compressed files, tables, columns, JSON that
is not one record a line, articles in <doc>, and text in UTF-16 are read whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace

from polyseme.errors import CorpusError
from polyseme.text.clean import CleaningReport
from polyseme.text.corpus import Corpus
from polyseme.text.sources import SourceFile, can_be_cut, estimated_bytes, read_text

__all__ = ["PIECE", "pieces"]

PIECE = 1 << 26
"""Bytes of text of a piece: a shard of about fifteen million tokens."""

_LOOK = 1 << 16  # bytes that are read at a time to find where a document ends
_LINE = rb"\r?\n"
_SPACE = rb"(?:[ \t]|\xe3\x80\x80)*"
_ENDS = {
    "blank": re.compile(_LINE + rb"(?:" + _SPACE + _LINE + rb")+"),
    "heading": re.compile(_LINE + rb"(?=[ \t]*= (?! ?=)[^\r\n]*[^=\s] =[ \t]*\r?\n)"),
    "line": re.compile(_LINE),
    "file": re.compile(_LINE),
    "record": re.compile(_LINE),
}


def pieces(corpus: Corpus, size: int = PIECE) -> Iterator[list[SourceFile]]:
    """The pieces of a corpus, in order; each has one file or part at least.

    Args:
        size: bytes of text of a piece, about: small files share one, and one that cannot be cut may be larger.
    Raises:  CorpusError: a file cannot be read.
    """
    waiting: list[SourceFile] = []
    filled = 0
    for file in corpus.files:
        for part in _parts(file, corpus, size):
            n = estimated_bytes(part) if part.end is None and not part.begin else _length(part)
            if waiting and filled + n > size:
                yield waiting
                waiting, filled = [], 0
            waiting.append(part)
            filled += n
    if waiting:
        yield waiting


def _length(part: SourceFile) -> int:
    return (part.size if part.end is None else part.end) - part.begin


def _parts(file: SourceFile, corpus: Corpus, size: int) -> Iterator[SourceFile]:
    """A file, or consecutive parts of it of about `size` bytes."""
    if file.size <= size or not can_be_cut(file, corpus.config.encoding):
        yield file
        return
    rule = corpus.rule_of(file)
    if rule not in _ENDS or (rule == "record" and not _is_a_record_a_line(file, corpus)):
        yield file
        return
    begin = 0
    while file.size - begin > size:
        end = _end_behind(file, begin + size, _ENDS[rule])
        if end is None:
            break
        yield replace(file, begin=begin, end=end)
        begin = end
    yield replace(file, begin=begin) if begin else file


def _end_behind(file: SourceFile, place: int, ends: re.Pattern[bytes]) -> int | None:
    """The first place at or behind `place` at which a document ends; None where there is none before the file's end."""
    try:
        with file.path.open("rb") as raw:
            raw.seek(place)
            data, done = b"", False
            while not done:
                more = raw.read(_LOOK + len(data))  # twice as much every time: a document may be long
                data, done = data + more, not more
                match = ends.search(data)
                # one that touches the end of what was read may go on behind it
                if match is not None and match.end() < len(data) - 256:
                    return place + match.end()
            match = ends.search(data)
            return place + match.end() if match is not None and match.end() < len(data) else None
    except OSError as error:
        raise CorpusError("cannot read a file", got=error.strerror, where=file.path) from None


def _is_a_record_a_line(file: SourceFile, corpus: Corpus) -> bool:
    """Whether the first two lines of a JSON file are an object each."""
    chunks = read_text(replace(file, begin=0, end=None), corpus.config.encoding, CleaningReport())
    head = next(chunks, "") if chunks is not None else ""
    lines = [line for line in head.split("\n")[:-1] if line.strip()][:2]
    return len(lines) == 2 and all(_is_object(line) for line in lines)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
