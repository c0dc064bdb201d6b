"""A run's words as gensim's KeyedVectors."""

from __future__ import annotations

import numpy as np
import pytest

from decoding import make_loaded
from polyseme.errors import ConfigError
from polyseme.gensim import to_keyed_vectors


def test_neighbours_are_ours() -> None:
    model = make_loaded("word2vec", "words")
    vectors = to_keyed_vectors(model)
    assert {"cat", "mat", "北京", "two"} <= set(vectors.index_to_key)
    assert "[PAD]" not in vectors.index_to_key
    weight = model.encoder.token_embedding().weight
    np.testing.assert_array_equal(vectors["cat"], weight[model.tokenizer.id("cat")].detach().numpy())
    ours = model.neighbours("cat", top=5)
    theirs = vectors.most_similar("cat", topn=5)
    assert [entry["word"] for entry in ours] == [word for word, _ in theirs]
    assert [entry["similarity"] for entry in ours] == pytest.approx([value for _, value in theirs], abs=1e-5)


def test_pieces_and_entries_written_alike_are_left_out() -> None:
    model = make_loaded("bert", "wordpiece")
    keys = to_keyed_vectors(model).index_to_key
    assert not any(key.startswith("##") for key in keys)
    assert "cat" in keys
    model = make_loaded("gpt", "byte-bpe")
    keys = to_keyed_vectors(model).index_to_key
    assert len(keys) == len(set(keys))
    assert not any("Ġ" in key or " " in key for key in keys)
    assert "cat" in keys


def test_counted_words_have_no_neighbours() -> None:
    model = make_loaded("onehot")
    with pytest.raises(ConfigError, match="sparse vectors"):
        to_keyed_vectors(model)
