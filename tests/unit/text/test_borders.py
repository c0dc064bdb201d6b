"""No token reaches over the border between a text and what goes on from it."""

from __future__ import annotations

import pytest

from decoding import make_tokenizer
from polyseme.text.borders import encode_after

PAIRS = [
    ("the ca", "t sat"),
    ("北京欢", "迎"),
    ("北", "京欢迎"),
    ("th", "ree"),
    ("on the ma", "t, and"),
    ("the cat", " sat"),
    ("the cat ", "sat"),
    ("", "the cat"),
    ("one tw", "o"),
]


@pytest.mark.parametrize("kind", ["wordpiece", "byte-bpe", "unigram", "characters", "words", "spaces"])
@pytest.mark.parametrize(("context", "text"), PAIRS)
def test_every_part_has_its_own_tokens(kind: str, context: str, text: str) -> None:
    ((tokens, first),) = encode_after(make_tokenizer(kind), context, [text])
    border = len(context.rstrip())
    assert len(tokens) == len(tokens.offsets) == len(tokens.word_starts) > first
    assert all(end <= border for _, end in tokens.offsets[:first])
    assert all(begin >= border for begin, _ in tokens.offsets[first:])
    assert (first > 0) == bool(context)


@pytest.mark.parametrize(("context", "text"), PAIRS)
def test_byte_pairs_are_the_bytes_of_the_text(context: str, text: str) -> None:
    tokenizer = make_tokenizer("byte-bpe")
    ((tokens, _),) = encode_after(tokenizer, context, [text])
    assert b"".join(map(tokenizer.token_bytes, tokens.ids)).decode() == context + text
    whole = tokenizer.encode(context + text)
    if not any(begin < len(context.rstrip()) < end for begin, end in whole.offsets):
        assert tokens == whole


def test_what_goes_on_a_word_is_no_new_word() -> None:
    tokenizer = make_tokenizer("wordpiece")
    ((tokens, first),) = encode_after(tokenizer, "the ca", ["t sat"])
    assert [tokenizer.token(i) for i in tokens.ids[first:]] == ["##t", "sat"]
    tokenizer = make_tokenizer("unigram")
    ((tokens, first),) = encode_after(tokenizer, "北京欢", ["迎"])
    assert [tokenizer.token(i) for i in tokens.ids[first:]] == ["迎"]
