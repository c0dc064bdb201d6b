"""Objectives are joined to models that they are made for, and to no others."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from polyseme import Budget, PretrainRequest, pretrain
from polyseme.core import registry
from polyseme.data.engines import Local
from polyseme.data.loader import Loader, heldout_batches, special_tokens
from polyseme.data.prepare import prepare
from polyseme.data.sharding import Sharding
from polyseme.errors import ConfigError
from polyseme.text.config import TextConfig, TokenizerConfig
from polyseme.train.build import build_loader, check_objectives, corpus_learner, special_ids
from polyseme.train.heldout import impossible
from polyseme.train.recipe import FOLDER, recipe_names, resolve
from small import VOCABULARY, make_encoder, make_objectives

SPECIAL = special_tokens(VOCABULARY, 0, 2, 3, 4, [0, 1, 2, 3, 4])


@pytest.mark.parametrize(
    ("objective", "model", "says"),
    [
        ("masked_lm", "elmo", "two halves"),
        ("masked_lm", "word2vec", "nothing around a mask"),
        ("masked_lm", "gpt", "left side of a mask"),
        ("knowledge_masking", "qwen3", "knowledge_masking cannot train this model"),
        ("next_sentence", "gpt", "[CLS]"),
        ("dialogue", "onehot", "[CLS]"),
        ("knowledge_masking", "onehot", "nothing around a mask"),
        ("bidirectional_lm", "bert", "two directions"),
        ("bidirectional_lm", "gpt", "two directions"),
        ("causal_lm", "elmo", "left side"),
        ("causal_lm", "bert", "left side"),
        ("bidirectional_lm", "onehot", "two directions"),
    ],
)
def test_heads_for_models_that_cannot_be_trained_with_them(objective: str, model: str, says: str) -> None:
    (made,) = make_objectives((objective,), SPECIAL)
    with pytest.raises(ConfigError) as error:
        made.build_head(make_encoder(model))
    assert says in str(error.value)
    assert error.value.fix
    with pytest.raises(ConfigError) as early:  # the same, before any work
        check_objectives(resolve(model, settings={"objectives": objective}))
    assert str(early.value) == str(error.value)


@pytest.mark.parametrize(
    ("model", "settings", "says", "fix"),
    [
        ("ernie", {"objectives": "masked_lm,knowledge_masking"}, "hide tokens", "objectives=masked_lm"),
        (
            "bert",
            {"objectives": "next_sentence,masked_lm,dialogue"},
            "different kinds",
            "next_sentence,masked_lm",
        ),
        ("bert", {"objectives": "masked_lm,unigram"}, "learned alone", "objectives=unigram"),
        (
            "gpt",
            {"train.embedding_start": "bigram"},
            "output layer of its own",
            "embedding_start=cooccurrence",
        ),
        ("bert", {"train.embedding_start": "bigram"}, "bert trained with masked_lm", "embedding_start"),
        (
            "modernbert",
            {"train.attention_start": "neighbours"},
            "learned positions",
            "attention_start=random",
        ),
        (
            "elmo",
            {"train.embedding_start": "bigram", "bidirectional_lm.tied": False},
            "bidirectional_lm",
            "start",
        ),
    ],
)
def test_objectives_that_can_never_be_right_are_refused(
    model: str, settings: dict[str, Any], says: str, fix: str
) -> None:
    with pytest.raises(ConfigError) as error:
        check_objectives(resolve(model, settings=settings))
    assert says in str(error.value)
    assert fix in str(error.value.fix)


@pytest.mark.parametrize("recipe", recipe_names())
def test_our_own_recipes_are_accepted(recipe: str) -> None:
    model = tomllib.loads((FOLDER / f"{recipe}.toml").read_text("utf-8"))["architecture"]
    resolved = resolve(model, recipe)
    check_objectives(resolved, fresh=recipe != "contrastive")
    several = (*resolved.objectives, "unigram" if "unigram" not in resolved.objectives else "masked_lm")
    with pytest.raises(ConfigError):  # the same recipe with one that is learned alone
        check_objectives(resolve(model, recipe, {"objectives": ",".join(several)}))


def test_weights_that_are_given_need_no_start() -> None:
    recipe = resolve("qwen3", settings={"tie_word_embeddings": True})
    with pytest.raises(ConfigError, match="its output layer tied"):
        check_objectives(recipe)
    check_objectives(recipe, fresh=False)


def test_nothing_is_done_before_objectives_are_checked(tmp_path: Path) -> None:
    request = PretrainRequest(
        model="bert",
        corpus=["python-docs"],
        output=tmp_path / "run",
        budget=Budget(steps=1),
        settings={"objectives": "causal_lm"},
    )
    with pytest.raises(ConfigError, match="left side"):
        pretrain(request)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("model", "objective"),
    [("bert", "context_window"), ("onehot", "class_bigram"), ("word2vec", "unigram"), ("elmo", "unigram")],
)
def test_corpus_learners_for_models_that_they_are_not_made_for(model: str, objective: str) -> None:
    with pytest.raises(ConfigError) as error:
        corpus_learner(resolve(model, settings={"objectives": objective}))
    own = registry.models.load(model).objectives
    assert error.value.fix == f"--set objectives={','.join(own)}"
    assert corpus_learner(resolve("word2vec")) is not None
    assert corpus_learner(resolve("bert")) is None


@pytest.mark.parametrize("model", ["modernbert", "bert", "gpt"])
def test_a_store_in_shards_is_read_by_every_kind_of_objective(tmp_path: Path, model: str) -> None:
    texts = [
        f"The {n} lions sleep. They dream of {n * n} birds.\nIt is late, and {n} is all." for n in range(200)
    ]
    (tmp_path / "text.txt").write_text("\n\n".join(texts))
    how = Sharding(Local(1), piece=5000)
    text, words = TextConfig(documents="blank", valid_share=0.2), TokenizerConfig(vocab_size=300)
    corpus = prepare(tmp_path / "text.txt", tmp_path / "s", text=text, tokenizer=words, sharding=how)
    recipe, special = resolve(model, settings={"data.sequence_length": 64}), special_ids(corpus.tokenizer)
    assert impossible(recipe, corpus.train, special) == {}
    loaders = [build_loader(corpus.train, recipe, special, 1) for _ in range(2)]
    first, again = (loader.batch(40, 4) for loader in loaders)
    assert first.ids.shape == (4, 64)
    assert (first.ids == again.ids).all()
    loader = build_loader(corpus.valid, recipe, special, 1)
    batches = heldout_batches(loader, 4, 10**6, 64)
    assert sum(len(batch.ids) for batch in batches) >= 3
    if isinstance(loader, Loader):
        seen = sum(int((batch.segment > 0).sum()) for batch in batches)
        assert seen >= corpus.valid.n_tokens
