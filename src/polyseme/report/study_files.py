"""A study as files: its document as JSON, its page, and every chart as a picture."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from polyseme.core.config import escaped, to_json
from polyseme.core.files import make_folder, saving, write_atomic
from polyseme.report.charts import boxes_for, save
from polyseme.report.page import Page
from polyseme.report.parts import Figure

__all__ = ["check_file", "check_folder", "write_json_lines", "write_pictures", "write_study"]


def check_folder(folder: Path) -> None:
    """Refuse a folder that could not be written into, before the work that is to be written there; makes nothing.

    Raises:  StorageError: something else is there or above it, or it is not allowed.
    """
    with saving(folder):
        place = folder.absolute()
        while not place.exists():
            place = place.parent
        if not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def check_file(path: Path) -> None:
    """The same for a file.

    Raises:  StorageError: as for a folder, or there is a folder of its name.
    """
    with saving(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    check_folder(path.parent)


def write_study(
    name: str, document: Mapping[str, Any], page: Page, folder: Path
) -> tuple[list[Path], str | None]:
    """Write NAME.json, NAME.html, and each chart of the page as .svg and .png.

    Returns the files, and what a person should know of the pictures, if anything.
    Raises:  StorageError: they cannot be written.
    """
    make_folder(folder)
    written = [folder / f"{name}.html", folder / f"{name}.json"]
    page.write(written[0])
    write_atomic(written[1], to_json(document).encode("utf-8", "backslashreplace"))
    charts, note = page.write_figures(folder)
    return [*written, *charts], note


def write_pictures(figure: Figure, paths: Sequence[Path]) -> tuple[list[Path], str | None]:
    """Write one chart into files whose endings say the format.

    Returns the files, and what a person should know of the pictures, if anything.
    Raises:  StorageError: they cannot be written.
    """
    with saving(paths[0]):
        written = save(figure.chart, paths)
    return written, boxes_for([figure.chart], written)


def write_json_lines(records: Iterable[Any], path: Path) -> Path:
    """Write records as JSON lines, in order.

    Raises:  StorageError: the disk refuses.
    """
    make_folder(path.parent)
    lines = (escaped(json.dumps(one, ensure_ascii=False, allow_nan=False)) + "\n" for one in records)
    write_atomic(path, "".join(lines).encode("utf-8", "backslashreplace"))
    return path
