"""word2vec, compiled: which words meet, and what they learn from each other (objectives/word2vec.py has one update).

    tokens ──keep_words──► kept words ──draw──► examples ──score──► gradients ──apply──► the tables

Random choices are pure functions of (key, position in the text): they depend neither on threads nor on where a
step begins.

An example is a word with the C words of its window (rows of `inputs`) and J rows of `outputs`: the word and its
negatives, or the nodes of its path in the Huffman tree. All C·J products of an example share its rows, so that they are
read once and written once (Ji et al. 2016). A block of examples is first scored (all logits, from the tables as they
are), then applied (the updates, one example after the other).

    alone       one thread, its own stretch of the text, blocks of a few examples. Several threads run it side by side
                on the same tables without locks (Niu et al. 2011), each update being sparse
    together    all threads on one block: each scores some of the examples, then each updates some of the dimensions.
                No two threads touch the same number, and every number sees the same operations in the same order:
                the result does not depend on how many threads there are

Shapes:  inputs, outputs: (rows, width); hidden_size dimensions, then zeros up to a multiple of LANES.
         contexts: (ΣC,), context_at: (N + 1,).  targets, labels: (ΣJ,), target_at: (N + 1,).
         gradients: one number per logit, those of example i from gradient_at[i] on, C × J or (mean) J.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple, Self

import numba
import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.extending import intrinsic

from polyseme.core.arrays import Int32Array, IntArray
from polyseme.core.compiled import compiled, compiles

LANES = 16
"""Floats of a cache line and of the widest vector register."""
SLICES = 4
"""Into how many slices of dimensions `together` cuts the tables."""
PARTS = 8
"""Into how many runs of examples it cuts a block."""
ALONE, DRAWN, TOGETHER = 8, 64, 64
"""Kept words of a block: the updates of a block are not yet seen by its own logits."""

_LOGIT_LIMIT = np.float32(20.0)
# Sums may be reordered and fused; infinities and NaNs keep their meaning, so that a diverged run is seen.
_FAST = {"reassoc", "contract", "arcp", "nsz", "afn"}
_COMPILED = compiles()

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S11, _S27, _S30, _S31, _S32 = (np.uint64(n) for n in (11, 27, 30, 31, 32))
_LOW_24 = np.uint64((1 << 24) - 1)
_UNIT_53, _UNIT_24 = 1.0 / (1 << 53), np.float32(1.0 / (1 << 24))

OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


class Words(NamedTuple):
    """Words that subsampling left: their ids, where they stood, and in which sentence (or document).

    Shapes:  kept, place, line: (N,)
    """

    kept: Int32Array
    place: IntArray
    line: IntArray

    @classmethod
    def empty(cls, n: int) -> Self:
        """Room for n words."""
        return cls(np.empty(n, np.int32), np.empty(n, np.int64), np.empty(n, np.int64))


@njit(inline="always")
def _mix(state):  # type: ignore[no-untyped-def]
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014), as in core/rng."""
    state = (state ^ (state >> _S30)) * _MIX_1
    state = (state ^ (state >> _S27)) * _MIX_2
    return state ^ (state >> _S31)


@njit(inline="always")
def _below(bits, n):  # type: ignore[no-untyped-def]
    """A whole number in [0, n) from the upper half of 64 random bits."""
    return np.int64(((bits >> _S32) * np.uint64(n)) >> _S32)


@compiled(**OPTIONS)
def keep_words(tokens, start, end, bounds, keep, key, kept, place, line):  # type: ignore[no-untyped-def]
    """Subsample tokens start … end-1: each stays with probability keep[token].

    Args:
        bounds: offsets of the sentences or documents that windows must not leave.
        kept, place, line: filled with the words that stay, where they stood, and in which sentence.
    Returns how many stay.
    """
    n = 0
    s = np.searchsorted(bounds, start, side="right") - 1
    for t in range(start, end):
        while t >= bounds[s + 1]:
            s += 1
        chance = keep[tokens[t]]
        if chance <= 0:
            continue
        if chance < 1 and np.float64(_mix(key + np.uint64(t) * _GOLDEN) >> _S11) * _UNIT_53 >= chance:
            continue
        kept[n], place[n], line[n] = tokens[t], t, s
        n += 1
    return n


