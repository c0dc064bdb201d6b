"""Texts and stores at a URL: the same as on a disk, a bounded cache, and what is said of every fault.

Most of it asks a file system of fsspec in memory. The same through S3 needs the packages s3fs and moto[s3,server],
which are large, and is left out where they are not installed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from polyseme import cli
from polyseme.core import remote
from polyseme.core.remote import RemotePath, remote_path
from polyseme.data import making
from polyseme.data.prepare import prepare
from polyseme.data.sharding import Sharding
from polyseme.data.store import ARRAYS, SPLITS, PreparedCorpus, ShardedStore, is_store
from polyseme.errors import CheckpointError, ConfigError, CorpusError, RunError, StorageError
from polyseme.text.config import TextConfig, TokenizerConfig
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.training import train_tokenizer

TEXTS = [f"The {n} lions of the {n % 7} hills sleep.\nIt was the year {n * n}." for n in range(240)]
BLOCKS = TextConfig(documents="blank", valid_share=0.2)
PIECE = 3000


class Here:
    """An engine in this process."""

    def map(self, tasks: Any) -> Iterator[str]:
        yield from map(making.perform, tasks)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(TEXTS, TokenizerConfig(vocab_size=300), 0)


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryFileSystem]:
    monkeypatch.setenv("POLYSEME_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "_WAITS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(remote, "BLOCK", 1000)
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


@pytest.fixture
def texts(tmp_path: Path, memory: MemoryFileSystem) -> list[str]:
    """Sources on the disk and the same at a URL: a long file, two in a folder, and what is no text."""
    files = {
        "a.txt": TEXTS[:150],
        "inner/b.txt": TEXTS[150:200],
        "c.txt": TEXTS[190:],
        "README.md": ["About"],
    }
    for name, documents in files.items():
        place = tmp_path / "texts" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("\n\n".join(documents), "utf-8")
        memory.pipe_file(f"/bucket/texts/{name}", place.read_bytes())
    return [str(tmp_path / "texts"), "memory://bucket/texts"]


def contents(corpus: PreparedCorpus) -> Any:
    return [[getattr(getattr(corpus, split), name)[:].tolist() for name in ARRAYS] for split in SPLITS] + [
        corpus.meta["fingerprint"],
        corpus.meta["dirt"]["counts"],
        corpus.meta["splits"],
    ]


def test_a_url_and_what_is_left_of_it_in_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("s3://bucket/a/b.txt", Path("s3://bucket/a/b.txt"), RemotePath("s3://bucket/a/b.txt")):
        assert str(remote_path(name)) == "s3://bucket/a/b.txt"
    assert str(RemotePath("s3://bucket/a") / "b.txt") == "s3://bucket/a/b.txt"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:" / "bucket").mkdir(parents=True)
    for name in ("a/b", "novels/=0.5", "http://x/y", "s3://bucket", "C:/x"[2:], "lr:0.5"):
        assert remote_path(name) is None


@pytest.mark.parametrize("of", ["folder", "pattern", "file"])
def test_texts_at_a_url_are_those_on_the_disk(
    tmp_path: Path, texts: list[str], tokenizer: Tokenizer, of: str
) -> None:
    behind = {"folder": "", "pattern": "/*.txt", "file": "/a.txt"}[of]
    made = [
        prepare(
            source + behind,
            tmp_path / f"s{n}",
            text=BLOCKS,
            tokenizer=tokenizer,
            sharding=Sharding(Here(), PIECE),
        )
        for n, source in enumerate(texts)
    ]
    assert contents(made[0]) == contents(made[1])
    assert made[1].meta["signature"][0][0] == "memory://bucket/texts/a.txt"


@pytest.mark.parametrize("piece", [PIECE, 10**6])
def test_a_store_at_a_url_is_that_on_the_disk_and_read_through_a_bounded_cache(
    tmp_path: Path,
    texts: list[str],
    tokenizer: Tokenizer,
    memory: MemoryFileSystem,
    piece: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = "memory://bucket/store"
    order: list[str] = []
    real = MemoryFileSystem.put_file
    monkeypatch.setattr(
        MemoryFileSystem,
        "put_file",
        lambda self, place, name, **_: (order.append(name), real(self, place, name))[1],
    )

    def go(place: Any, resume: bool = False) -> PreparedCorpus:
        how = Sharding(Here(), piece, resume)
        return prepare(texts[0], place, text=BLOCKS, tokenizer=tokenizer, sharding=how)

    disk, made = go(tmp_path / "s"), go(url)
    assert is_store(url)
    assert made.meta.get("digest") == disk.meta.get("digest")
    assert order[-1] == "/bucket/store/store.json"
    assert not [*(tmp_path / "cache" / "making").iterdir()]
    monkeypatch.setenv("POLYSEME_CACHE_GB", "0.000004")  # a shard takes some three kilobytes
    assert contents(PreparedCorpus.open(Path(url))) == contents(disk)
    with pytest.raises(RunError, match="there is a store already"):
        go(url)
    assert contents(go(url, resume=True)) == contents(disk)
    if piece == PIECE:
        assert isinstance(made.train, ShardedStore)
        names = [name for name in order if "shards/00000/" in name]
        assert names[-1].endswith("shard.json")
        assert len(names) == 11
        kept = [*(tmp_path / "cache" / "stores").glob("*/shards/[0-9]*/shard.json")]
        assert 1 <= len(kept) < len(made.train.shards)


def test_what_was_put_is_not_put_again(
    texts: list[str], tokenizer: Tokenizer, memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = MemoryFileSystem.put_file, itertools.count()

    def full(self: MemoryFileSystem, place: str, name: str, **_: Any) -> None:
        if next(calls) > 30:
            raise PermissionError("Forbidden")
        real(self, place, name)

    def go(resume: bool) -> PreparedCorpus:
        how = Sharding(Here(), PIECE, resume)
        url = "memory://bucket/store"
        return prepare(texts[1], url, text=BLOCKS, tokenizer=tokenizer, sharding=how)

    monkeypatch.setattr(MemoryFileSystem, "put_file", full)
    with pytest.raises(StorageError, match="403") as caught:
        go(resume=False)
    assert "memory://bucket/store/shards/" in str(caught.value.where)
    before = {name: file.modified for name, file in memory.store.items() if "/shards/0000" in name}
    assert len(before) >= 22
    assert not is_store("memory://bucket/store")
    monkeypatch.setattr(MemoryFileSystem, "put_file", real)
    made = go(resume=True)
    again = [name for name, when in before.items() if memory.store[name].modified != when]
    assert all("/shards/00002/" in name for name in again)
    assert made.train.n_documents > 0
    assert contents(PreparedCorpus.open(Path("memory://bucket/store"))) == contents(made)


def broken(error: BaseException, name: str, times: int) -> Callable[..., Any]:
    """A reading of files that fails for one of them, so many times."""
    real, left = MemoryFileSystem.cat_file, [times]

    def cat_file(self: MemoryFileSystem, path: str, **options: Any) -> bytes:
        if path.endswith(name) and options.get("start") and left[0]:
            left[0] -= 1
            raise error
        found: bytes = real(self, path, **options)
        return found

    return cat_file


@pytest.mark.parametrize(
    ("error", "times", "said"),
    [
        (FileNotFoundError("x"), 99, "404"),
        (PermissionError("Forbidden"), 99, "403"),
        (OSError("503 Slow Down"), 2, None),
        (TimeoutError(), 3, None),
        (ValueError("Slow Down"), 99, "no answer after 4 times: Slow Down"),
    ],
)
def test_a_fault_in_one_piece(
    texts: list[str],
    tokenizer: Tokenizer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    times: int,
    said: str | None,
) -> None:
    def go(resume: bool) -> PreparedCorpus:
        how = Sharding(Here(), PIECE, resume)
        return prepare(texts[1], tmp_path / "s", text=BLOCKS, tokenizer=tokenizer, sharding=how)

    monkeypatch.setattr(MemoryFileSystem, "cat_file", broken(error, "inner/b.txt", times))
    if said is None:
        go(resume=False)
        return
    with pytest.raises(CorpusError, match=said) as caught:
        go(resume=False)
    assert str(caught.value.where).startswith("piece ")
    assert str(caught.value.where).endswith(": memory://bucket/texts/inner/b.txt")
    assert "; at byte 1,000" in str(caught.value.got)
    assert "--resume" in str(caught.value.fix)
    monkeypatch.undo()
    assert len([*(tmp_path / ".s.partial" / "shards").iterdir()]) >= 4
    go(resume=True)


def test_a_byte_that_changed_and_a_shard_that_is_gone(
    texts: list[str], tokenizer: Tokenizer, memory: MemoryFileSystem
) -> None:
    url = "memory://bucket/store"
    how = Sharding(Here(), PIECE)
    made = prepare(texts[0], url, text=BLOCKS, tokenizer=tokenizer, sharding=how)
    name = "/bucket/store/shards/00001/train/tokens.bin"
    data = memory.cat_file(name)
    memory.pipe_file(name, data[:-1] + bytes([data[-1] ^ 1]))
    assert isinstance(made.train, ShardedStore)
    made.train.shard(0)
    with pytest.raises(CheckpointError, match="other contents") as caught:
        made.train.shard(1)
    assert str(caught.value.where) == f"memory:/{name}"
    memory.rm_file(name)
    with pytest.raises(CheckpointError, match="404"):
        made.train.shard(1)
    with pytest.raises(RunError, match="URL without"):
        PreparedCorpus.open(Path("memory://bucket/other"))


def test_what_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, texts: list[str]) -> None:
    with pytest.raises(ConfigError, match="nobody knows such an address"):
        is_store("nonsense://bucket/x")
    for words in (
        ["prepare", "memory://bucket/none", "-o", str(tmp_path / "s")],
        ["pretrain", "bert", texts[0], "-o", "memory://bucket/run", "--steps", "1"],
    ):
        assert cli.main(words)
        said = capsys.readouterr().err
        assert "memory://bucket/" in said
        assert "Traceback" not in said
    assert not Path("memory:").exists()


def test_through_s3(
    texts: list[str], tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("s3fs", "moto.server", "flask"):
        pytest.importorskip(package, reason="pip install s3fs 'moto[s3,server]'")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        s3 = fsspec.filesystem("s3", skip_instance_cache=True)
        s3.mkdir("bucket")
        s3.put(texts[0], "bucket/texts", recursive=True)
        how = Sharding(Here(), PIECE)
        disk = prepare(texts[0], tmp_path / "s", text=BLOCKS, tokenizer=tokenizer, sharding=how)
        url = "s3://bucket/store"
        made = prepare("s3://bucket/texts", url, text=BLOCKS, tokenizer=tokenizer, sharding=how)
        assert contents(made) == contents(disk)
        with pytest.raises(CorpusError, match="no such file"):
            prepare("s3://bucket/none", tmp_path / "t", text=BLOCKS, tokenizer=tokenizer, sharding=how)
        with pytest.raises(StorageError, match="404"):
            prepare(texts[0], "s3://none/s", text=BLOCKS, tokenizer=tokenizer, sharding=how)
    finally:
        server.stop()
