# mypy: disable-error-code="attr-defined,call-arg,no-untyped-call,no-untyped-def,unreachable,var-annotated"
"""Attention without gradients, compiled: one head of one text at a time, by one thread.

A few queries at a time: their scores with all keys, the powers of these, and the mix of the values stay in the nearest
cache, and products run in its registers (kernels/_panels.py). Inputs and outputs are float32, or bfloat16 as uint16;
everything between is float32. The plain form is layers/attention.py's `attend`.
"""

from __future__ import annotations

import numpy as np
from numba import carray, njit

from polyseme.core.compiled import compiled
from polyseme.kernels._compiled import PART, narrow, pointer, wide
from polyseme.kernels._panels import ROWS, largest, make_panel, powers, transpose
from polyseme.kernels._tiles import LANES
from polyseme.kernels.attention import MOST_SIZE

_CHUNK = 512  # keys whose scores lie side by side
_BLOCK, _MANY, _SOME = ROWS
_ROW, _S_ROW = MOST_SIZE + 16, _CHUNK + 16  # 16: so that rows do not meet in one set of the cache
_scores_31, _scores_32, _scores_21, _scores_22, _scores_11, _scores_12 = (
    make_panel(rows, vectors, 4 * _ROW, 4 * _S_ROW) for rows in ROWS for vectors in (1, 2)
)
_mixes_31, _mixes_32, _mixes_21, _mixes_22, _mixes_11, _mixes_12 = (
    make_panel(rows, vectors, 4 * _S_ROW, 4 * _ROW) for rows in ROWS for vectors in (1, 2)
)
_LOG2_E = 1.4426950408889634


@njit(**PART)
def _score(rows, vectors, q, keys, keys_row, size, scores):
    """Scores of a few queries with `vectors` vectors of keys; all but numbers are addresses, rows in bytes."""
    for v in range(0, vectors - 1, 2):
        at = 4 * LANES * v
        if rows > _MANY:
            _scores_32(q, keys + at, keys_row, size, scores + at)
        elif rows > _SOME:
            _scores_22(q, keys + at, keys_row, size, scores + at)
        else:
            _scores_12(q, keys + at, keys_row, size, scores + at)
    if vectors % 2:
        at = 4 * LANES * (vectors - 1)
        if rows > _MANY:
            _scores_31(q, keys + at, keys_row, size, scores + at)
        elif rows > _SOME:
            _scores_21(q, keys + at, keys_row, size, scores + at)
        else:
            _scores_11(q, keys + at, keys_row, size, scores + at)


@njit(**PART)
def _mix(rows, vectors, powers, values, values_row, keys, mixed):
    """Sums of values, weighed by the powers of their scores."""
    for v in range(0, vectors - 1, 2):
        at = 4 * LANES * v
        if rows > _MANY:
            _mixes_32(powers, values + at, values_row, keys, mixed + at)
        elif rows > _SOME:
            _mixes_22(powers, values + at, values_row, keys, mixed + at)
        else:
            _mixes_12(powers, values + at, values_row, keys, mixed + at)
    if vectors % 2:
        at = 4 * LANES * (vectors - 1)
        if rows > _MANY:
            _mixes_31(powers, values + at, values_row, keys, mixed + at)
        elif rows > _SOME:
            _mixes_21(powers, values + at, values_row, keys, mixed + at)
        else:
            _mixes_11(powers, values + at, values_row, keys, mixed + at)


@njit(**PART, fastmath={"contract"})
def _fetch(x, scale, bias, out):
    """A row as float32: x, or scale · x + bias where there is a bias."""
    if len(bias) > 0:
        for i in range(len(x)):
            out[i] = wide(x[i]) * scale + bias[i]
    else:
        for i in range(len(x)):
            out[i] = wide(x[i])