@compiled(**OPTIONS)
def draw(  # type: ignore[no-untyped-def]
    kept, place, line, first, last, n, window, dynamic, mean, key, negatives, chance, alias,
    path_at, path, code, contexts, context_at, targets, labels, target_at, gradient_at,
):  # fmt: skip
    """Windows and outputs of the kept words first … last-1, of n.

    Args:
        window, dynamic: longest reach to each side; dynamic: drawn from 1 … window for each word.
        mean: the window counts as one input (CBOW).
        negatives: how many rows of `outputs` are drawn by (chance, alias); 0: those of the word's path.
    Returns (examples, pairs of a word and its context).
    """
    examples, pairs = 0, 0
    context_at[0] = target_at[0] = gradient_at[0] = 0
    for i in range(first, last):
        bits = _mix(key + np.uint64(place[i]) * _GOLDEN)
        reach = 1 + _below(bits, window) if dynamic else window
        c = context_at[examples]
        for j in range(max(0, i - reach), min(n, i + reach + 1)):
            if j != i and line[j] == line[i]:
                contexts[c] = kept[j]
                c += 1
        count = c - context_at[examples]
        if count == 0:
            continue
        t = target_at[examples]
        word = kept[i]
        if negatives > 0:
            targets[t], labels[t] = word, 1
            t += 1
            for _ in range(negatives):
                bits += _GOLDEN
                random = _mix(bits)
                other = _below(random, len(chance))
                if np.float32(random & _LOW_24) * _UNIT_24 >= chance[other]:
                    other = alias[other]
                if other != word:  # the word itself is no negative
                    targets[t], labels[t] = other, 0
                    t += 1
        else:
            for node in range(path_at[word], path_at[word + 1]):
                targets[t], labels[t] = path[node], code[node]
                t += 1
        outputs = t - target_at[examples]
        examples += 1
        pairs += count
        context_at[examples], target_at[examples] = c, t
        gradient_at[examples] = gradient_at[examples - 1] + (outputs if mean else count * outputs)
    return examples, pairs


@intrinsic
def _prefetch(typing_context: Any, table: Any, offset: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        byte = ir.IntType(8).as_pointer()
        address = builder.bitcast(builder.gep(array.data, [arguments[1]]), byte)
        number = ir.IntType(32)
        hint = builder.module.declare_intrinsic(
            "llvm.prefetch", [byte], ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        )
        builder.call(hint, [address, number(1), number(3), number(1)])  # for writing, to keep, data
        return context.get_dummy_value()

    return types.void(table, types.intp), generate


@njit(inline="always")
def prefetch_row(table, row):  # type: ignore[no-untyped-def]
    """Ask the processor for a row of a contiguous float32 table before it is needed; a hint, which changes no result.

    Most of the time of sparse updates goes into waiting for rows that are in no near cache. Which rows come next is
    known, so they can be on their way while the ones before are worked on.

    Shapes:  table: (rows, width), width a multiple of 16
    """
    if not _COMPILED:
        return
    first = np.int64(row) * table.shape[1]
    for offset in range(0, table.shape[1], LANES):
        _prefetch(table, first + offset)  # type: ignore[call-arg]


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
            output_rows, m = targets[target_at[i] : target_at[i + 1]], target_at[i + 1] - target_at[i]
            for j in range(m):
                u, before = outputs[output_rows[j], low:high], old[j]
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
                    u, before, step = outputs[output_rows[j], low:high], old[j], g[j]
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
                u, sums = outputs[output_rows[j], low:high], change[j]
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
