"""ERNIE is BERT and one optional table: what the two share cannot differ."""

from __future__ import annotations

import pytest
import torch

from polyseme.core.types import Batch
from polyseme.models.bert import Bert, BertConfig
from polyseme.models.ernie import Ernie, ErnieConfig
from small import SMALL

SIZES = {k: v for k, v in SMALL.items() if k in BertConfig.model_fields} | {"hidden_dropout_prob": 0.3}


def make_batch() -> Batch:
    """Two rows of eight tokens, the last two of the second padding."""
    ids = torch.arange(16).view(2, 8) + 5
    real = torch.ones(2, 8, dtype=torch.long)
    real[1, 6:] = 0
    position = torch.arange(8).expand(2, 8).contiguous()
    return Batch(
        ids=ids * real,
        segment=real,
        position=position,
        type=(position > 3).long() * real,
        first=torch.tensor([0, 8]),
    )


@pytest.mark.parametrize("training", [False, True])
def test_the_same_weights_and_draws_give_the_same_numbers(training: bool) -> None:
    """In training, too: the dropout of one is that of the other."""
    encoders = []
    for build, config in ((Bert, BertConfig.of(SIZES, "t")), (Ernie, ErnieConfig.of(SIZES, "t"))):
        torch.manual_seed(0)
        encoders.append(build(config).train(training))
    bert, ernie = encoders
    assert list(bert.state_dict()) == list(ernie.state_dict())
    found = []
    for encoder in encoders:
        torch.manual_seed(1)
        found.append(encoder.encode(make_batch(), keep="all").layers)
    for ours, theirs in zip(*found, strict=True):
        assert torch.equal(ours, theirs)


def test_a_task_table_is_added_before_the_norm() -> None:
    torch.manual_seed(0)
    ernie = Ernie(ErnieConfig.of({**SIZES, "use_task_id": True}, "t")).eval()
    batch = make_batch()
    with torch.no_grad():
        before = ernie.embed(batch).clone()
        ernie.task_type_embeddings.weight[0] += 1.0
        after = ernie.embed(batch)
        ernie.task_type_embeddings.weight[1] += 1.0
    assert torch.allclose(after - before, torch.ones_like(after), atol=1e-5)
    assert torch.equal(ernie.embed(batch), after)  # every token has task 0
