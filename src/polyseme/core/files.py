"""Files that are complete or absent, their hashes and locks, and what to do when the disk refuses.

A file or folder is written beside its place, put on the disk (fsync) and only then given its name: whoever looks, after
a crash at any moment, finds the old one, the new one or none, never a part.
"""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO

from polyseme.errors import RunError, StorageError

COMPRESSED = (".gz", ".zst")

_FULL = "free some space, then the same command again; training goes on with --resume"
_DENIED = "ask for the right to write there, or name another place"
_IN_THE_WAY = "name another place: something of another kind has that name, or that of a folder above it"
_ADVICE = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: "name another disk: this one does not take files of this size",
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EROFS: "name another place: this disk can only be read",
    errno.EISDIR: _IN_THE_WAY,
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EEXIST: _IN_THE_WAY,
    errno.ENOENT: "see whether its folder was moved or removed meanwhile, or name another place",
    errno.ENAMETOOLONG: "name a shorter path",
    errno.EMFILE: "close other files of this program, or raise the limit with `ulimit -n`",
}
_FAILING = "see whether the disk is well, or name another place; training goes on with --resume"


def suffix_of(path: str | os.PathLike[str]) -> str:
    """The suffix that tells what a file holds, in lower case, without .gz or .zst; "" for none.

    Example:
        >>> suffix_of("a/b.TSV.gz"), suffix_of("-")
        ('.tsv', '')
    """
    stem, last = os.path.splitext(os.path.basename(os.fspath(path)).lower())
    return os.path.splitext(stem)[1] if last in COMPRESSED else last


@contextmanager
def saving(where: Path) -> Iterator[None]:
    """Turn the system's refusals to write into our error, with advice that fits the refusal.

    Raises:  StorageError: the disk is full, read-only or failing; what was saved before is untouched.
    """
    try:
        yield
    except OSError as error:
        raise _refused(error, where) from error


def _refused(error: OSError, where: Path) -> StorageError:
    got = error.strerror or str(error)
    fix = _ADVICE.get(error.errno or 0, _FAILING)
    if fix == _FULL:
        near = next((place for place in (where, *where.absolute().parents) if place.is_dir()), None)
        got += f", {shutil.disk_usage(near).free / 1e6:,.0f} MB free" if near else ""
    return StorageError("could not save", got=got, where=where, fix=fix)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are absent.

    Raises:  StorageError: the disk refuses, or something else has that name.
    """
    with saving(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that takes its name when the block ends, in the place of an older one, and vanishes when the block fails.

    Raises:  StorageError: the disk refuses; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}.partial")
    with saving(path):
        try:
            with temporary.open("wb") as file:
                yield file
                sync(file)
            temporary.replace(path)
            sync_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def write_atomic(path: Path, data: bytes) -> str:
    """Write a whole file, complete or not at all; returns the SHA-256 of the data.

    Raises:  StorageError: the disk refuses; the old file is untouched.
    """
    with new_file(path) as file:
        file.write(data)
    return hashlib.sha256(data).hexdigest()


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its name when the block ends, and vanishes when the block fails.

    What a killed process left behind is removed by the next one on the same machine. Refusals to read other files
    pass through.

    Raises:  RunError: `folder` exists and is not empty.
             StorageError: the disk is full or refuses to write.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise RunError(
            "the output folder already holds something",
            where=folder,
            fix="name another folder"
            if (folder / "run.json").exists()  # what took hours to train is not to be deleted
            else "name another folder, or delete this one first",
        )
    prefix = f".{folder.name}.partial-{platform.node()}-"
    temporary = folder.parent / f"{prefix}{os.getpid()}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for stale in [place for place in folder.parent.iterdir() if place.name.startswith(prefix)]:
            if not _is_running(stale.name.removeprefix(prefix)):
                shutil.rmtree(stale, ignore_errors=True)
        temporary.mkdir()
        yield temporary
        temporary.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        ours = error.filename is None or Path(error.filename).is_relative_to(folder.parent)
        if error.errno not in _ADVICE or not ours:
            raise
        raise _refused(error, Path(error.filename or folder)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _is_running(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def sync(file: IO[bytes]) -> None:
    """Put on the disk what was written to a file."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Put a folder's list of files on the disk (not every system lets a folder be opened; those need no sync)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sha256_of(*paths: Path) -> str:
    """SHA-256 of files, one after another; memory does not grow with their size."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


@contextmanager
def locked(path: Path) -> Iterator[bool | None]:
    """Hold a lock file.

    Gives True; False where another process holds it; None where the system cannot tell.
    Raises:  StorageError: the lock file cannot be made.
    """
    if os.name != "posix":
        yield None
        return
    import fcntl

    with saving(path):
        file = path.open("wb")
    with file:
        held: bool | None = True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held = False
        except OSError:  # file systems of clusters without locks
            held = None
        yield held
