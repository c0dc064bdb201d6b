"""Seven kinds of chart, from which all charts are made. Colours, fonts, axes, hover texts and sizes are set here alone.

    lines     a line a series, over time, tokens or layers; intervals are bands
    bars      a bar a label and series, lying or upright; intervals are thin lines
    dots      a dot a label and series, with its interval
    heatmap   shaded cells of two axes, perhaps with their figures
    scatter   a map on which every text is a point
    links     lines between two columns of tokens
    tree      branches from a root on the left to named leaves on the right

To add a chart to the page of a study, touch two files:

1.  report/STUDY.py, here senses.py: make rows, a dictionary a mark; say which field goes on which axis; put the chart
    among the parts that `senses_parts` returns, in every case in which it makes sense. The page, its pictures (.svg,
    .png) and the study's section of a comparison are made from these parts; a terminal shows none of the charts.

        def uses_chart(document, say):
            rows = [{"word": word["word"], "uses": word["uses"]} for word in document["words"]]
            return bars(rows, Axis("word"), Axis("uses", say("uses"), ",d"))

        name, caption, described = f"{prefix}senses_uses", say("Uses of each word."), say("Bars of uses by word")
        Figure(name, uses_chart(document, say), caption, described)

2.  report/zh.toml, [phrases]: the Chinese of everything that is said, each once, whatever its case; a test names what
    is missing there. A test of the study names its pictures (tests/unit/report).

Rows with "low" and "high" show them as their interval. Several charts stand `beside` each other. Each kind returns a
specification of Vega-Lite (https://vega.github.io/vega-lite/docs/) without the colours of paper and ink: `theme` has
those, for light and for dark. The same specification becomes .svg and .png without a browser (report/files.py), and
.html with the drawing library inside, so that it opens without a network (report/page.py).
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from polyseme.report.figures import width
from polyseme.text.clean import replace_surrogates
from polyseme.text.words import has_cjk

__all__ = [
    "PALETTE",
    "Axis",
    "Chart",
    "Rule",
    "Series",
    "bars",
    "beside",
    "dots",
    "heatmap",
    "lines",
    "links",
    "looks",
    "scatter",
    "theme",
    "tree",
]

Rows = Sequence[Mapping[str, Any]]
"""A dictionary a mark."""

BLUE, VERMILION, GREEN, ORANGE, PINK, SKY, GREY = PALETTE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#E69F00",
    "#CC79A7",
    "#56B4E9",
    "#767676",
)
"""Okabe and Ito's, without the yellow that white paper swallows and with a grey that is seen on black: told apart with
every common kind of colour blindness. Shapes tell the same again."""
SHAPES = ("circle", "triangle-up", "square", "diamond", "cross", "triangle-down", "triangle-right")
SHADES = ("#F7FBFF", "#C6DBEF", "#6BAED6", "#2171B5", "#08306B")
"""One hue from light to dark: read alike with every kind of colour blindness, and in grey."""

_SANS = '"Helvetica Neue", Arial, "Liberation Sans", sans-serif'
_CHINESE = (
    '"Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "PingFang SC", "Microsoft YaHei", '
    '"WenQuanYi Micro Hei", "Noto Serif CJK SC", sans-serif'
)
"""Of pictures with Chinese: its Latin letters are drawn with it, too, so that a picture has one typeface."""


_DENSE = 100
"""Points of a line up to which each is marked with a dot."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A field of the rows that is placed along an axis, or shown by shade or on hover.

    Args:
        field: of the rows.
        title: in the page's language.
        format: of its numbers on hover, as d3 writes them: ".2f"; with "%" the ticks are percents, too.
        domain: from, to; where None, what the rows need.
        integers: it has no values between integers, such as layers: nor has its axis ticks.
        log: its axis is logarithmic.
    """

    field: str
    title: str = ""
    format: str = ""
    domain: tuple[float, float] | None = None
    integers: bool = False
    log: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """A field whose values are told apart by colour and shape, such as runs.

    Args:
        field: of the rows.
        names: its values in the order of their colours; those without rows keep theirs, so that a run looks the same
            in every chart.
        colours, shapes: of each name; by default those of `looks`.
        legend: whether there is one.
    """

    field: str
    names: Sequence[str]
    colours: Sequence[str] = ()
    shapes: Sequence[str] = ()
    legend: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """A dashed grey line at a value, such as chance, and words beside it."""

    value: float
    words: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart.

    Args:
        spec: of Vega-Lite, without its theme.
        elastic: a page may make it as wide as there is room.
    """

    spec: Mapping[str, Any]
    elastic: bool = False

    @property
    def chinese(self) -> bool:
        """Whether there are Chinese words in it."""
        return has_cjk(json.dumps(self.spec, ensure_ascii=False))

    def to_dict(self) -> dict[str, Any]:
        """The whole specification of a picture: of its own size, on white paper."""
        clean = replace_surrogates(json.dumps(self.spec, ensure_ascii=False))  # file names need not be UTF-8
        return {**json.loads(clean), "config": theme(chinese=has_cjk(clean))}


