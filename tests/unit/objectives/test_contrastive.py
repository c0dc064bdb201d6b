"""The contrastive objective: pairs of texts side by side, the vectors of `embed`, the loss of the paper."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from polyseme import Budget, PretrainRequest, load, pretrain
from polyseme.core.rng import Random
from polyseme.data.examples import TextPairs
from polyseme.data.loader import Loader, collate, special_tokens, to_batch
from polyseme.data.packing import RowPlan
from polyseme.data.store import StoreWriter, TokenStore
from polyseme.errors import ConfigError, CorpusError
from polyseme.formats.registry import export_model
from polyseme.objectives.contrastive import Contrastive, ContrastiveConfig
from polyseme.train.build import check_objectives, while_learning
from polyseme.train.recipe import resolve
from polyseme.train.run import RunDirectory
from small import VOCABULARY, make_encoder
from trained import make_run

SPECIAL = special_tokens(VOCABULARY, 0, 2, 3, 4, [0, 1, 2, 3, 4])
SENTENCES = [[5, 9, 2, 7], [30, 4, 6], [8], [5, 5, 5, 5]]
"""Tokens of the sentences of each document."""


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    random = np.random.default_rng(0)
    with StoreWriter(tmp_path / "train", VOCABULARY) as writer:
        for sizes in SENTENCES:
            n = sum(sizes)
            ids = random.integers(5, VOCABULARY, n)
            writer.add_documents(ids, np.ones(n, np.uint8), np.array(sizes), np.array([len(sizes)]))
    return TokenStore.open(tmp_path / "train")


def sentence(store: TokenStore, number: int) -> list[int]:
    return [int(id) for id in store.tokens[store.sentences[number] : store.sentences[number + 1]]]


def long_enough(store: TokenStore) -> list[int]:
    return [n for n in range(store.n_sentences) if len(sentence(store, n)) >= 4]


@pytest.mark.parametrize("pairs", [False, True])
def test_texts_are_sentences_twice_or_with_the_next(store: TokenStore, pairs: bool) -> None:
    # of the third and fourth sentence one is too short; the seventh and the lone eighth have none behind them
    taken = [(0, 1), (4, 5), (8, 9), (10, 11)] if pairs else [(n, n) for n in long_enough(store)]
    source = TextPairs(store, 40, SPECIAL, pairs, 4)
    read = []
    for index, length in enumerate(source.lengths):
        example = source.draw(index, 0)
        assert len(example.ids) == length <= 40
        texts = [[int(id) for id in text.ids] for text in example.texts]
        assert all((text[0], text[-1]) == (SPECIAL.cls, SPECIAL.sep) for text in texts)
        read.append([text[1:-1] for text in texts])
    assert read == [[sentence(store, n)[:18] for n in pair] for pair in taken]


def loader_of(store: TokenStore, objective: Contrastive) -> Loader:
    source = objective.examples(store, 48)
    return Loader(source, RowPlan(source.lengths, 48, Random(1, "order")), [objective], 48, SPECIAL)


def test_the_two_texts_do_not_see_each_other_and_separators_do_not_count(store: TokenStore) -> None:
    batch = loader_of(store, Contrastive(ContrastiveConfig(), SPECIAL, 1)).batch(0, 3)
    positions, sizes = batch.targets["contrastive"]
    assert sizes.shape == (len(batch.first) // 2, 2)
    assert int(sizes.sum()) == len(positions)
    ids, segments = batch.ids.reshape(-1), batch.segment.reshape(-1)
    assert not torch.isin(ids[positions], torch.tensor([0, 2, 3])).any()
    assert len(positions) == int((segments > 0).sum()) - 2 * len(batch.first)
    assert (batch.position.reshape(-1)[batch.first] == 0).all()
    own = segments[batch.first].view(-1, 2)
    assert (own[:, 0] != own[:, 1]).all()


def test_the_loss_is_the_papers(store: TokenStore) -> None:
    encoder = make_encoder("bert").eval()
    objective = Contrastive(ContrastiveConfig(pairs=True, temperature=0.5), SPECIAL, 1)
    batch = loader_of(store, objective).batch(0, 4)
    with torch.no_grad():
        encoding = encoder.encode(batch)
    loss, n = objective.loss(encoding, objective.build_head(encoder), batch)
    flat = encoding.last.reshape(-1, encoding.last.size(-1))
    means = []
    for start in batch.first.tolist():
        end = start + 1
        while int(batch.ids.reshape(-1)[end]) != SPECIAL.sep:
            end += 1
        means.append(flat[start + 1 : end].mean(0))
    cosine = torch.nn.functional.cosine_similarity
    expected = 0.0
    for i in range(0, len(means), 2):
        scores = torch.stack([cosine(means[i], means[j], dim=0) / 0.5 for j in range(1, len(means), 2)])
        expected -= float(scores.log_softmax(0)[i // 2])
    assert n == len(means) // 2
    assert float(loss) == pytest.approx(expected, rel=1e-4)
    scores = objective.score(encoding, objective.build_head(encoder), batch)
    assert scores["loss"] == (pytest.approx(expected, rel=1e-4), n)
    assert scores["accuracy"][1] == n
    assert objective.baseline(batch, torch.zeros(0)) == (pytest.approx(n * math.log(n)), n)


def test_dropout_makes_the_two_differ_and_the_run_keeps_its_own(store: TokenStore) -> None:
    recipe = resolve("modernbert", "contrastive")
    learning = while_learning(recipe).section("model")
    assert {learning.attention_dropout, learning.embedding_dropout, learning.mlp_dropout} == {0.1}
    assert recipe.section("model").embedding_dropout == 0.0
    more = resolve("modernbert", "contrastive", {"embedding_dropout": 0.3})
    assert while_learning(more).section("model").embedding_dropout == 0.3
    assert while_learning(resolve("modernbert")).section("model").embedding_dropout == 0.0
    objective = Contrastive(ContrastiveConfig(), SPECIAL, 1)
    batch = loader_of(store, objective).batch(0, 2)
    encoder = make_encoder("modernbert", embedding_dropout=0.1)
    for dropped in (True, False):
        encoder.train(dropped)
        own = objective.cosines(encoder.encode(batch), batch).diagonal() * objective.config.temperature
        assert torch.allclose(own, torch.ones_like(own), atol=1e-5) is not dropped


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("start"))


def test_a_run_goes_on_and_embed_gives_the_vectors_that_were_learned(start: Path, tmp_path: Path) -> None:
    run = pretrain(
        PretrainRequest(
            model="bert",
            corpus=[str(start.parent / "texts")],
            output=tmp_path / "run",
            init=str(start),
            budget=Budget(steps=2),
            settings={"data.sequence_length": 32, "train.batch_size": 4, "train.heldout_tokens": 300}
            | {"text.valid_share": 0.2, "objectives": "contrastive"},
        )
    )
    assert run.meta["results"]["heldout_loss"] < run.meta["results"]["unigram_loss"]
    before = RunDirectory.open(start).meta["recipe"]["model"]
    assert run.meta["recipe"]["model"] == before
    model = load(run.path)
    objective, texts = Contrastive(ContrastiveConfig(), SPECIAL, 1), ["the cat sees a bird", "the old dog"]
    row = [model.example(ids) for ids in model.tokenizer.encode_ids(texts)]
    batch = to_batch(collate([row], 32, model.special), [objective])
    with torch.no_grad():
        cosine = float(objective.cosines(model.encoder.encode(batch), batch)) * objective.config.temperature
    first, second = model.embed(texts)
    assert cosine == pytest.approx(
        float(first @ second / np.linalg.norm(first) / np.linalg.norm(second)), abs=1e-5
    )
    export_model(run.path, "sentence-transformers", tmp_path / "others")
    assert (tmp_path / "others" / "1_Pooling" / "config.json").is_file()


def test_what_cannot_be_learned_is_refused(store: TokenStore, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="goes on from weights"):
        check_objectives(resolve("modernbert", "contrastive"))
    with pytest.raises(ConfigError, match="one vector a token"):
        Contrastive(ContrastiveConfig(), SPECIAL, 1).build_head(make_encoder("onehot"))
    with pytest.raises(CorpusError, match="at least 40 tokens"):
        Contrastive(ContrastiveConfig(least=40), SPECIAL, 1).examples(store, 128)
    with pytest.raises(CorpusError, match="two lines"):
        Contrastive(ContrastiveConfig(least=40, pairs=True), SPECIAL, 1).examples(store, 128)
