"""Charts of senses: accuracy by layer, accuracy by run, and maps on which every use is a point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyseme.report.charts import data
from polyseme.report.language import Speaker

__all__ = ["COLOURS", "best_chart", "layers_chart", "looks", "map_chart", "words_chart"]

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#4D4D4D"]
"""Okabe and Ito's palette: told apart with every common kind of colour blindness. Shapes tell the same again."""
SHAPES = ["circle", "triangle-up", "square", "diamond", "cross", "triangle-down", "triangle-right"]
_GREY = "#4D4D4D"
_AXIS: dict[str, Any] = {"labelFontSize": 13, "titleFontSize": 14, "titleFontWeight": "normal"}
_LEGEND: dict[str, Any] = {
    "orient": "top",
    "title": None,
    "labelFontSize": 13,
    "labelLimit": 420,
    "direction": "vertical",
    "symbolSize": 90,
    "symbolOpacity": 1,
}


def looks(n: int) -> tuple[list[str], list[str]]:
    """Colours and shapes of n runs: beyond seven, the colours come again with other shapes."""
    rounds = [divmod(i, len(COLOURS)) for i in range(n)]
    return [COLOURS[i] for _, i in rounds], [SHAPES[(i + turn) % len(SHAPES)] for turn, i in rounds]


def layers_chart(document: Mapping[str, Any], say: Speaker) -> Any:
    """Nearest-neighbour accuracy over layers, the mean of all words: a line a run, a band its interval.

    The ceiling of static representations is dashed. A run with one layer is a point with a bar.
    """
    rows = [
        row
        for run in document["runs"]
        for row in _curve(run["name"], run["mean"]["layers"], document["words"][0]["word"])
    ]
    ceiling = document["mean"]["ceiling"]["value"]
    names = [run["name"] for run in document["runs"]]
    return _styled(_lines(rows, names, ceiling, say, 560, 320, len(names) > 1, True))


def words_chart(document: Mapping[str, Any], say: Speaker) -> Any:
    """The same for every word by itself, one small chart each, with one scale."""
    import altair as alt

    names = [run["name"] for run in document["runs"]]
    panels = []
    every: list[float] = []
    for place, word in enumerate(document["words"]):
        rows = [
            row
            for run in document["runs"]
            for row in _curve(run["name"], run["words"][place]["layers"], word["word"])
        ]
        every += [row["low"] for row in rows] + [word["ceiling"]["value"]]
        panels.append((word, rows))
    low = max(0.0, min(every) - 0.03)
    charts = [
        _lines(rows, names, word["ceiling"]["value"], say, 230, 150, len(names) > 1, False, low).properties(
            title=word["word"]
        )
        for word, rows in panels
    ]
    return _styled(alt.concat(*charts, columns=3, spacing=24), 14)


def _curve(name: str, layers: Sequence[Mapping[str, Any]], word: str) -> list[dict[str, Any]]:
    rows = []
    for one in layers:
        accuracy = one["nearest"]["accuracy"]
        row = {"run": name, "word": word, "layer": one["layer"], "only": len(layers) == 1}
        rows.append(row | {key: round(accuracy[key], 5) for key in ("value", "low", "high")})
    return rows


