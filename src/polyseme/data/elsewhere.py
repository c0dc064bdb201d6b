"""Stores at a URL (core/remote.py): put there shard by shard, read through a cache on the disk.

making    a shard is made on the disk, its files are put, shard.json the last of them; then only what is summed up stays
          here. store.json comes last of all: where it is, the store is whole
reading   store.json, the vocabulary and the counts are fetched when the store is opened, a shard when it is first
          read. Of shards those read last stay, POLYSEME_CACHE_GB of them; all are checked by SHA-256
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from polyseme.core.files import make_folder, saving, sha256_of
from polyseme.core.remote import RemotePath, cache_bytes, cache_folder, fetch, put
from polyseme.errors import CheckpointError, RunError

_SHARD, _STORE = "shard.json", "store.json"
_SUMMED_UP = (_SHARD, "counts.bin")


def made_in(remote: RemotePath) -> Path:
    """Where on this disk a store at a URL is made."""
    name = hashlib.sha256(str(remote).encode()).hexdigest()[:16]
    return cache_folder() / "making" / f"{remote.name}-{name}"


def put_shards(folder: Path, remote: RemotePath) -> None:
    """Put the shards of a piece, the file that says that it is there last, and keep of them what is summed up.

    Raises:  StorageError: the server refuses; what is there is no shard yet.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in sorted(files, key=lambda path: (path.name == _SHARD, -len(path.parts))):
        put(path, remote / path.relative_to(folder))
    for path in files:
        if path.name not in _SUMMED_UP:
            path.unlink()


def put_store(folder: Path, remote: RemotePath) -> None:
    """Put what belongs to the whole store, store.json last.

    Raises:  StorageError: the server refuses; what is there is no store yet.
    """
    meta = json.loads((folder / _STORE).read_bytes())
    for name in (*meta["files"], _STORE):
        put(folder / name, remote / name)


def fetched(remote: RemotePath) -> Path:
    """The folder on this disk of a store at a URL, in which all is but its shards.

    Raises:  RunError: there is no store.   CheckpointError: a file cannot be read.
    """
    try:
        data = (remote / _STORE).read_bytes()
    except FileNotFoundError:
        raise RunError(
            "not a prepared corpus",
            got="a URL without store.json",
            where=remote,
            fix=f"polyseme prepare CORPUS... -o {remote}",
        ) from None
    except OSError as error:
        raise _unread(remote / _STORE, error) from None
    folder = cache_folder() / "stores" / hashlib.sha256(str(remote).encode() + data).hexdigest()[:32]
    try:
        files = json.loads(data)["files"]
    except (ValueError, KeyError):
        files = {}  # who opens it will say
    for name, known in files.items():
        place = folder / name
        if not place.is_file() or place.stat().st_size != known["bytes"]:
            make_folder(place.parent)
            try:
                fetch(remote / name, place)
            except OSError as error:
                raise _unread(remote / name, error) from None
    make_folder(folder)
    with saving(folder):
        (folder / _STORE).write_bytes(data)
    return folder


def fetched_shard(remote: RemotePath, folder: Path, name: str, sha256: str) -> Path:
    """A shard on this disk, fetched unless it is there; others go where there are too many.

    Args:
        folder: from `fetched`.
        name, sha256: as store.json says.
    Raises:  CheckpointError: a file is missing, altered or cannot be read.   StorageError: the disk refuses.
    """
    place = folder / "shards" / name.replace("/", ".")
    if not (place / _SHARD).is_file():
        make_folder(place.parent)
        with saving(place), tempfile.TemporaryDirectory(prefix=".", dir=place.parent) as temporary:
            making = Path(temporary) / "shard"
            source = remote / "shards" / name
            _get(source / _SHARD, making / _SHARD, sha256)
            for file, known in json.loads((making / _SHARD).read_bytes())["files"].items():
                _get(source / file, making / file, known["sha256"])
            if not place.exists():  # else another process was faster
                making.rename(place)
    os.utime(place / _SHARD)
    _forget_some(cache_folder() / "stores", keep=place)
    return place


def _get(source: RemotePath, place: Path, sha256: str) -> None:
    make_folder(place.parent)
    try:
        fetch(source, place)
    except OSError as error:
        raise _unread(source, error) from None
    if sha256_of(place) != sha256:
        raise CheckpointError(
            f"{source.name} of the prepared corpus is damaged",
            got="other contents than were written",
            where=source,
            fix="prepare the corpus again, at another URL",
        )


def _unread(source: RemotePath, error: OSError) -> CheckpointError:
    return CheckpointError("cannot read a file of the prepared corpus", got=error.strerror, where=source)


def _forget_some(stores: Path, keep: Path) -> None:
    """Remove the shards that were not read for longest, until the others fit; mapped ones stay readable."""
    shards: list[tuple[float, int, Path]] = []
    for path in stores.glob(f"*/shards/[0-9]*/{_SHARD}"):
        try:
            meta: dict[str, Any] = json.loads(path.read_bytes())
            size = sum(file["bytes"] for file in meta["files"].values())
            shards.append((path.stat().st_mtime, size, path.parent))
        except (OSError, ValueError):  # another process removes it
            continue
    left = sum(size for _, size, _ in shards) - cache_bytes()
    for _, size, folder in sorted(shards):
        if left > 0 and folder != keep:
            shutil.rmtree(folder, ignore_errors=True)
            left -= size
