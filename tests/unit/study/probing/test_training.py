from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from polyseme.core.arrays import IntArray
from polyseme.study.probing.numbers import centre_of_gravity, expected_layer
from polyseme.study.probing.targets import Part, ProbeConfig, Spans, random_labels
from polyseme.study.probing.training import most_frequent, train_probe

LAYERS, WIDTH, LABELS, PLANTED = 4, 12, 3, 2
CONFIG = ProbeConfig(projection=16, hidden=16, batch_size=32, epochs=12, learning_rate=3e-3, dropout=0.1)


class Noise:
    """Hidden states of noise; the label of a token is written into one layer."""

    layers, width = LAYERS, WIDTH

    def __init__(self, labels: np.ndarray) -> None:
        rng = np.random.default_rng(0)
        states = rng.normal(size=(len(labels), LAYERS, WIDTH)).astype(np.float32)
        states[np.arange(len(labels)), PLANTED, labels] += 4.0
        self._states = torch.from_numpy(states)
        self.facts: dict[str, Any] = {"numbers": "float32"}

    def read(self, rows: IntArray, layers: int) -> torch.Tensor:
        return self._states[torch.from_numpy(rows), :layers]


def planted(n: int = 700, types: int | None = None) -> tuple[Noise, dict[str, Part]]:
    """Targets of one token each, three a text; of many word types or of few."""
    rng = np.random.default_rng(1)
    labels = rng.integers(LABELS, size=n)
    kinds = [f"w{i if types is None else i % types}" for i in range(n)]
    parts, borders = {}, {"train": (0, n - 300), "dev": (n - 300, n - 150), "test": (n - 150, n)}
    for name, (start, end) in borders.items():
        rows = np.arange(start, end)
        gold = np.eye(LABELS, dtype=bool)[labels[rows]]
        spans = Spans(rows, np.ones(len(rows), np.int64))
        sentence = np.arange(len(rows)) // 3
        texts = int(sentence[-1]) + 1
        parts[name] = Part(spans, None, gold, tuple(kinds[start:end]), sentence, texts, {})
    return Noise(labels), parts


def test_the_probe_finds_what_is_planted_where_it_is_planted() -> None:
    states, parts = planted()
    runs = [train_probe(states, parts, True, CONFIG, 1, layers=n) for n in range(1, LAYERS + 1)]
    scores = [run.f1.value for run in runs]
    assert max(scores[:PLANTED]) < 0.5
    assert min(scores[PLANTED:]) > 0.9
    full = runs[-1]
    assert int(np.argmax(full.shares)) == PLANTED
    assert full.shares[PLANTED] > 0.4
    assert sum(full.shares) == pytest.approx(1.0, abs=1e-6)
    assert centre_of_gravity(full.shares) == pytest.approx(PLANTED, abs=0.5)
    assert float(expected_layer(scores)) == pytest.approx(PLANTED, abs=0.25)
    assert full.accuracy is not None
    assert full.accuracy.value > 0.9
    assert full.f1.examples == parts["test"].sentences
    assert full.f1.n == len(parts["test"])


def test_random_labels_of_new_words_are_guessed_by_chance() -> None:
    states, parts = planted(1200)
    gold = random_labels(parts, 1)
    run = train_probe(states, parts, True, CONFIG, 1, gold=gold)
    assert run.accuracy is not None
    assert abs(run.accuracy.value - 1 / LABELS) < 0.13
    real = train_probe(states, parts, True, CONFIG, 1)
    assert real.f1.value - run.f1.value > 0.4


def test_random_labels_are_one_for_a_type_and_as_frequent_as_the_real_ones() -> None:
    _, parts = planted(3000, types=500)
    gold = random_labels(parts, 1)
    of: dict[str, tuple[bool, ...]] = {}
    for name, part in parts.items():
        assert gold[name].shape == part.gold.shape
        for kind, row in zip(part.types, gold[name].tolist(), strict=True):
            assert of.setdefault(kind, tuple(row)) == tuple(row)
    assert np.abs(gold["train"].mean(0) - parts["train"].gold.mean(0)).max() < 0.08
    assert not np.array_equal(gold["train"], random_labels(parts, 2)["train"])
    assert np.array_equal(gold["train"], random_labels(parts, 1)["train"])


def test_the_same_seed_gives_the_same_probe_and_leaves_torchs_numbers_alone() -> None:
    states, parts = planted(450)
    few = CONFIG.model_copy(update={"epochs": 2})
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    one, two, other = (train_probe(states, parts, True, few, seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert one.shares == two.shares
    assert one.dev == two.dev
    assert np.array_equal(one.f1.counts, two.f1.counts)
    assert one.shares != other.shares


def test_learning_ends_when_dev_gets_no_better() -> None:
    states, parts = planted(450)
    long = CONFIG.model_copy(update={"epochs": 200, "patience": 2})
    assert train_probe(states, parts, True, long, 1).epochs < 100


def test_micro_f1_counts_what_is_said_and_what_is_not() -> None:
    _, parts = planted(450)
    part = parts["test"]
    most = int(parts["train"].gold.sum(0).argmax())
    assert most_frequent(parts["train"].gold, part).value == pytest.approx(part.gold[:, most].mean())
