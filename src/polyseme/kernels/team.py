"""A few threads that run one compiled function together and meet inside it; and such as share nothing but a list.

A function whose threads meet must release the interpreter's lock and must end early when it is told to give up: were
one member missing, the others would wait for it without end.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from functools import lru_cache
from typing import TypeVar

import torch

from polyseme.core.cores import default_threads
from polyseme.core.pauses import checked

T = TypeVar("T")
R = TypeVar("R")

MOST = 16
"""Largest team: a few threads read as fast as the memory gives, and more only wait for each other."""


class Team:
    """Threads that start work side by side.

    Args:
        size: how many, the caller's own among them.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._pool = ThreadPoolExecutor(size - 1, "polyseme-team") if size > 1 else None
        self._lock = threading.Lock()  # two teams at a time would wait for each other

    def run(self, work: Callable[[int], None], give_up: Callable[[], None]) -> None:
        """Call work(0) … work(size - 1), each on a thread of its own, and return when all are through.

        Args:
            give_up: makes all of them return soon; called where one of them cannot start or is interrupted.
        """
        if self._pool is None:
            work(0)
            return
        with self._lock:
            futures: list[Future[None]] = []
            try:
                for member in range(1, self.size):
                    futures.append(self._pool.submit(work, member))
                work(0)
            except BaseException:
                give_up()
                raise
            finally:
                for other in futures:
                    other.result()


@contextmanager
def torch_alone() -> Iterator[None]:
    """Let torch compute on the caller's thread only.

    Its helpers wait for more work for some milliseconds with the processor in their hands, and a team would be without.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def side_by_side(work: Callable[[T], R], items: Sequence[T], threads: int) -> Iterator[R]:
    """work(item) of every item, in their order, several at a time, each on a thread with torch's work on it alone.

    Two threads that each have a batch need not wait for each other, as those that share one do a dozen times a layer.

    Args:
        work: must not depend on the thread: what is set for one alone (inference mode) it sets itself.
    """
    threads = min(threads, len(items), MOST)
    if threads <= 1:
        yield from map(work, items)
        return
    waiting: deque[Future[R]] = deque()
    with torch_alone():
        pool, work = _pool(threads, os.getpid()), checked(work)
        try:
            for item in items:
                waiting.append(pool.submit(copy_context().run, work, item))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            wait(waiting)


@lru_cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads of this process; all have begun, so that what they set at their start is not set later."""
    pool = ThreadPoolExecutor(threads, "polyseme-batch", torch.set_num_threads, (1,))
    begun = threading.Barrier(threads)
    wait([pool.submit(begun.wait) for _ in range(threads)])
    return pool


def usual_team(threads: int | None = None) -> Team:
    """A team of this process: of so many, or as many as torch uses and the process may use cores, at most MOST."""
    if threads is None:
        threads = min(torch.get_num_threads(), default_threads(), MOST)
    return _team(max(1, threads), os.getpid())


@lru_cache
def _team(size: int, process: int) -> Team:
    """A process that was forked has none of its parent's threads and needs a team of its own."""
    return Team(size)
