"""Figures of classes: accuracy, F1, Matthews correlation, log loss, calibration, and the tables behind them.

Every figure but the last two is a function of three sums a class, so one table of counts serves them all:

    hit_k = examples of class k that are predicted as k,  said_k = predicted as k,  gold_k = of class k
    precision_k = hit_k / said_k,  recall_k = hit_k / gold_k,  F1_k = 2 hit_k / (said_k + gold_k);  0 / 0 is 0
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from polyseme.core.arrays import Float64Array, IntArray
from polyseme.errors import InputError
from polyseme.tasks.metrics.measure import Measure, mean_of, ratio, share

__all__ = ["calibration_error", "confusion", "log_loss", "measures", "measures_of_sets", "per_class"]


def measures(
    gold: npt.ArrayLike, predicted: npt.ArrayLike, num_labels: int | None = None
) -> dict[str, Measure]:
    """Figures of one class an example: accuracy, macro_f1, weighted_f1, matthews.

    Macro-F1 is the mean over the classes that occur among gold or predicted ones, as in scikit-learn. (Micro-F1
    over all classes is the accuracy.)

    Args:
        num_labels: number of classes; None: up to the highest that occurs. Two systems are compared with the same.
    Shapes:  gold, predicted: (N,) numbers of classes, 0 …
    """
    gold, predicted = _numbers(gold, predicted)
    width = num_labels or 1 + max(
        (int(numbers.max()) for numbers in (gold, predicted) if numbers.size), default=0
    )
    cells, row = np.unique(gold * width + predicted, return_inverse=True)
    g, p = np.divmod(cells, width)
    table = np.zeros((len(cells), 3, width))
    each = np.arange(len(cells))
    table[each, 0, g] = g == p
    table[each, 1, p] = 1
    table[each, 2, g] = 1
    counts = table.reshape(len(cells), 3 * width)
    right = np.array([[0.0, 1.0], [1.0, 1.0]])
    return {
        "accuracy": Measure("accuracy", right, share, row=(gold == predicted).astype(np.int64)),
        "macro_f1": Measure("macro_f1", counts, partial(_macro_f1, present_only=True), row=row),
        "weighted_f1": Measure("weighted_f1", counts, _weighted_f1, row=row),
        "matthews": Measure("matthews", counts, _matthews, row=row),
    }


def measures_of_sets(gold: npt.ArrayLike, predicted: npt.ArrayLike) -> dict[str, Measure]:
    """Figures of several labels an example: micro_f1, macro_f1, exact_match.

    Macro-F1 is the mean over all labels, as in scikit-learn.
    Shapes:  gold, predicted: (N, C), true where an example has the label
    """
    gold, predicted = np.asarray(gold, bool), np.asarray(predicted, bool)
    _same(gold.shape, predicted.shape)
    packed = np.packbits(np.concatenate([gold, predicted], 1), axis=1)
    _, first, row = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    g, p = gold[first], predicted[first]
    counts = np.concatenate([g & p, p, g], 1).astype(np.float64)
    row = row.reshape(-1)
    return {
        "micro_f1": Measure("micro_f1", counts, _micro_f1, row=row),
        "macro_f1": Measure("macro_f1", counts, partial(_macro_f1, present_only=False), row=row),
        "exact_match": mean_of("exact_match", (gold == predicted).all(1)),
    }


def per_class(gold: npt.ArrayLike, predicted: npt.ArrayLike, labels: Sequence[str]) -> list[dict[str, Any]]:
    """A row a class: {"label", "precision", "recall", "f1", "support", "predicted"}.

    Shapes:  gold, predicted: (N,) numbers of classes, or (N, C) sets of labels
    """
    g, p = np.asarray(gold), np.asarray(predicted)
    if g.ndim == 2:
        g, p = g.astype(bool), p.astype(bool)
        _same(g.shape, p.shape)
        hit, pred, gold_counts = (g & p).sum(0), p.sum(0), g.sum(0)
    else:
        g, p = _numbers(g, p)
        hit, pred, gold_counts = (np.bincount(x, minlength=len(labels)) for x in (g[g == p], p, g))
    return [
        table_row(label, int(h), int(s), int(n))
        for label, h, s, n in zip(labels, hit, pred, gold_counts, strict=True)
    ]


def table_row(label: str, hit: int, pred: int, gold: int) -> dict[str, Any]:
    """One class of a table."""
    return {
        "label": label,
        "precision": hit / pred if pred else 0.0,
        "recall": hit / gold if gold else 0.0,
        "f1": 2 * hit / (pred + gold) if pred + gold else 0.0,
        "support": gold,
        "predicted": pred,
    }


def confusion(gold: npt.ArrayLike, predicted: npt.ArrayLike, num_labels: int) -> IntArray:
    """How often each gold class was predicted as each class.

    Shapes:  gold, predicted: (N,) -> (num_labels, num_labels): [gold, predicted]
    """
    g, p = _numbers(gold, predicted)
    return np.bincount(g * num_labels + p, minlength=num_labels**2).reshape(num_labels, num_labels)


def log_loss(gold: npt.ArrayLike, probabilities: npt.ArrayLike) -> Measure:
    """Mean negative log-probability of the gold class, nats; probabilities are clipped above 0 as in scikit-learn.

    Shapes:  gold: (N,).  probabilities: (N, C), rows sum to 1
    """
    g, chances = _with_probabilities(gold, probabilities)
    tiny = np.finfo(np.float64).eps
    return mean_of("log_loss", -np.log(np.clip(chances[np.arange(len(g)), g], tiny, 1 - tiny)))


def calibration_error(gold: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = 15) -> Measure:
    """Expected calibration error: the difference of confidence and accuracy, over bins of equal width.

        Σ_b |Σ_{i in b} (correct_i - confidence_i)| / N,  bin b holds confidences in (b / bins, (b + 1) / bins]

    Args:    bins: number of bins of the confidence, the probability of the predicted class.
    Shapes:  gold: (N,).  probabilities: (N, C)
    Source:  Guo et al. (2017), equation 3.
    """
    g, chances = _with_probabilities(gold, probabilities)
    best = chances.argmax(1) if len(g) else g
    confidence = chances[np.arange(len(g)), best]
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.zeros((len(g), bins + 1))
    counts[np.arange(len(g)), place] = (best == g) - confidence
    counts[:, bins] = 1
    return Measure("calibration_error", counts, _calibration)


def _calibration(sums: Float64Array) -> Float64Array:
    return ratio(np.abs(sums[..., :-1]).sum(-1), sums[..., -1])


def _three(sums: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
    """hit, said and gold: (..., 3C) -> three of (..., C)"""
    c = sums.shape[-1] // 3
    return sums[..., :c], sums[..., c : 2 * c], sums[..., 2 * c :]


def _macro_f1(sums: Float64Array, present_only: bool) -> Float64Array:
    hit, pred, gold = _three(sums)
    f1 = ratio(2 * hit, pred + gold).sum(-1)
    present = ((pred + gold) > 0).sum(-1) if present_only else np.full(f1.shape, hit.shape[-1])
    return ratio(f1, present.astype(np.float64))


def _micro_f1(sums: Float64Array) -> Float64Array:
    hit, pred, gold = _three(sums)
    return ratio(2 * hit.sum(-1), (pred + gold).sum(-1))


def _weighted_f1(sums: Float64Array) -> Float64Array:
    hit, pred, gold = _three(sums)
    return ratio((gold * ratio(2 * hit, pred + gold)).sum(-1), gold.sum(-1))


def _matthews(sums: Float64Array) -> Float64Array:
    """Gorodkin (2004): (c s - Σ p_k t_k) / √((s² - Σ p_k²)(s² - Σ t_k²))"""
    hit, pred, gold = _three(sums)
    n = gold.sum(-1)
    above = hit.sum(-1) * n - (pred * gold).sum(-1)
    return ratio(above, np.sqrt((n**2 - (pred**2).sum(-1)) * (n**2 - (gold**2).sum(-1))))


def _numbers(gold: npt.ArrayLike, predicted: npt.ArrayLike) -> tuple[IntArray, IntArray]:
    g, p = np.asarray(gold, np.int64), np.asarray(predicted, np.int64)
    _same(g.shape, p.shape)
    if g.size and min(g.min(), p.min()) < 0:
        raise InputError(
            "a class has a negative number", got=int(min(g.min(), p.min())), expected="0 or more"
        )
    return g, p


def _with_probabilities(gold: npt.ArrayLike, probabilities: npt.ArrayLike) -> tuple[IntArray, Float64Array]:
    g, chances = np.asarray(gold, np.int64), np.asarray(probabilities, np.float64)
    _same(g.shape, chances.shape[:1])
    return g, chances


def _same(gold: tuple[int, ...], predicted: tuple[int, ...]) -> None:
    if gold != predicted:
        raise InputError(
            "gold and predictions do not fit",
            got=f"{gold} gold, {predicted} predicted",
            expected="equal shapes",
        )
