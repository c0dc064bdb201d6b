"""Probes, senses and pairs of several runs: tables, charts, and maps side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from polyseme.report.cells import Cells, interval, number, reason
from polyseme.report.charts import Axis, Chart, Rule, Series, beside, dots, heatmap, lines
from polyseme.report.language import Speaker
from polyseme.report.parts import Figure, Heading, Notes, Part
from polyseme.report.senses import FIGURES, headline, map_chart
from polyseme.study.probing.numbers import told as told_of_layers

__all__ = ["study_parts", "told"]

POINTS = 12_000
"""Points of all maps together at most, and `FEWEST` of one."""
FEWEST = 120


def study_parts(document: Mapping[str, Any], say: Speaker) -> list[Part]:
    """A section of probes, one of senses, one of pairs: those that there are."""
    names = list(document["runs"])
    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    for study in document["studies"]:
        by_kind.setdefault(study["kind"], []).append(study)
    parts = _probes(by_kind["probe"], names, say) if "probe" in by_kind else []
    for study in by_kind.get("senses", []):
        parts += _senses(study, names, say)
    for study in by_kind.get("pairs", []):
        parts += _pairs(study, names, say)
    return parts


def _value(found: Mapping[str, Any] | None, times: float = 100, digits: int = 1) -> str:
    """A figure and its interval in two lines."""
    if not found or found["value"] is None:
        return ""
    text = f"{times * found['value']:.{digits}f}"
    if found["low"] is not None:
        text += f"\n{times * found['low']:.{digits}f}–{times * found['high']:.{digits}f}"
    return text


def _lacking(cells: Cells, study: Mapping[str, Any], names: Sequence[str], what: str, say: Speaker) -> None:
    """A row for every run that was not looked into, with the reason."""
    for name in names:
        if name in study["absent"]:
            cells.row(name)
            cells.lack(reason(study["absent"][name], say), what)
            for _ in range(len(cells.head) - 2):
                cells.add("")


def told(study: Mapping[str, Any], say: Speaker) -> list[Part]:
    """What the study of each run says that a person should know: once what all say, else with the runs' names."""
    runs: dict[str, list[str]] = {}
    for name, document in study["documents"].items():
        for note in document["notes"]:
            runs.setdefault(note.removeprefix(f"{name}: "), []).append(name)
    lines = [
        say.note(note) if len(names) == len(study["documents"]) else (", ".join(names), say.note(note))
        for note, names in runs.items()
    ]
    return [Notes(lines)]


def _probes(studies: Sequence[Mapping[str, Any]], names: Sequence[str], say: Speaker) -> list[Part]:
    parts: list[Part] = [
        say(
            "A small classifier learns to read a property of words or pairs of words from the frozen layers. "
            "The centre of gravity is the mean layer that it reads; the expected layer is where adding layers helps."
        )
    ]
    for study in studies:
        parts += _probe(study, names, say)
    weights = [
        {
            "run": name,
            "task": title_of(study),
            "layer": layer,
            "weight": round(one["value"], 5),
            "gamma": round(mix["gamma"]["value"], 4),
        }
        for study in studies
        for name in names
        if name in study["documents"] and told_of_layers(probe_of(study["documents"][name]))
        if (mix := probe_of(study["documents"][name])["mix"])
        for layer, one in enumerate(mix["weights"])
    ]
    if weights:
        chart = mixes(weights, names, say)
        said = say(
            "What share of each layer the probes read (mean over seeds); runs with one layer have no choice, and "
            "probes that are not above the most frequent label read nothing."
        )
        parts += [Figure("probe-mixes", chart, said, say("Heat maps of layer weights by probe, one a run"))]
    rising = [
        {
            "run": name,
            "probe": title_of(study),
            "layer": layer,
            **{
                key: None if one[key] is None else round(100 * one[key], 3)
                for key in ("value", "low", "high")
            },
        }
        for study in studies
        for name in names
        if name in study["documents"] and (added := probe_of(study["documents"][name])["cumulative"])
        for layer, one in enumerate(added["scores"])
    ]
    if rising:
        titles = list(dict.fromkeys(str(row["probe"]) for row in rising))
        runs, small = Series("run", names), (250, 200)
        layer, score = (
            Axis("layer", say("layers 0 to …"), integers=True),
            Axis("value", say("micro-F1, %"), ".1f"),
        )
        panels = [
            lines(
                [row for row in rising if row["probe"] == title], layer, score, runs, size=small, title=title
            )
            for title in titles
        ]
        chart = beside(panels, resolve={"y": "shared"})
        said = say("Score with layers 0 to l: where the line rises, the layer adds what the probe looks for.")
        parts.append(Figure("probe-layers", chart, said, said))
    return [Heading(say("Probes")), *parts]


