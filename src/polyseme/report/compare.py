"""Runs side by side for people: one page that opens anywhere, figures as files, and the main figures in a terminal.

Comparison ─► compare_document ─► compare_page   overview, curves, tasks, studies, costs, commands
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from polyseme.core.version import __version__
from polyseme.report.cells import Cells, figure, interval, number, percent_like, reason, written_p
from polyseme.report.charts import Axis, Rule, Series, bars, lines
from polyseme.report.commands import finetune_command, run_command, study_commands
from polyseme.report.compare_studies import Column, columns_of, mixes, study_parts
from polyseme.report.compare_table import WAY_NAMES
from polyseme.report.figures import count, duration, size
from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Commands, Either, Figure, Heading, Part, Table
from polyseme.report.run_summary import summarize
from polyseme.study.standings import above
from polyseme.train.heldout import part_evaluated
from polyseme.train.run import RunDirectory

if TYPE_CHECKING:
    from polyseme.study.compare import Comparison

__all__ = ["compare_document", "compare_page", "run_facts"]


def compare_document(
    comparison: Comparison, command: str, machine: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Everything that the page says, JSON-able.

    Args:
        comparison: with whatever is done of it.
        command: that makes the page.
        machine: where it is made: {"system", "processor", "cores", "memory_bytes"}, as far as known.
    Returns `Comparison.document()`, and of each run "facts" (see `run_facts`), "command", "versions",
        "machine".
    """
    document = comparison.document()
    for name, run in comparison.runs.items():
        document["runs"][name]["facts"] = run_facts(run)
    versions = {"polyseme": __version__, "torch": str(torch.__version__), "python": platform.python_version()}
    return document | {"command": command, "versions": versions, "machine": dict(machine or {})}


def compare_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """The page.

    Args:
        document: of `compare_document`, or the JSON of an earlier one.
        lang: "en" or "zh".
    Raises:  ConfigError: no such language.
    """
    say = Speaker(lang)
    runs = document["runs"]
    models = ", ".join(dict.fromkeys(run["model"] for run in runs.values()))
    return Page(
        say("Representations compared"),
        say(
            "{n} runs ({models}) on the same texts, tasks and questions, by one protocol.",
            n=len(runs),
            models=models,
        ),
        [
            *_overview(document, say),
            Either(
                page=[
                    *_curves(document, say),
                    *_tasks(document, say),
                    *study_parts(document, say),
                    *_costs(document, say),
                    *_again(document, say),
                ]
            ),
        ],
        lang,
    )


_KEPT = (
    "model",
    "status",
    "parameters",
    "vocab_size",
    "steps",
    "tokens_seen",
    "seconds",
    "tokens_per_second",
    "peak_memory_bytes",
    "heldout_loss",
    "unigram_loss",
    "perplexity",
    "bits_per_character",
    "budget",
    "vocabulary",
    "imported",
    "judged_on",
)


def run_facts(run: RunDirectory) -> dict[str, Any]:
    """JSON-able: what `polyseme inspect` says in short, and sources, bytes, objectives, tokenizer, curve, commands.

    bytes are those of the weights, the heads and the tokenizer; resume/ and store/ can be deleted. The tokenizer is a
    fingerprint: losses of runs with the same one, and the same objectives, can be compared. The curve is of the
    held-out loss: [{"seconds", "tokens", "loss"}].
    """
    summary, meta = summarize(run), run.meta
    corpus = summary["corpus"]
    facts = {name: summary.get(name) for name in _KEPT}
    facts["objectives"] = list((meta.get("recipe") or {}).get("objectives") or [])
    facts["corpus"] = {name: corpus[name] for name in ("language", "fingerprint", "documents", "words")}
    facts["sources"] = [str(source) for source in (meta.get("corpus") or {}).get("sources") or []]
    facts["tokenizer"] = ((meta.get("corpus") or {}).get("tokenizer") or {}).get("fingerprint")
    facts["task"] = summary.get("task")
    facts["versions"] = dict(meta.get("versions") or {})
    facts["bytes"] = _bytes(run.path)
    facts["curve"] = [
        {"seconds": record["seconds"], "tokens": record.get("tokens"), "loss": record["heldout_loss"]}
        for record in run.metrics()
        if record.get("heldout_loss") is not None and "seconds" in record
    ]
    facts["command"] = run_command(run)
    return facts


