"""Long work lets others in between its batches.

    with pauses.filled_by(call):     a thread says what is to happen there, such as the server's desk
        embed(model, texts)          … pauses.pause() … between every two batches

What is called stays one call with the bits it has alone. `call` may end it by raising. Where nobody asked for pauses
there are none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["filled_by", "pause"]


class _Here(threading.local):
    """What this thread's pauses are filled with."""

    call: Callable[[], None] | None = None


_HERE = _Here()


def pause() -> None:
    """Between two batches, when nothing of either is half done."""
    if _HERE.call is not None:
        _HERE.call()


@contextmanager
def filled_by(call: Callable[[], None]) -> Iterator[None]:
    """Within it, every pause of this thread calls `call`."""
    before = _HERE.call
    _HERE.call = call
    try:
        yield
    finally:
        _HERE.call = before
