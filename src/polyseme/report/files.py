"""Reports as files: documents as JSON, pages, and every chart as a picture, which is drawn without a browser."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from polyseme.core.config import escaped, to_json
from polyseme.core.files import make_folder, saving, write_atomic
from polyseme.errors import ConfigError
from polyseme.report.charts import Chart
from polyseme.report.page import Page
from polyseme.report.parts import Figure

__all__ = [
    "boxes_for",
    "check_file",
    "check_folder",
    "save",
    "write_figures",
    "write_json_lines",
    "write_study",
]

FORMATS = (".svg", ".png", ".html")

_CJK_FONT = re.compile(
    r"cjk|sourcehan|wqy|wenquanyi|simsun|simhei|simkai|msyh|pingfang|heiti|songti|stheiti|droidsansfallback|arphic"
    r"|uming|ukai|msjh|mingliu|unifont|hiragino|arialuni",
    re.IGNORECASE,
)


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
    charts, note = write_figures(page, folder)
    return [*written, *charts], note


def write_figures(page: Page, folder: Path) -> tuple[list[Path], str | None]:
    """Write every chart of a page as NAME.svg and NAME.png.

    Returns the files, and what a person should know of the pictures, if anything.
    Raises:  StorageError: they cannot be written.
    """
    written: list[Path] = []
    for figure in page.figures:
        written += save(figure.chart, [folder / f"{figure.name}.svg", folder / f"{figure.name}.png"])
    return written, boxes_for([figure.chart for figure in page.figures], written)


def save(chart: Chart, paths: Sequence[Path]) -> list[Path]:
    """Write a chart into files; the ending says the format: .svg, .png, or .html, which is a page of it alone.

    Raises:  ConfigError: another ending.  StorageError: they cannot be written.
    """
    import vl_convert

    for path in paths:
        if path.suffix.lower() not in FORMATS:
            raise ConfigError("unknown chart format", got=path.name, expected=" or ".join(FORMATS))
    for path in paths:
        with saving(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix.lower() == ".html":
                Page("", "", [Figure(path.stem, chart)]).write(path)
            elif path.suffix.lower() == ".png":
                path.write_bytes(vl_convert.vegalite_to_png(chart.to_dict(), scale=2))
            else:
                path.write_text(vl_convert.vegalite_to_svg(chart.to_dict()), "utf-8")
    return list(paths)


def boxes_for(charts: Iterable[Chart], paths: Sequence[Path]) -> str | None:
    """What to tell a person whose Chinese labels are empty boxes in a PNG; None where all is well."""
    pictures = [path.name for path in paths if path.suffix.lower() == ".png"]
    if not pictures or _draws_chinese() or not any(chart.chinese for chart in charts):
        return None
    return (
        f"{', '.join(pictures)}: this machine has no font for Chinese, so it shows empty boxes; "
        ".svg and .html are drawn with the reader's fonts"
    )


@cache
def _draws_chinese() -> bool:
    """Whether a font with Chinese characters lies where the system keeps its fonts."""
    folders = {
        "darwin": ["/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"],
        "win32": ["C:/Windows/Fonts", "~/AppData/Local/Microsoft/Windows/Fonts"],
    }.get(sys.platform, ["/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts"])
    return any(
        _CJK_FONT.search(file.name.replace("-", ""))
        for folder in folders
        # os.path: where nobody knows the home, Path raises
        for file in Path(os.path.expanduser(folder)).rglob("*.*")
    )


def write_json_lines(records: Iterable[Any], path: Path) -> Path:
    """Write records as JSON lines, in order.

    Raises:  StorageError: the disk refuses.
    """
    make_folder(path.parent)
    lines = (escaped(json.dumps(one, ensure_ascii=False, allow_nan=False)) + "\n" for one in records)
    write_atomic(path, "".join(lines).encode("utf-8", "backslashreplace"))
    return path
