"""Results that are kept as files, so that long work may be stopped at any time, and shared by several processes.

A result is one file of JSON, named after everything that it depends on: weights, files, settings; or, of an adaptation,
after its task, row, way and seed. What was asked stands in it, too, and it counts only where that is what is asked now.
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
        title: what progress calls it.
        make: does the work.
        name: its file's name; None = its kind and a hash of what is asked.
    """

    asked: Mapping[str, Any]
    title: str
    make: Callable[[Reporter], Mapping[str, Any]]
    name: str | None = None


class ResultCache:
    """A folder of results.

    Args:
        folder: where they are; made when the first is written.
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
        said = json.dumps(asked, sort_keys=True, ensure_ascii=False)
        digest = hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
        return self.folder / f"{asked['kind']}.{digest}.json"

    def get(self, asked: Mapping[str, Any], name: str | None = None) -> dict[str, Any] | None:
        """A result; None where it has not been made as it is asked now, or the file is damaged."""
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
        """Do what is not done yet, one piece after another.

        Returns how many another process is at now.
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
    """Whether this process holds what a lock file stands for; another one may."""
    with locked(path) as mine:  # where the system cannot tell, two may make the same piece: the same twice
        yield mine is not False
    if mine is not False:
        path.unlink(missing_ok=True)
