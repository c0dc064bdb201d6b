"""Packed examples do not see each other, and are encoded as if each were alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from polyseme.core.types import Batch
from polyseme.data.examples import Example, SpecialTokens
from polyseme.data.loader import collate, to_batch
from small import VOCABULARY, make_encoder


def example(length: int, seed: int) -> Example:
    ids = np.random.default_rng(seed).integers(5, VOCABULARY, length)
    ids[0], ids[-1] = 2, 3
    kind = (np.arange(length) > length // 2).astype(np.int64)
    return Example(ids, kind, np.ones(length, np.bool_))


@pytest.fixture
def lengths() -> list[list[int]]:
    return [[11, 5, 9], [32], [20, 12], [7]]


def packed(lengths: list[list[int]], special: SpecialTokens) -> tuple[Batch, list[tuple[int, int, Example]]]:
    rows, places = [], []
    for row, members in enumerate(lengths):
        examples = [example(n, 10 * row + i) for i, n in enumerate(members)]
        starts = np.cumsum([0, *members[:-1]]).tolist()
        places += [(row, start, e) for start, e in zip(starts, examples, strict=True)]
        rows.append(examples)
    return to_batch(collate(rows, 32, special), []), places


@pytest.mark.parametrize("attentions", [False, True])
def test_packed_equals_one_by_one(
    model_name: str, lengths: list[list[int]], special: SpecialTokens, attentions: bool
) -> None:
    encoder = make_encoder(model_name).eval()
    batch, places = packed(lengths, special)
    with torch.no_grad():
        together = encoder.encode(batch, keep="all", attentions=attentions)
        for row, start, alone in places:
            n = len(alone.ids)
            single = encoder.encode(to_batch(collate([[alone]], n, special), []), keep="all")
            for layer, reference in zip(together.layers, single.layers, strict=True):
                torch.testing.assert_close(layer[row, start : start + n], reference[0], atol=1e-5, rtol=1e-4)


def test_changing_one_example_leaves_its_neighbours_alone(
    model_name: str, lengths: list[list[int]], special: SpecialTokens
) -> None:
    encoder = make_encoder(model_name).eval()
    batch, _ = packed(lengths, special)
    changed = batch.ids.clone()
    changed[0, 11:16] = torch.tensor([5, 6, 7, 8, 9])  # the second of three examples in row 0
    with torch.no_grad():
        before = encoder.encode(batch).last
        after = encoder.encode(replace(batch, ids=changed)).last
    assert torch.equal(before[0, :11], after[0, :11])
    assert torch.equal(before[0, 16:25], after[0, 16:25])
    assert not torch.allclose(before[0, 11:16], after[0, 11:16])


def test_reach(model_name: str, special: SpecialTokens) -> None:
    """A token's vector depends on both sides, on one, or on neither, as the encoder says."""
    encoder = make_encoder(model_name, local_attention=64).eval()
    batch = to_batch(collate([[example(32, 1)]], 32, special), [])
    with torch.no_grad():
        before = encoder.encode(batch).last[0]
        moved = batch.ids.clone()
        moved[0, 16] = 5 if int(moved[0, 16]) != 5 else 6
        change = (encoder.encode(replace(batch, ids=moved)).last[0] - before).abs().amax(1) > 1e-7
    sees_right, sees_left = bool(change[1:16].any()), bool(change[17:31].any())
    expected: dict[str, tuple[bool, bool]] = {
        "both": (True, True),
        "left": (False, True),
        "right": (True, False),
        "none": (False, False),
    }
    assert (sees_right, sees_left) == expected[encoder.reach]


def test_layers(model_name: str, special: SpecialTokens) -> None:
    encoder = make_encoder(model_name).eval()
    batch = to_batch(collate([[example(32, 1)]], 32, special), [])
    with torch.no_grad():
        every: Any = encoder.encode(batch, keep="all", attentions=True)
        last = encoder.encode(batch)
    assert len(every.layers) == encoder.config.num_hidden_layers + 1
    assert len(last.layers) == 1
    torch.testing.assert_close(every.last, last.last, atol=1e-5, rtol=1e-4)
    for probabilities in every.attentions or ():
        torch.testing.assert_close(probabilities.sum(-1), torch.ones(probabilities.shape[:-1]))


