"""Long work lets others in between its batches.

    with pauses.filled_by(call, check):     a thread says what is to happen there, such as the server's desk
        embed(model, texts)                 … pauses.pause() … between every two batches: call()
                                            … pauses.check() … between two products of a batch: check()

What is called stays one call with the bits it has alone. Both may end it by raising; `check` may do nothing else, as a
batch is half done there. Where nobody asked for pauses there are none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["check", "checked", "filled_by", "pause"]

Given = TypeVar("Given")
Result = TypeVar("Result")


class _Here(threading.local):
    """What this thread's pauses are filled with."""

    call: Callable[[], None] | None = None
    check: Callable[[], None] | None = None


_HERE = _Here()


def pause() -> None:
    """Between two batches, when nothing of either is half done."""
    if _HERE.call is not None:
        _HERE.call()


def check() -> None:
    """Within a batch: ends it where nobody waits for it any more."""
    if _HERE.check is not None:
        _HERE.check()


def checked(work: Callable[[Given], Result]) -> Callable[[Given], Result]:
    """`work` for another thread, which is ended there as it would be on this one."""
    here = _HERE.check
    if here is None:
        return work

    def there(given: Given) -> Result:
        with filled_by(None, here):
            return work(given)

    return there


@contextmanager
def filled_by(call: Callable[[], None] | None, check: Callable[[], None] | None = None) -> Iterator[None]:
    """Within it, every pause of this thread calls `call`, and every check `check`."""
    before = _HERE.call, _HERE.check
    _HERE.call, _HERE.check = call, check
    try:
        yield
    finally:
        _HERE.call, _HERE.check = before
