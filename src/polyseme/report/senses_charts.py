"""Charts of senses: accuracy by layer, accuracy by run, and maps on which every use is a point."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from polyseme.report.charts import Axis, Chart, Rule, Series, beside, dots, lines, scatter
from polyseme.report.language import Speaker
from polyseme.report.senses_text import FIGURES, headline

__all__ = ["Dot", "best_chart", "layers_chart", "map_chart", "numbered", "words_chart"]


def layers_chart(document: Mapping[str, Any], say: Speaker) -> Chart:
    """The nearest neighbours' figure over layers, the mean of all words: a line a run, a band its interval.

    The ceiling of static representations is dashed. A run with one layer is a point with a bar.
    """
    runs, mean = document["runs"], document["mean"]
    rows, ceiling = _curves([(run["name"], run["mean"]) for run in runs], mean), _ceiling(mean)
    layer = Axis("layer", say("layer (0 = embeddings)"), integers=True)
    title = say("{figure} of the nearest neighbour", figure=say(FIGURES[_figure(mean)]))
    value = Axis("value", title, ".3f", _domain(rows, ceiling))
    words = say("always the most frequent sense: {value}", value=f"{ceiling:.3f}")
    return lines(rows, layer, value, Series("run", [run["name"] for run in runs]), Rule(ceiling, words))


def words_chart(document: Mapping[str, Any], say: Speaker) -> Chart:
    """The same for every word by itself, one small chart each, with one scale."""
    runs, words = document["runs"], document["words"]
    panels = [
        _curves([(run["name"], run["words"][place]) for run in runs], word)
        for place, word in enumerate(words)
    ]
    names, layer = Series("run", [run["name"] for run in runs]), Axis("layer", say("layer"), integers=True)
    value = Axis("value", "", ".3f", _domain([row for rows in panels for row in rows], *map(_ceiling, words)))
    charts = [
        lines(rows, layer, value, names, Rule(_ceiling(word)), size=(230, 150), title=_titled(word, say))
        for word, rows in zip(words, panels, strict=True)
    ]
    return beside(charts)


def _curves(runs: Sequence[tuple[str, Mapping[str, Any]]], about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The layers of runs, by the figure of what they are about: a word, or the mean of all."""
    return [
        {"run": name, "layer": layer["layer"], **_rounded(layer["nearest"][_figure(about)])}
        for name, entry in runs
        for layer in entry["layers"]
    ]


def best_chart(document: Mapping[str, Any], say: Speaker) -> Chart:
    """The nearest neighbours' figure of every run at its best layer, over words and by word, with intervals."""
    runs, mean = document["runs"], document["mean"]
    names = [run["name"] for run in runs]
    panels = []
    if len(document["words"]) > 1:
        every = _titled({**mean, "word": say("mean of the words")}, say)
        panels.append((mean, every, [run["mean"]["best"] for run in runs]))
    for place, word in enumerate(document["words"]):
        panels.append((word, _titled(word, say), [run["words"][place]["best"] for run in runs]))
    charts = []
    for about, title, best in panels:
        rows = [
            {"run": name, **_rounded(headline(layer["nearest"]))}
            for name, layer in zip(names, best, strict=True)
        ]
        ceiling, plain = _ceiling(about), Series("run", names, legend=False)
        value, size = Axis("value", "", ".3f", _domain(rows, ceiling)), (210, 26 * len(names))
        ticks = dict.fromkeys(names, ceiling)
        charts.append(dots(rows, Axis("run"), value, names, plain, ticks, size, title))
    return beside(charts)


def _figure(about: Mapping[str, Any]) -> str:
    return str(about.get("headline", "accuracy"))


def _titled(word: Mapping[str, Any], say: Speaker) -> str:
    """A word, and its figure where that is not accuracy."""
    figure = _figure(word)
    return str(word["word"]) if figure == "accuracy" else f"{word['word']}, {say(FIGURES[figure])}"


def _ceiling(about: Mapping[str, Any]) -> float:
    """What always saying the most frequent sense gives of its figure."""
    figure = _figure(about)
    return float(about["ceiling"]["value" if figure == "accuracy" else figure])


