"""Results that are kept as files, so that long work may be stopped at any time, and shared by several processes.

A piece is one file of JSON, named after everything that it depends on: weights, files, settings. What was asked stands
in it, too, and it counts only where that is what is asked now.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from polyseme.core.config import to_json
from polyseme.core.files import locked, make_folder, write_atomic

__all__ = ["Kept", "file_name", "held"]


class Kept:
    """A folder of pieces.

    Args:
        folder: where they are; made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, asked: Mapping[str, Any]) -> Path:
        """Where a piece is kept.

        Args:
            asked: all that it depends on, JSON-able; "kind" begins the file's name.
        """
        said = json.dumps(asked, sort_keys=True, ensure_ascii=False)
        digest = hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
        return self.folder / f"{asked['kind']}.{digest}.json"

    def get(self, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        """A piece; None where it has not been made, or the file is damaged."""
        try:
            found = json.loads(self.path(asked).read_bytes())
        except (OSError, ValueError):
            return None
        whole = isinstance(found, dict) and found.get("asked") == json.loads(json.dumps(asked))
        return found if whole else None

    def put(self, asked: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        """Keep a piece.

        Raises:  StorageError: the disk refuses.
        """
        make_folder(self.folder)
        write_atomic(self.path(asked), to_json({"asked": asked, **found}).encode("utf-8", "backslashreplace"))

    @contextmanager
    def held(self, asked: Mapping[str, Any]) -> Iterator[bool]:
        """Whether this process may make a piece now; another one may be at it."""
        make_folder(self.folder)
        path = self.path(asked)
        with held(path.with_name(f".{path.stem}.lock")) as mine:
            yield mine


def file_name(name: str) -> str:
    """A name as part of a file's name.

    Example:
        >>> file_name("runs/bert")
        'runs%2Fbert'
    """
    return name.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Whether this process holds what a lock file stands for; another one may."""
    with locked(path) as mine:  # where the system cannot tell, two may make the same piece: the same twice
        yield mine is not False
    if mine is not False:
        path.unlink(missing_ok=True)
