"""The uses of a word on a plane.

pca    the first two principal components of their vectors: where they differ most, for whatever reason
umap   neighbours stay neighbours (McInnes, Healy and Melville 2018), where the package umap-learn is installed
lda    the axes on which the senses lie furthest apart for their spread, learned from one half of the uses and shown on
       the other: in hundreds of dimensions any labels can be parted on the uses that the axes were learned from

    lda: the largest w of  S_b w = μ ((1 - λ) S_w + λ tr(S_w) / D) w,   S_b, S_w: scatter between and within senses

With two senses there is one such axis; the other one is the first principal component of what it leaves. Both are in
units of the uses' spread.

Source:  Fisher (1936); Friedman (1989) for the shrinkage λ.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from polyseme.errors import ConfigError
from polyseme.study.sense_clusters import components
from polyseme.text.labelled.senses import Use

__all__ = ["MapMethod", "check_map", "drawn", "snippet", "use_map"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

MapMethod = Literal["pca", "umap", "lda"]
_SHRINK = 0.3
_SPACE = re.compile(r"\s+")
_BESIDE = 60
"""Characters on each side of a use that a person is shown."""


def check_map(method: str, labelled: bool = True) -> None:
    """Refuse a map that cannot be made.

    Raises:  ConfigError: no such map, one of senses where there are none, or the package that draws it is not there.
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
    vectors: npt.NDArray[np.float32],
    method: MapMethod,
    seed: int,
    senses: IntArray | None = None,
    fit: BoolArray | None = None,
) -> dict[str, Any]:
    """Coordinates of uses: {"method", "x", "y", "explained"}, the last the share of the variance, of pca alone.

    Where there are too few uses for the method, or the half that axes are learned from has one sense, it is pca.

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


def _discriminant(vectors: FloatArray, senses: IntArray, fit: BoolArray) -> FloatArray:
    """Coordinates on the axes that part the senses of the uses to fit best.  Shapes: (N, D) -> (N, 2)"""
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
        rest = (x - centre) - np.outer((x - centre) @ along, along)
        _, others = np.linalg.eigh(rest.T @ rest)
        second = others[:, -1] * (-1.0 if others[np.abs(others[:, -1]).argmax(), -1] < 0 else 1.0)
        axes = np.stack([along, second], 1)
    found: FloatArray = (vectors - centre) @ axes
    return found / np.maximum(found[fit].std(0), 1e-12)  # type: ignore[no-any-return]


def drawn(uses: Sequence[Use], most: int, among: BoolArray | None = None) -> list[int]:
    """Numbers of the uses that are drawn, in order: all (of some), or those with the lowest hashes.

    Shapes:  among: (N,)
    """
    some = range(len(uses)) if among is None else np.flatnonzero(among).tolist()
    if len(some) <= most:
        return list(some)
    keys = [
        hashlib.blake2b(
            f"drawn {use.start} {use.text}".encode("utf-8", "surrogatepass"), digest_size=8
        ).digest()
        for use in uses
    ]
    return sorted(sorted(some, key=lambda i: (keys[i], i))[:most])


def snippet(use: Use) -> dict[str, str]:
    """What a person is shown of a use: {"before", "form", "after"}, which join to a stretch of the text."""
    before = _SPACE.sub(" ", use.text[max(0, use.start - _BESIDE) : use.start]).lstrip()
    after = _SPACE.sub(" ", use.text[use.end : use.end + _BESIDE]).rstrip()
    return {
        "before": ("…" if use.start > _BESIDE else "") + before,
        "form": use.form,
        "after": after + ("…" if len(use.text) > use.end + _BESIDE else ""),
    }
