"""How runs rank in one task: figures with intervals, which is best, and which are significantly below it.

One rule for every table, chart and page says which figure may be called the best. It stands out if there are other
figures, it is above chance, and every other figure is significantly below it. So no figure is set in bold if it is the
only one, if it is at or below chance, or if its difference from another may be luck.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from polyseme.core.arrays import Float64Array
from polyseme.study.grid import Cell, Grid, Way
from polyseme.study.probing.training import micro_f1
from polyseme.study.stats import Paradigms, holm, seeds_difference, seeds_interval
from polyseme.tasks.metrics.intervals import measured
from polyseme.tasks.metrics.measure import Resampled

__all__ = [
    "LEVEL",
    "LOWER_IS_BETTER",
    "ROUNDS",
    "STUDY_STANDINGS",
    "above",
    "highest_apart",
    "marked",
    "standings",
    "stands_out",
]

ROUNDS = 2000
"""Draws for every interval and every test."""

LEVEL = 0.05
"""A run is marked where its p-value, Holm's correction made, is below this."""


LOWER_IS_BETTER = ("loss", "mean_squared_error", "mean_absolute_error")


def above(value: float | None, chance: float | None, metric: str = "") -> bool:
    """Whether a figure is better than chance, where chance is known.

    Example:
        >>> above(0.6, 0.5), above(0.5, 0.5), above(0.6, None), above(0.6, 0.5, "mean_squared_error")
        (True, False, True, False)
    """
    sign = -1 if metric in LOWER_IS_BETTER else 1
    return value is not None and (chance is None or sign * (value - chance) > 0)


def stands_out(value: float | None, below: Sequence[bool], chance: float | None, metric: str = "") -> bool:
    """Whether a figure may be called the best.

    Args:
        value: the highest figure.
        below: for each other figure, whether it is significantly below.
        chance: the figure without any knowledge of the text; None = not known.
        metric: the figure's name; for some, lower is better.

    Example:
        >>> stands_out(0.9, [True, True], 0.5), stands_out(0.9, [], 0.5), stands_out(0.4, [True], 0.5)
        (True, False, False)
    """
    return bool(below) and all(below) and above(value, chance, metric)


def highest_apart(figures: Sequence[Mapping[str, Any] | None], chance: float | None) -> int | None:
    """The index of the figure that stands out, judged by intervals alone; None if none does.

    Args:
        figures: {"value", "low", "high"} each; None where there is none.

    Example:
        >>> two = [{"value": 0.9, "low": 0.8, "high": 1.0}, {"value": 0.6, "low": 0.5, "high": 0.7}]
        >>> highest_apart(two, 0.5), highest_apart(two[:1], 0.5), highest_apart(two, 0.95)
        (0, None, None)
    """
    known = [i for i, figure in enumerate(figures) if figure is not None and figure["value"] is not None]
    if not known:
        return None
    values = {i: figures[i] for i in known}
    best = max(known, key=lambda i: values[i]["value"])  # type: ignore[index]
    low = values[best]["low"]  # type: ignore[index]
    below = [
        low is not None and (high := values[i]["high"]) is not None and high < low  # type: ignore[index]
        for i in known
        if i != best
    ]
    return best if stands_out(values[best]["value"], below, chance) else None  # type: ignore[index]


