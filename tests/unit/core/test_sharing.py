"""Threads sleep sooner while other programs use the cores, and the sums stay the same."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from polyseme.core.sharing import Sharing

LINUX = pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="needs Linux's counters")


class Machine:
    """Counters that go on with the clock: what others use of the cores, and what our threads wait, a second."""

    def __init__(self) -> None:
        self.others, self.waiting = 0.0, 0.0
        self._used, self._waited, self._at = 0.0, 0.0, time.perf_counter()

    def _go_on(self) -> None:
        now = time.perf_counter()
        self._used += self.others * (now - self._at)
        self._waited += self.waiting * (now - self._at)
        self._at = now

    def cores(self) -> tuple[float, float]:
        self._go_on()
        return 0.0, self._used

    def waited(self) -> float:
        self._go_on()
        return self._waited


def _until(told: list[bool], expected: list[bool]) -> None:
    deadline = time.perf_counter() + 20
    while told != expected and time.perf_counter() < deadline:
        time.sleep(0.01)
    assert told == expected


def test_threads_sleep_while_others_use_the_cores_and_only_then() -> None:
    machine, told = Machine(), []
    with Sharing(told.append, machine.waited, machine.cores, look_s=0.02, free_s=0.1):
        time.sleep(0.2)
        assert told == []
        machine.others = 1.0  # they have cores of their own: our threads wait for none
        time.sleep(0.2)
        assert told == []
        machine.waiting = 1.0
        _until(told, [True])
        machine.others = machine.waiting = 0.0
        _until(told, [True, False])
        machine.others = machine.waiting = 1.0
        _until(told, [True, False, True])
    assert told == [True, False, True, False], "at the end they are as they were"
    assert not [t for t in threading.enumerate() if t.name == "polyseme-sharing"]


def test_nothing_is_watched_where_the_system_counts_nothing() -> None:
    told: list[bool] = []
    with Sharing(told.append, lambda: None, lambda: None, look_s=0.01):
        time.sleep(0.05)
        assert not [t for t in threading.enumerate() if t.name == "polyseme-sharing"]
    assert told == []


@LINUX
def test_sleeping_threads_compute_the_same_bits_and_are_left_as_they_were() -> None:
    code = """
import os, time
from pathlib import Path
import polyseme, torch
from polyseme.core.sharing import _Sleep, _libgomp

torch.set_num_threads(2)
a, b = torch.randn(301, 257), torch.randn(257, 403)
def sums():
    return (a @ b).exp().sum().item(), torch.nn.functional.softmax(a @ b, -1).mean().item()
def threads():
    return len(list(Path("/proc/self/task").iterdir()))
first, before = sums(), threads()
sleep = _Sleep()
sleep(True)
time.sleep(0.3)
if _libgomp() is not None:
    assert threads() > before, (threads(), before)
assert sums() == first
sleep(True)
time.sleep(0.1)
sleep(False)
for _ in range(100):
    if threads() == before:
        break
    time.sleep(0.05)
assert threads() == before, (threads(), before)
assert sums() == first
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
