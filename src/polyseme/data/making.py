"""What a process does for one piece of a corpus: find the keys of its documents, or make its shard.

    WORK/plan.json  tokenizer.json ──┐
    piece: files and parts of files ──┴──► stage "keys":   WORK/keys/00000.bin   key and place of its documents, sorted
                                      └──► stage "shards": WORK/shards/00000/    a small store, and shard.json

For near-duplicates the sketches of the documents are beside their keys (text/near.py).

All are written beside their place and renamed, so they are whole or absent; what is there is not made again. A task
and its answer are JSON: any engine (engines.py) can carry them to any process. An answer says what was made, or which
error of ours was met.
"""

from __future__ import annotations

import json
import sys
from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

import polyseme.errors as errors
from polyseme.core.files import new_file, new_folder
from polyseme.core.remote import RemotePath, remote_path, stamp
from polyseme.data.elsewhere import put_shards
from polyseme.data.encoding import DocumentEncoder, EncodedDocuments
from polyseme.data.examples import DocumentChunks, NextTokenWindows, SpecialTokens
from polyseme.data.packing import packed_rows
from polyseme.data.store import SHARD, SPLITS, StoreWriter, TokenStore, write_shard
from polyseme.errors import CorpusError, PolysemeError, RunError
from polyseme.text.clean import CleaningReport
from polyseme.text.config import TextConfig
from polyseme.text.corpus import Corpus, Fingerprint, is_heldout
from polyseme.text.near import BANDS, ROW, SKETCH, bands_of, sketches_of
from polyseme.text.sources import SourceFile

MOST_TOKENS = 1 << 28
"""Tokens of a split of a shard; a piece that holds more, as a compressed file may, becomes several."""

_BATCH = 1 << 18  # characters
_LENGTHS = (64, 128, 256, 512, 1024, 2048)
"""Of sequences for which a shard says how many rows it has."""
_NONE = SpecialTokens(0, 0, 0, 0, np.zeros(0, np.bool_))  # rows do not depend on which ids separators have


@dataclass(frozen=True, slots=True)
class Task:
    """A stage for one piece.

    Args:
        stage: "keys" or "shards".
        work: the folder of the preparation.
        number: of the piece.
        split: "valid" where the piece is of the held-out files, else "", and hashes decide.
        files: of the piece, as `SourceFile`.
    """

    stage: str
    work: str
    number: int
    split: str
    files: tuple[SourceFile, ...]

    def to_json(self) -> str:
        """One line."""
        files = [
            [str(f.path), f.size, f.mtime_ns, f.named, f.builtin, f.origin, f.begin, f.end]
            for f in self.files
        ]
        return json.dumps([self.stage, self.work, self.number, self.split, files])

    @classmethod
    def from_json(cls, text: str) -> Task:
        """The task that `to_json` wrote."""
        stage, work, number, split, files = json.loads(text)
        return cls(
            stage,
            work,
            number,
            split,
            tuple(SourceFile(remote_path(path) or Path(path), *rest) for path, *rest in files),
        )


def perform(text: str) -> str:
    """Do a task, and answer: {"number", "documents", "tokens"} or {"number", "error": {…}}."""
    task = Task.from_json(text)
    try:
        made = make_keys(task) if task.stage == "keys" else make_shards(task)
        return json.dumps({"number": task.number, **made})
    except PolysemeError as error:
        what = {name: None if v is None else str(v) for name, v in vars(error).items() if name in _FIELDS}
        return json.dumps({"number": task.number, "error": {"kind": type(error).__name__, **what}})


_FIELDS = ("what", "got", "expected", "where", "fix")


def error_of(answer: dict[str, Any]) -> PolysemeError | None:
    """The error in an answer, with the number of its piece."""
    if "error" not in answer:
        return None
    known = dict(answer["error"])
    kind = getattr(errors, known.pop("kind"))
    where = f"piece {answer['number']}: {known.pop('where')}"
    error: PolysemeError = kind(known.pop("what"), where=where, **known)
    return error


