# mypy: disable-error-code="no-untyped-call"
"""Pieces of attention in the processor's vector registers, written as the compiler's own intermediate code.

    panel       C[r, c] = Σ_k A[r, k] · B[k, c]     for a few rows and one or two vectors of columns
    transpose   a square of LANES × LANES numbers, turned
    …           what is done along a row, a vector at a time: powers and their sum, the largest number, rounding, copies

A panel's sums stay in registers; each number of A serves all columns and each vector of B all rows. The compiler's own
loops for the same arithmetic take twice to four times as long: it takes half of a register at a time.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

from polyseme.kernels._tiles import LANES, WIDE

__all__ = [
    "ROWS",
    "curve_row",
    "fetch_ahead",
    "fetch_row",
    "largest",
    "largest_size",
    "leave_row",
    "make_panel",
    "powers",
    "powers_narrow",
    "round_row",
    "transpose",
    "turn_words",
]

ROWS = (12, 8, 4) if WIDE else (6, 4, 2)
"""Rows of the panels that there are; the first, with two vectors of columns, fills the registers."""

_FUSE = ("contract", "reassoc", "nsz")
_WORD, _BYTE = ir.IntType(64), ir.IntType(8).as_pointer()
_FLOAT, _WHOLE = ir.FloatType(), ir.IntType(32)
_VECTOR, _WHOLES = ir.VectorType(_FLOAT, LANES), ir.VectorType(_WHOLE, LANES)
# 2^r for |r| ≤ ½: Cephes, exp2f, within 1.7e-7
_SERIES = (
    1.535336188319500e-4,
    1.339887440266574e-3,
    9.618437357674640e-3,
    5.550332471162809e-2,
    2.402264791363012e-1,
    6.931472028550421e-1,
    1.0,
)


def _load(b: Any, address: Any, offset: int, kind: Any) -> Any:
    place = b.gep(address, [_WORD(offset)])
    return b.load(b.bitcast(place, kind.as_pointer()), align=4)


def _store(b: Any, value: Any, address: Any, offset: int) -> None:
    place = b.gep(address, [_WORD(offset)])
    b.store(value, b.bitcast(place, value.type.as_pointer()), align=4)


def _spread(b: Any, number: Any) -> Any:
    """One number in all lanes."""
    first = b.insert_element(ir.Constant(_VECTOR, ir.Undefined), number, _WHOLE(0))
    return b.shuffle_vector(
        first, ir.Constant(_VECTOR, ir.Undefined), ir.Constant(_WHOLES, [_WHOLE(0)] * LANES)
    )


def _number(value: float) -> Any:
    return ir.Constant(_VECTOR, [_FLOAT(value)] * LANES)


def _unary(b: Any, name: str, x: Any) -> Any:
    kind = ir.FunctionType(x.type, [x.type])
    return b.call(get_or_insert_function(b.module, kind, f"llvm.{name}.v{LANES}f32"), [x])


def make_panel(rows: int, vectors: int, a_row: int, c_row: int) -> Any:
    """A function for compiled code: (a, b, b_row, steps, c) writes rows × vectors · LANES sums.

    Args:
        rows, vectors: of C.
        a_row, c_row: bytes from row to row of A and of C.
    The function's arguments: the address of A; that of B, and bytes from row to row of it; how many products a sum
    has, one at least; the address of C.
    """

    @intrinsic
    def panel(typing_context: Any, a: Any, b: Any, b_row: Any, steps: Any, c: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _panel(builder, arguments, rows, vectors, a_row, c_row)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 5), generate

    return panel


def _panel(b: Any, arguments: Any, rows: int, vectors: int, a_row: int, c_row: int) -> None:
    a_at, b_at, b_row, steps, c_at = arguments
    a_at, b_at, c_at = (b.inttoptr(address, _BYTE) for address in (a_at, b_at, c_at))
    zero = ir.Constant(_VECTOR, [_FLOAT(0.0)] * LANES)
    before, loop = b.block, b.append_basic_block("panel")
    after = b.append_basic_block("panel.sums")
    b.branch(loop)

    b.position_at_end(loop)
    turn, a, row = b.phi(_WORD), b.phi(_BYTE), b.phi(_BYTE)
    sums = [b.phi(_VECTOR) for _ in range(rows * vectors)]
    columns = [_load(b, row, 4 * LANES * v, _VECTOR) for v in range(vectors)]
    grown = []
    for r in range(rows):
        factor = _spread(b, _load(b, a, r * a_row, _FLOAT))
        for v in range(vectors):
            product = b.fmul(factor, columns[v], flags=_FUSE)
            grown.append(b.fadd(sums[r * vectors + v], product, flags=_FUSE))
    next_turn, next_a, next_row = b.add(turn, _WORD(1)), b.gep(a, [_WORD(4)]), b.gep(row, [b_row])
    for phi, first, following in (
        (turn, _WORD(0), next_turn),
        (a, a_at, next_a),
        (row, b_at, next_row),
        *((s, zero, g) for s, g in zip(sums, grown, strict=True)),
    ):
        phi.add_incoming(first, before)
        phi.add_incoming(following, loop)
    b.cbranch(b.icmp_signed("<", next_turn, steps), loop, after)

    b.position_at_end(after)
    for r in range(rows):
        for v in range(vectors):
            _store(b, grown[r * vectors + v], c_at, r * c_row + 4 * LANES * v)


def _turned(b: Any, rows: list[Any]) -> list[Any]:
    """Rows of LANES numbers as columns: neighbouring squares of 1, 2, 4 … numbers change places."""
    step = 1
    while step < LANES:
        for i in range(LANES):
            if not i & step:
                one, other = rows[i], rows[i + step]
                for place, offset in ((i, 0), (i + step, step)):
                    lanes = [
                        lane + offset if not lane & step else LANES + lane - step + offset
                        for lane in range(LANES)
                    ]
                    mask = ir.Constant(_WHOLES, [_WHOLE(lane) for lane in lanes])
                    rows[place] = b.shuffle_vector(one, other, mask)
        step *= 2
    return rows


def _make_transpose(scaled: bool) -> Any:
    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        source, source_row, target, target_row = arguments[:4]
        rows = []
        for i in range(LANES):
            row = _load(b, b.inttoptr(b.add(source, b.mul(source_row, _WORD(i))), _BYTE), 0, _VECTOR)
            rows.append(b.fmul(row, _spread(b, arguments[4])) if scaled else row)
        for i, row in enumerate(_turned(b, rows)):
            _store(b, row, b.inttoptr(b.add(target, b.mul(target_row, _WORD(i))), _BYTE), 0)
        return context.get_dummy_value()

    return generate


@intrinsic
def transpose(
    typing_context: Any, source: Any, source_row: Any, target: Any, target_row: Any, factor: Any
) -> Any:
    """Write LANES × LANES numbers of float32 turned and multiplied; addresses, and bytes from row to row."""
    return types.void(*[types.int64] * 4, types.float32), _make_transpose(True)


@intrinsic
def turn_words(typing_context: Any, source: Any, source_row: Any, target: Any, target_row: Any) -> Any:
    """`transpose` of any words of 32 bits, as they are."""
    return types.void(*[types.int64] * 4), _make_transpose(False)


def _each(b: Any, steps: Any, body: Any, start: Any = None) -> Any:
    """A loop over the vectors of a row; body(number of the first lane, accumulator) -> accumulator."""
    before, loop, after = b.block, b.append_basic_block("each"), b.append_basic_block("each.end")
    b.branch(loop)
    b.position_at_end(loop)
    turn = b.phi(_WORD)
    held = None if start is None else b.phi(_VECTOR)
    result = body(b.mul(turn, _WORD(LANES)), held)
    following = b.add(turn, _WORD(1))
    turn.add_incoming(_WORD(0), before)
    turn.add_incoming(following, loop)
    if held is not None:
        held.add_incoming(start, before)
        held.add_incoming(result, loop)
    b.cbranch(b.icmp_signed("<", following, steps), loop, after)
    b.position_at_end(after)
    return result


def _numbers(b: Any, like: Any, address: Any, first: Any) -> Any:
    """A vector of a row's numbers, as float32."""
    if like == types.float32:
        return _load(b, b.inttoptr(b.add(address, b.shl(first, _WORD(2))), _BYTE), 0, _VECTOR)
    kind = ir.VectorType(ir.IntType(16), LANES)
    place = b.inttoptr(b.add(address, b.shl(first, _WORD(1))), kind.as_pointer())
    bits = b.zext(b.load(place, align=2), _WHOLES)
    return b.bitcast(b.shl(bits, ir.Constant(_WHOLES, [_WHOLE(16)] * LANES)), _VECTOR)


