"""Stores in shards: the same as in one piece, whoever makes them, and whole or absent after every fault."""

from __future__ import annotations

import errno
import gzip
import importlib.util
import itertools
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from polyseme import cli
from polyseme.core.rng import Random
from polyseme.data import making
from polyseme.data.engines import Local, engine_named
from polyseme.data.examples import DocumentChunks, ExampleSource, NextTokenWindows, SpecialTokens
from polyseme.data.packing import RowPlan
from polyseme.data.prepare import Progress, prepare
from polyseme.data.sharding import Sharding
from polyseme.data.store import ARRAYS, SPLITS, PreparedCorpus, ShardedStore, StoreWriter, TokenStore
from polyseme.data.windows import ShardedRows
from polyseme.errors import CheckpointError, ConfigError, CorpusError, PolysemeError, RunError, StorageError
from polyseme.text import near
from polyseme.text.config import TextConfig, TokenizerConfig
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.training import train_tokenizer

TEXTS = [
    f"The {n} lions of the {n % 7} hills sleep.\nIt was the year {n * n}, 我们学习了{n}年。"
    for n in range(240)
]
BLOCKS = TextConfig(documents="blank", valid_share=0.2)
PIECE = 4000
SPECIAL = SpecialTokens(0, 2, 3, 4, np.zeros(600, np.bool_))


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(TEXTS, TokenizerConfig(vocab_size=600), 0)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A text of two pieces and another of one that repeats a part of it."""
    folder = tmp_path_factory.mktemp("sources")
    (folder / "a.txt").write_text("\n\n".join(TEXTS[:160]) + "\n\nA stray\x00 NUL.", "utf-8")
    (folder / "b.txt").write_text("\n\n".join(TEXTS[120:]), "utf-8")
    return [str(folder / "a.txt"), str(folder / "b.txt")]


class Here:
    """An engine in this process, in another order, which may end early."""

    def __init__(self, order: Callable[[Sequence[str]], Any] = list, most: int | None = None) -> None:
        self.order, self.most, self.done = order, most, 0

    def map(self, tasks: Sequence[str]) -> Iterator[str]:
        for task in self.order(tasks):
            if self.done == self.most:
                raise KeyboardInterrupt
            self.done += 1
            yield making.perform(task)


@pytest.fixture(scope="module")
def store(
    tmp_path_factory: pytest.TempPathFactory, sources: list[str], tokenizer: Tokenizer
) -> PreparedCorpus:
    folder = tmp_path_factory.mktemp("store") / "store"
    return prepare(sources, folder, text=BLOCKS, tokenizer=tokenizer, sharding=Sharding(Here(), PIECE))


def arrays_of(corpus: PreparedCorpus) -> dict[str, list[int]]:
    splits = {"train": corpus.train, "valid": corpus.valid}
    return {f"{s} {name}": np.asarray(getattr(splits[s], name)).tolist() for s in SPLITS for name in ARRAYS}


def same(one: PreparedCorpus, many: PreparedCorpus) -> bool:
    """Whether a store in shards holds what one in a piece does, and says the same of it."""
    assert isinstance(many.train, ShardedStore)
    assert not isinstance(one.train, ShardedStore)
    about = (
        "fingerprint",
        "valid_fingerprint",
        "splits",
        "reading",
        "valid_reading",
        "language",
        "heldout_suffices",
    )
    counts = [corpus.meta["dirt"]["counts"] for corpus in (one, many)]
    return (
        arrays_of(one) == arrays_of(many)
        and counts[0] == counts[1]
        and all(one.meta[name] == many.meta[name] for name in about)
    )


def test_the_shards_are_the_store_in_one_piece(
    tmp_path: Path, sources: list[str], tokenizer: Tokenizer, store: PreparedCorpus
) -> None:
    one = prepare(sources, tmp_path / "one", text=BLOCKS, tokenizer=tokenizer)
    assert len(store.train.shards) >= 4  # type: ignore[attr-defined]
    assert same(one, store)
    assert (store.train.n_tokens, store.train.n_documents) == (one.train.n_tokens, one.train.n_documents)
    assert "shards" not in store.meta  # run.json keeps what is in meta
    assert {*(path.name for path in store.folder.iterdir())} == {
        "counts",
        "shards",
        "store.json",
        "tokenizer.json",
    }


def test_a_text_of_one_piece_is_a_store_as_ever(
    tmp_path: Path, sources: list[str], tokenizer: Tokenizer
) -> None:
    made = prepare(sources, tmp_path / "s", text=BLOCKS, tokenizer=tokenizer, sharding=Sharding(Here()))
    assert json.loads((tmp_path / "s" / "store.json").read_text())["format_version"] == 1
    assert type(made.train) is TokenStore


@pytest.mark.parametrize("order", [reversed, lambda tasks: tasks[1::2] + tasks[::2]])
def test_the_digest_knows_no_order(
    tmp_path: Path, sources: list[str], tokenizer: Tokenizer, store: PreparedCorpus, order: Any
) -> None:
    how = Sharding(Here(order), PIECE)
    other = prepare(sources, tmp_path / "store", text=BLOCKS, tokenizer=tokenizer, sharding=how)
    assert other.meta["digest"] == store.meta["digest"]


def test_what_is_interrupted_is_gone_on_with(
    tmp_path: Path, sources: list[str], tokenizer: Tokenizer, store: PreparedCorpus
) -> None:
    def go(engine: Any, resume: bool = True, **changes: Any) -> PreparedCorpus:
        how = Sharding(engine, PIECE, resume)
        text = BLOCKS.model_copy(update=changes)
        return prepare(sources, tmp_path / "store", text=text, tokenizer=tokenizer, sharding=how)

    with pytest.raises(KeyboardInterrupt):
        go(Here(most=2), resume=False)
    work = tmp_path / ".store.partial"
    assert len(list((work / "shards").iterdir())) == 2
    with pytest.raises(RunError, match="an unfinished preparation"):
        go(Here(), resume=False)
    with pytest.raises(RunError, match="of other options"):
        go(Here(), valid_share=0.1)
    (work / "shards" / ".00003.partial-host-1").mkdir()  # of a worker that was killed
    rest = Here()
    whole = go(rest)
    assert rest.done == len(store.train.shards) - 2  # type: ignore[attr-defined]
    assert whole.meta["digest"] == store.meta["digest"]
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert [
        path.name for path in (tmp_path / "store" / "shards").iterdir() if path.name.startswith(".")
    ] == []
    assert go(Here(most=0)).meta == whole.meta  # there is nothing left to do
    with pytest.raises(RunError, match="the store is whole"):
        go(Here(), valid_share=0.1)


def test_a_worker_that_is_killed_is_replaced(
    tmp_path: Path, sources: list[str], tokenizer: Tokenizer, store: PreparedCorpus
) -> None:
    before, killed = {*psutil.Process().children()}, []

    def kill(progress: Progress) -> None:
        for child in {*psutil.Process().children()} - before:
            if not killed and progress.tokens:
                killed.append(child)
                child.kill()

    how = Sharding(Local(2), PIECE)
    made = prepare(sources, tmp_path / "s", text=BLOCKS, tokenizer=tokenizer, sharding=how, progress=kill)
    assert killed
    assert made.meta["digest"] == store.meta["digest"]
    assert {*psutil.Process().children()} <= before


def test_a_worker_that_always_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyseme.data.engines._START", "import os; os._exit(7)")
    with pytest.raises(PolysemeError, match="died 5 times") as caught:
        list(Local(2).map(["a", "b"]))
    assert caught.value.got == "exit code 7, its message is above"


def test_a_broken_piece_is_named_and_the_others_are_kept(tmp_path: Path, tokenizer: Tokenizer) -> None:
    names: list[str] = []
    (tmp_path / "texts").mkdir()
    for number in range(12):
        names.append(str(tmp_path / "texts" / f"{number:02}.txt.gz"))
        Path(names[-1]).write_bytes(
            gzip.compress("\n\n".join(TEXTS[20 * number : 20 * number + 20]).encode())
        )
    good = Path(names[7]).read_bytes()
    Path(names[7]).write_bytes(good[: len(good) // 2])
    engine = Here()

    def go(resume: bool) -> PreparedCorpus:
        how = Sharding(engine, 300, resume)
        return prepare(tmp_path / "texts", tmp_path / "store", text=BLOCKS, tokenizer=tokenizer, sharding=how)

    with pytest.raises(CorpusError, match="damaged or cut short") as caught:
        go(resume=False)
    assert str(caught.value.where) == f"piece 7: {names[7]}"
    assert "bytes of text" in str(caught.value.got)
    assert "--resume" in str(caught.value.fix)
    assert len(list((tmp_path / ".store.partial" / "shards").iterdir())) == 11
    Path(names[7]).write_bytes(good)
    engine.done = 0
    made = go(resume=True)
    assert engine.done == 1
    assert same(prepare(tmp_path / "texts", tmp_path / "one", text=BLOCKS, tokenizer=tokenizer), made)


def test_a_full_disk_leaves_no_part_of_a_shard(
    tmp_path: Path, sources: list[str], tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = itertools.count()
    real = StoreWriter.add_documents

    def full(self: StoreWriter, *encoded: Any) -> None:
        if next(calls) == 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, *encoded)

    monkeypatch.setattr(StoreWriter, "add_documents", full)
    with pytest.raises(StorageError, match="could not save"):
        prepare(sources, tmp_path / "s", text=BLOCKS, tokenizer=tokenizer, sharding=Sharding(Here(), PIECE))
    assert sorted(path.name for path in (tmp_path / ".s.partial" / "shards").iterdir()) == ["00000", "00001"]


def test_what_is_said_of_a_wrong_request(tmp_path: Path, sources: list[str], tokenizer: Tokenizer) -> None:
    with pytest.raises(ConfigError, match="no such engine"):
        engine_named("spark", 1)
    with pytest.raises(ConfigError, match="only Ray has an address"):
        engine_named("local", 1, "auto")
    for name in ("ray", "datatrove"):
        if importlib.util.find_spec(name) is None:
            with pytest.raises(ConfigError, match="needs the package"):
                engine_named(name, 1)
    all_held = BLOCKS.model_copy(update={"valid_share": 0.9999999})
    with pytest.raises(CorpusError, match="no text is left"):
        prepare(sources, tmp_path / "s", text=all_held, tokenizer=tokenizer, sharding=Sharding(Here(), PIECE))


def test_held_out_files_are_pieces_of_their_own(
    tmp_path: Path, sources: list[str], tokenizer: Tokenizer
) -> None:
    def go(name: str, how: Sharding | None) -> PreparedCorpus:
        valid = [sources[1]]
        return prepare(
            [sources[0]], tmp_path / name, text=BLOCKS, tokenizer=tokenizer, valid_files=valid, sharding=how
        )

    many = go("many", Sharding(Here(), PIECE))
    assert many.meta["dirt"]["counts"]["held_out"] == 40
    assert same(go("one", None), many)


def test_duplicates_are_found_in_other_pieces(
    tmp_path: Path, sources: list[str], tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = BLOCKS.model_copy(update={"deduplicate": "exact"})
    monkeypatch.setattr(near, "_RANGE", 50)  # keys are compared in several ranges
    how = Sharding(Here(reversed), PIECE)
    many = prepare(sources, tmp_path / "many", text=text, tokenizer=tokenizer, sharding=how)
    assert many.meta["dirt"]["counts"]["duplicate"] == 40
    assert same(prepare(sources, tmp_path / "one", text=text, tokenizer=tokenizer), many)


def test_near_duplicates_are_found_in_other_pieces(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rensa")
    words = np.random.default_rng(1).integers(0, 900, (60, 60))
    texts = [" ".join(f"w{word}" for word in row) for row in words]
    texts += (
        [f"{text} indeed" for text in texts[:20]] + [f"Well: {text}" for text in texts[10:30]] + texts[:9]
    )
    files = [tmp_path / "a.txt", tmp_path / "b.txt"]
    files[0].write_text("\n\n".join(texts[:90]), "utf-8")
    files[1].write_text("\n\n".join(texts[90:]), "utf-8")
    text = BLOCKS.model_copy(update={"deduplicate": "near"})
    monkeypatch.setattr(near, "_SKETCHES", 100)
    one = prepare(files, tmp_path / "one", text=text, tokenizer=tokenizer)
    how = Sharding(Here(reversed), PIECE)
    many = prepare(files, tmp_path / "many", text=text, tokenizer=tokenizer, sharding=how)
    assert many.meta["dirt"]["counts"] == {"duplicate": 9, "near_duplicate": 40}
    assert same(one, many)


def test_a_piece_of_very_much_text_is_several_shards(
    tmp_path: Path,
    sources: list[str],
    tokenizer: Tokenizer,
    store: PreparedCorpus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(making, "_BATCH", 500)
    how = Sharding(Here(), PIECE, most_tokens=400)
    many = prepare(sources, tmp_path / "many", text=BLOCKS, tokenizer=tokenizer, sharding=how)
    assert isinstance(many.train, ShardedStore)
    assert len(many.train.shards) > len(store.train.shards)  # type: ignore[attr-defined]
    assert max(entry["splits"]["train"]["tokens"] for entry in many.train.shards) <= 400
    assert arrays_of(many) == arrays_of(store)
    assert many.meta["fingerprint"] == store.meta["fingerprint"]


@pytest.mark.parametrize("name", ["train/tokens.bin", "train/documents.bin", "shard.json"])
@pytest.mark.parametrize("damage", ["a byte", "the file"])
def test_damage_is_found_when_a_shard_is_first_read(
    tmp_path: Path, store: PreparedCorpus, name: str, damage: str
) -> None:
    shutil.copytree(store.folder, tmp_path / "store")
    path = tmp_path / "store" / "shards" / "00001" / name
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1])) if damage == "a byte" else path.unlink()
    corpus = PreparedCorpus.open(tmp_path / "store")  # reads no shard
    assert isinstance(corpus.train, ShardedStore)
    assert corpus.train.shard(0).n_tokens
    with pytest.raises(CheckpointError, match=r"shard\.json|tokens\.bin|documents\.bin") as caught:
        corpus.train.shard(1)
    assert caught.value.where == path


def test_the_whole_of_shards_is_read_as_an_array(store: PreparedCorpus) -> None:
    for name in ("tokens", "word_starts", "sentences", "documents"):
        joined: Any = getattr(store.train, name)
        whole = np.asarray(joined)
        assert (len(joined), joined.dtype, joined.shape) == (len(whole), whole.dtype, whole.shape)
        n = len(whole)
        for key in (
            0,
            -1,
            n - 1,
            slice(3, n - 3),
            slice(0, 0),
            slice(n, n),
            slice(None, None, 7),
            slice(-5, None),
        ):
            assert np.array_equal(joined[key], whole[key])
        places = np.random.default_rng(0).integers(-n, n, 200)
        assert np.array_equal(joined[places], whole[places])
        assert np.array_equal(joined[whole > whole.mean()], whole[whole > whole.mean()])
        with pytest.raises(IndexError):
            joined[n]


def test_what_the_command_refuses(
    tmp_path: Path, sources: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for options, says in (
        (["--shard-mb", "0"], "--shard-mb must be above zero"),
        (["--address", "auto"], "only Ray has an address"),
        (["--engine", "spark"], "spark"),
    ):
        assert cli.main(["prepare", sources[0], "-o", str(tmp_path / "s"), *options]) == 2
        assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_command_makes_shards_and_goes_on(
    tmp_path: Path,
    sources: list[str],
    tokenizer: Tokenizer,
    store: PreparedCorpus,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    command = [
        "prepare",
        *sources,
        "-o",
        str(tmp_path / "s"),
        "--documents",
        "blank",
        "--set",
        "text.valid_share=0.2",
    ]
    command += ["--tokenizer", str(tmp_path / "tokenizer.json"), "--workers", "1", "--json", "--resume"]
    for _ in range(2):
        assert cli.main([*command, "--shard-mb", str(PIECE / 2**20)]) == 0
        assert json.loads(capsys.readouterr().out)["digest"] == store.meta["digest"]


# Rows


def rows_of(store: TokenStore, kind: Callable[..., ExampleSource], window: int) -> ShardedRows:
    assert isinstance(store, ShardedStore)
    return ShardedRows(store, lambda part: kind(part, 64, SPECIAL), 64, 64, Random(1, "order"), window)


@pytest.mark.parametrize("kind", [DocumentChunks, NextTokenWindows])
@pytest.mark.parametrize("window", [1, 3000, 1 << 26])
def test_every_row_of_an_epoch_comes_once(store: PreparedCorpus, kind: Any, window: int) -> None:
    rows = rows_of(store.train, kind, window)
    for epoch in (0, 3):
        members = [rows.row(epoch * rows.n_rows + place) for place in range(rows.n_rows)]
        examples = np.concatenate(members).tolist()
        tokens = sorted(tuple(rows.draw(number, 0).ids.tolist()) for number in examples)
        source = kind(store.train, 64, SPECIAL)
        assert tokens == sorted(tuple(source.draw(i, 0).ids.tolist()) for i in range(len(source.lengths)))
        assert len({*examples}) == len(examples)
        assert all(sum(len(rows.draw(i, 0).ids) for i in row.tolist()) <= 64 for row in members)
    orders = [[rows.row(epoch * rows.n_rows + place).tolist() for place in range(20)] for epoch in (0, 1)]
    assert orders[0] != orders[1]
    assert rows.tokens_per_row == pytest.approx(source.lengths.sum() / rows.n_rows)


def test_a_row_is_a_function_of_its_number(store: PreparedCorpus) -> None:
    one = rows_of(store.train, DocumentChunks, 1500)
    counters = np.random.default_rng(0).integers(0, 5 * one.n_rows, 40).tolist()
    for counter in counters:
        fresh = rows_of(store.train, DocumentChunks, 1500)
        assert fresh.row(counter).tolist() == one.row(counter).tolist()
    assert one._k < len(store.train.shards)  # type: ignore[attr-defined]
    assert len(one._packs) <= 2 * one._k


def test_to_begin_reads_few_shards(store: PreparedCorpus, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    real = ShardedStore._open_shard
    monkeypatch.setattr(ShardedStore, "_open_shard", lambda self, k: (opened.append(k), real(self, k))[1])
    corpus = PreparedCorpus.open(store.folder)
    rows = rows_of(corpus.train, DocumentChunks, 1)
    assert opened == [0]  # to see what kind its examples are
    rows.row(7 * rows.n_rows)
    assert len({*opened}) <= 2


def test_other_lengths_are_counted(store: PreparedCorpus) -> None:
    assert isinstance(store.train, ShardedStore)
    make = lambda part: DocumentChunks(part, 50, SPECIAL)  # noqa: E731
    rows = ShardedRows(store.train, make, 50, 90, Random(1, "order"))
    whole = RowPlan(DocumentChunks(store.train, 50, SPECIAL).lengths, 90, Random(1, "order"))
    assert rows.n_rows == pytest.approx(whole.n_rows, abs=len(store.train.shards))
    places = np.concatenate([rows.row(place) for place in range(rows.n_rows)])
    assert len({*places.tolist()}) == len(DocumentChunks(store.train, 50, SPECIAL).lengths)


def test_a_damaged_shard_is_named_by_the_row_that_needs_it(tmp_path: Path, store: PreparedCorpus) -> None:
    shutil.copytree(store.folder, tmp_path / "store")
    path = tmp_path / "store" / "shards" / "00002" / "train" / "tokens.bin"
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    rows = rows_of(PreparedCorpus.open(tmp_path / "store").train, DocumentChunks, 1)
    with pytest.raises(CheckpointError, match=r"tokens\.bin") as caught:
        list(map(rows.row, range(rows.n_rows)))
    assert caught.value.where == path