def _probe(study: Mapping[str, Any], names: Sequence[str], say: Speaker) -> list[Part]:
    heads = ["Run", "Micro-F1", "Best less this", "p", "Layer 0 alone", "Random encoder", "Random labels"]
    heads += ["Most frequent", "Centre of gravity", "Expected layer", "Divergence"]
    cells = Cells([say(head) for head in heads])
    for name, document in study["documents"].items():
        task = probe_of(document)
        controls, mix, added = task["controls"], task["mix"], task["cumulative"]
        cells.row(name)
        _add_standing(cells, study["standings"][name])
        for control in ("layer_0", "random_encoder", "random_labels"):
            one = controls.get(control)
            if one is None:
                without = say("the model has one layer") if control == "layer_0" else say("it has no weights")
                cells.lack(without if document["settings"]["controls"] else say("left out in the file"))
                continue
            above = f"\n{say('surely lower')}" if one["difference"]["above"] else ""
            cells.add(f"{number(one['score']['value'])}{above}")
        cells.add(number(task["most_frequent"]["value"]))
        if mix is None or not told_of_layers(task):
            one = mix is None
            for _ in range(3):
                cells.lack(
                    say("the model has one layer") if one else say("not above the most frequent label")
                )
            continue
        cells.add(_value(mix["centre_of_gravity"], 1, 2))
        expected = added and added["expected_layer"]
        if expected and expected["value"] is not None:
            cells.add(_value(expected, 1, 2))
        else:
            cells.lack(say("no layer adds anything") if added else say("left out in the file"))
        cells.add(_value(mix["divergence"], 1, 3))
    _lacking(cells, study, names, "micro-F1", say)
    counts = next((probe_of(one)["counts"] for one in study["documents"].values()), None)
    said = ""
    if counts:
        said = say(
            "{train} targets to learn from, {test} to judge. Random encoder: the same model with random "
            "weights; random labels: what a probe learns by heart.",
            train=f"{counts['train']['targets']:,}",
            test=f"{counts['test']['targets']:,}",
        )
    return [Heading(title_of(study), 3), cells.table(said), *cells.notes(), *told(study, say)]


def _senses(study: Mapping[str, Any], names: Sequence[str], say: Speaker) -> list[Part]:
    title = say("Senses of words")
    documents = study["documents"]
    if not documents:
        cells = Cells([say("Run"), say("accuracy")])
        _lacking(cells, study, names, say("Senses"), say)
        return [Heading(title), cells.table(), *cells.notes()]
    merged = joined(documents)
    labelled = merged["labelled"]
    cells, chart = (_sense_figures if labelled else _sense_groups)(merged, study, names, say)
    parts: list[Part] = [
        say(
            "Every use of a word gets the sense of the use nearest to it, those in the same text left out; the "
            "layer is chosen without the uses it is judged on. A model that does not look at the context has "
            "one vector for all uses: it cannot pass the share of the most frequent sense, the grey line."
        )
        if labelled
        else say("The uses have no labels: they are clustered, and the number of groups is suggested."),
        *chart,
        cells,
    ]
    notes = Cells(["", ""])
    _lacking(notes, study, names, say("Senses"), say)
    parts += [*notes.notes(), *told(study, say)]
    parts.append(Heading(say("Maps of the uses"), 3))
    for place, word in enumerate(merged["words"]):
        said = say(
            "{word}: every use is a point, with its sentence on hover; a panel a run.", word=word["word"]
        )
        parts.append(Figure(f"senses-map-{place + 1}", map_chart(merged, place, say), said, said))
    return [Heading(title), *parts]


