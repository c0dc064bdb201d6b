"""Which files a corpus consists of, and reading their bytes.

a file      read whatever its name, if it is text; .jsonl (and .json of one record a line) give records
a folder    its .txt and .jsonl files, each also .gz or .zst, in all sub-folders, in sorted order. Files named
            LICENSE*, README*, COPYING, NOTICE or SOURCE.txt describe the data and are skipped, as are
            hidden files, other suffixes and binary files; each is counted in the report
a pattern   with * ? or [ ]: the files that match, of any suffix; binary ones and descriptions are skipped
a name      a built-in corpus: python-docs
"""

from __future__ import annotations

import difflib
import glob
import gzip
import io
import os
import re
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from polyseme.errors import CorpusError
from polyseme.text.builtin import BUILTINS
from polyseme.text.clean import DirtReport
from polyseme.text.encodings import (
    HEAD,
    check_name,
    decode_stream,
    detect,
    display_name,
    first_beyond_ascii,
    is_binary,
    likely,
)

__all__ = [
    "STDIN",
    "SourceFile",
    "estimated_bytes",
    "find_sources",
    "is_description",
    "is_records",
    "read_chunks",
    "read_lines",
    "read_text",
]
from polyseme.text.records import no_text, text_of
from polyseme.text.split import lines

if TYPE_CHECKING:
    from polyseme.text.corpus import TextConfig

CHUNK = 1 << 20
STDIN = Path("-")
"""Reads the standard input."""
_GZIP, _ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_DESCRIPTION = re.compile(
    r"(licen[cs]e|readme)([._-].*)?|(copying|notice)(\.(txt|md))?|source\.txt(\.gz|\.zst)?", re.IGNORECASE
)
_TEXT_SUFFIX = re.compile(r".*\.(txt|jsonl)(\.gz|\.zst)?", re.IGNORECASE | re.DOTALL)
_RECORDS = re.compile(r".*\.(jsonl|ndjson|json)(\.gz|\.zst)?", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a corpus.

    Args:
        path: as it was named or found; a built-in corpus has its name here and sizes of zero.
        size: bytes on disk (compressed).
        mtime_ns: time of the last change.
        named: the user named it, so that not being able to read it is an error rather than a skip.
        builtin: it is a built-in corpus.
    """

    path: Path
    size: int
    mtime_ns: int
    named: bool = False
    builtin: bool = False


def is_description(name: str) -> bool:
    """Whether a file of this name tells about data (a licence, a read-me) rather than being data."""
    return _DESCRIPTION.fullmatch(name) is not None


def is_records(path: Path) -> bool:
    """Whether the file's name says that it holds one JSON record a line."""
    return _RECORDS.fullmatch(path.name) is not None


def find_sources(
    sources: Sequence[str | os.PathLike[str]], report: DirtReport, encoding: str = "auto"
) -> list[SourceFile]:
    """Resolve what the user named to files, without reading them, except that a named binary file is refused.

    Raises:  CorpusError: nothing is named, a name does not exist, a folder or pattern holds no text, a named
             file is binary, or all files are empty.
    """
    if not sources:
        raise CorpusError("no corpus is named", fix="name files, folders or python-docs")
    found: dict[str, SourceFile] = {}
    for name in sources:
        source = os.fspath(name)
        files = list(_resolve(source, report, encoding))
        if not files:
            skipped = {k: n for k, n in report.counts.items() if k.startswith("skipped")}
            raise CorpusError(
                "no text files here",
                got=", ".join(f"{n} {k.replace('_', ' ')}" for k, n in skipped.items()) or "nothing",
                expected=".txt or .jsonl files, each also .gz or .zst",
                where=source,
                fix="name the files themselves if they are text under other suffixes",
            )
        for file in files:
            key = str(file.path) if file.builtin else os.path.realpath(file.path)
            if key in found:
                report.add("named_twice", 1, str(file.path))
            else:
                found[key] = file
    if not any(file.size or file.builtin for file in found.values()):
        raise CorpusError(
            "the corpus is empty",
            got=f"{len(found)} files of 0 bytes",
            where=sources[0],
            fix="name files with text",
        )
    return list(found.values())


def _resolve(source: str, report: DirtReport, encoding: str) -> Iterator[SourceFile]:
    path = Path(source)
    if path.is_dir():
        yield from _walk(path, report)
    elif path.exists():
        yield _named(path, encoding)
    elif source in BUILTINS:
        yield SourceFile(Path(source), 0, 0, named=True, builtin=True)
    elif glob.has_magic(source):
        for match in sorted(glob.glob(source, recursive=True)):
            if os.path.isdir(match):
                yield from _walk(Path(match), report)
            elif _DESCRIPTION.fullmatch(os.path.basename(match)):
                report.add("skipped_description", 1, match)
            else:
                yield _stat(Path(match), named=False)
    else:
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, [*siblings, *BUILTINS], n=3)
        raise CorpusError(
            "no such file, folder or built-in corpus",
            where=source,
            fix=f"did you mean {' or '.join(near)}?" if near else "name a file, a folder or python-docs",
        )