def _narrowed(b: Any, x: Any) -> Any:
    """The bits of the bfloat16 next to each number."""

    def all_of(value: int) -> Any:
        return ir.Constant(_WHOLES, [_WHOLE(value)] * LANES)

    bits = b.bitcast(x, _WHOLES)
    odd = b.and_(b.lshr(bits, all_of(16)), all_of(1))
    bits = b.lshr(b.add(bits, b.add(odd, all_of(0x7FFF))), all_of(16))
    return b.trunc(bits, ir.VectorType(ir.IntType(16), LANES))


@intrinsic
def fetch_row(
    typing_context: Any, like: Any, source: Any, scale: Any, bias: Any, target: Any, steps: Any
) -> Any:
    """Write scale · x + bias of a row's numbers as float32; all but the first are addresses, and how many vectors."""

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        _, source, scale, bias, target, steps = arguments
        scale = _spread(b, scale)

        def body(first: Any, _: Any) -> None:
            x = b.fmul(_numbers(b, like.dtype, source, first), scale, flags=_FUSE)
            x = b.fadd(x, _numbers(b, types.float32, bias, first), flags=_FUSE)
            _store(b, x, b.inttoptr(b.add(target, b.shl(first, _WORD(2))), _BYTE), 0)

        _each(b, steps, body)
        return context.get_dummy_value()

    word = types.int64
    return types.void(like, word, types.float32, word, word, word), generate


