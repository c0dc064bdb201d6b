"""The figures and tables for records and their predictions (tasks/metrics), and the score of chance."""

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
"""Most labels for which there is a confusion matrix; above it there is only the table by label."""


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

    Raises:  CorpusError: the record has several labels, or none.
    """
    labels = labels_of(record)
    if len(labels) == 1:
        return labels[0]
    raise CorpusError("one label a text is asked for", got=f"{len(labels)} labels", where=record.where)


def number_of(record: TextRecord) -> float:
    """The label of a record as a number.

    Raises:  CorpusError: the label is no finite number.
    """
    value = as_number(record.label)
    if value is not None:
        return value
    raise CorpusError("not a number", got=repr(record.label)[:80], where=record.where)


def text_measures(
    kind: str, labels: Sequence[str], records: Sequence[TextRecord], predictions: Predictions
) -> Measures:
    """Figures for texts with one label, several labels or a number; the main figure first."""
    if kind == "number":
        gold = [number_of(record) for record in records]
        measures: Measures = dict(regression.measures(gold, [pred["value"] for pred in predictions]))
        return {"spearman": measures.pop("spearman"), **measures}
    number = _numbered(labels, records)
    if kind == "several":
        gold_sets = _sets(number, [labels_of(record) for record in records])
        predicted_sets = _sets(number, [pred["labels"] for pred in predictions])
        return dict(classification.measures_of_sets(gold_sets, predicted_sets))
    gold_numbers = [number[label_of(record)] for record in records]
    predicted = [number[pred["label"]] for pred in predictions]
    return dict(classification.measures(gold_numbers, predicted, len(number)))


def probability_measures(
    labels: Sequence[str], records: Sequence[TextRecord], predictions: Predictions
) -> Measures:
    """The quality of the probabilities of single labels: log_loss (nats) and calibration_error.

    Labels that the run did not learn have probability 0.
    """
    number = _numbered(labels, records)
    probabilities = np.array(
        [[pred["probabilities"].get(name, 0.0) for name in number] for pred in predictions]
    )
    gold = [number[label_of(record)] for record in records]
    measures = (
        classification.log_loss(gold, probabilities),
        classification.calibration_error(gold, probabilities),
    )
    return {measure.name: measure for measure in measures}


def text_details(
    kind: str, labels: Sequence[str], records: Sequence[TextRecord], predictions: Predictions
) -> dict[str, Any]:
    """A table by label, and the confusion matrix where every text has one label."""
    if kind == "number":
        return {}
    number = _numbered(labels, records)
    names = list(number)
    if kind == "several":
        gold_sets = _sets(number, [labels_of(record) for record in records])
        predicted = _sets(number, [pred["labels"] for pred in predictions])
        return {"per_class": classification.per_class(gold_sets, predicted, names)}
    g = [number[label_of(record)] for record in records]
    p = [number[pred["label"]] for pred in predictions]
    return {"per_class": classification.per_class(g, p, names)} | _confusion(g, p, names)


def tag_measures(
    scheme: Scheme | None, labels: Sequence[str], records: Sequence[TagRecord], predictions: Predictions
) -> Measures:
    """Figures of spans where the tags have a scheme, else of tokens; the main figure first.

    Every figure's unit is the sentence, whose tokens are not independent of each other.

    Args:
        labels: tags that may occur; two systems must be compared with the same.
    """
    gold, predicted = _tags(records, predictions)
    if scheme is None:
        each = spans.span_measures(_tokens(gold), _tokens(predicted), labels)
        return {"accuracy": spans.token_accuracy(gold, predicted), "macro_f1": each["macro_f1"]}
    kinds = {kind for tag_spans in spans.spans_of([[tag] for tag in labels]) for kind, _, _ in tag_spans}
    measures = spans.measures(gold, predicted, kinds=kinds)
    return {"f1": measures.pop("f1"), **measures}


def tag_details(
    scheme: Scheme | None, records: Sequence[TagRecord], predictions: Predictions
) -> dict[str, Any]:
    """A table by kind of span, or by tag, and the confusion matrix of tags."""
    gold, predicted = _tags(records, predictions)
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
    """Every token as a separate span, with its tag as the kind."""
    return [{(tag, at, at + 1) for at, tag in enumerate(sentence)} for sentence in tags]


def _numbered(labels: Sequence[str], records: Sequence[TextRecord]) -> dict[str, int]:
    """An index for every label; labels of the records that the task has not learned come last."""
    known = dict.fromkeys(labels)
    known |= dict.fromkeys(sorted({label for r in records for label in labels_of(r)} - set(labels)))
    return {label: i for i, label in enumerate(known)}


def _sets(number: Mapping[str, int], labels: Sequence[Sequence[str]]) -> Any:
    table = np.zeros((len(labels), len(number)), bool)
    for row, row_labels in enumerate(labels):
        table[row, [number[label] for label in row_labels]] = True
    return table


def _tags(records: Sequence[TagRecord], predictions: Predictions) -> tuple[list[list[str]], list[list[str]]]:
    return [list(r.tags or ()) for r in records], [[t["tag"] for t in pred["tokens"]] for pred in predictions]


def _flat(gold: list[list[str]], predicted: list[list[str]]) -> tuple[list[int], list[int], list[str]]:
    labels = sorted({tag for side in (gold, predicted) for tags in side for tag in tags})
    number = {tag: i for i, tag in enumerate(labels)}
    g, p = ([number[tag] for tags in side for tag in tags] for side in (gold, predicted))
    return g, p, labels


def chance_of(task: Task, records: Sequence[Any], metric: str) -> float | None:
    """A task's figure for a constant prediction: the most frequent label or tag, or the mean number.

    For questions it is no answer. A correlation, which is undefined for constant predictions, is 0; other undefined
    figures are None.

    Args:
        task: its labels must be those of the records.
        records: labelled examples.
        metric: one of the task's figures.
    """
    if not records:
        return None
    predictions = _constant(task, records)
    if predictions is None:
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        measures = task.measures(records, predictions)
        value = float(measures[metric].value) if metric in measures else math.nan
    if math.isfinite(value):
        return value
    return 0.0 if metric in ("spearman", "pearson", "matthews") else None


def _constant(task: Task, records: Sequence[Any]) -> list[dict[str, Any]] | None:
    """The same prediction for every record: the one that is right most often."""
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
