"""Windows, shares and separators: every token has its place."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapting import tokenizer_of
from polyseme.data.wrapping import SEPARATOR, Wrapper, shares
from polyseme.tasks.examples import pieces, windows


@settings(deadline=None, max_examples=60)
@given(n=st.integers(0, 120), size=st.integers(1, 30), overlap=st.integers(0, 40), data=st.data())
def test_windows_hold_every_token_and_every_short_stretch(
    n: int, size: int, overlap: int, data: st.DataObject
) -> None:
    parts = list(windows(n, size, overlap))
    assert sorted({t for start, end in parts for t in range(start, end)}) == list(range(n))
    assert all(end - start <= size for start, end in parts)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(parts))
    if n:
        length = data.draw(st.integers(1, min(n, size, overlap + 1)))
        begin = data.draw(st.integers(0, n - length))
        assert any(start <= begin and begin + length <= end for start, end in parts)


@settings(deadline=None, max_examples=60)
@given(a=st.integers(0, 60), b=st.integers(0, 60), room=st.integers(1, 60))
def test_shares_fill_the_room_and_cut_the_longer_text_first(a: int, b: int, room: int) -> None:
    x, y = shares(a, b, room)
    assert 0 <= x <= a
    assert 0 <= y <= b
    assert x + y == min(a + b, room)
    if x < a and y < b:
        assert abs(x - y) <= 1
    elif x < a:
        assert x >= y - 1
    elif y < b:
        assert y >= x - 1


WRAPPERS = [
    Wrapper((2,), (3,), (3,), 3),  # [CLS] A [SEP] B [SEP]
    Wrapper((0,), (2, 2), (2,), 2),  # <s> A </s></s> B </s>
    Wrapper((), (50,), (), 50),  # nothing around a text
]


@pytest.mark.parametrize("wrapper", WRAPPERS)
@settings(deadline=None, max_examples=60)
@given(a=st.lists(st.integers(5, 99), max_size=6), b=st.none() | st.lists(st.integers(5, 99), max_size=6))
def test_wrapped_tokens_say_where_they_come_from(wrapper: Wrapper, a: list[int], b: list[int] | None) -> None:
    wrapped = wrapper.wrap(a, b)
    for number, text in enumerate([a, b or []]):
        inside = wrapped.text == number
        assert wrapped.ids[inside].tolist() == text
        assert wrapped.token[inside].tolist() == list(range(len(text)))
        assert set(wrapped.type[inside].tolist()) <= {number}
    added = len(wrapped.ids) - len(a) - len(b or [])
    assert added == (wrapper.added(b is not None) or (not a and not b))
    assert (wrapped.token[wrapped.text == SEPARATOR] == SEPARATOR).all()
    assert len(wrapped.ids) >= 1


@pytest.mark.parametrize("kind", ["wordpiece", "byte-bpe", "unigram", "characters", "words"])
def test_parts_of_a_piece_are_the_pieces_tokens(kind: str) -> None:
    text = "the unbelievable cat 猫 saw zebras — twice"
    (piece,) = pieces([text], tokenizer_of(kind))
    for start, end in windows(len(piece), 4, 2):
        part = piece.part(start, end)
        assert part.ids == piece.ids[start:end]
        assert part.offsets.tolist() == piece.offsets[start:end].tolist()
        assert len(part) == len(part.ids) == len(part.word_starts)
        for place, word in zip(part.unknown, part.words, strict=True):
            assert word == text[slice(*part.offsets[place])].lower()
    unknown = [w for _, w in sorted(zip(piece.unknown, piece.words, strict=True))]
    assert unknown == (["猫", "saw", "zebras", "—", "twice"] if kind == "words" else [])


def test_no_text_is_no_token() -> None:
    (piece,) = pieces([""], tokenizer_of())
    assert len(piece) == 0
    assert piece.offsets.shape == (0, 2)
    assert piece.word_starts.dtype == np.bool_
