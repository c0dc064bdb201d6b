"""Do vectors tell senses apart? Nearest neighbours, centroids and silhouettes of labelled uses, by cross-validation.

nearest    a use gets the sense of the use in the other folds with the highest cosine; uses with equal cosines vote,
           and ties go to the sense that is more frequent among all uses
centroid   the sense whose centroid, the mean of its vectors of length one in the other folds, has the highest cosine
silhouette s_i = (b_i - a_i) / max(a_i, b_i); a_i: mean cosine distance to the other uses of the same sense,
           b_i: to those of the nearest other sense; 0 for a sense with one use

The best layer must not be chosen on the uses that it is reported on: for each fold, the layer is chosen by
cross-validation among the other folds alone.

Source:  Wiedemann et al. (2019) and Loureiro et al. (2021), section 4, for 1-nearest-neighbour disambiguation by
contextual vectors; Rousseeuw (1987) for silhouettes; Varma and Simon (2006) for nested cross-validation.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from polyseme.core.arrays import BoolArray, Float32Array, Float64Array, IntArray
from polyseme.core.rng import Random

__all__ = [
    "METHODS",
    "Predictions",
    "chosen_layers",
    "folds_of",
    "judge",
    "majority",
    "silhouettes",
    "transfer",
]


METHODS = ("nearest", "centroid")
TIE = 1e-6
"""Cosines no further apart than this are equal: float32 knows no better."""
_ROWS = 1 << 22
"""Cosines in memory at once."""


def folds_of(groups: Sequence[Hashable], senses: IntArray, folds: int, seed: int) -> IntArray:
    """Stratified folds: each sense is spread over the folds as evenly as can be, and a group stays together.

    Uses with the same text are a group: else a repeated sentence would find itself among its neighbours. A sense with
    fewer uses than folds stands in as many folds as it has uses.

    Args:
        groups: what belongs together, by use.
        senses: of each use, 0 …
        folds: how many at most; no more than there are groups.
        seed: of the order in which groups are dealt.
    Shapes:  N groups, senses: (N,) -> (N,) numbers of folds, 0 …, none of them empty
    """
    members: dict[Hashable, list[int]] = {}
    for number, group in enumerate(groups):
        members.setdefault(group, []).append(number)
    lists = list(members.values())
    k = min(folds, len(lists))
    counts = np.zeros((k, int(senses.max(initial=0)) + 1), np.int64)
    fold = np.zeros(len(senses), np.int64)
    for place in Random(seed, "folds of uses").permutation(len(lists)):
        same_text = lists[int(place)]
        kind = senses[same_text[0]]
        chosen = int(np.lexsort((np.arange(k), counts.sum(1), counts[:, kind]))[0])
        fold[same_text] = chosen
        np.add.at(counts[chosen], senses[same_text], 1)
    return np.unique(fold, return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of one method at one layer.

    Args:
        predicted: the sense of each use, predicted from the uses of the other folds.
        inner: for each fold, the accuracy of a cross-validation among the other folds; it chooses the fold's layer.
    Shapes:  predicted: (N,).  inner: (k,)
    """

    predicted: IntArray
    inner: Float64Array


def judge(
    vectors: Float32Array, senses: IntArray, fold: IntArray, one_dot: bool = False
) -> dict[str, Predictions]:
    """The predictions of nearest neighbours and centroids for every use, by cross-validation.

    Args:
        vectors: of length one.
        senses: of each use, 0 = the most frequent one.
        fold: of each use, 0 …
        one_dot: all vectors are the same; the most frequent sense is then predicted, the best that such a layer can do.
    Shapes:  vectors: (N, D).  senses, fold: (N,)
    """
    predictions = {"nearest": _nearest(vectors, senses, fold), "centroid": _centroid(vectors, senses, fold)}
    if one_dot:
        share = [float((senses[fold != f] == 0).mean()) for f in range(int(fold.max()) + 1)]
        alike = Predictions(np.zeros_like(senses), np.array(share))
        return dict.fromkeys(METHODS, alike)
    return predictions