def theme(dark: bool = False, chinese: bool = False) -> dict[str, Any]:
    """Fonts, sizes, and the colours of paper and ink: Vega-Lite's config.

    Args:
        dark: for light ink on dark paper.
        chinese: whether the chart has Chinese words.
    """
    ink, soft, line, paper = (
        ("#e6edf3", "#9198a1", "#3d444d", "#0d1117") if dark else ("#1f2328", "#59636e", "#e6e6e6", "#ffffff")
    )
    words = {"labelColor": ink, "titleColor": ink, "titleFontWeight": "normal", "labelFontSize": 13}
    strokes = {"gridColor": line, "domainColor": soft, "tickColor": soft}
    above = {"anchor": "start", "frame": "group", "offset": 8, "subtitleFontSize": 12}
    reference = {"color": GREY, "fontSize": 13, "strokeWidth": 1.8}
    return {
        "font": _CHINESE if chinese else _SANS,
        "background": paper,
        "padding": 12,
        "axis": {
            **words,
            "titleFontSize": 14,
            "titleLimit": 600,
            "labelLimit": 280,
            "labelSeparation": 8,
            **strokes,
        },
        "axisBand": {"ticks": False, "domain": False, "grid": False, "labelPadding": 6},
        "legend": {**words, "titleFontSize": 13, "labelLimit": 420, "titleLimit": 300, "symbolSize": 90},
        "title": {"color": ink, "fontSize": 15, "subtitleColor": soft, **above},
        "view": {"stroke": None},
        "rect": {"stroke": paper},
        "rule": {"color": ink},
        "text": {"color": ink, "fontSize": 12},
        "style": {
            "reference": {**reference, "strokeDash": [6, 4]},
            "reference-words": reference,
            "halo": {"color": paper, "stroke": paper, "strokeWidth": 5},
        },
    }


def looks(n: int) -> tuple[list[str], list[str]]:
    """Colours and shapes of n series: beyond seven, the colours come again with other shapes."""
    rounds = [divmod(i, len(PALETTE)) for i in range(n)]
    return [PALETTE[i] for _, i in rounds], [SHAPES[(i + turn) % len(SHAPES)] for turn, i in rounds]


def lines(
    rows: Rows,
    x: Axis,
    y: Axis,
    by: Series,
    rule: Rule | None = None,
    ends: Sequence[str] = (),
    size: tuple[int, int] = (560, 320),
    title: str = "",
) -> Chart:
    """A line a series, with its interval as a band; a series of one point is a dot with a bar.

    Args:
        rows: points with the fields of both axes and of the series, and perhaps "low" and "high".
        x, y: what goes across and up.
        by: the series.
        rule: a dashed line across.
        ends: series whose last value is written.
        size: pixels across and up.
        title: stands above.
    """
    times = Counter(row[by.field] for row in rows)
    kinds = {name: "dot" if n == 1 else "line" if n <= _DENSE else "dense" for name, n in times.items()}
    # dots of several series would lie on each other, so they stand side by side
    alone = [name for name in by.names if kinds.get(name) == "dot"] if x.integers else []
    aside = {name: 0.1 * (place - (len(alone) - 1) / 2) for place, name in enumerate(alone)}
    points = [
        {**row, "kind": kinds[row[by.field]], "at": row[x.field] + aside.get(row[by.field], 0)}
        for row in rows
    ]
    across = _position(x, [row[x.field] for row in rows], zero=True) | {"field": "at"}
    up = _position(y)
    colour, shape = _by(by, rows, size[0]), _by(by, rows, size[0], "shape")
    transform, tooltip = _hover([Axis(by.field), x], y, rows)
    limits = {"y": {**up, "field": "low"}, "y2": {"field": "high"}}
    drawn = set(kinds.values()) if _measured(rows) else set()
    layers = []
    if drawn - {"dot"}:
        layers.append(_layer("area", limits, only="datum.kind != 'dot'", opacity=0.15))
    if "dot" in drawn:
        layers.append(_layer("rule", limits, only="datum.kind == 'dot'", strokeWidth=2))
    seen = {"condition": {"test": "datum.kind == 'dense'", "value": 0}, "value": 1}
    layers += [
        _layer("line", {"y": up}, strokeWidth=2.2),
        _layer("point", {"y": up, "shape": shape, "opacity": seen, "tooltip": tooltip}, filled=True, size=50),
    ]
    curves = _layer(layers, {"x": across, "color": colour}, points, transform)
    last = [row for row in {row[by.field]: row for row in points}.values() if row[by.field] in ends]
    place = {"x": across, "y": up, "text": {"field": y.field, "format": ".2f"}}
    look: dict[str, Any] = {"align": "right", "dy": -14, "fontSize": 14, "fontWeight": "bold"}
    written = [_layer("text", place, last, style="halo", **look)]
    written += [_layer("text", {**place, "color": colour}, last, **look)]
    return _chart([curves, *_ruled(rule, up, "y"), *(written if last else [])], size, title, elastic=True)


