# mypy: disable-error-code="attr-defined,call-arg,no-untyped-call,no-untyped-def,unreachable,var-annotated"
"""`attend_texts` of attention_kernels for bfloat16 on processors with a matrix unit: both products run on it.

Sixteen queries at a time: scores of 16 keys a tile, powers in bfloat16, sums of values in float32.
"""

from __future__ import annotations

import numpy as np
from numba import carray, njit

from polyseme.core.compiled import compiled
from polyseme.kernels._compiled import PART, pointer
from polyseme.kernels._matrix_tiles import configure, make_dot, make_load, make_store, make_zero, release
from polyseme.kernels._panels import largest, powers_narrow, turn_words
from polyseme.kernels.attention_kernels import leave, near

MOST_SIZE = 128
SIDE = 16

_zero_0, _zero_1, _zero_2, _zero_3 = (make_zero(c) for c in range(4))
_store_0, _store_1, _store_2, _store_3 = (make_store(c) for c in range(4))
_load_a, _load_b = make_load(4), make_load(5)
_dot_0, _dot_1, _dot_2, _dot_3 = (make_dot(c, 4, 5) for c in range(4))
_LOG2_E = 1.4426950408889634


@njit(**PART)
def _products(a_at, a_row, a_step, b_at, b_row, b_step, b_down, depth, blocks, c_at, c_row):
    """C = A B: 16 rows, `blocks` squares of 16 columns, four at a time; all but depth and blocks are bytes.

    Args:
        a_step: to the next 32 columns of A.
        b_step: to the next 16 columns of B.
        b_down: to the next 32 rows of B.
        depth: how many times 32.
    """
    for first in range(0, blocks, 4):
        n = min(4, blocks - first)
        at = b_at + first * b_step
        _zero_0()
        _zero_1()
        _zero_2()
        _zero_3()
        for k in range(depth):
            _load_a(a_at + k * a_step, a_row)
            _load_b(at + k * b_down, b_row)
            _dot_0()
            if n > 1:
                _load_b(at + k * b_down + b_step, b_row)
                _dot_1()
            if n > 2:
                _load_b(at + k * b_down + 2 * b_step, b_row)
                _dot_2()
            if n > 3:
                _load_b(at + k * b_down + 3 * b_step, b_row)
                _dot_3()
        to = c_at + first * 64
        _store_0(to, c_row)
        if n > 1:
            _store_1(to + 64, c_row)
        if n > 2:
            _store_2(to + 128, c_row)
        if n > 3:
            _store_3(to + 192, c_row)


