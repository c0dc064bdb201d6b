"""A probing study for people: as text, as sections of a page, and as files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polyseme.report.commands import probe_commands
from polyseme.report.figures import columns, duration, size
from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Commands, Figure, Heading, Part, Table
from polyseme.report.probe_charts import controls_chart, layers_chart, overview_rows, shown, task_chart
from polyseme.study.probing.numbers import told

__all__ = ["probe_page", "probe_parts", "probe_text"]

CONTROLS = ("layer_0", "random_encoder", "random_labels")
_TITLES = {
    "layer_0": "layer 0 alone",
    "random_encoder": "random encoder",
    "random_labels": "random labels",
}


def probe_text(document: Mapping[str, Any]) -> str:
    """The study as tables of a terminal."""
    say = Speaker()
    counted = f"{document['layers']} layers" if document["layers"] > 1 else "one layer"
    parts = [f"probing {document['run']} ({document['model']}, {counted})"]
    for name, task in document["tasks"].items():
        targets = ", ".join(f"{counts['targets']:,} {part}" for part, counts in task["counts"].items())
        head = f"{name}: {task['task']}, {len(task['labels'])} labels; targets: {targets}"
        rows = [["", "micro-F1, %", "all layers less this"]]
        rows.append(["all layers", shown(task["score"], 2, 100), ""])
        for key, one in task["controls"].items():
            rows.append([_TITLES[key], shown(one["score"], 2, 100), _gain(one["difference"])])
        rows.append(["most frequent label", shown(task["most_frequent"], 2, 100), ""])
        lines = [head, *columns(rows), *_layer_lines(task, say)]
        lines.append(_cache_line(task["cache"]))
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _layer_lines(task: Mapping[str, Any], say: Speaker) -> list[str]:
    lines = []
    if task["accuracy"]:
        lines.append(f"accuracy of the most probable label: {shown(task['accuracy'], 2, 100)} %")
    if task["mix"] and not told(task):
        lines.append("not above the most frequent label: no centre of gravity, no expected layer")
        return lines
    if task["mix"]:
        weights = " ".join(f"{one['value']:.3f}" for one in task["mix"]["weights"])
        lines.append(f"layer weights: {weights}")
        lines.append(
            f"centre of gravity {shown(task['mix']['centre_of_gravity'], 2)}, "
            f"divergence from uniform {shown(task['mix']['divergence'], 3)} nats"
        )
    if task["cumulative"]:
        scores = " ".join(f"{100 * one['value']:.1f}" for one in task["cumulative"]["scores"])
        lines.append(f"score with layers 0 to l: {scores}")
        lines.append(
            f"expected layer {shown(task['cumulative']['expected_layer'], 2)}; with losses as 0: "
            f"{shown(task['cumulative']['expected_layer_clipped'], 2)}"
        )
    return lines


def _cache_line(cache: Mapping[str, Any]) -> str:
    return (
        f"hidden states: {cache['tokens']:,} tokens of {cache['layers']} layers, {size(cache['bytes'])} in "
        f"{cache['place']} as {cache['numbers']}; one pass over {cache['texts']:,} texts, {duration(cache['seconds'])}"
    )


def _gain(difference: Mapping[str, Any]) -> str:
    return shown(difference, 2, 100) + (" *" if difference["above"] else "")


def probe_parts(document: Mapping[str, Any], say: Speaker, prefix: str = "") -> list[Part]:
    """The study as parts of a page, from its document alone.

    Args:
        document: of `Probing`, perhaps read again from a file.
        say: speaks the page's language.
        prefix: stands before the names of figures.
    """
    parts = [*_overview(document, say, prefix), *_against(document, say, prefix)]
    files = {f"{prefix}probe-layers", f"{prefix}probe-controls"}
    for name, task in document["tasks"].items():
        file = f"{prefix}probe-{slug(name)}"
        while file in files:
            file += "-2"
        files.add(file)
        parts += _of_task(name, task, say, file)
    return [*parts, *_how(document, say)]


def _overview(document: Mapping[str, Any], say: Speaker, prefix: str) -> list[Part]:
    title = Heading(say("In which layers it is"))
    if document["layers"] == 1:
        return [title, say("The encoder has one layer: there is nothing to mix.")]
    head = [
        say("task"),
        say("centre of gravity"),
        say("divergence, nats"),
        say("expected layer"),
        say("expected layer, losses as 0"),
    ]
    rows = []
    for name, task in document["tasks"].items():
        mix, cumulative = task["mix"], task["cumulative"] or {}
        rows.append(
            [
                name,
                shown(mix["centre_of_gravity"], 2),
                shown(mix["divergence"], 3),
                shown(cumulative.get("expected_layer"), 2),
                shown(cumulative.get("expected_layer_clipped"), 2),
            ]
        )
    caption = say(
        "95 % intervals: of centres and divergences over {seeds} seeds, of expected layers over test texts and seeds.",
        seeds=document["settings"]["seeds"],
    )
    if not all(told(task) for task in document["tasks"].values()):
        caption += " " + say("—: the probe is not above always saying the most frequent label.")
    table = Table(head, rows, caption)
    if not overview_rows(document, say):
        return [title, table]
    figure = Figure(
        f"{prefix}probe-layers",
        layers_chart(document, say),
        say(
            "Centre of gravity of the mixing weights, and the layer at which a task is expected to be solved."
        ),
        say("Centre of gravity and expected layer of each task"),
    )
    return [title, figure, table]


def _against(document: Mapping[str, Any], say: Speaker, prefix: str) -> list[Part]:
    present = [key for key in CONTROLS if any(key in t["controls"] for t in document["tasks"].values())]
    head = [say("task"), say("all layers, %")]
    for key in present:
        head += [say(_TITLES[key]), say("selectivity") if key == "random_labels" else say("gain")]
    head.append(say("most frequent label"))
    rows: list[list[str]] = []
    strong: set[tuple[int, int]] = set()
    for name, task in document["tasks"].items():
        row = [name, shown(task["score"], 1, 100)]
        for key in present:
            one = task["controls"].get(key)
            row.append(shown(one["score"] if one else None, 1, 100))
            if one and one["difference"]["above"] and told(task):
                strong.add((len(rows), len(row)))
            row.append(shown(one["difference"] if one else None, 1, 100))
        rows.append([*row, shown(task["most_frequent"], 1, 100)])
    caption = say(
        "Micro-F1 in percent, differences in points on the same test texts, with 95 % intervals (texts and seeds drawn "
        "again); bold: the whole interval is above 0, and the probe above the most frequent label."
    )
    figure = Figure(
        f"{prefix}probe-controls",
        controls_chart(document, say),
        say("Probes of all layers against what layer 0, a random encoder and random labels give."),
        say("Score of each task and of its controls"),
    )
    return [Heading(say("Against controls")), figure, Table(head, rows, caption, strong=frozenset(strong))]


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
            say("Accuracy of the most probable label: {value} %.", value=shown(task["accuracy"], 1, 100))
        )
    if not told(task):
        parts.append(
            say("The probe is not above always saying the most frequent label: its layers tell nothing.")
        )
    if task["mix"]:
        parts.append(
            Figure(
                file,
                task_chart(name, task, say),
                say("Dashed: equal weights. Thin lines: 95 % intervals.")
                if not told(task)
                else say(
                    "Dashed: equal weights. Coloured upright lines: the centre of gravity and the expected layer. "
                    "Thin lines: 95 % intervals."
                ),
                say("Layer weights and scores of {name}", name=name),
            )
        )
    return parts


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
    parts: list[Part] = [text, Table(head, rows, caption, left=(0, 3)), Commands(probe_commands(document))]
    return [Heading(say("How it was done")), *parts, *map(say.note, document["notes"])]


def slug(name: str) -> str:
    """A name as part of a file's."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-") or "task"


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
