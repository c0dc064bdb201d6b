"""Heads that begin by looking at a neighbour."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

from polyseme.core.types import Batch
from polyseme.errors import ConfigError
from polyseme.train.neighbours import PEAK, offsets, start_at_neighbours, waves
from small import VOCABULARY, make_encoder

SIZES = {
    "hidden_size": 128,
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
    "max_position_embeddings": 160,
    "initializer_range": 0.02,
}


def a_batch(texts: int = 4, length: int = 128) -> Batch:
    ids = torch.randint(5, VOCABULARY, (texts, length), generator=torch.Generator().manual_seed(1))
    zero = torch.zeros_like(ids)
    position = torch.arange(length).expand_as(ids)
    return Batch(ids, zero + 1, position, zero, torch.arange(texts) * length, packed=False)


@pytest.mark.parametrize("name", ["bert", "ernie", "gpt"])
def test_each_head_of_the_first_layers_looks_at_its_neighbour(name: str) -> None:
    encoder = make_encoder(name, **SIZES)
    assert encoder.training
    start_at_neighbours(encoder)
    assert encoder.training
    with torch.no_grad():
        attentions = encoder.eval().encode(a_batch(), keep="all", attentions=True).attentions
    for layer, least in ((0, 0.5), (1, 0.25)):
        for head, offset in enumerate(islice(offsets(encoder.reach), 4)):
            looked_at = attentions[layer][:, head].diagonal(offset, 1, 2)
            others = attentions[layer][:, head].diagonal(-1 if offset != -1 else -2, 1, 2)
            assert looked_at.mean() > least
            assert looked_at.mean() > 10 * others.mean()
    assert attentions[2].diagonal(-1, 2, 3).mean() < 0.05  # a later layer starts as ever


def test_the_waves_have_no_second_peak() -> None:
    """Another distance within 512 positions has at most half of the score, so at most e^-3.5 of the attention."""
    for pairs in (16, 32, 64):
        table = waves(512, pairs)
        scores = table @ table.T / pairs
        assert torch.allclose(scores.diagonal(), torch.ones(512))
        assert (scores - torch.eye(512)).max() < 0.6
    assert PEAK > 6


def test_a_width_that_the_waves_do_not_fill_keeps_its_other_columns() -> None:
    encoder = make_encoder("bert", **SIZES | {"hidden_size": 60, "num_attention_heads": 4})  # heads of 15
    before = encoder.position_embeddings.weight.clone()
    start_at_neighbours(encoder)
    after = encoder.position_embeddings.weight
    assert torch.equal(before[:, 56:], after[:, 56:])
    assert not torch.equal(before[:, :56], after[:, :56])


def test_values_and_other_parts_start_as_ever() -> None:
    plain, started = (make_encoder("bert", **SIZES) for _ in range(2))
    start_at_neighbours(started)
    changed = {
        name
        for (name, a), b in zip(plain.named_parameters(), started.parameters(), strict=True)
        if not torch.equal(a, b)
    }
    assert changed == {
        "position_embeddings.weight",
        "blocks.0.query_key_value.weight",
        "blocks.1.query_key_value.weight",
    }
    values = [encoder.blocks[0].query_key_value.weight[256:] for encoder in (plain, started)]
    assert torch.equal(*values)


@pytest.mark.parametrize("name", ["modernbert", "qwen3", "elmo"])
def test_models_without_learned_positions_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="learned positions") as error:
        start_at_neighbours(make_encoder(name))
    assert error.value.fix == "--set train.attention_start=random"
