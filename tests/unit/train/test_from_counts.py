"""Embeddings and output layers that start from counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from polyseme.data.store import StoreWriter, TokenStore
from polyseme.errors import ConfigError
from polyseme.objectives.causal_lm import CausalLMHead
from polyseme.train.from_counts import (
    KAPPA,
    bigram_output,
    cooccurrence_embeddings,
    start_as_bigram_model,
    start_embedding,
)
from small import VOCABULARY, make_encoder


def chain(n: int) -> np.ndarray:
    """Each token is followed by the next one with probability 0.9, else by a random one."""
    random = np.random.default_rng(0)
    ids, jumps, noise = [5], random.random(n), random.integers(5, VOCABULARY, n)
    for jump, other in zip(jumps, noise, strict=True):
        ids.append(int(other) if jump > 0.9 else 5 + (ids[-1] - 4) % (VOCABULARY - 5))
    return np.array(ids)


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    ids = chain(60_000)
    with StoreWriter(tmp_path / "train", VOCABULARY) as writer:
        writer.add_documents(ids, np.ones(len(ids), np.uint8), np.array([len(ids)]), np.array([1]))
    return TokenStore.open(tmp_path / "train")


def test_a_decoder_starts_knowing_what_follows(store: TokenStore) -> None:
    encoder = make_encoder("qwen3", tie_word_embeddings=False, hidden_size=64, initializer_range=0.02)
    head = CausalLMHead(encoder)
    start_embedding(encoder.token_embedding().weight, cooccurrence_embeddings(store, 64, 1), 0.02)
    start_as_bigram_model(encoder, head, store, 0.02)
    assert encoder.training
    ids = torch.arange(5, VOCABULARY)[:, None]
    cache = encoder.eval().new_cache(len(ids), 1)
    with torch.no_grad():
        best = head.logits(encoder.decode(ids, cache)[:, 0]).argmax(1)
    follows = 5 + (torch.arange(5, VOCABULARY) - 4) % (VOCABULARY - 5)
    assert (best == follows).float().mean() > 0.9


def test_with_room_for_every_token_the_smoothed_bigrams_are_exact() -> None:
    """One coordinate a token: the regression has no error, so the logits are y_wc."""
    tokens = torch.from_numpy(chain(3_000)) - 5
    size = VOCABULARY - 5
    output = bigram_output(torch.eye(size), tokens)
    counts = torch.bincount(tokens, minlength=size).float()
    p = (counts + 1) / (counts + 1).sum()
    pairs = torch.zeros(size, size)
    pairs.index_put_((tokens[:-1], tokens[1:]), torch.ones(len(tokens) - 1), accumulate=True)
    expected = p.log() + torch.log1p(pairs / (KAPPA * p))
    torch.testing.assert_close(output.T, expected, atol=0.05, rtol=0.02)  # the ridge shrinks a little


def test_tied_output_layers_are_refused(store: TokenStore) -> None:
    encoder = make_encoder("qwen3")
    with pytest.raises(ConfigError, match="output layer of its own"):
        start_as_bigram_model(encoder, CausalLMHead(encoder), store, 0.02)


WORDS = 40


def pairs(folder: Path, n: int = 6000) -> TokenStore:
    """Two kinds of nouns (5-9, 10-14), each after its own verbs (20-24, 25-29), and a token between (35)."""
    random = np.random.default_rng(0)
    kind = random.integers(0, 2, n)
    noun, verb = 5 + 5 * kind + random.integers(0, 5, n), 20 + 5 * kind + random.integers(0, 5, n)
    tokens = np.stack([verb, noun, np.full(n, 35)], 1).ravel()
    with StoreWriter(folder, WORDS) as writer:
        writer.add_documents(tokens, np.ones(3 * n, np.uint8), np.full(n, 3), np.array([n]))
    return TokenStore.open(folder)


def test_words_with_the_same_neighbours_are_near(tmp_path: Path) -> None:
    vectors = cooccurrence_embeddings(pairs(tmp_path / "s"), 8, 1)
    assert vectors.shape == (WORDS, 8)
    cosine = torch.nn.functional.cosine_similarity
    near = cosine(vectors[5:6], vectors[6:10]).min()
    far = cosine(vectors[5:6], vectors[10:15]).max()
    assert near > 0.8
    assert far < 0.2
    assert (vectors[:5] == 0).all()  # never seen


def test_the_same_seed_gives_the_same_numbers(tmp_path: Path) -> None:
    made = pairs(tmp_path / "s")
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = cooccurrence_embeddings(made, 8, 1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, cooccurrence_embeddings(made, 8, 1))


def test_more_width_than_rank(tmp_path: Path) -> None:
    made = pairs(tmp_path / "s")
    assert cooccurrence_embeddings(made, 64, 1).shape == (WORDS, 64)


def test_unseen_rows_keep_their_start() -> None:
    table = torch.randn(6, 4)
    before = table.clone()
    vectors = torch.zeros(6, 4)
    vectors[2] = torch.tensor([1.0, 0, 0, 0])
    start_embedding(table, vectors, 0.02)
    assert torch.equal(table[[0, 1, 3, 4, 5]], before[[0, 1, 3, 4, 5]])
    assert table[2].tolist() == [0.03999999910593033, 0.0, 0.0, 0.0]