def bars(
    rows: Rows,
    label: Axis,
    value: Axis,
    labels: Sequence[str] | None = None,
    by: Series | None = None,
    colour: str = BLUE,
    text: str = "",
    rule: Rule | None = None,
    marks: Sequence[tuple[float, str]] = (),
    upright: bool = False,
    size: tuple[int, int] | None = None,
    title: str = "",
) -> Chart:
    """A bar a label, or a label and series, with its interval.

    Args:
        rows: with the fields of the label, the value and the series, and perhaps "low" and "high".
        label: what each bar stands for; integers such as layers have their place on an axis.
        value: what a bar is long as.
        labels: their order; that of the rows when absent.
        by: the series; where it is the label itself, it gives the colours alone.
        colour: of all bars without series.
        text: field that is written at the end of a bar.
        rule: a dashed line across all bars.
        marks: (label, colour) of lines along the bars, which may lie between integers.
        upright: bars stand, labels are below them.
        size: pixels across and up; by default a line of text a bar.
        title: stands above.
    """
    along, across = ("x", "y") if upright else ("y", "x")
    labels = [*dict.fromkeys(str(row[label.field]) for row in rows)] if labels is None else labels
    there = _there(by, rows)
    grouped = by is not None and by.field != label.field and len(there) > 1
    size = size or (520, len(labels) * ((16 * len(there) + 8) if grouped else 28))
    look: dict[str, Any] = {"opacity": 0.85}
    if label.integers:
        place = _position(label, [row[label.field] for row in rows], margin=0.6)
        low, high = place["scale"]["domain"]
        look["size"] = max(5.0, min(26.0, 0.62 * size[0] / (high - low)))
    else:
        place = _names(label, labels, paddingInner=0.25, paddingOuter=0.1)
    encoding: dict[str, Any] = {along: place}
    if by is None:
        look["color"] = colour
    else:
        encoding["color"] = _by(by, rows, size[0])
    if by is not None and grouped:
        encoding[f"{along}Offset"] = _names(by, there, paddingInner=0.1)
    names = [label, Axis(by.field)] if by is not None and by.field != label.field else [label]
    transform, encoding["tooltip"] = _hover(names, value, rows)
    if text:  # which needs room behind the longest bar
        rows = [{**row, "end": row[value.field] if row.get("high") is None else row["high"]} for row in rows]
        starts = [row[value.field] if row.get("low") is None else row["low"] for row in rows]
        least, most = value.domain or (min([0.0, *starts]), max([row["end"] for row in rows], default=0) or 1)
        value = replace(value, domain=(least, most + 0.14 * (most - least)))
    long = _position(value, zero=True)
    layers = [_layer("bar", {across: long}, **look)]
    if _measured(rows):
        limits = {across: {**long, "field": "low"}, f"{across}2": {"field": "high"}, "color": None}
        layers.append(_layer("rule", limits, strokeWidth=1.8))
    if text:
        end = {across: {**long, "field": "end"}, "text": {"field": text}, "color": None}
        layers.append(_layer("text", end, align="left", dx=6))
    marked = [
        _layer("rule", {along: place}, [{label.field: at}], color=ink, strokeWidth=2.5, clip=True)
        for at, ink in marks
    ]
    drawn = _layer(layers, encoding, rows, transform)
    return _chart([drawn, *_ruled(rule, long, across), *marked], size, title, elastic=not label.integers)


