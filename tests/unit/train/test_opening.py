"""The folder and the corpus of a run, opened before it trains."""

from __future__ import annotations

import gzip
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from polyseme.core.reporter import NullReporter
from polyseme.data.prepare import prepare
from polyseme.data.sharding import Sharding
from polyseme.data.store import PreparedCorpus, ShardedStore
from polyseme.errors import ConfigError, CorpusError, RunError, TrainingError
from polyseme.text.config import TextConfig, TokenizerConfig
from polyseme.text.tokenizers import Tokenizer
from polyseme.train import opening
from polyseme.train.opening import open_or_prepare, unknown_note
from polyseme.train.recipe import resolve
from polyseme.train.request import Budget, PretrainRequest
from polyseme.train.run import RunDirectory


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (TrainingError("rank 1 of 2 is lost"), True),
        (MemoryError(), True),
        (OSError(28, "No space left on device"), True),
        (SystemExit(1), True),
        (KeyboardInterrupt(), True),
        (ConfigError("no such key"), False),
        (CorpusError("too little text"), False),
    ],
)
def test_a_whole_store_outlives_every_error_but_those_of_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, kept: bool
) -> None:
    run = RunDirectory.create(tmp_path / "run", {"model": "x", "status": "preparing"})
    (run.path / "store").mkdir()
    (run.path / "store" / "tokens").write_bytes(b"hours of work")
    for whole in (True, False):
        monkeypatch.setattr(opening, "is_store", lambda folder, whole=whole: whole)
        if not whole and not run.path.exists():
            run = RunDirectory.create(tmp_path / "run", {"model": "x", "status": "preparing"})
        with pytest.raises(type(error)), opening.forgotten_if_it_fails(run, resumed=False):
            raise error
        assert (tmp_path / "run" / "run.json").exists() == (whole and kept)
        assert (tmp_path / "run" / "store").exists() == (whole and kept)


TEXT = TextConfig(documents="line", valid_share=0.2)


class Notes(NullReporter):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def lines(n_rare: int) -> list[str]:
    """A hundred lines of ten tokens, of which n_rare occur once in the whole text."""
    return [" ".join(["the"] * (10 - n_rare) + [f"w{i}x{j}" for j in range(n_rare)]) for i in range(100)]


def made(folder: Path, n_rare: int, tokenizer: TokenizerConfig | Tokenizer) -> PreparedCorpus:
    folder.mkdir()
    (folder / "text.txt").write_text("\n".join(lines(n_rare)))
    return prepare(
        [str(folder / "text.txt")], folder / "store", text=TEXT, tokenizer=tokenizer, minimum_valid_tokens=1
    )


@pytest.mark.parametrize(
    ("config", "cure"),
    [
        ({"kind": "words", "min_count": 3}, "tokenizer.min_count=1"),
        ({"kind": "words", "min_count": 8}, "tokenizer.min_count=4"),
        ({"kind": "spaces", "min_count": 1, "vocab_size": 16}, "vocab_size"),
    ],
)
def test_a_vocabulary_that_knows_too_little(tmp_path: Path, config: dict[str, Any], cure: str) -> None:
    corpus = made(tmp_path / "a", 4, TokenizerConfig(**config))
    share = int(corpus.train.counts[corpus.tokenizer.unk_id]) / corpus.train.n_tokens
    assert 0.35 < share <= 0.4
    note = unknown_note(corpus)
    assert note is not None
    assert note.startswith(f"{share:.0%} of the training text's tokens")
    assert cure in note
    assert unknown_note(made(tmp_path / "b", 1, TokenizerConfig(**config))) is None  # a tenth is usual


def test_a_vocabulary_of_another_text(tmp_path: Path) -> None:
    other = made(tmp_path / "a", 1, TokenizerConfig(kind="words")).tokenizer  # it knows one word
    assert "without --tokenizer" in (unknown_note(made(tmp_path / "b", 5, other)) or "")


