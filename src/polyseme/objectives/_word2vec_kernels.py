"""What words learn from each other in word2vec, compiled.

An example is a word with the C words of its window (rows of `inputs`) and J rows of `outputs`: the word and its
negatives, or the nodes of its path in the Huffman tree. All C·J products of an example share its rows, so that they are
read once and written once (Ji et al. 2016). A block of examples is first scored (all logits, from the tables as they
are), then applied (the updates, one example after the other).

    learn_alone      one thread, its own stretch of the text, blocks of a few examples. Several threads run it side by
                     side on the same tables without locks (Niu et al. 2011), each update being sparse
    learn_together   all threads on one block: each scores some of the examples, then each updates some of the
                     dimensions. No two threads touch the same number, and every number sees the same operations in
                     the same order: the result does not depend on how many threads there are

Shapes:  inputs, outputs: (rows, width); hidden_size dimensions, then zeros up to a multiple of LANES.
         contexts: (ΣC,), context_at: (N + 1,).  targets, labels: (ΣJ,), target_at: (N + 1,).
         gradients: one number per logit, those of example i from gradient_at[i] on, C × J or (mean) J.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import prange

from polyseme.core.compiled import compiled
from polyseme.objectives._prefetch import prefetch_row
from polyseme.objectives._word2vec_draw import OPTIONS, draw

LANES = 16
"""Floats of a cache line and of the widest vector register."""
SLICES = 4
"""Into how many slices of dimensions `learn_together` cuts the tables."""
PARTS = 8
"""Into how many runs of examples it cuts a block."""
ALONE, DRAWN, TOGETHER = 8, 64, 64
"""Kept words of a block: the updates of a block are not yet seen by its own logits."""

_LOGIT_LIMIT = np.float32(20.0)
# Sums may be reordered and fused; infinities and NaNs keep their meaning, so that a diverged run is seen.
_FAST = {"reassoc", "contract", "arcp", "nsz", "afn"}


def make_score(width: int) -> Any:
    """The first half of a block, compiled for tables of this width."""

    @compiled(fastmath=_FAST, **OPTIONS)
    def score(  # type: ignore[no-untyped-def]
        inputs, outputs, contexts, context_at, targets, labels, target_at, gradient_at, mean, first, last, hidden,
        gradients, likelihood, losses,
    ):  # fmt: skip
        """Logits of examples first … last-1, and from them gradients and losses.

            logit = u · v;  gradient = label - σ(logit);  loss = -Σ log σ(±logit)

        Args:
            hidden: (width,) scratch.
            gradients, likelihood, losses: filled; likelihood is scratch of the same size as gradients.
        """
        for i in range(first, last):
            at, begin, end = gradient_at[i], target_at[i], target_at[i + 1]
            n = context_at[i + 1] - context_at[i]
            if mean:
                hidden[:] = np.float32(0)
                for c in range(context_at[i], context_at[i + 1]):
                    row = inputs[contexts[c]]
                    for d in range(width):
                        hidden[d] += row[d]
                scale = np.float32(1.0) / np.float32(n)
                n = 1
            else:
                scale = np.float32(1.0)
            for c in range(n):
                row = hidden if mean else inputs[contexts[context_at[i] + c]]
                t = begin
                while t + 3 <= end:
                    u0, u1, u2 = outputs[targets[t]], outputs[targets[t + 1]], outputs[targets[t + 2]]
                    dot0 = dot1 = dot2 = np.float32(0)
                    for d in range(width):
                        dot0 += row[d] * u0[d]
                        dot1 += row[d] * u1[d]
                        dot2 += row[d] * u2[d]
                    gradients[at], gradients[at + 1], gradients[at + 2] = (
                        dot0 * scale,
                        dot1 * scale,
                        dot2 * scale,
                    )
                    t += 3
                    at += 3
                while t < end:
                    u0, dot0 = outputs[targets[t]], np.float32(0)
                    for d in range(width):
                        dot0 += row[d] * u0[d]
                    gradients[at] = dot0 * scale
                    t += 1
                    at += 1
                for t in range(begin, end):
                    likelihood[at - end + t] = np.float32(labels[t])
        begin, end = gradient_at[first], gradient_at[last]
        logits, label = gradients[begin:end], likelihood[begin:end]
        for m in range(len(logits)):
            logit = min(max(logits[m], -_LOGIT_LIMIT), _LOGIT_LIMIT)
            # exp(-|logit|) = 2^whole · 2^part; the polynomial is within 2e-7 of 2^part on [0, 1)
            power = np.abs(logit) * np.float32(-1.4426950408889634)
            whole = np.floor(power)
            part = power - whole
            small = np.float32(1.8775767e-3)
            small = small * part + np.float32(8.9893397e-3)
            small = small * part + np.float32(5.5826318e-2)
            small = small * part + np.float32(2.4015361e-1)
            small = small * part + np.float32(6.9315308e-1)
            small = small * part + np.float32(9.9999994e-1)
            small *= np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)
            large = np.float32(1) / (np.float32(1) + small)
            small *= large
            yes = large if logit >= 0 else small  # σ(logit)
            no = small if logit >= 0 else large  # σ(-logit)
            positive = label[m] > 0
            label[m] = yes if positive else no
            logits[m] = no if positive else -yes
        for i in range(first, last):
            loss, product = 0.0, 1.0
            for m in range(gradient_at[i], gradient_at[i + 1]):
                product *= np.float64(likelihood[m])
                if product < 1e-250:
                    loss -= np.log(product)
                    product = 1.0
            losses[i] = loss - np.log(product)

    return score


def make_apply(width: int) -> Any:
    """The second half of a block, compiled for so many dimensions."""

    @compiled(fastmath=_FAST, **OPTIONS)
    def apply(  # type: ignore[no-untyped-def]
        inputs, outputs, contexts, context_at, targets, target_at, gradient_at, mean, divide, first, last, low,
        rate, gradients, old, change,
    ):  # fmt: skip
        """Update `width` dimensions from low on by examples first … last-1, one after the other.

            pairs:  u_j += rate Σ_c g_cj v_c;  v_c += rate Σ_j g_cj u_j, with the u_j and v_c from before the example
            mean:   h = mean of the v_c;  u_j += rate g_j h;  v_c += rate Σ_j g_j u_j, (divide:) / C

        Args:
            old, change: (longest J + 1, width) scratch.
        """
        high = low + width
        for i in range(first, last):
            g = gradients[gradient_at[i] : gradient_at[i + 1]]
            rows, n = contexts[context_at[i] : context_at[i + 1]], context_at[i + 1] - context_at[i]
            others, m = targets[target_at[i] : target_at[i + 1]], target_at[i + 1] - target_at[i]
            for j in range(m):
                u, before = outputs[others[j], low:high], old[j]
                for d in range(width):
                    before[d] = u[d]
            if mean:
                h, error = change[0], change[1]
                for d in range(width):
                    h[d] = error[d] = np.float32(0)
                for c in range(n):
                    v = inputs[rows[c], low:high]
                    for d in range(width):
                        h[d] += v[d]
                scale = rate / np.float32(n)
                for j in range(m):
                    u, before, step = outputs[others[j], low:high], old[j], g[j]
                    for d in range(width):
                        error[d] += step * before[d]
                    step *= scale
                    for d in range(width):
                        u[d] += step * h[d]
                share = scale if divide else rate
                for c in range(n):
                    v = inputs[rows[c], low:high]
                    for d in range(width):
                        v[d] += share * error[d]
                continue
            for j in range(m):
                sums = change[j]
                for d in range(width):
                    sums[d] = np.float32(0)
                c = 0
                while c + 3 <= n:
                    v0, v1 = inputs[rows[c], low:high], inputs[rows[c + 1], low:high]
                    v2 = inputs[rows[c + 2], low:high]
                    g0, g1, g2 = g[c * m + j], g[(c + 1) * m + j], g[(c + 2) * m + j]
                    for d in range(width):
                        sums[d] += g0 * v0[d] + g1 * v1[d] + g2 * v2[d]
                    c += 3
                while c < n:
                    v0, g0 = inputs[rows[c], low:high], g[c * m + j]
                    for d in range(width):
                        sums[d] += g0 * v0[d]
                    c += 1
            for c in range(n):
                v = inputs[rows[c], low:high]
                j = 0
                while j + 3 <= m:
                    u0, u1, u2 = old[j], old[j + 1], old[j + 2]
                    g0, g1, g2 = rate * g[c * m + j], rate * g[c * m + j + 1], rate * g[c * m + j + 2]
                    for d in range(width):
                        v[d] += g0 * u0[d] + g1 * u1[d] + g2 * u2[d]
                    j += 3
                while j < m:
                    u0, g0 = old[j], rate * g[c * m + j]
                    for d in range(width):
                        v[d] += g0 * u0[d]
                    j += 1
            for j in range(m):
                u, sums = outputs[others[j], low:high], change[j]
                for d in range(width):
                    u[d] += rate * sums[d]

    return apply


class Drivers(NamedTuple):
    """For tables of one width: one thread; all threads on one block; and the same on a single thread."""

    alone: Any
    together: Any
    in_turn: Any


@lru_cache(maxsize=4)
def drivers(width: int) -> Drivers:
    """The drivers for tables of this width; each is compiled when it is first called, or found compiled on disk."""
    score, apply, apply_slice = make_score(width), make_apply(width), make_apply(width // SLICES)
    slice_width = width // SLICES

    @compiled(**OPTIONS)
    def alone(  # type: ignore[no-untyped-def]
        inputs, outputs, words, first, last, block, sampling, mean, divide, rate, ids, floats, hidden, old, change,
    ):  # fmt: skip
        """Learn from the kept words first … last-1.

        Args:
            words: (kept, place, line) of `keep_words` and their number.
            sampling: (window, dynamic, key, negatives, chance, alias, path_at, path, code) of `draw`.
            block: kept words that are scored at once.
            ids: scratch (contexts, context_at, targets, labels, target_at, gradient_at).
            floats: scratch (gradients, likelihood, losses).
        Returns (loss in nats, examples, pairs).
        """
        kept, place, line, n = words
        window, dynamic, key, negatives, chance, alias, path_at, path, code = sampling
        contexts, context_at, targets, labels, target_at, gradient_at = ids
        gradients, likelihood, losses = floats
        loss, n_examples, n_pairs = 0.0, 0, 0
        for begin in range(first, last, DRAWN):
            examples, pairs = draw(
                kept, place, line, begin, min(last, begin + DRAWN), n, window, dynamic, mean, key, negatives, chance,
                alias, path_at, path, code, contexts, context_at, targets, labels, target_at, gradient_at,
            )  # fmt: skip
            for t in range(target_at[min(block, examples)]):
                prefetch_row(outputs, targets[t])
            for low in range(0, examples, block):
                high = min(examples, low + block)
                for t in range(target_at[high], target_at[min(high + block, examples)]):
                    prefetch_row(outputs, targets[t])
                score(
                    inputs, outputs, contexts, context_at, targets, labels, target_at, gradient_at, mean, low, high,
                    hidden, gradients, likelihood, losses,
                )  # fmt: skip
                apply(
                    inputs, outputs, contexts, context_at, targets, target_at, gradient_at, mean, divide, low, high, 0,
                    rate, gradients, old, change,
                )  # fmt: skip
            for i in range(examples):
                loss += losses[i]
            n_examples += examples
            n_pairs += pairs
        return loss, n_examples, n_pairs

    def together(  # type: ignore[no-untyped-def]
        inputs, outputs, words, first, last, block, sampling, mean, divide, rate, ids, floats, hidden, old, change,
    ):  # fmt: skip
        """The same with all threads on one block; scratch has a first axis of PARTS, old and change of SLICES."""
        kept, place, line, n = words
        window, dynamic, key, negatives, chance, alias, path_at, path, code = sampling
        contexts, context_at, targets, labels, target_at, gradient_at = ids
        gradients, likelihood, losses = floats
        loss, n_examples, n_pairs = 0.0, 0, 0
        examples, pairs = np.zeros(PARTS, np.int64), np.zeros(PARTS, np.int64)
        size = (block + PARTS - 1) // PARTS
        for begin in range(first, last, block):
            stop = min(last, begin + block)
            for p in prange(PARTS):
                examples[p], pairs[p] = draw(
                    kept, place, line, min(stop, begin + p * size), min(stop, begin + (p + 1) * size), n, window,
                    dynamic, mean, key, negatives, chance, alias, path_at, path, code, contexts[p], context_at[p],
                    targets[p], labels[p], target_at[p], gradient_at[p],
                )  # fmt: skip
                score(
                    inputs, outputs, contexts[p], context_at[p], targets[p], labels[p], target_at[p], gradient_at[p],
                    mean, 0, examples[p], hidden[p], gradients[p], likelihood[p], losses[p],
                )  # fmt: skip
            for s in prange(SLICES):
                for p in range(PARTS):
                    apply_slice(
                        inputs, outputs, contexts[p], context_at[p], targets[p], target_at[p], gradient_at[p], mean,
                        divide, 0, examples[p], s * slice_width, rate, gradients[p], old[s], change[s],
                    )  # fmt: skip
            for p in range(PARTS):
                for i in range(examples[p]):
                    loss += losses[p, i]
                n_examples += examples[p]
                n_pairs += pairs[p]
        return loss, n_examples, n_pairs

    return Drivers(alone, compiled(parallel=True, **OPTIONS)(together), compiled(**OPTIONS)(together))


def width_of(hidden_size: int, deterministic: bool) -> int:
    """Columns of a table: hidden_size up to whole cache lines, for `together` in each slice."""
    unit = LANES * SLICES if deterministic else LANES
    return -(-hidden_size // unit) * unit


def scratch_alone(width: int, window: int, longest: int) -> tuple[Any, ...]:
    """Scratch of `alone`; `longest` is the largest number of outputs of a word."""
    rows = (longest + 2, width)
    return (
        *_scratch((), DRAWN, width, window, longest),
        np.empty(rows, np.float32),
        np.empty(rows, np.float32),
    )


def scratch_together(width: int, window: int, longest: int) -> tuple[Any, ...]:
    """Scratch of `together` and `in_turn`."""
    rows = (SLICES, longest + 2, width // SLICES)
    block = -(-TOGETHER // PARTS)
    return (
        *_scratch((PARTS,), block, width, window, longest),
        np.empty(rows, np.float32),
        np.empty(rows, np.float32),
    )


def _scratch(lead: tuple[int, ...], block: int, width: int, window: int, longest: int) -> tuple[Any, ...]:
    def empty(n: int, dtype: Any) -> Any:
        return np.empty((*lead, n), dtype)

    contexts, targets = 2 * window * block, longest * block
    logits = contexts * longest
    ids = (
        empty(contexts, np.int32), empty(block + 1, np.int64), empty(targets, np.int32), empty(targets, np.int8),
        empty(block + 1, np.int64), empty(block + 1, np.int64),
    )  # fmt: skip
    floats = (empty(logits, np.float32), empty(logits, np.float32), empty(block, np.float64))
    return ids, floats, empty(width, np.float32)


@contextmanager
def using_threads(n: int) -> Iterator[None]:
    """Let `together` use n threads, or as many as the process may have."""
    before = numba.get_num_threads()
    numba.set_num_threads(min(n, int(getattr(numba.config, "NUMBA_NUM_THREADS", 1))))
    try:
        yield
    finally:
        numba.set_num_threads(before)
