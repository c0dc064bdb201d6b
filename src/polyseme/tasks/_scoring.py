"""From records and predictions to the figures of tasks/metrics, and to tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from polyseme.tasks.metrics import classification, regression, spans
from polyseme.tasks.metrics.measure import Resampled
from polyseme.text.labelled.records import TagRecord, TextRecord
from polyseme.text.labelled.tagging import Scheme

Predictions = Sequence[Mapping[str, Any]]
Measures = dict[str, Resampled]


def labels_of(record: TextRecord) -> tuple[str, ...]:
    """The labels of a record as strings."""
    label = record.label
    if label is None:
        return ()
    if isinstance(label, tuple):
        return label
    return (label if isinstance(label, str) else f"{label:g}",)


def text_measures(
    kind: str, labels: Sequence[str], records: Sequence[TextRecord], said: Predictions
) -> Measures:
    """Figures of one label, several, or a number a text, the main one first."""
    if kind == "number":
        gold = [float(record.label) for record in records]  # type: ignore[arg-type]
        found: Measures = dict(regression.measures(gold, [one["value"] for one in said]))
        return {"spearman": found.pop("spearman"), **found}
    number = _numbered(labels, records)
    if kind == "several":
        held = _sets(number, [labels_of(record) for record in records])
        return dict(classification.measures_of_sets(held, _sets(number, [one["labels"] for one in said])))
    gold_numbers = [number[labels_of(record)[0]] for record in records]
    predicted = [number[one["label"]] for one in said]
    return dict(classification.measures(gold_numbers, predicted, len(number)))


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
    g = [number[labels_of(record)[0]] for record in records]
    p = [number[one["label"]] for one in said]
    return {
        "per_class": classification.per_class(g, p, names),
        "confusion": {"labels": names, "counts": classification.confusion(g, p, len(names)).tolist()},
    }


def tag_measures(scheme: Scheme | None, records: Sequence[TagRecord], said: Predictions) -> Measures:
    """Figures of spans where the tags are of a scheme, else of tokens, the main one first."""
    gold, predicted = _tags(records, said)
    if scheme is None:
        g, p, labels = _flat(gold, predicted)
        accuracy = spans.token_accuracy(gold, predicted)
        return {"accuracy": accuracy, "macro_f1": classification.measures(g, p, len(labels))["macro_f1"]}
    found = spans.measures(gold, predicted)
    return {"f1": found.pop("f1"), **found}


def tag_details(scheme: Scheme | None, records: Sequence[TagRecord], said: Predictions) -> dict[str, Any]:
    """A table by kind of span, or by tag, and the confusion matrix of tags."""
    gold, predicted = _tags(records, said)
    g, p, labels = _flat(gold, predicted)
    confusion = {"labels": labels, "counts": classification.confusion(g, p, len(labels)).tolist()}
    if scheme is None:
        return {"per_class": classification.per_class(g, p, labels), "confusion": confusion}
    kinds = spans.per_kind(spans.spans_of(gold), spans.spans_of(predicted))
    return {"per_class": kinds, "confusion": confusion}


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
