from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from polyseme.data.examples import Example
from polyseme.data.loader import collate, special_tokens, to_batch
from polyseme.objectives.bidirectional_lm import BidirectionalLM, BidirectionalLMConfig
from small import VOCABULARY, make_encoder

SPECIAL = special_tokens(VOCABULARY, 0, 2, 3, 4, [0, 1, 2, 3, 4])
NAME = "bidirectional_lm"


def objective(**config: object) -> BidirectionalLM:
    return BidirectionalLM(BidirectionalLMConfig.of(config, "test"), SPECIAL, seed=7)


def example(ids: list[int]) -> Example:
    return Example(np.array(ids), np.zeros(len(ids), np.int64), np.ones(len(ids), np.bool_))


ROWS = [[example([2, 10, 1, 12, 3]), example([2, 20, 3])], [example([2, 30, 31, 32, 33, 3])]]


def test_every_word_is_predicted_once_from_each_side_and_separators_never() -> None:
    ids, positions, labels = objective().prepare(collate(ROWS, 9, SPECIAL))
    assert ids.shape == (2, 9)
    assert labels.tolist() == [10, 1, 12, 20, 30, 31, 32, 33] * 2
    places = [1, 2, 3, 6, 10, 11, 12, 13]
    assert positions.tolist() == [p - 1 for p in places] + [p + 1 for p in places]


def test_words_beyond_the_softmax_are_unknown() -> None:
    _, _, labels = objective(softmax_size=31).prepare(collate(ROWS, 9, SPECIAL))
    assert labels.tolist() == [10, 1, 12, 20, 30, 1, 1, 1] * 2
    head = objective(softmax_size=31).build_head(make_encoder("elmo", input="both"))
    assert head.weight.shape == (31, 16)


@pytest.mark.parametrize("input", ["characters", "both"])
def test_held_out_loss_is_the_full_normalised_softmax(input: str) -> None:
    wanted = objective(samples=8)
    batch = to_batch(collate(ROWS, 9, SPECIAL), [wanted])
    encoder = make_encoder("elmo", input=input).eval()
    head = wanted.build_head(encoder, torch.arange(VOCABULARY))
    n = len(batch.targets[NAME].labels) // 2
    with torch.no_grad():
        encoding = encoder.encode(batch)
        scores = wanted.score(encoding, head, batch)
        positions, labels = batch.targets[NAME]
        flat = encoding.last.reshape(-1, 32)
        probabilities = [
            head(half).softmax(1) for half in (flat[positions[:n], :16], flat[positions[n:], 16:])
        ]
    losses = []
    for p, gold in zip(probabilities, labels.chunk(2), strict=True):
        torch.testing.assert_close(p.sum(1), torch.ones(n))
        assert p[:, [0, 2, 3, 4]].eq(0).all()  # separators, padding, mask: never
        assert (p[:, 1] > 0).all()  # [UNK] is a class
        losses.append(float(-p.gather(1, gold[:, None]).log().sum()))
    assert scores["forward"] == (pytest.approx(losses[0], rel=1e-5), n)
    assert scores["backward"] == (pytest.approx(losses[1], rel=1e-5), n)
    assert scores["loss"] == (pytest.approx(sum(losses), rel=1e-5), 2 * n)


def test_as_many_samples_as_classes_is_the_full_softmax() -> None:
    batch = to_batch(collate(ROWS, 9, SPECIAL), [objective()])
    encoder = make_encoder("elmo").eval()
    head = objective().build_head(encoder)
    full, many = (objective(samples=s).loss(encoder.encode(batch), head, batch)[0] for s in (0, 60))
    assert torch.equal(full, many)


def test_negatives_are_a_function_of_seed_and_row() -> None:
    wanted = objective(samples=8)
    batch = to_batch(collate(ROWS, 9, SPECIAL, np.array([4, 5])), [wanted])
    assert batch.counter == 4
    encoder = make_encoder("elmo").eval()
    head = wanted.build_head(encoder, torch.arange(VOCABULARY, 0, -1))
    encoding = encoder.encode(batch)
    first, again = (wanted.loss(encoding, head, batch)[0] for _ in range(2))
    other = wanted.loss(encoding, head, replace(batch, counter=6))[0]
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_baseline_is_the_unigram_over_the_same_classes() -> None:
    counts = torch.arange(VOCABULARY)
    batch = to_batch(collate(ROWS, 9, SPECIAL), [objective()])
    value, n = objective().baseline(batch, counts)
    smoothed = np.where(SPECIAL.special, 0, np.arange(VOCABULARY) + 1.0)
    smoothed[1] = 2.0
    expected = -np.log(smoothed[[10, 1, 12, 20, 30, 31, 32, 33]] / smoothed.sum()).sum() * 2
    assert (value, n) == (pytest.approx(expected, rel=1e-6), 16)


def test_bias_starts_at_word_frequency() -> None:
    counts = torch.arange(VOCABULARY)
    head = objective().build_head(make_encoder("elmo"), counts)
    p = head(torch.zeros(1, 16)).softmax(1)[0].detach()
    assert float(p[40] / p[20]) == pytest.approx(41 / 21)
    assert objective(bias="zero").build_head(make_encoder("elmo"), counts).bias.abs().sum() == 0
