# mypy: disable-error-code="attr-defined,call-arg,no-untyped-call,no-untyped-def,unreachable,var-annotated"
"""One step of a pre-norm decoder, compiled: the next token of a few rows through all layers, on all threads at once.

At one token a row the weights are read once a step and little is done with each, so the time of a step is that of
reading them, if nothing else stands in the way. Here nothing does: every thread of a team runs `step` from the first
layer to the last; they meet where one needs what another wrote (five times a layer) and take stretches of rows of each
matrix as they go. A row is read once, for all rows of the batch. Weights may be float32, or int8 with one scale a row:
then the inputs of a product are rounded as kernels/int8.py says, and whole numbers are multiplied where the processor
has instructions for that. What is computed is what `decode` of the models computes; kernels/step.py prepares the
arguments.

Every number is computed by one thread in an order that does not depend on how many there are. A thread that waits for
long sleeps (`meet`), and others use its core.
"""

from __future__ import annotations

import math

import numpy as np
from numba import carray, njit

from polyseme.core.compiled import compiled
from polyseme.kernels._compiled import LINE, PART, as_float, count_up, meet, pointer
from polyseme.kernels._tiles import LANES, WIDE, ends, make_tile, make_whole_tile

FIELDS = (
    "attention_norm", "attention_norm_bias",
    "query_key_value", "query_key_value_scale", "query_key_value_bias", "query_key_value_sums",
    "query_norm", "key_norm",
    "attention_output", "attention_output_scale", "attention_output_bias", "attention_output_sums",
    "feedforward_norm", "feedforward_norm_bias", "wide", "wide_scale", "wide_bias", "wide_sums",
    "gate", "gate_scale", "gate_bias", "gate_sums", "narrow", "narrow_scale", "narrow_bias", "narrow_sums",
    "keys", "values",
)  # fmt: skip
"""Columns of `step`'s table: addresses of a layer's arrays, 0 for those it has not. Its last row holds, in the first
six columns, the final norm and the output matrix with what belongs to it."""
SIZES = ("width", "heads", "shared", "head_size", "wide", "activation", "vocabulary", "capacity", "length")
"""Entries of `step`'s sizes; "shared" is the number of key-value heads, "length" that of the cache before the step."""
ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "tanh")
GROUP = 8
"""Rows of a batch whose products with a row of weights are formed together."""

_AHEAD = 4096  # bytes of weights that are fetched before they are needed
_NEAR = 24576  # bytes of inputs that stay in the nearest cache, beside the weights that pass through it
_SUMS = {
    "reassoc",
    "contract",
    "arcp",
    "nsz",
    "afn",
}  # sums may be reordered; infinities and NaNs keep their meaning
_PRODUCTS = tuple(FIELDS.index(n) for n in ("query_key_value", "attention_output", "gate", "wide", "narrow"))
_SECOND_NORM = FIELDS.index("feedforward_norm")
_QUERY_NORM, _KEY_NORM, _KEYS, _VALUES = (
    FIELDS.index(n) for n in ("query_norm", "key_norm", "keys", "values")
)


@njit(**PART, fastmath={"contract"})
def _exp(x):
    """e^x in float32 within two units of the last place, in a form that runs on vectors.

    e^x = 2^n e^r,  n = round(x / ln 2),  r = x - n ln 2, and e^r by its series
    """
    x = min(max(x, np.float32(-87.0)), np.float32(88.0))
    n = np.floor(x * np.float32(1.4426950408889634) + np.float32(0.5))
    r = (x - n * np.float32(0.693359375)) + n * np.float32(2.12194440e-4)
    s = np.float32(1 / 5040)
    for c in (1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5, 1.0, 1.0):
        s = s * r + np.float32(c)
    return s * as_float((np.int32(n) + np.int32(127)) << np.int32(23))


@njit(**PART, fastmath={"contract"})
def _sigmoid(x):
    return np.float32(1.0) / (np.float32(1.0) + _exp(-x))


