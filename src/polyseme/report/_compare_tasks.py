"""The section of tasks: bars with intervals, every difference from the best, and what was read of each layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyseme.report._compare_cells import Cells, figure, interval, number, percent_like, reason, written_p
from polyseme.report._compare_overview import WAYS
from polyseme.report.charts import Axis, Chart, Series, bars, beside, heatmap
from polyseme.report.figures import count, duration
from polyseme.report.language import Speaker
from polyseme.report.parts import Figure, Heading, Part
from polyseme.study.standings import above

__all__ = ["mixes", "tasks_section"]


def tasks_section(document: Mapping[str, Any], say: Speaker) -> list[Part]:
    """Nothing where there are no tasks."""
    tasks = document["tasks"]
    if not tasks:
        return []
    names = list(document["runs"])
    seeds = ", ".join(map(str, document["settings"]["seeds"]))
    parts: list[Part] = [
        say(
            "Every run is adapted to every task with the same examples, once a seed ({seeds}), and judged on the same "
            "test examples. Figures are means over the seeds; intervals draw the seeds and the test examples again.",
            seeds=seeds,
        )
    ]
    if len(document["settings"]["seeds"]) < 3:
        parts.append(
            say(
                "With fewer than three seeds the luck of a seed is hardly in the intervals: they are too narrow."
            )
        )
    for number_, name in enumerate(dict.fromkeys(task["name"] for task in tasks), 1):
        parts += _task([task for task in tasks if task["name"] == name], names, f"task-{number_}", say)
    parts += _mixes(tasks, names, say)
    return [Heading(say("Tasks")), *parts]


def _task(ways: Sequence[Mapping[str, Any]], names: Sequence[str], file: str, say: Speaker) -> list[Part]:
    first = ways[0]
    metric = first["metric"]
    parts: list[Part] = [Heading(first["name"], 3)]
    if any(way["rows"] for way in ways):
        parts.append(_bars(ways, names, file, say))
    heads = ["Run", "Way", "Seeds", "Best less this", "p", "Trained parameters", "Time"]
    titles = [say(head) for head in heads]
    cells = Cells([*titles[:2], metric, *titles[2:]], left=(0, 1))
    for way in ways:
        spoken = say(WAYS[way["way"]])
        for name in names:
            found = way["rows"].get(name)
            cells.row(name)
            cells.add(spoken)
            if found is None:
                why = reason(way["absent"][name], say)
                cells.lack(why, f"{metric or first['name']}, {spoken}")
                for _ in range(len(cells.head) - 3):
                    cells.add("")
                continue
            cells.add(figure(found, metric), strong=bool(found.get("stands_out")))
            cells.add(" ".join(number(value, metric) for value in found["values"]))
            _add_difference(cells, found, metric)
            cells.add(count(found["trained_parameters"]))
            cells.add(duration(found["seconds"]))
    n = next((one["n"] for way in ways for one in way["rows"].values()), 0)
    learned = first["examples"][0] if first["examples"] else 0
    caption = say(
        "At most {learned} training examples; {n} test items. The difference is that of the best run; p after Holm's "
        "correction over the runs of a way; * p < 0.05.",
        learned=f"{learned:,}",
        n=f"{n:,}",
    )
    if (chance := first.get("chance")) is not None:
        without = say("Without any knowledge of the text: {value}.", value=number(chance, metric))
        caption = say.sentences(caption, without)
    return [*parts, cells.table(caption), *cells.notes()]


def _add_difference(cells: Cells, found: Mapping[str, Any], metric: str) -> None:
    difference = found["difference"]
    if difference is None:
        cells.add("")
        cells.add("")
        return
    cells.add(f"{number(difference['value'], metric, '+')}\n{interval(difference, metric, '+')}".rstrip())
    cells.add(written_p(difference["p_holm"]))


def _bars(ways: Sequence[Mapping[str, Any]], names: Sequence[str], file: str, say: Speaker) -> Figure:
    metric = ways[0]["metric"]
    scale = 100 if percent_like(metric) else 1
    rows = [
        {
            "run": name,
            "group": say(WAYS[way["way"]]),
            "value": scale * found["value"],
            "low": None if found["low"] is None else scale * found["low"],
            "high": None if found["high"] is None else scale * found["high"],
            "text": number(found["value"], metric) + (" *" if found["below"] else ""),
        }
        for way in ways
        for name in names
        if (found := way["rows"].get(name)) is not None and found["value"] is not None
    ]
    ends = [row[key] for row in rows for key in ("value", "low", "high") if row[key] is not None]
    domain = min([0.0, *ends]), max(ends, default=0.0) or 1.0
    value = Axis("value", f"{metric}, %" if percent_like(metric) else metric, ".2f", domain)
    runs, panels = Series("run", names, legend=False), []
    for group in dict.fromkeys(row["group"] for row in rows):
        mine = [row for row in rows if row["group"] == group]
        shown = [name for name in names if any(row["run"] == name for row in mine)]
        title = group if len(ways) > 1 else ""
        panels.append(bars(mine, Axis("run"), value, shown, runs, text="text", title=title))
    chart = panels[0] if len(panels) == 1 else beside(panels, 1)
    said = say(
        "{task}: {metric} with 95 % intervals; * surely below the best.", task=ways[0]["name"], metric=metric
    )
    return Figure(file, chart, said, said)


def _mixes(tasks: Sequence[Mapping[str, Any]], names: Sequence[str], say: Speaker) -> list[Part]:
    """Weights of the layers by task, of runs with more than one layer that were used frozen."""
    rows = [
        {
            "run": name,
            "task": task["name"],
            "layer": layer,
            "weight": round(weight, 5),
            "gamma": round(found["mix"]["gamma"], 4),
        }
        for task in tasks
        if task["way"] == "frozen"
        for name in names
        if (found := task["rows"].get(name)) and found["mix"] and len(found["mix"]["weights"]) > 1
        if above(found["value"], task.get("chance"), task["metric"])
        for layer, weight in enumerate(found["mix"]["weights"])
    ]
    if not rows:
        return []
    chart = mixes(rows, names, say)
    static = [name for name in names if not any(row["run"] == name for row in rows)]
    said = say(
        "What share of each layer a task learned to read while the run stayed frozen (softmax of the scalar mix, mean "
        "over seeds)."
    )
    if static:
        lacking = say(
            "Not shown, since they have one layer, were not used frozen or are not above chance: {names}.",
            names=", ".join(static),
        )
        said = say.sentences(said, lacking)
    return [
        Heading(say("Which layers the tasks read"), 3),
        Figure("mixes", chart, said, say("Heat maps of layer weights by task, one a run")),
    ]


def mixes(rows: Sequence[Mapping[str, Any]], names: Sequence[str], say: Speaker) -> Chart:
    """Heat maps side by side, one a run: tasks by layers, the embedding layer at the bottom.

    Args:
        rows: {"run", "task", "layer", "weight", "gamma"}.
        names: the runs, in order.
        say: the page's words.
    """
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    layers = list(
        range(max(row["layer"] for row in rows), -1, -1)
    )  # of all, so that they stand beside each other
    share = Axis("weight", say("share"), ".2f", (0.0, max(1e-6, *(row["weight"] for row in rows))))
    panels = [
        heatmap(
            [{**row, "text": f"{row['weight']:.2f}"} for row in rows if row["run"] == name],
            Axis("task"),
            Axis("layer", say("layer (0 = embeddings)")),
            share,
            tasks,
            layers,
            text="text",
            more=[Axis("gamma", format=".3f")],
            cell=(56, 28),
            title=name,
        )
        for name in names
        if any(row["run"] == name for row in rows)
    ]
    return beside(panels, max(1, 900 // (56 * len(tasks) + 60)))
