"""Probes, senses and pairs in a comparison: their columns among the main figures, and their commands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyseme.report._compare_facts import line
from polyseme.report.language import Speaker

__all__ = ["Column", "columns_of", "probe_of", "study_commands", "title_of"]


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


def study_commands(study: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    """The command of each run that was looked into."""
    commands = {"probe": _probe, "senses": _senses, "pairs": _pairs}
    base = Path(document["settings"]["file"]).parent
    seeds = document["settings"]["seeds"]
    number = study["name"].replace(".", "-")
    return [
        line(
            *commands[study["kind"]](study["spec"], document["runs"][run]["path"], base, seeds),
            *_scoring(found),
            "-o",
            f"{number}-{place}",
        )
        for place, (run, found) in enumerate(study["documents"].items(), 1)
    ]


def _scoring(found: Mapping[str, Any]) -> list[object]:
    """How a masked model was asked about pairs, where it is not the way that needs no word."""
    return ["--scoring", "original"] if found.get("scoring") == "original" else []


def _file(base: Path, name: str) -> str:
    return os.path.normpath(base / name)


def _columns(spec: Mapping[str, Any]) -> list[object]:
    named = ",".join(f"{ours}={theirs}" for ours, theirs in spec["columns"].items())
    return ["--columns", named] if named else []


def _probe(spec: Mapping[str, Any], run: str, base: Path, seeds: list[int]) -> list[object]:
    words: list[object] = ["polyseme", "probe", run, _file(base, spec["train"]), "--task", spec["task"]]
    for part in ("dev", "test"):
        words += [f"--{part}", _file(base, spec[part])] if spec[part] else []
    for option in ("column", "examples"):
        words += [f"--{option}", spec[option]] if spec[option] is not None else []
    settings = {"seeds": len(seeds), "seed": min(seeds), **spec["settings"]}
    for key, value in settings.items():
        option = key.replace("_", "-")
        if key in _PROBE_OPTIONS:
            words += [f"--{option}", value]
        elif key in ("controls", "cumulative"):
            words.append(f"--{option}" if value else f"--no-{option}")
    return words


_PROBE_OPTIONS = ("seeds", "seed", "epochs", "max_length")
"""Settings of probes that are options of the command line, too; others stand in the file alone."""


def _senses(spec: Mapping[str, Any], run: str, base: Path, seeds: list[int]) -> list[object]:
    words: list[object] = ["polyseme", "senses", run, _file(base, spec["file"])]
    for word in spec["words"]:
        words += ["--word", word]
    words += ["--limit", spec["limit"]] if spec["limit"] is not None else []
    words += ["--folds", spec["folds"]] if spec["folds"] != 10 else []
    words += ["--map", spec["map"]] if spec["map"] != "pca" else []
    words += ["--balance"] if spec.get("balance") else []
    return [*words, *_columns(spec)]


def _pairs(spec: Mapping[str, Any], run: str, base: Path, seeds: list[int]) -> list[object]:
    words: list[object] = ["polyseme", "pairs", run, *(_file(base, name) for name in spec["files"])]
    words += ["--limit", spec["limit"]] if spec["limit"] is not None else []
    return [*words, *_columns(spec)]
