"""Beside other programs on the same cores: how many threads work best just now, and threads that wait asleep.

`Pace`: fewer threads while other programs use the cores, all of them when they are free. Threads that share out a piece
of work wait for the slowest. Where one of them must share its core, all are as slow as it, and fewer threads, each with
a core, are faster. How many cores are free is not known, so it is tried: only while the threads wait for cores (the
kernel counts that) or have become slow, and what is measured decides.

    at n threads:  short of cores?   ── try fewer ──► better: stay, look further │ not: back, the next trial is later
                   less than at most ── try more  ──►   "                        (at once where cores have become idle)

A machine that is free has no trials and so pays nothing.

`Sharing`: threads that wait asleep while other programs use the cores, and awake while nobody else wants them. A thread
of libgomp that has nothing to do looks for work for a while before it sleeps. On a free machine that is right: sleeping
and waking cost a fifth of the speed where pieces of work are short. Beside other programs it is wrong: nobody else can
use the core meanwhile, not even the thread that all wait for. libgomp reads how long to look only when it is loaded
(`cores.SPINS`), but with more of its threads than cores it looks a hundred times at most. So while the cores are short,
one more team of threads is kept, which sleeps; the number of parts a sum is cut into stays, and so do its bits.

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

from polyseme.core.cores import affinity, threads_are_bound

__all__ = ["Pace", "Sharing", "core_seconds", "waited_seconds"]

WINDOW_S, WINDOW_STEPS = 1.0, 2
"""A rate is that of so many seconds and steps, at least: on a busy machine shorter ones are chance."""
WAITING = 0.15
"""Seconds a second that all threads together wait for a core, above which they are short of cores."""
OTHERS = 0.2
"""Cores that other programs use, below which nothing is tried: threads that sleep and wake wait a little anyway."""
IDLE = 0.5
"""Idle cores from which more threads are tried at once."""
SLOW = 0.75
"""Share of the best rate with so many threads below which something is in the way."""
FEWER, MORE = 1.1, 0.97
"""What another number of threads must bring to be kept; in doubt more: a system shares its time out among threads."""
HOLD_S, LONGEST_HOLD_S = 2.0, 20.0
"""Seconds before the next trial: at first, and after trials that brought nothing."""

_TASKS, _STAT = Path("/proc/self/task"), Path("/proc/stat")


class Pace:
    """Chooses the number of threads of work that comes in steps of about one size.

    Args:
        most: threads when all cores are free.
        use: makes the next steps use so many.
        kept: told when another number has proved better.
        clock, waited, cores: seconds; what all threads have waited for cores so far; what the cores have been idle
            and used by others (None where it is not known).
    """

    def __init__(
        self,
        most: int,
        use: Callable[[int], None],
        kept: Callable[[int], None] = lambda threads: None,
        clock: Callable[[], float] = time.perf_counter,
        waited: Callable[[], float | None] | None = None,
        cores: Callable[[], tuple[float, float] | None] | None = None,
    ) -> None:
        self.most, self.threads = most, most
        self._use, self._kept, self._clock = use, kept, clock
        self._waited, self._cores = waited or waited_seconds, cores or core_seconds
        self._idle_in_vain = False  # more threads were tried with cores idle
        self._best: dict[int, float] = {}
        self._trial: tuple[int, float] | None = None  # threads and rate before it
        self._hold = {-1: HOLD_S, 1: HOLD_S}  # of trials with fewer and with more
        self._next = {-1: 0.0, 1: 0.0}  # when
        self._stride = {-1: 1, 1: 1}
        self._open_window(warm=False)

    def start_at(self, threads: int) -> None:
        """Begin with fewer, which were best a moment ago."""
        self._next[1] = self._clock() + HOLD_S
        self._change(threads)

    def step(self, amount: float, seconds: float) -> None:
        """A step is done: so much work in so many seconds."""
        if self.most == 1:
            return
        if self._warm:  # the first step with another number prepares for it
            self._open_window(warm=False)
            return
        self._amount += amount
        self._seconds += seconds
        self._steps += 1
        if self._seconds < WINDOW_S or self._steps < WINDOW_STEPS:
            return
        now = self._clock()
        wall = now - self._began
        if wall > 3 * self._seconds:  # something else came between: waiting says nothing of the steps
            self._open_window(warm=False)
            return
        (waited_before, cores_before), waited, cores = self._before, self._waited(), self._cores()
        waiting, idle, others_work = False, False, True
        if waited_before is not None and waited is not None:
            waiting = (waited - waited_before) / wall > WAITING
        if cores_before is not None and cores is not None:
            idle, others_work = (
                (cores[0] - cores_before[0]) / wall > IDLE,
                (cores[1] - cores_before[1]) / wall > OTHERS,
            )
        self._decide(self._amount / self._seconds, waiting, idle, others_work, now)

    def _decide(self, rate: float, waiting: bool, idle: bool, others_work: bool, now: float) -> None:
        if self._trial is not None:
            self._judge(rate, now)
            return
        best = self._best[self.threads] = max(rate, self._best.get(self.threads, 0.0))
        short = others_work and (waiting or rate < SLOW * best)
        self._idle_in_vain &= idle
        if short and self.threads > 1 and now >= self._next[-1]:
            self._try(-1, rate)
        elif self.threads < self.most and (now >= self._next[1] or (idle and not self._idle_in_vain)):
            self._idle_in_vain = idle
            self._try(1, rate)
        else:
            self._open_window(warm=False)

    def _try(self, way: int, rate: float) -> None:
        self._trial = self.threads, rate
        self._change(min(self.most, max(1, self.threads + way * self._stride[way])))

    def _judge(self, rate: float, now: float) -> None:
        assert self._trial is not None
        (before, rate_before), self._trial = self._trial, None
        way = 1 if self.threads > before else -1
        if rate > rate_before * (FEWER if way < 0 else MORE):
            self._best.setdefault(self.threads, rate)
            self._hold[way], self._next[way], self._next[-way] = HOLD_S, now, now + HOLD_S
            self._stride[-way], self._idle_in_vain = 1, False
            self._kept(self.threads)
            self._open_window(warm=False)
            return
        self._next[way] = now + self._hold[way]
        self._hold[way] = min(LONGEST_HOLD_S, 2 * self._hold[way])
        # a few fewer may bring nothing where many fewer do: one thread without a core is as bad as five
        self._stride[way] = 2 * self._stride[way] if 2 * self._stride[way] < self.most else 1
        self._change(before)

    def _change(self, threads: int) -> None:
        self.threads = threads
        self._use(threads)
        self._open_window(warm=True)

    def _open_window(self, warm: bool) -> None:
        self._warm = warm
        self._amount, self._seconds, self._steps = 0.0, 0.0, 0
        self._began, self._before = self._clock(), (self._waited(), self._cores())

    def close(self) -> None:
        """Back to all threads."""
        if self.threads != self.most:
            self.threads = self.most
            self._use(self.most)


def waited_seconds() -> float | None:
    """What the threads of this process have waited for cores so far, together; None likewise."""
    total, counted = 0, False
    with suppress(OSError):
        for task in _TASKS.iterdir():
            with suppress(OSError, ValueError, IndexError):  # a thread that has just ended
                total += int((task / "schedstat").read_bytes().split()[1])  # ns: running, waiting; turns
                counted = True
    return total / 1e9 if counted else None


def core_seconds() -> tuple[float, float] | None:
    """What the cores of this process have been idle, and what others have used of them; None likewise."""
    if threads_are_bound():  # this thread knows one core only
        return None
    try:
        mine = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        lines = (line.split() for line in _STAT.read_text("ascii").split("\n"))
        # user, nice, system, idle, waiting for disks, two kinds of interrupts, taken by the host
        ticks = [[int(word) for word in line[1:9]] for line in lines if line and line[0] in mine]
        tick = 1 / os.sysconf("SC_CLK_TCK")
        idle = sum(t[3] + t[4] for t in ticks) * tick
        return (idle, sum(map(sum, ticks)) * tick - idle - time.process_time()) if ticks else None
    except (OSError, ValueError, IndexError, AttributeError):
        return None


LOOK_S = 0.25
"""Seconds between two looks at who uses the cores."""
FREE_S = 2.0
"""Seconds that others must have left the cores alone before threads wait awake again."""
TURN_NS = 100_000
"""The length of a turn that our threads ask for, in nanoseconds; the least that Linux gives (since 6.12)."""

_MAPS = Path("/proc/self/maps")
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
            used_by_others, waiting = (cores[1] - cores_before[1]) / wall, (waited - waited_before) / wall
            free = free + wall if used_by_others < OTHERS else 0.0
            if not sleeping and used_by_others > OTHERS and waiting > WAITING:
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
