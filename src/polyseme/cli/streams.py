"""Standard streams as schedulers, daemons and pipes hand them over: closed from the start, or at any moment."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

__all__ = ["discard_output", "open_closed_streams", "was_broken_pipe"]


def open_closed_streams() -> None:
    """Let a standard stream that is closed (`>&-`) be the null device.

    Python has None in its place, on which every print fails, and the next file that is opened would get its number:
    what a library writes to the standard output would go into that file.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
            if null != number:
                os.dup2(null, number)
                os.close(null)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def discard_output() -> None:
    """Send what is still to be written to the null device, where nobody reads our output any more.

    Python would complain again when it flushes at exit.
    """
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError, AttributeError):
                os.dup2(null, stream.fileno())
    os.close(null)


def was_broken_pipe(stop: SystemExit) -> bool:
    """Whether rich, which prints the help, ended the program because nobody reads it."""
    return isinstance(stop.__context__, BrokenPipeError)
