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
from polyseme.kernels import MOST_SIZE
from polyseme.kernels._compiled import PART, narrow, pointer, wide
from polyseme.kernels._panels import (
    ROWS,
    fetch_ahead,
    fetch_row,
    largest,
    leave_row,
    make_panel,
    powers,
    transpose,
)
from polyseme.kernels._tiles import LANES

_CHUNK = 512  # keys whose scores lie side by side
_BLOCK, _MANY, _SOME = ROWS
_ROW, _S_ROW = MOST_SIZE + 16, _CHUNK + 16  # 16: so that rows do not meet in one set of the cache
_LOG2_E = 1.4426950408889634
_FLOATS = np.empty(0, np.float32)


def _product(a_row, c_row):
    """A product of a few rows with any number of vectors of columns, by the panels of that many rows.

    Args:
        a_row, c_row: bytes from row to row of A and of C, as in `make_panel`.
    """
    (three_1, three_2), (two_1, two_2), (one_1, one_2) = (
        [make_panel(rows, vectors, a_row, c_row) for vectors in (1, 2)] for rows in ROWS
    )

    @njit(**PART)
    def product(rows, vectors, a, b, b_row, steps, c):
        for v in range(0, vectors - 1, 2):
            at = 4 * LANES * v
            if rows > _MANY:
                three_2(a, b + at, b_row, steps, c + at)
            elif rows > _SOME:
                two_2(a, b + at, b_row, steps, c + at)
            else:
                one_2(a, b + at, b_row, steps, c + at)
        if vectors % 2:
            at = 4 * LANES * (vectors - 1)
            if rows > _MANY:
                three_1(a, b + at, b_row, steps, c + at)
            elif rows > _SOME:
                two_1(a, b + at, b_row, steps, c + at)
            else:
                one_1(a, b + at, b_row, steps, c + at)

    return product


_score = _product(4 * _ROW, 4 * _S_ROW)
"""Scores of a few queries with vectors of keys: q, keys, bytes from row to row of these, size of a head, scores."""
_mix = _product(4 * _S_ROW, 4 * _ROW)
"""Sums of values, weighed by the powers of their scores: powers, values, bytes, keys, sums."""


