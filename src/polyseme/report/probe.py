"""A probing study for people: in which layers a task is solved, how much of it is the encoder's, and how it was done.

Charts:  Tenney et al. (2019b), Figures 1 and 2. Departures: weights, cumulative and differential scores stand above one
another with one axis of layers; intervals are drawn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polyseme.report import charts
from polyseme.report.charts import Axis, Chart, Rule, Series, bars, beside, dots, lines
from polyseme.report.commands import probe_commands
from polyseme.report.figures import size
from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Commands, Either, Figure, Heading, Notes, Part, Table
from polyseme.study.probing.numbers import beats_baseline

__all__ = [
    "control_parts",
    "figure_text",
    "layer_parts",
    "overview_rows",
    "probe_page",
    "probe_parts",
    "slug",
]

_MARKS = {
    "centre_of_gravity": ("centre of gravity", charts.VERMILION, "circle"),
    "expected_layer": ("expected layer", charts.BLUE, "square"),
    "expected_layer_clipped": ("expected layer, losses as 0", charts.GREEN, "triangle-up"),
}
_SCORES = {
    "score": ("all layers", charts.BLUE, "circle"),
    "layer_0": ("layer 0 alone", charts.GREEN, "square"),
    "random_encoder": ("random encoder", charts.VERMILION, "triangle-up"),
    "random_labels": ("random labels", charts.PINK, "diamond"),
    "most_frequent": ("most frequent label", charts.GREY, "cross"),
}
PERCENT = 100


def probe_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """The page of a probing study.

    Raises:  ConfigError: no such language.
    """
    say = Speaker(lang)
    name = Path(document["run"]).name
    lead = say(
        "What the frozen layers of {name} ({model}) know of spans of a text.",
        name=name,
        model=document["model"],
    )
    return Page(say("Probing {name}", name=name), lead, probe_parts(document, say), lang)


def probe_parts(document: Mapping[str, Any], say: Speaker, prefix: str = "") -> list[Part]:
    """The study as parts of a page, from its document alone.

    Args:
        document: of `Probing`, perhaps read again from a file.
        say: speaks the page's language.
        prefix: stands before the names of figures.
    """
    parts: list[Part] = [Heading(say("In which layers it is")), *layer_parts(document, say, prefix)]
    parts += [Heading(say("Against controls")), *control_parts(document, say, prefix)]
    files = {f"{prefix}probe-layers", f"{prefix}probe-controls"}
    for name, task in document["tasks"].items():
        file = f"{prefix}probe-{slug(name)}"
        while file in files:
            file += "-2"
        files.add(file)
        parts += _of_task(name, task, say, file)
    return [*parts, *_how(document, say)]


def layer_parts(document: Mapping[str, Any], say: Speaker, prefix: str = "", of: str = "task") -> list[Part]:
    """Which layers are read, and where adding layers helps.

    Args:
        document: {"tasks": {name: of `Probing`'s}, "layers": most of any, "settings"}.
        say: speaks the page's language.
        prefix: stands before the name of the figure.
        of: what the names are: of tasks, or of runs with the same task.
    """
    if document["layers"] == 1:
        return [say("The encoder has one layer: there is nothing to mix.")]
    head = [
        say(of),
        say("centre of gravity"),
        say("divergence, nats"),
        say("expected layer"),
        say("expected layer, losses as 0"),
    ]
    rows = []
    for name, task in document["tasks"].items():
        mix, cumulative = task["mix"] or {}, task["cumulative"] or {}
        rows.append(
            [
                name,
                figure_text(mix.get("centre_of_gravity"), 2),
                figure_text(mix.get("divergence"), 3),
                figure_text(cumulative.get("expected_layer"), 2),
                figure_text(cumulative.get("expected_layer_clipped"), 2),
            ]
        )
    caption = say(
        "95 % intervals: of centres and divergences over {seeds} seeds, of expected layers over test texts and seeds.",
        seeds=document["settings"]["seeds"],
    )
    if not all(beats_baseline(task) for task in document["tasks"].values()):
        dash = say("—: the probe is not above always saying the most frequent label.")
        caption = say.sentences(caption, dash)
    table = Table(head, rows, caption)
    if not overview_rows(document, say):
        return [table]
    figure = Figure(
        f"{prefix}probe-layers",
        layers_chart(document, say),
        say(
            "Centre of gravity of the mixing weights, and the layer at which a task is expected to be solved."
        ),
        say("Centre of gravity and expected layer of each task"),
    )
    return [figure, table]


def control_parts(
    document: Mapping[str, Any], say: Speaker, prefix: str = "", of: str = "task"
) -> list[Part]:
    """Scores beside those of the controls; arguments as for `layer_parts`."""
    head = [say(of), say("probe"), say("micro-F1, %"), say("all layers less this")]
    rows: list[list[str]] = []
    strong: set[tuple[int, int]] = set()
    for name, task in document["tasks"].items():
        rows.append([name, say("all layers"), figure_text(task["score"], 1, PERCENT), ""])
        for key, control in task["controls"].items():
            if control["difference"]["above"] and beats_baseline(task):
                strong.add((len(rows), 3))
            figures = [figure_text(control[figure], 1, PERCENT) for figure in ("score", "difference")]
            rows.append([name, say(_SCORES[key][0]), *figures])
        rows.append([name, say("most frequent label"), figure_text(task["most_frequent"], 1, PERCENT), ""])
    caption = say(
        "Micro-F1 in percent, differences in points on the same test texts, with 95 % intervals (texts and seeds drawn "
        "again); bold (•): the whole interval is above 0, and the probe above the most frequent label. All layers less "
        "random labels is the selectivity."
    )
    figure = Figure(
        f"{prefix}probe-controls",
        controls_chart(document, say),
        say("Probes of all layers against what layer 0, a random encoder and random labels give."),
        say("Score of each task and of its controls"),
    )
    table = Table(head, rows, caption, left=(0, 1), strong=frozenset(strong), keys=2)
    return [figure, table]


def _of_task(name: str, task: Mapping[str, Any], say: Speaker, file: str) -> list[Part]:
    counts = task["counts"]
    what = say(
        "{task}: {labels} labels of {spans}; {train} targets to learn from, {dev} to choose by, {test} to judge by.",
        task=task["task"],
        labels=len(task["labels"]),
        spans=say("pairs of spans") if task["spans"] == 2 else say("spans"),
        **{part: f"{counts[part]['targets']:,}" for part in ("train", "dev", "test")},
    )
    parts: list[Part] = [Heading(name), what]
    if task["accuracy"]:
        parts.append(
            say(
                "Accuracy of the most probable label: {value} %.", value=figure_text(task["accuracy"], 1, 100)
            )
        )
    if not beats_baseline(task):
        parts.append(
            say("The probe is not above always saying the most frequent label: its layers tell nothing.")
        )
    if task["mix"]:
        drawn = say("Dashed: equal weights. Thin lines: 95 % intervals.")
        if beats_baseline(task):
            drawn = say(
                "Dashed: equal weights. Coloured upright lines: the centre of gravity and the expected layer. "
                "Thin lines: 95 % intervals."
            )
        figure = Figure(
            file, task_chart(name, task, say), drawn, say("Layer weights and scores of {name}", name=name)
        )
        parts.append(Either(page=[figure], terminal=[_layers(task, say)]))
    return parts


def _layers(task: Mapping[str, Any], say: Speaker) -> Table:
    """What the chart of a task draws, as figures."""
    head = [say("layer"), say("weight")]
    rows = [[str(layer), figure_text(weight, 3)] for layer, weight in enumerate(task["mix"]["weights"])]
    if task["cumulative"]:
        head += [say("score with layers 0 to l"), say("gain, points")]
        for row, score in zip(rows, task["cumulative"]["scores"], strict=True):
            row.append(figure_text(score, 1, PERCENT))
        for row, gain in zip(rows, [None, *task["cumulative"]["differences"]], strict=True):
            row.append(figure_text(gain, 1, PERCENT))
    return Table(head, rows)


def _how(document: Mapping[str, Any], say: Speaker) -> list[Part]:
    s = document["settings"]
    text = say(
        "The encoder is frozen. Each token's layers are normed and mixed, projected to {projection} numbers, pooled "
        "over a span by attention, and classified by a hidden layer of {hidden} with a sigmoid for each label "
        "(Tenney et al. 2019). A label is said where its probability is at least one half. {seeds} seeds.",
        projection=s["projection"],
        hidden=s["hidden"],
        seeds=s["seeds"],
    )
    head = [
        say("task"),
        say("texts"),
        say("tokens"),
        say("kept as"),
        say("size"),
        say("seconds"),
        say("study"),
    ]
    rows = []
    for name, task in document["tasks"].items():
        c = task["cache"]
        place = say("in memory") if c["place"] == "memory" else say("in a file")
        rows.append(
            [
                name,
                f"{c['texts']:,}",
                f"{c['tokens']:,}",
                f"{c['numbers']}, {place}",
                size(c["bytes"]),
                f"{c['seconds']:.1f}",
                f"{task['training']['seconds_of_task']:.0f}",
            ]
        )
    caption = say(
        "Hidden states of all layers, made by one pass of the encoder. The study took {seconds} s and {memory} of "
        "memory at most.",
        seconds=f"{document['seconds']:.0f}",
        memory=size(document["peak_memory_bytes"]),
    )
    table = Table(head, rows, caption, left=(0, 3))
    again: list[Part] = [
        Commands(probe_commands(document)),
        Notes([say.note(note) for note in document["notes"]]),
    ]
    return [Heading(say("How it was done")), Either(page=[text]), table, Either(page=again)]


def slug(name: str) -> str:
    """A name as part of a file's."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-") or "task"


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
        title = say("Mixing weights: centre of gravity {value}", value=figure_text(centre, 2))
    weight, equal = Axis("value", say("weight"), ".2f"), Rule(1 / n)
    marks = _mark(centre, charts.VERMILION)
    rows = _rows(mix["weights"])
    panels = [
        bars(
            rows,
            plain,
            weight,
            colour=charts.SKY,
            rule=equal,
            marks=marks,
            upright=True,
            size=size,
            title=title,
        )
    ]
    if cumulative:
        rows = _rows(cumulative["scores"], PERCENT)
        score, only = Axis("value", say("score, %"), ".1f"), Series("of", [""])
        title = say("Score with layers 0 to l")
        panels.append(lines([{**row, "of": ""} for row in rows], plain, score, only, size=size, title=title))
        expected, title = cumulative["expected_layer"], say("What layer l adds")
        if expected["value"] is not None:
            title = say("What layer l adds: expected layer {value}", value=figure_text(expected, 2))
        gain = Axis("value", say("gain, points"), ".1f")
        marks = _mark(expected, charts.BLUE)
        rows = _rows(cumulative["differences"], PERCENT, first=1)
        panels.append(
            bars(rows, last, gain, colour=charts.PINK, marks=marks, upright=True, size=size, title=title)
        )
    return beside(panels, 1, title=name)


def _rows(figures: Sequence[Mapping[str, Any]], times: float = 1, first: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "layer": layer,
            **{
                key: None if figure[key] is None else round(times * figure[key], 4)
                for key in ("value", "low", "high")
            },
        }
        for layer, figure in enumerate(figures, first)
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
        figures |= {key: control["score"] for key, control in task["controls"].items()}
        rows += [_dot(name, say(_SCORES[key][0]), score, PERCENT) for key, score in figures.items()]
    return _dots(rows, _SCORES, Axis("value", say("micro-F1, %"), ".1f", (0, PERCENT)), say)


def overview_rows(document: Mapping[str, Any], say: Speaker) -> list[dict[str, Any]]:
    """A row a task and figure that is known: {"task", "figure", "value", "low", "high"}."""
    rows = []
    for name, task in document["tasks"].items():
        figures = {"centre_of_gravity": (task["mix"] or {}).get("centre_of_gravity")}
        figures |= {key: (task["cumulative"] or {}).get(key) for key in _MARKS if key not in figures}
        for key, layer in figures.items():
            if layer is not None and layer["value"] is not None:
                rows.append(_dot(name, say(_MARKS[key][0]), layer))
    return rows


def _dot(task: str, figure: str, measured: Mapping[str, Any], times: float = 1) -> dict[str, Any]:
    """Without an interval it is as wide as its point."""
    value = measured["value"] or 0.0
    low = value if measured["low"] is None else measured["low"]
    high = value if measured["high"] is None else measured["high"]
    numbers = {"value": value, "low": low, "high": high}
    return {"task": task, "figure": figure, **{key: round(times * x, 4) for key, x in numbers.items()}}


def _dots(
    rows: Sequence[Mapping[str, Any]], looks: Mapping[str, tuple[str, str, str]], value: Axis, say: Speaker
) -> Chart:
    """A row a task, a point a figure, below each other with their intervals."""
    names, colours, shapes = zip(*looks.values(), strict=True)
    figures = Series("figure", [say(name) for name in names], colours, shapes)
    return dots(rows, Axis("task"), value, list(dict.fromkeys(row["task"] for row in rows)), figures)


def figure_text(figure: Mapping[str, Any] | None, digits: int, times: float = 1) -> str:
    """A figure with its interval: "3.21 (2.95 … 3.40)"; a dash where it is not known."""
    if figure is None or figure["value"] is None:
        return "—"
    value = f"{times * figure['value']:.{digits}f}"
    if figure["low"] is None:
        return value
    return f"{value} ({times * figure['low']:.{digits}f} … {times * figure['high']:.{digits}f})"
