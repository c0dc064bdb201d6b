"""Do vectors tell senses apart? Nearest neighbours, centroids and silhouettes of labelled uses, by cross-validation.

nearest    a use gets the sense of the use in the other folds with the highest cosine; uses that are equally near vote,
           and an equal vote goes to the sense that is more frequent among all uses
centroid   the sense whose centroid, the mean of its vectors of length one in the other folds, has the highest cosine
silhouette s_i = (b_i - a_i) / max(a_i, b_i); a_i: mean cosine distance to the other uses of the same sense,
           b_i: to those of the nearest other sense; 0 for a sense with one use

A layer that is reported as the best must not be chosen by the uses it is reported on: for each fold the layer is chosen
by cross-validation among the other folds alone.

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
    held = np.zeros((k, int(senses.max(initial=0)) + 1), np.int64)
    fold = np.zeros(len(senses), np.int64)
    for place in Random(seed, "folds of uses").permutation(len(lists)):
        some = lists[int(place)]
        kind = senses[some[0]]
        chosen = int(np.lexsort((np.arange(k), held.sum(1), held[:, kind]))[0])
        fold[some] = chosen
        np.add.at(held[chosen], senses[some], 1)
    return np.unique(fold, return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True, eq=False)
class Predictions:
    """What one method says at one layer.

    Args:
        predicted: the sense of each use by the uses of the other folds.
        inner: accuracy of a cross-validation among the uses outside each fold, by which a layer may be chosen for it.
    Shapes:  predicted: (N,).  inner: (k,)
    """

    predicted: IntArray
    inner: Float64Array


def judge(
    vectors: Float32Array, senses: IntArray, fold: IntArray, one_dot: bool = False
) -> dict[str, Predictions]:
    """What nearest neighbours and centroids say of every use, by cross-validation.

    Args:
        vectors: of length one.
        senses: of each use, 0 = the most frequent one.
        fold: of each use, 0 …
        one_dot: all vectors are the same; then the most frequent sense is said, the best that such a layer can do.
    Shapes:  vectors: (N, D).  senses, fold: (N,)
    """
    found = {"nearest": _nearest(vectors, senses, fold), "centroid": _centroid(vectors, senses, fold)}
    if one_dot:
        share = [float((senses[fold != f] == 0).mean()) for f in range(int(fold.max()) + 1)]
        alike = Predictions(np.zeros_like(senses), np.array(share))
        return dict.fromkeys(METHODS, alike)
    return found


def _nearest(vectors: Float32Array, senses: IntArray, fold: IntArray) -> Predictions:
    """One pass over the cosines keeps, for every use and fold, the highest one and the senses that have it; any set of
    folds is then a maximum over few numbers."""
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

    own = np.eye(k, dtype=bool)[fold]

    def said(rows: BoolArray, hidden: BoolArray) -> IntArray:
        near = np.where(hidden, -np.inf, best[rows])
        counts = near >= near.max(1, keepdims=True) - TIE
        votes_of_all = np.einsum("nk,nks->ns", counts & ~hidden, votes[rows])
        return np.asarray(votes_of_all.argmax(1), np.int64)

    predicted = said(np.ones(n, bool), own)
    inner = np.full(k, np.nan)
    for f in range(k if k > 2 else 0):
        rows = fold != f
        hidden = own[rows].copy()
        hidden[:, f] = True
        inner[f] = (said(rows, hidden) == senses[rows]).mean()
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
        some = vectors[rows[g]]
        predicted[rows[g]] = _by_centroid(some, total - sums[g], number - count[g])
        for f in range(k if k > 2 else 0):
            if f != g:
                said = _by_centroid(some, total - sums[g] - sums[f], number - count[g] - count[f])
                right[f, g] = (said == senses[rows[g]]).sum()
    if k > 2:
        inner = right.sum(1) / (len(vectors) - np.array([len(one) for one in rows]))
    return Predictions(predicted, inner)


def _by_centroid(vectors: Float32Array, sums: Float64Array, count: Float64Array) -> IntArray:
    """The sense with the nearest centroid; senses that nothing was seen of are none.  Shapes: sums: (S, D)"""
    norm = np.linalg.norm(sums, axis=1, keepdims=True)
    cosines = vectors @ (sums / np.maximum(norm, 1e-30)).astype(np.float32).T
    cosines[:, count < 0.5] = -np.inf
    return np.asarray((cosines >= cosines.max(1, keepdims=True) - TIE).argmax(1), np.int64)


def transfer(
    vectors: Float32Array,
    senses: IntArray,
    others: Float32Array,
    method: str,
    number: int,
    one_dot: bool = False,
) -> IntArray:
    """The senses of other uses by those of some: a given split into train and test.

    Args:
        vectors, senses: the train uses; vectors of length one.
        others: the vectors of the test uses.
        method: one of METHODS.
        number: how many senses there are, 0 = the most frequent one.
    Shapes:  vectors: (N, D).  senses: (N,).  others: (M, D) -> (M,)
    """
    if one_dot:
        return np.zeros(len(others), np.int64)
    kinds = (senses[:, None] == np.arange(number)).astype(np.float32)
    if method == "centroid":
        return _by_centroid(others, (kinds.T @ vectors).astype(np.float64), kinds.sum(0).astype(np.float64))
    said = []
    step = max(1, _ROWS // max(1, len(vectors)))
    for start in range(0, len(others), step):
        cosines = others[start : start + step] @ vectors.T
        tied = cosines >= cosines.max(1, keepdims=True) - TIE
        said.append((tied.astype(np.float32) @ kinds).argmax(1))
    return np.concatenate(said).astype(np.int64) if said else np.zeros(0, np.int64)


def chosen_layers(layers: Sequence[Predictions], fold: IntArray) -> tuple[IntArray, IntArray]:
    """The prediction of each use at the layer that is best without its fold; the lowest of equally good layers.

    With fewer than three folds nothing can be chosen: the last layer is taken.
    Returns the predictions, and the place of the layer for each fold.
    Shapes:  -> (N,), (k,)
    """
    inner = np.stack([one.inner for one in layers])
    k = inner.shape[1]
    if np.isnan(inner).any():
        places = np.full(k, len(layers) - 1, np.int64)
    else:
        places = (inner >= inner.max(0) - 1e-12).argmax(0).astype(np.int64)
    table = np.stack([one.predicted for one in layers])
    return table[places[fold], np.arange(len(fold))], places


def majority(groups: IntArray, senses: IntArray, fold: IntArray) -> IntArray:
    """The most frequent sense in the other folds of the uses of the same group, such as the same form of a word.

    Where a group has none there, the most frequent sense of all uses.
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
    each = np.arange(len(vectors))
    itself = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
    own = count[groups]
    a = 1.0 - (cosines[each, groups] - itself) / np.maximum(1.0, own - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        others = 1.0 - cosines / count
    others[:, count == 0] = np.inf
    others[each, groups] = np.inf
    b = others.min(1)
    most = np.maximum(a, b)
    known = (own > 1) & np.isfinite(b) & (most > TIE)
    found: Float64Array = np.divide(b - a, most, out=np.zeros(len(vectors)), where=known)
    return found
