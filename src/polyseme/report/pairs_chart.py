"""Accuracy on minimal pairs: a bar for every phenomenon and run, with its interval and the line of chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polyseme.report.charts import Axis, Chart, Rule, Series, bars
from polyseme.report.language import Speaker

__all__ = ["names_of", "pairs_chart", "runs_of", "shown"]


def runs_of(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The documents of the runs that a document is about."""
    return list(document["runs"]) if "runs" in document else [document]


def names_of(abouts: Sequence[Mapping[str, Any]]) -> list[str]:
    """What runs are called: their model, with the folder where that does not tell them apart, or else the path."""
    ways = [
        [str(one["model"]) for one in abouts],
        [f"{one['model']} ({Path(one['run']).name})" for one in abouts],
        [f"{one['model']} ({one['run']})" for one in abouts],
        [f"{number}: {one['model']}" for number, one in enumerate(abouts, 1)],
    ]
    return next(names for names in ways if max(Counter(names).values()) == 1)


def pairs_chart(document: Mapping[str, Any], say: Speaker) -> Chart:
    """Bars of the accuracy of every phenomenon, one a run, with intervals and the line of chance."""
    rows, names, labels = _bars(document, say)
    accuracy = Axis("accuracy", say("accuracy"), ".2f", (0, 1))
    runs = Series("run", names)
    return bars(rows, Axis("phenomenon"), accuracy, labels, runs, text="text", rule=Rule(0.5))


def _bars(document: Mapping[str, Any], say: Speaker) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """Rows of the chart, names of the runs and of the phenomena in order: all first, then by the first run's figure."""
    runs = runs_of(document)
    own = names_of(runs)
    sources: list[tuple[str, Mapping[str, Any], str]] = [
        (name, one, "accuracy") for name, one in zip(own, runs, strict=True)
    ]
    if len(runs) == 1 and "against" in runs[0]:
        names = names_of([runs[0], runs[0]["against"]])
        sources = [(names[0], runs[0], "accuracy"), (names[1], runs[0], "against")]
    total = say("all: mean over paradigms")
    ranked = sorted(runs[0]["phenomena"], key=lambda one: -one["accuracy"]["value"])
    labels = [total, *(shown(one["phenomenon"]) for one in ranked)]
    rows = []
    for name, one, field in sources:
        for label, figures in [
            (total, one["figures"]),
            *((shown(phenomenon["phenomenon"]), phenomenon) for phenomenon in one["phenomena"]),
        ]:
            accuracy = figures[field]
            rows.append(
                {
                    "phenomenon": label,
                    "run": name,
                    "accuracy": round(accuracy["value"], 4),
                    "text": f"{accuracy['value']:.2f}",
                    "low": round(accuracy["low"], 4),
                    "high": round(accuracy["high"], 4),
                    "pairs": accuracy["n"],
                }
            )
    return rows, [name for name, _, _ in sources], list(dict.fromkeys(labels))


def shown(name: str) -> str:
    """A name as a person reads it: file names and BLiMP's have underscores for spaces."""
    return name.replace("_", " ")
