"""Tokenizing by pieces gives, for any text and pipeline, exactly what tokenizing whole sentences gives."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tokenizers as hf
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models, normalizers, pre_tokenizers, trainers

from polyseme.data import cutting
from polyseme.data.cutting import piece_splitter
from polyseme.data.encoding import DocumentEncoder, PieceTable
from polyseme.text.config import TokenizerConfig
from polyseme.text.sentences import sentence_spans
from polyseme.text.tokenizers import SPECIAL_TOKENS, Tokenizer
from polyseme.text.training import train_tokenizer
from polyseme.text.words import cjk_share

TEXTS = [
    "The quick brown fox didn't jump over 13 lazy dogs. Łódź, naïve! a<b>=c",
    "敏捷的棕色狐狸跳过了懒狗，[MASK] 😀。我们在北京大学学习C语言。",
] * 30
SPACES = " |  |\n|\t|\u3000|\u00a0|\u2000|\u2028|\x0b|\x1c|\x85|\u200b|\ufeff"
MARKS = "e\u0301|=\u0338|<|\u0327\u0338|\u037e|[MASK]|##s|Ġ|▁|▁the|ﱞ|¨|。|，|dog."
WORDS = "the | the|fox. The|don't|İ|Σ|가|中文|北京大学|的|\u9fff|\U00020000|" + "a" * 120
INTERESTING = st.sampled_from(f"{SPACES}|{MARKS}|{WORDS}".split("|"))
ANY_TEXT = st.lists(st.one_of(st.text(max_size=8), INTERESTING), max_size=12).map("".join)

# hard-wrapped text, with what ends a paragraph in it
_LINE = "the lamp stood on the table by the door of the house|and the fox ran. Then it stopped! Why? So"
_MARKED = "- one|  2) two|(iv) three|===|* four|“Stop.” He||\x1c|\r| \t|..."
_CHINESE = "北京大学的学生在上课。我们学习|第一章。|他说：好，走吧！|“北京，大学”|甲乙 a1、丙；"
LINE = st.sampled_from(f"{_LINE}|{_MARKED}|{_CHINESE}".split("|"))
LINES = st.lists(LINE, max_size=30).map("\n".join)


def foreign(
    model: str, normalizer: normalizers.Normalizer | None, before: pre_tokenizers.PreTokenizer
) -> str:
    made, trainer = {
        "wordpiece": (models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer),
        "bpe": (models.BPE(unk_token="[UNK]"), trainers.BpeTrainer),
        "unigram": (models.Unigram(), functools.partial(trainers.UnigramTrainer, unk_token="[UNK]")),
    }[model]
    backend = hf.Tokenizer(made)
    if normalizer is not None:
        backend.normalizer = normalizer
    backend.pre_tokenizer = before
    trainer = trainer(vocab_size=400, special_tokens=list(SPECIAL_TOKENS), show_progress=False)
    backend.train_from_iterator(TEXTS, trainer)
    return str(backend.to_str())


def ours(kind: str) -> str:
    tokenizer = train_tokenizer(TEXTS, TokenizerConfig.of({"kind": kind, "vocab_size": 400}, "test"), 0)
    return str(tokenizer._json)


PIPELINES: dict[str, Callable[[], str]] = {
    **{
        kind: functools.partial(ours, kind)
        for kind in ("wordpiece", "byte-bpe", "unigram", "characters", "words", "spaces")
    },
    "bert": lambda: foreign("wordpiece", normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()),
    "cased bert": lambda: foreign(
        "wordpiece", normalizers.BertNormalizer(lowercase=False), pre_tokenizers.BertPreTokenizer()
    ),
    "gpt": lambda: foreign("bpe", normalizers.NFKC(), pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "metaspace": lambda: foreign("unigram", None, pre_tokenizers.Metaspace()),
    "metaspace first": lambda: foreign("bpe", None, pre_tokenizers.Metaspace(prepend_scheme="first")),
}


@functools.cache
def encoders(name: str) -> tuple[DocumentEncoder, DocumentEncoder, DocumentEncoder, Tokenizer]:
    """By pieces, by pieces with the compiled loops, and by whole sentences; the tokenizer."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tokenizer.json"
        file.write_text(PIPELINES[name](), "utf-8")
        assert piece_splitter(json.loads(file.read_text("utf-8"))) is not None
        compiled = DocumentEncoder(file, small=-1)
        whole = DocumentEncoder(file, by_pieces=False)
        return DocumentEncoder(file), compiled, whole, Tokenizer.from_file(file)


