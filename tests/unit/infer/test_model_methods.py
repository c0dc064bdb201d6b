"""A run's methods: what they take, what they give, and that the functions do the work."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from decoding import make_loaded
from polyseme.errors import ConfigError, InputError
from polyseme.infer.embed import cosines, embed
from polyseme.infer.fill import fill
from polyseme.infer.generate import Generation, generate
from polyseme.infer.model import Model
from polyseme.infer.neighbours import neighbours
from polyseme.infer.score import score, score_continuations

# long texts are among those of every test here
pytestmark = pytest.mark.filterwarnings("ignore:.* longer than the .* tokens that are read")

TEXTS = ["the cat sat", "", "北京 and é", "on the mat and a good day " * 9]


@pytest.fixture(scope="module")
def bert() -> Model:
    return make_loaded("bert")


@pytest.fixture(scope="module")
def gpt() -> Model:
    return make_loaded("gpt")


@pytest.mark.parametrize("pool", ["mean", "max", "cls"])
@pytest.mark.parametrize("layer", [None, 0, -1, "mix"])
def test_embed_gives_a_row_a_text(bert: Model, pool: Any, layer: Any) -> None:
    found = bert.embed(TEXTS, pool, layer)
    assert found.shape == (4, 32)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, embed(bert, TEXTS, pool, layer))
    assert bert.embed(TEXTS[0], pool, layer).shape == (32,)
    np.testing.assert_allclose(bert.embed(TEXTS[0], pool, layer), found[0], atol=1e-5)


def test_embed_of_words_and_of_nothing(bert: Model) -> None:
    per_word = bert.embed(TEXTS, "words")
    assert [len(v) for v in per_word] == [3, 0, 4, bert.max_content]  # cut there
    assert bert.embed([]).shape == (0, 32)
    np.testing.assert_array_equal(bert.embed(""), np.zeros(32, np.float32))
    np.testing.assert_array_equal(bert.embed(TEXTS), bert.embed(iter(TEXTS)))
    np.testing.assert_array_equal(bert.embed(TEXTS), bert.embed(np.array(TEXTS)))


def test_encode_one_and_several(bert: Model) -> None:
    several = bert.encode(TEXTS, layers=[0, -1])
    one = bert.encode(TEXTS[0], layers=[0, -1])
    np.testing.assert_allclose(several[0].layers, one.layers, atol=1e-5)
    assert one.tokens == several[0].tokens


def test_similarity_is_the_cosine_of_the_vectors(bert: Model) -> None:
    a, b = ["the cat sat", "a good day", ""], ["the mat", "北京"]
    whole = bert.similarity(a, b)
    assert whole.shape == (3, 2)
    v, w = bert.embed(a), bert.embed(b)
    expected = [[x @ y / (np.linalg.norm(x) * np.linalg.norm(y)) for y in w] for x in v[:2]]
    np.testing.assert_allclose(whole[:2], expected, atol=1e-5)
    assert whole[2].tolist() == [0.0, 0.0]  # no token, no direction
    np.testing.assert_allclose(bert.similarity(a[0], b), whole[0], atol=1e-5)
    np.testing.assert_allclose(bert.similarity(a, b[1]), whole[:, 1], atol=1e-5)
    one = bert.similarity(a[0], b[1])
    assert type(one) is float
    assert one == pytest.approx(whole[0, 1], abs=1e-5)
    among = bert.similarity(a)
    np.testing.assert_allclose(among, among.T, atol=1e-6)
    np.testing.assert_allclose(np.diag(among), [1, 1, 0], atol=1e-5)
    assert bert.similarity([], b).shape == (0, 2)
    assert bert.similarity(a, []).shape == (3, 0)
    assert bert.similarity([]).shape == (0, 0)


def test_similarity_says_of_how_many_texts_the_vocabulary_knows_nothing() -> None:
    word2vec = make_loaded("word2vec", "words")
    with pytest.warns(UserWarning, match="of 1 of 3 texts the vocabulary knows no token"):
        word2vec.similarity(["the cat", "zebra"], "cat")
    assert word2vec.similarity(["the zebra", ""]).shape == (2, 2)  # a word of it is known; nothing is in it
    assert make_loaded("elmo", "words").similarity("zebra", "zebra") == pytest.approx(1.0)


def test_cosines_of_zeros_are_zero_without_a_warning() -> None:
    a = np.array([[0, 0], [3, 4]], np.float32)
    np.testing.assert_allclose(cosines(a, a), [[0, 0], [0, 1]], atol=1e-6)


def test_fill_one_and_several(bert: Model) -> None:
    texts = ["the [MASK] sat", "[MASK] on a [MASK]"]
    assert bert.fill(texts, top=3) == [fill(bert, text, 3) for text in texts]
    assert bert.fill(texts[0]) == fill(bert, texts[0])
    with pytest.raises(InputError, match=r"no \[MASK\]"):
        bert.fill("the cat")


def test_generate_one_several_and_as_a_stream(gpt: Model) -> None:
    options: dict[str, Any] = {"max_new_tokens": 5, "seed": 3}
    one = gpt.generate("the cat", **options)
    assert isinstance(one, Generation)
    assert one == generate(gpt, "the cat", **options)
    assert gpt.generate(("the cat", ""), **options) == generate(gpt, ["the cat", ""], **options)
    assert "".join(gpt.generate_stream("the cat", **options)) == one.text
    with pytest.raises(InputError, match="prompt must be one string"):
        gpt.generate_stream(["a"], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("model", ["gpt", "bert", "elmo"])
def test_score_is_an_array_of_log_likelihoods(model: str) -> None:
    loaded = make_loaded(model, "words" if model == "elmo" else "wordpiece")
    expected = score(loaded, TEXTS)
    found = loaded.score(TEXTS)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, [one.log_likelihood for one in expected])
    mean = loaded.score(TEXTS, per_token=True)
    np.testing.assert_allclose(mean[[0, 2, 3]], [expected[i].per_token for i in (0, 2, 3)])
    assert found[1] == 0.0
    assert np.isnan(mean[1])
    assert type(loaded.score(TEXTS[0])) is float
    assert loaded.score([]).shape == (0,)


def test_score_of_continuations_and_ends(gpt: Model) -> None:
    parts = [" sat", " sat on the mat"]
    expected = score_continuations(gpt, "the cat", parts, end=True)
    np.testing.assert_allclose(
        gpt.score(parts, context="the cat", end=True), [one.log_likelihood for one in expected]
    )
    assert gpt.score(parts[0], context="the cat", end=True) == pytest.approx(expected[0].log_likelihood)
    with pytest.raises(InputError, match="context must be one string"):
        gpt.score(parts, context=["the cat"])  # type: ignore[arg-type]


def test_neighbours_of_one_and_several(bert: Model) -> None:
    assert bert.neighbours("cat", top=3) == neighbours(bert, "cat", top=3)
    assert bert.neighbours(["cat", "mat"]) == [neighbours(bert, "cat"), neighbours(bert, "mat")]
    found = bert.neighbours("cat", context="the cat sat", top=2)
    assert len(found) == 2


def test_neighbours_of_the_word_at_a_place(bert: Model) -> None:
    text = "the cat sat on the mat"
    first, second = (bert.neighbours("the", text, start=start) for start in (0, 15))
    assert first == bert.neighbours("the", text)
    assert first != second
    # a whole word before letters that look like it
    assert bert.neighbours("at", "cat at", 3) == bert.neighbours("at", "cat at", 3, start=4)
    folded = "ß" * 12 + " wildcat"  # ß is two letters where case is folded
    assert bert.neighbours("cat", folded, 3) == bert.neighbours("cat", folded, 3, start=17)
    for start in (1, 99, -7):
        with pytest.raises(InputError, match="not in the context"):
            bert.neighbours("the", text, start=start)


CALLS = ["encode", "embed", "similarity", "fill", "generate", "generate_stream", "score", "neighbours"]


@pytest.mark.parametrize("given", [None, b"cat", 3, ["cat", None], [["cat"]], {"cat": 1}, 2.5], ids=repr)
@pytest.mark.parametrize("method", CALLS)
def test_what_is_not_text_is_refused(bert: Model, gpt: Model, method: str, given: Any) -> None:
    loaded = gpt if method.startswith("generate") else bert
    with pytest.raises(InputError, match=r"must be (one string|a string or a list of strings)"):
        getattr(loaded, method)(given)


@pytest.mark.parametrize("top", [0, -1, 1.5, True, None, "3"])
def test_counts_must_be_whole_numbers_above_zero(bert: Model, top: Any) -> None:
    for call in (lambda: bert.fill("[MASK]", top=top), lambda: bert.neighbours("cat", top=top)):
        with pytest.raises(ConfigError, match="top must be a whole number above zero"):
            call()


@pytest.mark.parametrize(
    ("model", "can"),
    [
        ("bert", "encode, embed, similarity, tokenize, fill, score, choose, neighbours"),
        (
            "gpt",
            "encode, embed, similarity, tokenize, generate, next_tokens, summarize, answer, translate, score, choose, "
            "neighbours",
        ),
        ("elmo", "encode, embed, similarity, tokenize, score, choose, neighbours"),
    ],
)
def test_a_run_says_what_it_is_and_can(model: str, can: str) -> None:
    loaded = make_loaded(model, "words" if model == "elmo" else "wordpiece")
    first, trained, able = repr(loaded).splitlines()
    n = sum(p.numel() for p in loaded.encoder.parameters())
    assert first.startswith(f"<polyseme run 'runs/test': {model}, {n:,} parameters, ")
    assert f"layers of {loaded.encoder.config.hidden_size} values" in first
    assert trained == f" trained with {', '.join(loaded.heads)}"
    assert able == f" can {can}>"
    assert ", ".join(loaded.abilities) == can


def test_runs_are_told_apart_by_identity(bert: Model) -> None:
    other = make_loaded("bert")
    assert bert == bert
    assert bert != other
    assert {bert: 1}[bert] == 1


@pytest.mark.parametrize("pool", ["median", 3, None])
def test_unknown_pools_are_refused(bert: Model, pool: Any) -> None:
    if pool is None:
        np.testing.assert_array_equal(bert.embed(["a cat"], None), bert.embed(["a cat"]))
        return
    with pytest.raises(ConfigError, match="no such pool") as caught:
        bert.embed(["a cat"], pool)
    assert "mean" in str(caught.value.expected)


@pytest.mark.parametrize("model", ["gpt", "qwen3", "word2vec", "onehot"])
def test_cls_is_refused_where_it_has_seen_nothing(model: str) -> None:
    loaded = make_loaded(model)
    with pytest.raises(ConfigError, match="says nothing about a text") as caught:
        loaded.embed(["a cat"], "cls")
    assert str(caught.value.expected).startswith("mean, max")
    assert loaded.embed(["a cat"], "max").shape == (1, loaded.encoder.config.hidden_size)


def test_precision_is_one_that_there_is(bert: Model) -> None:
    np.testing.assert_array_equal(bert.embed(["a cat"], precision="float32"), bert.embed(["a cat"]))
    with pytest.raises(ConfigError, match="no such precision"):
        bert.embed(["a cat"], precision="float64")  # type: ignore[call-overload]
    with pytest.raises(ConfigError, match="no such pool") as caught:
        bert.similarity(["a cat"], pool="words")  # type: ignore[arg-type]
    assert "last" in str(caught.value.expected)


def test_a_run_remembers_its_own_way_to_make_vectors(bert: Model) -> None:
    bert.run.meta["embedding"] = {"pool": "cls", "normalize": True}
    try:
        found = bert.embed(TEXTS[2:])
        assert bert.embed(TEXTS[2]).shape == (32,)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(found, bert.embed(TEXTS[2:], "cls"), atol=1e-6)
        assert not np.allclose(found, bert.embed(TEXTS[2:], "mean"))
    finally:
        del bert.run.meta["embedding"]


@pytest.mark.parametrize("layer", ["last", True, 1.5, 3, -4, [0]])
def test_layers_that_do_not_exist_are_refused(bert: Model, layer: Any) -> None:
    with pytest.raises(ConfigError, match="no such layer"):
        bert.embed(["a cat"], layer=layer)