def _nearest(vectors: Float32Array, senses: IntArray, fold: IntArray) -> Predictions:
    """Predict by the nearest neighbour, with one pass over the cosines.

    The pass keeps the highest cosine of every use and fold, and the senses of the uses that have it. The answer for any
    set of folds is then a maximum over few numbers.
    """
    n, k, s = len(vectors), int(fold.max()) + 1, int(senses.max()) + 1
    order = np.argsort(fold, kind="stable")
    sizes = np.bincount(fold, minlength=k)
    starts = np.cumsum(sizes) - sizes
    columns = np.zeros((n, k * s), np.float32)
    columns[np.arange(n), fold[order] * s + senses[order]] = 1.0
    sorted_vectors = np.ascontiguousarray(vectors[order].T)
    best = np.empty((n, k), np.float32)
    votes = np.empty((n, k, s), np.float32)
    step = max(1, _ROWS // n)
    for start in range(0, n, step):
        part = slice(start, min(n, start + step))
        cosines = vectors[part] @ sorted_vectors
        best[part] = np.maximum.reduceat(cosines, starts, axis=1)
        tied = cosines >= np.repeat(best[part] - TIE, sizes, axis=1)
        votes[part] = (tied.astype(np.float32) @ columns).reshape(-1, k, s)

    own_fold = np.eye(k, dtype=bool)[fold]

    def predict(rows: BoolArray, hidden: BoolArray) -> IntArray:
        near = np.where(hidden, -np.inf, best[rows])
        counts = near >= near.max(1, keepdims=True) - TIE
        votes_of_all = np.einsum("nk,nks->ns", counts & ~hidden, votes[rows])
        return np.asarray(votes_of_all.argmax(1), np.int64)

    predicted = predict(np.ones(n, bool), own_fold)
    inner = np.full(k, np.nan)
    for f in range(k if k > 2 else 0):
        rows = fold != f
        hidden = own_fold[rows].copy()
        hidden[:, f] = True
        inner[f] = (predict(rows, hidden) == senses[rows]).mean()
    return Predictions(predicted, inner)


def _centroid(vectors: Float32Array, senses: IntArray, fold: IntArray) -> Predictions:
    k, s = int(fold.max()) + 1, int(senses.max()) + 1
    sums = np.zeros((k, s, vectors.shape[1]))
    np.add.at(sums, (fold, senses), vectors.astype(np.float64))
    count = np.zeros((k, s))
    np.add.at(count, (fold, senses), 1)
    total, number = sums.sum(0), count.sum(0)
    predicted = np.zeros(len(vectors), np.int64)
    inner = np.full(k, np.nan)
    rows = [np.flatnonzero(fold == f) for f in range(k)]
    right = np.zeros((k, k))
    for g in range(k):
        in_fold = vectors[rows[g]]
        predicted[rows[g]] = _by_centroid(in_fold, total - sums[g], number - count[g])
        for f in range(k if k > 2 else 0):
            if f != g:
                inner_predicted = _by_centroid(
                    in_fold, total - sums[g] - sums[f], number - count[g] - count[f]
                )
                right[f, g] = (inner_predicted == senses[rows[g]]).sum()
    if k > 2:
        inner = right.sum(1) / (len(vectors) - np.array([len(members) for members in rows]))
    return Predictions(predicted, inner)


def _by_centroid(vectors: Float32Array, sums: Float64Array, count: Float64Array) -> IntArray:
    """The sense with the nearest centroid, among senses that have uses.  Shapes: sums: (S, D)"""
    norm = np.linalg.norm(sums, axis=1, keepdims=True)
    cosines = vectors @ (sums / np.maximum(norm, 1e-30)).astype(np.float32).T
    cosines[:, count < 0.5] = -np.inf
    return np.asarray((cosines >= cosines.max(1, keepdims=True) - TIE).argmax(1), np.int64)


def transfer(
    vectors: Float32Array,
    senses: IntArray,
    unseen: Float32Array,
    method: str,
    number: int,
    one_dot: bool = False,
) -> IntArray:
    """Predict the senses of the test uses from the train uses of a given split.

    Args:
        vectors, senses: the train uses; vectors of length one.
        unseen: of the test uses, of length one.
        method: one of METHODS.
        number: how many senses there are, 0 = the most frequent one.
    Shapes:  vectors: (N, D).  senses: (N,).  unseen: (M, D) -> (M,)
    """
    if one_dot:
        return np.zeros(len(unseen), np.int64)
    kinds = (senses[:, None] == np.arange(number)).astype(np.float32)
    if method == "centroid":
        return _by_centroid(unseen, (kinds.T @ vectors).astype(np.float64), kinds.sum(0).astype(np.float64))
    predicted = []
    step = max(1, _ROWS // max(1, len(vectors)))
    for start in range(0, len(unseen), step):
        cosines = unseen[start : start + step] @ vectors.T
        tied = cosines >= cosines.max(1, keepdims=True) - TIE
        predicted.append((tied.astype(np.float32) @ kinds).argmax(1))
    return np.concatenate(predicted).astype(np.int64) if predicted else np.zeros(0, np.int64)


def chosen_layers(layers: Sequence[Predictions], fold: IntArray) -> tuple[IntArray, IntArray]:
    """The prediction of each use at the layer that is best on the other folds; of equally good layers, the lowest.

    With fewer than three folds no choice is possible, and the last layer is taken.
    Returns the predictions, and the index of the layer for each fold.
    Shapes:  -> (N,), (k,)
    """
    inner = np.stack([layer.inner for layer in layers])
    k = inner.shape[1]
    if np.isnan(inner).any():
        places = np.full(k, len(layers) - 1, np.int64)
    else:
        places = (inner >= inner.max(0) - 1e-12).argmax(0).astype(np.int64)
    table = np.stack([layer.predicted for layer in layers])
    return table[places[fold], np.arange(len(fold))], places


def majority(groups: IntArray, senses: IntArray, fold: IntArray) -> IntArray:
    """Predict the most frequent sense that the use's group has in the other folds.

    A group is, for example, one form of a word. A group without uses in the other folds gets the most frequent sense of
    all uses.
    Shapes:  groups, senses, fold: (N,) -> (N,)
    """
    g, k, s = int(groups.max()) + 1, int(fold.max()) + 1, int(senses.max()) + 1
    table = np.zeros((k, g, s), np.int64)
    np.add.at(table, (fold, groups, senses), 1)
    return np.asarray((table.sum(0)[groups] - table[fold, groups]).argmax(1), np.int64)


def silhouettes(vectors: Float32Array, groups: IntArray) -> Float64Array:
    """The silhouette of each use by cosine distance.

    Shapes:  vectors: (N, D) of length one.  groups: (N,), 0 … -> (N,)
    """
    kinds = int(groups.max()) + 1
    sums = np.zeros((kinds, vectors.shape[1]))
    np.add.at(sums, groups, vectors.astype(np.float64))
    count = np.bincount(groups, minlength=kinds).astype(np.float64)
    cosines = vectors @ sums.T  # (N, kinds): sums of cosines
    rows = np.arange(len(vectors))
    itself = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
    sizes = count[groups]
    a = 1.0 - (cosines[rows, groups] - itself) / np.maximum(1.0, sizes - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        distances = 1.0 - cosines / count
    distances[:, count == 0] = np.inf
    distances[rows, groups] = np.inf
    b = distances.min(1)
    most = np.maximum(a, b)
    known = (sizes > 1) & np.isfinite(b) & (most > TIE)
    values: Float64Array = np.divide(b - a, most, out=np.zeros(len(vectors)), where=known)
    return values
