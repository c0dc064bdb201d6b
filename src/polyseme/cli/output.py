"""Output: results go to stdout, everything about them to stderr.

Under schedulers, daemons and pipes these streams may be closed from the start, or close at any moment.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyseme.core.shell import command, harmless

if TYPE_CHECKING:
    from polyseme.core.result import Result

_quiet = False
_verbose = False


def be_quiet(quiet: bool) -> None:
    """From now on print only results and errors, as `-q` asks."""
    global _quiet  # noqa: PLW0603  # one process, one command
    _quiet = quiet


def is_quiet() -> bool:
    """Whether only results and errors are printed."""
    return _quiet


def be_verbose(verbose: bool) -> None:
    """From now on also print what third parties warn of, as `-v` asks."""
    global _verbose  # noqa: PLW0603  # one process, one command
    _verbose = verbose


def is_verbose() -> bool:
    """Whether what third parties warn of is printed, too."""
    return _verbose


def say(text: str = "", *, always: bool = False) -> None:
    """Print a message that is not a result (stderr), unless `-q` was given.

    Args:
        always: print it even with `-q`: the command was read in another way than it may have been meant.
    """
    if _quiet and not always:
        return
    with contextlib.suppress(OSError):  # the terminal was closed; the work itself is done
        print(text, file=sys.stderr, flush=True)


def emit(text: str) -> None:
    """Print a result (stdout)."""
    print(text)


def hanging(head: str, text: str, indent: int) -> str:
    """A text beside its head, broken where a terminal ends; one line where there is none, as programs want it.

    Example:
        >>> hanging("bert", "an encoder", 6)
        'bert  an encoder'
    """
    from polyseme.report.terminal import NARROWEST, wrap

    room = sys.maxsize
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        room = max(NARROWEST, shutil.get_terminal_size().columns) - indent
    first, *more = wrap(text, room)
    return "\n".join([f"{head:<{indent}}{first}".rstrip(), *(" " * indent + line for line in more)])


def emit_json(document: Any) -> None:
    """Print the one JSON document that `--json` promises (stdout)."""
    from polyseme.core.config import to_json

    sys.stdout.write(to_json(document))


def show(result: Result, output: Path | None = None, lang: str = "en", json: bool = False) -> list[Path]:
    """Print a result, as text or as JSON, write its files, and print its notes.

    Args:
        output: where its files go; None = no files.
        lang: of the page.
    Returns the files.
    """
    from polyseme.report import results

    if json:
        emit_json(result.document())
    else:
        emit(results.text_of(result))
    wrote, notes = results.write(result, output, lang) if output is not None else ([], [])
    if output is None and lang != "en":
        notes = [f"--report-lang {lang} is about the page, and none was written: -o FOLDER writes one"]
    for note in [*result.notes, *notes]:
        say(f"note: {harmless(note)}")
    return wrote


def say_cleaned(counts: Mapping[str, int]) -> None:
    """Report the problems in a file whose lines are read unchanged."""
    counts = dict(counts)
    if inside := counts.pop("cr_inside", 0):
        say(f"note: {inside:,} lone carriage returns stand inside lines: lines end at \\n or \\r\\n alone")
    if counts:
        say("cleaned: " + ", ".join(f"{kind} {number:,}" for kind, number in counts.items()))


def use_command(recipe: Mapping[str, Any], folder: Path) -> str:
    """The command that shows what a run can do."""
    from polyseme.train.card import use_of

    return "polyseme " + use_of(recipe)[1].replace("RUN", command(folder))


def neighbours_command(recipe: Mapping[str, Any], folder: Path) -> list[str]:
    """The command that lists a word's neighbours; none where a run's words have none."""
    from polyseme.train.card import has_neighbours

    return [command("polyseme", "neighbours", folder, "WORD")] if has_neighbours(recipe) else []


def closing(wrote: Sequence[Path | str] = (), then: Sequence[str] = ()) -> None:
    """End a command: print what it wrote and useful next commands (stderr).

    Args:
        wrote: files and folders, the most important first.
        then: commands that can be typed as they stand.
    """
    for label, items in (("wrote", [str(item) for item in wrote]), ("next", list(then))):
        for number, item in enumerate(items):
            say(f"{label + ':' if number == 0 else '':<7}{item}")


def open_closed_streams() -> None:
    """Open the null device in place of closed standard streams (`>&-`).

    Python sets a closed stream to None, on which every print fails. And the next opened file would get the stream's
    number, so that a library's standard output would go into that file.
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
    """Send the remaining output to the null device, once nobody reads it any more.

    Otherwise Python would report the error again when it flushes at exit.
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
    """Whether rich, which prints the help, ended the program because of a closed pipe."""
    return isinstance(stop.__context__, BrokenPipeError)
