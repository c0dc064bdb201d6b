# mypy: disable-error-code="attr-defined,call-arg,no-untyped-call,no-untyped-def,unreachable,var-annotated"
"""What compiled code needs and numba has not: arrays at addresses, counters that threads share, a place to meet."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

__all__ = ["LINE", "PART", "as_float", "count_up", "meet", "narrow", "pointer", "wide"]

LINE = 64  # bytes of a cache line: counters that different threads write stand that far apart
_PATIENCE = 4000  # looks at a counter before the thread lets others run: a tenth of a millisecond or two
_POLITE = 20  # times that it only lets others run before it sleeps
_NAP_US = 50
_INTEL = platform.machine() in ("x86_64", "AMD64")
# what `step` is made of is never called from Python, so it needs no way in from there
PART: Any = {"nogil": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_yield_processor = types.ExternalFunction("sched_yield", types.int32())
_sleep = types.ExternalFunction("usleep", types.int32(types.uint32))


@intrinsic
def pointer(typing_context: Any, address: Any, like: Any) -> Any:
    """An address as a pointer to numbers like those of an array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(like.dtype)(types.int64, like), generate


@intrinsic
def count_up(typing_context: Any, address: Any, value: Any) -> Any:
    """Add to a counter that all threads share; gives what it was."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", pointer, arguments[1], "seq_cst")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def _look(typing_context: Any, address: Any) -> Any:
    """The value of a counter that all threads share."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if _INTEL:  # tell the processor that this is a loop which waits
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), [])
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load_atomic(pointer, "seq_cst", 8, typ=ir.IntType(64))

    return types.int64(types.int64), generate


@intrinsic
def as_float(typing_context: Any, bits: Any) -> Any:
    """Bits as the float32 that they are."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic
def wide(typing_context: Any, x: Any) -> Any:
    """A float32 as it is, or the bits of a bfloat16 as float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if x == types.float32:
            return arguments[0]
        bits = builder.shl(builder.zext(arguments[0], ir.IntType(32)), ir.IntType(32)(16))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(x), generate


@intrinsic
def narrow(typing_context: Any, x: Any, like: Any) -> Any:
    """A float32 as it is, or as the bits of the bfloat16 next to it: whichever `like` is."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if like == types.float32:
            return arguments[0]
        number = ir.IntType(32)
        bits = builder.bitcast(arguments[0], number)
        odd = builder.and_(builder.lshr(bits, number(16)), number(1))
        bits = builder.add(bits, builder.add(odd, number(0x7FFF)))
        return builder.trunc(builder.lshr(bits, number(16)), ir.IntType(16))

    return like(types.float32, like), generate


@njit(**PART)
def meet(counters, threads):
    """Wait until all threads are here; False where the step was given up."""
    if threads == 1:
        return True
    goal = (count_up(counters, 1) // threads + 1) * threads
    looks = 0
    while _look(counters) < goal:
        if _look(counters + LINE) != 0:
            return False
        looks += 1
        # whom it waits for has no core now: a thread that goes on looking may be the one that holds it
        if looks > _PATIENCE + _POLITE:
            _sleep(np.uint32(_NAP_US))
        elif looks > _PATIENCE:
            _yield_processor()
    return True
