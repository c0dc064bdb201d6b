"""The token store: a prepared corpus on disk, as raw little-endian arrays and one JSON file.

    STORE/
      store.json          what it was made from, counts, and a digest of every file below and of itself
      tokenizer.json      the Hugging Face tokenizers file
      train/ and valid/   one split each:
        tokens.bin        uint16 where the vocabulary has at most 65,536 entries, else uint32
        word_starts.bin   uint8, 1 where a token begins a word
        sentences.bin     int64, S + 1 offsets into the tokens
        documents.bin     int64, D + 1 offsets into the sentences
        counts.bin        int64, how often each of the vocabulary's entries occurs in this split

The arrays are memory-mapped, so opening costs the same for a thousand tokens and for a billion. What opening can
therefore check is every size, and a digest that reads at most 1 MiB of each file: a small file wholly, a large one
in blocks spread evenly from its first byte to its last.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from polyseme.core.arrays import IntArray
from polyseme.core.config import to_json
from polyseme.core.files import sync, sync_folder
from polyseme.core.paths import typed
from polyseme.errors import CheckpointError, RunError
from polyseme.text.tokenizers import Tokenizer

FORMAT_VERSION = 1
SPLITS = ("train", "valid")

_BLOCK, _BLOCKS = 1 << 16, 16

TokenArray = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


def token_dtype(vocab_size: int) -> np.dtype[Any]:
    """The narrowest type that holds every token id of a vocabulary."""
    return np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")


def digest(path: Path) -> str:
    """SHA-256 of a file's size and contents; of a file above 1 MiB, of 16 blocks of 64 KiB spread evenly over it."""
    size = path.stat().st_size
    sha = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= _BLOCK * _BLOCKS:
            sha.update(file.read())
        else:
            for block in range(_BLOCKS):
                file.seek((size - _BLOCK) * block // (_BLOCKS - 1))
                sha.update(file.read(_BLOCK))
    return sha.hexdigest()


class StoreWriter:
    """Writes one split, a batch of documents at a time.

    Args:
        folder: made if absent.
        vocab_size: decides the width of a token and the length of the counts.

    Example:
        >>> import tempfile
        >>> with StoreWriter(Path(tempfile.mkdtemp()) / "train", vocab_size=10) as writer:
        ...     writer.add_documents(
        ...         np.array([5, 6, 7]), np.ones(3, np.uint8), np.array([2, 1]), np.array([2])
        ...     )
        >>> writer.n_tokens, writer.n_sentences, writer.n_documents
        (3, 2, 1)
    """

    def __init__(self, folder: Path, vocab_size: int) -> None:
        self.folder = folder
        self.n_tokens = self.n_sentences = self.n_documents = self.n_words = 0
        self._dtype = token_dtype(vocab_size)
        self._counts = np.zeros(vocab_size, np.int64)
        folder.mkdir(parents=True, exist_ok=True)
        self._files: dict[str, BinaryIO] = {
            name: (folder / f"{name}.bin").open("wb", buffering=1 << 20)
            for name in ("tokens", "word_starts", "sentences", "documents", "counts")
        }
        for name in ("sentences", "documents"):
            self._write(name, np.zeros(1, np.int64))

    @property
    def counts(self) -> IntArray:
        """How often each entry of the vocabulary occurs in what was written so far: (vocab_size,)"""
        return self._counts

    def _write(self, name: str, values: npt.NDArray[Any]) -> None:
        self._files[name].write(np.ascontiguousarray(values).data)

    def add_documents(
        self,
        ids: npt.NDArray[np.integer],
        word_starts: npt.NDArray[np.uint8],
        sentence_lengths: npt.NDArray[np.integer],
        sentences_per_document: npt.NDArray[np.integer],
    ) -> None:
        """Append whole documents.

        Shapes:  ids, word_starts: (N,); sentence_lengths: (S,), summing to N;
                 sentences_per_document: (D,), summing to S
        """
        assert len(ids) == len(word_starts) == sentence_lengths.sum()
        assert len(sentence_lengths) == sentences_per_document.sum()
        self._counts += np.bincount(ids, minlength=len(self._counts))
        self._write("tokens", ids.astype(self._dtype, copy=False))
        self._write("word_starts", word_starts.astype(np.uint8, copy=False))
        self._write("sentences", (self.n_tokens + np.cumsum(sentence_lengths)).astype("<i8", copy=False))
        self._write(
            "documents", (self.n_sentences + np.cumsum(sentences_per_document)).astype("<i8", copy=False)
        )
        self.n_tokens += len(ids)
        self.n_words += int(word_starts.sum(dtype=np.int64))
        self.n_sentences += len(sentence_lengths)
        self.n_documents += len(sentences_per_document)

    def close(self) -> None:
        """Write the counts, and wait until everything is on the disk."""
        self._write("counts", self._counts.astype("<i8", copy=False))
        for file in self._files.values():
            sync(file)
            file.close()
        sync_folder(self.folder)

    def _abandon(self) -> None:
        """Let go of files that a failure left open; what they hold is of no use."""
        for file in self._files.values():
            with contextlib.suppress(OSError):  # their buffers could not be written either
                file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            self._abandon()


@dataclass(frozen=True, slots=True)
class TokenStore:
    """One split, memory-mapped.

    Shapes:  tokens, word_starts: (n_tokens,); sentences: (n_sentences + 1,); documents: (n_documents + 1,);
             counts: (vocab_size,)
    """

    tokens: TokenArray
    word_starts: npt.NDArray[np.uint8]
    sentences: IntArray
    documents: IntArray
    counts: IntArray

    @property
    def n_tokens(self) -> int:
        """Tokens in the split."""
        return len(self.tokens)

    @property
    def n_sentences(self) -> int:
        """Sentences in the split."""
        return len(self.sentences) - 1

    @property
    def n_documents(self) -> int:
        """Documents in the split."""
        return len(self.documents) - 1

    @property
    def vocab_size(self) -> int:
        """Entries of the vocabulary."""
        return len(self.counts)

    @classmethod
    def open(cls, folder: Path) -> TokenStore:
        """Map a split's files.

        Raises:  CheckpointError: a file is missing, or its size does not agree with the others'.
        """
        counts = _map(folder / "counts.bin", "<i8")
        store = cls(
            tokens=_map(folder / "tokens.bin", token_dtype(len(counts))),
            word_starts=_map(folder / "word_starts.bin", "u1"),
            sentences=_map(folder / "sentences.bin", "<i8"),
            documents=_map(folder / "documents.bin", "<i8"),
            counts=counts,
        )
        for name, offsets, end in (
            ("sentences.bin", store.sentences, store.n_tokens),
            ("documents.bin", store.documents, store.n_sentences),
            ("word_starts.bin", [0, len(store.word_starts)], store.n_tokens),
        ):
            if not len(offsets) or offsets[0] != 0 or offsets[-1] != end:
                raise _damaged(
                    folder / name,
                    got=f"an end at {int(offsets[-1])}" if len(offsets) else "an empty file",
                    expected=f"an end at {end}",
                )
        return store


class PreparedCorpus:
    """A store, opened: two splits, their tokenizer, and what is known about the text (`meta`, store.json as written).

    Example:
        corpus = PreparedCorpus.open(Path("store"))
        corpus.train.n_tokens, corpus.meta["splits"]["train"]["words"], corpus.tokenizer.vocab_size
    """

    def __init__(self, folder: Path, meta: dict[str, Any], train: TokenStore, valid: TokenStore) -> None:
        self.folder, self.meta, self.train, self.valid = folder, meta, train, valid

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that made the tokens."""
        return Tokenizer.from_file(self.folder / "tokenizer.json")

    @property
    def heldout_suffices(self) -> bool:
        """Whether there is so much held-out text that a figure on it means something."""
        return bool(self.meta.get("heldout_suffices", True))  # older stores were refused otherwise

    @classmethod
    def open(cls, folder: Path) -> PreparedCorpus:
        """Open a store after checking that it is whole.

        Raises:  RunError: the folder is not a store, or a newer polyseme wrote it.
                 CheckpointError: a file is missing, truncated or altered; it names the file.
        """
        meta = _read_meta(folder)
        for name, known in meta["files"].items():
            path = folder / name
            size = path.stat().st_size if path.is_file() else None
            if size != known["bytes"]:
                raise _damaged(
                    path,
                    got="no such file" if size is None else f"{size:,} bytes",
                    expected=f"{known['bytes']:,} bytes",
                )
            if digest(path) != known["sha256"]:
                raise _damaged(path, got="other contents than were written")
        return cls(folder, meta, *(TokenStore.open(folder / split) for split in SPLITS))


def is_store(path: Path | str) -> bool:
    """Whether a path is a folder that `prepare` made (it may still be damaged; `PreparedCorpus.open` says)."""
    return (Path(path) / "store.json").is_file()


def write_meta(folder: Path, meta: dict[str, Any]) -> None:
    """Complete a store: describe all its files and itself in store.json, and put that on the disk.

    Args:
        folder: holds everything but store.json.
        meta: what to say about the text; "format_version", "files" and "sha256" are added.
    """
    names = ["tokenizer.json"] + [
        f"{split}/{name}.bin"
        for split in SPLITS
        for name in ("tokens", "word_starts", "sentences", "documents", "counts")
    ]
    files = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": digest(folder / name)} for name in names
    }
    whole = {"format_version": FORMAT_VERSION, **meta, "files": files}
    whole["sha256"] = _meta_digest(whole)
    with (folder / "store.json").open("w", encoding="utf-8") as file:
        file.write(to_json(whole))
    for name in ("tokenizer.json", "store.json"):
        with (folder / name).open("rb") as written:
            os.fsync(written.fileno())
    sync_folder(folder)


def _map(path: Path, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    dtype = np.dtype(dtype)
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise _damaged(path, got="no such file") from None
    if size % dtype.itemsize:
        raise _damaged(path, got=f"{size:,} bytes", expected=f"a multiple of {dtype.itemsize}")
    return np.memmap(path, dtype, mode="r") if size else np.empty(0, dtype)  # an empty file cannot be mapped


def _read_meta(folder: Path) -> dict[str, Any]:
    path = folder / "store.json"
    if not is_store(folder):
        raise RunError(
            "not a prepared corpus",
            got=(
                "a folder without store.json"
                if folder.is_dir()
                else "a file"
                if folder.exists()
                else "no such folder"
            ),
            where=folder,
            fix=f"polyseme prepare CORPUS... -o {typed(folder)}",
        )
    try:
        meta = json.loads(path.read_bytes())
        written = meta.pop("sha256")
        version = int(meta["format_version"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _damaged(path, got="not the JSON that was written") from None
    if version > FORMAT_VERSION:
        raise RunError(
            "a newer polyseme wrote this store",
            got=f"format {version}",
            expected=f"format {FORMAT_VERSION}",
            where=folder,
            fix="upgrade polyseme, or prepare the corpus again",
        )
    if _meta_digest(meta) != written:
        raise _damaged(path, got="other contents than were written")
    return dict(meta)


def _meta_digest(meta: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()


def _damaged(path: Path, *, got: str, expected: str | None = None) -> CheckpointError:
    return CheckpointError(
        f"{path.name} of the prepared corpus is damaged",
        got=got,
        expected=expected,
        where=path,
        fix="delete the folder and prepare the corpus again",
    )
