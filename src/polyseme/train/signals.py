"""Signals as requests: stop after the current update (SIGINT, SIGTERM), or save now and go on (SIGUSR1)."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class SignalRequests:
    """While open, signals set flags instead of interrupting; a second SIGINT or SIGTERM interrupts at once.

    Attributes:
        stop: save and end the run.
        save: save and go on; whoever does so sets it back.
    """

    def __init__(self) -> None:
        self.stop = False
        self.save = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            wanted = {signal.SIGINT: self._on_stop, signal.SIGTERM: self._on_stop}
            if hasattr(signal, "SIGUSR1"):
                wanted[signal.SIGUSR1] = self._on_save
            self._before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        if self.stop:
            raise KeyboardInterrupt
        self.stop = True

    def _on_save(self, number: int, frame: FrameType | None) -> None:
        self.save = True
