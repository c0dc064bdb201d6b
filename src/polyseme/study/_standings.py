"""How runs stand in one task: figures with intervals, which is best, and which are surely below it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from polyseme.study.grid import Cell, Grid, Way
from polyseme.study.intervals import FloatArray, measured, seeds_interval
from polyseme.study.paradigms import Paradigms
from polyseme.study.significance import holm, seeds_difference
from polyseme.tasks.metrics.measure import Resampled

__all__ = ["LEVEL", "ROUNDS", "marked", "pairs_standings", "standings"]

ROUNDS = 2000
"""Draws for every interval and every test."""

LEVEL = 0.05
"""A run is marked where its p-value, Holm's correction made, is below this."""

LOWER_IS_BETTER = ("loss", "mean_squared_error", "mean_absolute_error")


def standings(grid: Grid, task: str, way: Way, why_not: Mapping[str, dict[str, str]]) -> dict[str, Any]:
    """One task in one way, JSON-able.

    Every run is tested against the best one, on the same draws of the same test examples and of the seeds
    (`significance.seeds_difference`); Holm's correction is over the runs of this task and way.

    Args:
        why_not: {run: reason} of those that are not used.
    Returns {"name", "way", "metric", "spec", "files", "examples": of train, dev, test, "rows", "absent"}; rows:
        {run: {"value", "low", "high", "n", "seeds", "values", "best", "difference", "below", "mix", "seconds",
        "trained_parameters"}}; the difference is the best run's less this one's: {"value", "low", "high", "n", "p",
        "p_holm"}.
    """
    spec = grid.tasks[task]
    every: dict[str, dict[int, Resampled]] = {}
    results: dict[str, list[dict[str, Any]]] = {}
    for row in grid.rows:
        for seed in grid.config.seeds:
            cell = Cell(seed, task, row, way)
            if row in why_not or (measure := grid.measure(cell)) is None:
                continue
            every.setdefault(row, {})[seed] = measure
            result = grid.result(cell)
            assert result is not None
            results.setdefault(row, []).append(result)
    rows = {row: _row(list(some.values()), results[row]) for row, some in every.items()}
    metric = next((next(iter(some.values())).name for some in every.values()), spec.metric or "")
    _rank(
        rows,
        lambda best, row: seeds_difference([*every[best].values()], [*every[row].values()], ROUNDS),
        -1 if metric in LOWER_IS_BETTER else 1,
    )
    not_done = {"code": "not done", "detail": "", "text": "not done yet: the same command goes on"}
    return {
        "name": task,
        "way": way,
        "metric": metric,
        "spec": spec.model_dump(mode="json"),
        "files": {
            part: os.path.normpath(grid.path(name))
            for part in ("train", "dev", "test")
            if (name := getattr(spec, part))
        },
        "examples": next((list(results[row][0]["asked"]["examples"]) for row in rows), None),
        "rows": rows,
        "absent": {row: why_not.get(row, not_done) for row in grid.rows if row in why_not or row not in rows},
    }


def _row(measures: list[Resampled], results: list[dict[str, Any]]) -> dict[str, Any]:
    values = [float(measure.value) for measure in measures]
    found = measured(float(np.mean(values)), seeds_interval(measures, ROUNDS), measures[0].n)
    mixes = [result["mix"] for result in results if result.get("mix")]
    mix = None
    if mixes:
        weights = np.mean([one["weights"] for one in mixes], axis=0)
        mix = {"weights": [float(w) for w in weights], "gamma": float(np.mean([m["gamma"] for m in mixes]))}
    return {
        **found,
        "seeds": len(values),
        "values": values,
        "mix": mix,
        "seconds": float(sum(result["seconds"] for result in results)),
        "trained_parameters": results[0]["trained_parameters"],
    }


def _rank(rows: dict[str, dict[str, Any]], less: Callable[[str, str], dict[str, Any]], sign: int = 1) -> None:
    """Add "best", "difference" and "below" to rows.

    Args:
        less: (best run, other run) -> their difference {"value", "low", "high", "p", "n"}.
        sign: -1 where lower is better.
    """
    known = [row for row in rows if rows[row]["value"] is not None]
    for found in rows.values():
        found.update(best=False, difference=None, below=False)
    if not known:
        return
    best = max(known, key=lambda row: sign * float(rows[row]["value"]))
    rows[best]["best"] = True
    others = [row for row in known if row != best]
    tests = [less(best, row) for row in others]
    for row, test, p in zip(others, tests, holm([test["p"] for test in tests]), strict=True):
        interval = test["low"], test["high"]
        difference = measured(test["value"], interval, test["n"]) | {"p": test["p"], "p_holm": p}
        rows[row]["difference"] = difference
        rows[row]["below"] = marked(difference)


def pairs_standings(documents: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """How runs stand in minimal pairs: {run: {"value", "low", "high", "n", "best", "difference", "below"}}.

    The same pairs of each paradigm are drawn for both runs; p is the larger one of bootstrap's and randomisation's.

    Args:
        documents: of runs on the same files, each with "right", see `_comparing_pieces`.
    """
    rows = {run: {**document["figures"]["accuracy"]} for run, document in documents.items()}
    answers = {run: [_digits(one) for one in document["right"]] for run, document in documents.items()}

    def less(best: str, run: str) -> dict[str, Any]:
        starts = np.cumsum([0, *map(len, answers[best])])
        groups = {place: np.arange(a, b) for place, (a, b) in enumerate(pairwise(starts))}
        both = [np.concatenate(answers[one]) for one in (best, run)]
        nothing = np.zeros(int(starts[-1]))
        table = Paradigms(groups, both, nothing, ROUNDS // 10, 0, nothing)
        found: dict[str, Any] = table.row(range(len(groups)))["difference"]
        return found | {"p": max(found["p"], found["p_randomisation"])}

    _rank(rows, less)
    return rows


def _digits(text: str) -> FloatArray:
    """Pairs that were judged rightly as 1, ties as one half."""
    return (np.frombuffer(text.encode(), np.uint8) - ord("0")) / 2


def marked(difference: Mapping[str, Any]) -> bool:
    """Whether a difference is said to be more than luck."""
    return bool(difference["p_holm"] < LEVEL)