def _domain(rows: Sequence[Mapping[str, Any]], *ceilings: float) -> tuple[float, float]:
    """From below everything that is drawn up to the best that can be."""
    return max(0.0, min([*ceilings, *(row["low"] for row in rows)]) - 0.03), 1.0


def _rounded(figure: Mapping[str, Any]) -> dict[str, float]:
    return {key: round(figure[key], 5) for key in ("value", "low", "high")}


def map_chart(document: Mapping[str, Any], place: int, say: Speaker) -> Chart:
    """The map of one word: a panel a run, every use a point with its sentence on hover, one legend for all.

    Args:
        document: of `Senses`.
        place: number of the word.
        say: who says the words.
    """
    word, runs = document["words"][place], document["runs"]
    entries = [run["words"][place] for run in runs]
    if document["labelled"]:
        labels = [f"{one['sense']} ({one['uses']:,})" for one in word["senses"]]
        rows = _points(word["drawn"], [entry["map"] for entry in entries])
        for row, point in zip(rows, word["drawn"], strict=True):
            row["sense"] = labels[point["sense"]]
        rows.sort(key=lambda row: labels.index(row["sense"]))  # rare senses lie on top
        panels = [
            _panel(run, word, place, number, labels, None, len(runs), say) for number, run in enumerate(runs)
        ]
        return beside(panels, rows=rows)
    panels = []
    for number, (run, entry) in enumerate(zip(runs, entries, strict=True)):
        labels = [
            say("group {n} ({uses})", n=n, uses=f"{one['uses']:,}")
            for n, one in enumerate(entry["groups"], 1)
        ]
        rows = _points(word["drawn"], [one["map"] for one in entries])
        for row, group in zip(rows, entry["map"]["group"], strict=True):
            row["sense"] = labels[group]
        panels.append(_panel(run, word, place, number, labels, rows, len(runs), say))
    return beside(panels, resolve={"color": "independent", "shape": "independent"})


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
    word: Mapping[str, Any],
    place: int,
    number: int,
    labels: Sequence[str],
    rows: Sequence[Mapping[str, Any]] | None,
    panels: int,
    say: Speaker,
) -> Chart:
    """One run's map of one word, one of several panels; without rows it takes the data of the whole chart."""
    entry = run["words"][place]
    found = entry["map"]
    xs, ys = found["x"], found["y"]
    half = max(max(xs) - min(xs), max(ys) - min(ys), 1e-9) / 2 * 1.06
    layer = next(one for one in entry["layers"] if one["layer"] == found["layer"])
    title, more, uses = (
        say("{run}, layer {layer}", run=run["name"], layer=found["layer"]),
        "",
        f"{word['uses']:,}",
    )
    if layer["dots"] == 1:
        half, more = 1.0, say("one point: all {n} uses have the same vector", n=uses)
    elif layer["dots"] is not None:
        more = say("{n} points for {uses} uses, whatever stands around them", n=layer["dots"], uses=uses)
    elif "nearest" in layer:
        figure = headline(entry["best"]["nearest"])["figure"]
        more = say("nearest neighbour {value}", value=f"{layer['nearest'][figure]['value']:.3f}")
        if figure != "accuracy":
            more += f", {say(FIGURES[figure])}"

    def axis(name: str, values: Sequence[float]) -> Axis:
        middle = (max(values) + min(values)) / 2
        return Axis(f"{name}{number}", domain=(middle - half, middle + half))

    places: list[dict[str, Any]] = []
    if layer["dots"] is not None:  # whatever the senses are, all uses of a form have one place
        places = [
            {f"x{number}": dot.x, f"y{number}": dot.y, "number": str(dot.number)}
            for dot in numbered(entry, word["drawn"])
        ]
    return scatter(
        rows,
        axis("x", xs),
        axis("y", ys),
        Series("sense", labels),
        ["context", "sense"],
        numbered=places,
        size=440 if panels == 1 else 360 if panels == 2 else 264,
        title=title,
        subtitle=more,
    )
