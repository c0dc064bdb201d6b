"""Ask the processor for a row of a table before it is needed.

Most of the time of sparse updates goes into waiting for rows that are in no near cache. Which rows come next is known,
so they can be on their way while the ones before are worked on. The instruction is a hint: it changes no result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from polyseme.core.compiled import compiles

_COMPILED = compiles()
_LINE = 16  # float32 of a cache line


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
    """Fetch a row of a contiguous float32 table.  Shapes: table: (rows, width), width a multiple of 16"""
    if not _COMPILED:
        return
    first = np.int64(row) * table.shape[1]
    for offset in range(0, table.shape[1], _LINE):
        _prefetch(table, first + offset)  # type: ignore[call-arg]