def _bytes(folder: Path) -> int:
    files = [folder / "model.safetensors", folder / "tokenizer.json", *folder.glob("heads/*.safetensors")]
    return sum(file.stat().st_size for file in files if file.is_file())


def _overview(document: Mapping[str, Any], say: Speaker) -> list[Part]:
    """Two tables: what the runs are, and the main figure of everything that was measured."""
    runs = _runs(document, say)
    told = say(
        "Loss: nats per predicted token of held-out text; in brackets the loss of predicting from word frequency "
        "alone. It compares only between runs of the same vocabulary that predict the same thing (a masked token, the "
        "next one, a neighbour); the figures below compare between all."
    )
    parts: list[Part] = [Either(page=[runs.table(told), *runs.notes(say)])]
    columns = _main_columns(document, say)
    if columns:
        main = _main(document, columns, say)
        parts += [main.table(_rule(say)), *main.notes(say)]
    return [Heading(say("Overview")), *parts]


def _runs(document: Mapping[str, Any], say: Speaker) -> Cells:
    heads = [
        "Run",
        "Model",
        "Trained on",
        "Time",
        "Parameters",
        "On disk",
        "Peak memory",
        "Tokens/s",
        "Held-out loss",
    ]
    cells = Cells([say(head) for head in heads], left=(0, 1, 2))
    for name, run in document["runs"].items():
        facts = run["facts"]
        why = say("the run was imported, so how it was trained is not known")
        if not facts.get("imported"):
            why = say("its run.json does not say")
        cells.row(name)
        learned = ", ".join(facts["objectives"]) or say("no objective")
        cells.add(f"{facts['model']}\n{learned}")
        texts = _texts(facts, say)
        if texts:
            cells.add(texts)
        else:
            cells.lack(why)
        for field, written in (
            ("seconds", duration),
            ("parameters", count),
            ("bytes", size),
            ("peak_memory_bytes", size),
            ("tokens_per_second", count),
        ):
            cells.known(facts.get(field), written, why)
        loss, unigram = facts["heldout_loss"], facts["unigram_loss"]
        if loss is None:
            cells.lack(why)
        else:
            part = part_evaluated(facts.get("judged_on"))
            frequency = f"\n({unigram:.3f})" if unigram is not None else ""
            cells.add(
                f"{loss:.3f}{frequency}" + ("\n" + say("of {part} of the text", part=part) if part else "")
            )
    return cells


def _texts(facts: Mapping[str, Any], say: Speaker) -> str:
    corpus = facts["corpus"]
    names = ", ".join(Path(source).name or source for source in facts["sources"][:3])
    more = len(facts["sources"]) - 3
    names += f" +{more}" if more > 0 else ""
    if corpus["words"] is None:
        return names
    words = say("{n} words", n=count(corpus["words"]))
    return "\n".join(part for part in (names, f"{corpus['language'] or ''} {words}".strip()) if part)


def _main_columns(document: Mapping[str, Any], say: Speaker) -> list[Column]:
    """A column for every task and way, probe, and the other studies."""
    tasks = document["tasks"]
    several = {task["name"] for task in tasks if sum(other["name"] == task["name"] for other in tasks) > 1}
    columns = []
    for task in tasks:
        way = say(WAY_NAMES[task["way"]])
        head, name = f"{task['name']}\n{say.metric(task['metric'])}", str(task["name"])
        if task["name"] in several or task["way"] != "frozen":
            head, name = f"{head}\n{way}", f"{name} ({way})"
        columns.append(Column(name, head, task["metric"], task["rows"], task["absent"]))
    for study in document["studies"]:
        columns += columns_of(study, say)
    return columns


def _main(document: Mapping[str, Any], columns: Sequence[Column], say: Speaker) -> Cells:
    cells = Cells([say("Run"), *(column.head for column in columns)])
    for name in document["runs"]:
        cells.row(name)
        for column in columns:
            row = column.rows.get(name)
            if row is None or row["value"] is None:
                why = column.absent.get(name)
                cells.lack(reason(why, say) if why else say("there is nothing to count"), column.name)
                continue
            difference = row.get("difference")
            hint = ""
            if difference:
                by = number(abs(difference["value"] or 0.0), column.metric)
                hint = say("{d} from the best, p = {p}", d=by, p=written_p(difference["p_holm"]))
            cells.add(figure(row, column.metric), strong=bool(row.get("stands_out")), hint=hint)
    return cells


