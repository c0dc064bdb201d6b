"""The functions that take texts: one string is one text, several are several, and everything else is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from decoding import make_loaded
from polyseme.errors import ConfigError, InputError
from polyseme.gensim import to_keyed_vectors
from polyseme.infer.embed import Embedder, embed, sparse_vectors
from polyseme.infer.fill import fill
from polyseme.infer.generate import generate, generate_stream
from polyseme.infer.hidden import encode
from polyseme.infer.inputs import one_text
from polyseme.infer.model import Model
from polyseme.infer.neighbours import neighbours
from polyseme.infer.score import score, score_continuations

# long texts are among those of every test here
pytestmark = pytest.mark.filterwarnings("ignore:.* longer than the .* tokens that are read")

TEXT = "the cat sat"
WRONG = [None, b"text", 3, {"a"}, [["a"]], ["a", None], np.array(TEXT)]


@pytest.fixture(scope="module")
def bert() -> Model:
    return make_loaded("bert")


@pytest.fixture(scope="module")
def gpt() -> Model:
    return make_loaded("gpt")


@pytest.mark.parametrize("given", [TEXT, np.str_(TEXT)], ids=["str", "numpy"])
def test_a_string_is_one_text(bert: Model, gpt: Model, given: str) -> None:
    np.testing.assert_array_equal(embed(bert, given), embed(bert, [TEXT])[0])
    assert encode(bert, given).ids.tolist() == encode(bert, [TEXT])[0].ids.tolist()
    assert score(gpt, given) == score(gpt, [TEXT])[0]
    assert score_continuations(gpt, given, given) == score_continuations(gpt, TEXT, [TEXT])[0]
    assert generate(gpt, given, max_new_tokens=2, seed=3).prompt == TEXT
    assert type(encode(bert, given).text) is str
    (vector,) = Embedder(bert).vectors(given)
    np.testing.assert_array_equal(vector, embed(bert, TEXT))


def test_several_may_come_in_any_row(bert: Model, gpt: Model) -> None:
    texts = [TEXT, "", "on the mat"]
    for several in (tuple(texts), iter(texts), np.array(texts)):
        assert [one.text for one in encode(bert, several)] == texts
    np.testing.assert_array_equal(embed(bert, iter(texts)), embed(bert, texts))
    assert score(gpt, iter(texts)) == score(gpt, texts)
    assert score_continuations(gpt, "a", iter(texts)) == score_continuations(gpt, "a", texts)
    assert encode(bert, ()) == score(gpt, []) == []
    assert embed(bert, []).shape == (0, bert.encoder.config.hidden_size)


@pytest.mark.parametrize("given", WRONG, ids=repr)
def test_what_is_not_text_is_refused_by_every_function(bert: Model, gpt: Model, given: Any) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: embed(bert, given),
        lambda: Embedder(bert).vectors(given),
        lambda: encode(bert, given),
        lambda: score(gpt, given),
        lambda: score_continuations(gpt, "a", given),
        lambda: score_continuations(gpt, given, ["a"]),
        lambda: generate(gpt, given),
        lambda: generate_stream(gpt, given),
        lambda: fill(bert, given),
        lambda: neighbours(bert, given),
    ]
    for call in calls:
        with pytest.raises(InputError, match="must be"):
            call()
    if given is not None:
        with pytest.raises(InputError, match="context must be one string"):
            neighbours(bert, "cat", given)


def test_sparse_vectors_of_a_string_are_one_row() -> None:
    onehot = make_loaded("onehot")
    whole, counts = sparse_vectors(onehot, TEXT)
    assert whole.shape[0] == 1
    assert counts == [1]


def test_a_tokenizer_takes_no_string_for_several(bert: Model) -> None:
    for method in (bert.tokenizer.encode_batch, bert.tokenizer.encode_ids):
        with pytest.raises(InputError, match="several texts are expected"):
            method(TEXT)


@pytest.mark.parametrize("run", ["runs/bert", None, 3])
def test_what_is_no_run_is_refused(run: Any) -> None:
    for function in (embed, encode, score, generate, generate_stream, fill, neighbours, Embedder):
        with pytest.raises(InputError, match="not a loaded run"):
            function(run, TEXT)
    with pytest.raises(InputError, match="not a loaded run"):
        score_continuations(run, TEXT, TEXT)
    with pytest.raises(InputError, match="not a loaded run"):
        to_keyed_vectors(run)


@pytest.mark.parametrize("top", [0, -1, True, 2.5, "3"])
def test_counts_are_whole_numbers_above_zero(bert: Model, top: Any) -> None:
    for call in (lambda: fill(bert, "a [MASK]", top), lambda: neighbours(bert, "cat", top=top)):
        with pytest.raises(ConfigError, match="top must be a whole number above zero"):
            call()


def test_the_advice_for_several_is_one_at_a_time() -> None:
    with pytest.raises(InputError) as caught:
        one_text(["a", "b"], "context")
    assert caught.value.fix == "one at a time"
    assert one_text(np.str_("a")) == "a"
