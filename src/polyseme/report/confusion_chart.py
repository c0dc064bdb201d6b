"""The confusion matrix as a heat map: rows are gold labels, columns what was predicted, shades the share of the row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyseme.report.charts import boxes_for, data, ink, save
from polyseme.report.figures import width

if TYPE_CHECKING:
    import altair as alt

__all__ = ["confusion_chart", "confusion_rows", "write_confusion_chart"]

LARGEST = 80
"""Labels that are drawn at most; of more, those with the most errors."""

_COUNTED = 26
"""Labels up to which every cell has its count written in it; beyond, the cells are too small."""

_SHADES = ["#F7FBFF", "#C6DBEF", "#6BAED6", "#2171B5", "#08306B"]
"""One hue from light to dark: read alike with every kind of colour blindness, and in grey."""


def confusion_chart(confusion: Mapping[str, Any], title: str = "Confusion") -> alt.LayerChart:
    """Draw a confusion matrix.

    Args:
        confusion: {"labels", "counts"}; counts[gold][predicted].
        title: stands above the chart.
    """
    import altair as alt

    labels, rows = confusion_rows(confusion)
    n = len(labels)
    left = len(confusion["labels"]) - n
    longest = max((width(label) for label in labels), default=1)
    cell = 72 if n <= 4 else 44 if n <= 12 else 30 if n <= _COUNTED else 16
    size = 13 if n <= _COUNTED else 11
    axis: dict[str, Any] = {
        "labelFontSize": size,
        "titleFontSize": 14,
        "titleFontWeight": "normal",
        "labelLimit": 240,
        "labelOverlap": False,
        "labelPadding": 6,
        "ticks": False,
        "domain": False,
        "grid": False,
    }
    upright = n <= 12 and longest * 7 <= cell
    across = {} if upright else {"labelAngle": -90, "labelAlign": "right", "labelBaseline": "middle"}
    x = alt.X(
        "predicted:N",
        scale=alt.Scale(domain=labels),
        title="predicted",
        axis=alt.Axis(orient="bottom", **({"labelAngle": 0} if upright else across), **axis),
    )
    y = alt.Y("gold:N", scale=alt.Scale(domain=labels), title="gold", axis=alt.Axis(**axis))
    shade = alt.Color(
        "share:Q",
        scale=alt.Scale(domain=[0, 1], range=_SHADES, interpolate="lab"),
        legend=alt.Legend(title="share of the gold label", format="%", gradientLength=160, tickCount=5),
    )
    tooltip = ["gold:N", "predicted:N", "count:Q", alt.Tooltip("share:Q", format=".1%")]
    base = alt.Chart(data(rows)).encode(x=x, y=y)
    cells = base.mark_rect(stroke="#E6E6E6", strokeWidth=0.5).encode(color=shade, tooltip=tooltip)
    layers: list[Any] = [cells]
    if n <= _COUNTED:
        figures = base.transform_filter("datum.count > 0").mark_text(fontSize=12 if n <= 12 else 10)
        layers.append(
            figures.encode(text=alt.Text("count:Q", format=","), color=ink("share", 0.5), tooltip=tooltip)
        )
    shown = f", the {n} labels with the most errors ({left:,} are not shown)" if left else ""
    chart: alt.LayerChart = (
        alt.layer(*layers)
        .properties(title=title + shown, width=cell * n, height=cell * n, background="white", padding=16)
        .configure_legend(labelFontSize=12, titleFontSize=13, titleFontWeight="normal", titleLimit=300)
        .configure_title(fontSize=16, anchor="start", offset=10)
        .configure_view(stroke="#B0B0B0")
    )
    return chart


def confusion_rows(confusion: Mapping[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
    """The labels that are drawn, and a cell a row: {"gold", "predicted", "count", "share" of the gold label}.

    Every share is of all examples of that gold label, those in columns that are not drawn among them.
    """
    labels, counts = list(confusion["labels"]), confusion["counts"]
    chosen: Sequence[int] = range(len(labels))
    if len(labels) > LARGEST:
        errors = [
            sum(counts[i]) + sum(row[i] for row in counts) - 2 * counts[i][i] for i in range(len(labels))
        ]
        chosen = sorted(sorted(chosen, key=lambda i: -errors[i])[:LARGEST])
    names = [labels[i] or "(no name)" for i in chosen]
    rows = []
    for g, gold in zip(chosen, names, strict=True):
        total = sum(counts[g])
        for p, predicted in zip(chosen, names, strict=True):
            count = counts[g][p]
            rows.append(
                {
                    "gold": gold,
                    "predicted": predicted,
                    "count": count,
                    "share": round(count / total, 4) if total else 0.0,
                }
            )
    return names, rows


def write_confusion_chart(
    confusion: Mapping[str, Any], paths: Sequence[Path], title: str = "Confusion"
) -> str | None:
    """Draw a confusion matrix into files.

    Args:
        confusion: {"labels", "counts"}.
        paths: files to write; the ending says the format: .svg, .png or .html.
        title: stands above the chart.
    Returns what a person should know of the pictures, if anything.
    Raises:  ConfigError: another ending.
    """
    save(confusion_chart(confusion, title), paths)
    return boxes_for([title, *confusion["labels"]], paths)
