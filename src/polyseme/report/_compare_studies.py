"""Probes, senses and pairs in a comparison: their columns among the main figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from polyseme.report.language import Speaker

__all__ = ["Column", "columns_of", "probe_of", "title_of"]


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
