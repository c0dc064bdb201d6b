"""A study as files: its document as JSON, its page, and every chart as a picture."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from polyseme.core.config import to_json
from polyseme.report.charts import boxes_for, save
from polyseme.report.page import Figure, Page
from polyseme.text.words import has_cjk
from polyseme.train.run import saving, write_atomic

__all__ = ["write_json_lines", "write_pictures", "write_study"]


def write_study(
    name: str, document: Mapping[str, Any], page: Page, folder: Path
) -> tuple[list[Path], str | None]:
    """Write NAME.json, NAME.html, and each chart of the page as .svg and .png.

    Returns the files, and what a person should know of the pictures, if anything.
    Raises:  StorageError: they cannot be written.
    """
    with saving(folder):
        folder.mkdir(parents=True, exist_ok=True)
    written = [folder / f"{name}.html", folder / f"{name}.json"]
    page.write(written[0])
    write_atomic(written[1], to_json(document).encode("utf-8", "surrogatepass"))
    charts, note = page.write_figures(folder)
    return [*written, *charts], note


def write_pictures(figure: Figure, paths: Sequence[Path]) -> tuple[list[Path], str | None]:
    """Write one chart into files whose endings say the format.

    Returns the files, and what a person should know of the pictures, if anything.
    Raises:  StorageError: they cannot be written.
    """
    with saving(paths[0]):
        written = save(figure.chart, paths)
    drawn = json.dumps(figure.chart.to_dict(), ensure_ascii=False)
    return written, boxes_for([drawn] if has_cjk(drawn) else [], written)


def write_json_lines(records: Iterable[Any], path: Path) -> Path:
    """Write records as JSON lines, in order.

    Raises:  StorageError: the disk refuses.
    """
    with saving(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(one, ensure_ascii=False, allow_nan=False) + "\n" for one in records)
    write_atomic(path, "".join(lines).encode())
    return path