@intrinsic
def fetch_ahead(typing_context: Any, address: Any) -> Any:
    """Have a line of memory brought near that is read soon."""

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [_BYTE, _WHOLE, _WHOLE, _WHOLE])
        fetch = b.module.declare_intrinsic("llvm.prefetch", [_BYTE], kind)
        b.call(fetch, [b.inttoptr(arguments[0], _BYTE), _WHOLE(0), _WHOLE(2), _WHOLE(1)])
        return context.get_dummy_value()

    return types.void(types.int64), generate


@intrinsic
def leave_row(typing_context: Any, like: Any, source: Any, factor: Any, target: Any, steps: Any) -> Any:
    """Write factor · x of a row of float32, as numbers like those of an array."""

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        _, source, factor, target, steps = arguments
        factor = _spread(b, factor)

        def body(first: Any, _: Any) -> None:
            x = b.fmul(_numbers(b, types.float32, source, first), factor)
            if like.dtype == types.float32:
                _store(b, x, b.inttoptr(b.add(target, b.shl(first, _WORD(2))), _BYTE), 0)
                return
            kind = ir.VectorType(ir.IntType(16), LANES).as_pointer()
            place = b.inttoptr(b.add(target, b.shl(first, _WORD(1))), kind)
            b.store(_narrowed(b, x), place, align=2)

        _each(b, steps, body)
        return context.get_dummy_value()

    word = types.int64
    return types.void(like, word, types.float32, word, word), generate


