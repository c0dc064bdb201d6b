"""Pictures of a probing study: layer weights and scores of a task, layers of all tasks, scores against controls.

Source: Tenney et al. (2019b), Figures 1 and 2. Departures: weights, cumulative and differential scores stand above one
another with one axis of layers; intervals are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from polyseme.report.charts import data
from polyseme.report.language import Speaker

if TYPE_CHECKING:
    import altair as alt

__all__ = ["controls_chart", "layers_chart", "overview_rows", "shown", "task_chart"]

# Okabe and Ito's palette
_BLUE, _SKY, _ORANGE, _GREEN, _PURPLE, _YELLOW, _GREY = (
    "#0072B2",
    "#56B4E9",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#4D4D4D",
)
_MARKS = {
    "centre_of_gravity": ("centre of gravity", _ORANGE, "circle"),
    "expected_layer": ("expected layer", _BLUE, "square"),
    "expected_layer_clipped": ("expected layer, losses as 0", _GREEN, "triangle-up"),
}
_SCORES = {
    "score": ("all layers", _BLUE, "circle"),
    "layer_0": ("layer 0 alone", _GREEN, "square"),
    "random_encoder": ("random encoder", _ORANGE, "triangle-up"),
    "random_labels": ("random labels", _PURPLE, "diamond"),
    "most_frequent": ("most frequent label", _GREY, "cross"),
}
_ROW = 54
PERCENT = 100


def task_chart(name: str, task: Mapping[str, Any], say: Speaker) -> alt.VConcatChart:
    """The layers of a task: mixing weights, cumulative scores, and what each layer adds.

    Args:
        name: of the task.
        task: of the document; it has "mix", and may have "cumulative".
        say: the page's words.
    """
    import altair as alt

    panels = [_weights(task["mix"], say)]
    if task["cumulative"]:
        panels += [_cumulative(task, say), _differences(task["cumulative"], say)]
    chart: alt.VConcatChart = (
        alt.vconcat(*panels, spacing=22)
        .properties(title=name, background="white", padding=12)
        .configure_axis(labelFontSize=13, titleFontSize=13, titleFontWeight="normal", gridColor="#EDEDED")
        .configure_title(fontSize=14, anchor="start", fontWeight="normal", frame="group", offset=6)
        .configure_view(stroke=None)
    )
    return chart


def _weights(mix: Mapping[str, Any], say: Speaker) -> Any:
    import altair as alt

    rows = _rows(mix["weights"])
    x = _layers(len(rows), "")
    y = alt.Y("value:Q", title=say("weight"), axis=alt.Axis(format=".2f", tickCount=4))
    bars = alt.Chart(data(rows)).mark_bar(size=_bar(len(rows)), color=_SKY).encode(x=x, y=y, tooltip=_TIP)
    uniform = alt.Chart(data([{"value": 1 / len(rows)}])).mark_rule(strokeDash=[5, 4], color=_GREY)
    centre = mix["centre_of_gravity"]
    title = say("Mixing weights")
    if centre["value"] is not None:
        title = say("Mixing weights: centre of gravity {value}", value=shown(centre, 2))
    return _panel(
        [bars, uniform.encode(y="value:Q"), *_limits(rows, x), *_at(centre, _ORANGE)], title, len(rows)
    )


def _cumulative(task: Mapping[str, Any], say: Speaker) -> Any:
    import altair as alt

    rows = _rows(task["cumulative"]["scores"], PERCENT)
    x = _layers(len(rows), "")
    y, middle = (
        alt.Y(field, title=say("score, %"), scale=alt.Scale(zero=False, padding=6), axis=_few())
        for field in ("low:Q", "value:Q")
    )
    base = alt.Chart(data(rows)).encode(x=x)
    band = base.mark_area(opacity=0.22, color=_BLUE).encode(y=y, y2="high:Q")
    line = base.mark_line(color=_BLUE, strokeWidth=2.5, point=alt.OverlayMarkDef(size=46, color=_BLUE))
    return _panel([band, line.encode(y=middle, tooltip=_TIP)], say("Score with layers 0 to l"), len(rows))


def _differences(cumulative: Mapping[str, Any], say: Speaker) -> Any:
    import altair as alt

    n = len(cumulative["scores"])
    rows = _rows(cumulative["differences"], PERCENT, first=1)
    x = _layers(n, say("layer (0 = embeddings)"))
    y = alt.Y("value:Q", title=say("gain, points"), axis=_few())
    bars = alt.Chart(data(rows)).mark_bar(size=_bar(n), color=_PURPLE).encode(x=x, y=y, tooltip=_TIP)
    zero = alt.Chart(data([{"value": 0}])).mark_rule(color=_GREY).encode(y="value:Q")
    expected = cumulative["expected_layer"]
    title = say("What layer l adds")
    if expected["value"] is not None:
        title = say("What layer l adds: expected layer {value}", value=shown(expected, 2))
    return _panel([bars, zero, *_limits(rows, x), *_at(expected, _BLUE)], title, n)


_TIP = ["layer:Q", "value:Q", "low:Q", "high:Q"]


def _few() -> alt.Axis:
    import altair as alt

    return alt.Axis(tickCount=4)


def _panel(marks: Sequence[Any], title: str, n: int) -> Any:
    import altair as alt

    return alt.layer(*marks).properties(width=min(640, max(290, 30 * n)), height=120, title=title)


def _bar(n: int) -> float:
    return max(5.0, min(26.0, 0.62 * min(640, max(290, 30 * n)) / n))


def _layers(n: int, title: str) -> alt.X:
    import altair as alt

    step = 1 if n <= 16 else 2 if n <= 32 else 4
    axis = alt.Axis(values=list(range(0, n, step)), format="d", grid=False)
    return alt.X(
        "layer:Q",
        title=title or None,
        scale=alt.Scale(domain=[-0.6, n - 0.4], nice=False, padding=0),
        axis=axis,
    )


def _rows(figures: Sequence[Mapping[str, Any]], times: float = 1, first: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "layer": layer,
            **{
                key: None if one[key] is None else round(times * one[key], 4)
                for key in ("value", "low", "high")
            },
        }
        for layer, one in enumerate(figures, first)
    ]


def _limits(rows: Sequence[Mapping[str, Any]], x: alt.X) -> list[Any]:
    """The intervals of bars, where there are some."""
    import altair as alt

    known = [row for row in rows if row["low"] is not None]
    if not known:
        return []
    return [
        alt.Chart(data(known)).mark_rule(color="#1F2328", strokeWidth=1.3).encode(x=x, y="low:Q", y2="high:Q")
    ]


def _at(figure: Mapping[str, Any], colour: str) -> list[Any]:
    """An upright line at a layer that need not be a whole number."""
    import altair as alt

    if figure["value"] is None:
        return []
    line = alt.Chart(data([{"layer": round(figure["value"], 4)}]))
    return [line.mark_rule(color=colour, strokeWidth=2.5, clip=True).encode(x="layer:Q")]


def layers_chart(document: Mapping[str, Any], say: Speaker) -> alt.LayerChart:
    """Centres of gravity and expected layers of all tasks."""
    rows = overview_rows(document, say)
    last = document["layers"] - 1
    return _dots(rows, _names(_MARKS, rows, say), say("layer (0 = embeddings)"), [0, last], "d")


def controls_chart(document: Mapping[str, Any], say: Speaker) -> alt.LayerChart:
    """Scores of all tasks, and those of the controls."""
    rows = []
    for name, task in document["tasks"].items():
        figures = {"score": task["score"], "most_frequent": task["most_frequent"]}
        figures |= {key: one["score"] for key, one in task["controls"].items()}
        rows += [_dot(name, say(_SCORES[key][0]), one, PERCENT) for key, one in figures.items()]
    return _dots(rows, _names(_SCORES, rows, say), say("micro-F1, %"), [0, PERCENT], "d")


def overview_rows(document: Mapping[str, Any], say: Speaker) -> list[dict[str, Any]]:
    """A row a task and figure that is known: {"task", "figure", "value", "low", "high"}."""
    rows = []
    for name, task in document["tasks"].items():
        figures = {"centre_of_gravity": (task["mix"] or {}).get("centre_of_gravity")}
        figures |= {key: (task["cumulative"] or {}).get(key) for key in _MARKS if key not in figures}
        for key, one in figures.items():
            if one is not None and one["value"] is not None:
                rows.append(_dot(name, say(_MARKS[key][0]), one))
    return rows


def _dot(task: str, figure: str, one: Mapping[str, Any], times: float = 1) -> dict[str, Any]:
    """Without an interval it is as wide as its point."""
    value = one["value"] or 0.0
    low = value if one["low"] is None else one["low"]
    high = value if one["high"] is None else one["high"]
    numbers = {"value": value, "low": low, "high": high}
    return {"task": task, "figure": figure, **{key: round(times * x, 4) for key, x in numbers.items()}}


def _names(
    marks: Mapping[str, tuple[str, str, str]], rows: Sequence[Mapping[str, Any]], say: Speaker
) -> list[tuple[str, str, str]]:
    """Names, colours and shapes of the figures that there are."""
    there = {row["figure"] for row in rows}
    return [(say(name), colour, shape) for name, colour, shape in marks.values() if say(name) in there]


def _dots(
    rows: Sequence[Mapping[str, Any]],
    names: Sequence[tuple[str, str, str]],
    title: str,
    domain: Sequence[float],
    form: str,
) -> alt.LayerChart:
    """A row a task, a point a figure, beside each other with their intervals."""
    import altair as alt

    tasks = list(dict.fromkeys(row["task"] for row in rows))
    sort = [name for name, _, _ in names]
    legend = alt.Legend(
        title=None, orient="top", direction="vertical", columns=2, symbolSize=110, labelLimit=260
    )
    x = alt.X(
        "value:Q",
        title=title,
        scale=alt.Scale(domain=list(domain), nice=False),
        axis=alt.Axis(format=form, tickMinStep=1, tickCount=10),
    )
    y = alt.Y("task:N", sort=tasks, title=None, axis=alt.Axis(labelLimit=150, ticks=False, labelPadding=6))
    colours = alt.Scale(domain=sort, range=[colour for _, colour, _ in names])
    colour = alt.Color("figure:N", scale=colours, sort=sort, legend=legend)
    shape = alt.Shape(
        "figure:N",
        scale=alt.Scale(domain=sort, range=[shape for _, _, shape in names]),
        sort=sort,
        legend=legend,
    )
    tip = ["task:N", "figure:N", "value:Q", "low:Q", "high:Q"]
    base = alt.Chart(data(rows)).encode(y=y, yOffset=alt.YOffset("figure:N", sort=sort))
    reach = base.mark_rule(strokeWidth=2, clip=True).encode(
        x=alt.X("low:Q", title=title), x2="high:Q", color=colour
    )
    points = base.mark_point(filled=True, size=85, opacity=1, clip=True).encode(
        x=x, color=colour, shape=shape, tooltip=tip
    )
    chart: alt.LayerChart = (
        alt.layer(reach, points)
        .properties(width=430, height=max(80, _ROW * len(tasks)), background="white", padding=12)
        .configure_axis(labelFontSize=13, titleFontSize=13, titleFontWeight="normal", gridColor="#EDEDED")
        .configure_legend(labelFontSize=13, symbolStrokeWidth=0)
        .configure_view(stroke="#D0D0D0")
    )
    return chart


def shown(figure: Mapping[str, Any] | None, digits: int, times: float = 1) -> str:
    """A figure with its interval: "3.21 (2.95 … 3.40)"; a dash where it is not known."""
    if figure is None or figure["value"] is None:
        return "—"
    value = f"{times * figure['value']:.{digits}f}"
    if figure["low"] is None:
        return value
    return f"{value} ({times * figure['low']:.{digits}f} … {times * figure['high']:.{digits}f})"