@pytest.mark.parametrize("name", PIPELINES)
@settings(max_examples=40, deadline=None)
@given(texts=st.lists(ANY_TEXT, min_size=1, max_size=4))
def test_pieces_change_nothing(name: str, texts: list[str]) -> None:
    *by_pieces, whole, _ = encoders(name)
    for encoder in by_pieces:
        for got, expected in zip(encoder.encode(texts), whole.encode(texts), strict=True):
            assert got.tolist() == expected.tolist()


@settings(max_examples=300, deadline=None)
@given(texts=st.lists(st.one_of(ANY_TEXT, LINES), max_size=4), language=st.sampled_from(["en", "zh", "auto"]))
def test_compiled_loops_find_the_same_sentences(texts: list[str], language: str) -> None:
    plain, compiled = (cutting.cut_sentences(cutting.Texts(texts, much), language) for much in (False, True))
    for got, expected in zip(compiled, plain, strict=True):
        assert got.tolist() == expected.tolist()
    starts, ends, counts = (column.tolist() for column in plain)
    spans = list(zip(starts, ends, strict=True))
    at = 0
    for text, n in zip(texts, counts, strict=True):
        name = language if language != "auto" else "zh" if cjk_share(text[:4000]) > 0.1 else "en"
        expected_spans = [(at + a, at + b) for a, b in sentence_spans(text, name)]
        assert spans[:n] == expected_spans
        spans, at = spans[n:], at + len(text)


@pytest.mark.parametrize("found", [["one. two"], ["one. ", "two"], ["o", "ne. ", "\n\n", "two.", "x"]])
def test_a_splitter_that_does_not_keep_paragraphs_apart_is_asked_one_by_one(
    found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several paragraphs are handed to sentencex at once; what it then does is looked at."""
    monkeypatch.setattr(cutting, "segment", lambda language, text: found)
    starts, ends, counts = cutting.cut_sentences(cutting.Texts(["One. Two.\nThree. Four."]), "en")
    assert (starts.tolist(), ends.tolist(), counts.tolist()) == ([0, 5, 10, 17], [4, 9, 16, 22], [4])


@pytest.mark.parametrize("name", PIPELINES)
@settings(max_examples=40, deadline=None)
@given(text=ANY_TEXT)
def test_arrays_agree_with_the_tokenizer(name: str, text: str) -> None:
    fast, *_, tokenizer = encoders(name)
    ids, starts, sentence_lengths, per_document = fast.encode([text])
    assert len(ids) == len(starts) == sentence_lengths.sum()
    assert len(sentence_lengths) == per_document.sum()
    assert (sentence_lengths > 0).all()
    assert (per_document > 0).all()
    assert starts[np.cumsum(sentence_lengths) - sentence_lengths].all()
    if len(sentence_lengths) == 1 and not any("\u3400" <= c <= "\u9fff" for c in text):
        tokens = tokenizer.encode(text.strip())
        assert ids.tolist() == tokens.ids
        assert starts.tolist()[1:] == tokens.word_starts[1:]


def test_unknown_pipelines_are_not_cut() -> None:
    spec = json.loads(ours("wordpiece"))
    assert piece_splitter(spec)
    for change in (
        {"pre_tokenizer": None},
        {"pre_tokenizer": {"type": "Whitespace"}},
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": ""}},
        {"added_tokens": [{"id": 9, "content": "New York", "special": False}]},
        {"model": spec["model"] | {"dropout": 0.1}},
    ):
        assert piece_splitter(spec | change) is None


@given(pieces=st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=9), max_size=9))
def test_a_table_forgets_without_error(pieces: list[list[str]]) -> None:
    spell = encoders("characters")[2]._encode_afresh
    table = PieceTable(spell, max_pieces=3)
    for batch in pieces:
        got = table.encode(batch)
        assert got.ids.tolist() == spell(batch).ids.tolist() if batch else not len(got.ids)
