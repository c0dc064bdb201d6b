# mypy: disable-error-code="no-untyped-call"
"""Products of a few rows of a matrix with a few vectors, held in the processor's vector registers.

    sums[r, b] = Σ_k W[r, k] · x[b, k]          for R rows and B vectors at once

Written as the compiler's own intermediate code, because the loop that it finds by itself for eight vectors takes three
times as long (docs/LOG.md): every product has an accumulator register of its own, every number of W is loaded once.
Where vectors are floats, whole numbers of W become floats on the way. Where both are whole numbers, the processor's
instruction for that (VNNI: four products of 8 bits added to a sum of 32) does in one what takes three with floats.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
import numba
from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic

_CHOSEN: Any = numba.config  # NUMBA_CPU_NAME, NUMBA_CPU_FEATURES
_HAS = (get_host_cpu_features() if _CHOSEN.CPU_FEATURES is None else _CHOSEN.CPU_FEATURES).split(",")
WIDE = "+avx512f" in _HAS
"""Whether there are 32 registers of 16 floats; else 16 of 8 are reckoned with."""
LANES = 16 if WIDE else 8

_FUSE = ("contract", "reassoc", "nsz")
_DOT = f"llvm.x86.avx512.vpdpbusd.{32 * LANES}"


def _has_dot() -> bool:
    """Whether the processor has that instruction, and the compiler knows it by the form that is used here."""
    vector = f"<{LANES} x i32>"
    try:
        llvmlite.binding.parse_assembly(f"declare {vector} @{_DOT}({vector}, {vector}, {vector})").verify()
    except RuntimeError:
        return False
    return ("+avx512vnni" if WIDE else "+avxvnni") in _HAS


WHOLE = _has_dot()
"""Whether `make_whole_tile` can be used here."""


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
            matrix, inputs = (weights, stride, ahead, rows, size), (x, x_stride, vectors)
            totals = _loop(builder, matrix, inputs, steps, unroll, whole=False)
            kind = ir.FunctionType(ir.FloatType(), [ir.FloatType(), totals[0].type])
            add_up = get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fadd.v{LANES}f32")
            zero = ir.Constant(ir.FloatType(), 0.0)
            sums = [builder.call(add_up, [zero, total], fastmath=_FUSE) for total in totals]
            return context.make_tuple(builder, result, sums)

        return signature, generate

    return tile


def make_whole_tile(rows: int, vectors: int, unroll: int) -> Any:
    """The same for rows of int8 and vectors of uint8: sums of 32 bits, of 4 · LANES · unroll numbers a time.

    The function has two more arguments, which come last: the address to which it writes the sums, row by row, as int32,
    LANES of them, of which those that are not asked for mean nothing. R · B must be a power of two, at most LANES.
    """

    @intrinsic
    def tile(
        typing_context: Any,
        weights: Any,
        stride: Any,
        ahead: Any,
        x: Any,
        x_stride: Any,
        steps: Any,
        out: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            weights, stride, ahead, x, x_stride, steps, out = arguments
            matrix, inputs = (weights, stride, ahead, rows, 4), (x, x_stride, vectors)
            sums = _add_up(builder, _loop(builder, matrix, inputs, steps, unroll, whole=True))
            builder.store(sums, builder.inttoptr(out, sums.type.as_pointer()), align=4)
            return context.get_dummy_value()

        return types.none(*[types.int64] * 7), generate

    return tile


@intrinsic
def ends(typing_context: Any, x: Any, steps: Any) -> Any:
    """The lowest and the highest of LANES · steps float32 at an address, and of zero; numba finds no loop for that."""

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        x, steps = arguments
        word, vector = ir.IntType(64), ir.VectorType(ir.FloatType(), LANES)
        zero, start = ir.Constant(vector, [0.0] * LANES), b.inttoptr(x, vector.as_pointer())
        before, loop, after = b.block, b.append_basic_block("ends"), b.append_basic_block("ends.found")
        b.cbranch(b.icmp_signed(">", steps, word(0)), loop, after)
        b.position_at_end(loop)
        turn, held = b.phi(word), [b.phi(vector), b.phi(vector)]
        some = b.load(b.gep(start, [turn]), align=4)
        found = [b.select(b.fcmp_ordered(o, some, h), some, h) for o, h in zip("<>", held, strict=True)]
        following = b.add(turn, word(1))
        turn.add_incoming(word(0), before)
        turn.add_incoming(following, loop)
        b.cbranch(b.icmp_signed("<", following, steps), loop, after)
        b.position_at_end(after)
        result, kind = [], ir.FunctionType(ir.FloatType(), [vector])
        for name, h, f in zip(("fmin", "fmax"), held, found, strict=True):
            h.add_incoming(zero, before)
            h.add_incoming(f, loop)
            last = b.phi(vector)
            last.add_incoming(zero, before)
            last.add_incoming(f, loop)
            result.append((f"llvm.vector.reduce.{name}.v{LANES}f32", last))
        result = [b.call(get_or_insert_function(b.module, kind, name), [last]) for name, last in result]
        return context.make_tuple(b, signature.return_type, result)

    return types.UniTuple(types.float32, 2)(types.int64, types.int64), generate


def _add_up(b: Any, vectors: list[Any]) -> Any:
    """The sums of the lanes of each vector, side by side: halves are folded onto each other, all at once."""
    index = ir.VectorType(ir.IntType(32), LANES)
    even, odd = (ir.Constant(index, [*range(first, 2 * LANES, 2)]) for first in (0, 1))
    for _ in range(LANES.bit_length() - 1):
        pairs = zip(vectors[::2], vectors[1::2], strict=True) if len(vectors) > 1 else [(vectors[0],) * 2]
        vectors = [b.add(b.shuffle_vector(*pair, even), b.shuffle_vector(*pair, odd)) for pair in pairs]
    return vectors[0]


def _loop(b: Any, matrix: Any, inputs: Any, steps: Any, unroll: int, whole: bool) -> list[Any]:
    """The code of a tile: its sums, row by row, spread over the lanes of a vector each.

    Args:
        matrix: address, bytes from row to row and to what is fetched, rows, bytes that a lane holds.
        inputs: address, bytes from vector to vector, vectors.
    """
    weights, stride, ahead, rows, size = matrix
    x, x_stride, vectors = inputs
    word, byte = ir.IntType(64), ir.IntType(8).as_pointer()
    of = ir.IntType(32) if whole else ir.FloatType()
    vector = ir.VectorType(of, LANES)
    stored = vector if size == 4 else ir.VectorType(ir.IntType(8), LANES)

    def pointers(address: Any, stride: Any, n: int) -> list[Any]:
        return [b.inttoptr(b.add(address, b.mul(stride, word(i))), byte) for i in range(n)]

    def load(pointer: Any, first: Any, kind: Any, size: int) -> Any:
        place = b.gep(pointer, [b.mul(first, word(size))])
        return b.load(b.bitcast(place, kind.as_pointer()), align=1 if whole else size)

    number = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
    fetch = b.module.declare_intrinsic("llvm.prefetch", [byte], kind)

    def dot(total: Any, x: Any, w: Any) -> Any:
        if not whole:
            return b.fadd(total, b.fmul(w, x, flags=_FUSE), flags=_FUSE)
        kind = ir.FunctionType(vector, [vector] * 3)
        return b.call(get_or_insert_function(b.module, kind, _DOT), [total, x, w])

    w_at, x_at = pointers(weights, stride, rows), pointers(x, x_stride, vectors)
    zero, n = ir.Constant(vector, [of(0)] * LANES), rows * vectors * unroll
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
            w, x, place = ws[i // vectors], xs[i % vectors], i * unroll + u
            grown[place] = dot(grown[place], x, w)
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
    wholes = [totals[i * unroll] for i in range(rows * vectors)]
    for u in range(1, unroll):
        for i, total in enumerate(wholes):
            more = totals[i * unroll + u]
            wholes[i] = b.add(total, more) if whole else b.fadd(total, more, flags=_FUSE)
    return wholes