def dots(
    rows: Rows,
    label: Axis,
    value: Axis,
    labels: Sequence[str],
    by: Series,
    ticks: Mapping[str, float] | None = None,
    size: tuple[int, int] | None = None,
    title: str = "",
) -> Chart:
    """A dot a label and series with its interval; the series lie below each other in the row of a label.

    Args:
        rows: with the fields of the label, the value and the series, and "low" and "high".
        label: what the rows of the chart are.
        value: where a dot lies.
        labels: their order, from above.
        by: the series; where it is the label itself, it gives the colours alone.
        ticks: a value of each label that is drawn as a grey line, such as a ceiling or chance.
        size: pixels across and up; by default a line of text a dot.
        title: stands above.
    """
    there = _there(by, rows)
    grouped = by.field != label.field
    high = max(30, 15 * len(there) + 10) if grouped else 26
    size = size or (520, high * len(labels))
    place = _names(label, labels, padding=0) | {"axis": {"grid": True, "bandPosition": 0}}
    across = _position(value)
    if value.domain:  # whose ends are whole dots
        least, most = value.domain
        across["scale"]["domain"] = [least - 0.02 * (most - least), most + 0.02 * (most - least)]
    transform, tooltip = _hover([label, Axis(by.field)] if grouped else [label], value, rows)
    encoding = {"y": place, "color": _by(by, rows, size[0]), "tooltip": tooltip}
    if grouped:
        encoding["yOffset"] = _names(by, there, paddingOuter=0.9)
    limits = {"x": {**across, "field": "low"}, "x2": {"field": "high"}}
    point = {"x": across, "shape": _by(by, rows, size[0], "shape")}
    marks = [
        _layer("rule", limits, strokeWidth=2.2, opacity=0.7, clip=True),
        _layer("point", point, filled=True, size=75, opacity=1, clip=True),
    ]
    rules = [{label.field: name, value.field: at} for name, at in (ticks or {}).items()]
    tick = {"x": across, "y": place, "tooltip": _hover([], value, [])[1]}
    drawn = [_layer("tick", tick, rules, thickness=2, size=high, color=GREY)] if rules else []
    return _chart([*drawn, _layer(marks, encoding, rows, transform)], size, title, elastic=True)


def heatmap(
    rows: Rows,
    x: Axis,
    y: Axis,
    shade: Axis,
    columns: Sequence[Any],
    lines: Sequence[Any],
    text: str = "",
    more: Sequence[Axis] = (),
    cell: tuple[int, int] = (46, 34),
    title: str = "",
) -> Chart:
    """Shaded cells; those without a value are grey.

    Args:
        rows: a cell each, with the fields of both axes and of the shade.
        x, y: what goes across and down.
        shade: what is light where it is 0, and dark at the upper end of its domain (by default 1).
        columns, lines: the values of x from the left, and of y from above.
        text: field that is written in each cell.
        more: what else is shown on hover.
        cell: pixels of a cell across and down.
        title: stands above.
    """
    low, most = shade.domain or (0.0, 1.0)
    level = max((width(str(name)) for name in columns), default=1) * 7 <= cell[0]
    angle = 0 if level else -40 if cell[0] >= 40 else -90
    turned = {"labelAlign": "right", "labelBaseline": "top" if angle == -40 else "middle"} if angle else {}
    # numbers may be left out where there is no room, names may not
    numbers = all(isinstance(name, int) for name in columns)
    small = {"labelFontSize": 13 if min(cell) >= 20 else 11, "labelOverlap": numbers}
    across = _names(x, columns) | {"axis": {"orient": "bottom", "labelAngle": angle, **turned, **small}}
    down = _names(y, lines) | {"axis": {"labelLimit": 240, **small}}
    transform, tooltip = _hover([x, y], shade, rows, more)
    legend = {"title": shade.title or None, "gradientLength": 120, "tickCount": 5}
    legend |= {"format": "%"} if shade.format.endswith("%") else {}
    scale = {"domain": [low, most], "range": list(SHADES), "interpolate": "lab", "clamp": True}
    colour = {"field": shade.field, "type": "quantitative", "scale": scale, "legend": legend}
    layers = [_layer("rect", {"color": colour})]
    if text:
        dark = f"datum['{shade.field}'] > {low + 0.6 * (most - low)}"
        ink = {"condition": {"test": dark, "value": "white"}, "value": "black"}
        layers.append(_layer("text", {"text": {"field": text}, "color": ink}))
    cells = _layer(layers, {"x": across, "y": down, "tooltip": tooltip}, rows, transform)
    size = cell[0] * len(columns), cell[1] * len(lines)
    return _chart([cells], size, title, view={"fill": GREY, "fillOpacity": 0.18})