def _lines(
    rows: Sequence[dict[str, Any]],
    names: Sequence[str],
    ceiling: float,
    say: Speaker,
    wide: int,
    high: int,
    legend: bool,
    written: bool,
    low: float | None = None,
) -> Any:
    import altair as alt

    floor = max(0.0, min([row["low"] for row in rows] + [ceiling]) - 0.03) if low is None else low
    layers = sorted({row["layer"] for row in rows})
    x = alt.X(
        "at:Q",
        title=say("layer (0 = embeddings)") if written else say("layer"),
        scale=alt.Scale(domain=[layers[0] - 0.3, layers[-1] + 0.3], nice=False),
        axis=alt.Axis(values=layers, format="d", labelOverlap=True, grid=False, **_AXIS),
    )
    upright: dict[str, Any] = {
        "title": say("accuracy of the nearest neighbour") if written else None,
        "scale": alt.Scale(domain=[floor, 1.0], nice=False),
        "axis": alt.Axis(format=".2f", tickCount=6 if written else 4, **_AXIS),
    }
    y, y_low = alt.Y("value:Q", **upright), alt.Y("low:Q", **upright)
    colours, marks = looks(len(names))
    scale = alt.Scale(domain=list(names), range=colours)
    shapes = alt.Scale(domain=list(names), range=marks)
    shown = alt.Legend(**_LEGEND) if legend else None
    colour = alt.Color("run:N", scale=scale, sort=list(names), legend=shown)
    shape = alt.Shape("run:N", scale=shapes, sort=list(names), legend=shown)
    tooltip = [
        alt.Tooltip("run:N"),
        alt.Tooltip("layer:Q"),
        *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("value", "low", "high")),
    ]
    only = [name for name in names if any(row["run"] == name and row["only"] for row in rows)]
    beside = {name: 0.1 * (place - (len(only) - 1) / 2) for place, name in enumerate(only)}
    rows = [row | {"at": row["layer"] + beside.get(row["run"], 0.0)} for row in rows]
    base = alt.Chart(data(rows)).encode(x=x, tooltip=tooltip)
    band = (
        base.transform_filter("!datum.only")
        .mark_area(opacity=0.15)
        .encode(y=y_low, y2="high:Q", color=colour)
    )
    bar = (
        base.transform_filter("datum.only")
        .mark_rule(strokeWidth=2)
        .encode(y=y_low, y2="high:Q", color=colour)
    )
    line = base.transform_filter("!datum.only").mark_line(strokeWidth=2.2).encode(y=y, color=colour)
    points = base.mark_point(filled=True, size=55, opacity=1).encode(y=y, color=colour, shape=shape)
    words = say("always the most frequent sense: {value}", value=f"{ceiling:.3f}")
    mark = alt.Chart(data([{"value": ceiling, "at": layers[-1] + 0.3, "words": words}]))
    rule = mark.mark_rule(strokeDash=[6, 4], strokeWidth=2, color=_GREY).encode(y=y)
    parts = [band, bar, line, rule, points]
    if written:
        text: dict[str, Any] = {"align": "right", "dy": 16, "fontSize": 13}
        place = mark.encode(x=x, y=y, text="words:N")
        parts += [
            place.mark_text(**text, color="white", stroke="white", strokeWidth=4),
            place.mark_text(**text, color=_GREY),
        ]
    return alt.layer(*parts).properties(width=wide, height=high)


def best_chart(document: Mapping[str, Any], say: Speaker) -> Any:
    """Nearest-neighbour accuracy of every run at its best layer, over words and by word, with intervals."""
    import altair as alt

    names = [run["name"] for run in document["runs"]]
    places = [("", document["mean"]["ceiling"]["value"])] if len(document["words"]) > 1 else []
    places += [(word["word"], word["ceiling"]["value"]) for word in document["words"]]
    rows, rules = [], []
    for word, ceiling in places:
        rules.append({"word": word, "value": ceiling})
        for run in document["runs"]:
            best = (
                next(one for one in run["words"] if one["word"] == word)["best"]
                if word
                else run["mean"]["best"]
            )
            one = best["nearest"]["accuracy"]
            rows.append(
                {"word": word, "run": run["name"], **{k: round(one[k], 5) for k in ("value", "low", "high")}}
            )
    charts = []
    for word, ceiling in places:
        own = [row for row in rows if row["word"] == word]
        floor = max(0.0, min(ceiling, *(row["low"] for row in own)) - 0.02)
        scale = alt.Scale(domain=[floor, 1.0], nice=False)
        base = alt.Chart(data(own)).encode(
            y=alt.Y("run:N", sort=names, title=None, axis=alt.Axis(labelLimit=200, **_AXIS)),
            tooltip=["run:N", *(alt.Tooltip(f"{k}:Q", format=".3f") for k in ("value", "low", "high"))],
        )
        across = alt.Axis(format=".2f", tickCount=4, **_AXIS)
        x, low = (alt.X(f"{name}:Q", scale=scale, title=None, axis=across) for name in ("value", "low"))
        rule = (
            alt.Chart(data([one for one in rules if one["word"] == word]))
            .mark_rule(strokeDash=[6, 4], strokeWidth=2, color=_GREY)
            .encode(x=x)
        )
        bars = base.mark_rule(strokeWidth=3, color=COLOURS[0]).encode(x=low, x2="high:Q")
        points = base.mark_point(filled=True, size=80, opacity=1, color=COLOURS[0]).encode(x=x)
        charts.append(
            alt.layer(rule, bars, points).properties(
                title=word or say("mean of the words"), width=210, height=26 * len(names)
            )
        )
    return _styled(alt.concat(*charts, columns=3, spacing=24), 14)


