"""Freed memory goes back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PIECES = """
import sys
import numpy as np
from polyseme.core.memory import give_back

def resident():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1e3

pieces = [np.ones(8000) for _ in range(5000)]  # 64 kB each
kept = pieces[::500]
del pieces
before = resident()
give_back()
print(before, resident(), sum(float(piece.sum()) for piece in kept))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps it")
def test_what_was_freed_in_pieces_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", PIECES], capture_output=True, text=True, check=True)
    before, after, kept = map(float, done.stdout.split())
    assert before - after > 200
    assert kept == 80_000
