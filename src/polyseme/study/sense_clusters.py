"""Uses without labels: how many groups do they form, and what is typical of each? And maps of any uses.

    x_i = principal components of the vectors of length one;  k-means for k = 2 … K;  S_k = their mean silhouette
    z_k = (S_k - mean_b S_k,b) / deviation_b S_k,b,   b = 1 … B draws of N points from one normal distribution with the
          covariance of x
    gap_k = S_k - mean_b S_k,b

A silhouette alone cannot say "one": k-means cuts any cloud in two and finds a positive one. So the uses are compared
with clouds of one piece that are as long and as wide. If max_k z_k is not above 95 % of the draws' own max_k z_k, the
suggestion is 1; else it is, among the k with z_k above it, the smallest that is no worse than the next one by more than
the luck of the draws, gap_k ≥ gap_k' - deviation_k'.

The groups are groups of contexts. They are senses where a word's contexts differ more between senses than within them.

A map puts them on a plane:

pca    the first two principal components of their vectors: where they differ most, for whatever reason
umap   neighbours stay neighbours (McInnes, Healy and Melville 2018), where the package umap-learn is installed
lda    the axes on which the senses lie furthest apart for their spread, learned from one half of the uses and shown on
       the other: in hundreds of dimensions any labels can be separated on the uses that the axes were learned from

    lda: the largest w of  S_b w = μ ((1 - λ) S_w + λ tr(S_w) / D) w,   S_b, S_w: scatter between and within senses

With two senses there is one such axis; the other one is the first principal component of what it leaves. Both are in
units of the uses' spread.

Source:  Liu, Hayes, Nobel and Marron (2008) for one normal distribution as the alternative; Tibshirani, Walther and
Hastie (2001) for the comparison with reference data and the rule of the smallest number; Arthur and Vassilvitskii
(2007) for the start of k-means. Maps: Fisher (1936); Friedman (1989) for the shrinkage λ.
Departures: silhouettes (Rousseeuw 1987) of squared distances, which are cosine distances but for the components left
out, in place of the sum of squares.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from polyseme.core.arrays import BoolArray, Float32Array, Float64Array, IntArray
from polyseme.core.rng import Random
from polyseme.errors import ConfigError
from polyseme.text.labelled.senses import Use
from polyseme.text.words import has_cjk, word_spans

__all__ = [
    "MapMethod",
    "Suggestion",
    "check_map",
    "components",
    "distinctive",
    "drawn",
    "k_means",
    "snippet",
    "suggest",
    "turned_maps",
    "use_map",
]


LARGEST = 8
"""Groups at most."""
LEAST = 10
"""Uses below which nothing is suggested."""
_COMPONENTS = 20
_DRAWS = 40
_STARTS = 4
_ROUNDS = 30
_PRIOR = 0.5
_REACH = 8


@dataclass(frozen=True, eq=False)
class Suggestion:
    """Into how many groups uses fall.

    Args:
        groups: the suggestion, 1 or more.
        table: for each number of groups {"groups", "silhouette", "expected", "z"}: the silhouette, that of clouds of
            one piece, and by how many deviations it is above.
        threshold: the z that 95 % of clouds of one piece stay below.
        assigned: the group of each use, 0 = the largest.
        centres: of the groups, in the coordinates that were clustered.
        points: these coordinates.
    Shapes:  assigned: (N,).  centres: (groups, C).  points: (N, C)
    """

    groups: int
    table: list[dict[str, Any]]
    threshold: float | None
    assigned: IntArray
    centres: Float64Array
    points: Float64Array


def components(vectors: npt.NDArray[np.floating], most: int) -> tuple[Float64Array, Float64Array]:
    """Principal components: coordinates, and the share of the variance that each has.

    The sign of an axis is such that its largest coordinate is positive.
    Shapes:  vectors: (N, D) -> (N, C), (C,), C = min(most, N, D)
    """
    x = np.asarray(vectors, np.float64)
    x = x - x.mean(0)
    n, d = x.shape
    if d <= n:
        values, axes = np.linalg.eigh(x.T @ x)
        kept = np.argsort(-values, kind="stable")[:most]
        points = x @ axes[:, kept]
    else:
        values, left = np.linalg.eigh(x @ x.T)
        kept = np.argsort(-values, kind="stable")[:most]
        points = left[:, kept] * np.sqrt(np.maximum(values[kept], 0.0))
    values = np.maximum(values, 0.0)
    total = values.sum()
    shares = values[kept] / total if total > 1e-9 * n else np.zeros(len(kept))
    if total <= 1e-9 * n:
        return np.zeros_like(points), shares
    columns = np.arange(points.shape[1])
    points = points * np.where(points[np.abs(points).argmax(0), columns] < 0, -1.0, 1.0)
    return points, shares


def suggest(
    vectors: npt.NDArray[np.floating], seed: int, told: Callable[[int, int], None] | None = None
) -> Suggestion:
    """Cluster some uses and suggest the number of groups, 1 among the possibilities.

    Args:
        vectors: of length one.
        seed: of the starts of k-means and of the draws.
        told: is given how many of the draws are done; what it raises ends the work.
    Shapes:  vectors: (N, D)
    """
    n = len(vectors)
    points, _ = components(vectors, min(_COMPONENTS, max(2, n // 8)))
    single = Suggestion(1, [], None, np.zeros(n, np.int64), points.mean(0, keepdims=True), points)
    spread = points.std(0)
    if n < LEAST or spread.max(initial=0.0) < 1e-6:
        return single
    different = len(np.unique(np.round(points / spread.max(), 4), axis=0))
    numbers = list(range(2, min(LARGEST, n // 4, different) + 1))
    if not numbers:
        return single
    fits = [k_means(points, k, Random(seed, "clusters of uses"), k) for k in numbers]
    observed = np.array(
        [_silhouette(points, assigned, k) for k, (assigned, _) in zip(numbers, fits, strict=True)]
    )
    random = Random(seed, "clouds of one piece")
    expected = np.empty((_DRAWS, len(numbers)))
    for draw in range(_DRAWS):
        if told is not None:
            told(draw, _DRAWS)
        cloud = _normal(random, draw, points.shape) * spread
        for place, k in enumerate(numbers):
            assigned, _ = k_means(cloud, k, random, 1 + draw, k)
            expected[draw, place] = _silhouette(cloud, assigned, k)
    middle, deviation = expected.mean(0), np.maximum(expected.std(0, ddof=1), 1e-9)
    z = (observed - middle) / deviation
    threshold = float(np.quantile(((expected - middle) / deviation).max(1), 0.95))
    table = [
        {"groups": k, "silhouette": float(s), "expected": float(m), "z": float(v)}
        for k, s, m, v in zip(numbers, observed, middle, z, strict=True)
    ]
    if z.max() <= threshold:
        return Suggestion(1, table, threshold, single.assigned, single.centres, points)
    passed = np.flatnonzero(z > threshold)
    gap = observed - middle
    after = [*passed[1:], passed[-1]]
    best = next(
        int(a) for a, b in zip(passed, after, strict=True) if a == b or gap[a] >= gap[b] - deviation[b]
    )
    assigned, centres = fits[best]
    order = np.argsort(-np.bincount(assigned, minlength=numbers[best]), kind="stable")
    rank = np.argsort(order)
    return Suggestion(numbers[best], table, threshold, rank[assigned], centres[order], points)


def k_means(points: Float64Array, k: int, random: Random, *counters: int) -> tuple[IntArray, Float64Array]:
    """Lloyd's k-means from several k-means++ starts, the one with the smallest sum of squares.

    Args:
        random, counters: where the starts are drawn from; the same give the same groups.
    Shapes:  points: (N, C) -> the group of each (N,), centres (k, C)
    """
    squares = np.einsum("nc,nc->n", points, points)
    best: tuple[float, IntArray, Float64Array] | None = None
    for start in range(_STARTS):
        centres = _start(points, squares, k, random.uniform(*counters, start, np.arange(k)))
        assigned = np.full(len(points), -1, np.int64)
        for _ in range(_ROUNDS):
            apart = _distances(points, squares, centres)
            nearest = apart.argmin(1)
            if (nearest == assigned).all():
                break
            assigned = nearest.astype(np.int64)
            member = (assigned[:, None] == np.arange(k)).astype(np.float64)
            count = member.sum(0)
            centres = (member.T @ points) / np.maximum(count, 1.0)[:, None]
            if (count == 0).any():  # an empty group takes the point that is furthest from its centre
                furthest = np.argsort(-apart.min(1), kind="stable")
                centres[count == 0] = points[furthest[: int((count == 0).sum())]]
        cost = float(_distances(points, squares, centres).min(1).sum())
        if best is None or cost < best[0]:
            best = cost, assigned, centres
    assert best is not None
    return best[1], best[2]


def _start(points: Float64Array, squares: Float64Array, k: int, luck: Float64Array) -> Float64Array:
    """The first centres; each is drawn with a probability in proportion to its squared distance from those before."""
    chosen = [min(len(points) - 1, int(luck[0] * len(points)))]
    nearest = _distances(points, squares, points[chosen])[:, 0]
    for number in range(1, k):
        steps = np.cumsum(np.maximum(nearest, 0.0))
        place = int(np.searchsorted(steps, luck[number] * steps[-1], side="right"))
        chosen.append(min(len(points) - 1, place))
        nearest = np.minimum(nearest, _distances(points, squares, points[chosen[-1:]])[:, 0])
    return points[chosen]


def _distances(points: Float64Array, squares: Float64Array, centres: Float64Array) -> Float64Array:
    """Squared distances.  Shapes: (N, C), (N,), (k, C) -> (N, k)"""
    apart: Float64Array = squares[:, None] - 2 * points @ centres.T + np.einsum("kc,kc->k", centres, centres)
    return apart


def _silhouette(points: Float64Array, assigned: IntArray, k: int) -> float:
    """The mean silhouette of squared distances, from sums alone.

    mean_j |x - y_j|² = |x|² - 2 x · mean(y) + mean |y|²
    """
    squares = np.einsum("nc,nc->n", points, points)
    member = (assigned[:, None] == np.arange(k)).astype(np.float64)
    count = member.sum(0)
    safe = np.maximum(count, 1.0)
    apart = (
        squares[:, None] - 2 * points @ ((member.T @ points) / safe[:, None]).T + (squares @ member) / safe
    )
    apart[:, count == 0] = np.inf
    rows, sizes = np.arange(len(points)), count[assigned]
    a = apart[rows, assigned] * sizes / np.maximum(1.0, sizes - 1)  # the point itself is no neighbour
    apart[rows, assigned] = np.inf
    b = apart.min(1)
    most = np.maximum(a, b)
    known = (sizes > 1) & np.isfinite(b) & (most > 0)
    return float(np.divide(b - a, most, out=np.zeros(len(points)), where=known).mean())


def _normal(random: Random, draw: int, shape: tuple[int, ...]) -> Float64Array:
    """Standard normal numbers by the method of Box and Muller (1958)."""
    rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])
    radius = np.sqrt(-2.0 * np.log1p(-random.uniform(0, draw, rows, columns)))
    normal: Float64Array = radius * np.cos(2 * np.pi * random.uniform(1, draw, rows, columns))
    return normal


def distinctive(
    texts: Sequence[str], places: Sequence[tuple[int, int]], assigned: IntArray, groups: int, top: int = 8
) -> list[list[str]]:
    """The distinctive words of each group: words near its uses, the most distinctive first.

        δ_w = log (y_w + α_w) / (n + α - y_w - α_w) of the group - the same of all others;  z_w = δ_w / σ(δ_w)

    with α_w in proportion to how often the word is near any use.

    Args:
        texts, places: the texts and where the word stands in them.
        assigned: the group of each.
        groups: how many.
        top: words a group at most; only those with z > 1.
    Source:  Monroe, Colaresi and Quinn (2008), equations 15-23.
    """
    counts = [Counter[str]() for _ in range(groups)]
    for text, place, group in zip(texts, places, assigned, strict=True):
        counts[int(group)].update(_near(text, place))
    all_counts = sum(counts, Counter[str]())
    total = sum(all_counts.values())
    words_of_groups = []
    for count in counts:
        n, n_others = sum(count.values()), total - sum(count.values())
        scores = []
        for word, y in count.items():
            prior = _PRIOR * all_counts[word] / max(1, total) * len(all_counts)
            alpha = _PRIOR * len(all_counts)
            y_others = all_counts[word] - y
            delta = np.log((y + prior) / (n + alpha - y - prior)) - np.log(
                (y_others + prior) / (n_others + alpha - y_others - prior)
            )
            z = delta / np.sqrt(1 / (y + prior) + 1 / (y_others + prior))
            if z > 1.0 and y > 1:
                scores.append((-float(z), word))
        words_of_groups.append([word for _, word in sorted(scores)[:top]])
    return words_of_groups


def _near(text: str, place: tuple[int, int]) -> set[str]:
    """The words at most `_REACH` words away from a use, without the use itself."""
    start, end = place
    spans = word_spans(text, "zh" if has_cjk(text) else "en")
    inside = [i for i, (a, b) in enumerate(spans) if a < end and b > start]
    if not inside:
        return set()
    low, high = max(0, inside[0] - _REACH), inside[-1] + 1 + _REACH
    near = [*spans[low : inside[0]], *spans[inside[-1] + 1 : high]]
    form = text[start:end].casefold()
    return {word for a, b in near if (word := text[a:b].casefold()) != form}


MapMethod = Literal["pca", "umap", "lda"]
_SHRINK = 0.3
_SPACE = re.compile(r"\s+")
_BESIDE = 60
"""Characters of context that are shown on each side of a use."""


def check_map(method: str, labelled: bool = True) -> None:
    """Refuse a map that cannot be made.

    Raises:  ConfigError: no such map, a map of senses for uses without senses, or its package is not installed.
    """
    if method not in get_args(MapMethod):
        raise ConfigError("no such map", got=method, expected=", ".join(get_args(MapMethod)))
    if method == "lda" and not labelled:
        raise ConfigError(
            "a map that parts the senses of uses without senses", got="lda", expected="pca or umap"
        )
    if method == "umap" and importlib.util.find_spec("umap") is None:
        raise ConfigError("UMAP is not installed", fix="pip install umap-learn, or --map pca")


def use_map(
    vectors: Float32Array,
    method: MapMethod,
    seed: int,
    senses: IntArray | None = None,
    fit: BoolArray | None = None,
) -> dict[str, Any]:
    """Coordinates of uses: {"method", "x", "y", "explained"}, the last the share of the variance, of pca alone.

    The method falls back to pca if there are too few uses, or if the half that axes are learned from has one sense.

    Args:
        vectors: of length one.
        method: see the head of this file.
        seed: of UMAP.
        senses, fit: for lda, the sense of each use, and from which uses the axes are learned.
    Shapes:  vectors: (N, D).  senses, fit: (N,)
    """
    explained = None
    if method == "umap" and len(vectors) > 15:
        umap = importlib.import_module("umap")
        points = np.asarray(
            umap.UMAP(n_components=2, metric="cosine", random_state=seed, n_jobs=1).fit_transform(vectors)
        )
    elif method == "lda" and senses is not None and fit is not None and len(np.unique(senses[fit])) > 1:
        points = _discriminant(np.asarray(vectors, np.float64), senses, fit)
    else:
        method = "pca"
        points, shares = components(vectors, 2)
        explained = round(float(shares.sum()), 4)
    if points.shape[1] < 2:
        points = np.concatenate([points, np.zeros((len(points), 2 - points.shape[1]))], 1)
    x, y = (np.round(points[:, axis].astype(np.float64), 5).tolist() for axis in (0, 1))
    return {"method": method, "x": x, "y": y, "explained": explained}


def turned_maps(maps: Sequence[dict[str, Any]], reference: int) -> list[dict[str, Any]]:
    """Maps of the same uses at several layers, each turned onto the one beside it, so that points move little.

        min over R with R R' = 1 of |P R - Q|:  R = U V',  U S V' = the singular values of P' Q

    A map's axes have no direction of their own, so two layers that hold the same may be drawn turned or mirrored. Each
    map is only turned and mirrored about its centre, never stretched: how far a layer's uses spread stays seen, and a
    layer with one vector for all uses stays one point.

    Args:
        maps: {"layer", "x", "y"}, in the order of the layers.
        reference: number of the map that stays as it is; the others follow it, from neighbour to neighbour.
    Source:  Schönemann (1966), the orthogonal Procrustes problem.
    """
    points = [np.stack([one["x"], one["y"]], 1).astype(np.float64) for one in maps]
    points = [each if i == reference else each - each.mean(0) for i, each in enumerate(points)]
    centre = points[reference].mean(0)
    order = [*range(reference - 1, -1, -1), *range(reference + 1, len(maps))]
    for i in order:
        beside = points[i + 1 if i < reference else i - 1] - centre
        u, _, v = np.linalg.svd(points[i].T @ beside)
        points[i] = points[i] @ (u @ v) + centre
    return [
        {**one, "x": np.round(each[:, 0], 5).tolist(), "y": np.round(each[:, 1], 5).tolist()}
        for one, each in zip(maps, points, strict=True)
    ]


def _discriminant(vectors: Float64Array, senses: IntArray, fit: BoolArray) -> Float64Array:
    """Coordinates on the axes that best separate the senses of the uses in `fit`.  Shapes: (N, D) -> (N, 2)"""
    from scipy.linalg import eigh

    x, gold = vectors[fit], senses[fit]
    centre = x.mean(0)
    kinds, place = np.unique(gold, return_inverse=True)
    means = np.stack([x[place == k].mean(0) for k in range(len(kinds))])
    inside = x - means[place]
    within = inside.T @ inside / len(x)
    width = float(np.trace(within)) / x.shape[1]
    if width < 1e-12:
        return np.zeros((len(vectors), 2))
    between = (means - centre)[place]
    shrunk = (1 - _SHRINK) * within + _SHRINK * width * np.eye(x.shape[1])
    _, axes = eigh(between.T @ between / len(x), shrunk)
    axes = axes[:, ::-1][:, : min(2, len(kinds) - 1)]
    axes = axes * np.where(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    if axes.shape[1] < 2:
        along = axes[:, 0] / np.linalg.norm(axes[:, 0])
        residual = (x - centre) - np.outer((x - centre) @ along, along)
        _, directions = np.linalg.eigh(residual.T @ residual)
        second = directions[:, -1] * (-1.0 if directions[np.abs(directions[:, -1]).argmax(), -1] < 0 else 1.0)
        axes = np.stack([along, second], 1)
    coordinates: Float64Array = (vectors - centre) @ axes
    return coordinates / np.maximum(coordinates[fit].std(0), 1e-12)  # type: ignore[no-any-return]


def drawn(uses: Sequence[Use], most: int, among: BoolArray | None = None) -> list[int]:
    """Indices of the uses to show, in order: all, or those with the lowest hashes.

    Args:
        most: the largest number of uses.
        among: which uses may be chosen; None = all.
    Shapes:  among: (N,)
    """
    candidates = range(len(uses)) if among is None else np.flatnonzero(among).tolist()
    if len(candidates) <= most:
        return list(candidates)
    keys = [
        hashlib.blake2b(
            f"drawn {use.start} {use.text}".encode("utf-8", "surrogatepass"), digest_size=8
        ).digest()
        for use in uses
    ]
    return sorted(sorted(candidates, key=lambda i: (keys[i], i))[:most])


def snippet(use: Use) -> dict[str, str]:
    """A use with its context, for a person: {"before", "form", "after"}, which join to a stretch of the text."""
    before = _SPACE.sub(" ", use.text[max(0, use.start - _BESIDE) : use.start]).lstrip()
    after = _SPACE.sub(" ", use.text[use.end : use.end + _BESIDE]).rstrip()
    return {
        "before": ("…" if use.start > _BESIDE else "") + before,
        "form": use.form,
        "after": after + ("…" if len(use.text) > use.end + _BESIDE else ""),
    }