def scatter(
    rows: Rows | None,
    x: Axis,
    y: Axis,
    by: Series,
    hover: Sequence[str],
    numbered: Rows = (),
    size: int = 360,
    title: str = "",
    subtitle: str = "",
) -> Chart:
    """A map: only how near points lie to each other has a meaning, so it has no axes.

    Args:
        rows: a point each, with the fields of both axes and of the series; None for those of `beside`.
        x, y: with their domains.
        by: the series.
        hover: fields with texts to show.
        numbered: places of many points, with both axes' fields and "number".
        size: pixels across and up.
        title, subtitle: stand above.
    """
    place = {"x": {**_position(x), "axis": None}, "y": {**_position(y), "axis": None}}
    # blank titles of different lengths: of two that are alike only the first is shown
    tooltip = [{"field": field, "title": " " * n} for n, field in enumerate(hover, 1)]
    encoding = {**place, "color": _by(by), "shape": _by(by, channel="shape"), "tooltip": tooltip}
    area = 34 if size > 300 else 24
    layers = [_layer("point", encoding, rows, filled=True, size=area, opacity=0.72, strokeWidth=0)]
    if numbered:
        discs = [
            _layer("point", {}, filled=True, size=420, color=GREY, opacity=1),
            _layer("text", {"text": {"field": "number"}}, color="white", fontSize=13, fontWeight="bold"),
        ]
        layers.append(_layer(discs, place, numbered))
    return _chart(layers, (size, size), title, subtitle, view={"stroke": GREY, "strokeOpacity": 0.4})


def links(edges: Rows, words: Sequence[str], by: Series, title: str = "") -> Chart:
    """Lines between two columns of the same tokens: the more, the thicker and darker.

    Args:
        edges: {"from", "to", "share", and the series' field}: numbers of tokens, and a share between 0 and 1.
        words: the tokens, in order.
        by: the series: kinds of tokens.
        title: stands above.
    """
    n = len(words)
    margin = 0.1 + max(map(width, words), default=1) * 8 / 260
    across = {**_position(Axis("left", domain=(-margin, 1 + margin))), "axis": None}
    down = {**_position(Axis("from", domain=(n - 0.3, -0.7))), "axis": None}
    share = {"field": "share", "type": "quantitative", "legend": None}
    encoding = {
        "x": across,
        "x2": {"field": "right"},
        "y": down,
        "y2": {"field": "to"},
        "color": _by(by, edges, 400),
        "opacity": {**share, "scale": {"domain": [0, 1], "range": [0.06, 0.95]}},
        "strokeWidth": {**share, "scale": {"domain": [0, 1], "range": [0.8, 4.8]}},
        "tooltip": [{"field": "share", "title": "title", "format": ".1%"}],
    }
    rows = sorted(({**edge, "left": 0, "right": 1} for edge in edges), key=lambda edge: edge["share"])
    layers = [_layer("rule", encoding, rows, strokeCap="round")]
    for side, align, dx in ((0, "right", -8), (1, "left", 8)):
        column = [{"side": side, "place": n, "token": word} for n, word in enumerate(words)]
        at = {"x": {**across, "field": "side"}, "y": {**down, "field": "place"}}
        token = {**at, "text": {"field": "token"}}
        layers.append(_layer("text", token, column, align=align, dx=dx, fontSize=14, baseline="middle"))
    return _chart(layers, (round(260 * (1 + 2 * margin)), 23 * n), title)


