"""Runs side by side for people: one page that opens anywhere, figures as files, and a table for the terminal.

Comparison ─► compare_document ─► compare_page   overview, curves, tasks, probes, senses, pairs, costs, commands
                              └─► compare_text   the main figures
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from polyseme.core.version import __version__
from polyseme.report._compare_cells import MISSING, figure
from polyseme.report._compare_facts import run_facts
from polyseme.report._compare_overview import costs_section, curves_section, main_columns, overview_section
from polyseme.report._compare_reproduce import reproduce_section
from polyseme.report._compare_sections import study_sections
from polyseme.report._compare_tasks import tasks_section
from polyseme.report.figures import columns
from polyseme.report.language import Speaker
from polyseme.report.page import Page

if TYPE_CHECKING:
    from polyseme.study.compare import Comparison

__all__ = ["compare_document", "compare_page", "compare_text"]


def compare_document(
    comparison: Comparison, command: str, machine: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Everything that the page says, JSON-able.

    Args:
        comparison: with whatever is done of it.
        command: that makes the page.
        machine: where it is made: {"system", "processor", "cores", "memory_bytes"}, as far as known.
    Returns `Comparison.document()`, and of each run "facts" (see `_compare_facts.run_facts`), "command", "versions",
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
            *overview_section(document, say),
            *curves_section(document, say),
            *tasks_section(document, say),
            *study_sections(document, say),
            *costs_section(document, say),
            *reproduce_section(document, say),
        ],
        lang,
    )


def compare_text(document: Mapping[str, Any]) -> str:
    """The main figures as a table of a terminal."""
    say = Speaker()
    found = main_columns(document, say)
    head = [" ".join(column.head.split("\n")) for column in found]
    lines = []
    for name in document["runs"]:
        lines.append(f"{name}")
        rows = [
            [title, _one(column.rows.get(name), column.metric), _why(column.absent.get(name))]
            for title, column in zip(head, found, strict=True)
        ]
        lines += [f"  {row}" for row in columns(rows, [1])]
    lines.append("percent with 95 % intervals; * surely below the best (p < 0.05, Holm's correction)")
    return "\n".join(lines)


def _one(found: Mapping[str, Any] | None, metric: str) -> str:
    if found is None or found["value"] is None:
        return MISSING
    return figure(found, metric).replace("\n", "  ")


def _why(absent: Mapping[str, str] | None) -> str:
    return "" if absent is None else absent["text"]