def _walk(folder: Path, report: DirtReport) -> Iterator[SourceFile]:
    def refuse(error: OSError) -> None:
        raise CorpusError("cannot read a folder", got=error.strerror, where=error.filename)

    for place, folders, files in os.walk(folder, onerror=refuse):
        for hidden in [name for name in folders if name.startswith(".")]:
            report.add("skipped_hidden", 1, os.path.join(place, hidden))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(place, name)
            if name.startswith("."):
                report.add("skipped_hidden", 1, str(path))
            elif _DESCRIPTION.fullmatch(name):
                report.add("skipped_description", 1, str(path))
            elif _TEXT_SUFFIX.fullmatch(name) is None:
                report.add("skipped_suffix", 1, str(path))
            else:
                yield _stat(path, named=False)


def _stat(path: Path, named: bool) -> SourceFile:
    try:
        status = path.stat()
    except OSError as error:
        raise CorpusError("cannot read a file", got=error.strerror, where=path) from None
    return SourceFile(path, status.st_size, status.st_mtime_ns, named)


def _named(path: Path, encoding: str) -> SourceFile:
    if not path.is_file():
        raise CorpusError("neither a file nor a folder", where=path, fix="name a regular file")
    head = next(read_chunks(path, HEAD), b"")
    if is_binary(head) or (encoding == "auto" and detect(head) is None):
        raise _not_text(path, head)
    return _stat(path, named=True)


_OFFICE = (b"[Content_Types].xml", b"application/vnd.oasis", b"xl/workbook", b"word/document", b"_rels/.rels")
_ARCHIVES = {
    b"PK": "a zip archive",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a rar archive",
}


def _not_text(path: Path, head: bytes) -> CorpusError:
    """The error for a named file that is not text."""
    expected = "text in UTF-8, UTF-16, GB18030, Big5 or Latin-1, plain or as .gz or .zst"
    if head.startswith(b"\xd0\xcf\x11\xe0") or (head.startswith(b"PK") and any(o in head for o in _OFFICE)):
        return CorpusError(
            "not a text file: it is one of Excel or another office program",
            expected=expected,
            where=path,
            fix="save the sheet in that program as CSV UTF-8, or the text as plain text",
        )
    for magic, name in _ARCHIVES.items():
        if head.startswith(magic):
            return CorpusError(
                f"not a text file: it is {name}",
                expected=expected,
                where=path,
                fix="unpack it first, and name the file that is in it",
            )
    if head.startswith(b"PAR1"):
        return CorpusError(
            "not a text file: it is a table in the form Parquet",
            expected=expected,
            where=path,
            fix="give it the suffix .parquet where labelled files are read; write it as .jsonl elsewhere",
        )
    encoding = None if is_binary(head) else likely(head)
    return CorpusError(
        "not a text file, or text in an encoding that is not recognised",
        expected=expected,
        where=path,
        fix=f"--encoding {encoding}" if encoding else "save it as UTF-8 text first",
    )


def read_chunks(path: Path, size: int = CHUNK) -> Iterator[bytes]:
    """The bytes of a file in pieces of about `size`, decompressed if the file begins as gzip or zstandard does.

    Args:
        path: a file, or "-" for the standard input.

    Raises:  CorpusError: it cannot be opened, or the compressed data is broken.
    """
    try:
        with _standard_input() if path == STDIN else path.open("rb") as raw:
            yield from _decompress(raw, size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CorpusError(
            "the compressed file is damaged or cut short",
            got=str(error),
            where=path,
            fix="copy or download it again, or leave it out",
        ) from None
    except OSError as error:
        raise CorpusError("cannot read a file", got=error.strerror, where=path) from None


@contextmanager
def _standard_input() -> Iterator[IO[bytes]]:
    """The standard input with a look ahead; it is left open."""
    raw = io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer))
    try:
        yield raw
    finally:
        raw.detach()


