r"""Pretrained word vectors: word2vec's text and binary files and GloVe's text, read into `word2vec` runs.

    word2vec text     "400000 300", then a line a word: the word, a space, its numbers
    GloVe text        the same without the first line
    word2vec binary   "400000 300", then for each word: itself, a space, its numbers as 4-byte floats, perhaps "\n"

Each may be gzipped. The words keep their order, which in these files goes from frequent to rare; of a repeated word the
first vector counts. The five special tokens come before the words and have zero vectors. An entry like new_york becomes
the phrase "new york" where both its words are entries, too.

Files are read block by block, and their header's counts are checked.
"""

from __future__ import annotations

import codecs
import gzip
import re
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import torch

from polyseme.core.arrays import Float32Array
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.errors import CheckpointError
from polyseme.formats.refused import refuse
from polyseme.formats.runs import Imported, file_digests
from polyseme.kernels import decimals as kernel
from polyseme.kernels.twins import faster
from polyseme.text import encodings
from polyseme.text.tokenizers import SPECIAL_TOKENS, Tokenizer
from polyseme.text.training import from_words
from polyseme.text.words import TOKEN_PATTERN

__all__ = ["WordVectors", "detect", "import_word_vectors", "read_word_vectors", "tokenizer_of"]


_BLOCK = 1 << 22
_FEW_UNDECODED = 0.01  # largest share of undecodable words that are left out; more mean another encoding
_LINE_LIMIT = 1 << 22
_WORD_LIMIT = 1 << 11
_WIDEST = 1 << 16
_DEFLATE_RATIO = 1040  # one gzipped byte expands to at most so many
_UNKNOWN_ROWS = 1 << 14
_SPECIAL = len(SPECIAL_TOKENS)
_NUMBER_BYTES = frozenset(b"0123456789+-.eEnaifNAIF \t\r\n")
_HEADER = re.compile(rb"\s*(\d{1,18})[ \t]+(\d{1,18})\s*")
_WHITE = b" \t\r\n"
_DECIMAL = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d+)?")
_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_PHRASE = re.compile(r"[^_ ]+(?:_[^_ ]+)+")
_SAMPLE = 20_000  # number of words that decide how texts are cut
_WHOLE = 0.9


@dataclass(frozen=True)
class WordVectors:
    """The contents of a file of word vectors.

    Args:
        kind: "word2vec text", "word2vec binary" or "GloVe text".
        words: in the order of the file.
        table: the special tokens' vectors, then the words'.
        repeated: entries that were left out because their word had occurred before.
        undecoded: places of entries that were left out because their word could not be decoded.
        spaced: how many words held spaces.
    Shapes:  table: (5 + words, dimensions)
    """

    kind: str
    words: list[str]
    table: Float32Array
    repeated: int
    undecoded: tuple[str, ...] = ()
    spaced: int = 0


def detect(path: Path) -> bool:
    """Whether a path is a file of word vectors, by its first line."""
    if not path.is_file():
        return False
    try:
        with _opened(path) as (stream, _):
            first = _first_line(stream)
    except CheckpointError:
        return False
    return _HEADER.fullmatch(first) is not None or _width_of_line(first) >= 2


