"""Memory of processes that do many things, one after another."""

from __future__ import annotations

import ctypes
import gc
import sys

__all__ = ["give_back"]


def give_back() -> None:
    """Give memory that is no longer used back to the system.

    glibc keeps what was freed in pieces, and what comes after finds no room between them: a process that adapts one
    model after another grows by gigabytes (docs/LOG.md). Elsewhere it only collects garbage.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
