"""Figures of tagging: precision, recall and F1 of whole spans, and accuracy of tokens.

A span is correct if its kind, first and last token equal those of a gold span. Intervals resample sentences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from polyseme.core.arrays import Float64Array
from polyseme.errors import InputError
from polyseme.tasks.metrics.classification import table_row
from polyseme.tasks.metrics.measure import Measure, ratio, share
from polyseme.text.labelled.tagging import Scheme, Span, spans

__all__ = ["measures", "per_kind", "span_measures", "spans_of", "token_accuracy"]

Sentences = Sequence[Collection[Span]]


def spans_of(tags: Sequence[Sequence[str]], strict: Scheme | None = None) -> list[set[Span]]:
    """The spans of every sentence; see `tagging.spans`."""
    return [set(spans(sentence, strict)) for sentence in tags]


def measures(
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    strict: Scheme | None = None,
    kinds: Iterable[str] = (),
) -> dict[str, Measure]:
    """precision, recall, f1 (over all spans), macro_f1 (mean over kinds) and token_accuracy of tags.

    Args:
        gold, predicted: one tag per token, sentence by sentence.
        strict: a scheme; only spans that are well formed in it count.
        kinds: see `span_measures`.
    Raises:  InputError: a sentence has more tags on one side.

    Source:  Tjong Kim Sang and De Meulder (2003), section 2.5 (the evaluation of CoNLL-2003).
    """
    tokens = token_accuracy(gold, predicted)
    figures = span_measures(spans_of(gold, strict), spans_of(predicted, strict), kinds)
    return figures | {"token_accuracy": tokens}


def span_measures(gold: Sentences, predicted: Sentences, kinds: Iterable[str] = ()) -> dict[str, Measure]:
    """precision, recall, f1 and macro_f1 of spans (kind, start, end), in tokens or in characters.

    `n` is the number of gold spans; for precision the number of predicted ones.

    Args:
        kinds: kinds that may occur, so that macro_f1 of two systems is comparable; other kinds that occur are added.
    """
    _same(gold, predicted)
    column = {kind: number for number, kind in enumerate(sorted(_kinds(gold, predicted) | set(kinds)))}
    by_kind = np.zeros((len(gold), 3, len(column)))
    for counts, gold_spans, pred_spans in zip(by_kind, gold, predicted, strict=True):
        gold_spans, pred_spans = set(gold_spans), set(pred_spans)
        for place, matched in enumerate((gold_spans & pred_spans, pred_spans, gold_spans)):
            for kind, _, _ in matched:
                counts[place, column[kind]] += 1
    all_kinds = by_kind.sum(2)
    _, said_total, gold_total = all_kinds.sum(0).astype(int)
    return {
        "precision": Measure("precision", all_kinds, _precision, int(said_total)),
        "recall": Measure("recall", all_kinds, _recall, int(gold_total)),
        "f1": Measure("f1", all_kinds, _f1, int(gold_total)),
        "macro_f1": Measure(
            "macro_f1", by_kind.reshape(len(gold), 3 * len(column)), _macro_f1, int(gold_total)
        ),
    }


def per_kind(gold: Sentences, predicted: Sentences) -> list[dict[str, Any]]:
    """One row per kind of span: {"label", "precision", "recall", "f1", "support", "predicted"}."""
    _same(gold, predicted)
    hit, n_pred, n_gold = Counter[str](), Counter[str](), Counter[str]()
    for g, p in zip(map(set, gold), map(set, predicted), strict=True):
        hit.update(kind for kind, _, _ in g & p)
        n_pred.update(kind for kind, _, _ in p)
        n_gold.update(kind for kind, _, _ in g)
    kinds = sorted(_kinds(gold, predicted))
    return [table_row(kind, hit[kind], n_pred[kind], n_gold[kind]) for kind in kinds]


def token_accuracy(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> Measure:
    """Share of tokens with the gold tag.

    Raises:  InputError: a sentence has more tags on one side.
    """
    _same(gold, predicted)
    counts = np.zeros((len(gold), 2))
    for number, (gold_tags, pred_tags) in enumerate(zip(gold, predicted, strict=True)):
        if len(gold_tags) != len(pred_tags):
            raise InputError(
                "gold and predicted tags do not fit",
                got=f"{len(gold_tags)} gold tags, {len(pred_tags)} predicted",
                expected="one tag a token",
                where=f"sentence {number + 1}",
            )
        counts[number] = sum(a == b for a, b in zip(gold_tags, pred_tags, strict=True)), len(gold_tags)
    return Measure("token_accuracy", counts, share, int(counts[:, 1].sum()))


def _kinds(*sides: Sentences) -> set[str]:
    return {kind for side in sides for sentence in side for kind, _, _ in sentence}


def _same(gold: Sequence[Any], predicted: Sequence[Any]) -> None:
    if len(gold) != len(predicted):
        raise InputError(
            "gold and predictions do not fit",
            got=f"{len(gold)} gold sentences, {len(predicted)} predicted",
            expected="equally many",
        )


def _precision(sums: Float64Array) -> Float64Array:
    return ratio(sums[..., 0], sums[..., 1])


def _recall(sums: Float64Array) -> Float64Array:
    return ratio(sums[..., 0], sums[..., 2])


def _f1(sums: Float64Array) -> Float64Array:
    return ratio(2 * sums[..., 0], sums[..., 1] + sums[..., 2])


def _macro_f1(sums: Float64Array) -> Float64Array:
    """Mean over the kinds that occur."""
    hit, pred, gold = np.split(sums, 3, axis=-1)
    present = ((pred + gold) > 0).sum(-1).astype(np.float64)
    return ratio(ratio(2 * hit, pred + gold).sum(-1), present)