@njit(**PART)
def _pack(like, k_at, v_at, row, n, size, keys, values, line):
    """Keys as tiles of pairs, values as pairs of rows; zeros where there are none.

    Shapes:  keys: (Kp / 16, Dp / 32, 16, 16), the key last, values: (Kp / 2, Dp), both of pairs.  line: (16, Dp / 2)
    """
    blocks, deep = keys.shape[0], keys.shape[1]
    padded = n // SIDE * SIDE
    for block in range(blocks):
        at, step = k_at + block * SIDE * row, row
        if block * SIDE >= padded or size % 32:
            words = line.shape[1]
            for r in range(SIDE):
                t = block * SIDE + r
                for i in range(words):
                    line[r, i] = np.uint32(0)
                if t < n:
                    source = carray(pointer(k_at + t * row, like), (size,))
                    for i in range(size // 2):
                        line[r, i] = np.uint32(source[2 * i]) | (
                            np.uint32(source[2 * i + 1]) << np.uint32(16)
                        )
                    if size % 2:
                        line[r, size // 2] = np.uint32(source[size - 1])
            at, step = line.ctypes.data, 4 * words
        for d in range(deep):
            turn_words(at + 64 * d, step, keys[block, d].ctypes.data, 64)
    width = values.shape[1]
    for pair in range(values.shape[0]):
        to = pointer(values.ctypes.data + 4 * pair * width, values)
        first, second = pointer(v_at + 2 * pair * row, like), pointer(v_at + (2 * pair + 1) * row, like)
        if 2 * pair + 1 < n:
            for i in range(size):
                to[i] = np.uint32(first[i]) | (np.uint32(second[i]) << np.uint32(16))
        else:
            for i in range(size):
                to[i] = np.uint32(first[i]) if 2 * pair < n else np.uint32(0)
        for i in range(size, width):
            to[i] = np.uint32(0)


@compiled(nogil=True, error_model="numpy")
def attend_texts(qkv, starts, heads, mixed):
    """As attention_kernels's.  Shapes: qkv: (N, 3 d) uint16.  starts: (texts + 1,).  mixed: (N, d) uint16 or float32"""
    d = mixed.shape[1]
    size = d // heads
    deep, width = (size + 31) // 32, (size + 15) // 16 * 16
    longest = 1
    for e in range(len(starts) - 1):
        longest = max(longest, starts[e + 1] - starts[e])
    most = (longest + 31) // 32 * 32
    all_keys = np.empty(most * deep * 16, np.uint32)
    all_values = np.empty((most // 2, width), np.uint32)
    line, query = np.zeros((SIDE, deep * 16), np.uint32), np.zeros((SIDE, deep * 32), np.uint16)
    s_row = most + 16
    scores, weights = np.empty((SIDE, s_row), np.float32), np.zeros((SIDE, most + 32), np.uint16)
    left, totals = np.empty((SIDE, width + 16), np.float32), np.empty(SIDE, np.float32)
    scores_at, weights_at, left_at = scores.ctypes.data, weights.ctypes.data, left.ctypes.data
    setting = np.zeros(64, np.uint8)
    setting[0] = 1
    for tile in range(8):
        setting[16 + 2 * tile], setting[48 + tile] = 64, 16
    configure(setting.ctypes.data)
    factor = np.float32(_LOG2_E / np.sqrt(size))
    nothing = np.float32(-np.inf)
    row, out_row = 6 * d, d * mixed.itemsize
    for e in range(len(starts) - 1):
        first, n = starts[e], starts[e + 1] - starts[e]
        if n == 0:
            continue
        blocks, pairs = (n + 15) // 16, (n + 31) // 32 * 16
        padded = pairs * 2
        keys = all_keys[: blocks * deep * 256].reshape(blocks, deep, 16, 16)
        values = all_values[:pairs]
        for h in range(heads):
            q_at = qkv.ctypes.data + first * row + h * size * 2
            _pack(qkv, q_at + 2 * d, q_at + 4 * d, row, n, size, keys, values, line)
            for start in range(0, n, SIDE):
                rows = min(SIDE, n - start)
                if h + 1 < heads:
                    near(q_at + start * row + 2 * size, row, rows, 2 * size)
                a_at, a_row = q_at + start * row, row
                if rows < SIDE or size % 32:
                    for r in range(rows):
                        query[r, :size] = carray(pointer(a_at + r * row, qkv), (size,))
                    a_at, a_row = query.ctypes.data, 64 * deep
                _products(a_at, a_row, 64, keys.ctypes.data, 64, 1024 * deep, 1024, deep, blocks,
                          scores.ctypes.data, 4 * s_row)  # fmt: skip
                for r in range(rows):
                    for t in range(n, padded):
                        scores[r, t] = nothing
                    at = scores_at + 4 * r * s_row
                    most_of = largest(at, padded // 16)
                    totals[r] = powers_narrow(
                        at, padded // 16, most_of, factor, weights_at + 2 * r * (most + 32)
                    )
                _products(weights.ctypes.data, 2 * (most + 32), 64, values.ctypes.data, 4 * width, 64, 64 * width,
                          padded // 32, width // 16, left.ctypes.data, 4 * (width + 16))  # fmt: skip
                for r in range(rows):
                    out_at = mixed.ctypes.data + (first + start + r) * out_row + h * size * mixed.itemsize
                    leave(mixed, left_at + 4 * r * (width + 16), totals[r], out_at, size)
    release()
