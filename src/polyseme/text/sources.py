"""Which files a corpus consists of, and reading their bytes.

a file      read whatever its name, if it is text; .jsonl, .ndjson and .json give records, .csv and .tsv a column,
            as do .parquet and .arrow, which are no text
a folder    its .txt, .text, .jsonl and .ndjson files and wikiextractor's wiki_00 …, each also .gz or .zst, in all
            sub-folders, in sorted order; links are followed, once.
            Files named LICENSE*, README*, COPYING, NOTICE or SOURCE.txt describe the data and are
            skipped, as are hidden files, other suffixes, binary files, links that lead nowhere and what is no file or
            may not be read; each is counted in the report, by suffix where that is why
a pattern   with * ? or [ ]: the files that match, of any suffix; binary ones and descriptions are skipped
a name      a built-in corpus: python-docs
a URL       s3://BUCKET/KEY and the like (core/remote.py): a file, a folder or a pattern, by the same rules
"""

from __future__ import annotations

import difflib
import glob
import gzip
import io
import os
import re
import stat
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import IO, Any, cast

from polyseme.core.files import COMPRESSED, suffix_of
from polyseme.core.remote import RemotePath, remote_path, stamp
from polyseme.errors import CorpusError
from polyseme.text.articles import is_extracted
from polyseme.text.builtin import BUILTINS
from polyseme.text.clean import KINDS, CleaningReport
from polyseme.text.config import TextConfig
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
from polyseme.text.records import record_texts
from polyseme.text.split import lines

__all__ = [
    "ARROW",
    "RECORDS",
    "STDIN",
    "TABLES",
    "SourceFile",
    "can_be_cut",
    "estimated_bytes",
    "find_sources",
    "is_arrow",
    "is_description",
    "is_records",
    "is_table",
    "missing",
    "read_chunks",
    "read_lines",
    "read_text",
    "skipped_suffixes",
]

CHUNK = 1 << 20
STDIN = Path("-")
"""Reads the standard input."""
_TAR = slice(257, 262)  # where a tar archive says that it is one
_GZIP, _ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_DESCRIPTION = re.compile(
    r"(licen[cs]e|readme)([._-].*)?|(copying|notice)(\.(txt|md))?|source\.txt(\.gz|\.zst)?", re.IGNORECASE
)
_TEXTS = (".txt", ".text", ".jsonl", ".ndjson")
"""Suffixes of the files that are read of a folder."""
RECORDS = (".jsonl", ".ndjson", ".json")
TABLES = (".tsv", ".csv")
ARROW = (".arrow", ".parquet")
MARKUP = (".html", ".htm", ".xhtml", ".xml")
_ARCHIVES = (".zip", ".tar", ".tgz", ".7z", ".rar", ".bz2", ".xz", ".tbz", ".txz")
_PAPERS = (
    ".pdf", ".doc", ".docx", ".odt", ".rtf", ".epub", ".mobi", ".pages", ".ppt", ".pptx", ".xls", ".xlsx", ".ps",
)  # fmt: skip
_BINARY = (*ARROW, ".feather", ".bin", ".npy", ".npz", ".pkl", ".pickle", ".sqlite", ".db")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a corpus.

    Args:
        path: as it was named or found; a built-in corpus has its name here and sizes of zero.
        size: bytes on disk (compressed).
        mtime_ns: time of the last change.
        named: the user named it, so that not being able to read it is an error rather than a skip.
        builtin: it is a built-in corpus.
        origin: what the user named: the file, its folder or a pattern.
        begin, end: the bytes that are meant, where it is a part of a file (pieces.py); `end` None = up to its end.
    """

    path: Path
    size: int
    mtime_ns: int
    named: bool = False
    builtin: bool = False
    origin: str = ""
    begin: int = 0
    end: int | None = None

    @property
    def name(self) -> str:
        """For reports and errors: the path, and where a part of a file begins."""
        return f"{self.path} from byte {self.begin:,}" if self.begin else str(self.path)


def is_description(name: str) -> bool:
    """Whether a file of this name tells about data (a licence, a read-me) rather than being data."""
    return _DESCRIPTION.fullmatch(name) is not None


def is_records(path: Path) -> bool:
    """Whether the file's name says that it holds JSON records."""
    return suffix_of(path) in RECORDS


