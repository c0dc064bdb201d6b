"""Where words go: results to stdout, everything about them to stderr.

Schedulers, daemons and pipes hand these streams over closed from the start, or close them at any moment.
"""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polyseme.core.result import Result

import os

_quiet = False


def be_quiet(quiet: bool) -> None:
    """Keep back what is not a result or an error, from now on; as `-q` asks."""
    global _quiet  # noqa: PLW0603  # one process, one command
    _quiet = quiet


def is_quiet() -> bool:
    """Whether results and errors alone are wanted."""
    return _quiet


def say(text: str = "", *, always: bool = False) -> None:
    """Tell the person something that is not a result (stderr), unless results alone are wanted.

    Args:
        always: also then: what was typed is read as something else than it may have been meant.
    """
    if _quiet and not always:
        return
    with contextlib.suppress(OSError):  # who watched has closed the terminal; what was done is done
        print(text, file=sys.stderr, flush=True)


def emit(text: str) -> None:
    """Print a result (stdout)."""
    print(text)


def emit_json(document: Any) -> None:
    """Print the one JSON document that `--json` promises (stdout)."""
    from polyseme.core.config import to_json

    sys.stdout.write(to_json(document))


def show(result: Result, output: Path | None = None, lang: str = "en", json: bool = False) -> list[Path]:
    """Print a result, as text or as JSON, write its files, and tell what a person should know of it.

    Args:
        output: where its files go; None = nothing is written.
        lang: of the page.
    Returns the files.
    """
    from polyseme.report import results

    if json:
        emit_json(result.document())
    else:
        emit(results.text_of(result))
    wrote, notes = results.write(result, output, lang) if output is not None else ([], [])
    for note in [*result.notes, *notes]:
        say(f"note: {note}")
    return wrote


def say_cleaned(counts: Mapping[str, int]) -> None:
    """Tell what was found in a file whose lines are taken as they stand."""
    counts = dict(counts)
    if inside := counts.pop("cr_inside", 0):
        say(f"note: {inside:,} lone carriage returns stand inside lines: lines end at \\n or \\r\\n alone")
    if counts:
        say("cleaned: " + ", ".join(f"{kind} {number:,}" for kind, number in counts.items()))


def command(*words: object) -> str:
    """Write a command so that it can be pasted into a shell.

    Example:
        >>> command("polyseme", "fill", "my run", "It is [MASK].")
        "polyseme fill 'my run' 'It is [MASK].'"
    """
    typed = [str(word) for word in words]
    for at, word in enumerate(words):
        if isinstance(word, Path) and typed[at].startswith("-"):
            typed[at] = f"./{word}"  # it would be read as an option
    return shlex.join(typed)


def use_command(recipe: Mapping[str, Any], folder: Path) -> str:
    """Write the command that shows what a run is good for."""
    from polyseme.train.card import use_of

    return "polyseme " + use_of(recipe)[1].replace("RUN", command(folder))


def neighbours_command(recipe: Mapping[str, Any], folder: Path) -> list[str]:
    """Write the command that lists a word's neighbours, or none where a run's words have none."""
    from polyseme.train.card import has_neighbours

    return [command("polyseme", "neighbours", folder, "WORD")] if has_neighbours(recipe) else []


def closing(wrote: Sequence[Path | str] = (), then: Sequence[str] = ()) -> None:
    """End a command: what it wrote and what is useful next (stderr).

    Args:
        wrote: files and folders, the most important first.
        then: commands that can be typed as they stand.
    """
    for label, items in (("wrote", [str(item) for item in wrote]), ("next", list(then))):
        for number, item in enumerate(items):
            say(f"{label + ':' if number == 0 else '':<7}{item}")


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
            with contextlib.suppress(OSError, ValueError, AttributeError):
                os.dup2(null, stream.fileno())
    os.close(null)


def was_broken_pipe(stop: SystemExit) -> bool:
    """Whether rich, which prints the help, ended the program because nobody reads it."""
    return isinstance(stop.__context__, BrokenPipeError)
