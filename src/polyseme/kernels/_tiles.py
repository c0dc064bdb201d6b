# mypy: disable-error-code="no-untyped-call"
"""Products of a few rows of a matrix with a few vectors, held in the processor's vector registers.

    sums[r, b] = Σ_k W[r, k] · x[b, k]          for R rows and B vectors at once

Written as the compiler's own intermediate code, because the loop that it finds by itself for eight vectors takes three
times as long (docs/LOG.md): every product has an accumulator register of its own, every number of W is loaded once, and
whole numbers become floating-point ones on the way.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

WIDE = bool(llvmlite.binding.get_host_cpu_features().get("avx512f", False))
"""Whether there are 32 registers of 16 floats; else 16 of 8 are reckoned with."""
LANES = 16 if WIDE else 8

_FUSE = ("contract", "reassoc", "nsz")


def make_tile(rows: int, vectors: int, unroll: int) -> Any:
    """A function for compiled code: (like, weights, stride, ahead, x, x_stride, steps) -> rows × vectors sums.

    Args:
        rows, vectors: R and B.
        unroll: accumulators per sum, so that additions need not wait for each other.
    The function's arguments: an array of the weights' type, float32 or int8; the address of the first row; bytes from
    row to row, and from what is read to what will be read soon, so that it can be fetched meanwhile; the address of the
    first vector of float32; bytes from vector to vector; how many times LANES · unroll numbers are to be summed.
    """

    @intrinsic
    def tile(
        typing_context: Any,
        like: Any,
        weights: Any,
        stride: Any,
        ahead: Any,
        x: Any,
        x_stride: Any,
        steps: Any,
    ) -> Any:
        size = like.dtype.bitwidth // 8
        result = types.UniTuple(types.float32, rows * vectors)
        signature = result(like, *[types.int64] * 6)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _, weights, stride, ahead, x, x_stride, steps = arguments
            sums = _loop(builder, (weights, stride, ahead, rows, size), (x, x_stride, vectors), steps, unroll)
            return context.make_tuple(builder, result, sums)

        return signature, generate

    return tile


def _loop(b: Any, matrix: Any, inputs: Any, steps: Any, unroll: int) -> list[Any]:
    """The code of a tile: its sums, row by row."""
    weights, stride, ahead, rows, size = matrix
    x, x_stride, vectors = inputs
    word, byte, vector = ir.IntType(64), ir.IntType(8).as_pointer(), ir.VectorType(ir.FloatType(), LANES)
    stored = vector if size == 4 else ir.VectorType(ir.IntType(8), LANES)

    def pointers(address: Any, stride: Any, n: int) -> list[Any]:
        return [b.inttoptr(b.add(address, b.mul(stride, word(i))), byte) for i in range(n)]

    def load(pointer: Any, first: Any, kind: Any, size: int) -> Any:
        place = b.gep(pointer, [b.mul(first, word(size))])
        return b.load(b.bitcast(place, kind.as_pointer()), align=size)

    number = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
    fetch = b.module.declare_intrinsic("llvm.prefetch", [byte], kind)
    w_at, x_at = pointers(weights, stride, rows), pointers(x, x_stride, vectors)
    zero, n = ir.Constant(vector, [0.0] * LANES), rows * vectors * unroll
    before, loop, after = b.block, b.append_basic_block("tile"), b.append_basic_block("tile.sums")
    b.cbranch(b.icmp_signed(">", steps, word(0)), loop, after)

    b.position_at_end(loop)
    turn = b.phi(word)
    turn.add_incoming(word(0), before)
    accumulators = [b.phi(vector) for _ in range(n)]
    grown: list[Any] = list(accumulators)
    for u in range(unroll):
        first = b.mul(b.add(b.mul(turn, word(unroll)), word(u)), word(LANES))
        ws = [load(pointer, first, stored, size) for pointer in w_at]
        for pointer in w_at if vectors > 1 else ():
            place = b.gep(pointer, [b.add(b.mul(first, word(size)), ahead)])
            b.call(fetch, [place, number(0), number(3), number(1)])  # for reading, to keep, data
        if size == 1:
            ws = [b.sitofp(b.sext(w, ir.VectorType(ir.IntType(32), LANES)), vector) for w in ws]
        xs = [load(pointer, first, vector, 4) for pointer in x_at]
        for i in range(rows * vectors):
            product = b.fmul(ws[i // vectors], xs[i % vectors], flags=_FUSE)
            place = i * unroll + u
            grown[place] = b.fadd(grown[place], product, flags=_FUSE)
    following = b.add(turn, word(1))
    turn.add_incoming(following, loop)
    b.cbranch(b.icmp_signed("<", following, steps), loop, after)
    for accumulator, more in zip(accumulators, grown, strict=True):
        accumulator.add_incoming(zero, before)
        accumulator.add_incoming(more, loop)

    b.position_at_end(after)
    totals = [b.phi(vector) for _ in range(n)]
    for total, more in zip(totals, grown, strict=True):
        total.add_incoming(zero, before)
        total.add_incoming(more, loop)
    summing = ir.FunctionType(ir.FloatType(), [ir.FloatType(), vector])
    add_up = get_or_insert_function(b.module, summing, f"llvm.vector.reduce.fadd.v{LANES}f32")
    sums = []
    for i in range(rows * vectors):
        whole = totals[i * unroll]
        for u in range(1, unroll):
            whole = b.fadd(whole, totals[i * unroll + u], flags=_FUSE)
        sums.append(b.call(add_up, [ir.Constant(ir.FloatType(), 0.0), whole], fastmath=_FUSE))
    return sums
