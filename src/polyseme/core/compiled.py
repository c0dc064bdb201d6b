"""Compiled loops, kept on the disk in a place that is ours to write, or compiled anew in every process.

numba's own cache has two faults that meet in containers and on clusters: where it finds no place that it may write it
refuses to compile at all, and the places that it tries include folders that other people may write. What it keeps is
pickled code, so whoever can write there runs code as us. The places here, the first that serves:

    NUMBA_CACHE_DIR              what the user chose wins
    __pycache__ of the package   as for every compiled Python file
    ~/.cache/polyseme            or $XDG_CACHE_HOME/polyseme: ours, and closed to others' writing
    $TMPDIR/polyseme-UID         or in /tmp, /var/tmp: the same
    none                         compiled anew: some seconds at every start

What is kept counts as long as the source file and those of ours that it imports are the same. By itself numba looks at
the time of the first alone, and code would go on with the constants and helpers of an older version. And it knows a
compiled function inside a closure by a number that is drawn anew in every process, so that what is built on such a
function would be compiled and written at every start.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
from collections.abc import Callable
from functools import lru_cache, partial
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any

__all__ = ["compiled", "compiles"]

_ROOT = Path(__file__).parents[2]
_OURS = re.compile(r"^from (polyseme[.\w]*) import", re.MULTILINE)
_one_at_a_time = Lock()  # numba reads the place from a setting that the whole process shares


def compiled(**options: Any) -> Callable[[Any], Any]:
    """`numba.njit` with a cache wherever one can be had, for functions that are called from Python.

    Args:
        options: those of `numba.njit`, but for `cache`.

    Example:
        >>> @compiled(nogil=True)
        ... def twice(x):
        ...     return 2 * x
        >>> twice(21)
        42
    """

    def decorate(function: Any) -> Any:
        import numba

        dispatcher = numba.njit(**options)(function)
        if not hasattr(dispatcher, "enable_caching"):  # NUMBA_DISABLE_JIT=1: the plain function
            return dispatcher
        with _one_at_a_time:
            config: Any = numba.config  # its names are made when it is loaded
            chosen = config.CACHE_DIR
            place = cache_place(os.path.dirname(function.__code__.co_filename), chosen)
            if place is None:
                return dispatcher
            try:
                config.CACHE_DIR = place
                dispatcher.enable_caching()
                if digest := digest_of_sources(Path(function.__code__.co_filename)):
                    dispatcher._cache._cache_file._source_stamp = digest
                if function.__closure__:
                    dispatcher._cache._index_key = partial(_index_key, function)
                dispatcher._cache = _Forgiving(dispatcher._cache)
            except Exception:  # a place that numba cannot use after all: do without
                return numba.njit(**options)(function)
            finally:
                config.CACHE_DIR = chosen
        return dispatcher

    return decorate


def compiles() -> bool:
    """Whether numba compiles; NUMBA_DISABLE_JIT=1, which debuggers need, leaves plain Python and no `intrinsic`."""
    import numba

    config: Any = numba.config
    return not config.DISABLE_JIT


@lru_cache
def digest_of_sources(source: Path) -> str:
    """A digest of a source file and of all of ours that it imports at its head; "" where it is no file."""
    texts: dict[Path, str] = {}
    waiting = [source]
    while waiting:
        path = waiting.pop()
        if path not in texts and path.is_file():
            texts[path] = path.read_text("utf-8")
            waiting += (
                _ROOT.joinpath(*name.split(".")).with_suffix(".py") for name in _OURS.findall(texts[path])
            )
    return (
        blake2b("".join(texts[path] for path in sorted(texts)).encode(), digest_size=16).hexdigest()
        if texts
        else ""
    )


@lru_cache
def cache_place(package: str, chosen: str = "") -> str | None:
    """The folder for numba's files; "" is the package's own, None that there is no place for them.

    Args:
        package: the folder of the source file.
        chosen: what NUMBA_CACHE_DIR says.
    """
    if chosen and _can_write(chosen):
        return chosen
    if _can_write(os.path.join(package, "__pycache__")):
        return ""
    if not hasattr(os, "geteuid"):
        return None
    home = os.environ.get("HOME", "")
    caches = os.environ.get("XDG_CACHE_HOME") or (home and os.path.join(home, ".cache"))
    places = [os.path.join(caches, "polyseme")] if caches else []
    places += [
        os.path.join(folder, f"polyseme-{os.geteuid()}")
        for folder in (os.environ.get("TMPDIR", ""), "/tmp", "/var/tmp")
        if folder
    ]
    return next((place for place in places if os.path.isabs(place) and _is_ours(place)), None)


def _can_write(folder: str) -> bool:
    try:
        os.makedirs(folder, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return False
    return True


def _is_ours(folder: str) -> bool:
    """Whether nobody else can have written there. The folder is made where it, or it and its parent, are missing."""
    parent = os.path.dirname(folder)
    try:
        for path in (parent, folder):
            if not os.path.isdir(path):
                os.mkdir(path, 0o700)
        status = os.lstat(folder)  # a link could be turned to another folder later
        closed = stat.S_ISDIR(status.st_mode) and not status.st_mode & 0o077
        if not closed or status.st_uid != os.geteuid() or not _can_write(folder):
            return False
        above = os.path.realpath(parent)
        while True:
            status = os.stat(above)
            others_write = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
            if others_write or status.st_uid not in (0, os.geteuid()):
                return False
            if above == (above := os.path.dirname(above)):
                return True
    except (OSError, ValueError):
        return False


def _index_key(function: Any, signature: Any, codegen: Any) -> tuple[Any, ...]:
    """What code of a closure is found by; in place of numba's `Cache._index_key`."""
    from numba.core import serialize

    pickled: Any = serialize  # not typed
    digest = blake2b(pickled.dumps(_contents(function)), digest_size=16)
    return signature, codegen.magic_tuple(), digest.hexdigest()


def _contents(function: Any) -> tuple[Any, ...]:
    """The code of a function and what is in its closure; compiled functions there by their own code and closure."""
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    inside = [_contents(cell.py_func) if hasattr(cell, "py_func") else cell for cell in cells]
    return (function.__code__.co_code, *inside)


class _Forgiving:
    """A cache that a full disk, a damaged file or a lost folder turns into no cache, never into an error."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, *arguments: Any) -> Any:
        try:
            return self._cache.load_overload(*arguments)
        except Exception:  # unpickling a damaged file raises anything; it is compiled again and written over
            with contextlib.suppress(Exception):
                self._cache.flush()
            return None

    def save_overload(self, *arguments: Any) -> None:
        with contextlib.suppress(OSError):
            self._cache.save_overload(*arguments)
