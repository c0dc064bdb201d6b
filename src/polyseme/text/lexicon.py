"""Lexicons: lists of words, phrases and entities that a user brings along.

    text (.txt .tsv)    an entry a line; after a TAB, in any order, a frequency (a number, not used) and a type:
                        word, phrase or entity, or what kind of entity it is (person, place …). Entries without a
                        type are entities. Lines that begin with # are comments
    JSON (.json)        an array of strings, or of objects with "word" (or "name", "text") and perhaps "type"
    JSON lines          the same, an entry a line

All may be .gz or .zst, in any encoding that a corpus may have. Line ends of every kind, byte order marks and spaces
around words and TABs are taken off. Of a folder, the files with these suffixes are read, but not LICENSE, README or
SOURCE.txt.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from polyseme.core.files import suffix_of
from polyseme.errors import CorpusError
from polyseme.text.clean import CleaningReport, replace_surrogates
from polyseme.text.records import json_values
from polyseme.text.sources import RECORDS, find_sources, is_description, is_records, missing, read_text

__all__ = ["Entry", "lexicon_fingerprint", "read_lexicon"]

LEVELS = ("word", "phrase", "entity")
LONGEST = 100  # characters: what is longer is no entry but a mistake
_SUFFIXES = (".txt", ".tsv", *RECORDS)
_NUMBER = re.compile(r"[\d.,eE+-]*\d[\d.,eE+-]*")
_WORD_FIELDS = ("word", "name", "text")


class Entry(NamedTuple):
    """One entry of a lexicon.

    Args:
        text: in Unicode normal form C.
        level: what it is masked as: "word", "phrase" or "entity".
        type: what the lexicon calls it, or "".
        source: the file's name.
    """

    text: str
    level: str
    type: str
    source: str


def read_lexicon(paths: Sequence[str | os.PathLike[str]]) -> list[Entry]:
    """All entries of some files and folders, in their order; of equal texts the first.

    Args:
        paths: files and folders.
    Raises:  CorpusError: nothing there, not text, without an entry, or a line that is no entry; it names file and line.
    Example:
        entries = read_lexicon(["places.txt", "idioms/"])
    """
    entries: dict[str, Entry] = {}
    for path in _files(paths):
        before = len(entries)
        n = 0
        for entry in _entries(path):
            entries.setdefault(entry.text, entry)
            n += 1
        if not n and len(entries) == before:
            raise CorpusError(
                "the lexicon holds no entry", where=path, expected="a word, phrase or name on each line"
            )
    return list(entries.values())


def lexicon_fingerprint(entries: Sequence[Entry]) -> str:
    """Hash of what the entries say: the same for the same lexicon wherever its files lie."""
    lines = "\n".join(f"{e.text}\t{e.level}\t{e.type}" for e in entries)
    return hashlib.blake2b(lines.encode(), digest_size=16).hexdigest()


def _files(paths: Sequence[str | os.PathLike[str]]) -> Iterator[Path]:
    for name in paths:
        path = Path(name)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and suffix_of(p) in _SUFFIXES)
            files = [p for p in inside if not is_description(p.name) and not p.name.startswith(".")]
            if not files:
                raise CorpusError("no lexicon here", where=path, expected=".txt, .tsv, .json or .jsonl files")
            yield from files
        elif path.exists():
            yield path
        else:
            raise missing(path, "no such lexicon", "--lexicon FILE or FOLDER")


def _entries(path: Path) -> Iterator[Entry]:
    report = CleaningReport()
    (file,) = find_sources([path], report)
    chunks = read_text(file, "auto", report) or iter(())
    if not is_records(path):
        for number, line in enumerate("".join(chunks).split("\n"), 1):
            if line.strip() and not line.lstrip().startswith("#"):
                yield _of_line(line, path, number)
        return
    for value in json_values(chunks, str(path)):
        if value.value is None and not value.blank:
            raise CorpusError("not valid JSON", where=value.place(str(path)))
        if not value.blank:
            yield _of_record(value.value, path, f"{'record' if value.item else 'line'} {value.number}")


def _of_line(line: str, path: Path, number: int) -> Entry:
    word, *columns = (part.strip() for part in line.split("\t"))
    types = [column for column in columns if column and not _NUMBER.fullmatch(column)]
    if len(types) > 1:
        _refuse("a line with several types", line, path, f"line {number}")
    return _entry(word, types[0] if types else "", path, f"line {number}")


def _of_record(record: Any, path: Path, place: str) -> Entry:
    if isinstance(record, str):
        return _entry(record, "", path, place)
    fields = record if isinstance(record, dict) else {}
    word = next((fields[name] for name in _WORD_FIELDS if isinstance(fields.get(name), str)), None)
    if word is None:
        raise CorpusError(
            "a record without a word",
            got=", ".join(map(str, fields)) or type(record).__name__,
            expected='a string, or an object with "word"',
            where=f"{path}, {place}",
        )
    kind = fields.get("type")
    return _entry(word, kind if isinstance(kind, str) else "", path, place)


def _entry(word: str, kind: str, path: Path, place: str) -> Entry:
    text = " ".join(unicodedata.normalize("NFC", replace_surrogates(word)).split())
    if not any(map(str.isalnum, text)):
        _refuse("an entry without a letter", word, path, place)
    if len(text) > LONGEST:
        _refuse("an entry that is too long", text, path, place)
    level = kind.casefold() if kind.casefold() in LEVELS else "entity"
    return Entry(text, level, kind, path.name)


def _refuse(what: str, got: str, path: Path, place: str) -> NoReturn:
    shown = got.strip()
    raise CorpusError(
        what,
        got=repr(shown if len(shown) <= 60 else shown[:60] + "…"),
        expected=f"a word, phrase or name of at most {LONGEST} characters, perhaps a TAB and its type",
        where=f"{path}, {place}",
    )