def is_arrow(path: Path) -> bool:
    """Whether the file's name says that it holds a table in one of Arrow's forms, which is no text."""
    return path.suffix.lower() in ARROW


def is_table(path: Path) -> bool:
    """Whether the file's name says that it holds a table."""
    return suffix_of(path) in TABLES


def advice_on(suffix: str, example: str) -> str:
    """What to do with a file of a suffix that is not read of a folder.

    Args:
        example: the path of one.
    """
    if suffix in _ARCHIVES:
        return "unpack it first"
    if suffix in _PAPERS:
        return "write its text to a .txt file first"
    if suffix in _BINARY and suffix not in ARROW:
        return "write its texts to a .jsonl or .txt file first"
    if suffix in MARKUP:
        return "write its text to a .txt file first; a file that is named is read with its tags"
    pattern = os.path.join(glob.escape(os.path.dirname(example)), "*" + (os.path.splitext(example)[1] or ""))
    if not suffix:
        pattern = example
    elif os.path.splitext(example)[1].lower() in COMPRESSED:
        pattern = os.path.join(glob.escape(os.path.dirname(example)), f"*{suffix}.*")
    column = ", with --field and the column of the texts" if suffix in (*TABLES, *ARROW) else ""
    return f"name the files themselves to read them, as {pattern}{column}"


def skipped_suffixes(suffixes: Mapping[str, Sequence[Any]]) -> list[str]:
    """A line for each suffix of files that were left out: how many, which, and what to do.

    Args:
        suffixes: suffix -> (how many, the path of the first), as `CleaningReport.suffixes`.
    """
    lines = []
    for suffix, (n, first) in sorted(suffixes.items()):
        kind = (
            f"{n:,} {suffix} file{'s' * (n > 1)}" if suffix else f"{n:,} file{'s' * (n > 1)} without a suffix"
        )
        lines.append(f"left out: {kind} ({first}{' …' if n > 1 else ''}): {advice_on(suffix, str(first))}")
    return lines


def find_sources(
    sources: Sequence[str | os.PathLike[str]], report: CleaningReport, encoding: str = "auto"
) -> list[SourceFile]:
    """Resolve what the user named to files, without reading them, except that a named binary file is refused.

    Raises:  CorpusError: nothing is named, a name does not exist, a folder or pattern holds no text, a named
             file is binary, or all files are empty.
    """
    if not sources:
        raise CorpusError("no corpus is named", fix="name files, folders or python-docs")
    files_by_path: dict[str, SourceFile] = {}
    for name in sources:
        source = os.fspath(name)
        files = list(_resolve(source, report, encoding))
        if not files:
            raise _no_files(source, report)
        for file in files:
            file = replace(file, origin=source)
            key = str(file.path) if file.builtin else os.path.realpath(file.path)
            if key in files_by_path:
                report.add("named_twice", 1, str(file.path))
            else:
                files_by_path[key] = file
    if not any(file.size or file.builtin for file in files_by_path.values()):
        raise CorpusError(
            "the corpus is empty",
            got=f"{len(files_by_path)} files of 0 bytes",
            where=sources[0],
            fix="name files with text",
        )
    return list(files_by_path.values())


def _no_files(source: str, report: CleaningReport) -> CorpusError:
    """The error for a folder or a pattern of which nothing is read."""
    skipped = {k: n for k, n in report.counts.items() if k.startswith("skipped") and k != "skipped_suffix"}
    kinds = [f"{n} {suffix or 'without a suffix'}" for suffix, (n, _) in sorted(report.suffixes.items())]
    kinds += [f"{n} {KINDS.get(kind, kind)}" for kind, n in skipped.items()]
    fix = "name a folder, a pattern or files that hold text"
    if report.suffixes:
        suffix, (_, first) = max(report.suffixes.items(), key=lambda item: item[1][0])
        fix = advice_on(suffix, first)
    return CorpusError(
        "no text files here",
        got=", ".join(kinds) or "nothing",
        expected=".txt, .text, .jsonl or .ndjson files, each also .gz or .zst",
        where=source,
        fix=fix,
    )


