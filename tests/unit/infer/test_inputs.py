"""What counts as a text and as several, and how everything else is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from polyseme.errors import InputError
from polyseme.infer.inputs import texts_of


def words() -> Iterator[str]:
    yield from ("a", "b")


@pytest.mark.parametrize(
    "given",
    [
        ["a", "b"],
        ("a", "b"),
        np.array(["a", "b"]),
        np.array(["a", "b"], object),
        pd.Series(["a", "b"]),
        pd.Series(["a", "b"], dtype=object),
        ["a", np.str_("b")],
        words(),
    ],
    ids=lambda given: type(given).__name__,
)
def test_several_texts(given: Any) -> None:
    texts, single = texts_of(given)
    assert texts == ["a", "b"]
    assert all(type(text) is str for text in texts)
    assert not single


@pytest.mark.parametrize("given", ["", "a text", np.str_("a text")])
def test_a_single_text(given: str) -> None:
    assert texts_of(given) == ([str(given)], True)


def test_no_texts_are_several() -> None:
    assert texts_of([]) == ([], False)


@pytest.mark.parametrize(
    ("given", "got"),
    [
        (None, "NoneType None"),
        (b"text", "bytes b'text'"),
        (bytearray(b"text"), "bytearray"),
        (3, "int 3"),
        (2.5, "float 2.5"),
        ({"text": "a"}, "dict"),
        ({"a", "b"}, "set"),
        (["a", None], "NoneType None as item 1"),
        (["a", b"b"], "bytes b'b' as item 1"),
        ([["a"], ["b"]], "list ['a'] as item 0"),
        (["a", 3], "int 3 as item 1"),
        ([{"text": "a"}], "dict {'text': 'a'} as item 0"),
        (np.array("a"), "ndarray array('a', dtype='<U1')"),
        (np.array([["a"], ["b"]]), "ndarray of shape (2, 1)"),
        (np.array([1.0, 2.0]), "float64 np.float64(1.0) as item 0"),
        (pd.DataFrame({"text": ["a"], "label": ["b"]}), "DataFrame of shape (1, 2)"),
        (pd.Series(["a", None]), "as item 1"),
        (torch.zeros(2), "Tensor"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value[:12],
)
def test_everything_else_is_refused_and_named(given: Any, got: str) -> None:
    with pytest.raises(InputError, match="words must be a string or a list of strings") as caught:
        texts_of(given, "words")
    assert got in str(caught.value.got)
    assert caught.value.fix


@pytest.mark.parametrize(
    ("given", "fix"),
    [
        (b"a", "decode"),
        (None, "missing"),
        (["a", float("nan")], "missing"),
        ({"a": 1}, "column"),
        (7, "str(value)"),
    ],
)
def test_the_advice_fits(given: Any, fix: str) -> None:
    with pytest.raises(InputError) as caught:
        texts_of(given)
    assert fix in str(caught.value.fix)