def test_pieces_need_other_pieces(tmp_path: Path) -> None:
    corpus = made(tmp_path / "a", 4, TokenizerConfig(kind="wordpiece", vocab_size=300))
    assert unknown_note(corpus) is None
    counts = corpus.train.counts.copy()
    counts[corpus.tokenizer.unk_id] = corpus.train.n_tokens // 2
    strange = PreparedCorpus(corpus.folder, corpus.meta, replace(corpus.train, counts=counts), corpus.valid)
    assert "byte-bpe" in (unknown_note(strange) or "")


@pytest.mark.parametrize("from_store", [False, True])
def test_the_note_is_said_once_and_kept(tmp_path: Path, from_store: bool) -> None:
    store = made(tmp_path / "a", 4, TokenizerConfig(kind="words", min_count=3))
    (tmp_path / "valid.txt").write_text("\n".join(["the the the the"] * 200))
    recipe = resolve("word2vec", settings={"text.documents": "line", "tokenizer.min_count": 3})
    request = PretrainRequest(
        model="word2vec",
        corpus=[str(store.folder if from_store else tmp_path / "a" / "text.txt")],
        output=tmp_path / "run",
        budget=Budget(steps=1),
        valid=[] if from_store else [str(tmp_path / "valid.txt")],
    )
    run, said = RunDirectory.create(tmp_path / "run", {"model": "word2vec"}), Notes()
    note = unknown_note(open_or_prepare(request, recipe, run, said))
    assert note in said.notes
    assert RunDirectory.open(tmp_path / "run").meta["notes"] == [note]
    again = Notes()
    open_or_prepare(request, recipe, RunDirectory.open(tmp_path / "run"), again)
    assert again.notes == []


def test_a_run_from_before_there_was_a_choice_of_products_goes_on(tmp_path: Path) -> None:
    asked = {"recipe": resolve("bert").as_dict()}
    before = resolve("bert").as_dict()
    del before["train"]["products"]
    run = RunDirectory.create(tmp_path / "run", {"model": "bert", "asked": {"recipe": before}})
    opening.check_same_request(run, asked)
    other = resolve("bert", settings={"train.products": "onednn"}).as_dict()
    with pytest.raises(RunError, match=r"another train\.products"):
        opening.check_same_request(run, {"recipe": other})


def test_much_text_is_prepared_in_shards_which_outlive_a_piece_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "Sharding", partial(Sharding, piece=2000))
    monkeypatch.setattr(opening, "default_threads", lambda: 1)

    def words(n: int) -> list[str]:
        return [f"Lion {number} sleeps below tree {number % 7}." for number in range(n)]

    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.txt").write_text("\n".join(words(120)), "utf-8")
    (texts / "b.txt.gz").write_bytes(gzip.compress("\n".join(words(80)).encode())[:-20])
    request = PretrainRequest(
        model="bert",
        corpus=[str(tmp_path / "texts")],
        output=tmp_path / "run",
        budget=Budget(steps=1),
    )
    recipe = resolve("bert", settings={"text.documents": "line", "tokenizer.vocab_size": "300"})
    run = RunDirectory.create(tmp_path / "run", {"model": "bert", "status": "preparing"})
    with pytest.raises(CorpusError, match="piece"), opening.forgotten_if_it_fails(run, resumed=False):
        open_or_prepare(request, recipe, run, NullReporter())
    made = {p: p.stat().st_mtime_ns for p in run.path.glob(".store.partial/shards/*/shard.json")}
    assert len(made) >= 2
    (texts / "b.txt.gz").write_bytes(gzip.compress("\n".join(words(80)).encode()))
    corpus = open_or_prepare(request, recipe, run, NullReporter())
    assert isinstance(corpus.train, ShardedStore)
    for path, time in made.items():  # none was made again
        assert (corpus.folder / path.relative_to(run.path / ".store.partial")).stat().st_mtime_ns == time
    assert corpus.folder == run.path / "store"
    opening.forget(run)
    assert not run.path.exists()