def _resolve(source: str, report: CleaningReport, encoding: str) -> Iterator[SourceFile]:
    path = Path(source)
    if (remote := remote_path(source)) is not None:
        try:
            yield from _resolve_remote(remote, report, encoding)
        except OSError as error:
            raise CorpusError("cannot read a file", got=error.strerror, where=remote) from None
    elif path.is_dir():
        yield from _walk(path, report)
    elif path.exists():
        yield _named(path, encoding)
    elif path.is_symlink():
        raise CorpusError(
            "the link leads nowhere", got=os.readlink(path), where=source, fix="name the file that is meant"
        )
    elif source in BUILTINS:
        yield SourceFile(Path(source), 0, 0, named=True, builtin=True)
    elif glob.has_magic(source):
        for match in sorted(glob.glob(source, recursive=True)):
            if os.path.isdir(match):
                yield from _walk(Path(match), report)
            elif _DESCRIPTION.fullmatch(os.path.basename(match)):
                report.add("skipped_description", 1, match)
            elif (file := _regular(match, report)) is not None:
                yield file
    else:
        what = "no such file, folder or built-in corpus"
        raise missing(path, what, "name a file, a folder or python-docs", BUILTINS)


def _resolve_remote(source: RemotePath, report: CleaningReport, encoding: str) -> Iterator[SourceFile]:
    pattern = glob.has_magic(str(source))
    if not pattern and source.is_file():
        yield _named(source, encoding)
        return
    files = {path: (size, written) for path, size, written in source.below(pattern)}
    if not files and not pattern:
        raise CorpusError("no such file or folder", where=source, fix="name a file, a folder or a pattern")
    begin = len(source.parts)
    # files of a folder before those of its sub-folders, as on a disk
    for path in sorted(files, key=lambda p: [*((1, part) for part in p.parts[:-1]), (0, p.name)]):
        name = str(path)
        if not pattern and any(part.startswith(".") for part in path.parts[begin:]):
            report.add("skipped_hidden", 1, name)
        elif _DESCRIPTION.fullmatch(path.name):
            report.add("skipped_description", 1, name)
        elif not pattern and suffix_of(path.name) not in _TEXTS and not is_extracted(path.name):
            report.skip_suffix(suffix_of(path.name), name)
        else:
            yield SourceFile(path, *files[path])


def missing(path: Path, what: str, otherwise: str, names: Iterable[str] = ()) -> CorpusError:
    """The error for a file that is not there; it names those beside it, and other names, that are spelt alike."""
    siblings = sorted(os.listdir(path.parent)) if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, [*siblings, *names], n=3)
    return CorpusError(what, where=path, fix=f"did you mean {' or '.join(near)}?" if near else otherwise)