def _most(b: Any, most: Any) -> Any:
    kind = ir.FunctionType(_FLOAT, [_VECTOR])
    reduce = get_or_insert_function(b.module, kind, f"llvm.vector.reduce.fmax.v{LANES}f32")
    return b.call(reduce, [most], fastmath=("nnan",))


def _larger(b: Any, x: Any, y: Any) -> Any:
    return b.select(b.fcmp_ordered(">", x, y), x, y)


def _larger_size(b: Any, x: Any, held: Any) -> Any:
    """The larger of numbers without a sign, by their bits: NaN is larger than any number, so none is lost."""
    x, held = b.bitcast(x, _WHOLES), b.bitcast(held, _WHOLES)
    return b.bitcast(b.select(b.icmp_signed(">", x, held), x, held), _VECTOR)


def _most_size(b: Any, most: Any) -> Any:
    kind = ir.FunctionType(_WHOLE, [_WHOLES])
    reduce = get_or_insert_function(b.module, kind, f"llvm.vector.reduce.smax.v{LANES}i32")
    return b.bitcast(b.call(reduce, [b.bitcast(most, _WHOLES)]), _FLOAT)


@intrinsic
def largest_size(typing_context: Any, row: Any, steps: Any) -> Any:
    """The largest |x| of a row of float32; NaN if one of them is."""

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        row, steps = arguments

        def body(first: Any, held: Any) -> Any:
            return _larger_size(b, _unary(b, "fabs", _numbers(b, types.float32, row, first)), held)

        return _most_size(b, _each(b, steps, body, _number(0.0)))

    return types.float32(types.int64, types.int64), generate


@intrinsic
def round_row(typing_context: Any, row: Any, steps: Any, factor: Any, zero: Any, target: Any) -> Any:
    """Write ⌊factor · x + zero⌋ of a row of float32 in bytes; it must be 0 … 255."""

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        row, steps, factor, zero, target = arguments
        factor, zero = _spread(b, factor), _spread(b, zero)
        kind = ir.VectorType(ir.IntType(8), LANES)

        def body(first: Any, _: Any) -> None:
            x = b.fmul(_numbers(b, types.float32, row, first), factor, flags=_FUSE)
            whole = b.fptosi(b.fadd(x, zero, flags=_FUSE), _WHOLES)
            place = b.inttoptr(b.add(target, first), kind.as_pointer())
            b.store(b.trunc(whole, kind), place, align=1)

        _each(b, steps, body)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.float32, types.float32, types.int64), generate


@intrinsic
def curve_row(
    typing_context: Any, row: Any, steps: Any, scale: Any, bias: Any, curve: Any, least: Any, target: Any
) -> Any:
    """Write x Φ(x) + least of a row's x = scale · y + bias, and give the largest, NaN if one is; addresses, as in
    `curve_round`.
    """

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        row, steps, scale, bias, curve, least, target = arguments
        scale, least = _spread(b, scale), _spread(b, least)
        at = b.inttoptr(curve, _BYTE)
        edge, *series = [_spread(b, _load(b, at, 4 * i, _FLOAT)) for i in range(9)]
        under, half = b.fsub(_number(0.0), edge), _number(0.5)

        def body(first: Any, held: Any) -> Any:
            x = b.fmul(_numbers(b, types.float32, row, first), scale, flags=_FUSE)
            x = b.fadd(x, _numbers(b, types.float32, bias, first), flags=_FUSE)
            near = _larger(b, x, under)
            near = b.select(b.fcmp_ordered("<", near, edge), near, edge)
            square = b.fmul(near, near)
            p = series[0]
            for c in series[1:]:
                p = b.fadd(b.fmul(p, square, flags=_FUSE), c, flags=_FUSE)
            p = b.fadd(b.fmul(p, near, flags=_FUSE), half, flags=_FUSE)
            x = b.fadd(b.fmul(x, p, flags=_FUSE), least, flags=_FUSE)
            x = b.select(b.fcmp_ordered("<", x, _number(0.0)), _number(0.0), x)
            _store(b, x, b.inttoptr(b.add(target, b.shl(first, _WORD(2))), _BYTE), 0)
            return _larger_size(b, x, held)

        return _most_size(b, _each(b, steps, body, _number(0.0)))

    word, number = types.int64, types.float32
    return number(word, word, number, word, word, number, word), generate


