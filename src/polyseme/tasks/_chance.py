"""What a task's figure is without any knowledge of the text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from polyseme.core import registry
from polyseme.core.protocols import Task
from polyseme.tasks._scoring import label_of, labels_of, number_of


def chance_of(task: Task, records: Sequence[Any], metric: str) -> float | None:
    """What a task's figure is without any knowledge of the text: always the most frequent label, tag or mean number.

    Questions are left without an answer. A correlation, which constant answers have not, is 0; None where the figure
    is no other either.

    Args:
        task: see tasks/; its labels must be those of the records.
        records: labelled examples.
        metric: one of the task's figures.
    """
    if not records:
        return None
    said = _constant(task, records)
    if said is None:
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        found = task.measures(records, said)
        value = float(found[metric].value) if metric in found else math.nan
    if math.isfinite(value):
        return value
    return 0.0 if metric in ("spearman", "pearson", "matthews") else None


def _constant(task: Task, records: Sequence[Any]) -> list[dict[str, Any]] | None:
    """The same prediction for every record, the one that is right most often."""
    kind_of_records = registry.tasks.load(task.name).records
    if kind_of_records == "question":
        return [{"answer": ""} for _ in records]
    if kind_of_records == "tags":
        gold = [record.tags or () for record in records]
        most = _most([tag for tags in gold for tag in tags])
        return [{"tokens": [{"tag": most} for _ in one]} for one in gold]
    kind = getattr(task.config, "kind", "")
    if kind == "number":
        mean = float(np.mean([number_of(record) for record in records]))
        return [{"value": mean} for _ in records]
    if kind == "several":
        most_set = _most([labels_of(record) for record in records])
        return [{"labels": list(most_set)} for _ in records]
    if kind:
        one = _most([label_of(record) for record in records])
        return [{"label": one} for _ in records]
    return None


def _most(values: Sequence[Any]) -> Any:
    """The most frequent of some values, the first of equally frequent ones."""
    counts: dict[Any, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return max(counts, key=lambda value: counts[value])