def tree(branches: Rows, leaves: Rows, depth: Axis, row: float = 26, title: str = "") -> Chart:
    """Branches from a root on the left to named leaves on the right (a dendrogram).

    Args:
        branches: straight lines: {"from", "to": depths, "at", "until": rows}; of one depth, or of one row.
        leaves: {the depth's field, "row", "name"}, and perhaps "about", shown on hover.
        depth: of the leaves and of the axis.
        row: pixels of a row.
        title: stands above.
    """
    deepest = max((leaf[depth.field] for leaf in leaves), default=1)
    across = _position(replace(depth, domain=(0, deepest), integers=True))
    across["axis"] = {**across["axis"], "grid": False}
    down = {**_position(Axis("at", domain=(-0.7, len(leaves) - 0.3))), "axis": None}
    down["scale"] = {**down["scale"], "reverse": True}
    line = {"x": {**across, "field": "from"}, "x2": {"field": "to"}, "y": down, "y2": {"field": "until"}}
    at = {"x": across, "y": {**down, "field": "row"}}
    shown = [{"field": "name", "title": "title"}, {"field": "about", "title": " "}]
    named = {**at, "text": {"field": "name"}, "tooltip": shown}
    layers = [
        _layer("rule", line, branches, strokeWidth=1.8, strokeCap="square"),
        _layer("point", {**at, "tooltip": shown}, leaves, filled=True, size=50, color=BLUE, opacity=1),
        _layer("text", named, leaves, align="left", dx=9, fontSize=14, baseline="middle"),
    ]
    return _chart(layers, (420, round(row * max(1, len(leaves)))), title)


def beside(
    charts: Sequence[Chart],
    columns: int = 3,
    rows: Rows | None = None,
    resolve: Mapping[str, str] | None = None,
    title: str = "",
) -> Chart:
    """Several charts as one picture.

    Args:
        charts: from left to right, then down.
        columns: charts in a row; 1 puts them below each other.
        rows: of those charts that have none of their own.
        resolve: "shared" or "independent" scales, by channel; by default x and y are independent, colours shared.
        title: stands above all.
    """
    panels = [dict(chart.spec) for chart in charts]
    spec: dict[str, Any] = {"concat": panels, "columns": columns, "spacing": 22}
    if rows is not None:
        spec["data"] = {"values": list(rows)}
    if resolve:
        spec["resolve"] = {"scale": dict(resolve)}
    return Chart({**spec, "title": title} if title else spec)


def _chart(
    layers: Sequence[Mapping[str, Any]],
    size: tuple[int, int],
    title: str,
    subtitle: str = "",
    elastic: bool = False,
    **more: Any,
) -> Chart:
    spec: dict[str, Any] = {"layer": list(layers), "width": size[0], "height": size[1], **more}
    if title:
        spec["title"] = {"text": title, "subtitle": subtitle} if subtitle else title
    return Chart(spec, elastic)


def _layer(
    mark: str | Sequence[Mapping[str, Any]],
    encoding: Mapping[str, Any],
    rows: Rows | None = None,
    transform: Sequence[Mapping[str, Any]] = (),
    only: str = "",
    **look: Any,
) -> dict[str, Any]:
    """Marks of a kind, or layers that share what is encoded.

    Args:
        mark: the kind, or the layers.
        encoding: fields, by channel.
        rows: the data, where they are not those of the layer around this one.
        transform: of the data.
        only: condition of the rows that are drawn.
        look: of the marks.
    """
    layer: dict[str, Any] = (
        {"mark": {"type": mark, **look}} if isinstance(mark, str) else {"layer": list(mark)}
    )
    if rows is not None:
        layer["data"] = {"values": list(rows)}
    if transform or only:
        layer["transform"] = [*transform, *([{"filter": only}] if only else [])]
    return {**layer, "encoding": dict(encoding)}


def _position(
    axis: Axis, values: Sequence[float] = (), zero: bool = False, margin: float = 0.3
) -> dict[str, Any]:
    """The encoding of numbers along an axis.

    Args:
        axis: says how.
        values: integers, that the axis has ticks nowhere else.
        zero: the axis begins at 0.
        margin: before the first and behind the last integer, where the axis names no domain.
    """
    ticks: dict[str, Any] = {"tickCount": 6} | ({"format": "%"} if axis.format.endswith("%") else {})
    scale: dict[str, Any] = {"zero": zero, "nice": not zero} | ({} if zero else {"padding": 10})
    if axis.integers:
        low, high = axis.domain or (min(values), max(values))
        step = max(1, math.ceil((high - low) / 16))
        ticks = {"values": list(range(math.ceil(low), math.floor(high) + 1, step)), "format": "d"}
        scale = {"domain": list(axis.domain or (low - margin, high + margin)), "nice": False, "zero": False}
    elif axis.domain:
        scale = {"domain": list(axis.domain), "nice": False, "zero": False}
    elif axis.log:
        ticks = {"values": [10**power for power in range(13)], "format": "~s"}
        scale = {"type": "log", "nice": False, "padding": 10}
    title = axis.title or None
    return {"field": axis.field, "type": "quantitative", "title": title, "scale": scale, "axis": ticks}


