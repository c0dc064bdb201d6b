"""Objectives are joined to models that they are made for, and to no others."""

from __future__ import annotations

import pytest

from polyseme.core import registry
from polyseme.data.loader import special_tokens
from polyseme.errors import ConfigError
from polyseme.train.building import corpus_learner
from polyseme.train.recipe import resolve
from small import VOCABULARY, make_encoder, make_objectives

SPECIAL = special_tokens(VOCABULARY, 0, 2, 3, 4, [0, 1, 2, 3, 4])


@pytest.mark.parametrize(
    ("objective", "model", "says"),
    [
        ("masked_lm", "elmo", "another size"),
        ("masked_lm", "word2vec", "nothing around a mask"),
        ("knowledge_masking", "onehot", "nothing around a mask"),
        ("bidirectional_lm", "bert", "two directions"),
        ("bidirectional_lm", "gpt", "two directions"),
        ("causal_lm", "elmo", "left side"),
    ],
)
def test_heads_for_models_that_cannot_be_trained_with_them(objective: str, model: str, says: str) -> None:
    (made,) = make_objectives((objective,), SPECIAL)
    with pytest.raises(ConfigError) as error:
        made.build_head(make_encoder(model))
    assert says in str(error.value)
    assert error.value.fix


@pytest.mark.parametrize(
    ("model", "objective"),
    [("bert", "context_window"), ("onehot", "class_bigram"), ("word2vec", "unigram"), ("elmo", "unigram")],
)
def test_corpus_learners_for_models_that_they_are_not_made_for(model: str, objective: str) -> None:
    with pytest.raises(ConfigError) as error:
        corpus_learner(resolve(model, settings={"objectives": objective}))
    own = registry.models.load(model).ENTRY.objectives
    assert error.value.fix == f"--set objectives={','.join(own)}"
    assert corpus_learner(resolve("word2vec")) is not None
    assert corpus_learner(resolve("bert")) is None