@pytest.mark.parametrize("order", ["sorted", "shuffled", "uneven", "none"])
def test_needed_positions_alone_give_the_same_vectors(
    model_name: str, lengths: list[list[int]], special: SpecialTokens, order: str
) -> None:
    encoder = make_encoder(model_name)
    batch, _ = packed(lengths, special)
    flat = batch.segment.ravel().nonzero().squeeze(1)
    positions = {
        "sorted": flat[::3],
        "shuffled": flat[torch.randperm(len(flat), generator=torch.Generator().manual_seed(0))[:20]],
        "uneven": torch.tensor([3, 4, 5, 40]),
        "none": torch.tensor([], dtype=torch.long),
    }[order]
    whole = encoder.encode(batch).at(positions)
    part = encoder.encode(batch, at=positions)
    torch.testing.assert_close(part.at(positions), whole, atol=1e-5, rtol=1e-4)
    if len(positions) > 1:
        torch.testing.assert_close(part.at(positions[1:2]), whole[1:2], atol=1e-5, rtol=1e-4)
    if len(positions) > 1 and whole.requires_grad:
        gradients = []
        for result in (whole, part.at(positions)):
            encoder.zero_grad()
            result.square().sum().backward()
            gradients.append([None if p.grad is None else p.grad.clone() for p in encoder.parameters()])
        for a, b in zip(*gradients, strict=True):
            assert (a is None) == (b is None)
            if a is not None and b is not None:
                torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


def test_packed_equals_one_by_one_from_the_left(
    both_ways: str, lengths: list[list[int]], special: SpecialTokens
) -> None:
    encoder = make_encoder(both_ways).eval()
    batch, places = packed(lengths, special)
    with torch.no_grad():
        together = encoder.encode(replace(batch, causal=True), keep="all")
        for row, start, alone in places:
            n = len(alone.ids)
            one = replace(to_batch(collate([[alone]], n, special), []), causal=True)
            for attentions in (False, True):
                single = encoder.encode(one, keep="all", attentions=attentions)
                for layer, reference in zip(together.layers, single.layers, strict=True):
                    torch.testing.assert_close(
                        layer[row, start : start + n], reference[0], atol=1e-5, rtol=1e-4
                    )


@pytest.mark.parametrize("window", [2, 8, 64])
def test_a_causal_batch_sees_the_left_alone(both_ways: str, special: SpecialTokens, window: int) -> None:
    encoder = make_encoder(both_ways, local_attention=window, global_attn_every_n_layers=2).eval()
    for members in ([32], [32, 20]):  # with and without a mask
        rows = [[example(n, n)] for n in members]
        batch = replace(to_batch(collate(rows, 32, special), []), causal=True)
        with torch.no_grad():
            before = encoder.encode(batch).last[0]
            moved = batch.ids.clone()
            moved[0, 16] = 5 if int(moved[0, 16]) != 5 else 6
            change = (encoder.encode(replace(batch, ids=moved)).last[0] - before).abs().amax(1) > 1e-7
        assert not change[:16].any()
        assert change[16:18].all()


@pytest.mark.parametrize("window", [2, 8, 64])
def test_the_cache_gives_what_a_causal_batch_does(
    both_ways: str, special: SpecialTokens, window: int
) -> None:
    """Also of rows that begin later, and of a token or several at a time."""
    encoder = make_encoder(both_ways, local_attention=window, global_attn_every_n_layers=2).eval()
    texts = [example(n, n) for n in (24, 17)]
    single = []
    with torch.no_grad():
        for text in texts:
            batch = replace(to_batch(collate([[text]], len(text.ids), special), []), causal=True)
            batch = replace(batch, type=torch.zeros_like(batch.type))
            single.append(encoder.encode(batch).last[0])
        for start in (None, torch.tensor([0, 7])):
            rows = texts if start is not None else texts[:1]
            ids = torch.zeros(len(rows), 24, dtype=torch.long)
            for row, text in zip(ids, rows, strict=True):
                row[24 - len(text.ids) :] = torch.from_numpy(text.ids)
            cache = encoder.new_cache(len(rows), 24, start)
            steps = [encoder.decode(part, cache) for part in ids.split([11, 1, 1, 4, 7], dim=1)]
            for row, reference in zip(torch.cat(steps, dim=1), single, strict=False):
                torch.testing.assert_close(row[24 - len(reference) :], reference, atol=1e-5, rtol=1e-4)