@njit(**PART)
def _pack(like, k_at, k_row, v_at, v_row, n, size, scales, k_bias, v_bias, some, keys, values):
    """Keys turned, with 1 / √D and log₂ e in them, and values side by side; zeros behind the last.

    Shapes:  some: (LANES, _ROW) scratch.  keys: (Dp, Kp).  values: (Kp, Dp); Dp and Kp are multiples of LANES
    """
    factor = np.float32(_LOG2_E / np.sqrt(size))
    width, columns = keys.shape
    for j in range(0, columns, LANES):
        for r in range(LANES):
            t = j + r
            if t < n:
                scale = scales[t] if len(scales) > 0 else np.float32(1.0)
                _fetch(carray(pointer(k_at + t * k_row, like), (size,)), scale, k_bias, some[r, :size])
                _fetch(carray(pointer(v_at + t * v_row, like), (size,)), scale, v_bias, values[t, :size])
                for i in range(size, width):
                    values[t, i] = np.float32(0.0)
            else:
                for i in range(size):
                    some[r, i] = np.float32(0.0)
        for d in range(0, width, LANES):
            at = keys.ctypes.data + 4 * (d * columns + j)
            transpose(some.ctypes.data + 4 * d, 4 * _ROW, at, 4 * columns, factor)


@njit(**PART)
def _hide(scores, chunk, row, n, seen, padded, mask_at):
    """Minus infinity in place of the scores of keys that a query does not see: from `seen` on, and by its mask."""
    nothing = np.float32(-np.inf)
    if mask_at != 0:
        mask = carray(pointer(mask_at, np.empty(0, np.uint8)), (n,))
        for t in range(seen):
            if mask[t] == 0:
                scores[t // chunk, row, t % chunk] = nothing
    for t in range(seen, padded):
        scores[t // chunk, row, t % chunk] = nothing


@njit(**PART, fastmath={"contract"})
def _leave(mixed, total, out):
    inverse = np.float32(1.0) / total
    for i in range(len(out)):
        out[i] = narrow(mixed[i] * inverse, out[i])


@njit(**PART)
def _head(like, out_like, q_at, q_row, n_q, n, size, scales, q_bias, causal, mask_at, mask_row,
          keys, values, q, scores, mixed, more, out_at, out_row):  # fmt: skip
    """All queries of a head.

    Shapes:  q, mixed, more: (_BLOCK, _ROW) scratch.  scores: (chunks, _BLOCK, _S_ROW) scratch
    """
    width, columns = keys.shape
    vectors = width // LANES
    for first in range(0, n_q, _BLOCK):
        rows = min(_BLOCK, n_q - first)
        for r in range(rows):
            scale = scales[first + r] if len(scales) > 0 else np.float32(1.0)
            line = carray(pointer(q_at + (first + r) * q_row, like), (size,))
            _fetch(line, scale, q_bias, q[r, :size])
        read = min(n, first + rows) if causal else n
        padded = (read + LANES - 1) // LANES * LANES
        chunks = (padded + _CHUNK - 1) // _CHUNK
        for c in range(chunks):
            some = min(_CHUNK, padded - c * _CHUNK) // LANES
            keys_at = keys.ctypes.data + 4 * c * _CHUNK
            _score(rows, some, q.ctypes.data, keys_at, 4 * columns, size, scores[c].ctypes.data)
        for r in range(rows):
            seen = min(n, first + r + 1) if causal else n
            if seen < padded or mask_at != 0:
                at = 0 if mask_at == 0 else mask_at + (first + r) * mask_row
                _hide(scores, _CHUNK, r, n, seen, padded, at)
            most = np.float32(-np.inf)
            for c in range(chunks):
                some = min(_CHUNK, padded - c * _CHUNK) // LANES
                most = max(most, largest(scores[c, r].ctypes.data, some))
            total = np.float32(0.0)
            for c in range(chunks):
                some = min(_CHUNK, padded - c * _CHUNK) // LANES
                total += powers(scores[c, r].ctypes.data, some, most)
            q[r, 0] = total
        for c in range(chunks):
            some = min(_CHUNK, read - c * _CHUNK)
            target = mixed if c == 0 else more
            values_at = values[c * _CHUNK].ctypes.data
            _mix(rows, vectors, scores[c].ctypes.data, values_at, 4 * width, some, target.ctypes.data)
            if c > 0:
                for r in range(rows):
                    for i in range(size):
                        mixed[r, i] += more[r, i]
        for r in range(rows):
            out = carray(pointer(out_at + (first + r) * out_row, out_like), (size,))
            _leave(mixed[r], q[r, 0], out)


@compiled(nogil=True, error_model="numpy")
def attend_heads(like, shape, q, k, v, out, causal, mask_at, mask_strides):
    """Heads of equally long rows, wherever their numbers lie.

    Args:
        like: an empty array of their type.
        shape: rows, heads of queries, heads of keys, queries, keys, size of a head.
        q, k, v, out: address, and bytes from row to row, from head to head and from token to token.
        causal: whether query i sees keys 0 … i alone.
        mask_at, mask_strides: address of bytes that are 0 where a key is not seen, or 0; bytes from row to row and from
            query to query; keys lie side by side.
    """
    n_rows, heads, shared, n_q, n, size = shape
    width, columns = (size + LANES - 1) // LANES * LANES, (n + LANES - 1) // LANES * LANES
    keys, values = np.empty((width, columns), np.float32), np.empty((columns, width), np.float32)
    some, query = np.zeros((LANES, _ROW), np.float32), np.zeros((_BLOCK, _ROW), np.float32)
    mixed, more = np.empty((_BLOCK, _ROW), np.float32), np.empty((_BLOCK, _ROW), np.float32)
    scores = np.empty(((columns + _CHUNK - 1) // _CHUNK, _BLOCK, _S_ROW), np.float32)
    nothing, share = np.empty(0, np.float32), heads // shared
    for b in range(n_rows):
        mask = 0 if mask_at == 0 else mask_at + b * mask_strides[0]
        for g in range(shared):
            k_at, v_at = k[0] + b * k[1] + g * k[2], v[0] + b * v[1] + g * v[2]
            _pack(like, k_at, k[3], v_at, v[3], n, size, nothing, nothing, nothing, some, keys, values)
            for h in range(g * share, (g + 1) * share):
                q_at, out_at = q[0] + b * q[1] + h * q[2], out[0] + b * out[1] + h * out[2]
                _head(like, like, q_at, q[3], n_q, n, size, nothing, nothing, causal, mask, mask_strides[1],
                      keys, values, query, scores, mixed, more, out_at, out[3])  # fmt: skip


@compiled(nogil=True, error_model="numpy")
def attend_texts(qkv, scales, bias, starts, heads, mixed):
    """Texts that follow one another, from what one product gave: all queries, then all keys, then all values.

    Args:
        scales, bias: what the product of whole numbers still lacks, value = scale of the row · number + bias; empty
            where it lacks nothing.
        starts: where each text begins, and the end of the last.
    Shapes:  qkv: (N, 3 d).  scales: (N,) or (0,).  bias: (3 d,) or (0,).  starts: (texts + 1,).  mixed: (N, d)
    """
    d = mixed.shape[1]
    size, item = d // heads, qkv.itemsize
    width = (size + LANES - 1) // LANES * LANES
    longest = 1
    for e in range(len(starts) - 1):
        longest = max(longest, starts[e + 1] - starts[e])
    most = (longest + LANES - 1) // LANES * LANES
    packed, values = np.empty(width * most, np.float32), np.empty((most, width), np.float32)
    some, query = np.zeros((LANES, _ROW), np.float32), np.zeros((_BLOCK, _ROW), np.float32)
    left, more = np.empty((_BLOCK, _ROW), np.float32), np.empty((_BLOCK, _ROW), np.float32)
    scores = np.empty(((most + _CHUNK - 1) // _CHUNK, _BLOCK, _S_ROW), np.float32)
    stride, out_stride = 3 * d * item, d * mixed.itemsize
    for e in range(len(starts) - 1):
        first, n = starts[e], starts[e + 1] - starts[e]
        if n == 0:
            continue
        columns = (n + LANES - 1) // LANES * LANES
        keys = packed[: width * columns].reshape(width, columns)
        of_text = scales[first : first + n] if len(scales) > 0 else scales
        for h in range(heads):
            at = qkv.ctypes.data + first * stride + h * size * item
            a, b, c = h * size, d + h * size, 2 * d + h * size
            q_bias, k_bias, v_bias = bias[a : a + size], bias[b : b + size], bias[c : c + size]
            _pack(qkv, at + d * item, stride, at + 2 * d * item, stride, n, size, of_text, k_bias, v_bias,
                  some, keys, values)  # fmt: skip
            out_at = mixed.ctypes.data + first * out_stride + h * size * mixed.itemsize
            _head(qkv, mixed, at, stride, n, n, size, of_text, q_bias, False, 0, 0,
                  keys, values, query, scores, left, more, out_at, out_stride)  # fmt: skip
