"""From records and predictions to the figures of tasks/metrics and to tables for people; what chance would score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from polyseme.core import registry
from polyseme.core.protocols import Task
from polyseme.errors import CorpusError
from polyseme.tasks.metrics import classification, regression, spans
from polyseme.tasks.metrics.measure import Resampled
from polyseme.text.labelled.records import TagRecord, TextRecord
from polyseme.text.labelled.tables import as_number
from polyseme.text.labelled.tagging import Scheme

Predictions = Sequence[Mapping[str, Any]]
Measures = dict[str, Resampled]
LARGEST_MATRIX = 500
"""Labels of a confusion matrix; of more there is only the table by label."""


def labels_of(record: TextRecord) -> tuple[str, ...]:
    """The labels of a record as strings."""
    label = record.label
    if label is None:
        return ()
    if isinstance(label, tuple):
        return label
    return (label if isinstance(label, str) else f"{label:g}" if label == int(label) else repr(label),)


def label_of(record: TextRecord) -> str:
    """The one label of a record.

    Raises:  CorpusError: it has several, or none.
    """
    labels = labels_of(record)
    if len(labels) == 1:
        return labels[0]
    raise CorpusError("one label a text is asked for", got=f"{len(labels)} labels", where=record.where)


def number_of(record: TextRecord) -> float:
    """The label of a record as a number.

    Raises:  CorpusError: it is no finite number.
    """
    value = as_number(record.label)
    if value is not None:
        return value
    raise CorpusError("not a number", got=repr(record.label)[:80], where=record.where)


def text_measures(
    kind: str, labels: Sequence[str], records: Sequence[TextRecord], said: Predictions
) -> Measures:
    """Figures of one label, several, or a number a text, the main one first."""
    if kind == "number":
        gold = [number_of(record) for record in records]
        found: Measures = dict(regression.measures(gold, [one["value"] for one in said]))
        return {"spearman": found.pop("spearman"), **found}
    number = _numbered(labels, records)
    if kind == "several":
        held = _sets(number, [labels_of(record) for record in records])
        return dict(classification.measures_of_sets(held, _sets(number, [one["labels"] for one in said])))
    gold_numbers = [number[label_of(record)] for record in records]
    predicted = [number[one["label"]] for one in said]
    return dict(classification.measures(gold_numbers, predicted, len(number)))


def probability_measures(labels: Sequence[str], records: Sequence[TextRecord], said: Predictions) -> Measures:
    """How good the probabilities of one label a text are: log_loss (nats) and calibration_error.

    Labels that were not learned, or that another run has not learned, have probability 0.
    """
    number = _numbered(labels, records)
    probabilities = np.array([[one["probabilities"].get(name, 0.0) for name in number] for one in said])
    gold = [number[label_of(record)] for record in records]
    found = (
        classification.log_loss(gold, probabilities),
        classification.calibration_error(gold, probabilities),
    )
    return {measure.name: measure for measure in found}


def text_details(
    kind: str, labels: Sequence[str], records: Sequence[TextRecord], said: Predictions
) -> dict[str, Any]:
    """A table by label, and the confusion matrix where every text has one label."""
    if kind == "number":
        return {}
    number = _numbered(labels, records)
    names = list(number)
    if kind == "several":
        held = _sets(number, [labels_of(record) for record in records])
        predicted = _sets(number, [one["labels"] for one in said])
        return {"per_class": classification.per_class(held, predicted, names)}
    g = [number[label_of(record)] for record in records]
    p = [number[one["label"]] for one in said]
    return {"per_class": classification.per_class(g, p, names)} | _confusion(g, p, names)


def tag_measures(
    scheme: Scheme | None, labels: Sequence[str], records: Sequence[TagRecord], said: Predictions
) -> Measures:
    """Figures of spans where the tags are of a scheme, else of tokens, the main one first.

    Every figure's unit is the sentence, whose tokens are not independent of each other.

    Args:
        labels: tags that may occur; two systems are compared with the same.
    """
    gold, predicted = _tags(records, said)
    if scheme is None:
        each = spans.span_measures(_tokens(gold), _tokens(predicted), labels)
        return {"accuracy": spans.token_accuracy(gold, predicted), "macro_f1": each["macro_f1"]}
    kinds = {kind for held in spans.spans_of([[tag] for tag in labels]) for kind, _, _ in held}
    found = spans.measures(gold, predicted, kinds=kinds)
    return {"f1": found.pop("f1"), **found}


def tag_details(scheme: Scheme | None, records: Sequence[TagRecord], said: Predictions) -> dict[str, Any]:
    """A table by kind of span, or by tag, and the confusion matrix of tags."""
    gold, predicted = _tags(records, said)
    g, p, labels = _flat(gold, predicted)
    confusion = _confusion(g, p, labels)
    if scheme is None:
        return {"per_class": classification.per_class(g, p, labels)} | confusion
    kinds = spans.per_kind(spans.spans_of(gold), spans.spans_of(predicted))
    return {"per_class": kinds} | confusion


def _confusion(gold: Sequence[int], predicted: Sequence[int], labels: Sequence[str]) -> dict[str, Any]:
    if len(labels) > LARGEST_MATRIX:
        return {}
    counts = classification.confusion(gold, predicted, len(labels))
    return {"confusion": {"labels": list(labels), "counts": counts.tolist()}}


def _tokens(tags: list[list[str]]) -> list[set[tuple[str, int, int]]]:
    """Every token as a span of its own, its tag the kind."""
    return [{(tag, at, at + 1) for at, tag in enumerate(sentence)} for sentence in tags]


def _numbered(labels: Sequence[str], records: Sequence[TextRecord]) -> dict[str, int]:
    """Numbers of all labels; those of the records that the task has not learned come last."""
    known = dict.fromkeys(labels)
    known |= dict.fromkeys(sorted({label for r in records for label in labels_of(r)} - set(labels)))
    return {label: i for i, label in enumerate(known)}


def _sets(number: Mapping[str, int], labels: Sequence[Sequence[str]]) -> Any:
    table = np.zeros((len(labels), len(number)), bool)
    for row, some in enumerate(labels):
        table[row, [number[label] for label in some]] = True
    return table


def _tags(records: Sequence[TagRecord], said: Predictions) -> tuple[list[list[str]], list[list[str]]]:
    return [list(r.tags or ()) for r in records], [[t["tag"] for t in one["tokens"]] for one in said]


def _flat(gold: list[list[str]], predicted: list[list[str]]) -> tuple[list[int], list[int], list[str]]:
    labels = sorted({tag for side in (gold, predicted) for tags in side for tag in tags})
    number = {tag: i for i, tag in enumerate(labels)}
    g, p = ([number[tag] for tags in side for tag in tags] for side in (gold, predicted))
    return g, p, labels


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
