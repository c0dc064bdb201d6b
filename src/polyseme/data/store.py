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

A store of much text is in shards (data/sharding.py), each a small store whose offsets begin at 0:

    STORE/
      store.json          as above, and of each shard its counts, its rows and the SHA-256 of its shard.json
      tokenizer.json
      counts/             train.bin and valid.bin: counts of all shards together
      shards/00000/       of a fixed piece of the text:
        shard.json        size and SHA-256 of every file below, counts, fingerprint, cleaning report
        train/ and valid/ the five files of each split

A shard is checked whole, by SHA-256, when it is first read; opening the store reads none of them. `ShardedStore` shows
the shards of a split as one.

The arrays are memory-mapped, so opening costs the same for a thousand tokens and for a billion. What opening can
therefore check is every size, and a digest that reads at most 1 MiB of each file: a small file wholly, a large one
in blocks spread evenly from its first byte to its last.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from polyseme.core.arrays import IntArray
from polyseme.core.config import to_json
from polyseme.core.files import sha256_of, sync, sync_folder, write_atomic
from polyseme.core.remote import RemotePath, remote_path
from polyseme.core.shell import typed
from polyseme.data.elsewhere import fetched, fetched_shard
from polyseme.errors import CheckpointError, RunError
from polyseme.text.tokenizers import Tokenizer

FORMAT_VERSION = 2
"""1 is a store in one piece, 2 one in shards."""
SPLITS = ("train", "valid")
SHARD = "shard.json"

ARRAYS = ("tokens", "word_starts", "sentences", "documents", "counts")
"""The files of a split, without .bin."""

_BLOCK, _BLOCKS = 1 << 16, 16
_OPEN = 4  # shards that stay mapped though nobody reads them

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
            name: (folder / f"{name}.bin").open("wb", buffering=1 << 20) for name in ARRAYS
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


class Joined:
    """Arrays of shards as one array: its length, slices and places are had without the others, np.asarray copies all.

    Args:
        part: the array of the shard with this number.
        ends: where each shard's array ends in the whole.
        shifts: what is added to the values of each shard, as to offsets.
    Shapes:  ends, shifts: (K,)
    """

    def __init__(
        self, part: Callable[[int], npt.NDArray[Any]], ends: IntArray, dtype: npt.DTypeLike, shifts: IntArray
    ) -> None:
        self._part, self._ends, self._shifts = part, ends, shifts
        self.dtype = np.dtype(dtype)
        self.shape = (int(ends[-1]) if len(ends) else 0,)
        self.ndim, self.size = 1, self.shape[0]

    def __len__(self) -> int:
        return self.size

    def _slice(self, begin: int, end: int) -> npt.NDArray[Any]:
        found = [np.empty(0, self.dtype)]
        shard = int(np.searchsorted(self._ends, begin, side="right"))
        while begin < end:
            start = int(self._ends[shard - 1]) if shard else 0
            stop = min(end, int(self._ends[shard]))
            if begin < stop:
                values = self._part(shard)[begin - start : stop - start]
                found.append(values + self._shifts[shard] if self._shifts[shard] else np.asarray(values))
            begin, shard = stop, shard + 1
        return found[1] if len(found) == 2 else np.concatenate(found)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            places = range(self.size)[key]
            return self._slice(places.start, places.stop) if places.step == 1 else np.asarray(self)[key]
        if isinstance(key, int | np.integer):
            place = int(key) if key >= 0 else int(key) + self.size
            if not 0 <= place < self.size:
                raise IndexError(key)
            return self._slice(place, place + 1)[0]
        where = np.asarray(key)
        if where.dtype == np.bool_:
            where = np.flatnonzero(where)
        where = np.where(where < 0, where + self.size, where)
        values = np.empty(where.shape, self.dtype)
        shards = np.searchsorted(self._ends, where, side="right")
        for shard in np.unique(shards).tolist():
            here = shards == shard
            start = int(self._ends[shard - 1]) if shard else 0
            values[here] = self._part(shard)[where[here] - start] + self.dtype.type(self._shifts[shard])
        return values

    @cached_property
    def _offsets(self) -> npt.NDArray[Any]:
        return self._slice(0, self.size)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        # offsets are asked for again and again, and are a small part of what tokens take
        whole = self._offsets if self.dtype.itemsize == 8 else self._slice(0, self.size)
        return whole.astype(dtype or self.dtype, copy=bool(copy))