@njit(**PART, fastmath={"contract"})
def _activate(x, kind):
    """Apply an activation, by its place in ACTIVATIONS, to a row."""
    if kind == 0:
        for i in range(len(x)):
            x[i] = (
                np.float32(0.5) * x[i] * (np.float32(1.0) + math.erf(x[i] * np.float32(0.7071067811865476)))
            )
    elif kind <= 2:  # 0.5 x (1 + tanh u) = x σ(2 u)
        for i in range(len(x)):
            v = x[i]
            x[i] = v * _sigmoid(np.float32(1.5957691216057308) * (v + np.float32(0.044715) * v * v * v))
    elif kind == 3:
        for i in range(len(x)):
            x[i] = max(x[i], np.float32(0.0))
    elif kind == 4:
        for i in range(len(x)):
            x[i] = x[i] * _sigmoid(x[i])
    else:
        for i in range(len(x)):
            x[i] = np.float32(2.0) * _sigmoid(np.float32(2.0) * x[i]) - np.float32(1.0)


@njit(**PART, fastmath=_SUMS)
def _normalise(x, weight, bias, centred, eps, out):
    """LayerNorm of a row where `centred`, else RMSNorm."""
    n = len(x)
    mean = np.float32(0.0)
    if centred:
        for i in range(n):
            mean += x[i]
        mean /= np.float32(n)
    square = np.float32(0.0)
    for i in range(n):
        square += (x[i] - mean) * (x[i] - mean)
    inverse = np.float32(1.0) / np.sqrt(square / np.float32(n) + eps)
    if centred:
        for i in range(n):
            out[i] = (x[i] - mean) * inverse * weight[i] + bias[i]
    else:
        for i in range(n):
            out[i] = x[i] * inverse * weight[i]


# rows of a weight, vectors and accumulators of a sum: as many as the registers hold
_tile_1 = make_tile(1, 1, 4)
_tile_2 = make_tile(2, 2, 2)
_tile_4 = make_tile(2, 4, 1)
_tile_8 = make_tile(2 if WIDE else 1, 8, 1)
_ROWS_8 = 2 if WIDE else 1


@njit(**PART)
def _keep(sums, y, n, many, b, group, more):
    """Put a tile's sums in their places, or add them to what is there."""
    for i in range(many):
        for j in range(group):
            s = sums[i * group + j]
            y[b + j, n + i] = y[b + j, n + i] + s if more else s


@njit(**PART, fastmath=_SUMS)
def _rest(w, x, y, rows, first, last, k):
    """Add what tiles leave over: inputs from the k-th on."""
    for n in range(first, last):
        for b in range(rows):
            a = np.float32(0.0)
            for i in range(k, w.shape[1]):
                a += np.float32(w[n, i]) * x[b, i]
            y[b, n] = y[b, n] + a if k > 0 else a


