"""Accuracy on minimal pairs: a bar for every phenomenon and run, with its interval and the line of chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyseme.report.charts import data
from polyseme.report.language import Speaker

if TYPE_CHECKING:
    import altair as alt

__all__ = ["names_of", "pairs_chart", "runs_of", "shown"]

_COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#4D4D4D"]
"""Okabe and Ito's palette: told apart with every common kind of colour blindness."""


def runs_of(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The documents of the runs that a document is about."""
    return list(document["runs"]) if "runs" in document else [document]


def names_of(abouts: Sequence[Mapping[str, Any]]) -> list[str]:
    """What runs are called: their model, with the folder where that does not tell them apart, or else the path."""
    ways = [
        [str(one["model"]) for one in abouts],
        [f"{one['model']} ({Path(one['run']).name})" for one in abouts],
        [f"{one['model']} ({one['run']})" for one in abouts],
        [f"{number}: {one['model']}" for number, one in enumerate(abouts, 1)],
    ]
    return next(names for names in ways if max(Counter(names).values()) == 1)


def pairs_chart(document: Mapping[str, Any], say: Speaker) -> alt.LayerChart:
    """Bars of the accuracy of every phenomenon, one a run, with intervals and the line of chance."""
    import altair as alt

    rows, names, labels = _bars(document, say)
    several = len(names) > 1
    longest = max(map(len, labels))
    y = alt.Y(
        "phenomenon:N",
        sort=labels,
        title=None,
        scale=alt.Scale(domain=labels, paddingInner=0.25, paddingOuter=0.1),
        axis=alt.Axis(labelFontSize=13, labelLimit=300, labelPadding=6, ticks=False, domain=False),
    )
    x = alt.X(
        "accuracy:Q",
        title=say("accuracy"),
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(
            labelFontSize=13,
            titleFontSize=13,
            titleFontWeight="normal",
            values=[0, 0.25, 0.5, 0.75, 1],
            format=".2f",
        ),
    )
    offset = alt.YOffset("run:N", sort=names, scale=alt.Scale(domain=names, paddingInner=0.1))
    legend = (
        alt.Legend(title=None, orient="top", labelFontSize=13, labelLimit=300, columns=4) if several else None
    )
    colour = alt.Color("run:N", sort=names, scale=alt.Scale(domain=names, range=_COLOURS), legend=legend)
    tooltip: list[str | alt.Tooltip] = [
        "phenomenon:N",
        "run:N",
        *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("accuracy", "low", "high")),
        alt.Tooltip("pairs:Q", format=","),
    ]
    base = alt.Chart(data(rows)).encode(y=y, yOffset=offset, tooltip=tooltip)
    bars = base.mark_bar(opacity=0.85).encode(x=x, color=colour)
    lines = base.mark_rule(strokeWidth=2, color="#1f2328").encode(x=alt.X("low:Q"), x2="high:Q")
    values = base.mark_text(align="left", dx=6, fontSize=12, color="#1f2328").encode(
        x=alt.X("high:Q"), text=alt.Text("accuracy:Q", format=".2f")
    )
    chance = (
        alt.Chart(data([{"at": 0.5}]))
        .mark_rule(strokeDash=[5, 4], strokeWidth=1.5, color="#4D4D4D")
        .encode(x=alt.X("at:Q"))
    )
    chart: alt.LayerChart = (
        alt.layer(bars, chance, lines, values)
        .properties(
            width=max(280, 620 - 6 * longest),
            height=len(labels) * (16 * len(names) + 8) if several else 26 * len(labels),
            background="white",
            padding={"left": 12, "top": 12, "bottom": 12, "right": 48},
        )
        .configure_axis(gridColor="#E6E6E6")
        .configure_view(stroke=None)
    )
    return chart


def _bars(document: Mapping[str, Any], say: Speaker) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """Rows of the chart, names of the runs and of the phenomena in order: all first, then by the first run's figure."""
    runs = runs_of(document)
    own = names_of(runs)
    sources: list[tuple[str, Mapping[str, Any], str]] = [
        (name, one, "accuracy") for name, one in zip(own, runs, strict=True)
    ]
    if len(runs) == 1 and "against" in runs[0]:
        names = names_of([runs[0], runs[0]["against"]])
        sources = [(names[0], runs[0], "accuracy"), (names[1], runs[0], "against")]
    total = say("all: mean over paradigms")
    ranked = sorted(runs[0]["phenomena"], key=lambda one: -one["accuracy"]["value"])
    labels = [total, *(shown(one["phenomenon"]) for one in ranked)]
    rows = []
    for name, one, field in sources:
        for label, figures in [
            (total, one["figures"]),
            *((shown(phenomenon["phenomenon"]), phenomenon) for phenomenon in one["phenomena"]),
        ]:
            accuracy = figures[field]
            rows.append(
                {
                    "phenomenon": label,
                    "run": name,
                    "accuracy": round(accuracy["value"], 4),
                    "low": round(accuracy["low"], 4),
                    "high": round(accuracy["high"], 4),
                    "pairs": accuracy["n"],
                }
            )
    return rows, [name for name, _, _ in sources], list(dict.fromkeys(labels))


def shown(name: str) -> str:
    """A name as a person reads it: file names and BLiMP's have underscores for spaces."""
    return name.replace("_", " ")
