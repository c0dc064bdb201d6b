"""What all charts share: the formats they are written in, their data, and whether Chinese can be drawn.

One Vega-Lite specification, drawn by altair, serves every format: .svg and .png are rendered without a browser,
.html carries the drawing library inside, so it opens without a network.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyseme.errors import ConfigError
from polyseme.text.clean import replace_surrogates
from polyseme.text.words import has_cjk

if TYPE_CHECKING:
    import altair as alt

__all__ = ["FORMATS", "boxes_for", "check_formats", "data", "ink", "save"]

FORMATS = (".svg", ".png", ".html")

_CJK_FONT = re.compile(
    r"cjk|sourcehan|wqy|wenquanyi|simsun|simhei|simkai|msyh|pingfang|heiti|songti|stheiti|droidsansfallback|arphic"
    r"|uming|ukai|msjh|mingliu|unifont|hiragino|arialuni",
    re.IGNORECASE,
)


def check_formats(paths: Iterable[Path]) -> None:
    """Refuse files whose ending is no format of charts.

    Raises:  ConfigError: another ending.
    """
    for path in paths:
        if path.suffix.lower() not in FORMATS:
            raise ConfigError("unknown chart format", got=path.name, expected=" or ".join(FORMATS))


def save(chart: Any, paths: Sequence[Path]) -> list[Path]:
    """Write a chart into files; the ending says the format.

    Raises:  ConfigError: another ending than those of `FORMATS`.
    """
    check_formats(paths)
    chart = _drawable(chart)
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".html":
            chart.save(path, format="html", inline=True)
        elif path.suffix.lower() == ".png":
            chart.save(path, format="png", scale_factor=2)
        else:
            chart.save(path, format="svg")
    return list(paths)


def _drawable(chart: Any) -> Any:
    """A chart without the lone surrogates of file names that are not UTF-8: the drawing library refuses them."""
    written = json.dumps(chart.to_dict(), ensure_ascii=False)
    clean = replace_surrogates(written)
    return chart if clean == written else type(chart).from_dict(json.loads(clean))


def data(rows: Sequence[Mapping[str, Any]]) -> alt.Data:
    """Rows as the data of a chart, however many."""
    import altair as alt

    return alt.Data(values=list(rows))  # type: ignore[no-untyped-call]


def ink(field: str, above: float) -> Any:
    """Black figures on light cells, white ones where a field is above a value."""
    import altair as alt

    return alt.condition(f"datum.{field} > {above}", alt.value("white"), alt.value("black"))


def boxes_for(texts: Iterable[str], paths: Sequence[Path]) -> str | None:
    """What to tell a person whose Chinese labels will be empty boxes in a PNG; None where all is well."""
    pictures = [path.name for path in paths if path.suffix.lower() == ".png"]
    if not pictures or _draws_chinese() or not any(has_cjk(text) for text in texts):
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