def read_text(
    file: SourceFile, encoding: str, report: DirtReport, unify: bool = True
) -> Iterator[str] | None:
    """The text of a file in pieces of about a megabyte, with LF line ends; None if it is skipped as binary.

    Args:
        encoding: a name, or "auto" to detect it.
        report: counts byte order marks, other encodings, broken bytes and line ends.
        unify: make all line ends LF; else they stay as they are.

    Raises:  CorpusError: the file is damaged, or was named although it is binary.
    """
    source = str(file.path)
    chunks = read_chunks(file.path)
    first = next(chunks, b"")
    found = detect(first[:HEAD])
    if found == ("utf-8", 0) and first[:HEAD].isascii():  # nothing to tell by so far
        found = detect(first[first_beyond_ascii(first) :][:HEAD])
    if encoding != "auto" and not is_binary(first):
        codec = check_name(encoding)
        # What is found decides the byte order within the family that was asked for.
        found = found if found and found[0].startswith(codec) else (codec, 0)
    if found is None:
        if file.named:
            raise _not_text(file.path, first)
        report.add("skipped_binary", 1, source)
        return None
    codec, mark = found
    if mark:
        report.add("bom", 1, source)
    if codec not in ("utf-8", "ascii"):
        report.add(f"encoding_{display_name(codec)}", 1, source)
    return decode_stream(chain([first[mark:]], chunks), codec, report, source, unify)


def read_lines(path: Path, config: TextConfig, report: DirtReport) -> Iterator[str]:
    r"""The texts of a file, one a line or one a record: exactly as many as it has, those without text as "".

    Lines end at LF or CRLF and nowhere else, and are given as they stand: row i of what is made of them belongs to line
    i, as every other program counts lines, and a line is the same text as in a list of texts. What cleaning would do to
    a corpus (text/clean.py) would change or move them; a CR elsewhere is counted.

    Raises:  CorpusError: there is no such file, it is not text, or there are records and none has text in the field.
    """
    if not path.exists():
        raise CorpusError("no such file", where=path)
    if path.is_dir():
        raise CorpusError("a folder, where a file is needed", where=path, fix="one of its files")
    source = str(path)
    records, good, bad = is_records(path), False, ""
    file = _named(path, config.encoding)
    chunks = read_text(file, config.encoding, report, unify=False)
    for number, line in enumerate(lines(chunks or ()), 1):
        place = f"{source}, line {number}"
        if line is not None and "\r" in line:
            line = line.removesuffix("\r")
            if not records and "\r" in line:
                report.add("cr_inside", line.count("\r"), place)
        if line is None:
            report.add("record_too_long", 1, place)
            yield ""
        elif records:
            text = text_of(line, config.field, report, place)
            good = good or text is not None
            bad = bad or line.strip()
            yield text or ""
        else:
            yield line
    if bad and not good:
        raise no_text(bad, config.field, source)


def _decompress(raw: IO[bytes], size: int) -> Iterator[bytes]:
    magic = cast(io.BufferedReader, raw).peek(4)[:4]
    if magic == _ZSTANDARD:
        yield from _zstandard(raw, size)
        return
    stream = gzip.GzipFile(fileobj=raw) if magic.startswith(_GZIP) else raw
    while chunk := stream.read(size):
        yield chunk


def _zstandard(raw: IO[bytes], size: int) -> Iterator[bytes]:
    """Decompress frame after frame; a kilobyte at a time, because it may hold 32 MB of spaces."""
    import zstandard

    frame = None
    waiting = bytearray()
    while data := raw.read(1024):
        while data:
            frame = frame or zstandard.ZstdDecompressor().decompressobj()
            try:
                waiting += frame.decompress(data)
            except zstandard.ZstdError as error:
                raise EOFError(str(error)) from None
            data = frame.unused_data if frame.eof else b""
            frame = None if frame.eof else frame
        if len(waiting) >= size:
            yield bytes(waiting)
            waiting.clear()
    if frame is not None:
        raise EOFError("it ends in the middle of a zstandard frame")
    yield bytes(waiting)


def estimated_bytes(file: SourceFile) -> int:
    """About how many bytes of text a file holds: its size, or what its compressed form announces.

    gzip says so in its last four bytes, zstandard often in its first; else four times its size.
    """
    if file.builtin:
        return 2_000_000
    try:
        with file.path.open("rb") as raw:
            head = raw.read(18)
            raw.seek(max(file.size - 4, 0))
            tail = raw.read(4)
    except OSError as error:
        raise CorpusError("cannot read a file", got=error.strerror, where=file.path) from None
    if head.startswith(_GZIP):
        announced = int.from_bytes(tail, "little")
    elif head.startswith(_ZSTANDARD):
        import zstandard

        announced = zstandard.frame_content_size(head) if len(head) == 18 else -1
    else:
        return file.size
    return announced if file.size <= announced <= 1000 * file.size else 4 * file.size
