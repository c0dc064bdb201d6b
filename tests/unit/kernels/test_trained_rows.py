"""Training some rows of a table is training the table: the others only decay."""

from __future__ import annotations

import torch
from torch import nn

from polyseme.kernels.trained_rows import TrainedRows, train_rows
from polyseme.train.config import TrainConfig
from polyseme.train.optim import Optimizers

USED = torch.tensor([7, 2, 3, 7])
SEEN = torch.tensor([[2, 3, 3], [7, 2, 7]])


def table() -> nn.Embedding:
    torch.manual_seed(1)
    return nn.Embedding(11, 5)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = table()

    def token_embedding(self) -> nn.Module:
        return self.word_embeddings


def test_looks_up_the_same_vectors() -> None:
    rows = TrainedRows(table(), USED)
    ids = torch.arange(11).view(1, 11)
    assert torch.equal(rows.eval()(ids), table()(ids))
    assert torch.equal(rows.train()(SEEN), table()(SEEN))
    assert torch.equal(rows.whole(), table().weight)
    assert rows.weight.shape == (3, 5)


def test_takes_over_a_whole_table() -> None:
    rows, full = TrainedRows(table(), USED), torch.randn(11, 5)
    rows.put(full)
    assert torch.equal(rows.whole(), full)


def test_training_equals_that_of_the_whole_table() -> None:
    """AdamW with weight decay: the rows that are looked up are the same, the others decay alike."""
    config = TrainConfig(learning_rate=0.1, weight_decay=0.3, precision="float32")
    whole, part = Encoder(), Encoder()
    assert train_rows(part, USED)
    rows = part.word_embeddings
    assert isinstance(rows, TrainedRows)
    name = "encoder.word_embeddings.weight"
    optimizers = [
        Optimizers({name: whole.word_embeddings.weight}, config),
        Optimizers({name: rows.weight}, config, {name: rows.others}),
    ]
    for step in range(20):
        for encoder, optimizer in zip((whole, part), optimizers, strict=True):
            seen = SEEN if step < 5 else SEEN[:1, :1]  # rows 3 and 7 go on moving by their moments
            encoder.word_embeddings(seen).pow(3).sum().backward()
            optimizer.step(0.1 / (1 + step))
    torch.testing.assert_close(rows.whole(), whole.word_embeddings.weight.detach(), rtol=1e-6, atol=1e-7)
    assert not torch.allclose(rows.whole()[0], table().weight[0], rtol=0.1)


def test_leaves_tables_that_are_not_trained_or_wholly_used() -> None:
    frozen, all_used, spelled = Encoder(), Encoder(), Encoder()
    frozen.requires_grad_(False)
    spelled.open_vocabulary = True  # type: ignore[assignment]
    assert not train_rows(frozen, USED)
    assert not train_rows(all_used, torch.arange(11))
    assert not train_rows(spelled, USED)
    assert type(frozen.word_embeddings) is nn.Embedding
