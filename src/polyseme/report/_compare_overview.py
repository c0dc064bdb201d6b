"""The first sections of a comparison: the runs, their main figures, their losses; and the costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polyseme.report._compare_cells import Cells, figure, number, reason, written_p
from polyseme.report._compare_studies import Column, columns_of
from polyseme.report.charts import Axis, Rule, Series, lines
from polyseme.report.figures import count, duration, size
from polyseme.report.language import Speaker
from polyseme.report.parts import Figure, Heading, Part
from polyseme.train.heldout import part_judged

__all__ = ["costs_section", "curves_section", "main_columns", "overview_section"]


def overview_section(document: Mapping[str, Any], say: Speaker) -> list[Part]:
    """Two tables: what the runs are, and the main figure of everything that was measured."""
    runs = _runs(document, say)
    parts: list[Part] = [
        runs.table(
            say(
                "Loss: nats per predicted token of held-out text; in brackets the loss of predicting from word "
                "frequency alone. It compares only between runs of the same vocabulary that predict the same thing "
                "(a masked token, the next one, a neighbour); the figures below compare between all."
            )
        ),
        *runs.notes(),
    ]
    columns = main_columns(document, say)
    if columns:
        main = _main(document, columns, say)
        parts += [main.table(_rule(say)), *main.notes()]
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
            part = part_judged(facts.get("judged_on"))
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


def main_columns(document: Mapping[str, Any], say: Speaker) -> list[Column]:
    """A column for every task and way, probe, and the other studies."""
    tasks = document["tasks"]
    several = {task["name"] for task in tasks if sum(other["name"] == task["name"] for other in tasks) > 1}
    found = []
    for task in tasks:
        way = say(WAYS[task["way"]])
        head, name = f"{task['name']}\n{task['metric']}", str(task["name"])
        if task["name"] in several or task["way"] != "frozen":
            head, name = f"{head}\n{way}", f"{name} ({way})"
        found.append(Column(name, head, task["metric"], task["rows"], task["absent"]))
    for study in document["studies"]:
        found += columns_of(study, say)
    return found


def _main(document: Mapping[str, Any], columns: Sequence[Column], say: Speaker) -> Cells:
    cells = Cells([say("Run"), *(column.head for column in columns)])
    for name in document["runs"]:
        cells.row(name)
        for column in columns:
            found = column.rows.get(name)
            if found is None or found["value"] is None:
                why = column.absent.get(name)
                cells.lack(reason(why, say) if why else say("there is nothing to count"), column.name)
                continue
            difference = found.get("difference")
            hint = ""
            if difference:
                by = number(abs(difference["value"] or 0.0), column.metric)
                hint = say("{d} from the best, p = {p}", d=by, p=written_p(difference["p_holm"]))
            cells.add(figure(found, column.metric), strong=bool(found.get("stands_out")), hint=hint)
    return cells


def _rule(say: Speaker) -> str:
    """How the table of main figures is to be read."""
    return say.sentences(
        say(
            "In percent, with 95 % intervals below; in bold what surely is the best of a column and above chance."
        ),
        say(
            "* surely below the best: p < 0.05 in a paired bootstrap over the same test examples and the seeds, "
            "with Holm's correction over the runs of a column. Intervals that overlap may differ all the same: "
            "most of an interval is the luck of the examples, which all runs share."
        ),
    )


WAYS = {
    "frozen": "frozen, layers mixed",
    "whole": "trained as a whole",
    "frozen-scratch": "random weights, frozen",
    "whole-scratch": "random weights, trained as a whole",
}


def curves_section(document: Mapping[str, Any], say: Speaker) -> list[Part]:
    """Held-out losses over minutes and over tokens; nothing where no run has any."""
    names = list(document["runs"])
    points = [row for name in names for row in _points_of(name, document["runs"][name]["facts"])]
    if not points:
        return []
    runs = Series("run", names)
    minutes = Axis("minutes", say("minutes of training"))
    tokens = Axis("tokens", say("tokens seen in training"), "~s", log=True)
    loss = Axis("loss", say("held-out loss, nats per predicted token"), ".3f")
    parts: list[Part] = [
        say(
            "Each curve is in the unit of its own model: what is predicted, and from how many words, differs. Runs "
            "with the same vocabulary and objective compare directly; below the frequency baseline, others do roughly."
        ),
        Figure(
            "loss-minutes",
            lines(points, minutes, loss, runs),
            say("Held-out loss over minutes of training."),
            say("Lines of held-out loss over minutes, one a run"),
        ),
    ]
    seen = [row for row in points if row["tokens"]]
    if seen:
        parts.append(
            Figure(
                "loss-tokens",
                lines(seen, tokens, loss, runs),
                say("The same over tokens; the axis is logarithmic."),
                say("Lines of held-out loss over tokens, one a run"),
            )
        )
    gains = [row for row in points if row["gain"] is not None]
    if gains:
        gain = Axis("gain", say("nats below the frequency baseline"), ".3f")
        parts.append(
            Figure(
                "gain-minutes",
                lines(gains, minutes, gain, runs, Rule(0.0)),
                say(
                    "What was learned beyond word frequency: the baseline's loss less the run's. Higher is better."
                ),
                say("Lines of the loss below the frequency baseline over minutes, one a run"),
            )
        )
    bits = [row for row in points if row["bits"] is not None]
    if len({row["run"] for row in bits}) > 1:
        unit = Axis("bits", say("bits per character of held-out text"), ".3f")
        parts.append(
            Figure(
                "bits-minutes",
                lines(bits, minutes, unit, runs),
                say(
                    "Models that predict the next token, in bits per character: comparable whatever the vocabulary, "
                    "where the held-out text is the same."
                ),
                say("Lines of bits per character over minutes, one a run"),
            )
        )
    without = [name for name in names if not document["runs"][name]["facts"]["curve"]]
    if without:
        parts.append(say("No losses were recorded for: {names}.", names=", ".join(without)))
    return [Heading(say("How they learned")), *parts]


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


def costs_section(document: Mapping[str, Any], say: Speaker) -> list[Part]:
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
    return [Heading(say("Costs")), cells.table(caption), *cells.notes()]