def _rule(say: Speaker) -> str:
    """How the table of main figures is to be read."""
    return say.sentences(
        say("In percent, with 95 % intervals below; bold (•): surely the best of a column and above chance."),
        say(
            "* surely below the best: p < 0.05 in a paired bootstrap over the same test examples and the seeds, "
            "with Holm's correction over the runs of a column. Intervals that overlap may differ all the same: "
            "most of an interval is the luck of the examples, which all runs share."
        ),
    )


def _curves(document: Mapping[str, Any], say: Speaker) -> list[Part]:
    """Held-out losses over minutes and over tokens; nothing where no run has any."""
    names = list(document["runs"])
    points = [row for name in names for row in _points_of(name, document["runs"][name]["facts"])]
    if not points:
        return []
    runs = Series("run", names)
    minutes = Axis("minutes", say("minutes of training"), ".2f")
    tokens = Axis("tokens", say("tokens seen in training"), log=True)
    loss = Axis("loss", say("held-out loss, nats per predicted token"), ".3f")
    gain = Axis("gain", say("nats below the frequency baseline"), ".3f")
    unit = Axis("bits", say("bits per character of held-out text"), ".3f")
    bits = [row for row in points if row["bits"] is not None]
    drawn = [
        (
            "loss-minutes",
            lines(points, minutes, loss, runs),
            say("Held-out loss over minutes of training."),
            say("Lines of held-out loss over minutes, one a run"),
        )
    ]
    if seen := [row for row in points if row["tokens"]]:
        drawn.append(
            (
                "loss-tokens",
                lines(seen, tokens, loss, runs),
                say("The same over tokens; the axis is logarithmic."),
                say("Lines of held-out loss over tokens, one a run"),
            )
        )
    if gains := [row for row in points if row["gain"] is not None]:
        drawn.append(
            (
                "gain-minutes",
                lines(gains, minutes, gain, runs, Rule(0.0)),
                say(
                    "What was learned beyond word frequency: the baseline's loss less the run's. Higher is better."
                ),
                say("Lines of the loss below the frequency baseline over minutes, one a run"),
            )
        )
    if len({row["run"] for row in bits}) > 1:
        drawn.append(
            (
                "bits-minutes",
                lines(bits, minutes, unit, runs),
                say(
                    "Models that predict the next token, in bits per character: comparable whatever the vocabulary, "
                    "where the held-out text is the same."
                ),
                say("Lines of bits per character over minutes, one a run"),
            )
        )
    told = say(
        "Each curve is in the unit of its own model: what is predicted, and from how many words, differs. Runs with "
        "the same vocabulary and objective compare directly; below the frequency baseline, others do roughly."
    )
    without = ", ".join(name for name in names if not document["runs"][name]["facts"]["curve"])
    left_out = say("No losses were recorded for: {names}.", names=without) if without else ""
    return [Heading(say("How they learned")), told, *(Figure(*one) for one in drawn), left_out]


