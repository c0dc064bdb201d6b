"""Offsets of every kind of tokenizer, for any text: ordered, inside the text, covering what is not dropped."""

from __future__ import annotations

import functools

import tokenizers as hf
from hypothesis import given, settings
from hypothesis import strategies as st

from polyseme.text.clean import replace_surrogates
from polyseme.text.config import TokenizerConfig
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.training import train_tokenizer

KINDS = ("wordpiece", "byte-bpe", "unigram", "characters")
TEXTS = [
    "The quick brown fox didn't jump over 13 lazy dogs. Łódź, naïve!",
    "敏捷的棕色狐狸跳过了懒狗，[MASK] 😀。",
] * 30
INTERESTING = st.sampled_from(
    [
        "[MASK]",
        "[SEP]",
        " ",
        "\n",
        "\u3000",
        "e\u0301",
        "İ",
        "ß",
        "ǆ",
        "中文",
        "가",
        "👩\u200d🚀",
        "\u0f73",
        "\u200b",
        "don't",
        "##s",
        "Ġ",
        "▁",
        "\ufeff",
        "a" * 120,
    ]
)
ANY_TEXT = st.lists(st.one_of(st.text(st.characters(), max_size=8), INTERESTING), max_size=12).map("".join)


@functools.cache
def trained(kind: str) -> Tokenizer:
    return train_tokenizer(TEXTS, TokenizerConfig.of({"kind": kind, "vocab_size": 400}, "test"), 0)


@functools.cache
def normalizer(kind: str) -> hf.normalizers.Normalizer:
    return hf.Tokenizer.from_str(trained(kind)._json).normalizer


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(KINDS), text=ANY_TEXT)
def test_offsets(kind: str, text: str) -> None:
    tokens = trained(kind).encode(text)
    assert not {0, 2, 3, 4} & set(tokens.ids)
    for earlier, later in zip(tokens.offsets, tokens.offsets[1:], strict=False):
        assert earlier[0] <= later[0]
        assert earlier[1] <= later[1]
    assert all(0 <= start <= end <= len(text) for start, end in tokens.offsets)
    covered = {i for start, end in tokens.offsets for i in range(start, end)}
    for i, character in enumerate(text):
        # What BERT's normaliser drops: control, format, private, unassigned characters, and U+FFFD.
        if not character.isspace() and normalizer(kind).normalize_str(replace_surrogates(character)).strip():
            assert i in covered, (character, tokens)
    if tokens.ids:
        assert tokens.word_starts[0]


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(("byte-bpe",)), text=ANY_TEXT)
def test_byte_bpe_loses_nothing(kind: str, text: str) -> None:
    tokenizer = trained(kind)
    assert tokenizer.decode(tokenizer.encode(text).ids) == normalizer(kind).normalize_str(
        replace_surrogates(text)
    )


@settings(max_examples=60, deadline=None)
@given(text=ANY_TEXT)
def test_continuing_pieces_of_wordpiece_are_exact(text: str) -> None:
    tokenizer = trained("wordpiece")
    tokens = tokenizer.encode(text)
    assert [not c for c in tokenizer.continues[tokens.ids]] == tokens.word_starts