def _walk(folder: Path, report: CleaningReport, seen: set[str] | None = None) -> Iterator[SourceFile]:
    """The files of a folder and then of its sub-folders; each folder once, whatever links lead to it."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        if seen is None:
            raise CorpusError("cannot read a folder", got=error.strerror, where=folder) from None
        report.add("skipped_unreadable", 1, str(folder))
        return
    seen = {os.path.realpath(folder)} if seen is None else seen
    folders: list[Path] = []
    for name in names:
        path = str(folder / name)
        if name.startswith("."):
            report.add("skipped_hidden", 1, path)
        elif os.path.isdir(path):
            folders.append(Path(path))
        elif _DESCRIPTION.fullmatch(name):
            report.add("skipped_description", 1, path)
        elif (file := _regular(path, report)) is None:
            continue
        elif suffix_of(name) not in _TEXTS and not is_extracted(name):
            report.skip_suffix(suffix_of(name), path)
        else:
            yield file
    for inner in folders:
        real = os.path.realpath(inner)
        if real in seen:
            report.add("skipped_again", 1, str(inner))
        else:
            seen.add(real)
            yield from _walk(inner, report, seen)


def _regular(path: str, report: CleaningReport) -> SourceFile | None:
    """A file that was found and not named; None, counted, where it is no file or may not be read."""
    try:
        status = os.stat(path)
    except OSError:
        dangling = os.path.islink(path) and not os.path.exists(path)
        report.add("skipped_dangling" if dangling else "skipped_unreadable", 1, path)
        return None
    if not stat.S_ISREG(status.st_mode):
        report.add("skipped_special", 1, path)
    elif not os.access(path, os.R_OK):
        report.add("skipped_unreadable", 1, path)
    else:
        return SourceFile(Path(path), status.st_size, status.st_mtime_ns)
    return None


def _stat(path: Path, named: bool) -> SourceFile:
    try:
        return SourceFile(path, *stamp(path), named)
    except OSError as error:
        raise CorpusError("cannot read a file", got=error.strerror, where=path) from None


def _named(path: Path, encoding: str) -> SourceFile:
    if not path.is_file():
        raise CorpusError(
            "neither a file nor a folder",
            got="a pipe" if path.is_fifo() else "a socket or a device",
            where=path,
            fix="write the text to a file first, which is read several times",
        )
    if is_arrow(path):
        return _stat(path, named=True)
    head = next(read_chunks(path, HEAD), b"")
    if head[_TAR].startswith(b"ustar") or is_binary(head) or (encoding == "auto" and detect(head) is None):
        raise _not_text(path, head)
    return _stat(path, named=True)


_OFFICE = (b"[Content_Types].xml", b"application/vnd.oasis", b"xl/workbook", b"word/document", b"_rels/.rels")
_MAGIC = {
    b"PK": "a zip archive",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a rar archive",
}


def _not_text(path: Path, head: bytes) -> CorpusError:
    """The error for a named file that is not text."""
    what, fix = _kind_of_binary(path, head)
    return CorpusError(
        f"not a text file{what}",
        expected="text in UTF-8, UTF-16, GB18030, Big5 or Latin-1, plain or as .gz or .zst",
        where=path,
        fix=fix,
    )


def _kind_of_binary(path: Path, head: bytes) -> tuple[str, str]:
    """What a file is that is not text, for the error, and what to do with it."""
    if head.startswith(b"\xd0\xcf\x11\xe0") or (head.startswith(b"PK") and any(o in head for o in _OFFICE)):
        return (
            ": it is one of Excel or another office program",
            "save the sheet in that program as CSV UTF-8, or write the text to a .txt file",
        )
    name = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)
    if name is not None or head[_TAR].startswith(b"ustar"):
        return f": it is {name or 'a tar archive'}", "unpack it first, and name the file that is in it"
    if head.startswith(b"PAR1"):
        return (
            ": it is a table in the form Parquet",
            "give it the suffix .parquet",
        )
    suffix = suffix_of(path)
    if suffix in (*_ARCHIVES, *_PAPERS, *_BINARY):
        return f" but {suffix}", advice_on(suffix, str(path))
    encoding = None if is_binary(head) else likely(head)
    return (
        ", or text in an encoding that is not recognised",
        f"--encoding {encoding}" if encoding else "save it as UTF-8 text first",
    )


def read_chunks(path: Path, size: int = CHUNK, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
    """The bytes of a file in pieces of about `size`, decompressed if the file begins as gzip or zstandard does.

    Args:
        path: a file, or "-" for the standard input.
        begin, end: the part of a plain file that is meant.

    Raises:  CorpusError: it cannot be opened, or the compressed data is broken; says after how many bytes of text.
    """
    done = 0
    try:
        with _standard_input() if path == STDIN else path.open("rb") as raw:
            for chunk in (
                _decompress(raw, size) if not begin and end is None else _range(raw, size, begin, end)
            ):
                done += len(chunk)
                yield chunk
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CorpusError(
            "the compressed file is damaged or cut short",
            got=f"{error}; after {done:,} bytes of text",
            where=path,
            fix="copy or download it again, or leave it out",
        ) from None
    except OSError as error:
        raise CorpusError("cannot read a file", got=error.strerror, where=path) from None


def _range(raw: IO[bytes], size: int, begin: int, end: int | None) -> Iterator[bytes]:
    raw.seek(begin)
    left = sys.maxsize if end is None else end - begin
    while left > 0 and (chunk := raw.read(min(size, left))):
        left -= len(chunk)
        yield chunk


@contextmanager
def _standard_input() -> Iterator[IO[bytes]]:
    """The standard input with a look ahead; it is left open."""
    raw = io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer))
    try:
        yield raw
    finally:
        raw.detach()


def read_text(
    file: SourceFile, encoding: str, report: CleaningReport, unify: bool = True
) -> Iterator[str] | None:
    """The text of a file in pieces of about a megabyte, with LF line ends; None if it is skipped as binary.

    Args:
        encoding: a name, or "auto" to detect it.
        report: counts byte order marks, other encodings, broken bytes and line ends.
        unify: make all line ends LF; else they stay as they are.

    Raises:  CorpusError: the file is damaged, or was named although it is binary.
    """
    source = file.name
    chunks = read_chunks(file.path)
    first = next(chunks, b"")
    detected = _codec_of(first, encoding)
    if detected is None:
        if file.named:
            raise _not_text(file.path, first)
        report.add("skipped_binary", 1, source)
        return None
    codec, mark = detected
    if file.begin:  # the encoding is that of the whole file, by its beginning; it is counted there
        return decode_stream(
            read_chunks(file.path, CHUNK, file.begin, file.end), codec, report, source, unify
        )
    if mark:
        report.add("bom", 1, source)
    if codec not in ("utf-8", "ascii"):
        report.add(f"encoding_{display_name(codec)}", 1, source)
    if file.end is not None:
        rest = read_chunks(file.path, CHUNK, mark, file.end)
        return decode_stream(rest, codec, report, source, unify)
    return decode_stream(chain([first[mark:]], chunks), codec, report, source, unify)


def _codec_of(first: bytes, encoding: str) -> tuple[str, int] | None:
    """The codec of a file that begins so, and the length of its byte order mark; None where it is no text."""
    detected = detect(first[:HEAD])
    if detected == ("utf-8", 0) and first[:HEAD].isascii():  # nothing to tell by so far
        detected = detect(first[first_beyond_ascii(first) :][:HEAD])
    if encoding != "auto" and not is_binary(first):
        codec = check_name(encoding)
        # What is found decides the byte order within the family that was asked for.
        detected = detected if detected and detected[0].startswith(codec) else (codec, 0)
    return detected


def can_be_cut(file: SourceFile, encoding: str) -> bool:
    """Whether a file is plain text in which the byte of a line end is nothing else, so that it may be read in parts."""
    if file.builtin or is_arrow(file.path) or is_table(file.path) or not file.size:
        return False
    first = next(read_chunks(file.path), b"")
    try:
        with file.path.open("rb") as raw:
            head = raw.read(4)
    except OSError as error:
        raise CorpusError("cannot read a file", got=error.strerror, where=file.path) from None
    detected = _codec_of(first, encoding)
    plain = not head.startswith((_GZIP, _ZSTANDARD))
    return plain and detected is not None and not detected[0].startswith(("utf-16", "utf-32"))


def read_lines(path: Path, config: TextConfig, report: CleaningReport) -> Iterator[str]:
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
    chunks = read_text(_named(path, config.encoding), config.encoding, report, unify=False) or iter(())
    if is_records(path):
        for _, text, blank in record_texts(chunks, config.field, report, source):
            if blank:
                report.add("not_json", 1, source)
            yield text or ""
        return
    for number, line in enumerate(lines(chunks), 1):
        place = f"{source}, line {number}"
        if line is None:
            report.add("record_too_long", 1, place)
            yield ""
            continue
        line = line.removesuffix("\r")
        if "\r" in line:
            report.add("cr_inside", line.count("\r"), place)
        yield line


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

    gzip says so in its last four bytes, zstandard often in its first; else, and elsewhere, four times its size. Parquet
    is compressed by columns: about twice its size.
    """
    if file.builtin:
        return 2_000_000
    if is_arrow(file.path):
        return 2 * file.size if file.path.suffix.lower() == ".parquet" else file.size
    if isinstance(file.path, RemotePath):  # nothing is asked for: there may be thousands
        return 4 * file.size if file.path.suffix.lower() in COMPRESSED else file.size
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
