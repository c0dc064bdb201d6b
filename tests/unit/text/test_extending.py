"""A vocabulary gets entries for other text: what was there stays, what is missing most comes first."""

from __future__ import annotations

import pytest

from polyseme.errors import ConfigError
from polyseme.text.config import TokenizerConfig
from polyseme.text.extending import extended, made_of
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.training import train_tokenizer

OLD = [f"The old river sees {n} birds, and they sing." for n in range(300)]
NEW = [f"Ο ποταμός sees {n} tokamaks; 河流 and the tokamak birdriver." for n in range(50)]


def vocabulary(kind: str) -> Tokenizer:
    size = {"words": None, "spaces": None}.get(kind, 400)
    return train_tokenizer(OLD, TokenizerConfig.of({"kind": kind, "vocab_size": size}, "test"), 0)


def unknown(tokenizer: Tokenizer, texts: list[str]) -> int:
    return sum(ids.count(tokenizer.unk_id) for ids in tokenizer.encode_ids(texts))


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "characters", "words", "spaces"])
def test_what_was_unknown_is_known_and_what_was_there_stays(kind: str) -> None:
    old = vocabulary(kind)
    assert unknown(old, NEW) > 0
    new = extended(old, NEW, 1000)
    assert old.vocab_size < new.vocab_size <= old.vocab_size + 1000
    assert [new.token(i) for i in range(old.vocab_size)] == [old.token(i) for i in range(old.vocab_size)]
    if kind in ("words", "spaces"):  # numbers that occur once are no entries
        assert unknown(new, NEW) < unknown(old, NEW) / 2
    else:
        assert unknown(new, NEW) == 0
    if kind != "unigram":  # whose pieces compete
        assert new.encode_ids(OLD[:50]) == old.encode_ids(OLD[:50])
    assert extended(old, NEW, 1000).fingerprint == new.fingerprint
    assert (new.roles, new.pad_id, new.mask_id) == (old.roles, old.pad_id, old.mask_id)


def test_the_most_frequent_come_first_and_no_more_than_asked() -> None:
    old = vocabulary("wordpiece")
    new = extended(old, NEW, 3)
    assert new.vocab_size == old.vocab_size + 3
    many = extended(old, NEW, 1000)
    assert many.id("tokamak") is not None
    assert many.id("河") is not None
    assert many.id("##ς") is not None
    assert [new.token(old.vocab_size + i) for i in range(3)] == [
        many.token(old.vocab_size + i) for i in range(3)
    ]


def test_nothing_is_added_where_nothing_is_missing() -> None:
    old = vocabulary("characters")
    assert extended(old, OLD, 10) is old


def test_new_entries_are_made_of_the_tokens_before() -> None:
    old = vocabulary("wordpiece")
    new = extended(old, NEW, 1000)
    spelled = made_of(old, new)
    assert len(spelled) == new.vocab_size - old.vocab_size
    assert spelled[new.id("birdriver") - old.vocab_size] == old.encode("birdriver").ids  # type: ignore[operator]
    known = [id for character in "tokamak" for id in old.encode(character).ids if id != old.unk_id]
    assert spelled[new.id("tokamak") - old.vocab_size] == known  # type: ignore[operator]
    assert spelled[new.id("河") - old.vocab_size] == []  # type: ignore[operator]


def test_bytes_know_every_text() -> None:
    with pytest.raises(ConfigError, match="knows every text"):
        extended(vocabulary("byte-bpe"), NEW, 10)
