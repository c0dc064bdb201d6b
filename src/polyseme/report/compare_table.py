"""A comparison as one table: figures with intervals, what pretraining is worth, and what holds of what was claimed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from polyseme.report.parts import Heading, Part, Table
from polyseme.study.compare import Comparison
from polyseme.study.grid import SCRATCH, WAYS, Cell, Grid, Way
from polyseme.study.standings import above
from polyseme.study.stats import seeds_difference, seeds_interval
from polyseme.tasks.metrics.measure import Resampled

__all__ = ["WAY_NAMES", "table_parts"]

WAY_NAMES = {
    "frozen": "frozen, layers mixed",
    "whole": "trained as a whole",
    "frozen-scratch": "random weights, frozen",
    "whole-scratch": "random weights, trained as a whole",
}
ROUNDS = 1000


Measures = dict[tuple[str, str, Way], list[Resampled]]
"""The measures of all seeds that are done, by task, row and way."""


def table_parts(comparison: Comparison) -> list[Part]:
    """The whole table."""
    grid = comparison.grid
    cells = grid.cells()
    measures: Measures = {}
    for cell in cells:
        if (measure := grid.measure(cell)) is not None:
            measures.setdefault((cell.task, cell.row, cell.way), []).append(measure)
    parts: list[Part] = []
    if grid.tasks:
        parts += [_head(grid, sum(map(len, measures.values())), len(cells)), _table(grid, measures)]
        parts += [*_worth(grid, measures), *_claims(grid, measures)]
    for name in comparison.sections:
        parts += _study(comparison.study(name))
    return [*parts, *_mixes(grid), *_costs(grid, cells)]


def _head(grid: Grid, done: int, total: int) -> str:
    c = grid.config
    seeds = ", ".join(map(str, c.seeds))
    return (
        f"{done} of {total} cells are done. Seeds {seeds}; at most {c.examples:,} training, {c.dev_examples:,} dev and "
        f"{c.test_examples:,} test examples a task unless said. Figures are means over the seeds in percent, with 95 % "
        "intervals (seeds and test examples drawn again)."
    )


def _table(grid: Grid, measures: Measures) -> Table:
    metrics = [next((m[0].name for (t, _, _), m in measures.items() if t == task), "") for task in grid.tasks]
    rows: list[list[str]] = []
    titles = set()
    for way in WAYS:
        named = [row for row, spec in grid.rows.items() if way in spec.ways] if grid.has(way) else []
        if named:
            titles.add((len(rows), 0))
            rows.append([WAY_NAMES[way], *[""] * len(grid.tasks)])
        rows += [[row, *(_shown(measures.get((task, row, way))) for task in grid.tasks)] for row in named]
    head = ["", *(f"{task}\n{metric}" for task, metric in zip(grid.tasks, metrics, strict=True))]
    return Table(head, rows, strong=frozenset(titles))


def _shown(measures: list[Resampled] | None) -> str:
    if not measures:
        return ""
    low, high = seeds_interval(measures, ROUNDS)
    mean = float(np.mean([m.value for m in measures]))
    seeds = "" if len(measures) > 1 else "¹"
    return f"{100 * mean:.1f}{seeds}\n{100 * low:.1f}–{100 * high:.1f}"


def _study(study: Mapping[str, Any]) -> list[Part]:
    """How runs stand in a study beside the tasks."""
    rows = []
    for run, row in study["standings"].items():
        limits = [row[limit] for limit in ("value", "low", "high")]
        value, low, high = ("–" if limit is None else f"{100 * limit:.1f}" for limit in limits)
        rows.append([run, f"{value}{'*' if row['below'] else ''}\n{low}–{high}"])
    rows += [[run, reason["text"]] for run, reason in study["absent"].items()]
    told = "Percent; * = surely below the best."
    return [Heading(study["name"]), told, Table(["", ""], rows, left=(0, 1))]


def _worth(grid: Grid, measures: Measures) -> list[Part]:
    """Pretrained less random weights."""
    rows = []
    for way in ("frozen", "whole"):
        for row, spec in grid.rows.items():
            random = grid.scratch(row, way) if way in spec.ways else None
            if random is None or not grid.has(random[1]):
                continue
            shown = [
                _difference(measures.get((task, row, way)), measures.get((task, *random)))[1]
                for task in grid.tasks
            ]
            rows.append([f"{row}, {WAY_NAMES[way]}", *shown])
    return _section(
        "What pretraining is worth",
        "The same model less its random start, points; * = the interval excludes zero.",
        Table(["", *grid.tasks], rows),
    )


def _section(title: str, told: str, table: Table) -> list[Part]:
    """A table with its heading; nothing where it has no rows."""
    return [Heading(title), told, table] if table.rows else []


def _difference(
    first: list[Resampled] | None, second: list[Resampled] | None
) -> tuple[dict[str, Any] | None, str]:
    if not first or not second:
        return None, ""
    difference = seeds_difference(first, second, ROUNDS)
    sure = "*" if difference["low"] > 0 or difference["high"] < 0 else ""
    value, low, high = (f"{100 * difference[key]:+.1f}" for key in ("value", "low", "high"))
    return difference, f"{value}{sure}\n{low}–{high}"


def _claims(grid: Grid, measures: Measures) -> list[Part]:
    rows = []
    for claim in grid.claims:
        shown, ups, downs, tried = [], 0, 0, 0
        for task in grid.tasks:
            if claim.tasks is not None and task not in claim.tasks:
                shown.append("")
                continue
            first = _best(grid, measures, task, [_side(side) for side in claim.first])
            if claim.second == [SCRATCH]:
                second = None if first is None else grid.scratch(*first)
            else:
                second = _best(grid, measures, task, [_side(side) for side in claim.second])
            difference, text = _difference(
                *(measures.get((task, *side)) if side else None for side in (first, second))
            )
            chosen = [
                "/".join(side)
                for side, of in ((first, claim.first), (second, claim.second))
                if side is not None and len(of) > 1
            ]
            shown.append("\n".join([text, *chosen]) if difference else "")
            if difference is not None:
                tried += 1
                ups += difference["low"] > 0
                downs += difference["high"] < 0
        rows.append([claim.text, *shown, f"yes {ups}, no {downs}, open {tried - ups - downs}"])
    return _section(
        "What holds",
        "Differences in points; of several rows the best on dev counts, and is named; * = the interval excludes zero.",
        Table(["", *grid.tasks, "holds"], rows, left=(0, len(grid.tasks) + 1)),
    )


def _side(name: str) -> tuple[str, Way]:
    """Row and way of "ROW/WAY"."""
    row, _, way = name.partition("/")
    return row, way  # type: ignore[return-value]


def _best(
    grid: Grid,
    measures: Measures,
    task: str,
    sides: Sequence[tuple[str, Way]],
) -> tuple[str, Way] | None:
    """The side that is best on dev, of those that are done."""
    best: tuple[float, tuple[str, Way]] | None = None
    for side in sides:
        if not measures.get((task, *side)):
            continue
        results = [grid.result(Cell(seed, task, *side)) for seed in grid.config.seeds]
        dev = [next(iter(r["dev"].values())) for r in results if r is not None]
        score = -np.inf if None in dev else float(np.mean(dev))
        if best is None or score > best[0]:
            best = score, side
    return None if best is None else best[1]


def _mixes(grid: Grid) -> list[Part]:
    """Weights of the layers that frozen runs' tasks learned, first seed."""
    rows = []
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
            rows.append([row, *shown])
    return _section(
        "Layer mixes",
        "What share of each layer a task learned to read, embeddings first, percent (first seed); nothing of heads "
        "that are not above chance.",
        Table(["", *grid.tasks], rows),
    )


def _costs(grid: Grid, cells: Sequence[Cell]) -> list[Part]:
    """Minutes of training by row and way."""
    seconds: dict[tuple[str, Way], float] = {}
    for cell in cells:
        result = grid.result(cell)
        if result is not None:
            key = (cell.row, cell.way)
            seconds[key] = seconds.get(key, 0.0) + float(result["seconds"])
    if not seconds:
        return []
    total = sum(seconds.values()) / 3600
    each = "; ".join(f"{row} {way} {s / 60:.0f}" for (row, way), s in seconds.items())
    told = f"{total:.1f} hours of training on {grid.config.threads} thread(s) a cell. Minutes: {each}."
    return [Heading("Costs"), told]
