"""Files elsewhere, named by a URL such as s3://BUCKET/KEY, and the cache of what was fetched.

All is asked through fsspec; the extra `s3` brings what it needs for S3, whose own variables (AWS_PROFILE,
AWS_ENDPOINT_URL …) say who asks and where. A `RemotePath` is opened, asked for its size and listed as a local one is.
It is read in blocks, each of which is asked for again where a server is busy or silent. What is not there (404) or not
allowed (403) is said at once.
"""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path, PosixPath
from typing import Any, TypeVar

from polyseme.core.files import new_file
from polyseme.errors import ConfigError, StorageError

__all__ = ["RemotePath", "cache_bytes", "cache_folder", "fetch", "put", "remote_path", "stamp"]

T = TypeVar("T")
BLOCK = 1 << 20
_WAITS = (0.5, 2.0, 8.0)  # seconds before a question is asked again
_URL = re.compile(r"(?!https?:|file:)[a-z][a-z0-9+.-]+:/{1,2}[^/]")
_PEOPLES = ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound")  # asking again does not help


class RemotePath(PosixPath):
    """A file or folder at a URL. Reading it raises OSError as reading a local file does."""

    def __str__(self) -> str:
        return super().__str__().replace(":/", "://", 1)

    def __fspath__(self) -> str:
        return str(self)

    def open(self, mode: str = "r", *_: Any, **options: Any) -> Any:
        """Open it for reading."""
        raw = io.BufferedReader(_Reader(self), BLOCK)
        return raw if "b" in mode else io.TextIOWrapper(raw, options.get("encoding") or "utf-8")

    def info(self) -> dict[str, Any]:
        """What the server says of it: "type", "size" and others."""
        found: dict[str, Any] = _asked(self, lambda system, name: system.info(name))
        return found

    def _is(self, *kinds: str) -> bool:
        try:
            return self.info()["type"] in kinds
        except FileNotFoundError:
            return False

    def exists(self, **_: Any) -> bool:
        """Whether it is there."""
        return self._is("file", "directory")

    def is_file(self, **_: Any) -> bool:
        """Whether it is there and a file."""
        return self._is("file")

    def is_dir(self, **_: Any) -> bool:
        """Whether there are files below it."""
        return self._is("directory")

    def stat(self, **_: Any) -> os.stat_result:
        """Its size, and the second in which it was written; no more is known."""
        size, written = stamp(self)
        return os.stat_result((0, 0, 0, 1, 0, 0, size, 0, written // 10**9, 0))

    def below(self, pattern: bool = False) -> Iterator[tuple[RemotePath, int, int]]:
        """The files of this folder and of those in it: (path, bytes, time in nanoseconds).

        Args:
            pattern: this is a pattern, and the files are meant that fit it.
        """

        def listed(system: Any, name: str) -> dict[str, dict[str, Any]]:
            found: dict[str, dict[str, Any]] = (system.glob if pattern else system.find)(name, detail=True)
            return found

        scheme = self.parts[0]
        for name, info in sorted(_asked(self, listed).items()):
            if info["type"] == "file":
                yield RemotePath(f"{scheme}/{name.lstrip('/')}"), *_stamp(info)


class _Reader(io.RawIOBase):
    """The bytes of a remote file."""

    def __init__(self, path: RemotePath) -> None:
        self._path, self._size, self._place = path, int(path.info()["size"]), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        end = min(self._place + len(buffer), self._size)
        if end <= self._place:
            return 0

        def part(system: Any, name: str) -> bytes:
            data: bytes = system.cat_file(name, start=self._place, end=end)
            if len(data) != end - self._place:
                raise OSError(errno.EIO, f"{len(data):,} bytes came of {end - self._place:,}")
            return data

        try:
            data = _asked(self._path, part)
        except OSError as error:
            place = f"{error.strerror}; at byte {self._place:,}"
            raise type(error)(error.errno, place, str(self._path)) from None
        buffer[: len(data)] = data
        self._place = end
        return len(data)


def remote_path(name: str | os.PathLike[str]) -> RemotePath | None:
    """What a URL names; None for a local path. A Path that was made of a URL has lost a slash, and is understood."""
    text = os.fspath(name)
    if isinstance(name, RemotePath) or (_URL.match(text) and not os.path.lexists(text)):
        return RemotePath(text)
    return None


def stamp(path: Path) -> tuple[int, int]:
    """Size in bytes and time of the last change in nanoseconds.

    Raises:  OSError: it is not there, or nobody says.
    """
    if isinstance(path, RemotePath):
        return _stamp(path.info())
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _stamp(info: dict[str, Any]) -> tuple[int, int]:
    names = ("LastModified", "mtime", "last_modified", "updated", "created")
    when = next((info[name] for name in names if info.get(name)), 0)
    seconds = when.timestamp() if isinstance(when, datetime) else when
    return int(info["size"]), int(seconds) * 10**9 if isinstance(seconds, int | float) else 0


def _asked(path: RemotePath, ask: Callable[[Any, str], T]) -> T:
    """The answer to a question, which is asked again where a server is busy or silent.

    Args:
        ask: (file system of fsspec, name in it) -> answer.
    Raises:  FileNotFoundError, PermissionError: at once.   OSError: there was no answer.
             ConfigError: a package is missing, or nobody knows such addresses.
    """
    system, name = _system(path)
    for wait in (*_WAITS, None):
        try:
            return ask(system, name)
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, "there is no such file (404)", str(path)) from None
        except PermissionError as error:
            raise PermissionError(errno.EACCES, f"access is denied (403): {error}", str(path)) from None
        except Exception as error:  # every library has classes of its own for busy servers and time-outs
            said = str(error) or type(error).__name__
            if type(error).__name__ in _PEOPLES:
                raise PermissionError(errno.EACCES, said, str(path)) from None
            if wait is None:
                times = len(_WAITS) + 1
                raise OSError(errno.EIO, f"no answer after {times} times: {said}", str(path)) from None
            time.sleep(wait)
    raise AssertionError


def _system(path: RemotePath) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    scheme = path.parts[0].rstrip(":")
    try:
        system, name = url_to_fs(str(path), use_listings_cache=False)
    except ImportError as error:
        extra = "polyseme[s3]" if scheme in ("s3", "s3a") else "fsspec[full]"
        raise ConfigError(
            f"a package for {scheme}:// is missing", got=str(error), where=path, fix=f"pip install '{extra}'"
        ) from None
    except ValueError as error:
        raise ConfigError(
            "nobody knows such an address", got=str(error), expected="such as s3://BUCKET/KEY", where=path
        ) from None
    return system, name


def fetch(path: RemotePath, place: Path) -> None:
    """Copy a remote file to a place on the disk, where it is whole or absent.

    Raises:  OSError: it cannot be read.   StorageError: the disk refuses.
    """
    with path.open("rb") as remote, new_file(place) as file:
        shutil.copyfileobj(remote, file, 4 * BLOCK)


def put(place: Path, path: RemotePath) -> None:
    """Copy a file to a URL, in the place of an older one.

    Raises:  StorageError: the server refuses, or does not answer.
    """
    try:
        _asked(path, lambda system, name: system.put_file(str(place), name))
    except OSError as error:
        raise StorageError(
            "could not save",
            got=error.strerror,
            where=path,
            fix="see that the bucket is there and may be written to; then the same command with --resume",
        ) from None


def cache_folder() -> Path:
    """Where what was fetched is kept: POLYSEME_CACHE, or polyseme in the user's folder for caches."""
    named = os.environ.get("POLYSEME_CACHE")
    usual = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(named) if named else Path(usual).expanduser() / "polyseme"


def cache_bytes() -> int:
    """How many bytes of shards are kept: POLYSEME_CACHE_GB, 10 unless it is set.

    Raises:  ConfigError: it is no number.
    """
    text = os.environ.get("POLYSEME_CACHE_GB", "10")
    try:
        return max(0, int(float(text) * 1e9))
    except (ValueError, OverflowError):
        raise ConfigError(
            "POLYSEME_CACHE_GB is no number of gigabytes", got=text, expected="such as 10"
        ) from None
