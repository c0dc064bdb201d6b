"""Paths as people write them: strings or Path objects, one or several, with ~ for their own folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from polyseme.errors import InputError

PathLike: TypeAlias = str | Path
Paths: TypeAlias = PathLike | Iterable[PathLike]


def path_of(value: PathLike, name: str = "the path") -> Path:
    """One path; a ~ in front is the home folder, as in a shell.

    Raises:  InputError: it is neither a string nor a Path.

    Example:
        >>> path_of("runs/x").as_posix()
        'runs/x'
    """
    if not isinstance(value, str | os.PathLike):
        raise InputError(f"{name} must be a string or a Path", got=repr(value)[:80])
    path = Path(value)
    return path.expanduser() if path.parts[:1] == ("~",) and not path.exists() else path


def names_of(value: Paths, name: str = "the paths") -> list[str]:
    """Names of files, folders, patterns or built-in texts; one may stand by itself.

    Raises:  InputError: one is neither a string nor a Path.

    Example:
        >>> names_of("python-docs"), names_of([Path("a.txt"), "b.txt"])
        (['python-docs'], ['a.txt', 'b.txt'])
    """
    several = [value] if isinstance(value, str | os.PathLike) or not isinstance(value, Iterable) else value
    # A string that does not begin at home stays as it is: a pattern is no path.
    return [
        source if isinstance(source, str) and not source.startswith("~") else str(path_of(source, name))
        for source in several
    ]