@intrinsic
def largest(typing_context: Any, row: Any, steps: Any) -> Any:
    """The largest number of a row of float32: (its address, how many vectors it has, one at least)."""

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        row, steps = arguments

        def body(first: Any, held: Any) -> Any:
            return _larger(b, _numbers(b, types.float32, row, first), held)

        return _most(b, _each(b, steps, body, _number(float("-inf"))))

    return types.float32(types.int64, types.int64), generate


def _power(b: Any, x: Any) -> Any:
    """2^x for x ≤ 0; 0 below 2^-127.

    2^x = 2^n 2^r,  n the whole number next to x, and 2^r by its series
    """
    least = _number(-127.0)
    x = b.select(b.fcmp_ordered(">", x, least), x, least)
    n = _unary(b, "rint", x)
    r = b.fsub(x, n)
    power = _number(_SERIES[0])
    for c in _SERIES[1:]:
        power = b.fadd(b.fmul(power, r, flags=_FUSE), _number(c), flags=_FUSE)
    bits = b.add(b.fptosi(n, _WHOLES), ir.Constant(_WHOLES, [_WHOLE(127)] * LANES))
    bits = b.shl(bits, ir.Constant(_WHOLES, [_WHOLE(23)] * LANES))
    return b.fmul(power, b.bitcast(bits, _VECTOR))


def _summed(b: Any, sums: Any) -> Any:
    kind = ir.FunctionType(_FLOAT, [_FLOAT, _VECTOR])
    add_up = get_or_insert_function(b.module, kind, f"llvm.vector.reduce.fadd.v{LANES}f32")
    return b.call(add_up, [_FLOAT(0.0), sums], fastmath=_FUSE)


@intrinsic
def powers(typing_context: Any, row: Any, steps: Any, most: Any) -> Any:
    """Write 2^(s - most) in place of the numbers s of a row, and give their sum."""

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        row, steps, most = arguments
        most = _spread(b, most)

        def body(first: Any, held: Any) -> Any:
            power = _power(b, b.fsub(_numbers(b, types.float32, row, first), most))
            _store(b, power, b.inttoptr(b.add(row, b.shl(first, _WORD(2))), _BYTE), 0)
            return b.fadd(held, power, flags=_FUSE)

        return _summed(b, _each(b, steps, body, _number(0.0)))

    return types.float32(types.int64, types.int64, types.float32), generate


@intrinsic
def powers_narrow(typing_context: Any, row: Any, steps: Any, most: Any, factor: Any, target: Any) -> Any:
    """Write 2^(factor (s - most)) of a row's numbers s elsewhere, as bfloat16, and give their sum."""

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        row, steps, most, factor, target = arguments
        most, factor = _spread(b, most), _spread(b, factor)
        halves = ir.VectorType(ir.IntType(16), LANES)

        def body(first: Any, held: Any) -> Any:
            power = _power(b, b.fmul(b.fsub(_numbers(b, types.float32, row, first), most), factor))
            bits = b.add(b.bitcast(power, _WHOLES), ir.Constant(_WHOLES, [_WHOLE(0x8000)] * LANES))
            bits = b.lshr(bits, ir.Constant(_WHOLES, [_WHOLE(16)] * LANES))
            place = b.inttoptr(b.add(target, b.shl(first, _WORD(1))), halves.as_pointer())
            b.store(b.trunc(bits, halves), place, align=2)
            return b.fadd(held, power, flags=_FUSE)

        return _summed(b, _each(b, steps, body, _number(0.0)))

    return types.float32(types.int64, types.int64, types.float32, types.float32, types.int64), generate
