"""A folder that is complete or absent."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

from polyseme.data.store import sync_folder
from polyseme.errors import RunError, StorageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}
_NO_PLACE = {errno.EEXIST, errno.ENOENT}
"""Something that is no folder stands where one is needed, or the system lets none be made there."""


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its name when the block ends, and vanishes when the block fails.

    What a killed process left behind is removed by the next one on the same machine.

    Raises:  RunError: `folder` exists and is not empty.
             StorageError: the disk is full or refuses to write.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise RunError(
            "the output folder already holds something",
            where=folder,
            fix="name another folder, or delete this one first",
        )
    prefix = f".{folder.name}.partial-{platform.node()}-"
    temporary = folder.parent / f"{prefix}{os.getpid()}"
    known = _FULL | _REFUSED | _NO_PLACE
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for stale in folder.parent.glob(f"{_literal(prefix)}*"):
            if not _is_running(stale.name.removeprefix(prefix)):
                shutil.rmtree(stale, ignore_errors=True)
        temporary.mkdir()
        known = _FULL | _REFUSED
        yield temporary
        temporary.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        ours = error.filename is None or Path(error.filename).is_relative_to(folder.parent)
        if error.errno not in known or not ours:
            raise
        raise _no_space(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _no_space(folder: Path, error: OSError) -> StorageError:
    if error.errno in _NO_PLACE:
        return StorageError(
            "the output folder cannot be made there",
            got=error.strerror,
            where=error.filename or folder,
            fix="another -o, below folders only",
        )
    if error.errno in _REFUSED:
        return StorageError(
            "the disk refuses to write",
            got=error.strerror,
            where=error.filename or folder,
            fix="an output folder that you may write to, with -o",
        )
    near = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    return StorageError(
        "the disk is full",
        got=f"{shutil.disk_usage(near).free / 1e6:,.0f} MB free",
        where=folder,
        fix="free some space (a store needs about as much as its text), or name another disk with -o",
    )


def _literal(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def _is_running(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
