"""Tokenizers: special tokens, offsets, word starts, sizes, files, determinism."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tokenizers as hf

from polyseme.errors import ConfigError, CorpusError
from polyseme.text.config import TokenizerConfig
from polyseme.text.tokenizers import SPECIAL_TOKENS, Tokenizer
from polyseme.text.training import default_vocab_size, train_tokenizer

TEXTS = [
    "The [MASK] of the house was unbelievable, said the masked man; [SEP] he didn't believe it.\n\nA new day!",
    "我们在北京的清华大学学习自然语言处理。语言模型会预测被遮住的词。",
    "Naïve café façades, 3.14 and 2,718 reasons; re-reading the unreadable, rethinking the unthinkable.",
] * 20
KINDS = ("wordpiece", "byte-bpe", "unigram", "characters")


def make(kind: str, **changes: object) -> Tokenizer:
    return train_tokenizer(TEXTS, TokenizerConfig.of({"kind": kind, "vocab_size": 400, **changes}, "test"), 0)


@pytest.fixture(scope="module")
def trained() -> dict[str, Tokenizer]:
    return {kind: make(kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_are_the_first_five_ids(kind: str, trained: dict[str, Tokenizer]) -> None:
    tokenizer = trained[kind]
    assert tokenizer.special_ids == (0, 1, 2, 3, 4)
    assert tuple(map(tokenizer.token, range(5))) == SPECIAL_TOKENS
    assert (
        tokenizer.pad_id,
        tokenizer.unk_id,
        tokenizer.cls_id,
        tokenizer.sep_id,
        tokenizer.mask_id,
    ) == tuple(range(5))
    assert not tokenizer.continues[:5].any()
    assert tokenizer.vocab_size == len(tokenizer.continues) <= 400
    assert tokenizer.id(SPECIAL_TOKENS[4]) == 4
    assert tokenizer.id("no such token") is tokenizer.id("\udcff") is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_written_mask_is_letters_unless_asked(kind: str, trained: dict[str, Tokenizer]) -> None:
    tokenizer = trained[kind]
    text = "The [MASK] man [SEP] [CLS][PAD] [UNK]"
    for ids in (
        tokenizer.encode(text).ids,
        tokenizer.encode_batch([text])[0].ids,
        tokenizer.encode_ids([text])[0],
    ):
        assert not {0, 2, 3, 4} & set(ids)
    tokens = tokenizer.encode(text, special=True)
    assert [i for i in tokens.ids if i in (0, 2, 3, 4)] == [4, 3, 2, 0]
    start, end = tokens.offsets[tokens.ids.index(4)]
    assert text[start:end] == "[MASK]"


@pytest.mark.parametrize("kind", KINDS)
def test_the_three_ways_to_encode_agree(kind: str, trained: dict[str, Tokenizer]) -> None:
    tokenizer = trained[kind]
    texts = [*TEXTS[:3], "", "Unseen ☂ 字", "a lone \ud800 surrogate"]
    one_by_one = [tokenizer.encode(text) for text in texts]
    assert tokenizer.encode_batch(texts) == one_by_one
    assert tokenizer.encode_ids(texts) == [tokens.ids for tokens in one_by_one]
    assert all(len(t.ids) == len(t.offsets) == len(t.word_starts) for t in one_by_one)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "text", ["The HOUSE", "Cafe\u0301 fac\u0327ades", "北京 house", "a😀b", "İstanbul", "the\u3000man  said"]
)
def test_offsets_are_into_the_text_as_written(kind: str, text: str, trained: dict[str, Tokenizer]) -> None:
    tokens = trained[kind].encode(text)
    covered = {i for start, end in tokens.offsets for i in range(start, end)}
    assert {i for i, c in enumerate(text) if not c.isspace()} <= covered


@pytest.mark.parametrize(("kind", "exact"), [("wordpiece", 1.0), ("unigram", 0.95), ("byte-bpe", 0.9)])
def test_word_starts_and_continuing_pieces(kind: str, exact: float, trained: dict[str, Tokenizer]) -> None:
    tokenizer = trained[kind]
    tokens = tokenizer.encode("unbelievable houses, rethinking the house")
    starts = [tokens.offsets[i][0] for i, start in enumerate(tokens.word_starts) if start]
    words = [0, 13, 19, 21, 32, 36]
    assert sorted(set(starts)) == words
    tokens = tokenizer.encode(" ".join(TEXTS[0].split()))
    assert np.mean(~tokenizer.continues[tokens.ids] == np.array(tokens.word_starts)) >= exact


def test_word_starts_of_characters(trained: dict[str, Tokenizer]) -> None:
    tokens = trained["characters"].encode("the man, 我们")
    assert tokens.word_starts == [True, False, False, True, True, False, False, True, True, True, True]


def test_pieces_read_well(trained: dict[str, Tokenizer]) -> None:
    for kind in KINDS:
        tokenizer = trained[kind]
        shown = "".join(tokenizer.display(i) for i in tokenizer.encode(" the man").ids)
        assert shown.replace("##", "").split() == (["the", "man"] if kind != "wordpiece" else ["theman"])
        assert tokenizer.decode(tokenizer.encode("the man").ids).strip() == "the man"
        assert tokenizer.decode([4, *tokenizer.encode("the").ids]).strip() == "the"
        assert tokenizer.id("[MASK]") == 4
        assert tokenizer.id("no such token") is None
    byte_bpe = trained["byte-bpe"]
    assert byte_bpe.display(byte_bpe.encode("☂").ids[0]).startswith("\\x")


def test_chinese_characters_are_units_of_wordpiece(trained: dict[str, Tokenizer]) -> None:
    tokens = trained["wordpiece"].encode("自然语言处理")
    assert [end - start for start, end in tokens.offsets] == [1] * 6
    assert all(tokens.word_starts)
    assert trained["wordpiece"].unk_id not in tokens.ids


def test_case(trained: dict[str, Tokenizer]) -> None:
    assert trained["wordpiece"].encode("THE").ids == trained["wordpiece"].encode("the").ids
    assert trained["byte-bpe"].encode("THE").ids != trained["byte-bpe"].encode("the").ids
    cased, folded = make("wordpiece", lowercase=False), make("byte-bpe", lowercase=True)
    assert cased.encode("The").ids != cased.encode("the").ids
    assert folded.encode("THE").ids == folded.encode("the").ids


@pytest.mark.parametrize("kind", KINDS)
def test_files_round_trip_and_serve_elsewhere(
    kind: str, trained: dict[str, Tokenizer], tmp_path: Path
) -> None:
    trained[kind].save(tmp_path / "tokenizer.json")
    again = Tokenizer.from_file(tmp_path / "tokenizer.json")
    assert again.fingerprint == trained[kind].fingerprint
    assert again.encode(TEXTS[2]) == trained[kind].encode(TEXTS[2])
    assert (again.continues == trained[kind].continues).all()
    elsewhere = hf.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    pair = elsewhere.encode("the house", "the man")
    assert pair.ids[0] == 2
    assert [i for i in pair.ids if i < 5] == [2, 3, 3]
    assert pair.type_ids == [0] * (pair.ids.index(3) + 1) + [1] * (len(pair.ids) - pair.ids.index(3) - 1)


def test_bad_files(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"tokenizer\.json"):
        Tokenizer.from_file(tmp_path / "bad.json")
    with pytest.raises(FileNotFoundError):
        Tokenizer.from_file(tmp_path / "none.json")
    bare = hf.Tokenizer(hf.models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    (tmp_path / "tokenizer.json").write_text(bare.to_str())
    for settings in ("{", "[]", '{"pad_token": 7}', '{"pad_token": "[PAD]"}', '{"eos_token_id": 9}'):
        (tmp_path / "tokenizer_config.json").write_text(settings)
        with pytest.raises(ConfigError):
            Tokenizer.from_file(tmp_path / "tokenizer.json")


def test_foreign_special_tokens_are_understood() -> None:
    names = ["a", "<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    foreign = hf.Tokenizer(hf.models.WordLevel({n: i for i, n in enumerate(names)}, unk_token="<unk>"))
    assert Tokenizer(foreign).special_ids == (2, 4, 1, 3, 5)


def test_training_refuses_nothing_and_nonsense() -> None:
    with pytest.raises(CorpusError):
        train_tokenizer(["", "  "], TokenizerConfig(), 0)
    for values in (
        {"vocab_size": 10},
        {"kind": "byte-bpe", "vocab_size": 200},
        {"kind": "syllables"},
        {"vocabsize": 9},
    ):
        with pytest.raises(ConfigError):
            TokenizerConfig.of(values, "test")


@pytest.mark.parametrize("kind", ["wordpiece", "byte-bpe", "characters"])
def test_the_vocabulary_has_the_size_asked_for(kind: str) -> None:
    text = [" ".join(f"{a}{b}{c}" for a in "abcdefgh" for b in "ijklmnop" for c in "qrstuvwx")] * 3
    for size in (330, 500):
        tokenizer = train_tokenizer(text, TokenizerConfig.of({"kind": kind, "vocab_size": size}, "test"), 0)
        assert tokenizer.vocab_size == size if kind != "characters" else tokenizer.vocab_size <= size


def test_the_size_follows_from_the_corpus() -> None:
    english = Counter("the cat sat on the mat" * 100)
    sizes = [default_vocab_size(n, english) for n in (0, 10_000, 2_200_000, 28_000_000, 10**9, 10**12)]
    assert sizes == sorted(sizes)
    assert sizes[0] == 1024
    assert sizes[2] in range(3500, 4000)
    assert sizes[3] == 8000
    assert sizes[-1] == 32_000
    chinese = Counter({chr(0x4E00 + i): 100 for i in range(4000)})
    assert 4900 < default_vocab_size(1000, chinese) < 5100
    assert all(size % 64 == 0 for size in sizes)


def test_only_the_sample_is_read() -> None:
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1100
            yield "some words " * 100 if read < 10_000 else "quite others " * 100

    tokenizer = train_tokenizer(endless(), TokenizerConfig(kind="words", sample_bytes=9_900), 0)
    assert read == 9_900
    assert sorted(tokenizer.as_json()["model"]["vocab"])[-2:] == ["some", "words"]
    assert tokenizer.vocab_size == 7


@pytest.mark.parametrize("kind", ["wordpiece", "byte-bpe", "characters"])
def test_training_again_in_another_process_gives_the_same_bytes(kind: str) -> None:
    program = (
        "import json, sys; from polyseme.text.training import *; from polyseme.text.config import TokenizerConfig;"
        "texts, kind = json.load(sys.stdin);"
        "print(train_tokenizer(texts, TokenizerConfig(kind=kind, vocab_size=400), 0).fingerprint)"
    )
    found = set()
    for seed in ("1", "2", "3"):
        environment = os.environ | {
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        run = subprocess.run(
            [sys.executable, "-c", program], input=json.dumps([TEXTS, kind]),
            capture_output=True, text=True, check=True, env=environment,
        )  # fmt: skip
        found.add(run.stdout.strip())
    assert len(found) == 1


@pytest.mark.parametrize("kind", ["words", "spaces"])
def test_word_level_ids_follow_frequency_and_offsets_are_exact(kind: str) -> None:
    text = "The cat sat. The cat, the dog: 北京大学的学生 don't"
    tokenizer = train_tokenizer([text] * 3, TokenizerConfig.of({"kind": kind, "min_count": 1}, "test"), 0)
    assert tokenizer.is_word_level
    assert tokenizer.token(5) == "the"
    for some in (text, "the dog", "", "学生 sat", "[MASK]"):
        tokens = tokenizer.encode(some)
        assert all(tokens.word_starts)
        assert tokenizer.encode_ids([some]) == [tokens.ids]
        assert [t.ids for t in tokenizer.encode_batch([some])] == [tokens.ids]
        found = [some[start:end].lower() for start, end in tokens.offsets]
        known = [(word, tokenizer.token(i)) for word, i in zip(found, tokens.ids, strict=True) if i != 1]
        assert all(word == token for word, token in known)
        assert "".join(found) == "".join(some.lower().split())
    words = [tokenizer.token(i) for i in tokenizer.encode(text).ids]
    assert ("北京大学" in words) == (kind == "words")
    assert tokenizer.mask_id not in tokenizer.encode("[MASK]").ids


def test_a_word_must_be_frequent_enough_to_have_a_token() -> None:
    config = TokenizerConfig.of({"kind": "words", "min_count": 3}, "test")
    tokenizer = train_tokenizer(["a a a b b c"], config, 0)
    assert tokenizer.vocab_size == 6
    assert tokenizer.encode("b").ids == [tokenizer.unk_id]