def serve() -> None:
    """Be a worker: a task a line of standard input, an answer a line of standard output, until the input ends."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # a library that prints must not end up between the answers
    for line in sys.stdin:
        answers.write(perform(line) + "\n")
        answers.flush()


@lru_cache(maxsize=2)
def _plan(work: Path) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads((work / "plan.json").read_bytes())
    return plan


@lru_cache(maxsize=1)
def _encoder(tokenizer: Path, language: str, sentences: str) -> DocumentEncoder:
    return DocumentEncoder(tokenizer, language, sentences)


@lru_cache(maxsize=1)
def _heldout_keys(work: Path) -> frozenset[int]:
    path = work / "heldout.bin"
    return frozenset(np.fromfile(path, "<u8").tolist()) if path.is_file() else frozenset()


def _corpus(task: Task) -> Corpus:
    """Raises:  CorpusError: a file is another one than when the pieces were cut."""
    plan = _plan(Path(task.work))
    config = TextConfig(**plan["text" if not task.split else "valid_text"])
    for file in task.files:
        if file.builtin:
            continue
        try:
            size, written = stamp(file.path)
        except OSError as error:
            raise CorpusError("cannot read a file", got=error.strerror, where=file.path) from None
        if (size, written) != (file.size, file.mtime_ns):
            raise CorpusError(
                "a file has changed since the preparation began",
                got=f"{size:,} bytes",
                expected=f"{file.size:,} bytes, untouched",
                where=file.path,
                fix="the same command without --resume begins anew",
            )
    sources = list(dict.fromkeys(file.origin for file in task.files))
    return Corpus(sources, config, piece=task.files, of_many=plan["of_many"])


def make_keys(task: Task) -> dict[str, Any]:
    """Write the keys of a piece's documents, sorted, with their places; for near-duplicates also their sketches.

    Raises:  CorpusError: a file is damaged.   StorageError: the disk refuses.
    """
    path = Path(task.work) / "keys" / f"{task.number:05d}.bin"
    if not path.is_file():
        keys = array("Q")

        def texts() -> Iterator[str]:
            for document in _corpus(task).documents_of_piece(CleaningReport()):
                keys.append(document.key)
                yield document.text

        if _plan(Path(task.work))["text"]["deduplicate"] == "near":
            SketchFiles(path).write(texts())
        else:
            deque(texts(), 0)
        order = np.argsort(keys, kind="stable")
        found = np.empty(len(keys), ROW)
        found["key"], found["place"] = np.array(keys, np.uint64)[order], order
        with new_file(path) as file:
            file.write(found.data)
    return {"documents": path.stat().st_size // ROW.itemsize, "tokens": 0}


class SketchFiles:
    """The sketches of a piece and their bands (text/near.py), beside the file of its keys."""

    def __init__(self, keys: Path) -> None:
        self._sketches, self._bands = keys.with_suffix(".sketches"), keys.with_suffix(".bands")

    def write(self, texts: Iterable[str]) -> None:
        """Raises:  StorageError: the disk refuses."""
        with new_file(self._sketches) as file:
            for sketches in sketches_of(texts):
                file.write(sketches.data)
        with new_file(self._bands) as file:
            for run in bands_of(mapped(self._sketches, SKETCH)):
                file.write(run.data)

    def band(self, number: int) -> npt.NDArray[Any]:
        """See `Run`."""
        runs = mapped(self._bands, ROW)
        run: npt.NDArray[Any] = runs.reshape(BANDS, -1)[number] if len(runs) else runs
        return run

    def sketches(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """See `Run`. The file is mapped for this alone, so that memory does not grow with what was read of it."""
        found: npt.NDArray[Any] = mapped(self._sketches, SKETCH)[rows]
        return found


def mapped(path: Path, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """An array on the disk."""
    found: npt.NDArray[Any] = np.memmap(path, dtype, mode="r") if path.stat().st_size else np.empty(0, dtype)
    return found


@dataclass
class _Batch:
    """Documents of one split that wait for being encoded."""

    texts: list[str] = field(default_factory=list)
    characters: int = 0
    fingerprint: Fingerprint = field(default_factory=Fingerprint)


def make_shards(task: Task) -> dict[str, Any]:
    """Read, clean, split and tokenize a piece.

    It is one shard, and more only where that would be too large: WORK/shards/00000/more/0001 and so on.

    Raises:  CorpusError: a file is damaged.   StorageError: the disk refuses; no part of a shard is left.
    """
    work = Path(task.work)
    folder = work / "shards" / f"{task.number:05d}"
    if not (folder / SHARD).is_file():
        plan = _plan(work)
        encoder = _encoder(work / "tokenizer.json", plan["text"]["language"], plan["text"]["sentences"])
        corpus, report = _corpus(task), CleaningReport()
        try:
            with new_folder(folder) as temporary:
                with _Shards(temporary, plan) as shards:
                    for split, batch in _batches(task, corpus, report, plan["valid_share"]):
                        shards.add(split, batch, encoder.encode(batch.texts) if batch.texts else None)
                shards.complete({"dirt": report.as_dict(), "reading": corpus.reading()})
                if plan["remote"] is not None:
                    put_shards(temporary, RemotePath(plan["remote"]) / "shards" / folder.name)
        except (OSError, RunError):
            if not (folder / SHARD).is_file():  # else a process that was taken for dead has made the same
                raise
    documents = tokens = 0
    for shard in shards_made(folder):
        for counts in json.loads((shard / SHARD).read_bytes())["splits"].values():
            documents, tokens = documents + counts["documents"], tokens + counts["tokens"]
    return {"documents": documents, "tokens": tokens}


def shards_made(folder: Path) -> list[Path]:
    """The shards of one piece, in order."""
    return [folder, *sorted((folder / "more").glob("[0-9]*"))]


def _batches(
    task: Task, corpus: Corpus, report: CleaningReport, valid_share: float
) -> Iterator[tuple[str, _Batch]]:
    """Batches of documents, each of one split."""
    places: dict[int, str] = {}
    for kind in ("near_duplicate", "duplicate"):  # a document that is both repeats another exactly
        dropped = Path(task.work) / "drops" / kind / f"{task.number:05d}.bin"
        if dropped.is_file():
            places |= dict.fromkeys(np.fromfile(dropped, "<u4").tolist(), kind)
    heldout = frozenset() if task.split else _heldout_keys(Path(task.work))
    waiting = {split: _Batch() for split in SPLITS}
    for document in corpus.documents_of_piece(report, places):
        split = task.split or ("valid" if is_heldout(document.key, valid_share) else "train")
        batch, size = waiting[split], len(document.text)
        batch.fingerprint.add(document.key, size)
        if document.key in heldout:
            report.add("held_out", 1, f"{document.source}, document {document.index}")
            continue
        batch.texts.append(document.text)
        batch.characters += size
        if batch.characters >= _BATCH:
            yield split, batch
            waiting[split] = _Batch()
    yield from waiting.items()


class _Shards:
    """Writes the shards of a piece, one after the other."""

    def __init__(self, folder: Path, plan: dict[str, Any]) -> None:
        self._folder, self._plan = folder, plan
        self._number = 0
        self._closed: list[tuple[Path, dict[str, Any]]] = []
        self._files = ExitStack()
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._close()
        self._files.__exit__(kind, error, trace)

    def _open(self) -> None:
        self._place = self._folder / "more" / f"{self._number:04d}" if self._number else self._folder
        size = self._plan["tokenizer"]["vocab_size"]
        self._writers = {
            split: self._files.enter_context(StoreWriter(self._place / split, size)) for split in SPLITS
        }
        self._characters = dict.fromkeys(SPLITS, 0)
        self._fingerprint = Fingerprint()

    def add(self, split: str, batch: _Batch, encoded: EncodedDocuments | None) -> None:
        """Write one batch, which may have no text that is kept."""
        if encoded is not None:
            written = self._writers[split].n_tokens
            if written and written + len(encoded.ids) > self._plan["most_tokens"]:
                self._close()
                self._number += 1
                self._open()
            self._writers[split].add_documents(*encoded)
        self._characters[split] += batch.characters
        self._fingerprint.merge(batch.fingerprint.value)

    def _close(self) -> None:
        self._files.close()
        unknown = self._plan["unknown"]
        splits = {
            split: counts_of(writer, self._characters[split], unknown)
            for split, writer in self._writers.items()
        }
        meta = {"fingerprint": self._fingerprint.value, "splits": splits, "rows": _rows(self._place)}
        self._closed.append((self._place, meta))

    def complete(self, about: dict[str, Any]) -> None:
        """Write shard.json of all, the first one's last; it says how the piece was read and cleaned."""
        for place, meta in reversed(self._closed):
            write_shard(place, {**meta, **(about if place == self._folder else {"dirt": {}, "reading": []})})


def counts_of(writer: StoreWriter, characters: int | None, unknown: int) -> dict[str, Any]:
    """What store.json says of a split.

    Args:
        unknown: the id of the token for what is unknown; -1 where the vocabulary has none.
    """
    return {
        "documents": writer.n_documents,
        "sentences": writer.n_sentences,
        "words": writer.n_words,
        "tokens": writer.n_tokens,
        "characters": characters,
        "unknown": int(writer.counts[unknown]) if unknown >= 0 else 0,
    }


def _rows(folder: Path) -> dict[str, dict[str, list[int]]]:
    """For usual sequences: {kind of examples: {split: [rows, tokens of the examples]}}."""
    rows: dict[str, dict[str, list[int]]] = {}
    for split in SPLITS:
        store = TokenStore.open(folder / split)
        for length in _LENGTHS:
            for source in (DocumentChunks(store, length, _NONE), NextTokenWindows(store, length, _NONE)):
                known = rows.setdefault(f"{type(source).__name__} {length} {length}", {})
                known[split] = [packed_rows(source.lengths, length), int(source.lengths.sum())]
    return rows
