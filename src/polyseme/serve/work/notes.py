"""Warnings as notes for the caller whose work they come of, whichever thread gives them.

    with taking_notes() as notes:      what is warned of in here, and in threads that were begun with `taken_along`
        work()

What no caller asked for goes where warnings went before.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any, TypeVar

__all__ = ["Notes", "taken_along", "taking_notes"]

Given = TypeVar("Given")


class Notes:
    """What a call warned of.

    Attributes:
        texts: the warnings' words.
        cut: the numbers of texts whose ends were not read.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.cut: list[int] = []

    def take(self, message: Warning | str, category: type[Warning]) -> None:
        """Keep a warning, if it is one of ours."""
        if not issubclass(category, UserWarning):
            return
        if (text := str(message)) not in self.texts:
            self.texts.append(text)
        self.cut += getattr(message, "truncated", ())


_CALLER: ContextVar[Notes | None] = ContextVar("caller", default=None)
_before: Callable[..., Any] = warnings.showwarning


def _show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    caller = _CALLER.get()
    if caller is None:
        _before(message, category, *where, **more)
    else:
        caller.take(message, category)


def _listen() -> None:
    """For good, unlike `warnings.catch_warnings`, which two threads would undo for each other."""
    global _before
    if warnings.showwarning is not _show:
        _before, warnings.showwarning = warnings.showwarning, _show
        warnings.simplefilter("always", UserWarning)


@contextmanager
def taking_notes() -> Iterator[Notes]:
    """Keeps what the calls inside warn of; within another one they are notes of the inner one alone."""
    _listen()
    notes = Notes()
    before = _CALLER.set(notes)
    try:
        yield notes
    finally:
        _CALLER.reset(before)


def taken_along(call: Callable[..., Given], *arguments: Any) -> Callable[[], Given]:
    """A call for another thread, whose warnings are notes of this caller."""
    return partial(copy_context().run, call, *arguments)
