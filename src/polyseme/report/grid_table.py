"""A comparison as Markdown: figures with intervals, what pretraining is worth, and what holds of what was claimed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from polyseme.study.compare import Comparison
from polyseme.study.grid import SCRATCH, WAYS, Cell, Grid, Way
from polyseme.study.standings import above
from polyseme.study.stats import seeds_difference, seeds_interval
from polyseme.tasks.metrics.measure import Resampled

__all__ = ["figures", "markdown"]

_WAY = {
    "frozen": "frozen, layers mixed",
    "whole": "trained as a whole",
    "frozen-scratch": "random weights, frozen",
    "whole-scratch": "random weights, trained as a whole",
}
ROUNDS = 1000


def figures(grid: Grid) -> dict[tuple[str, str, Way], list[Resampled]]:
    """The measures of all seeds that are done, by task, row and way."""
    found: dict[tuple[str, str, Way], list[Resampled]] = {}
    for cell in grid.cells():
        measure = grid.measure(cell)
        if measure is not None:
            found.setdefault((cell.task, cell.row, cell.way), []).append(measure)
    return found


def markdown(comparison: Comparison) -> str:
    """The whole table."""
    grid = comparison.grid
    found = figures(grid)
    cells = grid.cells()
    done = sum(len(some) for some in found.values())
    parts = [_head(grid, done, len(cells))] if grid.tasks else []
    parts += [_table(grid, found), _worth(grid, found), _claims(grid, found)] if grid.tasks else []
    parts += [_study(comparison.study(name)) for name in comparison.sections]
    parts += [_mixes(grid, cells), _costs(grid, cells)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(grid: Grid, done: int, total: int) -> str:
    c = grid.config
    seeds = ", ".join(map(str, c.seeds))
    return (
        f"{done} of {total} cells are done. Seeds {seeds}; at most {c.examples:,} training, {c.dev_examples:,} dev and "
        f"{c.test_examples:,} test examples a task unless said. Figures are means over the seeds in percent, with 95 % "
        "intervals (seeds and test examples drawn again)."
    )


def _table(grid: Grid, found: dict[tuple[str, str, Way], list[Resampled]]) -> str:
    tasks = list(grid.tasks)
    metrics = [next((m[0].name for (t, _, _), m in found.items() if t == task), "") for task in tasks]
    head = "| | " + " | ".join(f"{t}<br>{m}" for t, m in zip(tasks, metrics, strict=True)) + " |"
    lines = [head, "|---|" + "---|" * len(tasks)]
    for way in WAYS:
        rows = [row for row, spec in grid.rows.items() if way in spec.ways] if grid.has(way) else []
        if rows:
            lines.append(f"| **{_WAY[way]}** |" + " |" * len(tasks))
        for row in rows:
            shown = [_shown(found.get((task, row, way))) for task in tasks]
            lines.append(f"| {row} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def _shown(measures: list[Resampled] | None) -> str:
    if not measures:
        return ""
    low, high = seeds_interval(measures, ROUNDS)
    mean = float(np.mean([m.value for m in measures]))
    seeds = "" if len(measures) > 1 else "¹"
    return f"{100 * mean:.1f}{seeds}<br>{100 * low:.1f}–{100 * high:.1f}"


def _study(study: Mapping[str, Any]) -> str:
    """How runs stand in a study beside the tasks."""
    lines = [f"## {study['name']}", "", "Percent; * = surely below the best.", "", "| | |", "|---|---|"]
    for run, row in study["standings"].items():
        limits = [row[limit] for limit in ("value", "low", "high")]
        value, low, high = ("–" if limit is None else f"{100 * limit:.1f}" for limit in limits)
        lines.append(f"| {run} | {value}{'*' if row['below'] else ''}<br>{low}–{high} |")
    lines += [f"| {run} | {reason['text']} |" for run, reason in study["absent"].items()]
    return "\n".join(lines)


def _worth(grid: Grid, found: dict[tuple[str, str, Way], list[Resampled]]) -> str:
    """Pretrained less random weights."""
    lines = []
    for way in ("frozen", "whole"):
        for row, spec in grid.rows.items():
            random = grid.scratch(row, way) if way in spec.ways else None
            if random is None or not grid.has(random[1]):
                continue
            shown = [
                _difference(found.get((task, row, way)), found.get((task, *random)))[1] for task in grid.tasks
            ]
            lines.append(f"| {row}, {_WAY[way]} | " + " | ".join(shown) + " |")
    if not lines:
        return ""
    head = [
        "## What pretraining is worth",
        "",
        "The same model less its random start, points; * = the interval excludes zero.",
        "",
    ]
    return "\n".join(
        [*head, "| | " + " | ".join(grid.tasks) + " |", "|---|" + "---|" * len(grid.tasks), *lines]
    )


def _difference(
    first: list[Resampled] | None, second: list[Resampled] | None
) -> tuple[dict[str, Any] | None, str]:
    if not first or not second:
        return None, ""
    found = seeds_difference(first, second, ROUNDS)
    sure = "*" if found["low"] > 0 or found["high"] < 0 else ""
    return found, f"{100 * found['value']:+.1f}{sure}<br>{100 * found['low']:+.1f}–{100 * found['high']:+.1f}"


def _claims(grid: Grid, found: dict[tuple[str, str, Way], list[Resampled]]) -> str:
    if not grid.claims:
        return ""
    head = [
        "## What holds",
        "",
        "Differences in points; of several rows the best on dev counts, and is named; * = the interval excludes zero.",
        "",
    ]
    lines = ["| | " + " | ".join(grid.tasks) + " | holds |", "|---|" + "---|" * (len(grid.tasks) + 1)]
    for claim in grid.claims:
        shown, ups, downs, tried = [], 0, 0, 0
        for task in grid.tasks:
            if claim.tasks is not None and task not in claim.tasks:
                shown.append("")
                continue
            first = _best(grid, found, task, [_side(side) for side in claim.first])
            if claim.second == [SCRATCH]:
                second = None if first is None else grid.scratch(*first)
            else:
                second = _best(grid, found, task, [_side(side) for side in claim.second])
            difference, text = _difference(
                *(found.get((task, *side)) if side else None for side in (first, second))
            )
            chosen = [
                "/".join(side)
                for side, of in ((first, claim.first), (second, claim.second))
                if side is not None and len(of) > 1
            ]
            shown.append("<br>".join([text, *chosen]) if difference else "")
            if difference is not None:
                tried += 1
                ups += difference["low"] > 0
                downs += difference["high"] < 0
        lines.append(
            f"| {claim.text} | "
            + " | ".join(shown)
            + f" | yes {ups}, no {downs}, open {tried - ups - downs} |"
        )
    return "\n".join([*head, *lines])


def _side(name: str) -> tuple[str, Way]:
    """Row and way of "ROW/WAY"."""
    row, _, way = name.partition("/")
    return row, way  # type: ignore[return-value]


def _best(
    grid: Grid,
    found: dict[tuple[str, str, Way], list[Resampled]],
    task: str,
    sides: Sequence[tuple[str, Way]],
) -> tuple[str, Way] | None:
    """The side that is best on dev, of those that are done."""
    best: tuple[float, tuple[str, Way]] | None = None
    for side in sides:
        if not found.get((task, *side)):
            continue
        results = [grid.result(Cell(seed, task, *side)) for seed in grid.config.seeds]
        dev = [next(iter(r["dev"].values())) for r in results if r is not None]
        score = -np.inf if None in dev else float(np.mean(dev))
        if best is None or score > best[0]:
            best = score, side
    return None if best is None else best[1]


def _mixes(grid: Grid, cells: Sequence[Cell]) -> str:
    """Weights of the layers that frozen runs' tasks learned, first seed."""
    lines = []
    for row, spec in grid.rows.items():
        if "frozen" not in spec.ways:
            continue
        shown = []
        for task in grid.tasks:
            mix = None
            for cell in (Cell(seed, task, row, "frozen") for seed in grid.config.seeds):
                result, measure = grid.result(cell), grid.measure(cell)
                if result is not None and measure is not None:
                    known = above(measure.value, grid.chance(cell), measure.name)
                    mix = result.get("mix") if known else None
                    break
            shown.append(" ".join(f"{100 * w:.0f}" for w in mix["weights"]) if mix else "")
        if any(len(text.split()) > 1 for text in shown):
            lines.append(f"| {row} | " + " | ".join(shown) + " |")
    if not lines:
        return ""
    head = [
        "## Layer mixes",
        "",
        "What share of each layer a task learned to read, embeddings first, percent (first seed); nothing of "
        "heads that are not above chance.",
        "",
    ]
    return "\n".join(
        [*head, "| | " + " | ".join(grid.tasks) + " |", "|---|" + "---|" * len(grid.tasks), *lines]
    )


def _costs(grid: Grid, cells: Sequence[Cell]) -> str:
    """Minutes of training by row and way."""
    seconds: dict[tuple[str, Way], float] = {}
    for cell in cells:
        result = grid.result(cell)
        if result is not None:
            key = (cell.row, cell.way)
            seconds[key] = seconds.get(key, 0.0) + float(result["seconds"])
    if not seconds:
        return ""
    total = sum(seconds.values()) / 3600
    each = "; ".join(f"{row} {way} {s / 60:.0f}" for (row, way), s in seconds.items())
    return f"## Costs\n\n{total:.1f} hours of training on {grid.config.threads} thread(s) a cell. Minutes: {each}."
