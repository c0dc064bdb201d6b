from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from polyseme.data import store
from polyseme.data.store import (
    PreparedCorpus,
    StoreWriter,
    TokenStore,
    digest,
    is_store,
    write_meta,
)
from polyseme.errors import CheckpointError, RunError
from polyseme.text.config import TokenizerConfig
from polyseme.text.training import train_tokenizer

FILES = ["tokenizer.json"] + [
    f"{split}/{name}.bin"
    for split in ("train", "valid")
    for name in ("tokens", "word_starts", "sentences", "documents", "counts")
]


def write_split(folder: Path, vocab_size: int = 64, documents: int = 4) -> None:
    with StoreWriter(folder, vocab_size) as writer:
        for first in range(documents):
            ids = np.arange(5, 5 + first + 2)
            lengths = np.array([2, first]) if first else np.array([2])
            writer.add_documents(ids, (ids % 2).astype(np.uint8), lengths, np.array([len(lengths)]))


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    tokenizer = train_tokenizer(["a few words to learn from"] * 9, TokenizerConfig(vocab_size=64), 0)
    tokenizer.save(folder / "tokenizer.json")
    write_split(folder / "train")
    write_split(folder / "valid")
    write_meta(folder, {"language": "en"})
    return folder


@pytest.mark.parametrize(("vocab_size", "dtype"), [(65_536, "<u2"), (65_537, "<u4")])
def test_what_is_written_is_read(tmp_path: Path, vocab_size: int, dtype: str) -> None:
    last = vocab_size - 1
    with StoreWriter(tmp_path / "train", vocab_size) as writer:
        writer.add_documents(
            np.array([7, last, 7]), np.array([1, 0, 1], np.uint8), np.array([2, 1]), np.array([2])
        )
        writer.add_documents(np.array([9]), np.array([1], np.uint8), np.array([1]), np.array([1]))
    split = TokenStore.open(tmp_path / "train")
    assert split.tokens.dtype == np.dtype(dtype)
    assert split.tokens.tolist() == [7, last, 7, 9]
    assert split.word_starts.tolist() == [1, 0, 1, 1]
    assert split.sentences.tolist() == [0, 2, 3, 4]
    assert split.documents.tolist() == [0, 2, 3]
    assert (split.n_tokens, split.n_sentences, split.n_documents, split.vocab_size) == (4, 3, 2, vocab_size)
    assert split.counts[[7, 9, last]].tolist() == [2, 1, 1]
    assert split.counts.sum() == 4
    assert isinstance(split.tokens, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        split.tokens[0] = 1


def test_a_split_may_be_empty(tmp_path: Path) -> None:
    write_split(tmp_path / "valid", documents=0)
    assert TokenStore.open(tmp_path / "valid").n_documents == 0


def test_open(prepared: Path) -> None:
    corpus = PreparedCorpus.open(prepared)
    assert is_store(prepared)
    assert corpus.train.n_documents == corpus.valid.n_documents == 4
    assert corpus.meta["language"] == "en"
    assert corpus.tokenizer.token(4) == "[MASK]"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["cut", "grown", "altered", "gone"])
def test_damage_is_found_and_the_file_named(prepared: Path, name: str, damage: str) -> None:
    path = prepared / name
    data = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(data[:-1])
    elif damage == "grown":
        path.write_bytes(data + b"\0")
    elif damage == "altered":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    else:
        path.unlink()
    with pytest.raises(CheckpointError, match="damaged") as caught:
        PreparedCorpus.open(prepared)
    assert caught.value.where == path
    assert "prepare the corpus again" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format_version": 1}', '{"format_version": "x", "sha256": ""}']
)
def test_store_json_that_is_no_such_file(prepared: Path, text: str) -> None:
    (prepared / "store.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"store\.json"):
        PreparedCorpus.open(prepared)


def test_store_json_that_was_edited(prepared: Path) -> None:
    path = prepared / "store.json"
    path.write_text(path.read_text().replace('"en"', '"zh"'))
    with pytest.raises(CheckpointError, match=r"store\.json"):
        PreparedCorpus.open(prepared)


def test_splits_that_do_not_fit_together(tmp_path: Path) -> None:
    write_split(tmp_path / "train")
    (tmp_path / "train" / "word_starts.bin").write_bytes(b"\1")
    with pytest.raises(CheckpointError, match="word_starts"):
        TokenStore.open(tmp_path / "train")


def test_what_is_no_store(tmp_path: Path) -> None:
    assert not is_store(tmp_path)
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(RunError, match="polyseme prepare"):
            PreparedCorpus.open(folder)


def test_a_newer_store_is_left_alone(prepared: Path) -> None:
    meta = json.loads((prepared / "store.json").read_text())
    (prepared / "store.json").write_text(json.dumps(meta | {"format_version": store.FORMAT_VERSION + 1}))
    with pytest.raises(RunError, match="newer"):
        PreparedCorpus.open(prepared)


def test_opening_does_not_read_large_files(tmp_path: Path) -> None:
    path = tmp_path / "tokens.bin"
    with path.open("wb") as file:
        file.truncate(8 << 30)  # takes no room on the disk
    start = time.perf_counter()
    before = digest(path)
    assert time.perf_counter() - start < 1
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\1")
    assert digest(path) != before
