"""Charts of senses: accuracy by layer, accuracy by run, and maps on which every use is a point."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from polyseme.report.charts import data
from polyseme.report.language import Speaker
from polyseme.report.senses_text import FIGURES, headline

__all__ = ["COLOURS", "Dot", "best_chart", "layers_chart", "looks", "map_chart", "numbered", "words_chart"]

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
    """The nearest neighbours' figure over layers, the mean of all words: a line a run, a band its interval.

    The ceiling of static representations is dashed. A run with one layer is a point with a bar.
    """
    figure = document["mean"].get("headline", "accuracy")
    rows = [
        row
        for run in document["runs"]
        for row in _curve(run["name"], run["mean"]["layers"], document["words"][0]["word"], figure)
    ]
    ceiling = _ceiling(document["mean"]["ceiling"], figure)
    names = [run["name"] for run in document["runs"]]
    title = say("{figure} of the nearest neighbour", figure=say(FIGURES[figure]))
    return _styled(_lines(rows, names, ceiling, say, 560, 320, len(names) > 1, title))


def _ceiling(found: Mapping[str, Any], figure: str) -> float:
    """What always saying the most frequent sense gives of a figure."""
    value = found["value"] if figure == "accuracy" else found[figure]
    return float(value)


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
            for row in _curve(run["name"], run["words"][place]["layers"], word["word"], _figure(word))
        ]
        every += [row["low"] for row in rows] + [_ceiling(word["ceiling"], _figure(word))]
        panels.append((word, rows))
    low = max(0.0, min(every) - 0.03)
    charts = []
    for word, rows in panels:
        ceiling = _ceiling(word["ceiling"], _figure(word))
        chart = _lines(rows, names, ceiling, say, 230, 150, len(names) > 1, "", low)
        charts.append(chart.properties(title=_titled(word, say)))
    return _styled(alt.concat(*charts, columns=3, spacing=24), 14)


def _figure(word: Mapping[str, Any]) -> str:
    return str(word.get("headline", "accuracy"))


def _titled(word: Mapping[str, Any], say: Speaker) -> str:
    """A word, and its figure where that is not accuracy."""
    figure = _figure(word)
    return str(word["word"]) if figure == "accuracy" else f"{word['word']}, {say(FIGURES[figure])}"


def _curve(name: str, layers: Sequence[Mapping[str, Any]], word: str, figure: str) -> list[dict[str, Any]]:
    rows = []
    for one in layers:
        accuracy = one["nearest"][figure]
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
    written: str,
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
        "title": written or None,
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
    """The nearest neighbours' figure of every run at its best layer, over words and by word, with intervals."""
    import altair as alt

    names = [run["name"] for run in document["runs"]]
    mean, figure = document["mean"], document["mean"].get("headline", "accuracy")
    titles = {"": say("mean of the words")}
    if figure != "accuracy":
        titles[""] += f", {say(FIGURES[figure])}"
    titles |= {word["word"]: _titled(word, say) for word in document["words"]}
    places = [("", _ceiling(mean["ceiling"], figure))] if len(document["words"]) > 1 else []
    places += [(word["word"], _ceiling(word["ceiling"], _figure(word))) for word in document["words"]]
    rows, rules = [], []
    for word, ceiling in places:
        rules.append({"word": word, "value": ceiling})
        for run in document["runs"]:
            best = (
                next(one for one in run["words"] if one["word"] == word)["best"]
                if word
                else run["mean"]["best"]
            )
            one = headline(best["nearest"])
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
            alt.layer(rule, bars, points).properties(title=titles[word], width=210, height=26 * len(names))
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
            _panel(run, run["words"][place], number, labels, size, say, None, word)
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
        panels.append(_panel(run, entry, number, labels, size, say, rows, word))
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


class Dot(NamedTuple):
    """A point of a map on which several uses lie.

    Args:
        number: from 1, by how many uses.
        x, y: where it lies.
        uses: numbers of the drawn uses.
        forms, senses: how these are written, and their senses' numbers, with how many uses; most first.
    """

    number: int
    x: float
    y: float
    uses: list[int]
    forms: list[tuple[str, int]]
    senses: list[tuple[int, int]]


def numbered(entry: Mapping[str, Any], drawn: Sequence[Mapping[str, Any]]) -> list[Dot]:
    """The points of a run's map of a word on which its uses lie; none where context moves every use."""
    found = entry["map"]
    layer = next(one for one in entry["layers"] if one["layer"] == found["layer"])
    if layer["dots"] is None or not drawn:
        return []
    xs, ys = found["x"], found["y"]
    near = 1e-3 * max(max(xs) - min(xs), max(ys) - min(ys), 1e-6)
    places: list[list[int]] = []
    for use, (x, y) in enumerate(zip(xs, ys, strict=True)):
        same = next((one for one in places if max(abs(x - xs[one[0]]), abs(y - ys[one[0]])) < near), None)
        if same is None:
            places.append([use])
        else:
            same.append(use)
    points = []
    for number, uses in enumerate(sorted(places, key=lambda uses: (-len(uses), uses[0])), 1):
        forms = Counter(drawn[use]["form"] for use in uses).most_common()
        senses = Counter(drawn[use]["sense"] for use in uses if "sense" in drawn[use]).most_common()
        points.append(Dot(number, xs[uses[0]], ys[uses[0]], uses, forms, senses))
    return points


def _panel(
    run: Mapping[str, Any],
    entry: Mapping[str, Any],
    number: int,
    labels: Sequence[str],
    size: int,
    say: Speaker,
    rows: Sequence[Mapping[str, Any]] | None,
    word: Mapping[str, Any],
) -> Any:
    """One run's map of one word; without rows it takes the data of the whole chart."""
    import altair as alt

    found = entry["map"]
    xs, ys = found["x"], found["y"]
    half = max(max(xs) - min(xs), max(ys) - min(ys), 1e-9) / 2 * 1.06
    layer = next(one for one in entry["layers"] if one["layer"] == found["layer"])
    title, more = say("{run}, layer {layer}", run=run["name"], layer=found["layer"]), ""
    if layer["dots"] == 1:
        half, more = 1.0, say("one point: all {n} uses have the same vector", n=f"{word['uses']:,}")
    elif layer["dots"] is not None:
        more = say(
            "{n} points for {uses} uses, whatever stands around them",
            n=layer["dots"],
            uses=f"{word['uses']:,}",
        )
    elif "nearest" in layer:
        figure = headline(entry["best"]["nearest"])["figure"]
        more = say("nearest neighbour {value}", value=f"{layer['nearest'][figure]['value']:.3f}")
        if figure != "accuracy":
            more += f", {say(FIGURES[figure])}"

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
    if layer["dots"] is not None:  # whatever the senses are, all uses of a form have one place
        places = [
            {f"x{number}": dot.x, f"y{number}": dot.y, "number": str(dot.number), "uses": len(dot.uses)}
            for dot in numbered(entry, word["drawn"])
        ]
        dot = alt.Chart(data(places)).encode(x=x, y=y)
        points = alt.layer(
            points,
            dot.mark_point(filled=True, size=420, color=_GREY, opacity=1, tooltip=None),
            dot.mark_text(color="white", fontSize=13, fontWeight="bold", tooltip=None).encode(
                text="number:N"
            ),
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
