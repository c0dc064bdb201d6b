"""Pictures of a probing study: layer weights and scores of a task, layers of all tasks, scores against controls.

Source: Tenney et al. (2019b), Figures 1 and 2. Departures: weights, cumulative and differential scores stand above one
another with one axis of layers; intervals are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyseme.report.charts import (
    BLUE,
    GREEN,
    GREY,
    PINK,
    SKY,
    VERMILION,
    Axis,
    Chart,
    Rule,
    Series,
    bars,
    beside,
    dots,
    lines,
)
from polyseme.report.language import Speaker

__all__ = ["controls_chart", "layers_chart", "overview_rows", "shown", "task_chart"]

_MARKS = {
    "centre_of_gravity": ("centre of gravity", VERMILION, "circle"),
    "expected_layer": ("expected layer", BLUE, "square"),
    "expected_layer_clipped": ("expected layer, losses as 0", GREEN, "triangle-up"),
}
_SCORES = {
    "score": ("all layers", BLUE, "circle"),
    "layer_0": ("layer 0 alone", GREEN, "square"),
    "random_encoder": ("random encoder", VERMILION, "triangle-up"),
    "random_labels": ("random labels", PINK, "diamond"),
    "most_frequent": ("most frequent label", GREY, "cross"),
}
PERCENT = 100


def task_chart(name: str, task: Mapping[str, Any], say: Speaker) -> Chart:
    """The layers of a task: mixing weights, cumulative scores, and what each layer adds.

    Args:
        name: of the task.
        task: of the document; it has "mix", and may have "cumulative".
        say: the page's words.
    """
    mix, cumulative = task["mix"], task["cumulative"]
    n = len(mix["weights"])
    size = min(640, max(290, 30 * n)), 120
    layers = (-0.6, n - 0.4)
    plain, last = (
        Axis("layer", title, domain=layers, integers=True) for title in ("", say("layer (0 = embeddings)"))
    )
    centre, title = mix["centre_of_gravity"], say("Mixing weights")
    if centre["value"] is not None:
        title = say("Mixing weights: centre of gravity {value}", value=shown(centre, 2))
    weight, equal = Axis("value", say("weight"), ".2f"), Rule(1 / n)
    marks = _mark(centre, VERMILION)
    rows = _rows(mix["weights"])
    panels = [
        bars(rows, plain, weight, colour=SKY, rule=equal, marks=marks, upright=True, size=size, title=title)
    ]
    if cumulative:
        rows = _rows(cumulative["scores"], PERCENT)
        score, one = Axis("value", say("score, %"), ".1f"), Series("of", [""])
        title = say("Score with layers 0 to l")
        panels.append(lines([{**row, "of": ""} for row in rows], plain, score, one, size=size, title=title))
        expected, title = cumulative["expected_layer"], say("What layer l adds")
        if expected["value"] is not None:
            title = say("What layer l adds: expected layer {value}", value=shown(expected, 2))
        gain = Axis("value", say("gain, points"), ".1f")
        marks = _mark(expected, BLUE)
        rows = _rows(cumulative["differences"], PERCENT, first=1)
        panels.append(bars(rows, last, gain, colour=PINK, marks=marks, upright=True, size=size, title=title))
    return beside(panels, 1, title=name)


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


def _mark(figure: Mapping[str, Any], colour: str) -> list[tuple[float, str]]:
    """An upright line at a layer that need not be an integer."""
    return [] if figure["value"] is None else [(round(figure["value"], 4), colour)]


def layers_chart(document: Mapping[str, Any], say: Speaker) -> Chart:
    """Centres of gravity and expected layers of all tasks."""
    last = document["layers"] - 1
    value = Axis("value", say("layer (0 = embeddings)"), ".2f", (0, last), integers=True)
    return _dots(overview_rows(document, say), _MARKS, value, say)


def controls_chart(document: Mapping[str, Any], say: Speaker) -> Chart:
    """Scores of all tasks, and those of the controls."""
    rows = []
    for name, task in document["tasks"].items():
        figures = {"score": task["score"], "most_frequent": task["most_frequent"]}
        figures |= {key: one["score"] for key, one in task["controls"].items()}
        rows += [_dot(name, say(_SCORES[key][0]), one, PERCENT) for key, one in figures.items()]
    return _dots(rows, _SCORES, Axis("value", say("micro-F1, %"), ".1f", (0, PERCENT)), say)


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


def _dots(
    rows: Sequence[Mapping[str, Any]], looks: Mapping[str, tuple[str, str, str]], value: Axis, say: Speaker
) -> Chart:
    """A row a task, a point a figure, below each other with their intervals."""
    names, colours, shapes = zip(*looks.values(), strict=True)
    figures = Series("figure", [say(name) for name in names], colours, shapes)
    return dots(rows, Axis("task"), value, list(dict.fromkeys(row["task"] for row in rows)), figures)


def shown(figure: Mapping[str, Any] | None, digits: int, times: float = 1) -> str:
    """A figure with its interval: "3.21 (2.95 … 3.40)"; a dash where it is not known."""
    if figure is None or figure["value"] is None:
        return "—"
    value = f"{times * figure['value']:.{digits}f}"
    if figure["low"] is None:
        return value
    return f"{value} ({times * figure['low']:.{digits}f} … {times * figure['high']:.{digits}f})"