def standings(grid: Grid, task: str, way: Way, why_not: Mapping[str, dict[str, str]]) -> dict[str, Any]:
    """One task in one way, JSON-able.

    Every run is tested against the best one, on the same draws of the same test examples and of the seeds
    (`stats.seeds_difference`); Holm's correction is over the runs of this task and way.

    Args:
        why_not: {run: reason} of those that are not used.
    Returns {"name", "way", "metric", "chance", "spec", "files", "examples": of train, dev, test, "rows", "absent"};
        rows: {run: {"value", "low", "high", "n", "seeds", "values", "best", "stands_out", "difference", "below", "mix",
        "seconds", "trained_parameters"}}; "best" has the highest value, whether or not it `stands_out`;
        the difference is the best run's less this one's: {"value", "low", "high", "n", "p", "p_holm"}. "chance" is what
        the figure is without knowledge of the text.
    """
    spec = grid.tasks[task]
    by_row: dict[str, dict[int, Resampled]] = {}
    results: dict[str, list[dict[str, Any]]] = {}
    for row in grid.rows:
        for seed in grid.config.seeds:
            cell = Cell(seed, task, row, way)
            if row in why_not or (measure := grid.measure(cell)) is None:
                continue
            by_row.setdefault(row, {})[seed] = measure
            result = grid.result(cell)
            assert result is not None
            results.setdefault(row, []).append(result)
    rows = {row: _row(list(measures.values()), results[row]) for row, measures in by_row.items()}
    metric = next((next(iter(measures.values())).name for measures in by_row.values()), spec.metric or "")
    cells = [Cell(seed, task, row, way) for row in rows for seed in by_row[row]]
    chance = next((value for cell in cells if (value := grid.chance(cell)) is not None), None)
    _rank(
        rows,
        lambda best, row: seeds_difference([*by_row[best].values()], [*by_row[row].values()], ROUNDS),
        metric,
        dict.fromkeys(rows, chance),
    )
    not_done = {"code": "not done", "detail": "", "text": "not done yet: the same command goes on"}
    return {
        "name": task,
        "way": way,
        "metric": metric,
        "chance": chance,
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
    figure = measured(float(np.mean(values)), seeds_interval(measures, ROUNDS), measures[0].n)
    mixes = [result["mix"] for result in results if result.get("mix")]
    mix = None
    if mixes:
        weights = np.mean([m["weights"] for m in mixes], axis=0)
        mix = {"weights": [float(w) for w in weights], "gamma": float(np.mean([m["gamma"] for m in mixes]))}
    return {
        **figure,
        "seeds": len(values),
        "values": values,
        "mix": mix,
        "seconds": float(sum(result["seconds"] for result in results)),
        "trained_parameters": results[0]["trained_parameters"],
    }


def _rank(
    rows: dict[str, dict[str, Any]],
    difference_of: Callable[[str, str], dict[str, Any] | None],
    metric: str = "",
    chance: Mapping[str, float | None] | None = None,
) -> None:
    """Add "best", "stands_out", "difference" and "below" to rows.

    Args:
        difference_of: (best run, other run) -> their difference {"value", "low", "high", "p", "n"}; None: no
            test is possible.
        metric: the figure's name; for some, lower is better.
        chance: for each run, the figure without any knowledge of the text.
    """
    known = [row for row in rows if rows[row]["value"] is not None]
    for standing in rows.values():
        standing.update(best=False, stands_out=False, difference=None, below=False)
    if not known:
        return
    sign = -1 if metric in LOWER_IS_BETTER else 1
    best = max(known, key=lambda row: sign * float(rows[row]["value"]))
    rows[best]["best"] = True
    tests = {row: test for row in known if row != best and (test := difference_of(best, row)) is not None}
    for (row, test), p in zip(tests.items(), holm([test["p"] for test in tests.values()]), strict=True):
        interval = test["low"], test["high"]
        difference = measured(test["value"], interval, test["n"]) | {"p": test["p"], "p_holm": p}
        rows[row]["difference"] = difference
        rows[row]["below"] = marked(difference)
    below = [rows[row]["below"] for row in known if row != best]
    rows[best]["stands_out"] = stands_out(rows[best]["value"], below, (chance or {}).get(best), metric)


def pairs_standings(documents: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """How runs stand in minimal pairs: {run: {"value", "low", "high", "n", "best", "difference", "below"}}.

    The same pairs of each paradigm are drawn for both runs; p is the larger one of bootstrap's and randomisation's.

    Args:
        documents: of runs on the same files, each with "right", see `sections.py`.
    """
    figures = {run: document["figures"]["accuracy"] for run, document in documents.items()}
    answers = {
        run: [_digits(digits) / 2 for digits in document["right"]] for run, document in documents.items()
    }
    return _means_over_groups(figures, answers, dict.fromkeys(figures, 0.5))


def senses_standings(documents: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """How runs stand in senses: nearest neighbours at the best layer, the mean over words; as `pairs_standings`.

    The same uses of each word are drawn for both runs. Where one sense has nearly all uses of a word, it is balanced
    accuracy: a right answer counts by how rare its sense is. Nothing where uses have no senses.

    Args:
        documents: of runs on the same uses.
    """
    if not documents or not all(document["labelled"] for document in documents.values()):
        return {}
    runs = {name: document["runs"][0] for name, document in documents.items()}
    first = next(iter(documents.values()))
    balanced = first["mean"]["headline"] != "accuracy"
    figures = {
        name: run["mean"]["best"]["nearest"]["balanced_accuracy" if balanced else "accuracy"]
        for name, run in runs.items()
    }
    weights = [_worth(word) if balanced else 1.0 for word in first["words"]]
    answers = {
        name: [
            _digits(word["best"]["nearest"]["right"]) * times
            for word, times in zip(run["words"], weights, strict=True)
        ]
        for name, run in runs.items()
    }
    ceilings = {name: run["mean"]["best"]["nearest"]["headline"]["ceiling"] for name, run in runs.items()}
    return _means_over_groups(figures, answers, ceilings)


def _worth(word: Mapping[str, Any]) -> Float64Array:
    """How much a right answer to each use adds to balanced accuracy, times the number of uses."""
    gold = np.asarray(word["gold"])
    uses = np.bincount(gold)
    return np.asarray(len(gold) / (len(uses) * uses[gold]), np.float64)


def probe_standings(documents: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """How runs rank in a probe, by micro-F1; as in `standings`, both texts and seeds are resampled.

    A run is not tested if its test labels differ from those of the best run, because some lay beyond its longest text.
    No run is tested if there is only one test text: then there is nothing to resample.

    Args:
        documents: of runs on the same files.
    """
    tasks = {run: next(iter(document["tasks"].values())) for run, document in documents.items()}
    rows = {run: {**task["score"]} for run, task in tasks.items()}
    # by run: (seeds, texts, 3)
    counts = {run: np.asarray(task["by_text"], np.float64) for run, task in tasks.items()}

    def difference_of(best: str, run: str) -> dict[str, Any] | None:
        wanted, read = (counts[name][0, :, 2] for name in (best, run))
        if len(wanted) < 2 or not np.array_equal(wanted, read):
            return None
        first, second = ([micro_f1(by_text) for by_text in counts[name]] for name in (best, run))
        return seeds_difference(first, second, ROUNDS)

    _rank(rows, difference_of, chance={run: task["most_frequent"]["value"] for run, task in tasks.items()})
    return rows


def _means_over_groups(
    figures: Mapping[str, Mapping[str, Any]],
    answers: Mapping[str, list[Float64Array]],
    chance: Mapping[str, float | None],
) -> dict[str, dict[str, Any]]:
    """Rank runs by means over paradigms or words of equal weight; the test draws within each of them.

    Args:
        figures: of every run.
        answers: for every run and group, how right each answer is: 0 … 1.
        chance: for every run, the figure without any knowledge of the text.
    """
    rows = {run: {**figure} for run, figure in figures.items()}

    def difference_of(best: str, run: str) -> dict[str, Any]:
        starts = np.cumsum([0, *map(len, answers[best])])
        groups = {place: np.arange(a, b) for place, (a, b) in enumerate(pairwise(starts))}
        both = [np.concatenate(answers[name]) for name in (best, run)]
        nothing = np.zeros(int(starts[-1]))
        table = Paradigms(groups, both, nothing, ROUNDS // 10, 0, nothing)
        difference: dict[str, Any] = table.row(range(len(groups)))["difference"]
        return difference | {"p": max(difference["p"], difference["p_randomisation"])}

    _rank(rows, difference_of, chance=chance)
    return rows


def _digits(text: str) -> Float64Array:
    """Digits as numbers."""
    return (np.frombuffer(text.encode(), np.uint8) - ord("0")).astype(np.float64)


def marked(difference: Mapping[str, Any]) -> bool:
    """Whether a difference is significant."""
    return bool(difference["p_holm"] < LEVEL)


STUDY_STANDINGS = {"pairs": pairs_standings, "senses": senses_standings, "probe": probe_standings}
"""How runs stand in a study, by its kind."""
