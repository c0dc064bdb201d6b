"""The charts of a comparison: curves of several runs, bars with intervals, layer mixes by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyseme.report.charts import data, ink
from polyseme.report.figures import width
from polyseme.report.mix_chart import SHADES

__all__ = ["PALETTE", "bars", "curves", "dots", "lines", "mixes", "run_colours"]

# Okabe and Ito's, without the yellow that white paper swallows; told apart with every common kind of colour blindness.
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#4D4D4D"]
_DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3]]
_GRID = "#E6E6E6"


def run_colours(names: Sequence[str]) -> tuple[Any, Any]:
    """Scales of colours and of dashes: a run looks the same in every chart; beyond seven, lines are dashed."""
    import altair as alt

    colours = [PALETTE[number % len(PALETTE)] for number in range(len(names))]
    dashes = [_DASHES[number // len(PALETTE) % len(_DASHES)] for number in range(len(names))]
    return alt.Scale(domain=list(names), range=colours), alt.Scale(domain=list(names), range=dashes)


def curves(
    rows: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    x: tuple[str, str],
    y: tuple[str, str],
    logarithmic: bool = False,
    rule: float | None = None,
) -> Any:
    """A line a run.

    Args:
        rows: points with "run" and the fields of both axes.
        names: the runs, in the order of their colours; those without points keep theirs.
        x, y: field and title of each axis.
        logarithmic: the scale of x.
        rule: a value of y to draw a line at.
    """
    import altair as alt

    shown = [name for name in names if any(row["run"] == name for row in rows)]
    scale = alt.Scale(type="log", nice=False, padding=10) if logarithmic else alt.Scale(nice=False, zero=True)
    ticks: Any = {"values": [10**k for k in range(13)]} if logarithmic else {"tickCount": 6}
    across = alt.X(f"{x[0]}:Q", title=x[1], scale=scale, axis=alt.Axis(format="~s", **ticks))
    up = alt.Y(f"{y[0]}:Q", title=y[1], scale=alt.Scale(zero=False, padding=12))
    tooltip: list[Any] = [
        "run:N",
        alt.Tooltip(f"{x[0]}:Q", format=",.4~s"),
        alt.Tooltip(f"{y[0]}:Q", format=".3f"),
    ]
    chart = _by_run(alt.Chart(data(rows)).encode(x=across, y=up, tooltip=tooltip), names, shown)
    layers: list[Any] = [
        chart.mark_line(strokeWidth=2.5, point=alt.OverlayMarkDef(filled=True, size=28)),
    ]
    if rule is not None:
        base = alt.Chart(data([{y[0]: rule}])).encode(y=up)
        layers.insert(0, base.mark_rule(strokeDash=[6, 4], color="#4D4D4D", strokeWidth=1.5))
    return _finished(alt.layer(*layers).properties(width=500, height=320))


def lines(
    rows: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    x: tuple[str, str],
    y: tuple[str, str],
    panels: tuple[str, Sequence[str]] | None = None,
    rule: float | None = None,
) -> Any:
    """A line a run over whole numbers such as layers, with bands of intervals ("low", "high"), in panels side by side.

    Args:
        rows: points with "run", the fields of both axes and perhaps "low", "high" and the panel's field.
        x, y: field and title of each axis.
        panels: the field that tells panels apart, and their order.
        rule: a value of y to draw a line at.
    """
    import altair as alt

    shown = [name for name in names if any(row["run"] == name for row in rows)]
    across = alt.X(
        f"{x[0]}:Q",
        title=x[1],
        axis=alt.Axis(tickMinStep=1, format="d"),
        scale=alt.Scale(nice=False, padding=10),
    )
    up = alt.Y(f"{y[0]}:Q", title=y[1], scale=alt.Scale(zero=False, padding=8))
    tooltip: list[Any] = [
        "run:N",
        *([f"{panels[0]}:N"] if panels else []),
        f"{x[0]}:Q",
        alt.Tooltip(f"{y[0]}:Q", format=".1f"),
    ]
    tooltip += [alt.Tooltip(f"{limit}:Q", format=".1f") for limit in ("low", "high")]
    base = _by_run(alt.Chart().encode(x=across, tooltip=tooltip), names, shown)
    interval = base.mark_rule(strokeWidth=1.5, opacity=0.6).encode(y=alt.Y("low:Q", title=y[1]), y2="high:Q")
    line = base.mark_line(strokeWidth=2.5, point=alt.OverlayMarkDef(filled=True, size=46)).encode(y=up)
    marks: list[Any] = [interval, line]
    if rule is not None:
        marks.insert(
            0, alt.Chart(data([{y[0]: rule}])).mark_rule(color="#4D4D4D", strokeWidth=2).encode(y=up)
        )
    both = alt.layer(*marks, data=data(rows))
    if panels is None:
        return _finished(both.properties(width=500, height=320))
    field, order = panels
    several = both.properties(width=250, height=200).facet(
        facet=alt.Facet(f"{field}:N", sort=list(order), title=None, header=alt.Header(labelFontSize=14)),
        columns=3,
    )
    return _finished(several)


def bars(rows: Sequence[Mapping[str, Any]], names: Sequence[str], title: str, groups: Sequence[str]) -> Any:
    """A bar a run with its interval, a row of panels a group.

    Args:
        rows: {"run", "group", "value", "low", "high", "text"}; text is written at the end of the bar.
        names: the runs, in the order of their colours.
        title: of the figure that the bars are long as.
        groups: their order; one group has no heading.
    """
    import altair as alt

    shown = [name for name in names if any(row["run"] == name for row in rows)]
    colours, _ = run_colours(names)
    most = max([row["high"] if row["high"] is not None else row["value"] for row in rows], default=1.0)
    least = min([0.0, *(row["low"] if row["low"] is not None else row["value"] for row in rows)])
    scale = alt.Scale(domain=[least, most * 1.16 or 1.0], nice=False)
    across = alt.X("value:Q", title=title, scale=scale, axis=alt.Axis(tickCount=8))
    down = alt.Y("run:N", sort=shown, title=None, axis=alt.Axis(labelLimit=260, ticks=False, domain=False))
    tooltip: list[Any] = [
        "run:N",
        *(alt.Tooltip(f"{field}:Q", format=".2f") for field in ("value", "low", "high")),
    ]
    base = alt.Chart().encode(y=down, tooltip=tooltip)
    bar = base.mark_bar(height={"band": 0.72}, opacity=0.85).encode(
        x=across, color=alt.Color("run:N", scale=colours, legend=None)
    )
    interval = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=title), x2="high:Q")
    end = base.mark_text(align="left", dx=6, fontSize=13).encode(x=alt.X("end:Q", title=title), text="text:N")
    ended = [{**row, "end": row["high"] if row["high"] is not None else row["value"]} for row in rows]
    layered = alt.layer(bar, interval, end, data=data(ended))
    layered = layered.properties(width=560, height=max(40, 30 * len(shown)))
    if len(groups) < 2:
        return _finished(layered)
    header = alt.Header(labelFontSize=14, labelAnchor="start", labelOrient="top", labelAngle=0)
    facet = alt.Row("group:N", sort=list(groups), title=None, header=header)
    return _finished(layered.facet(row=facet))


def dots(
    rows: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    title: str,
    labels: Sequence[str],
    marks: Mapping[str, float],
) -> Any:
    """A dot a run with its interval, the runs below each other in the row of a label.

    Args:
        rows: {"run", "label", "value", "low", "high"}.
        names: the runs, in the order of their colours.
        title: of the axis of values.
        labels: their order, from above.
        marks: a value of each label that is drawn as a grey line, such as a ceiling or chance.
    """
    import altair as alt

    shown = [name for name in names if any(row["run"] == name for row in rows)]
    high = max(30, 15 * len(shown) + 10)
    axis = alt.Axis(labelLimit=280, labelFontSize=13, ticks=False, domain=False, grid=True, bandPosition=0)
    down = alt.Y(
        "label:N", sort=list(labels), title=None, axis=axis, scale=alt.Scale(domain=list(labels), padding=0)
    )
    offset = alt.YOffset("run:N", sort=shown, scale=alt.Scale(domain=shown, paddingOuter=0.9))
    spread = alt.Scale(zero=False, padding=8, nice=True)
    across = alt.X("value:Q", title=title, scale=spread, axis=alt.Axis(tickCount=8))
    tooltip: list[Any] = [
        "label:N",
        "run:N",
        *(alt.Tooltip(f"{field}:Q", format=".1f") for field in ("value", "low", "high")),
    ]
    base = _by_run(
        alt.Chart(data(rows)).encode(y=down, yOffset=offset, tooltip=tooltip), names, shown, dashed=False
    )
    interval = base.mark_rule(strokeWidth=2.2, opacity=0.7).encode(x=alt.X("low:Q", title=title), x2="high:Q")
    points = base.mark_point(filled=True, size=70, opacity=1).encode(x=across)
    ticks = alt.Chart(data([{"label": label, "value": value} for label, value in marks.items()]))
    ticks = ticks.mark_tick(thickness=2, size=high, color="#4D4D4D").encode(
        x=across, y=down, tooltip=["label:N", alt.Tooltip("value:Q", format=".1f")]
    )
    return _finished(alt.layer(ticks, interval, points).properties(width=520, height=high * len(labels)))


def mixes(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str], tasks: Sequence[str], axis: str, legend: str
) -> Any:
    """Heat maps side by side, one a run: tasks by layers, the embedding layer at the bottom.

    Args:
        rows: {"run", "task", "layer", "weight", "gamma"}.
        names: the runs, in order.
        tasks: their order.
        axis, legend: titles of the axis of layers and of the scale.
    """
    import altair as alt

    most = max(row["weight"] for row in rows)
    longest = max(map(width, tasks))
    upright = len(tasks) * longest * 8 <= 56 * len(tasks)
    depth = max(row["layer"] for row in rows) + 1  # of all, so that layers stand beside each other
    panels: list[Any] = []
    for name in names:
        mine = [row for row in rows if row["run"] == name]
        if not mine:
            continue
        labels: dict[str, Any] = {"labelFontSize": 12, "labelLimit": 160, "ticks": False, "domain": False}
        across = alt.X(
            "task:N", sort=list(tasks), title=None, axis=alt.Axis(labelAngle=0 if upright else -40, **labels)
        )
        layers = list(range(depth - 1, -1, -1))
        down = alt.Y(
            "layer:O",
            scale=alt.Scale(domain=layers),
            title=None if panels else axis,
            axis=alt.Axis(titlePadding=14, **labels),
        )
        shade = alt.Color(
            "weight:Q",
            scale=alt.Scale(domain=[0, max(most, 1e-6)], range=SHADES, interpolate="lab"),
            legend=alt.Legend(title=legend, format=".1f", tickCount=4, gradientLength=120),
        )
        tooltip: list[Any] = ["run:N", "task:N", "layer:O", alt.Tooltip("weight:Q", format=".4f")]
        tooltip += [alt.Tooltip("gamma:Q", format=".3f")]
        base = alt.Chart(data(mine)).encode(x=across, y=down)
        cells = base.mark_rect(stroke="white").encode(color=shade, tooltip=tooltip)
        figures = base.mark_text(fontSize=12).encode(
            text=alt.Text("weight:Q", format=".2f"), color=ink("weight", 0.6 * most), tooltip=tooltip
        )
        panels.append(
            alt.layer(cells, figures).properties(title=name, width=56 * len(tasks), height=28 * depth)
        )
    beside = max(1, 900 // (56 * len(tasks) + 60))
    return _finished(alt.concat(*panels, columns=beside, align="none"))


def _by_run(chart: Any, names: Sequence[str], shown: Sequence[str], dashed: bool = True) -> Any:
    import altair as alt

    colours, dashes = run_colours(names)
    legend = alt.Legend(
        title=None,
        orient="top",
        columns=4,
        symbolType="stroke",
        symbolStrokeWidth=3,
        symbolSize=300,
        values=list(shown),
    )
    chart = chart.encode(color=alt.Color("run:N", scale=colours, sort=list(names), legend=legend))
    if len(names) <= len(PALETTE) or not dashed:
        return chart
    return chart.encode(strokeDash=alt.StrokeDash("run:N", scale=dashes, sort=list(names), legend=legend))


def _finished(chart: Any) -> Any:
    return (
        chart.properties(background="white", padding=12)
        .configure_axis(labelFontSize=13, titleFontSize=14, titleFontWeight="normal", gridColor=_GRID)
        .configure_legend(labelFontSize=13, labelLimit=240, titleFontSize=13, titleFontWeight="normal")
        .configure_title(fontSize=14, anchor="start", offset=8)
        .configure_view(stroke=None)
    )
