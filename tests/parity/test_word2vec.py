"""The compiled kernels: equal to the plain form, which equals autograd; draws follow their distributions."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from polyseme.kernels import word2vec as kernels
from polyseme.objectives.word2vec import alias_table, huffman, keep_probability, update

V, D, WINDOW, NEGATIVES = 40, 24, 3, 4
COUNTS = np.maximum(1, (400 / np.arange(1, V + 1)).astype(np.int64))
CHANCE, ALIAS = alias_table(COUNTS**0.75 / (COUNTS**0.75).sum())


def tables(width: int, dtype: Any = np.float32) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    made = [np.zeros((V, width), dtype) for _ in range(2)]
    for table in made:
        table[:, :D] = random.normal(0, 0.3, (V, D))
    return made[0], made[1]


def words(n: int, sentence: int = 9) -> kernels.Words:
    random = np.random.default_rng(2)
    kept = random.choice(V, n, p=COUNTS / COUNTS.sum()).astype(np.int32)
    return kernels.Words(kept, np.arange(n), np.arange(n) // sentence)


def sampling(hierarchical: bool) -> tuple[Any, ...]:
    path = huffman(COUNTS if hierarchical else np.zeros(0, np.int64))
    return WINDOW, True, np.uint64(77), 0 if hierarchical else NEGATIVES, CHANCE, ALIAS, *path


def examples(made: kernels.Words, hierarchical: bool) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """What `draw` makes of all words: (contexts, targets, labels) of each example."""
    n = len(made.kept)
    longest = 40
    contexts, targets = np.empty(2 * WINDOW * n, np.int32), np.empty(longest * n, np.int32)
    labels = np.empty(longest * n, np.int8)
    context_at, target_at, gradient_at = (np.empty(n + 1, np.int64) for _ in range(3))
    window, dynamic, key, *rest = sampling(hierarchical)
    count, _ = kernels.draw(
        *made, 0, n, n, window, dynamic, False, key, *rest, contexts, context_at, targets, labels, target_at,
        gradient_at,
    )  # fmt: skip
    return [
        (
            contexts[context_at[i] : context_at[i + 1]],
            targets[target_at[i] : target_at[i + 1]],
            labels[target_at[i] : target_at[i + 1]],
        )
        for i in range(count)
    ]


def run(
    driver: str, block: int, n: int, mean: bool, divide: bool, hierarchical: bool, rate: float = 0.1
) -> Any:
    """(loss, examples, pairs), inputs and outputs after learning from n words with a driver."""
    width = kernels.width_of(D, driver != "alone")
    inputs, outputs = tables(width)
    make = kernels.scratch_alone if driver == "alone" else kernels.scratch_together
    scratch = make(width, WINDOW, 40)
    done = getattr(kernels.drivers(width), driver)(
        inputs, outputs, (*words(n), n), 0, n, block, sampling(hierarchical), mean, divide, np.float32(rate), *scratch
    )  # fmt: skip
    return done, inputs, outputs


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("divide", [False, True])
def test_a_plain_update_is_the_gradient_of_its_loss(mean: bool, divide: bool) -> None:
    inputs, outputs = tables(D, np.float64)
    contexts, targets, labels = np.array([3, 7, 9]), np.array([1, 5, 30, 5]), np.array([1, 0, 0, 1])
    v = torch.from_numpy(inputs.copy()).requires_grad_()
    u = torch.from_numpy(outputs.copy()).requires_grad_()
    hidden = v[contexts].mean(0, keepdim=True) if mean else v[contexts]
    sign = torch.from_numpy(2.0 * labels - 1.0)
    loss = -torch.nn.functional.logsigmoid(sign * (hidden @ u[targets].T)).sum()
    loss.backward()
    before = inputs.copy(), outputs.copy()
    found = update(inputs, outputs, contexts, targets, labels, 0.1, mean=mean, divide=divide)
    assert found == pytest.approx(loss.item())
    assert u.grad is not None
    assert v.grad is not None
    np.testing.assert_allclose((before[1] - outputs) / 0.1, u.grad.numpy(), atol=1e-12)
    whole = 3 if mean and not divide else 1  # the authors' program gives each word the error of all
    np.testing.assert_allclose((before[0] - inputs) / 0.1, whole * v.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("hierarchical", [False, True])
@pytest.mark.parametrize(("mean", "divide"), [(False, False), (True, False), (True, True)])
def test_fast_equals_plain(mean: bool, divide: bool, hierarchical: bool) -> None:
    """One example a block, so that every logit sees the updates before it."""
    n = 60
    (loss, count, pairs), fast_inputs, fast_outputs = run("alone", 1, n, mean, divide, hierarchical)
    inputs, outputs = tables(D, np.float64)
    drawn = examples(words(n), hierarchical)
    expected = sum(update(inputs, outputs, *e, 0.1, mean=mean, divide=divide) for e in drawn)
    assert count == len(drawn)
    assert pairs == sum(len(e[0]) for e in drawn)
    assert loss == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(fast_inputs[:, :D], inputs, atol=2e-5)
    np.testing.assert_allclose(fast_outputs[:, :D], outputs, atol=2e-5)
    assert not fast_inputs[:, D:].any()
    assert not fast_outputs[:, D:].any()


@pytest.mark.parametrize("mean", [False, True])
def test_the_two_drivers_agree_on_one_block(mean: bool) -> None:
    """Scored at once and applied in order: the slices of dimensions make no difference but for rounding."""
    n = 50
    alone = run("alone", 64, n, mean, False, False)
    together = run("in_turn", 64, n, mean, False, False)
    assert alone[0] == pytest.approx(together[0], rel=1e-6)
    for a, b in zip(alone[1:], together[1:], strict=True):
        np.testing.assert_allclose(a[:, :D], b[:, :D], atol=1e-6)


def test_large_logits_neither_overflow_nor_stop_learning() -> None:
    width = kernels.width_of(D, False)
    inputs, outputs = tables(width)
    inputs *= 30
    outputs *= 30
    scratch = kernels.scratch_alone(width, WINDOW, 40)
    loss, _, _ = kernels.drivers(width).alone(
        inputs, outputs, (*words(50), 50), 0, 50, 8, sampling(False), False, False, np.float32(1e-3), *scratch
    )  # fmt: skip
    assert np.isfinite(loss)
    assert loss > 50
    assert np.isfinite(inputs).all()


def test_windows_stay_within_lines_and_reach() -> None:
    made = words(200, sentence=7)
    for i in range(200):
        made.kept[i] = i % 7  # a word tells its place in its line
    seen = set()
    window = sampling(False)[0]
    for contexts, targets, _ in examples(made, False):
        distances = contexts.astype(int) - int(targets[0])
        assert (np.abs(distances) <= window).all()
        assert 0 not in distances
        assert len(set(contexts.tolist())) == len(contexts)
        seen |= set(np.abs(distances).tolist())
    assert seen == {1, 2, 3}


def test_negatives_follow_their_distribution_and_are_never_the_word() -> None:
    made = words(20_000)
    drawn = examples(made, False)
    assert all(word not in rest.tolist() for word, rest in ((e[1][0], e[1][1:]) for e in drawn))
    q = COUNTS**0.75 / (COUNTS**0.75).sum()
    expected, found = np.zeros(V), np.zeros(V)
    for _, targets, labels in drawn:
        found += np.bincount(targets[1:], minlength=V)
        expected += NEGATIVES * q * (np.arange(V) != targets[0])
        assert labels.tolist() == [1] + [0] * (len(targets) - 1)
    chi_square = ((found - expected) ** 2 / expected).sum()
    assert chi_square < 73.4  # the 0.999 quantile for 39 degrees of freedom is 72.1; the seed is fixed


def test_alias_table_is_exact() -> None:
    q = np.array([0.5, 0.0, 0.3, 0.15, 0.05])
    chance, alias = alias_table(q)
    rebuilt = np.zeros(5)
    for i in range(5):
        rebuilt[i] += chance[i] / 5
        rebuilt[alias[i]] += (1 - chance[i]) / 5
    np.testing.assert_allclose(rebuilt, q, atol=1e-7)


def test_subsampling_keeps_each_word_at_its_rate() -> None:
    counts = np.array([50_000, 5_000, 200, 0])
    keep = keep_probability(counts, 0.01)
    share = counts / counts.sum()
    ratio = 0.01 / share[:2]
    np.testing.assert_allclose(keep[:2], np.sqrt(ratio) + ratio, rtol=1e-6)
    assert keep[2:].tolist() == [1, 0]
    tokens = np.repeat(np.arange(4, dtype=np.uint16), [50_000, 5_000, 200, 100])
    made = kernels.Words.empty(len(tokens))
    bounds = np.array([0, 50_000, len(tokens)])
    n = kernels.keep_words(tokens, 0, len(tokens), bounds, keep, np.uint64(9), *made)
    found = np.bincount(made.kept[:n], minlength=4)
    deviation = np.sqrt(counts * keep * (1 - keep))
    assert (np.abs(found - counts * keep) <= 4 * deviation).all()
    assert (tokens[made.place[:n]] == made.kept[:n]).all()
    assert (made.line[:n] == (made.place[:n] >= 50_000)).all()
    assert keep_probability(counts, 0).tolist() == [1, 1, 1, 0]


def test_what_is_drawn_does_not_depend_on_where_a_step_begins() -> None:
    tokens = np.tile(np.arange(V, dtype=np.uint16), 50)
    keep = np.full(V, 0.5, np.float32)
    bounds = np.arange(0, len(tokens) + 1, 10)
    whole, part = kernels.Words.empty(len(tokens)), kernels.Words.empty(len(tokens))
    n = kernels.keep_words(tokens, 0, len(tokens), bounds, keep, np.uint64(9), *whole)
    m = kernels.keep_words(tokens, 990, len(tokens), bounds, keep, np.uint64(9), *part)
    assert (part.place[:m] == whole.place[n - m : n]).all()


def test_huffman_paths_are_a_prefix_code_of_least_length() -> None:
    import heapq

    random = np.random.default_rng(0)
    counts = random.integers(0, 1000, 300) * (random.random(300) < 0.9)
    start, node, branch = huffman(counts)
    codes = {w: tuple(branch[start[w] : start[w + 1]].tolist()) for w in range(300)}
    assert {w for w in codes if codes[w]} == set(np.flatnonzero(counts).tolist())
    used = sorted(code for code in codes.values() if code)
    assert sum(2.0 ** -len(code) for code in used) == 1.0  # Kraft's sum of a full tree
    assert all(b[: len(a)] != a for a, b in pairwise(used))
    heap = [int(c) for c in counts if c]
    heapq.heapify(heap)
    least = 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        least += merged
        heapq.heappush(heap, merged)
    assert sum(int(counts[w]) * len(code) for w, code in codes.items()) == least
    assert all(node[start[w]] == 0 for w in codes if codes[w])  # every path begins at the root
    prefixes: dict[tuple[int, ...], int] = {}
    for w, code in codes.items():  # the same way leads to the same node
        for depth in range(len(code)):
            assert prefixes.setdefault(code[:depth], int(node[start[w] + depth])) == node[start[w] + depth]
    assert len(set(prefixes.values())) == len(prefixes) == np.count_nonzero(counts) - 1