def _names(of: Axis | Series, names: Sequence[Any], **padding: float) -> dict[str, Any]:
    """The encoding of names along an axis, in their order."""
    scale = {"domain": list(names), **padding}
    title = (of.title if isinstance(of, Axis) else "") or None
    return {"field": of.field, "type": "nominal", "title": title, "sort": list(names), "scale": scale}


def _measured(rows: Rows) -> bool:
    """Whether there are intervals."""
    return any(row.get("low") is not None for row in rows)


def _there(by: Series | None, rows: Rows) -> list[str]:
    """The series that have rows."""
    seen = {row[by.field] for row in rows} if by else set()
    return [name for name in by.names if name in seen] if by else []


def _by(by: Series, rows: Rows | None = None, wide: int = 0, channel: str = "color") -> dict[str, Any]:
    """The encoding of series by colour or shape. Its legend has those with rows, or all, as many in a line as fit."""
    colours, shapes = looks(len(by.names))
    names, shown = list(by.names), list(by.names) if rows is None else _there(by, rows)
    chosen = (by.colours or colours) if channel == "color" else (by.shapes or shapes)
    columns = max(1, min(len(shown), wide // (8 * max(map(width, shown), default=1) + 44)))
    legend = {"title": None, "orient": "top", "columns": columns, "values": shown, "symbolOpacity": 1}
    scale = {"domain": names, "range": list(chosen)}
    legend_ = legend if by.legend and len(shown) > 1 else None
    return {"field": by.field, "type": "nominal", "sort": names, "scale": scale, "legend": legend_}


def _hover(
    names: Sequence[Axis], value: Axis, rows: Rows, more: Sequence[Axis] = ()
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Transforms and lines of what is shown when the pointer rests on a mark: names, the value and its interval, more.

    Of lines of one title the drawing library shows the first alone, so titles that are alike get arrows; names without
    a title are the heading, which it calls "title".
    """
    form = value.format or ",.4~g"
    written = {field: f"format(datum['{field}'], '{form}')" for field in (value.field, "low", "high")}
    heading = [name.field for name in names if not name.title]
    titled = [name for name in names if name.title]
    alike = len({name.title for name in titled}) < len(titled)
    transforms, shown = [], []
    if heading:
        joined = " + ', ' + ".join(f"datum['{field}']" for field in heading)
        transforms.append({"calculate": joined, "as": "heading"})
        shown.append({"field": "heading", "title": "title"})
    for name, arrow in zip(titled, ("→", "↑"), strict=False):
        title, form_ = f"{name.title} {arrow}" if alike else name.title, {"format": name.format}
        shown.append({"field": name.field, "title": title} | (form_ if name.format else {}))
    if _measured(rows):
        known = f"{written[value.field]} + ' (' + {written['low']} + ' … ' + {written['high']} + ')'"
        either = f"isValid(datum['low']) ? {known} : {written[value.field]}"
        transforms.append({"calculate": either, "as": "written"})
        shown.append({"field": "written", "title": value.title or " "})
    else:
        shown.append({"field": value.field, "title": value.title or " ", "format": form})
    for number in more:
        shown.append({"field": number.field, "title": number.title or number.field, "format": number.format})
    return transforms, [{"type": "quantitative" if "format" in line else "nominal", **line} for line in shown]


def _ruled(rule: Rule | None, place: Mapping[str, Any], channel: str) -> list[dict[str, Any]]:
    """A dashed line at a value of an axis, and its words."""
    if rule is None:
        return []
    rows = [{"value": rule.value, "words": rule.words}]
    at = {channel: {**place, "field": "value"}}
    words = {**at, "x": {"value": "width"}, "text": {"field": "words"}}
    look: dict[str, Any] = {"align": "right", "dy": 16}
    styles = ("halo", "reference-words") if rule.words else ()
    return [
        _layer("rule", at, rows, style="reference"),
        *(_layer("text", words, rows, style=style, **look) for style in styles),
    ]
