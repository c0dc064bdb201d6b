"""The choice of threads, on machines that are made up: how fast they are depends on the threads and on the hour."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from polyseme.core import sharing
from polyseme.core.sharing import Pace


class Machine:
    """Runs steps of one size; `rate(threads)` is how many a second, `waiting(threads)` seconds waited a second."""

    def __init__(self, most: int, known: bool = True) -> None:
        self.now, self.waited, self.idled, self.threads = 100.0, 0.0, 0.0, most
        self.rate: Callable[[int], float] = float
        self.waiting: Callable[[int], float] = lambda threads: 0.0
        self.idle: Callable[[int], float] = lambda threads: 0.0
        self.others, self.used_by_others = 0.0, 0.0
        self.used: list[int] = []
        self.kept: list[int] = []
        self.pace = Pace(
            most,
            self._use,
            self.kept.append,
            lambda: self.now,
            lambda: self.waited if known else None,
            lambda: (self.idled, self.used_by_others) if known else None,
        )

    def _use(self, threads: int) -> None:
        self.threads = threads
        self.used.append(threads)

    def run(self, seconds: float) -> float:
        """Gives the steps a second."""
        end, begin, steps = self.now + seconds, self.now, 0
        while self.now < end:
            took = 0.1 / self.rate(self.threads)
            self.now += took
            self.waited += took * self.waiting(self.threads)
            self.idled += took * self.idle(self.threads)
            self.used_by_others += took * self.others
            steps += 1
            self.pace.step(1.0, took)
        return 0.1 * steps / (self.now - begin)

    def busy(self, cores: int) -> None:
        """All threads are as slow as the slowest, which shares its core where there are more of them than cores."""
        self.rate = lambda threads: threads if threads <= cores else threads / 3
        self.waiting = lambda threads: max(0.0, 0.5 * (threads - cores))
        self.others = 1.0


def test_a_free_machine_has_no_trials() -> None:
    machine = Machine(8)
    machine.run(100)
    assert machine.used == []


def test_threads_that_wait_where_nobody_else_is_are_left_alone() -> None:
    """Threads that sleep and are woken hundreds of times an update wait a little each time."""
    machine = Machine(2)
    machine.run(5)
    machine.waiting, machine.others = lambda threads: 0.5, 0.1
    machine.run(60)
    machine.rate = lambda threads: 0.5 * threads  # a processor that became hot
    machine.run(60)
    assert machine.used == []


@pytest.mark.parametrize("known", [True, False], ids=["the kernel counts waiting", "it does not"])
def test_fewer_threads_beside_another_program_and_all_of_them_after_it(known: bool) -> None:
    machine = Machine(2, known)
    machine.run(10)
    machine.busy(1)
    assert machine.run(30) > 0.9, "with two threads it would be 0.67"
    assert machine.threads == 1
    machine.busy(2)
    machine.run(sharing.LONGEST_HOLD_S + 2)
    assert machine.threads == 2
    assert machine.run(30) == pytest.approx(2, rel=0.01)
    assert 1 in machine.kept


def test_cores_that_become_idle_are_used_at_once() -> None:
    machine = Machine(2)
    machine.busy(1)
    machine.run(120)  # the trials of more threads have become rare
    assert machine.threads == 1
    machine.busy(2)
    machine.idle = lambda threads: 2.0 - threads
    machine.run(3)
    assert machine.threads == 2


def test_idle_cores_that_do_not_help_are_not_tried_again_and_again() -> None:
    """A quota: the cores are idle, but not for this process."""
    machine = Machine(2)
    machine.busy(1)
    machine.idle = lambda threads: 1.0
    machine.run(60)
    assert machine.run(300) > 0.95


@pytest.mark.parametrize("free", [1, 3, 5, 11, 15])
def test_many_cores(free: int) -> None:
    machine = Machine(16)
    machine.run(5)
    machine.busy(free)
    machine.run(60)
    before = 16 / 3
    assert machine.run(60) > max(0.75 * free, 0.9 * min(before, free))


def test_threads_that_wait_but_are_faster_stay() -> None:
    """Beside several programs two threads get more of the cores than one."""
    machine = Machine(2)
    machine.rate = lambda threads: {1: 0.6, 2: 1.0}[threads]
    machine.waiting, machine.others = lambda threads: 1.0, 1.0
    assert machine.run(300) > 0.97, "what trials cost"
    assert machine.kept == []


def test_a_difference_within_the_noise_changes_nothing() -> None:
    machine = Machine(2)
    machine.rate = lambda threads: {1: 1.05, 2: 1.0}[threads]
    machine.waiting, machine.others = lambda threads: 1.0, 1.0
    machine.run(60)
    assert machine.kept == []


def test_what_comes_between_steps_is_not_theirs() -> None:
    """An evaluation of a minute, with every thread waiting for a core."""
    machine = Machine(2)
    for _ in range(100):
        machine.run(0.3)
        machine.now += 60
        machine.waited += 60
    assert machine.used == []


def test_it_begins_with_what_was_best_a_moment_ago() -> None:
    machine = Machine(2)
    machine.pace.start_at(1)
    assert machine.threads == 1
    machine.run(sharing.HOLD_S + 5)
    assert machine.threads == 2


def test_closing_gives_all_threads_back() -> None:
    machine = Machine(2)
    machine.busy(1)
    machine.run(10)
    assert machine.threads == 1
    machine.pace.close()
    assert machine.threads == 2


def test_one_thread_has_no_choice() -> None:
    machine = Machine(1)
    machine.busy(0)
    machine.run(20)
    assert machine.used == []


def test_waiting_is_counted_where_the_kernel_says() -> None:
    waited = sharing.waited_seconds()
    assert waited is None or waited >= 0


def test_cores_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text(
        "cpu  9 9 9 900 9 0 0 0 0 0\ncpu0 1 0 1 100 5 0 0 0 0 0\ncpu1 100 10 20 300 5 1 2 67 50 0\n"
        "cpu10 700 0 0 500 5 0 0 0 0 0\nintr 7\n"
    )
    for name in ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sharing, "_STAT", stat)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 10}, raising=False)
    monkeypatch.setattr(os, "sysconf", lambda name: 100)
    monkeypatch.setattr(sharing.time, "process_time", lambda: 6.0)
    assert sharing.core_seconds() == pytest.approx((8.1, 3.0))
    monkeypatch.setenv("OMP_PROC_BIND", "true")
    assert sharing.core_seconds() is None


def test_no_proc_no_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sharing, "_TASKS", tmp_path / "none")
    monkeypatch.setattr(sharing, "_STAT", tmp_path / "none")
    assert sharing.waited_seconds() is None
    assert sharing.core_seconds() is None
