"""How much memory this process has used at most."""

from __future__ import annotations

import sys
from pathlib import Path

import torch


def peak_memory_bytes() -> int:
    """Peak resident memory, or the peak of the GPU's memory where one is used."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return int(torch.cuda.max_memory_allocated())
    status = Path("/proc/self/status")
    if status.is_file():  # Linux; there ru_maxrss of a child begins with its parent's
        for line in status.read_text("utf-8").split("\n"):
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # not a Unix
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