def read_word_vectors(
    path: Path | str, reporter: Reporter | None = None, encoding: str | None = None
) -> WordVectors:
    """Read a file of word vectors block by block; apart from the result, memory does not grow with the file.

    Args:
        path: the file; what it is shows in its content.
        reporter: receives the progress.
        encoding: of the words; None = UTF-8.
    Raises:  CheckpointError: it is no such file, is cut off, holds more or fewer vectors than its header says, a line
             of another length, an infinite number or NaN, or more than a few words in another encoding; the error names
             the place.  ConfigError: no such encoding.
    """
    path, reporter, encoding = (
        Path(path),
        reporter or NullReporter(),
        encodings.check_name(encoding or "utf-8"),
    )
    if not path.is_file():
        raise CheckpointError("not a file" if path.exists() else "no such file", where=path)
    refuse(path, by_name=False)
    size = path.stat().st_size
    with _opened(path) as (stream, place):

        def progress() -> None:
            reporter.stage("reading vectors", place(), size)

        first = _first_line(stream)
        header = _HEADER.fullmatch(first)
        if header is None:
            width = _width_of_line(first)
            if width < 2:
                raise CheckpointError(
                    "not a file of word vectors",
                    got=repr(first[:60]),
                    expected="two whole numbers, or a word and its vector, in the first line",
                    where=path,
                )
            if width > _WIDEST:
                raise CheckpointError(
                    "vectors cannot be so wide",
                    got=f"{width:,} numbers",
                    expected=f"at most {_WIDEST:,}",
                    where=path,
                )
            table = _Table(path, width, size // len(first) + 1, encoding)
            _read_text(stream, table, None, first, progress)
            words, _ = table.finished()
            # a table of vectors without words, such as the projector's
            if all(map(_DECIMAL.fullmatch, words)):
                raise CheckpointError(
                    "there are numbers where words should be",
                    got=words[0][:60],
                    expected="a word and its vector on every line",
                    where=path,
                )
            return table.contents("GloVe text")
        count, width = int(header[1]), int(header[2])
        start = stream.read(_WORD_LIMIT + 4 * min(width, 64))
        text = _is_text(start)
        zipped = _is_gzip(path)
        room = size * _DEFLATE_RATIO if zipped else size
        if not count and not start.strip():
            raise CheckpointError(
                "the file holds no words",
                got=f"{count} vectors of {width:,} numbers in the first line, and nothing after it",
                where=path,
            )
        if not 1 <= width <= _WIDEST or count < 1 or count * ((2 if text else 4) * width + 1) > room:
            raise CheckpointError(
                "the first line promises what the file cannot hold",
                got=f"{count:,} vectors of {width:,} numbers",
                expected=f"what fits into {size:,} bytes",
                where=path,
            )
        table = _Table(path, width, min(count, _UNKNOWN_ROWS) if zipped else count, encoding)
        (_read_text if text else _read_binary)(stream, table, count, start, progress)
        return table.contents("word2vec text" if text else "word2vec binary")


class _Table:
    """The words and vectors so far, after the special tokens."""

    def __init__(self, path: Path, width: int, expected: int, encoding: str) -> None:
        self.path, self.width, self._encoding = path, width, encoding
        self._repeated, self.spaced = 0, 0
        self._undecoded: list[tuple[str, bytes]] = []
        # memory pages are allocated when they are written
        self._numbers = np.zeros((_SPECIAL + expected) * width, np.float32)
        self._index = {token: i for i, token in enumerate(SPECIAL_TOKENS)}

    def add(self, words: list[bytes], vectors: Float32Array, place: Callable[[int], str]) -> None:
        """Append a block; `place` gives the place of its entry i in the file.

        Shapes:  vectors: (len(words), width)
        """
        if not (finite := np.isfinite(vectors).all(axis=1)).all():
            i = int(np.argmin(finite))
            raise self._wrong("a vector holds a number that is infinite or none", words[i], place(i))
        index, begin = self._index, len(self._index)
        kept = np.ones(len(words), np.bool_)
        for i, word in enumerate(words):
            try:
                entry = word.decode(self._encoding)
            except UnicodeDecodeError:  # programs that count bytes cut words inside a character
                self._undecoded.append((place(i), word))
                kept[i] = False
                continue
            if not entry:
                raise self._wrong("a word is empty", word, place(i))
            size = len(index)
            known = index.setdefault(entry, size)
            if known != size:
                kept[i] = False
                self._repeated += known >= _SPECIAL
                if known < _SPECIAL:  # a file of ours, or another one with [UNK]
                    self._numbers[known * self.width : (known + 1) * self.width] = vectors[i]
        end = len(index) * self.width
        if end > self._numbers.size:
            self._numbers.resize(max(end, self._numbers.size * 3 // 2), refcheck=False)
        self._numbers[begin * self.width : end] = (vectors if kept.all() else vectors[kept]).reshape(-1)

    def _wrong(self, what: str, word: bytes, where: str) -> CheckpointError:
        return CheckpointError(what, got=f"the entry {word[:60].decode('utf-8', 'replace')!r}", where=where)

    def finished(self) -> tuple[list[str], Float32Array]:
        """The complete words and table.

        Raises:  CheckpointError: there are no words, or more than a few cannot be decoded in the file's encoding.
        """
        words = list(self._index)[_SPECIAL:]
        if len(self._undecoded) > _FEW_UNDECODED * (len(words) + len(self._undecoded)):
            raise self._another_encoding()
        if not words:
            raise CheckpointError("there are no vectors", where=self.path)
        used = self._numbers[: len(self._index) * self.width]
        return words, used.reshape(-1, self.width)

    def contents(self, kind: str) -> WordVectors:
        """The contents that were read."""
        places = tuple(place for place, _ in self._undecoded)
        return WordVectors(kind, *self.finished(), self._repeated, places, self.spaced)

    def _another_encoding(self) -> CheckpointError:
        place, word = self._undecoded[0]
        name = "UTF-8" if self._encoding == "utf-8" else self._encoding
        detected = encodings.detect(b" ".join(word for _, word in self._undecoded[:1000]))
        other = detected[0] if detected and detected[0] not in (self._encoding, "utf-8") else "gb18030"
        return CheckpointError(
            f"a word is not {name}",
            got=f"the entry {word[:60].decode('utf-8', 'replace')!r}, and {len(self._undecoded) - 1:,} others",
            where=place,
            fix=f"--encoding {'big5' if other == 'cp950' else other}",
        )


def _read_text(
    stream: BinaryIO, table: _Table, count: int | None, start: bytes, progress: Callable[[], None]
) -> None:
    """Read lines of a word and its numbers; `start` holds the bytes that were read already."""
    done, blank = 0, False
    while block := start + stream.read(_BLOCK):
        start = b""
        if not block.endswith(b"\n"):
            block += stream.readline(_LINE_LIMIT)
        lines = block.replace(b"\t", b" ").split(b"\n")
        if not lines[-1]:
            lines.pop()  # the incomplete last line
        first = done + 1 if count is None else done + 2

        def place(i: int, first: int = first) -> str:
            return f"{table.path}:{first + i}"

        if blank and block.strip():
            raise CheckpointError("a line before it is empty", where=place(0))
        while lines and not lines[-1].strip():
            lines.pop()
            blank = True
        if not lines:
            continue
        done += len(lines)
        if count is not None and done > count:
            raise _too_many(f"{table.path}:{count + 2}", count)
        words, numbers, spaced = _parsed(lines, table.width, place)
        table.spaced += spaced
        table.add(words, numbers, place)
        progress()
    if count is not None and done != count:
        raise _another_count(table.path, count, f"{done:,}")


def _parsed(
    lines: list[bytes], width: int, place: Callable[[int], str]
) -> tuple[list[bytes], Float32Array, int]:
    """The words and the numbers of lines, and how many of the words held spaces.

    Shapes:  -> words: N, numbers: (N, width)
    """
    words, fields, spaced = [], [], 0
    for i, line in enumerate(lines):
        word, _, rest = line.rstrip(_WHITE).partition(b" ")
        if rest.count(b" ") != width - 1:
            word, rest = _with_spaces(line, width, place(i))
            spaced += len(line.split()) > width + 1
        words.append(word)
        fields.append(rest)
    numbers = parse_decimals(b" ".join(fields), len(lines) * width)
    if numbers is None:  # a faulty or unusual number, like "nan"
        for i, field in enumerate(fields):
            alone = None if b"  " in field else _numbers(field)
            if alone is None or len(alone) != width:
                raise CheckpointError(
                    "a line does not hold a word and its vector",
                    got=repr(lines[i][:60]),
                    expected=f"{width:,} numbers after the word",
                    where=place(i),
                )
        numbers = np.concatenate([cast("Float32Array", _numbers(field)) for field in fields])
    return words, numbers.reshape(-1, width), spaced


@faster(kernel.parse_decimals, kernel.serves)
def parse_decimals(text: bytes, count: int) -> Float32Array | None:
    """The numbers in a text, separated by single spaces; None where it is anything else.

    Args:
        text: numbers of digits, optionally with a sign, a point and an exponent.
        count: how many there must be.
    Shapes:  -> (count,)
    """
    words = text.split(b" ") if text else []
    if len(words) != count or not all(map(_NUMBER.fullmatch, words)):
        return None
    with np.errstate(over="ignore"):
        return np.array(list(map(float, words))).astype(np.float32)


def _with_spaces(line: bytes, width: int, where: str) -> tuple[bytes, bytes]:
    """Word and numbers of a line. Spaces in the word become "_"; a number is no part of a word."""
    parts = line.split()
    word = parts[: len(parts) - width]
    if not word or any(_numbers(part) is not None for part in word[1:]):
        raise CheckpointError(
            "a line does not hold a word and its vector",
            got=f"{max(0, len(parts) - 1):,} numbers",
            expected=f"{width:,}",
            where=where,
        )
    return b"_".join(word), b" ".join(parts[len(word) :])


def _numbers(text: bytes) -> Float32Array | None:
    """Numbers separated by spaces; None where there is anything else."""
    try:
        with warnings.catch_warnings(), np.errstate(over="ignore"):
            warnings.simplefilter("error", DeprecationWarning)
            return cast("Float32Array", np.fromstring(text, np.float32, sep=" "))
    except (ValueError, DeprecationWarning):
        return None


def _read_binary(
    stream: BinaryIO, table: _Table, count: int, start: bytes, progress: Callable[[], None]
) -> None:
    """Read entries of a word, a space and its numbers; `start` holds the bytes that were read already."""
    done, size, data, at = 0, 4 * table.width, start, 0
    while done < count:
        words: list[bytes] = []
        vectors: list[bytes] = []
        while done + len(words) < count:
            space = data.find(b" ", at, at + _WORD_LIMIT)
            end = space + 1 + size
            if space < 0 or end > len(data):
                break
            words.append(data[at:space].lstrip(b"\r\n"))
            vectors.append(data[space + 1 : end])
            at = end

        def place(i: int, first: int = done + 1) -> str:
            return f"{table.path}, entry {first + i:,}"

        if words:
            table.add(words, np.frombuffer(b"".join(vectors), "<f4").reshape(-1, table.width), place)
            done += len(words)
            progress()
        if done < count:
            if len(data) - at > _WORD_LIMIT + size:
                raise CheckpointError(
                    "a word has no end", got=repr(data[at : at + 60]), where=place(len(words))
                )
            if not (block := stream.read(_BLOCK)):
                raise _another_count(table.path, count, f"{done:,}")
            data, at = data[at:] + block, 0
    if (data[at:] + stream.read(_WORD_LIMIT)).strip(_WHITE):
        raise _too_many(f"{table.path}, entry {count + 1:,}", count)


def _another_count(path: Path, count: int, got: str) -> CheckpointError:
    return CheckpointError(
        "the file holds fewer vectors than its first line says",
        got=got,
        expected=f"{count:,}",
        where=path,
        fix="fetch the file again: it was cut off, or its first line is wrong",
    )


def _too_many(where: str, count: int) -> CheckpointError:
    return CheckpointError(
        "the file holds more vectors than its first line says",
        got="one more at least, here",
        expected=f"{count:,}",
        where=where,
        fix="correct the number in the first line, or, in a text file, delete that line",
    )


def _first_line(stream: BinaryIO) -> bytes:
    """The first line, without a byte order mark."""
    return stream.readline(_LINE_LIMIT).removeprefix(codecs.BOM_UTF8)


def _is_text(start: bytes) -> bool:
    """Whether the first word is followed by numbers as text."""
    return _NUMBER_BYTES.issuperset(start.lstrip(_WHITE).partition(b" ")[2].partition(b"\n")[0])


def _width_of_line(line: bytes) -> int:
    """The count of numbers after the word of a line; 0 where the line has another form."""
    numbers = _numbers(b" ".join(line.split()[1:]))
    return 0 if numbers is None or not line.split()[1:] else len(numbers)


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, Callable[[], int]]]:
    """The contents of a file, decompressed if gzipped, and a function for the position in the file.

    Raises:  CheckpointError: the file cannot be read or is gzipped and damaged.
    """
    try:
        with path.open("rb") as file:
            if _is_gzip(path):
                with gzip.GzipFile(fileobj=file) as unzipped:
                    yield cast("BinaryIO", unzipped), file.tell
            else:
                yield file, file.tell
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CheckpointError("a gzipped file is damaged", got=str(error), where=path) from None
    except OSError as error:
        raise CheckpointError("a file cannot be read", got=error.strerror, where=path) from None


def import_word_vectors(
    path: Path | str, reporter: Reporter | None = None, encoding: str | None = None
) -> Imported:
    """Read a file of word vectors as a `word2vec` model.

    Args:
        path: the file; what it is shows in its content.
        reporter: receives the progress.
        encoding: of the words; None = UTF-8.
    Raises:  CheckpointError, ConfigError: see `read_word_vectors`.
    """
    path = Path(path)
    vectors = read_word_vectors(path, reporter, encoding)
    rows, width = vectors.table.shape
    return Imported(
        architecture="word2vec",
        model={"vocab_size": rows, "hidden_size": width},
        objectives=[],
        tensors={"encoder.word_embeddings.weight": torch.from_numpy(vectors.table)},
        tokenizer=tokenizer_of(vectors.words),
        source={
            "kind": vectors.kind,
            "path": str(path),
            "files": file_digests(path.parent, [path.name]),
            "words": len(vectors.words),
            "repeated": vectors.repeated,
            **({"notes": notes} if (notes := _notes(vectors)) else {}),
        },
    )


def _notes(vectors: WordVectors) -> list[str]:
    """Notes on what was left out or changed."""
    notes = []
    if vectors.repeated:
        notes.append(f"{vectors.repeated:,} entries were left out: the same word had come before")
    if vectors.undecoded:
        notes.append(
            f"{len(vectors.undecoded):,} entries were left out: their words are no text in the file's encoding "
            f"({', '.join(vectors.undecoded[:3])}{' …' if len(vectors.undecoded) > 3 else ''})"
        )
    if vectors.spaced:
        notes.append(f"{vectors.spaced:,} words held spaces, which became _")
    return notes


def tokenizer_of(words: Sequence[str]) -> Tokenizer:
    """A word-level tokenizer whose entries are the five special tokens and then these words.

    Texts are cut into words and marks, or only at spaces where more than a tenth of the words would be split. They are
    lower-cased if no word has a capital letter.
    """
    sample = words[:_SAMPLE]
    whole = sum(re.fullmatch(TOKEN_PATTERN, word) is not None for word in sample if "_" not in word)
    single = sum("_" not in word for word in sample)
    kind = "words" if whole >= _WHOLE * single else "spaces"
    lowercase = all(word == word.lower() for word in words)
    return Tokenizer(from_words(_with_phrases(words), kind, lowercase))


def _with_phrases(words: Sequence[str]) -> list[str]:
    """The words, with spaces in those that are phrases of other words."""
    known = set(words)
    result = []
    for word in words:
        if "_" in word and _PHRASE.fullmatch(word) and known.issuperset(word.split("_")):
            spaced = word.replace("_", " ")
            word = word if spaced in known else spaced
        result.append(word)
    return result
