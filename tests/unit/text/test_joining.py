from __future__ import annotations

import pytest

from decoding import TEXTS, make_tokenizer
from polyseme.text.config import TokenizerConfig
from polyseme.text.joining import Joiner, gap
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.training import train_tokenizer


def joined(tokenizer: Tokenizer, ids: list[int], before: str = "") -> str:
    joiner = Joiner(tokenizer, before)
    return "".join([*(joiner.push(id) for id in ids), joiner.flush()])


ENGLISH = [
    'he said, "it\'s late," and left.',
    "don't (or do) pay $5.50 for well-known books; 3.5% is 1,000?",
    "a_name and/or another: see [1]!",
    'they\'re the dogs\' toys... "yes" he said. "no."',
]
CHINESE = [
    "今天天气很好，我们去公园散步。他说：“好！”",
    "北京2008年的 Python 语言（新版）",
    "《红楼梦》、《西游记》……",
]


@pytest.mark.parametrize("text", [*ENGLISH, *CHINESE])
@pytest.mark.parametrize("kind", ["wordpiece", "words"])
def test_words_are_joined_as_people_write(kind: str, text: str) -> None:
    texts = [*ENGLISH, *CHINESE] * 5
    tokenizer = train_tokenizer(
        texts, TokenizerConfig(kind=kind, vocab_size=400, lowercase=False, min_count=1), 0
    )  # type: ignore[arg-type]
    assert joined(tokenizer, tokenizer.encode(text).ids) == text


@pytest.mark.parametrize("kind", ["byte-bpe", "characters"])
@pytest.mark.parametrize("text", [*TEXTS[:2], "the  cat\n\nsat", " é\t"])
def test_bytes_and_characters_come_back_exactly(kind: str, text: str) -> None:
    tokenizer = train_tokenizer(
        [*TEXTS, "a\n\tb"], TokenizerConfig(kind=kind, vocab_size=330, min_count=1), 0
    )  # type: ignore[arg-type]
    ids = tokenizer.encode(text).ids
    assert joined(tokenizer, ids) == text
    for cut in range(len(ids)):
        before = joined(tokenizer, ids[:cut])
        if "�" not in before:
            assert before + joined(tokenizer, ids[cut:], before) == text


def test_a_character_is_given_out_when_its_last_byte_has_come() -> None:
    tokenizer = train_tokenizer(["abc"] * 9, TokenizerConfig(kind="byte-bpe", vocab_size=320), 0)
    ids = tokenizer.encode("é€𝄞!").ids
    assert len(ids) == 10
    joiner = Joiner(tokenizer)
    assert [joiner.push(id) for id in ids] == ["", "é", "", "", "€", "", "", "", "𝄞", "!"]
    assert joiner.push(ids[2]) == ""
    assert joiner.flush() == "�"


def test_unigram_spaces() -> None:
    tokenizer = make_tokenizer("unigram")
    ids = tokenizer.encode("the cat sat").ids
    assert joined(tokenizer, ids) == "the cat sat"
    assert joined(tokenizer, ids, "one") == " the cat sat"
    assert joined(tokenizer, ids, "one ") == "the cat sat"


def test_pieces_and_words_go_on_the_text_before() -> None:
    tokenizer = make_tokenizer("wordpiece")
    the, comma = tokenizer.encode("the ,").ids
    assert joined(tokenizer, [the, comma], "on") == " the,"
    assert joined(tokenizer, [the], "on ") == "the"
    assert joined(tokenizer, [tokenizer.sep_id, the, tokenizer.pad_id, the]) == "the the"
    piece = next(i for i in range(tokenizer.vocab_size) if tokenizer.token(i) == "##t")
    assert joined(tokenizer, [piece], "ca") == "t"
    spaces = make_tokenizer("spaces")
    assert joined(spaces, spaces.encode("the cat , sat").ids, "x")[:8] == " the cat"


@pytest.mark.parametrize(
    ("before", "word", "in_quotes", "expected"),
    [
        ("", "a", False, ""),
        ("a", "b", False, " "),
        ("a\n", "b", False, ""),
        ("said", '"', False, " "),
        ("said", '"', True, ""),
        ('said "', "yes", True, ""),
        ('yes"', "he", False, " "),
        ("pi is 3.", "14", False, ""),
        ("in 1914.", "then", False, " "),
        ("don'", "t", False, ""),
        ("dogs'", "toys", False, " "),
        ("a-", "b", False, ""),
        ("a -", "b", False, " "),
        ("京", "a", False, " "),
        ("京", "2", False, ""),
        ("。", "a", False, ""),
        ("a", "，", False, ""),
    ],
)
def test_gap(before: str, word: str, in_quotes: bool, expected: str) -> None:
    assert gap(before, word, in_quotes) == expected
