"""The studies of a comparison: how the runs stand, and what each study shows of several runs by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from polyseme.report.cells import Cells, figure, interval, number, reason, written_p
from polyseme.report.charts import Axis, Chart, Series, beside, heatmap, lines
from polyseme.report.language import Speaker
from polyseme.report.pairs import pairs_parts
from polyseme.report.parts import Figure, Heading, Notes, Part
from polyseme.report.probe import control_parts, layer_parts
from polyseme.report.senses import senses_parts
from polyseme.study.probing.numbers import beats_baseline

__all__ = ["Column", "columns_of", "joined", "mixes", "study_parts", "told"]

POINTS = 12_000
"""Points of all maps together at most, and `FEWEST` of one."""
FEWEST = 120


def study_parts(document: Mapping[str, Any], say: Speaker) -> list[Part]:
    """A section of probes, one of senses, one of pairs: those that there are."""
    names = list(document["runs"])
    probes = [study for study in document["studies"] if study["kind"] == "probe"]
    parts = _probes(probes, names, say) if probes else []
    for study in document["studies"]:
        if study["kind"] == "senses":
            parts += _senses(study, names, say)
        elif study["kind"] == "pairs":
            parts += _pairs(study, names, say)
    return parts


def _standing(
    study: Mapping[str, Any], names: Sequence[str], measured: str, caption: str, say: Speaker
) -> list[Part]:
    """Every run's figure, its test against the best one, why there is none, and what the study says of the runs."""
    cells = Cells([say("Run"), measured, say("Best less this"), "p"])
    for name, row in study["standings"].items():
        difference = row["difference"]
        cells.row(name)
        cells.add(figure(row), bool(row.get("stands_out")))
        cells.add(
            f"{number(difference['value'], '', '+')}\n{interval(difference, '', '+')}".rstrip()
            if difference
            else ""
        )
        cells.add(written_p(difference["p_holm"]) if difference else "")
    for name in names:
        if name in study["absent"]:
            cells.row(name)
            cells.lack(reason(study["absent"][name], say), measured)
            cells.add("")
            cells.add("")
    table = [cells.table(caption)] if cells.rows else []
    return [*table, *cells.notes(say), *told(study, say)]


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


def _below(parts: Sequence[Part]) -> list[Part]:
    """Parts of a study's own page below a heading of this one."""
    return [replace(part, level=3) if isinstance(part, Heading) else part for part in parts]


def _probes(studies: Sequence[Mapping[str, Any]], names: Sequence[str], say: Speaker) -> list[Part]:
    parts: list[Part] = [
        say(
            "A small classifier learns to read a property of words or pairs of words from the frozen layers. "
            "The centre of gravity is the mean layer that it reads; the expected layer is where adding layers helps."
        )
    ]
    for place, study in enumerate(studies, 1):
        parts += [Heading(title_of(study), 3), *_probe(study, names, f"probe-{place}-", say)]
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
        if name in study["documents"] and beats_baseline(probe_of(study["documents"][name]))
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


def _probe(study: Mapping[str, Any], names: Sequence[str], prefix: str, say: Speaker) -> list[Part]:
    documents = study["documents"]
    if not documents:
        return _standing(study, names, say("Micro-F1"), "", say)
    tasks = {name: probe_of(document) for name, document in documents.items()}
    first = next(iter(documents.values()))
    counts = probe_of(first)["counts"]
    caption = say(
        "{train} targets to learn from, {test} to judge. Random encoder: the same model with random weights; random "
        "labels: what a probe learns by heart.",
        train=f"{counts['train']['targets']:,}",
        test=f"{counts['test']['targets']:,}",
    )
    most = max(document["layers"] for document in documents.values())
    several = {"tasks": tasks, "layers": most, "settings": first["settings"]}
    return [
        *_standing(study, names, say("Micro-F1"), caption, say),
        *control_parts(several, say, prefix, "run"),
        *layer_parts(several, say, prefix, "run"),
    ]


def _senses(study: Mapping[str, Any], names: Sequence[str], say: Speaker) -> list[Part]:
    title, documents = Heading(say("Senses of words")), study["documents"]
    caption = say(
        "The nearest neighbours' figure at the best layer, percent, mean of the words: accuracy, or balanced accuracy "
        "where one sense has more than 80 % of the uses. Intervals draw the uses again."
    )
    parts = [title, *_standing(study, names, say("figure"), caption, say)]
    return (
        [*parts, *_below(senses_parts({**joined(documents), "series": names}, say))] if documents else parts
    )


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
    return {**first, "words": words, "runs": runs, "differences": [], "notes": []}


def _some(value: Any, chosen: Sequence[int]) -> Any:
    return [value[i] for i in chosen] if isinstance(value, list) else value


def _pairs(study: Mapping[str, Any], names: Sequence[str], say: Speaker) -> list[Part]:
    title, documents = Heading(say("Minimal pairs")), study["documents"]
    if not documents:
        return [title, *_standing(study, names, say("accuracy"), "", say)]
    caption = say(
        "{n} pairs; intervals draw the pairs of each paradigm again. The difference from the best is tested on "
        "the same pairs; p is the larger one of bootstrap and randomisation, after Holm's correction; * p < 0.05.",
        n=f"{next(iter(documents.values()))['figures']['pairs']:,}",
    )
    several = {"runs": [{**document, "name": name} for name, document in documents.items()], "series": names}
    parts = [title, *_standing(study, names, say("accuracy"), caption, say)]
    return [*parts, *_below(pairs_parts(several, say))]


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
        means = [document["mean"]["headline"] for document in study["documents"].values()]
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
    task: Mapping[str, Any] = next(iter(document["tasks"].values()))
    return task
