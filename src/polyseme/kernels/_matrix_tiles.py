# mypy: disable-error-code="no-untyped-call"
"""The processor's matrix unit (AMX) for compiled code: eight tiles of 16 rows of 64 bytes, by constant numbers.

    dot   C[16, 16] += A[16, 32] · B[32, 16]   float32 += bfloat16 · bfloat16, B as pairs of rows: (16, 16, 2)

Only where `matrix_unit()` says that there is one and the system lets this process use it.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

import llvmlite.binding
import numba
import torch
from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

__all__ = ["configure", "make_dot", "make_load", "make_store", "make_zero", "matrix_unit", "release"]

_WITH_UNIT = ("", "AMX", "ALL", "DEFAULT", "AVX512_CORE_AMX", "AVX512_CORE_AMX_FP16")
_WORD, _NUMBER, _BYTE = ir.IntType(64), ir.IntType(8), ir.IntType(8).as_pointer()


@lru_cache
def matrix_unit() -> bool:
    """Whether this process has a matrix unit for bfloat16, which it is asked for here, and the compiler knows it."""
    features = llvmlite.binding.get_host_cpu_features()
    known = all(features.get(name, False) for name in ("amx-tile", "amx-bf16", "avx512f"))
    allowed = (
        os.environ.get("ONEDNN_MAX_CPU_ISA", "AMX").upper() in _WITH_UNIT
    )  # what oneDNN is told counts here too
    config: Any = numba.config  # code for another processor than this one knows no such unit
    allowed = allowed and not config.CPU_NAME and not config.CPU_FEATURES
    return known and allowed and torch.cpu._is_amx_tile_supported() and torch.cpu._init_amx()


def _call(b: Any, name: str, *arguments: Any) -> None:
    kind = ir.FunctionType(ir.VoidType(), [a.type for a in arguments])
    b.call(get_or_insert_function(b.module, kind, f"llvm.x86.{name}"), arguments)


def _made(name: str, tiles: tuple[int, ...]) -> Any:
    @intrinsic
    def act(typing_context: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _call(builder, name, *(_NUMBER(tile) for tile in tiles))
            return context.get_dummy_value()

        return types.void(), generate

    return act


def _moved(name: str, tile: int) -> Any:
    @intrinsic
    def act(typing_context: Any, address: Any, stride: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            address, stride = arguments
            _call(builder, name, _NUMBER(tile), builder.inttoptr(address, _BYTE), stride)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    return act


def make_zero(tile: int) -> Any:
    """() makes a tile zero."""
    return _made("tilezero", (tile,))


def make_dot(c: int, a: int, b: int) -> Any:
    """() adds the product of tiles a and b to tile c."""
    return _made("tdpbf16ps", (c, a, b))


def make_load(tile: int) -> Any:
    """(address, bytes from row to row) fills a tile."""
    return _moved("tileloadd64", tile)


def make_store(tile: int) -> Any:
    """(address, bytes from row to row) writes a tile."""
    return _moved("tilestored64", tile)


@intrinsic
def configure(typing_context: Any, address: Any) -> Any:
    """Begin: the address of 64 bytes that say how large each tile is."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _call(builder, "ldtilecfg", builder.inttoptr(arguments[0], _BYTE))
        return context.get_dummy_value()

    return types.void(types.int64), generate


@intrinsic
def release(typing_context: Any) -> Any:
    """End: others find the unit as it is at the start."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _call(builder, "tilerelease")
        return context.get_dummy_value()

    return types.void(), generate
