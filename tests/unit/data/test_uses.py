"""Uses of a word in a store are those of the text that it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from polyseme.core.reporter import NullReporter
from polyseme.data.store import StoreWriter, TokenStore
from polyseme.data.uses import uses_in_store
from polyseme.text.config import TokenizerConfig
from polyseme.text.joining import Joiner
from polyseme.text.labelled.senses import occurrences
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.training import train_tokenizer

ENGLISH = [
    ["The bank of the river was steep.", "He sat on the Bank and fished."],
    ["A banker lent it money.", "The riverbank is not the bank, but the West Bank is a bank."],
    ["New York is large, and new work is there.", "Nobody knows zyx."],
]
CHINESE = [["河里的水很深。", "他喝水。", "银行在河边。"], ["银行家不在。", "水平很高。"]]


class Told(NullReporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, float, float | None]] = []

    def stage(self, name: str, done: float, total: float | None, detail: str = "") -> None:
        self.stages.append((name, done, total))


def stored(folder: Path, documents: Sequence[Sequence[str]], tokenizer: Tokenizer) -> TokenStore:
    """A split of a store with these documents of sentences."""
    with StoreWriter(folder, tokenizer.vocab_size) as writer:
        for sentences in documents:
            tokens = tokenizer.encode_batch(list(sentences))
            ids = np.array([i for each in tokens for i in each.ids], np.int64)
            starts = np.array([i for each in tokens for i in each.word_starts], np.uint8)
            lengths = np.array([len(each.ids) for each in tokens])
            writer.add_documents(ids, starts, lengths, np.array([len(sentences)]))
    return TokenStore.open(folder)


def tokenizer_of(kind: str, documents: Sequence[Sequence[str]]) -> Tokenizer:
    size = {"byte-bpe": 340, "wordpiece": 120}.get(kind)
    config = TokenizerConfig(kind=kind, vocab_size=size, min_count=2 if kind == "words" else 1)
    texts = [text for document in documents for text in document if "zyx" not in text]
    return train_tokenizer(texts * 3, config, 10_000)


@pytest.mark.parametrize("kind", ["wordpiece", "words", "byte-bpe", "characters"])
def test_every_whole_word_is_found_in_its_sentence(tmp_path: Path, kind: str) -> None:
    tokenizer = tokenizer_of(kind, ENGLISH)
    store = stored(tmp_path / "train", ENGLISH, tokenizer)
    uses, found = uses_in_store(store, tokenizer, "bank", None)
    assert found == len(uses) == 5
    assert [use.form.casefold() for use in uses] == ["bank"] * 5
    assert [use.id.split(":")[0] for use in uses] == ["1", "1", "2", "2", "2"]
    assert "the bank of the river was steep." in uses[0].text.casefold()
    assert {use.word for use in uses} == {"bank"}
    (york,) = uses_in_store(store, tokenizer, "new york", None).uses
    assert york.text.casefold().startswith("new york is large")
    assert (york.start, york.form.casefold()) == (0, "new york")


def test_the_draw_follows_the_seed_and_keeps_the_order(tmp_path: Path) -> None:
    tokenizer = tokenizer_of("wordpiece", ENGLISH)
    store = stored(tmp_path / "train", ENGLISH, tokenizer)
    drawn = {seed: uses_in_store(store, tokenizer, "bank", 2, seed) for seed in range(8)}
    assert {len(one.uses) for one in drawn.values()} == {2}
    assert {one.found for one in drawn.values()} == {5}
    assert drawn[3] == uses_in_store(store, tokenizer, "bank", 2, 3)
    assert len({tuple(use.id for use in one.uses) for one in drawn.values()}) > 2
    every = [use.id for use in uses_in_store(store, tokenizer, "bank", None).uses]
    assert all(every.index(a.id) < every.index(b.id) for (a, b), _ in drawn.values())


@pytest.mark.parametrize("kind", ["wordpiece", "words", "byte-bpe"])
def test_chinese_words_are_found_anywhere_and_single_characters_by_themselves(
    tmp_path: Path, kind: str
) -> None:
    tokenizer = tokenizer_of(kind, CHINESE)
    store = stored(tmp_path / "train", CHINESE, tokenizer)
    banks = uses_in_store(store, tokenizer, "银行", None).uses
    assert [use.text[use.start : use.end + 1] for use in banks] == ["银行在", "银行家"]
    (water,) = uses_in_store(store, tokenizer, "水", None).uses
    assert "河里的水很深。" in water.text
    assert water.text[water.start - 1 : water.end + 1] == "的水很"


def test_a_large_store_is_read_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tokenizer_of("wordpiece", ENGLISH)
    store = stored(tmp_path / "train", ENGLISH, tokenizer)
    whole = [uses_in_store(store, tokenizer, word, None) for word in ("bank", "new york")]
    monkeypatch.setattr("polyseme.data.uses._PIECE", 7)
    assert [uses_in_store(store, tokenizer, word, None) for word in ("bank", "new york")] == whole


def test_an_unknown_word_is_a_mark_and_has_no_use(tmp_path: Path) -> None:
    tokenizer = tokenizer_of("words", ENGLISH)
    store = stored(tmp_path / "train", ENGLISH, tokenizer)
    (use,) = uses_in_store(store, tokenizer, "york", None).uses
    assert use.text.endswith("there. Nobody knows….") or "…" in use.text
    assert uses_in_store(store, tokenizer, "zyx", None) == ([], 0)


@pytest.mark.parametrize("kind", ["wordpiece", "words", "byte-bpe", "characters"])
def test_no_more_is_joined_than_a_context_needs(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quoted = ['"The bank was steep," he said.', 'She saw "the river" there, and it was large.']
    documents = [quoted * 30, [" ".join(quoted * 25)], ENGLISH[1] * 20]
    tokenizer = tokenizer_of(kind, documents)
    store = stored(tmp_path / "train", documents, tokenizer)
    pushed: list[int] = []
    push = Joiner.push
    monkeypatch.setattr(Joiner, "push", lambda joiner, id: (pushed.append(id), push(joiner, id))[1])
    told = Told()
    uses = uses_in_store(store, tokenizer, "bank", None, reporter=told)
    fewer = len(pushed)
    assert told.stages[0] == ("reading uses", 0, uses.found)
    assert len(told.stages) == -(-uses.found // 100)
    monkeypatch.setattr("polyseme.data.uses._reach", len)
    assert uses_in_store(store, tokenizer, "bank", None) == uses
    assert fewer < 0.8 * (len(pushed) - fewer) or kind == "characters"


def test_a_character_s_own_run_alone_is_cut_into_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [["河里的水很深，银行在河边。", "他喝水。"] * 10]
    tokenizer = tokenizer_of("wordpiece", documents)
    store = stored(tmp_path / "train", documents, tokenizer)
    read: list[str] = []
    monkeypatch.setattr(
        "polyseme.data.uses.occurrences", lambda text, word: (read.append(text), occurrences(text, word))[1]
    )
    uses = uses_in_store(store, tokenizer, "水", None).uses
    assert len(uses) > 2
    assert max(map(len, read)) <= 8