@njit(**PART, fastmath={"contract"})
def _fetch(like, at, scale, bias, target, size):
    """A row as float32, scale · x + bias; all but numbers and `like` are addresses."""
    if size % LANES == 0:
        fetch_row(like, at, scale, bias, target, size // LANES)
        return
    x, out, more = pointer(at, like), pointer(target, _FLOATS), pointer(bias, _FLOATS)
    for i in range(size):
        out[i] = wide(x[i]) * scale + more[i]


@njit(**PART)
def _pack(like, k_at, k_row, v_at, v_row, n, size, scales, k_bias, v_bias, some, keys, values):
    """Keys turned, with 1 / √D and log₂ e in them, and values side by side; zeros behind the last.

    Shapes:  some: (LANES, _ROW) scratch.  keys: (Dp, Kp).  values: (Kp, Dp); Dp and Kp are multiples of LANES
    """
    factor = np.float32(_LOG2_E / np.sqrt(size))
    width, columns = keys.shape
    some_at, values_at, keys_at = some.ctypes.data, values.ctypes.data, keys.ctypes.data
    whole = size % LANES == 0 and like.itemsize == 4 and len(scales) == 0
    for t in range(n):
        scale = scales[t] if len(scales) > 0 else np.float32(1.0)
        _fetch(like, v_at + t * v_row, scale, v_bias, values_at + 4 * t * width, size)
    for j in range(0, columns, LANES):
        at, row = k_at + j * k_row, k_row
        if not whole or j + LANES > n:
            at, row = some_at, 4 * _ROW
            for r in range(LANES):
                t = j + r
                if t < n:
                    scale = scales[t] if len(scales) > 0 else np.float32(1.0)
                    _fetch(like, k_at + t * k_row, scale, k_bias, some_at + 4 * r * _ROW, size)
                else:
                    for i in range(size):
                        some[r, i] = np.float32(0.0)
        for d in range(0, width, LANES):
            transpose(at + 4 * d, row, keys_at + 4 * (d * columns + j), 4 * columns, factor)


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
def leave(like, mixed_at, total, out_at, size):
    """A row over its total, as numbers like those of `like`."""
    inverse = np.float32(1.0) / total
    if size % LANES == 0:
        leave_row(like, mixed_at, inverse, out_at, size // LANES)
        return
    mixed, out = pointer(mixed_at, _FLOATS), pointer(out_at, like)
    for i in range(size):
        out[i] = narrow(mixed[i] * inverse, out[i])


@njit(**PART)
def near(at, row, n, size):
    """Have the queries, keys and values of some tokens brought near; addresses and bytes."""
    for t in range(n):
        for part in range(3):
            here = at + t * row + part * (row // 3)
            for line in range(0, size, 64):
                fetch_ahead(here + line)


@njit(**PART)
def _head(like, out_like, q_at, q_row, n_q, n, size, scales, q_bias, causal, mask_at, mask_row,
          keys, values, q, scores, mixed, more, totals, out_at, out_row, following):  # fmt: skip
    """All queries of a head.

    Args:
        following: the address of the queries that come next, of as many tokens, or 0; their rows hold keys and values.

    Shapes:  q, mixed, more: (_BLOCK, _ROW) scratch.  scores: (chunks, _BLOCK, _S_ROW).  totals: (_BLOCK,)
    """
    width, columns = keys.shape
    vectors = width // LANES
    q_to, mixed_at, scores_at, chunk = (
        q.ctypes.data,
        mixed.ctypes.data,
        scores.ctypes.data,
        4 * _BLOCK * _S_ROW,
    )
    for first in range(0, n_q, _BLOCK):
        rows = min(_BLOCK, n_q - first)
        if following != 0:
            near(following + first * q_row, q_row, rows, size * like.itemsize)
        for r in range(rows):
            scale = scales[first + r] if len(scales) > 0 else np.float32(1.0)
            _fetch(like, q_at + (first + r) * q_row, scale, q_bias, q_to + 4 * r * _ROW, size)
        read = min(n, first + rows) if causal else n
        padded = (read + LANES - 1) // LANES * LANES
        chunks = (padded + _CHUNK - 1) // _CHUNK
        for c in range(chunks):
            some = min(_CHUNK, padded - c * _CHUNK) // LANES
            keys_at = keys.ctypes.data + 4 * c * _CHUNK
            _score(rows, some, q_to, keys_at, 4 * columns, size, scores_at + c * chunk)
        for r in range(rows):
            seen = min(n, first + r + 1) if causal else n
            if seen < padded or mask_at != 0:
                at = 0 if mask_at == 0 else mask_at + (first + r) * mask_row
                _hide(scores, _CHUNK, r, n, seen, padded, at)
            most = np.float32(-np.inf)
            for c in range(chunks):
                some = min(_CHUNK, padded - c * _CHUNK) // LANES
                most = max(most, largest(scores_at + c * chunk + 4 * r * _S_ROW, some))
            total = np.float32(0.0)
            for c in range(chunks):
                some = min(_CHUNK, padded - c * _CHUNK) // LANES
                total += powers(scores_at + c * chunk + 4 * r * _S_ROW, some, most)
            totals[r] = total
        for c in range(chunks):
            some = min(_CHUNK, read - c * _CHUNK)
            target = mixed_at if c == 0 else more.ctypes.data
            values_at = values.ctypes.data + 4 * c * _CHUNK * width
            _mix(rows, vectors, scores_at + c * chunk, values_at, 4 * width, some, target)
            if c > 0:
                for r in range(rows):
                    for i in range(size):
                        mixed[r, i] += more[r, i]
        for r in range(rows):
            at = out_at + (first + r) * out_row
            leave(out_like, mixed_at + 4 * r * _ROW, totals[r], at, size)


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
    totals, share = np.empty(_BLOCK, np.float32), heads // shared
    nothing, zeros = np.empty(0, np.float32), np.zeros(size, np.float32)
    plain = zeros.ctypes.data
    for b in range(n_rows):
        mask = 0 if mask_at == 0 else mask_at + b * mask_strides[0]
        for g in range(shared):
            k_at, v_at = k[0] + b * k[1] + g * k[2], v[0] + b * v[1] + g * v[2]
            _pack(like, k_at, k[3], v_at, v[3], n, size, nothing, plain, plain, some, keys, values)
            for h in range(g * share, (g + 1) * share):
                q_at, out_at = q[0] + b * q[1] + h * q[2], out[0] + b * out[1] + h * out[2]
                _head(like, like, q_at, q[3], n_q, n, size, nothing, plain, causal, mask, mask_strides[1],
                      keys, values, query, scores, mixed, more, totals, out_at, out[3], 0)  # fmt: skip


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
    totals = np.empty(_BLOCK, np.float32)
    if len(bias) == 0:
        bias = np.zeros(3 * d, np.float32)
    stride, out_stride = 3 * d * item, d * mixed.itemsize
    bias_at, base, out_base = bias.ctypes.data, qkv.ctypes.data, mixed.ctypes.data
    for e in range(len(starts) - 1):
        first, n = starts[e], starts[e + 1] - starts[e]
        columns = (n + LANES - 1) // LANES * LANES
        keys = packed[: width * columns].reshape(width, columns)
        of_text = scales[first : first + n] if len(scales) > 0 else scales
        for h in range(heads):
            at, part = base + first * stride + h * size * item, bias_at + 4 * h * size
            following = at + size * item if h + 1 < heads else 0
            _pack(qkv, at + d * item, stride, at + 2 * d * item, stride, n, size, of_text, part + 4 * d, part + 8 * d,
                  some, keys, values)  # fmt: skip
            out_at = out_base + first * out_stride + h * size * mixed.itemsize
            _head(qkv, mixed, at, stride, n, n, size, of_text, part, False, 0, 0,
                  keys, values, query, scores, left, more, totals, out_at, out_stride, following)  # fmt: skip
