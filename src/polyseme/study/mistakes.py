"""Where an adapted run is wrong, its most confident errors first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyseme.tasks._scoring import labels_of, number_of
from polyseme.text.labelled.records import QuestionRecord, TagRecord, TextRecord

__all__ = ["confusions", "mistakes"]


def mistakes(task: Any, records: Sequence[Any], said: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What is said wrongly, JSON-able, the most confident errors first.

    Each has id, where, gold, predicted and probability, and the text (text, text_b; question, context); of several
    labels the probability is that of the worst label, of tags that of the worst token, and `tokens` lists the wrong
    ones. A number has its `difference` instead, and counts as an error where that is above the mean.

    Args:
        task: it made the predictions.
        records, said: gold and predictions, in the same order.
    """
    if getattr(task.config, "kind", None) == "number":
        return _distances(task, records, said)
    found = [
        {"id": r.id, "where": r.where, "gold": task.gold_of(r), **_of(r, p)}
        for r, p in zip(records, said, strict=True)
        if task.wrong(r, p)
    ]
    return sorted(found, key=lambda one: -one["probability"])


def confusions(details: Mapping[str, Any], most: int = 10) -> list[dict[str, Any]]:
    """What is taken for what most often: [{"gold", "predicted", "count"}]."""
    if "confusion" not in details:
        return []
    labels, counts = details["confusion"]["labels"], details["confusion"]["counts"]
    pairs = [
        {"gold": labels[g], "predicted": labels[p], "count": count}
        for g, row in enumerate(counts)
        for p, count in enumerate(row)
        if count and g != p
    ]
    return sorted(pairs, key=lambda pair: -pair["count"])[:most]


def _of(record: Any, said: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(record, TagRecord):
        return _of_tags(record, said)
    if isinstance(record, QuestionRecord):
        return {
            "predicted": said["answer"],
            "probability": said["probability"],
            "question": record.question,
            "context": record.context,
        }
    if "labels" in said:
        return {"predicted": said["labels"], "probability": _worst_label(record, said), **_texts(record)}
    return {"predicted": said["label"], "probability": said["probability"], **_texts(record)}


def _texts(record: TextRecord) -> dict[str, str]:
    return {"text": record.text} | ({"text_b": record.text_b} if record.text_b is not None else {})


def _worst_label(record: TextRecord, said: Mapping[str, Any]) -> float:
    """How sure a set of labels is of the label that it has most wrong; 1 of one that it does not know."""
    held, chosen = set(labels_of(record)), set(said["labels"])
    chances = said["probabilities"]
    if held - set(chances):
        return 1.0
    return float(max(chances[label] if label in chosen else 1 - chances[label] for label in held ^ chosen))


def _of_tags(record: TagRecord, said: Mapping[str, Any]) -> dict[str, Any]:
    tags = record.tags or ()
    wrong = [
        {**token, "gold": gold}
        for token, gold in zip(said["tokens"], tags, strict=True)
        if token["tag"] != gold
    ]
    return {
        "predicted": [token["tag"] for token in said["tokens"]],
        "probability": max(token["probability"] for token in wrong),
        "text": record.text,
        "tokens": wrong,
    }


def _distances(
    task: Any, records: Sequence[TextRecord], said: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    found = []
    for record, one in zip(records, said, strict=True):
        gold = number_of(record)
        found.append(
            {
                "id": record.id,
                "where": record.where,
                "gold": gold,
                "predicted": one["value"],
                "difference": one["value"] - gold,
                **_texts(record),
            }
        )
    mean = sum(abs(one["difference"]) for one in found) / max(1, len(found))
    far = [one for one in found if abs(one["difference"]) > mean]
    return sorted(far, key=lambda one: -abs(one["difference"]))