class ShardedStore(TokenStore):
    """One split of a store in shards. The whole arrays are there for readers of a text that fits into memory.

    Args:
        folder: the store.
        split: "train" or "valid".
        shards: what store.json says of each.
        counts: of all shards.
        remote: where the shards are, if not in the folder: they are fetched into it.
    """

    folder: Path
    split: str
    shards: Sequence[dict[str, Any]]
    remote: RemotePath | None

    def __init__(
        self,
        folder: Path,
        split: str,
        shards: Sequence[dict[str, Any]],
        counts: IntArray,
        remote: RemotePath | None = None,
    ) -> None:
        known = {"folder": folder, "split": split, "shards": shards, "counts": counts, "_whole": set()}
        known["remote"] = remote
        known["_open"] = lru_cache(maxsize=_OPEN)(self._open_shard)
        for name, value in known.items():
            object.__setattr__(self, name, value)  # it is frozen

    def _number_of(self, what: str) -> IntArray:
        return np.array([shard["splits"][self.split][what] for shard in self.shards], np.int64)

    @cached_property
    def _ends(self) -> dict[str, IntArray]:
        return {what: np.cumsum(self._number_of(what)) for what in ("tokens", "sentences", "documents")}

    def shard(self, number: int) -> TokenStore:
        """The shard with this number.

        Raises:  CheckpointError: a file of it is missing or altered; it names the file.
        """
        return self._open(number)  # type: ignore[attr-defined,no-any-return]

    def _open_shard(self, number: int) -> TokenStore:
        entry = self.shards[number]
        if self.remote is not None:
            place = fetched_shard(self.remote, self.folder, entry["name"], entry["sha256"])
            return TokenStore.open(place / self.split)
        folder = self.folder / "shards" / entry["name"]
        if number not in self._whole:  # type: ignore[attr-defined]
            _check_shard(folder, self.split, entry["sha256"])
            self._whole.add(number)  # type: ignore[attr-defined]
        return TokenStore.open(folder / self.split)

    def _joined(self, name: str, what: str, dtype: npt.DTypeLike) -> Any:
        ends = self._ends[what]
        return Joined(lambda k: getattr(self.shard(k), name), ends, dtype, np.zeros(len(ends), np.int64))

    def _offsets(self, name: str, what: str, of: str) -> Any:
        """Offsets of all shards: the first one's 0, and of every shard all but its 0, behind the shards before it."""
        ends = self._ends[what] + 1
        shifts = self._ends[of] - self._number_of(of)
        return Joined(lambda k: getattr(self.shard(k), name)[k > 0 :], ends, "<i8", shifts)

    @cached_property
    def tokens(self) -> TokenArray:
        return self._joined("tokens", "tokens", token_dtype(self.vocab_size))  # type: ignore[no-any-return]

    @cached_property
    def word_starts(self) -> npt.NDArray[np.uint8]:
        return self._joined("word_starts", "tokens", "u1")  # type: ignore[no-any-return]

    @cached_property
    def sentences(self) -> IntArray:
        return self._offsets("sentences", "sentences", "tokens")  # type: ignore[no-any-return]

    @cached_property
    def documents(self) -> IntArray:
        return self._offsets("documents", "documents", "sentences")  # type: ignore[no-any-return]


def shards_of(store: TokenStore) -> Iterator[TokenStore]:
    """The shards of a split, or the split itself, one after the other."""
    if isinstance(store, ShardedStore):
        for number in range(len(store.shards)):
            yield store.shard(number)
    else:
        yield store


def _check_shard(folder: Path, split: str, written: str) -> None:
    """Raises:  CheckpointError: shard.json or a file of this split is not what was written; it names the file."""
    path = folder / SHARD
    if not path.is_file():
        raise _damaged(path, got="no such file")
    if sha256_of(path) != written:
        raise _damaged(path, got="other contents than were written")
    for name, known in json.loads(path.read_bytes())["files"].items():
        if not name.startswith(f"{split}/"):
            continue
        file = folder / name
        size = file.stat().st_size if file.is_file() else None
        if size != known["bytes"]:
            got = "no such file" if size is None else f"{size:,} bytes"
            raise _damaged(file, got=got, expected=f"{known['bytes']:,} bytes")
        if sha256_of(file) != known["sha256"]:
            raise _damaged(file, got="other contents than were written")


class PreparedCorpus:
    """A store, opened: two splits, their tokenizer, and what is known about the text (`meta`, store.json as written).

    What store.json says of each shard is not in `meta` but in the splits.

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
        """Open a store, which may be at a URL, after checking that it is whole.

        Raises:  RunError: the folder is not a store, or a newer polyseme wrote it.
                 CheckpointError: a file is missing, truncated or altered; it names the file.
        """
        remote = remote_path(folder)
        if remote is not None:
            folder = fetched(remote)
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
        shards = meta.pop("shards", None)
        if shards is None:
            return cls(folder, meta, *(TokenStore.open(folder / split) for split in SPLITS))
        counts = (_map(folder / "counts" / f"{split}.bin", "<i8") for split in SPLITS)
        return cls(
            folder,
            meta,
            *(
                ShardedStore(folder, split, shards, c, remote)
                for split, c in zip(SPLITS, counts, strict=True)
            ),
        )


def is_store(path: Path | str) -> bool:
    """Whether a path is a folder that `prepare` made (it may still be damaged; `PreparedCorpus.open` says)."""
    return ((remote_path(path) or Path(path)) / "store.json").is_file()


def write_meta(folder: Path, meta: dict[str, Any]) -> None:
    """Complete a store: describe all its files and itself in store.json, and put that on the disk.

    Args:
        folder: holds everything but store.json.
        meta: what to say about the text; "format_version", "files" and "sha256" are added.
    """
    sharded = "shards" in meta
    arrays = [f"{split}/{name}.bin" for split in SPLITS for name in ARRAYS]
    names = ["tokenizer.json", *([f"counts/{split}.bin" for split in SPLITS] if sharded else arrays)]
    files = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": digest(folder / name)} for name in names
    }
    whole = {"format_version": 2 if sharded else 1, **meta, "files": files}
    whole["sha256"] = _meta_digest(whole)
    with (folder / "store.json").open("w", encoding="utf-8") as file:
        file.write(to_json(whole))
    for name in ("tokenizer.json", "store.json"):
        with (folder / name).open("rb") as written:
            os.fsync(written.fileno())
    sync_folder(folder)


def write_shard(folder: Path, meta: dict[str, Any]) -> None:
    """Complete a shard: describe its files in shard.json, and put that on the disk.

    Args:
        meta: what to say about it; "files" is added.
    """
    names = [f"{split}/{name}.bin" for split in SPLITS for name in ARRAYS]
    files = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)} for name in names
    }
    write_atomic(folder / SHARD, to_json({**meta, "files": files}).encode())


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