def map_chart(document: Mapping[str, Any], place: int, say: Speaker) -> Any:
    """The map of one word: a panel a run, every use a point with its sentence on hover, one legend for all.

    Args:
        document: of `Senses`.
        place: number of the word.
        say: who says the words.
    """
    import altair as alt

    word = document["words"][place]
    labelled = document["labelled"]
    runs = document["runs"]
    size = 440 if len(runs) == 1 else 360 if len(runs) == 2 else 264
    if labelled:
        total = [one["uses"] for one in word["senses"]]
        labels = [f"{one['sense']} ({n:,})" for one, n in zip(word["senses"], total, strict=True)]
        panels = [
            _panel(run, run["words"][place], number, labels, size, say, None)
            for number, run in enumerate(runs)
        ]
        rows = _points(word["drawn"], [run["words"][place]["map"] for run in runs])
        for row, point in zip(rows, word["drawn"], strict=True):
            row["sense"] = labels[point["sense"]]
        rows.sort(key=lambda row: labels.index(row["sense"]))  # rare senses lie on top
        chart = alt.concat(*panels, data=data(rows), columns=3, spacing=20)
        return _styled(chart, 14)
    panels = []
    for number, run in enumerate(runs):
        entry = run["words"][place]
        labels = [
            say("group {n} ({uses})", n=n, uses=f"{one['uses']:,}")
            for n, one in enumerate(entry["groups"], 1)
        ]
        rows = _points(word["drawn"], [one["words"][place]["map"] for one in runs])
        for row, group in zip(rows, entry["map"]["group"], strict=True):
            row["sense"] = labels[group]
        panels.append(_panel(run, entry, number, labels, size, say, rows))
    whole = alt.concat(*panels, columns=3, spacing=20).resolve_scale(color="independent", shape="independent")
    return _styled(whole, 14)


def _points(drawn: Sequence[Mapping[str, Any]], maps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row a use: its context and its place on the map of every run."""
    return [
        {
            "context": f"{one['before']}【{one['form']}】{one['after']}",
            **{f"{axis}{number}": m[axis][i] for number, m in enumerate(maps) for axis in ("x", "y")},
        }
        for i, one in enumerate(drawn)
    ]


def _panel(
    run: Mapping[str, Any],
    entry: Mapping[str, Any],
    number: int,
    labels: Sequence[str],
    size: int,
    say: Speaker,
    rows: Sequence[Mapping[str, Any]] | None,
) -> Any:
    """One run's map of one word; without rows it takes the data of the whole chart."""
    import altair as alt

    found = entry["map"]
    xs, ys = found["x"], found["y"]
    half = max(max(xs) - min(xs), max(ys) - min(ys), 1e-9) / 2 * 1.06
    layer = next(one for one in entry["layers"] if one["layer"] == found["layer"])
    title, more = say("{run}, layer {layer}", run=run["name"], layer=found["layer"]), ""
    if layer["dots"] == 1:
        half, more = 1.0, say("one dot: all uses have the same vector")
    elif layer["dots"] is not None:
        more = say("{n} dots, whatever stands around them", n=layer["dots"])
    elif "nearest" in layer:
        more = say("nearest neighbour {value}", value=f"{layer['nearest']['accuracy']['value']:.3f}")

    def axis(name: str, values: Sequence[float]) -> dict[str, Any]:
        middle = (max(values) + min(values)) / 2
        scale = alt.Scale(domain=[middle - half, middle + half], nice=False, zero=False)
        return {"shorthand": f"{name}{number}:Q", "scale": scale, "axis": None}

    x, y = alt.X(**axis("x", xs)), alt.Y(**axis("y", ys))
    # blank titles of different lengths: of two that are alike only the first is shown
    tooltip = [alt.Tooltip("context:N", title=" "), alt.Tooltip("sense:N", title="  ")]
    shown = [COLOURS[i] if i < len(COLOURS) else "#999999" for i in range(len(labels))]
    shapes = [SHAPES[i % len(SHAPES)] for i in range(len(labels))]
    legend = alt.Legend(**_LEGEND)
    colour = alt.Color(
        "sense:N", sort=list(labels), legend=legend, scale=alt.Scale(domain=labels, range=shown)
    )
    shape = alt.Shape(
        "sense:N", sort=list(labels), legend=legend, scale=alt.Scale(domain=labels, range=shapes)
    )
    base = alt.Chart(data(rows)) if rows is not None else alt.Chart()
    mark: dict[str, Any] = {
        "filled": True,
        "size": 34 if size > 300 else 24,
        "opacity": 0.72,
        "strokeWidth": 0,
    }
    points = base.mark_point(**mark).encode(x=x, y=y, color=colour, shape=shape, tooltip=tooltip)
    if layer["dots"] == 1:  # whatever the senses are, there is one place for all of them
        dot = alt.Chart(data([{f"x{number}": xs[0], f"y{number}": ys[0]}])).encode(x=x, y=y)
        points = alt.layer(
            points, dot.mark_point(filled=True, size=260, color=_GREY, opacity=1, tooltip=None)
        )
    return points.properties(
        width=size,
        height=size,
        title=alt.TitleParams(title, subtitle=more, subtitleFontSize=12, subtitleColor="#59636E"),
    )


def _styled(chart: Any, title: int = 16) -> Any:
    return (
        chart.properties(background="white", padding=14)
        .configure_axis(gridColor="#E6E6E6")
        .configure_title(fontSize=title, anchor="start", offset=6, fontWeight="bold")
        .configure_view(stroke="#D8DEE4")
    )
