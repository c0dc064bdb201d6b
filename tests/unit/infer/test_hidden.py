"""Hidden states of tokens: the encoder's own, text by text."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from decoding import make_loaded
from polyseme.core import registry
from polyseme.errors import ConfigError
from polyseme.infer import hidden
from polyseme.infer.embed import Embedder, embed
from polyseme.infer.hidden import by_length, encode, packed
from polyseme.infer.loaded import words_of
from polyseme.kernels.packed import PackedLinear

# long texts are among those of every test here
pytestmark = pytest.mark.filterwarnings("ignore:.* longer than the .* tokens that are read")

TEXTS = ["the cat sat", "", "北京 and é", "on the mat and a good day " * 9, "a", "the zzz sat on a mat"]

WORD_LEVEL = ("elmo", "onehot", "word2vec", "word-classes")


@pytest.mark.parametrize("model", registry.models.names())
def test_every_model_gives_the_states_of_each_text_alone(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = make_loaded(model, "words" if model in WORD_LEVEL else "wordpiece")
    n_layers = loaded.encoder.config.num_hidden_layers + 1
    for size in (8192, 40):
        monkeypatch.setattr(hidden, "TOKENS_PER_BATCH", size)
        found = encode(loaded, TEXTS, separators=True)
        for text, one in zip(TEXTS, found, strict=True):
            tokens = loaded.tokenizer.encode(text)
            n = min(len(tokens), loaded.max_content)
            batch = loaded.batch([tokens.ids[:n]], [words_of(text, tokens)[:n]])
            with torch.inference_mode():
                expected = torch.cat(loaded.encoder.encode(batch, keep="all").layers).numpy()
            assert one.layers.shape == (n_layers, n + 2, expected.shape[2])
            assert one.layers.dtype == np.float32
            np.testing.assert_allclose(one.layers, expected, atol=2e-5)
            assert one.ids.tolist() == [loaded.special.cls, *tokens.ids[:n], loaded.special.sep]
            assert one.offsets.tolist() == [[0, 0], *map(list, tokens.offsets[:n]), [len(text), len(text)]]
            assert one.layer_numbers == tuple(range(n_layers))


def test_without_separators_there_are_the_text_s_own_tokens() -> None:
    loaded = make_loaded("bert")
    whole, bare = encode(loaded, TEXTS, separators=True), encode(loaded, TEXTS)
    for a, b in zip(whole, bare, strict=True):
        np.testing.assert_array_equal(a.layers[:, 1:-1], b.layers)
        assert a.tokens[1:-1] == b.tokens
        assert len(b) == len(b.ids) == len(b.tokens) == len(b.word_starts) == b.layers.shape[1]
        assert [b.text[start:end].lower() for start, end in b.offsets] == [
            token.removeprefix("##") if token != "[UNK]" else b.text[start:end].lower()
            for token, (start, end) in zip(b.tokens, b.offsets, strict=True)
        ]
    assert bare[1].layers.shape == (3, 0, 32)
    assert bare[1].offsets.shape == (0, 2)


@pytest.mark.parametrize(
    ("layers", "numbers"),
    [
        (-1, (2,)),
        (0, (0,)),
        ([0, -1], (0, 2)),
        ((2, 1), (2, 1)),
        (np.int64(1), (1,)),
        (np.array([1, -1]), (1, 2)),
    ],
)
def test_layers_are_selected_in_the_order_asked_for(layers: hidden.Layers, numbers: tuple[int, ...]) -> None:
    loaded = make_loaded("modernbert")
    every, some = encode(loaded, TEXTS), encode(loaded, TEXTS, layers)
    for a, b in zip(every, some, strict=True):
        assert b.layer_numbers == numbers
        np.testing.assert_allclose(a.layers[list(numbers)], b.layers, atol=1e-6)
        np.testing.assert_array_equal(b.layer(numbers[0]), b.layers[0])


@pytest.mark.parametrize("layers", [3, -4, [0, 3], [], "mix", True, [True], 1.0, None, [[0]], {0}])
def test_layers_that_do_not_exist_are_refused(layers: hidden.Layers) -> None:
    with pytest.raises(ConfigError, match="no such layer") as caught:
        encode(make_loaded("bert"), ["a"], layers)
    assert "0 … 2" in str(caught.value.expected)


def test_a_layer_that_was_not_kept_is_refused() -> None:
    (one,) = encode(make_loaded("bert"), ["the cat"], [0, 1])
    np.testing.assert_array_equal(one.layer(-1), one.layers[1])
    with pytest.raises(ConfigError, match="not kept"):
        one.layer(2)


@pytest.mark.parametrize("model", ["bert", "gpt", "elmo", "word2vec"])
def test_the_mean_over_tokens_is_what_embed_gives(model: str) -> None:
    loaded = make_loaded(model, "words" if model in WORD_LEVEL else "wordpiece")
    texts = [text for text in TEXTS if text]
    for one, vector in zip(encode(loaded, texts, -1), embed(loaded, texts), strict=True):
        np.testing.assert_allclose(one.layers[0].mean(0), vector, atol=1e-5)


def test_the_answer_shows_itself() -> None:
    one, empty = encode(make_loaded("bert"), ["the cat sat", ""])
    assert repr(one) == f"EncodedText('the cat sat': {len(one)} tokens, 3 layers of 32 values)"
    assert one.rows()[0] | {"token": "the", "start": 0, "end": 3} == one.rows()[0]
    assert list(one.to_pandas()["norm_2"]) == pytest.approx(np.linalg.norm(one.layers[2], axis=1).tolist())
    assert one._repr_html_().count("&lt;tr&gt;") == len(one) + 1
    assert "&lt;table&gt;" in empty._repr_html_()


def test_no_texts_and_lone_surrogates() -> None:
    loaded = make_loaded("bert")
    assert encode(loaded, []) == []
    (one,) = encode(loaded, ["北\ud800京 cat"])
    assert len(one) >= 3
    assert one.text == "北\ud800京 cat"


@given(st.lists(st.integers(1, 300), max_size=200), st.integers(1, 2000))
def test_batches_hold_every_text_once_and_little_padding(lengths: list[int], most: int) -> None:
    batches = list(by_length(lengths, most))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[i] for i in batch)
        tokens = longest * len(batch)
        assert tokens <= most or len(batch) == 1
        padding = tokens - sum(lengths[i] for i in batch)
        assert padding <= max(hidden.WASTE, hidden.WASTED_SHARE * tokens)


def test_a_packed_encoder_follows_the_weights() -> None:
    bert = make_loaded("bert")
    first = packed(bert.encoder)
    assert packed(bert.encoder) is first
    assert isinstance(first.blocks[0].intermediate, PackedLinear)
    assert isinstance(bert.encoder.blocks[0].intermediate, torch.nn.Linear)
    assert first.word_embeddings.weight is bert.encoder.word_embeddings.weight  # shared, not copied
    weight = bert.encoder.blocks[0].output.weight
    before = embed(bert, ["the cat"])[0]
    with torch.no_grad():
        weight.mul_(2.0)
    assert packed(bert.encoder) is not first
    np.testing.assert_allclose(
        embed(bert, ["the cat"])[0], Embedder(bert, plain=True).vectors(["the cat"])[0], atol=1e-5
    )
    with torch.no_grad():
        weight.div_(2.0)
    np.testing.assert_array_equal(embed(bert, ["the cat"])[0], before)


@pytest.mark.parametrize("model", ["bert", "word2vec", "onehot"])
def test_what_was_packed_is_let_go_with_its_run(model: str) -> None:
    loaded = make_loaded(model, "wordpiece" if model == "bert" else "words")
    packed(loaded.encoder)
    alive = weakref.ref(loaded.encoder)
    del loaded
    gc.collect()
    assert alive() is None


def test_weights_that_change_without_being_counted_are_followed() -> None:
    bert = make_loaded("bert")
    embed(bert, ["the cat"])
    bert.encoder.blocks[0].output.weight.data.mul_(2.0)  # torch counts no change
    expected = Embedder(bert, plain=True).vectors(["the cat"])[0]
    np.testing.assert_allclose(embed(bert, ["the cat"])[0], expected, atol=1e-5)


def test_a_packed_encoder_drops_nothing_whatever_mode_it_is_made_in() -> None:
    bert = make_loaded("bert", hidden_dropout_prob=0.5)
    expected = Embedder(bert, plain=True).vectors(["the cat"])[0]
    bert.encoder.train()
    np.testing.assert_allclose(embed(bert, ["the cat"])[0], expected, atol=1e-5)
    assert bert.encoder.training
