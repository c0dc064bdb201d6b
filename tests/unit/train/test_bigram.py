"""The start as a bigram model: before any training a decoder knows which token follows which."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from polyseme.data.store import StoreWriter, TokenStore
from polyseme.errors import ConfigError
from polyseme.objectives.causal_lm import CausalLMHead
from polyseme.train.bigram import KAPPA, bigram_output, start_as_bigram_model
from polyseme.train.cooccurrence import cooccurrence_embeddings, start_embedding
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