def joined(documents: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One document of several runs that were measured on the same uses, with as many points as a page can bear."""
    first = next(iter(documents.values()))
    most = max(FEWEST, POINTS // (len(documents) * len(first["words"])))
    words = []
    keep: list[list[int]] = []
    for word in first["words"]:
        n = len(word["drawn"])
        keep.append(sorted({i * n // min(n, most) for i in range(min(n, most))}))
        words.append({**word, "drawn": [word["drawn"][i] for i in keep[-1]]})
    runs = []
    for name, document in documents.items():
        (run,) = document["runs"]
        entries = [
            {**entry, "map": {key: _some(value, chosen) for key, value in entry["map"].items()}}
            for entry, chosen in zip(run["words"], keep, strict=True)
        ]
        runs.append({**run, "name": name, "words": entries})
    return {**first, "words": words, "runs": runs, "differences": []}


def _some(value: Any, chosen: Sequence[int]) -> Any:
    return [value[i] for i in chosen] if isinstance(value, list) else value


def _sense_figures(
    merged: Mapping[str, Any], study: Mapping[str, Any], names: Sequence[str], say: Speaker
) -> tuple[Any, list[Part]]:
    """The headline figure of every run and word at its best layer, and the same as charts."""
    words, mean = merged["words"], merged["mean"]
    main = mean.get("headline", "accuracy")
    named = {word["word"]: word.get("headline", "accuracy") for word in words}
    every = say("mean of the words")
    heads = [say("Run"), every, say("Best less this"), "p", say("Over the ceiling")]
    titles = {every: every, **{word: word for word in named}}
    for title, figure in ((every, main), *named.items()):
        if figure != "accuracy":  # each sense with the same weight, since one has nearly all uses
            titles[title] = f"{title}\n{say(FIGURES[figure])}"
    heads[1] = titles[every]
    cells = Cells([*heads, *(titles[word["word"]] for word in words)])

    def ceiling(found: Mapping[str, Any], figure: str) -> Mapping[str, Any]:
        return found if figure == "accuracy" else {"value": found[figure], "low": None, "high": None}

    cells.row(say("always the most frequent sense"))
    cells.add(_value(ceiling(mean["ceiling"], main)))
    for _ in range(3):
        cells.add("")
    for word in words:
        cells.add(_value(ceiling(word["ceiling"], named[word["word"]])))
    rows = []
    for run in merged["runs"]:
        best = headline(run["mean"]["best"]["nearest"])
        cells.row(run["name"])
        _add_standing(cells, study["standings"][run["name"]])
        over = best["over"]
        cells.add(f"{number(over['value'], '', '+')}\n{interval(over, '', '+')}".rstrip())
        rows.append({"run": run["name"], "label": every, **_percent(best)})
        for entry in run["words"]:
            figure = headline(entry["best"]["nearest"])
            cells.add(_value(figure))
            rows.append({"run": run["name"], "label": entry["word"], **_percent(figure)})
    rule = 100 * ceiling(mean["ceiling"], main)["value"]
    by_layer = [
        {"run": run["name"], "layer": one["layer"], **_percent(one["nearest"][main])}
        for run in merged["runs"]
        for one in run["mean"]["layers"]
    ]
    marks = {every: rule}
    marks |= {word["word"]: 100 * ceiling(word["ceiling"], named[word["word"]])["value"] for word in words}
    axis = say("accuracy, %") if main == "accuracy" else say("balanced accuracy, %")
    labels = [every, *(word["word"] for word in words)]
    said = say(
        "The nearest neighbours' figure at the best layer, with 95 % intervals; grey: the static ceiling."
    )
    runs, value = Series("run", names), Axis("value", say("figure, %"), ".1f")
    layer = Axis("layer", say("layer (0 = embeddings)"), integers=True)
    charts: list[Part] = [
        Figure("senses", dots(rows, Axis("label"), value, labels, runs, marks), said, said),
        Figure(
            "senses-layers",
            lines(by_layer, layer, replace(value, title=axis), runs, Rule(rule)),
            say("The same layer by layer, mean of the words."),
            say("The nearest neighbours' figure by layer"),
        ),
    ]
    table = cells.table(
        say(
            "The nearest neighbours' accuracy at the best layer, percent, by word; balanced accuracy where one sense "
            "has more than 80 % of the uses. Intervals draw the uses again."
        )
    )
    return table, charts


def _percent(found: Mapping[str, Any]) -> dict[str, float]:
    return {key: round(100 * found[key], 3) for key in ("value", "low", "high")}


def _sense_groups(
    merged: Mapping[str, Any], study: Mapping[str, Any], names: Sequence[str], say: Speaker
) -> tuple[Any, list[Part]]:
    """The number of groups that every run suggests."""
    cells = Cells([say("Run"), *(word["word"] for word in merged["words"])])
    for run in merged["runs"]:
        cells.row(run["name"])
        for entry in run["words"]:
            cells.add(str(len(entry["groups"])))
    return cells.table(say("Groups of uses that are suggested, last layer.")), []


def _pairs(study: Mapping[str, Any], names: Sequence[str], say: Speaker) -> list[Part]:
    documents = study["documents"]
    total = say("all: mean over paradigms")
    phenomena = list(
        dict.fromkeys(one["phenomenon"] for document in documents.values() for one in document["phenomena"])
    )
    shown = {name: name.replace("_", " ") for name in phenomena}
    cells = Cells([say("Run"), total, say("Best less this"), "p", *(shown[name] for name in phenomena)])
    rows = []
    for name, document in documents.items():
        standing = study["standings"][name]
        cells.row(name)
        _add_standing(cells, standing)
        rows.append({"run": name, "label": total, **_percent(standing)})
        figures = {one["phenomenon"]: one["accuracy"] for one in document["phenomena"]}
        for phenomenon in phenomena:
            cells.add(_value(figures.get(phenomenon)))
            if phenomenon in figures:
                rows.append({"run": name, "label": shown[phenomenon], **_percent(figures[phenomenon])})
    _lacking(cells, study, names, say("accuracy"), say)
    parts: list[Part] = [
        say(
            "Two texts differ in one thing: in how many pairs is the good one more probable to the run? A tie "
            "counts one half; chance is 50. Decoders give log-likelihoods, masked models "
            "pseudo-log-likelihoods (within words from left to right), ELMo the sum of both directions."
        )
        if study["spec"]["scoring"] == "within-word"
        else say(
            "Two texts differ in one thing: in how many pairs is the good one more probable to the run? A tie "
            "counts one half; chance is 50. Decoders give log-likelihoods, masked models "
            "pseudo-log-likelihoods, ELMo the sum of both directions."
        )
    ]
    if rows:
        labels = [total, *(shown[name] for name in phenomena)]
        said = say("Accuracy by phenomenon with 95 % intervals; grey: chance.")
        value = Axis("value", say("accuracy, %"), ".1f")
        chart = dots(rows, Axis("label"), value, labels, Series("run", names), dict.fromkeys(labels, 50.0))
        parts.append(Figure("pairs", chart, said, said))
    n = next((one["figures"]["pairs"] for one in documents.values()), 0)
    said = say(
        "{n} pairs; intervals draw the pairs of each paradigm again. The difference from the best is tested on "
        "the same pairs; p is the larger one of bootstrap and randomisation, after Holm's correction; * p < 0.05.",
        n=f"{n:,}",
    )
    return [Heading(say("Minimal pairs")), *parts, cells.table(said), *cells.notes(), *told(study, say)]


def _add_standing(cells: Cells, standing: Mapping[str, Any]) -> None:
    """A figure with its mark, and its test against the best one."""
    from polyseme.report.cells import written_p

    value, difference = _value(standing), standing["difference"]
    cells.add(
        value.replace("\n", " *\n", 1) if standing["below"] else value, bool(standing.get("stands_out"))
    )
    if difference is None:
        cells.add("")
        cells.add("")
        return
    cells.add(f"{number(difference['value'], '', '+')}\n{interval(difference, '', '+')}".rstrip())
    cells.add(written_p(difference["p_holm"]))


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


@dataclass(frozen=True)
class Column:
    """A column of main figures.

    Args:
        name: what the notes call it.
        head: as the table has it; lines after the first are set small.
        metric: decides how figures are written.
        rows: {run: {"value", "low", "high", "best", "difference", "below" …}}.
        absent: {run: reason}.
    """

    name: str
    head: str
    metric: str
    rows: Mapping[str, Mapping[str, Any]]
    absent: Mapping[str, Mapping[str, str]]


def columns_of(study: Mapping[str, Any], say: Speaker) -> list[Column]:
    """The main figures of a study: none of unlabelled senses, which are not right or wrong."""
    if study["kind"] == "pairs":
        name, metric, measured = say("Minimal pairs"), "accuracy", say("accuracy")
    elif study["kind"] == "probe":
        name, metric, measured = title_of(study), "micro_f1", say("probe, micro-F1")
    elif all(document["labelled"] for document in study["documents"].values()):
        name, metric, measured = say("Senses"), "accuracy", say("nearest neighbour, best layer")
        means = [document["mean"].get("headline", "accuracy") for document in study["documents"].values()]
        if "balanced_accuracy" in means:
            measured = say("nearest neighbour, balanced accuracy")
    else:
        return []
    return [Column(name, f"{name}\n{measured}", metric, study["standings"], study["absent"])]


def title_of(study: Mapping[str, Any]) -> str:
    """The name that the file gives a probe."""
    return str(study["name"]).partition(".")[2]


def probe_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The one task of a probe's document."""
    (found,) = document["tasks"].values()
    task: Mapping[str, Any] = found
    return task
