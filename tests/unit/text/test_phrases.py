"""Phrases: the score by hand, passes, what may not join, vocabularies, files, what a person types and reads."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tokenizers as hf

from polyseme.errors import ConfigError
from polyseme.text import phrases
from polyseme.text.config import TokenizerConfig
from polyseme.text.joining import Joiner
from polyseme.text.phrases import Discounted, Phrases, learn_phrases
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.training import train_tokenizer

PLANTED = ["New York", "New York Times", "San Francisco", "自然语言处理"]


def sentences(extra: list[str], n: int = 1500) -> list[str]:
    """Sentences of words in any order, each with one of these in its midst; some words stand alone, too."""
    draw = random.Random(0)
    filler = [a + b for a in ("mo", "ta", "ri", "lu", "ke") for b in ("pa", "ne", "so", "di")] + [
        "的",
        "和",
        "大",
    ]
    singles = ["new", "york", "times", "san", "自然语言", "处理"]
    found = []
    for i in range(n):
        words = draw.choices([*filler, *singles[: i % 7]], k=9)
        found.append(" ".join([*words[:2], ",", *words[2:5], extra[i % len(extra)], *words[5:]]) + " .")
    return found


TEXTS = sentences(PLANTED)
CONFIG = {"kind": "words", "min_count": 2, "phrases": 2, "phrase_threshold": 6.0, "phrase_delta": 5}


def make(texts: list[str] = TEXTS, **changes: object) -> Tokenizer:
    return train_tokenizer(texts, TokenizerConfig.of({**CONFIG, **changes}, "test"), 0)


def entries(tokenizer: Tokenizer) -> list[str]:
    return [tokenizer.token(i) for i in range(5, tokenizer.vocab_size)]


@pytest.fixture(scope="module")
def trained() -> Tokenizer:
    return make()


def test_the_score_by_hand() -> None:
    assert Discounted(99, 5).of(25, np.array(50), 40, 10_000, 0) == ((25 - 5) / (50 * 40) * 10_000, True)
    # 1 2 stands three times among 12 words, 1 four times, 2 three times: (3 - 1) / (4 · 3) · 12 = 2
    text = np.array([1, 2, 0, 1, 2, 3, 1, 2, 0, 1, 4, 5, 6])
    assert learn_phrases(text, 12, 1, Discounted(1.99, 1.0)) == {(1, 2): pytest.approx(2.0)}
    assert learn_phrases(text, 12, 1, Discounted(2.0, 1.0)) == {}
    assert learn_phrases(text, 24, 1, Discounted(2.0, 1.0)) == {
        (1, 2): pytest.approx(4.0)
    }  # N counts rare words too
    assert (
        learn_phrases(text, 12, 1, Discounted(0.0, 3.0)) == {}
    )  # all of the pair's occurrences are discounted


def test_a_pass_counts_what_the_one_before_made_and_halves_the_threshold() -> None:
    text = np.array([1, 2, 3, 0] * 4 + [2, 0, 3, 0] * 4)
    # Pass 1: 1 2 has 4 / (4 · 8) · 20 = 2.5, and 2 3 has 4 / (8 · 8) · 20 = 1.25. Joined, 16 words are left.
    # Pass 2: (1 2) 3 has 4 / (4 · 8) · 16 = 2.
    assert learn_phrases(text, 20, 1, Discounted(2.0, 0.0)) == {(1, 2): pytest.approx(2.5)}
    assert learn_phrases(text, 20, 2, Discounted(2.4, 0.0)) == {
        (1, 2): pytest.approx(2.5),
        (1, 2, 3): pytest.approx(2.0),
    }
    assert set(learn_phrases(text, 20, 2, Discounted(4.1, 0.0))) == set()


def test_pairs_are_joined_from_the_left() -> None:
    text = np.array([1, 1, 1, 0, 2, 3, 4, 0])
    joined, number = phrases._join_pairs(text, np.array([6, 13, 19]), np.array([7, 8, 9]), 5)
    assert joined.tolist() == [7, 1, 0, 8, 4, 0]
    assert len(number) == 2


def test_rare_pairs_are_forgotten_where_memory_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rare = rng.integers(1, 60, 4000)
    planted = np.tile([61, 62, 0], 300)
    text = np.concatenate([part for i in range(20) for part in (rare[i::20], planted[i * 45 : i * 45 + 45])])
    whole = learn_phrases(text, len(text), 1, Discounted(5.0, 0.0))
    monkeypatch.setattr(phrases, "_BLOCK", 97)
    assert learn_phrases(text, len(text), 1, Discounted(5.0, 0.0)) == whole  # blocks alone change nothing
    monkeypatch.setattr(phrases, "_MOST_PAIRS", 50)
    assert (61, 62) in learn_phrases(text, len(text), 1, Discounted(5.0, 0.0))


def test_planted_phrases_form_and_nothing_joins_across_marks(trained: Tokenizer) -> None:
    found = {entry for entry in entries(trained) if " " in entry}
    assert found - {"york times"} == {"new york times", "new york", "san francisco", "自然语言 处理"}
    ids = trained.encode("New York Times, new york. New. York").ids
    shown = [trained.token(i) for i in ids]
    assert shown == ["new york times", ",", "new york", ".", "new", ".", "york"]
    commas = make(["red, fox"] * 30 + ["red", "fox"] * 30)
    assert not any(" " in entry for entry in entries(commas))
    blank = make(["red\n\nfox\n\n"] * 30)
    assert not any(" " in entry for entry in entries(blank))


def test_ids_follow_the_frequency_that_encoding_gives(trained: Tokenizer) -> None:
    counts = Counter(i for tokens in trained.encode_ids(TEXTS) for i in tokens)
    often = [counts[i] for i in range(5, trained.vocab_size)]
    assert often == sorted(often, reverse=True)
    assert counts[trained.unk_id] == 0
    assert min(counts[trained.id(e)] for e in entries(trained) if " " in e) >= 2
    assert counts[trained.id("francisco")] == 0  # but it has an entry, so that its phrase can be found


def test_the_vocabulary_has_the_size_asked_for_and_phrases_bring_their_words() -> None:
    for size in range(16, 40):
        small = make(vocab_size=size)
        assert small.vocab_size == size
        known = set(entries(small))
        assert all(word in known for entry in known for word in entry.split(" "))


def test_off_by_default_and_the_words_are_those_of_before(trained: Tokenizer) -> None:
    plain = make(phrases=0)
    assert TokenizerConfig(kind="words").phrases == 0
    assert plain.phrases is None
    assert sorted(entries(plain)) == sorted(entry for entry in entries(trained) if " " not in entry)
    for text in TEXTS[:3]:
        tokens = plain.encode(text)
        apart = trained.encode_batch([text], phrases=False)[0]
        assert [plain.token(i) for i in tokens.ids] == [trained.token(i) for i in apart.ids]
        assert tokens.offsets == apart.offsets


def test_other_kinds_refuse() -> None:
    for kind in ("wordpiece", "byte-bpe", "unigram", "characters"):
        with pytest.raises(ConfigError, match="words or spaces"):
            TokenizerConfig.of({"kind": kind, "phrases": 2}, "test")
    for values in ({"phrases": 9}, {"phrase_threshold": -1}, {"phrase_delta": float("nan")}):
        with pytest.raises(ConfigError):
            TokenizerConfig.of({"kind": "words", **values}, "test")


def test_words_of_spaces_may_have_underscores() -> None:
    texts = sentences(["new_york", "new york"])
    tokenizer = make(texts, kind="spaces")
    assert {entry for entry in entries(tokenizer) if "york" in entry} == {"york", "new york", "new_york"}
    shown = [tokenizer.token(i) for i in tokenizer.encode("new_york new york new york").ids]
    assert shown == ["new_york", "new york", "new york"]
    plain = make(texts, kind="spaces", phrases=0)
    assert [plain.token(i) for i in plain.encode("new york new_york").ids] == ["new", "york", "new_york"]


def test_offsets_span_the_words(trained: Tokenizer) -> None:
    text = "In  New\tYork  Times 大自然语言处理."
    tokens = trained.encode(text)
    shown = [text[start:end] for start, end in tokens.offsets]
    assert shown == ["In", "New\tYork  Times", "大", "自然语言处理", "."]
    assert all(tokens.word_starts)


def test_what_a_person_types_and_reads(trained: Tokenizer) -> None:
    phrase = trained.id("new york")
    for typed in ("new york", "New_York", "NEW YORK"):
        assert trained.lookup(typed) == [phrase]
    assert trained.lookup("mopa") == [trained.id("mopa")]
    assert len(trained.lookup("mopa_new_york")) == 2
    assert trained.lookup("") == []
    assert trained.display(phrase) == "new york"
    assert trained.display(trained.id("自然语言 处理")) == "自然语言处理"
    joiner = Joiner(trained)
    ids = trained.encode("mopa new york. 大 自然语言处理").ids
    assert "".join(map(joiner.push, ids)) == "mopa new york.大自然语言处理"
    assert trained.decode(trained.encode("mopa New York Times").ids) == "mopa new york times"


def test_files_hold_phrases_and_other_libraries_give_words(trained: Tokenizer, tmp_path: Path) -> None:
    trained.save(tmp_path / "tokenizer.json")
    again = Tokenizer.from_file(tmp_path / "tokenizer.json")
    assert again.fingerprint == trained.fingerprint == make().fingerprint
    assert [again.encode(text) for text in TEXTS[:3]] == [trained.encode(text) for text in TEXTS[:3]]
    elsewhere = hf.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert elsewhere.encode("new york", add_special_tokens=False).tokens == ["new", "york"]
    assert trained.encode("new [MASK] york", special=True).ids[1] == trained.mask_id


def test_a_vocabulary_without_phrases_has_no_table() -> None:
    assert Phrases.of_vocabulary({"a": 0, "b": 1}) is None
    assert Phrases.of_vocabulary({"a": 0, "a c": 1}) is None  # it has no word c
