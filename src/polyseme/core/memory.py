"""Memory of processes that do many things, one after another."""

from __future__ import annotations

import ctypes
import gc
import os
import sys

__all__ = ["few_arenas", "give_back", "keep_freed", "trim"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # names of glibc's malloc.h
_LARGEST_THRESHOLD = 32 << 20  # that glibc accepts
_KEPT = 2 << 30


def keep_freed() -> None:
    """Let the process keep what it frees, for what it needs next; `give_back` gives it back.

    glibc asks the system for every large tensor anew and returns it at once, and the system fills each page with zeros:
    a fifth of a training step (docs/LOG.md). Elsewhere, and where MALLOC_… variables say otherwise, nothing is done.
    """
    chosen = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
    if sys.platform == "linux" and not any(name in os.environ for name in chosen):
        option = getattr(ctypes.CDLL(None), "mallopt", None)
        if option is not None:  # musl has it and does nothing
            option(_MMAP_THRESHOLD, _LARGEST_THRESHOLD)
            option(_TRIM_THRESHOLD, _KEPT - 1)  # an int


def give_back() -> None:
    """Give memory that is no longer used back to the system.

    glibc keeps what was freed in pieces, and what comes after finds no room between them: a process that adapts one
    model after another grows by gigabytes (docs/LOG.md). Elsewhere it only collects garbage.
    """
    gc.collect()
    trim()


def trim() -> None:
    """`give_back` without looking for garbage, which takes longer."""
    if sys.platform == "linux":
        glibc = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if glibc is not None:
            glibc(0)


def few_arenas(most: int = 2) -> None:
    """Let threads that are begun later share so many places of the allocator, each of which keeps what was freed in it.

    glibc has eight for every core. Elsewhere, and where MALLOC_ARENA_MAX or GLIBC_TUNABLES say otherwise, nothing is
    done.
    """
    if sys.platform == "linux" and not {"MALLOC_ARENA_MAX", "GLIBC_TUNABLES"} & os.environ.keys():
        option = getattr(ctypes.CDLL(None), "mallopt", None)
        if option is not None:
            option(_ARENA_MAX, most)
