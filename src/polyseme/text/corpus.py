"""A corpus: files in, cleaned documents out, streaming.

    sources (sources.py) -> bytes -> text (encodings.py) -> documents (split.py) -> clean (clean.py)
        -> without duplicates -> Document(text, source, index)

Whether a document is held out for evaluation follows from the hash of its text alone, so that it stays where it
is when the corpus grows, moves or is named in another order. Only where no hash is small enough, as happens with a few
documents, the document with the lowest one is held out; it stays so until another with a lower one comes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast, get_args

from polyseme.core.files import suffix_of
from polyseme.core.paths import Paths, names_of
from polyseme.core.rng import Random
from polyseme.errors import CorpusError
from polyseme.text.articles import article_pieces, begins_with_article, is_extracted
from polyseme.text.builtin import BUILTINS, LANGUAGES
from polyseme.text.clean import CleaningReport, clean
from polyseme.text.config import TextConfig
from polyseme.text.document_rule import choose_mode
from polyseme.text.labelled.datasets import arrow_rows
from polyseme.text.near import check_rensa, near_duplicates_of
from polyseme.text.records import record_pieces, row_pieces, table_pieces
from polyseme.text.shares import read_shares, words_allowed
from polyseme.text.sources import (
    MARKUP,
    SourceFile,
    estimated_bytes,
    find_sources,
    is_arrow,
    is_records,
    is_table,
    read_text,
)
from polyseme.text.split import Mode, Piece, split
from polyseme.text.words import cjk_share

__all__ = ["Corpus", "Document", "Fingerprint", "is_heldout"]

Unit = Literal["character", "line", "record"]
Rule = Literal["blank", "file", "line", "heading", "record", "row", "article", "built-in"]
MANY_FILES = 5
"""Files of a corpus from which on a short one is more likely an article than a collection of them."""
_CHINESE_SHARE = 0.2  # of the letters: with more the corpus counts as Chinese


@dataclass(frozen=True, slots=True)
class Document:
    """A cleaned document, or a part of a long one.

    Args:
        text: never empty.
        source: file name, or "python-docs: NAME".
        index: its number within the source, from 0.
        origin: the file, or the name of the built-in corpus.
        key: 64-bit hash of the text: decides the split, finds duplicates, makes the fingerprint.
    """

    text: str
    source: str
    index: int
    origin: str = field(default="", repr=False, compare=False)
    key: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        digest = hashlib.blake2b(self.text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        object.__setattr__(self, "key", int.from_bytes(digest, "little"))


def is_heldout(key: int, share: float) -> bool:
    """Whether the document with this key is held out when `share` of all are; of a few, see `Corpus.is_heldout`."""
    return key < share * 2**64


class Fingerprint:
    """Identifies a set of documents whatever their order and files.

    value = count and (sum over documents of hash(key, characters)) mod 2^128
    """

    def __init__(self) -> None:
        self._sum, self._count = 0, 0

    def add(self, key: int, n_characters: int) -> None:
        """Add one document."""
        data = key.to_bytes(8, "little") + n_characters.to_bytes(8, "little")
        digest = hashlib.blake2b(data, digest_size=16).digest()
        self._sum = (self._sum + int.from_bytes(digest, "little")) % 2**128
        self._count += 1

    def merge(self, value: str) -> None:
        """Add the documents of another fingerprint, given by its value."""
        self._count += int(value[:-32], 16)
        self._sum = (self._sum + int(value[-32:], 16)) % 2**128

    @property
    def value(self) -> str:
        """Forty hexadecimal digits or more."""
        return f"{self._count:08x}{self._sum:032x}"


class Corpus:
    """Text that the user named.

    Args:
        sources: files, folders, patterns or built-in names (see sources.py), or one of them; each may have its share
            of the training text (shares.py).
        config: how to read them.
        piece: of what was named, these files or parts of files alone; nothing else is looked for.
        of_many: whether what was named are many files; by default they are counted.

    Raises:  CorpusError: something named is missing, binary or empty.
             ConfigError: shares that cannot be, or near-duplicates are to go and rensa is not there.
    Example:
        >>> corpus = Corpus(["python-docs"], TextConfig())
        >>> next(corpus.documents(CleaningReport())).source
        'python-docs: topic assert'
    """

    def __init__(
        self,
        sources: Paths,
        config: TextConfig | None = None,
        *,
        piece: Sequence[SourceFile] | None = None,
        of_many: bool | None = None,
    ) -> None:
        self.config = config or TextConfig()
        if self.config.deduplicate == "near":
            check_rensa()
        self.found = CleaningReport()
        shares: list[float] = []
        if piece is None:
            sources, shares = read_shares(names_of(sources, "the corpus"))
            piece = find_sources(sources, self.found, self.config.encoding)
        sources = names_of(sources)
        self.shares = shares
        self.files: tuple[SourceFile, ...] = tuple(piece)
        self.of_many = len(self.files) >= MANY_FILES if of_many is None else of_many
        self._sources = sources
        # it will be read piece by piece: a sample leaves out what is damaged, and shares alone tell what is held out
        self.in_pieces = False
        parts = {name: part for part, name in reversed(list(enumerate(sources)))}
        self._part = {str(file.path): parts.get(file.origin, 0) for file in self.files}
        self._check_shares()
        self._language: Literal["en", "zh"] | None = None
        self._rules: dict[str, Rule] = {}
        self._kept: Counter[str] = Counter()  # documents of every file, in the newest pass over all

    def _check_shares(self) -> None:
        """Raises:  CorpusError: a source with a share has no bytes of its own."""
        sizes: Counter[int] = Counter()
        for file in self.files if self.shares else ():
            sizes[self._part[str(file.path)]] += estimated_bytes(file)
        for part, name in enumerate(self._sources if self.shares else ()):
            if not sizes[part]:
                twice = name in self._sources[:part]
                raise CorpusError(
                    "a source with a share has no text of its own",
                    got="it is named twice" if twice else "no bytes, or files that another source has, too",
                    where=name,
                    fix="leave it out, and let the other shares sum to 1",
                )

    def signature(self) -> list[list[Any]]:
        """JSON-able [path, size, mtime_ns] of every file: equal as long as no file was touched."""
        return [[str(file.path), file.size, file.mtime_ns] for file in self.files]

    def estimated_bytes(self) -> int:
        """About how many bytes of text there are, decompressed; for progress and vocabulary sizes."""
        return sum(map(estimated_bytes, self.files))

    @property
    def sources(self) -> Sequence[str]:
        """What was named, without shares."""
        return self._sources

    def part(self, document: Document) -> int:
        """Which of the sources a document is of."""
        return self._part[document.origin]

    def documents(self, report: CleaningReport) -> Iterator[Document]:
        """All documents in a fixed order, cleaned, without duplicates; `report` counts what was changed.

        Raises:  CorpusError: a file is damaged, or there is no text in all of them.
        """
        report.merge(self.found)
        known: set[int] | None = None if self.config.deduplicate == "none" else set()
        kept: Counter[str] = (
            Counter()
        )  # of this pass: to tell what is held out may take another one, within it
        for place, document in enumerate(self._read(self.files, report)):
            if known is not None and document.key in known:
                report.add("duplicate", 1, f"{document.source}, document {document.index}")
            elif self.config.deduplicate == "near" and place in self._near_duplicates:
                report.add("near_duplicate", 1, f"{document.source}, document {document.index}")
            else:
                kept[document.origin] += 1
                yield document
            if known is not None:
                known.add(document.key)
        self._kept = kept
        if not kept:
            raise CorpusError(
                "the corpus holds no text",
                got=", ".join(f"{kind}: {count}" for kind, count in sorted(report.counts.items()))
                or "nothing",
                where=", ".join(self._sources[:3]),
                fix="name files with text",
            )

    @cached_property
    def _near_duplicates(self) -> set[int]:
        """The places, among all documents that are read, of those that nearly repeat an earlier one; reads them all."""
        return near_duplicates_of(document.text for document in self._read(self.files, CleaningReport()))

    def documents_of_piece(
        self, report: CleaningReport, dropped: Mapping[int, str] = MappingProxyType({})
    ) -> Iterator[Document]:
        """All documents of a piece of a corpus, cleaned; there may be none.

        Args:
            dropped: by their places in the piece, from 0, those that came before in the corpus, and as what each is to
                be counted.
        Raises:  CorpusError: a file is damaged.
        """
        kept: Counter[str] = Counter()
        for place, document in enumerate(self._read(self.files, report)):
            if place in dropped:
                report.add(dropped[place], 1, f"{document.source}, document {document.index}")
            else:
                kept[document.origin] += 1
                yield document
        self._kept = kept

    def is_heldout(self, key: int) -> bool:
        """Whether the document of this corpus with this key is held out.

        By the share; where no document's key is below it, and the documents differ, the lowest key is.
        """
        if is_heldout(key, self.config.valid_share):
            return True
        return not self.in_pieces and key == self._lowest_of_few

    @cached_property
    def _lowest_of_few(self) -> int | None:
        """The lowest key, if all of them are above the share.

        Of a large corpus only the beginning is read: up to the first document that is below the share.
        """
        if self.config.valid_share == 0:
            return None
        lowest, several = None, False
        for document in self.documents(CleaningReport()):
            if is_heldout(document.key, self.config.valid_share):
                return None
            several = several or lowest not in (None, document.key)
            lowest = document.key if lowest is None else min(lowest, document.key)
        return lowest if several else None

    def samples(self, max_bytes: int, seed: int, heldout: Set[int] | None = None) -> Iterator[str]:
        """Training documents of about `max_bytes` in all, spread over the files; held-out ones are left out.

        Held out is what has a key in `heldout`, or, without it, what `is_heldout` says.

        Of each file in proportion to its size, at most the first eight times what is taken is read.
        """
        for document in self._sample(max_bytes, seed):
            if heldout is None and self.is_heldout(document.key):
                continue
            if heldout is None or document.key not in heldout:
                yield document.text

    def _sample(self, max_bytes: int, seed: int) -> Iterator[Document]:
        sizes = self._wanted_bytes()
        share = min(1.0, max_bytes / max(sum(sizes), 1))
        chance = Random(seed, "sample")
        left = 0.0
        for file, size in zip(self.files, sizes, strict=True):
            left += share * size
            # of this file; where no shares are asked for it is the share of all
            part = share * size / max(1, estimated_bytes(file)) if self.shares else share
            keep = max(part, 0.125) if size > 1_000_000 else part
            documents = self._read([file], CleaningReport())
            for document in _up_to_damage(documents) if self.in_pieces else documents:
                if part == 1.0:
                    yield document
                elif left <= 0:
                    break
                elif chance.uniform(document.key >> 1) < keep:
                    left -= len(document.text.encode())
                    yield document

    def _wanted_bytes(self) -> list[float]:
        """About how much of each file is in the training text: all of it, or what the shares allow."""
        sizes: list[float] = [estimated_bytes(file) for file in self.files]
        if not self.shares:
            return sizes
        totals = [0.0] * len(self.shares)
        parts = [self._part[str(file.path)] for file in self.files]
        for part, size in zip(parts, sizes, strict=True):
            totals[part] += size
        kept = words_allowed([round(total) for total in totals], self.shares)
        return [size * kept[part] / max(1.0, totals[part]) for part, size in zip(parts, sizes, strict=True)]

    def language(self) -> Literal["en", "zh"]:
        """The configured language, or by the share of Chinese characters in a sample."""
        if self.config.language != "auto":
            return self.config.language
        if all(file.builtin for file in self.files):
            languages = {LANGUAGES[str(file.path)] for file in self.files}
            return "zh" if languages == {"zh"} else "en"
        if self._language is None:
            text = "".join(document.text[:2000] for document in self._sample(500_000, seed=0))
            self._language = "zh" if cjk_share(text) > _CHINESE_SHARE else "en"
        return self._language

    def reading(self) -> list[dict[str, Any]]:
        """How what the user named was read, after `documents` has given all: a JSON-able entry per source and rule.

        source: as it was named.  rule: "blank", "line", "file", "heading"; "record", "row", "article" or "built-in".
        found: the rule was not asked for but found out.  files, documents: how many.
        """
        taken: dict[tuple[str, str], list[int]] = {}
        for file in self.files:
            name = str(file.path)
            if self._kept[name]:
                numbers = taken.setdefault((file.origin, self._rules[name]), [0, 0])
                numbers[0] += not file.begin  # a file in parts is one
                numbers[1] += self._kept[name]
        asked = self.config.documents != "auto"
        return [
            {
                "source": source,
                "rule": rule,
                "found": rule in get_args(Mode) and not asked,
                "files": files,
                "documents": documents,
            }
            for (source, rule), (files, documents) in taken.items()
        ]

    def rule(self) -> Literal["auto", "blank", "file", "line", "heading"]:
        """What parts documents in most of the text of .txt files; "auto" where there are none."""
        if self.config.documents != "auto":
            return self.config.documents
        sizes: Counter[Mode] = Counter()
        for file in self.files:
            if file.builtin or is_records(file.path) or is_table(file.path) or is_arrow(file.path):
                continue
            chunks = read_text(file, self.config.encoding, CleaningReport())
            if chunks is None:
                continue
            first = next(chunks, "")
            if not begins_with_article(first) and not _are_records(file.path, first):
                sizes[self._mode(str(file.path), first)] += max(1, file.size)
        return sizes.most_common(1)[0][0] if sizes else "auto"

    def rule_of(self, file: SourceFile) -> Rule | None:
        """What parts the documents of a text file, by its beginning; None where it is skipped as binary."""
        chunks = read_text(replace(file, begin=0, end=None), self.config.encoding, CleaningReport())
        if chunks is None:
            return None
        first = next(chunks, "")
        if begins_with_article(first):
            return "article"
        if _are_records(file.path, first):
            return "record"
        return self._mode(str(file.path), first)

    def _read(self, files: Sequence[SourceFile], report: CleaningReport) -> Iterator[Document]:
        for file in files:
            origin, source = str(file.path), file.name
            if file.builtin:
                self._rules[origin] = "built-in"
                yield from self._builtin(origin, report)
                continue
            if is_arrow(file.path):
                self._rules[origin] = "row"
                pieces = row_pieces(
                    arrow_rows(file.path, self.config.field), self.config.field, report, source
                )
                yield from self._finish(pieces, source, origin, report, "record")
                continue
            chunks = read_text(file, self.config.encoding, report)
            if chunks is None:
                continue
            first = next(chunks, "")
            chunks = chain([first], chunks)
            records = _are_records(file.path, first)
            articles = not file.begin and begins_with_article(first)
            if articles:
                self._rules[origin] = "article"
                pieces = article_pieces(chunks, report, source)
            elif records:
                self._rules[origin] = "record"
                pieces = record_pieces(chunks, self.config.field, report, source, within=file.begin > 0)
            elif is_table(file.path):
                self._rules[origin] = "row"
                pieces = table_pieces(chunks, self.config.field, report, source, suffix_of(file.path))
            else:
                if suffix_of(file.path) in MARKUP and not file.begin:
                    report.add("markup", 1, source)
                if file.begin or file.end is not None:  # the beginning of the whole file tells what parts it
                    self.rule_of(file)
                pieces = self._pieces(chunks, origin)
            unit: Unit = "character"
            if records or articles or is_table(file.path):
                unit = "line"
            yield from self._finish(pieces, source, origin, report, unit)

    def _builtin(self, name: str, report: CleaningReport) -> Iterator[Document]:
        for title, text in BUILTINS[name]():
            yield from self._finish(split([text], "file"), f"{name}: {title}", name, report, "character")

    def _mode(self, source: str, head: str) -> Mode:
        """The rule of a file, by its beginning where none is asked for."""
        if self.config.documents != "auto":
            return self.config.documents
        if source not in self._rules:
            self._rules[source] = choose_mode(head, of_many=self.of_many)
        return cast(Mode, self._rules[source])

    def _pieces(self, chunks: Iterator[str], source: str) -> Iterator[Piece]:
        first = next(chunks, "")
        mode = self._rules[source] = self._mode(source, first)
        pieces = split(chain([first], chunks), mode)
        yield next(pieces, Piece("", 0, False))  # an empty file is an empty document
        yield from pieces

    def _finish(
        self, pieces: Iterator[Piece], source: str, origin: str, report: CleaningReport, unit: Unit
    ) -> Iterator[Document]:
        index = 0
        for piece in pieces:
            if piece.cut:
                report.add("cut_document", 1, f"{source}, {unit} {piece.offset}")
            normalize = self.config.normalize
            text = clean(
                piece.text, report, normalize=normalize, source=source, offset=piece.offset, unit=unit
            )
            if text:
                marks = text.count("<unk>")
                if marks:
                    report.add("unknown_mark", marks, f"{source}, {unit} {piece.offset}")
                yield Document(text, source, index, origin)
                index += 1
            else:
                report.add("empty_document", 1, f"{source}, {unit} {piece.offset}")


def _up_to_damage(documents: Iterator[Document]) -> Iterator[Document]:
    try:
        yield from documents
    except CorpusError:
        return


def _are_records(path: Path, head: str) -> bool:
    """Whether a file holds JSON records: by its name, or of wikiextractor's files by how it begins."""
    return is_records(path) or (is_extracted(path) and head.lstrip().startswith("{"))
