"""Signals as requests: end (SIGINT, SIGTERM, SIGHUP), or save now and go on (SIGUSR1)."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from polyseme.errors import Interrupted

_NEW_S = 1.0  # after this time a signal is not a repetition of the one before


class SignalRequests:
    """While open, signals are requests, and SIGUSR1 never ends the process.

    A request to end counts once, however often it is sent: schedulers and torchrun send SIGTERM twice. Only Ctrl-C
    counts again: a second SIGINT interrupts at once. SIGHUP that was ignored before, as nohup does, stays ignored.

    Args:
        at_once: a request to end raises KeyboardInterrupt: while there is nothing in memory that is worth saving. One
            that comes a second or more after another is a new one: a library may have swallowed the first.

    Attributes:
        stop: save and end the run.
        save: save and go on; the code that saves resets it.
    """

    def __init__(self, at_once: bool = False) -> None:
        self.stop = False
        self.save = False
        self._at_once = at_once
        self._raised_at = -math.inf
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        handlers = {"SIGINT": self._on_stop, "SIGTERM": self._on_stop, "SIGHUP": self._on_stop}
        handlers["SIGUSR1"] = self._on_save
        for name, handler in handlers.items():
            number = getattr(signal, name, None)
            before = None if number is None else signal.getsignal(number)
            # None: a handler of another language, which Python could not put back
            if number is None or before is None or (name == "SIGHUP" and before == signal.SIG_IGN):
                continue
            self._before[number] = before
            signal.signal(number, handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        again, self.stop = self.stop, True
        now = time.monotonic()
        if (again and number == signal.SIGINT) or (self._at_once and now - self._raised_at >= _NEW_S):
            self._raised_at = now
            raise KeyboardInterrupt

    def _on_save(self, number: int, frame: FrameType | None) -> None:
        self.save = True


@contextmanager
def interruptible(output: Path, fix: str = "the same command with --resume") -> Iterator[SignalRequests]:
    """A signal ends the work inside at once, until `SignalRequests` are opened there.

    Args:
        output: the file or folder that is being made.
        fix: how to go on.
    Raises:  Interrupted: a signal asked to stop, whatever else came of it.
    """
    with SignalRequests(at_once=True) as requests:
        try:
            yield requests
        except BaseException as error:
            # a library may have turned the interruption into an error of its own
            cut_off = isinstance(error, KeyboardInterrupt) or (requests.stop and isinstance(error, Exception))
            if isinstance(error, Interrupted) or not cut_off:
                raise
            raise Interrupted("interrupted; what was saved before is kept", where=output, fix=fix) from None


@contextmanager
def goes_on_by(fix: str, where: Path, kept: str = "what is done is kept") -> Iterator[None]:
    """For commands that train but have no --resume: an interruption says how to go on.

    Args:
        fix: how it goes on.
        where: its folder.
        kept: what happens to the work that is done.
    Raises:  Interrupted: as the work does, in other words.
    """
    try:
        yield
    except Interrupted:
        raise Interrupted(f"interrupted; {kept}", where=where, fix=fix) from None


def check(requests: SignalRequests) -> None:
    """Raises:  KeyboardInterrupt: a request to end was lost in a library that catches everything."""
    if requests.stop:
        raise KeyboardInterrupt
