"""Embeddings from counts: words with the same neighbours are near, the same seed gives the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from polyseme.data.store import StoreWriter, TokenStore
from polyseme.train.cooccurrence import cooccurrence_embeddings, start_embedding

VOCABULARY = 40


def store(folder: Path, n: int = 6000) -> TokenStore:
    """Two kinds of nouns (5-9, 10-14), each after its own verbs (20-24, 25-29), and a token between (35)."""
    random = np.random.default_rng(0)
    kind = random.integers(0, 2, n)
    noun, verb = 5 + 5 * kind + random.integers(0, 5, n), 20 + 5 * kind + random.integers(0, 5, n)
    tokens = np.stack([verb, noun, np.full(n, 35)], 1).ravel()
    with StoreWriter(folder, VOCABULARY) as writer:
        writer.add_documents(tokens, np.ones(3 * n, np.uint8), np.full(n, 3), np.array([n]))
    return TokenStore.open(folder)


def test_words_with_the_same_neighbours_are_near(tmp_path: Path) -> None:
    vectors = cooccurrence_embeddings(store(tmp_path / "s"), 8, 1)
    assert vectors.shape == (VOCABULARY, 8)
    cosine = torch.nn.functional.cosine_similarity
    near = cosine(vectors[5:6], vectors[6:10]).min()
    far = cosine(vectors[5:6], vectors[10:15]).max()
    assert near > 0.8
    assert far < 0.2
    assert (vectors[:5] == 0).all()  # never seen


def test_the_same_seed_gives_the_same_numbers(tmp_path: Path) -> None:
    made = store(tmp_path / "s")
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = cooccurrence_embeddings(made, 8, 1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, cooccurrence_embeddings(made, 8, 1))


def test_more_width_than_rank(tmp_path: Path) -> None:
    made = store(tmp_path / "s")
    assert cooccurrence_embeddings(made, 64, 1).shape == (VOCABULARY, 64)


def test_unseen_rows_keep_their_start() -> None:
    table = torch.randn(6, 4)
    before = table.clone()
    vectors = torch.zeros(6, 4)
    vectors[2] = torch.tensor([1.0, 0, 0, 0])
    start_embedding(table, vectors, 0.02)
    assert torch.equal(table[[0, 1, 3, 4, 5]], before[[0, 1, 3, 4, 5]])
    assert table[2].tolist() == [0.03999999910593033, 0.0, 0.0, 0.0]
