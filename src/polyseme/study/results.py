"""Results that are kept as files, so that long work may be stopped at any time, and shared by several processes.

A result is one JSON file. Its name is a hash of everything that it depends on (weights, files, settings); for an
adaptation it is the task, row, way and seed. The file also contains the request that it answers, and the result counts
only if the present request is the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyseme.core.config import to_json
from polyseme.core.files import locked, make_folder, write_atomic
from polyseme.core.memory import give_back
from polyseme.core.reporter import Reporter

__all__ = ["Piece", "ResultCache", "file_name", "held"]


@dataclass(frozen=True, eq=False)
class Piece:
    """Work whose result is kept.

    Args:
        asked: all that the result depends on, JSON-able.
        title: its name in progress messages.
        make: makes the result.
        name: its file's name; None = its kind and a hash of `asked`.
    """

    asked: Mapping[str, Any]
    title: str
    make: Callable[[Reporter], Mapping[str, Any]]
    name: str | None = None


class ResultCache:
    """A folder of results.

    Args:
        folder: where the results are; made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, asked: Mapping[str, Any], name: str | None = None) -> Path:
        """Where a result is kept.

        Args:
            asked: all that it depends on, JSON-able; without a name "kind" begins the file's name.
        """
        if name is not None:
            return self.folder / f"{name}.json"
        text = json.dumps(asked, sort_keys=True, ensure_ascii=False)
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
        return self.folder / f"{asked['kind']}.{digest}.json"

    def get(self, asked: Mapping[str, Any], name: str | None = None) -> dict[str, Any] | None:
        """A result; None if it has not been made for this request, or if the file is damaged."""
        try:
            result = json.loads(self.path(asked, name).read_bytes())
        except (OSError, ValueError):
            return None
        whole = isinstance(result, dict) and result.get("asked") == json.loads(json.dumps(asked))
        return result if whole else None

    def put(self, asked: Mapping[str, Any], result: Mapping[str, Any], name: str | None = None) -> None:
        """Keep a result.

        Raises:  StorageError: the disk refuses.
        """
        make_folder(self.folder)
        text = to_json({"asked": asked, **result})
        write_atomic(self.path(asked, name), text.encode("utf-8", "backslashreplace"))

    def fill(self, pieces: Sequence[Piece], reporter: Reporter) -> int:
        """Make the results that are missing, one after another.

        Returns the number of pieces that another process is working on.
        """
        elsewhere = 0
        make_folder(self.folder)
        for number, piece in enumerate(pieces, 1):
            if self.get(piece.asked, piece.name) is not None:
                continue
            path = self.path(piece.asked, piece.name)
            with held(path.with_name(f".{path.stem}.lock")) as mine:
                if not mine:
                    elsewhere += 1
                elif self.get(piece.asked, piece.name) is None:
                    reporter.note(f"{number} of {len(pieces)}: {piece.title}")
                    self.put(piece.asked, piece.make(reporter), piece.name)
                    give_back()
        return elsewhere


def file_name(name: str) -> str:
    """A name as part of a file's name.

    Example:
        >>> file_name("runs/bert")
        'runs%2Fbert'
    """
    return name.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Whether this process holds a lock file."""
    with locked(path) as mine:  # where the system cannot tell, two may make the same piece: the same twice
        yield mine is not False
    if mine is not False:
        path.unlink(missing_ok=True)
