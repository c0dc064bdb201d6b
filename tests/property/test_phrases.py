"""Phrases: the vectorised join equals the plain one, every way to encode agrees, and no word is lost or moved."""

from __future__ import annotations

import functools
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyseme.data.encoding import DocumentEncoder
from polyseme.text.config import TokenizerConfig
from polyseme.text.phrases import Discounted, Phrases, learn_phrases
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.training import train_tokenizer

SAMPLE = [
    "New York Times, New York. San Francisco! the new hat of York and the times of Francisco in San",
    "of the of the of the. a a a a. 我们 学习 自然语言处理。自然语言处理 的 北京大学 的 学生 都 学习",
] * 20
ENGLISH = (
    "New York Times|new york|New\nYork| |, |. |\n\n|_|San Francisco|of the|of the of |a |a a a|Times |unseen"
)
OTHERS = "自然语言处理|北京大学|学习|的|[MASK]|e\u0301|\u200b|İ"
PARTS = st.sampled_from(f"{ENGLISH}|{OTHERS}".split("|"))
ANY_TEXT = st.lists(st.one_of(PARTS, PARTS, st.text(max_size=4)), max_size=14).map("".join)
WORD = st.integers(1, 5)


@functools.cache
def trained(kind: str) -> tuple[Tokenizer, DocumentEncoder, DocumentEncoder]:
    config = {"kind": kind, "min_count": 1, "phrases": 2, "phrase_threshold": 1.5, "phrase_delta": 1}
    tokenizer = train_tokenizer(SAMPLE, TokenizerConfig.of(config, "test"), 0)
    assert tokenizer.phrases is not None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tokenizer.json"
        tokenizer.save(file)
        return tokenizer, DocumentEncoder(file), DocumentEncoder(file, by_pieces=False)


@settings(max_examples=300, deadline=None)
@given(
    texts=st.lists(st.lists(WORD, max_size=12), min_size=1, max_size=6),
    patterns=st.lists(st.lists(WORD, min_size=2, max_size=4).map(tuple), min_size=1, max_size=9, unique=True),
)
def test_join_equals_its_plain_form(texts: list[list[int]], patterns: list[tuple[int, ...]]) -> None:
    table = Phrases(patterns, range(6, 6 + len(patterns)), 6 + len(patterns))
    ids = np.array([i for text in texts for i in text], np.int64)
    joined = table.join(ids, np.array([len(text) for text in texts]))
    expected, lengths, first, before = [], [], [], 0
    for text in texts:
        at, found = 0, table.find(text)
        length = 0
        for start, end, phrase in [*found, (len(text), len(text), -1)]:
            expected += [*text[at:start], *([phrase] if phrase >= 0 else [])]
            first += [*range(before + at, before + start), *([before + start] if phrase >= 0 else [])]
            length += start - at + (phrase >= 0)
            at = end
            assert phrase < 0 or patterns[phrase - 6] == tuple(text[start:end])
        lengths.append(length)
        before += len(text)
    assert joined.ids.tolist() == expected
    assert joined.lengths.tolist() == lengths
    assert joined.first.tolist() == first


@settings(max_examples=100, deadline=None)
@given(
    text=st.lists(WORD, max_size=30),
    patterns=st.sets(st.lists(WORD, min_size=2, max_size=3).map(tuple), max_size=6),
)
def test_plain_form_takes_the_longest_from_the_left(text: list[int], patterns: set[tuple[int, ...]]) -> None:
    ordered = sorted(patterns)
    expected, at = [], 0
    while at < len(text):
        fits = [p for p in ordered if tuple(text[at : at + len(p)]) == p]
        if fits:
            best = max(fits, key=len)
            expected.append((at, at + len(best), 6 + ordered.index(best)))
            at += len(best)
        else:
            at += 1
    assert Phrases(ordered, range(6, 6 + len(ordered)), 20).find(text) == expected


@pytest.mark.parametrize("kind", ["words", "spaces"])
@settings(max_examples=80, deadline=None)
@given(texts=st.lists(ANY_TEXT, min_size=1, max_size=4))
def test_phrases_cover_their_words_exactly(kind: str, texts: list[str]) -> None:
    tokenizer, _, _ = trained(kind)
    together = tokenizer.encode_batch(texts)
    assert together == [tokenizer.encode(text) for text in texts]
    assert tokenizer.encode_ids(texts) == [tokens.ids for tokens in together]
    apart = tokenizer.encode_batch(texts, phrases=False)
    assert tokenizer.encode_ids(texts, phrases=False) == [tokens.ids for tokens in apart]
    for tokens, words in zip(together, apart, strict=True):
        at = 0
        for i, (start, end) in zip(tokens.ids, tokens.offsets, strict=True):
            parts = tokenizer.token(i).split(" ") if " " in tokenizer.token(i) else [tokenizer.token(i)]
            ids = words.ids[at : at + len(parts)]
            assert [tokenizer.token(j) for j in ids] == parts
            assert (start, end) == (words.offsets[at][0], words.offsets[at + len(parts) - 1][1])
            at += len(parts)
        assert at == len(words)


@pytest.mark.parametrize("kind", ["words", "spaces"])
@settings(max_examples=80, deadline=None)
@given(texts=st.lists(ANY_TEXT, min_size=1, max_size=4))
def test_documents_are_the_same_both_ways(kind: str, texts: list[str]) -> None:
    _, fast, plain = trained(kind)
    for got, expected in zip(fast.encode(texts), plain.encode(texts), strict=True):
        assert got.tolist() == expected.tolist()


@settings(max_examples=60, deadline=None)
@given(text=st.lists(st.integers(0, 5), max_size=60), threshold=st.floats(0, 3), delta=st.floats(0, 2))
def test_the_first_pass_is_the_formula(text: list[int], threshold: float, delta: float) -> None:
    words = np.array(text, np.int64)
    n = sum(i > 0 for i in text)
    pairs = [p for p in pairwise(text) if 0 not in p]
    expected = {p: (pairs.count(p) - delta) / (text.count(p[0]) * text.count(p[1])) * n for p in set(pairs)}
    expected = {p: score for p, score in expected.items() if score > threshold}
    got = learn_phrases(words, n, 1, Discounted(threshold, delta))
    near = {p for p, score in expected.items() if abs(score - threshold) < 1e-9}
    assert set(got) - near == set(expected) - near
    assert all(got[p] == pytest.approx(expected[p]) for p in set(got) & set(expected))