@njit(**PART)
def _product(w, x, y, rows, first, last):
    """Products y = x Wᵀ for outputs first … last-1.

    Some inputs at a time, so that those of all vectors stay in the nearest cache.

    Shapes:  w: (N, K).  x: (R, K), y: (R, N), R a multiple of GROUP of which the first `rows` count
    """
    inner, size = w.shape[1], w.itemsize
    stride, length = inner * size, inner * 4
    unroll = 4 if rows == 1 else 2 if rows == 2 else 1
    many = 1 if rows == 1 else _ROWS_8 if rows > 4 else 2
    ahead = max(many, -(-_AHEAD // stride)) * stride
    whole = inner // (LANES * unroll)
    block = max(1, _NEAR // (4 * min(rows, GROUP) * LANES * unroll))
    for done in range(0, whole, block):
        steps, k = min(block, whole - done), done * LANES * unroll
        inputs = x.ctypes.data + 4 * k
        for n in range(first, last, many):
            at = w.ctypes.data + n * stride + k * size
            few = n + many > last  # a single row where two are read: it is read twice, and written once
            step, kept = (0, 1) if few else (stride, many)
            if rows == 1:
                _keep(_tile_1(w, at, step, ahead, inputs, length, steps), y, n, 1, 0, 1, done > 0)
            elif rows == 2:
                _keep(_tile_2(w, at, step, ahead, inputs, length, steps), y, n, kept, 0, 2, done > 0)
            elif rows <= 4:
                _keep(_tile_4(w, at, step, ahead, inputs, length, steps), y, n, kept, 0, 4, done > 0)
            else:
                for b in range(0, rows, 8):
                    sums = _tile_8(w, at, step, ahead, inputs + b * length, length, steps)
                    _keep(sums, y, n, kept, b, 8, done > 0)
    if whole * LANES * unroll < inner:
        _rest(w, x, y, rows, first, last, whole * LANES * unroll)


# the same for whole numbers
_whole_1 = make_whole_tile(1, 1, 4)
_whole_2 = make_whole_tile(2, 2, 2)
_whole_4 = make_whole_tile(_ROWS_8, 4, 1)
_whole_8 = make_whole_tile(_ROWS_8, 8, 1)


@njit(**PART, fastmath=_SUMS)
def _round(x, out):
    """A row in whole numbers from 0 to 255: gives its scale, and what stands for zero; see int8.round_rows.

    The scale of a row that holds infinities or NaNs is NaN.
    """
    low, high = ends(x.ctypes.data, len(x) // LANES)
    for i in range(len(x) // LANES * LANES, len(x)):
        low, high = min(low, x[i]), max(high, x[i])
    scale = max((high - low) / np.float32(255.0), np.float32(1e-30))
    inverse, zero = np.float32(1.0) / scale, np.floor(np.float32(0.5) - low / scale)
    nothing = np.float32(0.0)
    for i in range(len(x)):
        nothing += x[i] * np.float32(0.0)
        whole = np.floor(x[i] * inverse + np.float32(0.5)) + zero
        out[i] = np.uint8(min(max(whole, np.float32(0.0)), np.float32(255.0)))
    return scale + nothing, zero


@njit(**PART)
def _round_rows(x, rows, whole, scales, zeros):
    for b in range(rows):
        scales[b], zero = _round(x[b], whole[b, : x.shape[1]])
        zeros[b] = np.int32(zero)


@njit(**PART)
def _rest_whole(w, x, n, many, b, group, first, totals):
    """Add what whole tiles leave over: inputs from the first-th on."""
    for i in range(many):
        for j in range(group):
            for k in range(first, w.shape[1]):
                totals[i * group + j] += np.int32(w[n + i, k]) * np.int32(x[b + j, k])


@njit(**PART, fastmath={"contract"})
def _keep_whole(totals, scales, zeros, sums, y, n, many, b, group):
    """Put a tile's sums in their places, with the scale and without the zero of their inputs."""
    for i in range(many):
        for j in range(group):
            total = totals[i * group + j] - zeros[b + j] * sums[n + i]
            y[b + j, n + i] = scales[b + j] * np.float32(total)


@njit(**PART)
def _product_whole(w, x, scales, zeros, sums, y, rows, first, last, totals):
    """`_product` in whole numbers, y = s (x - z) Wᵀ, with a scale s and a zero z for every row of inputs.

    Shapes:  w: (N, K) int8.  x: (R, K or more) uint8.  scales: (R,) float32.  zeros: (R,) int32.
             sums: (N,) int32, of the rows of w.  totals: (LANES,) int32 scratch
    """
    inner = w.shape[1]
    unroll = 4 if rows == 1 else 2 if rows == 2 else 1
    many = 1 if rows == 1 else 2 if rows == 2 else _ROWS_8
    group = 1 if rows == 1 else 2 if rows == 2 else 4 if rows <= 4 else 8
    ahead = max(many, -(-_AHEAD // inner)) * inner
    steps = inner // (4 * LANES * unroll)
    left, length, out = steps * 4 * LANES * unroll, x.shape[1], totals.ctypes.data
    n = first
    while n < last:
        at = w.ctypes.data + n * inner
        step, kept = (inner, many) if n + many <= last else (0, 1)
        for b in range(0, rows, 8):
            inputs = x.ctypes.data + b * length
            if rows == 1:
                _whole_1(at, step, ahead, inputs, length, steps, out)
            elif rows == 2:
                _whole_2(at, step, ahead, inputs, length, steps, out)
            elif rows <= 4:
                _whole_4(at, step, ahead, inputs, length, steps, out)
            else:
                _whole_8(at, step, ahead, inputs, length, steps, out)
            if left < inner:
                _rest_whole(w, x, n, kept, b, group, left, totals)
            if group == 8 and kept == 2:  # sizes that the compiler knows
                _keep_whole(totals, scales, zeros, sums, y, n, 2, b, 8)
            else:
                _keep_whole(totals, scales, zeros, sums, y, n, kept, b, group)
        n += kept


@njit(**PART, fastmath={"contract"})
def _add_to(x, y):
    for i in range(len(x)):
        x[i] += y[i]


@njit(**PART, fastmath={"contract"})
def _multiply(x, y):
    for i in range(len(x)):
        x[i] *= y[i]


@njit(**PART)
def _finish(y, scale_at, bias_at, first):
    """Scale and shift a row's products, of outputs `first` and up, where there is something to do it with."""
    last = first + len(y)
    if scale_at != 0:
        _multiply(y, carray(pointer(scale_at, y), (last,))[first:])
    if bias_at != 0:
        _add_to(y, carray(pointer(bias_at, y), (last,))[first:])


@njit(**PART, fastmath=_SUMS)
def _head(x, norm_at, eps, cos, sin, out):
    """A query or key of one head: normalised where it has a norm, turned where there are angles.

    Shapes:  x, out: (D,).  cos, sin: (D,) or (0,)
    """
    n, half = len(x), len(x) // 2
    if norm_at != 0:
        _normalise(x, carray(pointer(norm_at, x), (n,)), x, False, eps, out)
    else:
        for i in range(n):
            out[i] = x[i]
    if len(cos) > 0:
        for i in range(half):
            left, right = out[i], out[i + half]
            out[i] = left * cos[i] + right * sin[i]
            out[i + half] = right * cos[i + half] + left * sin[i + half]


@njit(**PART, fastmath=_SUMS)
def _attend(q, keys, values, first, last, scores, out):
    """softmax(q kᵀ / √D) v over slots first … last-1.

    Shapes:  q, out: (D,).  keys, values: (capacity, D).  scores: (capacity,) scratch
    """
    size = len(q)
    scale = np.float32(1.0) / np.sqrt(np.float32(size))
    most = np.float32(-np.inf)
    for t in range(first, last):
        k, s = keys[t], np.float32(0.0)
        for i in range(size):
            s += q[i] * k[i]
        s *= scale
        scores[t] = s
        most = max(most, s)
    total = np.float32(0.0)
    for t in range(first, last):
        e = _exp(scores[t] - most)
        scores[t] = e
        total += e
    for i in range(size):
        out[i] = np.float32(0.0)
    for t in range(first, last):
        v, p = values[t], scores[t]
        for i in range(size):
            out[i] += p * v[i]
    for i in range(size):
        out[i] /= total


@njit(**PART)
def _mix(parts, sizes, eps, qkv, cos, sin, start, b, g, scores, query, mixed):
    """One key-value head of one row: keep its new key and value, and answer the queries that share it."""
    heads, shared, size, capacity, length = sizes[1], sizes[2], sizes[3], sizes[7], sizes[8]
    shape = (qkv.shape[0], shared, capacity, size)  # the cache has as many rows, or fewer than this
    keys = carray(pointer(parts[_KEYS], qkv), shape)[b, g]
    values = carray(pointer(parts[_VALUES], qkv), shape)[b, g]
    at = (heads + g) * size
    angle = min(b, cos.shape[0] - 1)
    _head(qkv[b, at : at + size], parts[_KEY_NORM], eps, cos[angle], sin[angle], keys[length])
    at = (heads + shared + g) * size
    for i in range(size):
        values[length, i] = qkv[b, at + i]
    share = heads // shared
    for h in range(g * share, (g + 1) * share):
        place = slice(h * size, (h + 1) * size)
        _head(qkv[b, place], parts[_QUERY_NORM], eps, cos[angle], sin[angle], query)
        _attend(query, keys, values, start[b], length + 1, scores, mixed[b, place])


@njit(**PART)
def _norm_rows(h, rows, weight_at, bias_at, eps, out):
    width = h.shape[1]
    weight = carray(pointer(weight_at, h), (width,))
    bias = carray(pointer(bias_at, h), (width,))
    for b in range(rows):
        _normalise(h[b], weight, bias, bias_at != 0, eps, out[b])


@njit(**PART)
def _attend_all(parts, sizes, eps, rows, work, scores, query, qkv, mixed, cos, sin, start):
    """Every key-value head of every row, whoever is free taking the next."""
    shared = sizes[2]
    task = count_up(work, 1)
    while task < rows * shared:
        b, g = task // shared, task % shared
        _mix(parts, sizes, eps, qkv, cos, sin, start, b, g, scores, query, mixed)
        task = count_up(work, 1)


@njit(**PART)
def _product_all(
    like, parts, rows, threads, work, x, whole, scales, zeros, totals, y, h, gates, gated, activation
):
    """Linear layer y = scale ⊙ x Wᵀ + bias, for the outputs that this thread comes to.

    A thread takes a few hundred outputs at a time, in whole cache lines, and goes on with them while they are near.

    Args:
        parts: addresses of weight, scale, bias, and sums of the rows of the weight.
        whole: where every thread has x in whole numbers; None: they stay floats.
        h: what y is added to; empty where it is not.
        gates: what act(y) is multiplied with, where `gated`.
        activation: by its place in ACTIVATIONS; -1: none.
    """
    inner, outer = x.shape[1], y.shape[1]
    w = carray(pointer(parts[0], like), (outer, inner))
    if whole is not None:
        _round_rows(x, rows, whole, scales, zeros)
    stretch = outer if threads == 1 else min(512, max(16, -(-outer // (threads * 6)) // 16 * 16))
    first = count_up(work, stretch)
    while first < outer:
        last = min(first + stretch, outer)
        if whole is None:
            _product(w, x, y, rows, first, last)
        else:
            sums = carray(pointer(parts[3], totals), (outer,))
            _product_whole(w, whole, scales, zeros, sums, y, rows, first, last, totals)
        for b in range(rows):
            out = y[b, first:last]
            _finish(out, parts[1], parts[2], first)
            if len(h) > 0:
                _add_to(h[b, first:last], out)
            if activation >= 0:
                _activate(out, activation)
                if gated:
                    _multiply(out, gates[b, first:last])
        first = count_up(work, stretch)


@compiled(nogil=True, error_model="numpy")
def step(
    like, table, sizes, eps, rows, counters, threads, normed, query, scores, whole, scales, zeros, totals, h, qkv,
    mixed, wide, gates, sums, logits, cos, sin, start,
):  # fmt: skip
    """One thread's share of a step: h through all layers, the cache filled, the next token's logits.

    Args:
        like: an empty array of the weights' type.
        table: addresses; see FIELDS.
        sizes: see SIZES.
        counters: address of the shared counters: who met, whether to give up, then one for every piece of work.
        normed, query, scores, scales, zeros, totals: this thread's own scratch.
        whole: the same, where int8 weights are multiplied with whole numbers; None where with floats.
        qkv, mixed, wide, gates, sums: scratch that all share.
        start: each row's first real slot of the cache.
    Shapes:  R rows, a multiple of GROUP.  h, normed, sums: (R, width).  qkv: (R, (heads + 2 shared) · head_size).
             mixed: (R, heads · head_size).  wide, gates: (R, wide).  logits: (R, vocabulary).
             query: (head_size,).  scores: (capacity,).  whole: (R, widest) uint8.  scales, zeros: (R,).
             totals: (LANES,) int32.  cos, sin: (1 or rows, head_size or 0).  start: (rows,)
    """
    layers = table.shape[0] - 1
    nothing = h[:0]
    work = counters + 2 * LINE
    for layer in range(layers + 1):
        parts = table[layer]
        for stage in range(5 if layer < layers else 1):
            place = _PRODUCTS[stage]
            if parts[place] == 0:  # no gate
                continue
            x, y, stream, activation = normed, qkv, nothing, -1
            if stage == 0:
                _norm_rows(h, rows, parts[0], parts[1], eps, normed)
                if layer == layers:
                    y = logits
            elif stage == 1:
                _attend_all(parts, sizes, eps, rows, work, scores, query, qkv, mixed, cos, sin, start)
                if not meet(counters, threads):
                    return
                work += LINE
                x, y, stream = mixed, sums, h
            elif stage == 2:
                _norm_rows(h, rows, parts[_SECOND_NORM], parts[_SECOND_NORM + 1], eps, normed)
                y = gates
            elif stage == 3:
                _norm_rows(h, rows, parts[_SECOND_NORM], parts[_SECOND_NORM + 1], eps, normed)
                y, activation = wide, sizes[5]
            else:
                x, y, stream = wide, sums, h
            gated = parts[_PRODUCTS[2]] != 0
            _product_all(
                like, parts[place : place + 4], rows, threads, work, x, whole, scales, zeros, totals, y, stream, gates,
                gated, activation,
            )  # fmt: skip
            if not meet(counters, threads):
                return
            work += LINE
