"""Threads that wait asleep while other programs use the cores, and awake while nobody else wants them.

A thread of libgomp that has nothing to do looks for work for a while before it sleeps. On a free machine that is right:
sleeping and waking cost a fifth of the speed where pieces of work are short. Beside other programs it is wrong: nobody
else can use the core meanwhile, not even the thread that all wait for. libgomp reads how long to look only when it is
loaded (`cores.SPINS`), but with more of its threads than cores it looks a hundred times at most. So while the cores are
short, one more team of threads is kept, which sleeps; the number of parts a sum is cut into stays, and so do its bits.

Our threads ask for short turns in that time, too: one that wakes does not wait for the end of another program's turn.
The share of a core that each program gets is the same.
"""

from __future__ import annotations

import ctypes
import os
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from polyseme.core.cores import affinity
from polyseme.core.pace import OTHERS, WAITING, core_seconds, waited_seconds

__all__ = ["Sharing"]

LOOK_S = 0.25
"""Seconds between two looks at who uses the cores."""
FREE_S = 2.0
"""Seconds that others must have left the cores alone before threads wait awake again."""
TURN_NS = 100_000
"""The length of a turn that our threads ask for, in nanoseconds; the least that Linux gives (since 6.12)."""

_TASKS, _MAPS = Path("/proc/self/task"), Path("/proc/self/maps")
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
_ORDINARY = (os.SCHED_OTHER, os.SCHED_BATCH) if hasattr(os, "SCHED_OTHER") else ()


class Sharing:
    """A context in which this process's threads sleep sooner while it is short of cores.

    Where the system is not Linux, or torch's threads are not libgomp's, it does nothing.

    Args:
        sleepy: told True when threads are to sleep at once, False when they may wait awake.
        waited, cores: as those of `Pace`.
    """

    def __init__(
        self,
        sleepy: Callable[[bool], None] | None = None,
        waited: Callable[[], float | None] = waited_seconds,
        cores: Callable[[], tuple[float, float] | None] = core_seconds,
        look_s: float = LOOK_S,
        free_s: float = FREE_S,
    ) -> None:
        self._sleepy = sleepy or _Sleep()
        self._waited, self._cores, self._look_s, self._free_s = waited, cores, look_s, free_s
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Sharing:
        if self._waited() is not None and self._cores() is not None:
            self._thread = threading.Thread(target=self._watch, name="polyseme-sharing", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._end.set()
            self._thread.join()

    def _watch(self) -> None:
        sleeping, free = False, 0.0
        before = time.perf_counter(), self._waited(), self._cores()
        while not self._end.wait(self._look_s):
            now = time.perf_counter(), self._waited(), self._cores()
            (then, waited_before, cores_before), (at, waited, cores) = before, now
            before = now
            if waited_before is None or cores_before is None or waited is None or cores is None:
                continue
            wall = at - then
            others, waiting = (cores[1] - cores_before[1]) / wall, (waited - waited_before) / wall
            free = free + wall if others < OTHERS else 0.0
            if not sleeping and others > OTHERS and waiting > WAITING:
                sleeping = True
                self._sleepy(True)
            elif sleeping and free >= self._free_s:
                sleeping = False
                self._sleepy(False)
        if sleeping:
            self._sleepy(False)


class _Sleep:
    """Makes libgomp's threads of this process sleep at once when they have nothing to do."""

    def __init__(self) -> None:
        self._awake: threading.Event | None = None

    def __call__(self, sleepy: bool) -> None:
        _ask_for_turns(TURN_NS if sleepy else 0)
        if not sleepy:
            if self._awake is not None:
                self._awake.set()
            self._awake = None
        elif self._awake is None:
            self._awake = threading.Event()
            threading.Thread(target=_keep_team, args=[self._awake], name="polyseme-team", daemon=True).start()


def _keep_team(awake: threading.Event) -> None:
    """A team of more threads than there are cores, asleep until then; it ends with the thread that began it."""
    libgomp = _libgomp()
    if libgomp is None:
        return
    nothing = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p)
    libgomp.GOMP_parallel(nothing, None, affinity() + 1, 0)
    awake.wait()


def _libgomp() -> ctypes.CDLL | None:
    """The one that torch has loaded."""
    with suppress(OSError, AttributeError):
        for line in _MAPS.read_text("utf-8", "surrogateescape").split("\n"):
            path = line.partition("/")[2]
            if path.rpartition("/")[2].startswith("libgomp"):
                library = ctypes.CDLL("/" + path)
                library.GOMP_parallel.argtypes = [
                    ctypes.c_void_p,
                    ctypes.c_void_p,
                    ctypes.c_uint,
                    ctypes.c_uint,
                ]
                library.GOMP_parallel.restype = None
                return library
    return None


def _ask_for_turns(nanoseconds: int) -> None:
    """Ask for turns of that length for every thread; 0 = the system's."""
    number = _SCHED_SETATTR.get(os.uname().machine)
    if number is None:
        return
    syscall = ctypes.CDLL(None).syscall
    for task in _TASKS.iterdir():
        thread = int(task.name)
        with suppress(OSError):  # one that has just ended
            policy, nice = os.sched_getscheduler(thread), os.getpriority(os.PRIO_PROCESS, thread)
            if policy in _ORDINARY:
                # struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period, two clamps
                syscall(
                    number,
                    thread,
                    struct.pack("<IIQiIQQQII", 56, policy, 0, nice, 0, nanoseconds, 0, 0, 0, 0),
                    0,
                )
