"""The causal-LM objective: its numbers are the plain formula's, and what it cannot be used with it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from polyseme.core.rng import Random
from polyseme.data.examples import Example
from polyseme.data.loader import Loader, collate, special_tokens, to_batch
from polyseme.data.packing import RowPlan
from polyseme.data.store import StoreWriter, TokenStore
from polyseme.errors import ConfigError
from polyseme.objectives import causal_lm
from polyseme.objectives.causal_lm import CausalLM, CausalLMConfig, CausalLMHead
from polyseme.objectives.masked_lm import log_unigram
from small import VOCABULARY, make_encoder

SPECIAL = special_tokens(VOCABULARY, 0, 2, 3, 4, [0, 1, 2, 3, 4])
OBJECTIVE = CausalLM(CausalLMConfig(), SPECIAL, 0)


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[[list[int]], TokenStore]:
    def make(sizes: list[int]) -> TokenStore:
        random = np.random.default_rng(0)
        with StoreWriter(tmp_path / "train", VOCABULARY) as writer:
            for n in sizes:
                ids = random.integers(5, VOCABULARY, n)
                writer.add_documents(ids, np.ones(n, np.uint8), np.array([n]), np.array([1]))
        return TokenStore.open(tmp_path / "train")

    return make


def loader(store: TokenStore, length: int = 16) -> Loader:
    source = OBJECTIVE.examples(store, length)
    plan = RowPlan(source.lengths, length, Random(1, "order"))
    return Loader(source, plan, [OBJECTIVE], length, SPECIAL)


@pytest.mark.parametrize("sizes", [[31, 47], [3, 9, 5, 20, 6]])
@pytest.mark.parametrize("tied", [True, False])
def test_loss_and_score_are_the_plain_formula(
    make_store: Callable[[list[int]], TokenStore],
    sizes: list[int],
    tied: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(causal_lm, "CHUNK_BYTES", 4 * VOCABULARY * 7)  # seven rows of logits at a time
    batches = loader(make_store(sizes))
    batch = batches.batch(0, batches.plan.n_rows)
    encoder = make_encoder("qwen3", tie_word_embeddings=tied).eval()
    head = OBJECTIVE.build_head(encoder)
    assert (head.decoder is None) == tied
    encoding = encoder.encode(batch)
    positions, labels = batch.targets["causal_lm"]
    logits = head.logits(encoding.last).reshape(-1, VOCABULARY)[positions]
    plain = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
    loss, n = OBJECTIVE.loss(encoding, head, batch)
    assert n == len(labels) == sum(sizes) + len(sizes)
    torch.testing.assert_close(loss, plain)
    with torch.no_grad():
        scores = OBJECTIVE.score(encoding, head, batch)
    assert scores["loss"] == (pytest.approx(float(plain.detach()), rel=1e-5), n)
    assert scores["accuracy"] == (float((logits.argmax(1) == labels).sum()), n)


def test_whole_rows_arrive_without_a_mask(make_store: Callable[[list[int]], TokenStore]) -> None:
    batch = loader(make_store([16 * 6 - 1])).batch(0, 6)  # with [CLS] six full windows
    assert not batch.packed
    assert len(batch.targets["causal_lm"].positions) == batch.ids.numel()


def test_a_text_without_a_label_ends_without_a_prediction() -> None:
    ids = np.array([2, 7, 8, 9])
    example = Example(ids, np.zeros(4, np.int64), np.ones(4, np.bool_))
    batch = to_batch(collate([[example, example]], 10, SPECIAL), [OBJECTIVE])
    positions, labels = batch.targets["causal_lm"]
    assert positions.tolist() == [0, 1, 2, 4, 5, 6]
    assert labels.tolist() == [7, 8, 9, 7, 8, 9]


def test_the_baseline_knows_how_often_texts_end(make_store: Callable[[list[int]], TokenStore]) -> None:
    store = make_store([3] * 30)
    counts = OBJECTIVE.counts(store)
    assert counts[3] == 30
    assert counts.sum() == store.n_tokens + 30
    assert store.counts[3] == 0
    batches = loader(store)
    batch = batches.batch(0, batches.plan.n_rows)
    total, n = OBJECTIVE.baseline(batch, torch.from_numpy(counts))
    labels = batch.targets["causal_lm"].labels
    assert n == 120
    assert total == pytest.approx(-float(log_unigram(torch.from_numpy(counts))[labels].sum()), rel=1e-5)


def test_a_model_that_sees_the_right_side_is_refused() -> None:
    with pytest.raises(ConfigError, match="left side"):
        OBJECTIVE.build_head(make_encoder("bert"))


def test_logits_of_any_shape() -> None:
    encoder = make_encoder("gpt")
    head = CausalLMHead(encoder)
    h = torch.randn(2, 3, encoder.config.hidden_size)
    torch.testing.assert_close(head.logits(h), h @ encoder.token_embedding().weight.t())
