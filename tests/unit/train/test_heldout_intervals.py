"""Intervals of held-out figures, against the textbook, against drawing blocks again, and by how often they hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from polyseme.objectives.unigram import BLOCKS, block_sums
from polyseme.tasks.metrics.intervals import wilson
from polyseme.train.heldout import heldout_figures, loss_interval


def test_of_equal_blocks_it_is_students_interval() -> None:
    means = np.random.default_rng(0).normal(4.0, 0.3, 12)
    found = loss_interval([(50 * m, 50) for m in means])
    low, high = stats.t.interval(0.95, 11, means.mean(), stats.sem(means))
    assert found is not None
    assert (found["low"], found["high"]) == pytest.approx((low, high))
    assert (found["blocks"], found["method"]) == (12, "Student, blocks of held-out text")


def test_what_says_nothing_has_no_interval() -> None:
    assert loss_interval([]) is None
    assert loss_interval([(30.0, 10)]) is None
    assert loss_interval([(30.0, 10), (0.0, 0)]) is None
    assert loss_interval([(30.0, 10), (60.0, 20)]) == pytest.approx(
        {"low": 3.0, "high": 3.0, "blocks": 2, "method": "Student, blocks of held-out text"}
    )


def test_it_holds_as_often_as_it_says() -> None:
    """Texts differ from each other, tokens of one less: drawing tokens would hold in half of the cases."""
    rng, held = np.random.default_rng(1), 0
    for _ in range(400):
        sizes = rng.integers(20, 80, 12)
        sums = [float(rng.normal(5.0 + rng.normal(0, 0.2), 1.0, n).sum()) for n in sizes]
        found = loss_interval(list(zip(sums, sizes.tolist(), strict=True)))
        assert found is not None
        held += found["low"] <= 5.0 <= found["high"]
    assert 0.91 <= held / 400 <= 0.98


def test_pairs_are_counted_one_by_one_and_tokens_by_blocks() -> None:
    blocks = {
        "masked_lm_loss": [(40.0, 10), (50.0, 10), (42.0, 12)],
        "masked_lm_accuracy": [(1.0, 10), (2.0, 10), (3.0, 12)],
        "masked_lm_baseline": [(60.0, 10), (60.0, 10), (60.0, 12)],
        "next_sentence_loss": [(6.0, 9), (6.0, 9)],
        "next_sentence_accuracy": [(6.0, 9), (5.0, 9)],
    }
    found = heldout_figures(blocks, ["next_sentence"])
    assert found["heldout_interval"] == loss_interval(blocks["masked_lm_loss"])
    pairs = found["heldout_accuracy"]["next_sentence"]
    assert (pairs["low"], pairs["high"]) == pytest.approx(wilson(11, 18))
    assert (pairs["value"], pairs["n"]) == (11 / 18, 18)
    tokens = found["heldout_accuracy"]["masked_lm"]
    assert tokens["value"] == pytest.approx(6 / 32)
    assert 0.0 <= tokens["low"] < tokens["value"] < tokens["high"]
    alone = heldout_figures({"masked_lm_accuracy": [(1.0, 2)]})
    assert alone["heldout_accuracy"]["masked_lm"]["low"] is None
    assert alone["heldout_interval"] is None


def test_blocks_of_tokens_add_up() -> None:
    losses = torch.arange(1.0, 1001.0)
    blocks = block_sums(losses)
    assert len(blocks) == BLOCKS
    assert math.fsum(total for total, _ in blocks) == 500500.0
    assert sum(count for _, count in blocks) == 1000
    assert len(block_sums(losses[:3])) == 3


@pytest.mark.parametrize(("documents", "known"), [(None, True), (1, False), (4, False), (5, True)])
def test_blocks_of_a_few_documents_have_no_interval(documents: int | None, known: bool) -> None:
    blocks = {"x_loss": [(30.0, 10.0), (20.0, 10.0)], "x_accuracy": [(3.0, 10.0), (5.0, 10.0)]}
    found = heldout_figures(blocks, documents=documents)
    assert (found["heldout_interval"] is not None) == known
    assert found["heldout_accuracy"]["x"]["value"] == 0.4
    assert (found["heldout_accuracy"]["x"]["low"] is not None) == known