def _points_of(name: str, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    unigram, bits, last = facts["unigram_loss"], facts["bits_per_character"], facts["heldout_loss"]
    scale = bits / last if bits is not None and last else None
    return [
        {
            "run": name,
            "minutes": round(point["seconds"] / 60, 4),
            "tokens": point["tokens"] or None,
            "loss": round(point["loss"], 5),
            "gain": None if unigram is None else round(unigram - point["loss"], 5),
            "bits": None if scale is None else round(scale * point["loss"], 5),
        }
        for point in facts["curve"]
        if point["tokens"] != 0  # before anything was learned: it only stretches the axis
    ]


def _costs(document: Mapping[str, Any], say: Speaker) -> list[Part]:
    """What everything took."""
    kinds = list(dict.fromkeys(study["kind"] for study in document["studies"]))
    names = {"probe": "Probing", "senses": "Senses", "pairs": "Pairs"}
    heads = ["Run", "Pretraining", "Parameters", "On disk", "Peak memory", "Tokens/s", "Tokens seen"]
    heads += ["Adapting"] if document["tasks"] else []
    cells = Cells([*map(say, heads), *(say(names[kind]) for kind in kinds)])
    for name, run in document["runs"].items():
        facts = run["facts"]
        cells.row(name)
        why = say("its run.json does not say")
        for field, written in (
            ("seconds", duration),
            ("parameters", count),
            ("bytes", size),
            ("peak_memory_bytes", size),
            ("tokens_per_second", count),
            ("tokens_seen", count),
        ):
            cells.known(facts.get(field), written, why)
        took = [[task["rows"][name]["seconds"] for task in document["tasks"] if name in task["rows"]]]
        took = took if document["tasks"] else []
        took += [
            [s["seconds"][name] for s in document["studies"] if s["kind"] == kind and name in s["seconds"]]
            for kind in kinds
        ]
        for seconds in took:
            cells.known(sum(seconds) if seconds else None, duration, say("nothing was done"))
    caption = say(
        "Time of pretraining and its peak memory are those of the run's own machine. Adapting is all tasks, ways and "
        "seeds together, on {threads} thread(s); what was kept from an earlier call counts with the time it took then.",
        threads=document["settings"]["threads"],
    )
    return [Heading(say("Costs")), cells.table(caption), *cells.notes(say)]


def _tasks(document: Mapping[str, Any], say: Speaker) -> list[Part]:
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
        parts += _bars(ways, names, file, say)
    heads = ["Run", "Way", "Seeds", "Best less this", "p", "Trained parameters", "Time"]
    titles = [say(head) for head in heads]
    cells = Cells([*titles[:2], say.metric(metric), *titles[2:]], left=(0, 1))
    for way in ways:
        spoken = say(WAY_NAMES[way["way"]])
        for name in names:
            result = way["rows"].get(name)
            cells.row(name)
            cells.add(spoken)
            if result is None:
                why = reason(way["absent"][name], say)
                cells.lack(why, f"{say.metric(metric) or first['name']}, {spoken}")
                for _ in range(len(cells.head) - 3):
                    cells.add("")
                continue
            cells.add(figure(result, metric), strong=bool(result.get("stands_out")))
            cells.add(" ".join(number(value, metric) for value in result["values"]))
            _add_difference(cells, result, metric)
            cells.add(count(result["trained_parameters"]))
            cells.add(duration(result["seconds"]))
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
    return [*parts, cells.table(caption), *cells.notes(say)]


def _add_difference(cells: Cells, row: Mapping[str, Any], metric: str) -> None:
    difference = row["difference"]
    if difference is None:
        cells.add("")
        cells.add("")
        return
    cells.add(f"{number(difference['value'], metric, '+')}\n{interval(difference, metric, '+')}".rstrip())
    cells.add(written_p(difference["p_holm"]))


def _bars(ways: Sequence[Mapping[str, Any]], names: Sequence[str], file: str, say: Speaker) -> list[Figure]:
    """A chart a way, all with the same axis."""
    metric = ways[0]["metric"]
    named = say.metric(metric)
    scale = 100 if percent_like(metric) else 1
    charts: list[tuple[str, list[dict[str, Any]]]] = []
    for way in ways:
        rows = [
            {
                "run": name,
                **{key: None if row[key] is None else scale * row[key] for key in ("value", "low", "high")},
                "text": number(row["value"], metric) + (" *" if row["below"] else ""),
            }
            for name in names
            if (row := way["rows"].get(name)) is not None and row["value"] is not None
        ]
        charts += [(say(WAY_NAMES[way["way"]]), rows)] if rows else []
    ends = [
        row[key]
        for _, rows in charts
        for row in rows
        for key in ("value", "low", "high")
        if row[key] is not None
    ]
    domain = min([0.0, *ends]), max(ends, default=0.0) or 1.0
    value = Axis("value", f"{named}, %" if percent_like(metric) else named, ".2f", domain)
    runs = Series("run", names, legend=False)
    said = say(
        "{task}: {metric} with 95 % intervals; * surely below the best.", task=ways[0]["name"], metric=named
    )
    figures = []
    for place, (spoken, rows) in enumerate(charts, 1):
        shown, title = [str(row["run"]) for row in rows], spoken if len(ways) > 1 else ""
        chart = bars(rows, Axis("run"), value, shown, runs, text="text", title=title)
        figures.append(Figure(file if place == 1 else f"{file}-{place}", chart, said, said))
    return figures


def _mixes(tasks: Sequence[Mapping[str, Any]], names: Sequence[str], say: Speaker) -> list[Part]:
    """Weights of the layers by task, of runs with more than one layer that were used frozen."""
    rows = [
        {
            "run": name,
            "task": task["name"],
            "layer": layer,
            "weight": round(weight, 5),
            "gamma": round(result["mix"]["gamma"], 4),
        }
        for task in tasks
        if task["way"] == "frozen"
        for name in names
        if (result := task["rows"].get(name)) and result["mix"] and len(result["mix"]["weights"]) > 1
        if above(result["value"], task.get("chance"), task["metric"])
        for layer, weight in enumerate(result["mix"]["weights"])
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


def _again(document: Mapping[str, Any], say: Speaker) -> list[Part]:
    """How to get the same page, and each figure by itself."""
    settings = document["settings"]
    parts: list[Part] = [say("This page, from the runs as they are; what is kept is not computed again:")]
    parts.append(Commands([document["command"]]))
    parts += [say("The file that says what is compared ({file}):", file=settings["file"])]
    parts.append(Commands(settings["toml"].rstrip("\n").split("\n")))
    parts.append(
        say("The runs, from their texts; settings that are not the model's own recipe's stand as --set:")
    )
    made: list[str] = []
    unknown: list[str] = []
    for name, run in document["runs"].items():
        command = run["facts"]["command"]
        (made if command else unknown).append(command or name)
    parts += [Commands(made)] if made else []
    if unknown:
        parts.append(say("How these were made is not known: {names}.", names=", ".join(unknown)))
    parts += _by_hand(document, say)
    parts += [Heading(say("Versions and machine"), 3), _machine(document, say)]
    return [Heading(say("How to get the same figures")), *parts]


def _by_hand(document: Mapping[str, Any], say: Speaker) -> list[Part]:
    """The commands of single cells and studies."""
    seeds = document["settings"]["seeds"]
    lines = [
        finetune_command(task, document["runs"][name], seeds[0], f"adapted/{number}-{way}-{place}")
        for number, task in enumerate(document["tasks"], 1)
        for way in [task["way"]]
        for place, name in enumerate(task["rows"], 1)
    ]
    parts: list[Part] = []
    if lines:
        parts.append(
            say(
                "One adaptation by itself, then `polyseme evaluate` on its test file (once with each of the seeds "
                "{seeds}; this page takes at most {dev} dev and {test} test examples, always the same ones):",
                seeds=", ".join(map(str, seeds)),
                dev=f"{document['settings']['dev_examples']:,}",
                test=f"{document['settings']['test_examples']:,}",
            )
        )
        parts.append(Commands(lines))
    studies = [line for study in document["studies"] for line in study_commands(study, document)]
    if studies:
        parts += [say("The other studies by themselves:"), Commands(studies)]
    return parts


def _machine(document: Mapping[str, Any], say: Speaker) -> Table:
    versions, machine = document["versions"], document["machine"]
    rows = [[name, str(value)] for name, value in versions.items()]
    for name, title in (("system", "System"), ("processor", "Processor"), ("cores", "Cores")):
        if machine.get(name) is not None:
            value = machine[name]
            rows.append([say(title), f"{value:g}" if isinstance(value, float) else str(value)])
    if machine.get("memory_bytes"):
        rows.append([say("Memory"), size(machine["memory_bytes"])])
    trained = sorted({versions_of(run["facts"]) for run in document["runs"].values()} - {""})
    if trained:
        rows.append([say("The runs were made with"), "; ".join(trained)])
    return Table([say("What"), say("Value")], rows, left=(0, 1))


def versions_of(facts: Mapping[str, Any]) -> str:
    """The versions that a run was made with, in one line."""
    return ", ".join(f"{name} {version}" for name, version in (facts.get("versions") or {}).items())
