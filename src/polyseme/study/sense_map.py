"""The uses of a word on a plane: the first two principal components of their vectors, or UMAP where it is installed."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from polyseme.errors import ConfigError
from polyseme.study.sense_clusters import components
from polyseme.text.labelled.senses import Use

__all__ = ["MapMethod", "check_map", "drawn", "snippet", "use_map"]

MapMethod = Literal["pca", "umap"]
_SPACE = re.compile(r"\s+")
_BESIDE = 60
"""Characters on each side of a use that a person is shown."""


def check_map(method: str) -> None:
    """Refuse a map that cannot be made.

    Raises:  ConfigError: no such map, or the package that draws it is not installed.
    """
    if method not in ("pca", "umap"):
        raise ConfigError("no such map", got=method, expected="pca or umap")
    if method == "umap" and importlib.util.find_spec("umap") is None:
        raise ConfigError("UMAP is not installed", fix="pip install umap-learn, or --map pca")


def use_map(vectors: npt.NDArray[np.float32], method: MapMethod, seed: int) -> dict[str, Any]:
    """Coordinates of uses: {"method", "x", "y", "explained"}, the last the share of the variance, None for UMAP.

    Args:
        vectors: of length one.
        method: "pca", or "umap" with cosine distances (McInnes, Healy and Melville 2018).
        seed: of UMAP.
    Shapes:  vectors: (N, D)
    """
    if method == "umap" and len(vectors) > 15:
        umap = importlib.import_module("umap")
        points = np.asarray(
            umap.UMAP(n_components=2, metric="cosine", random_state=seed, n_jobs=1).fit_transform(vectors)
        )
        explained = None
    else:
        method = "pca"
        points, shares = components(vectors, 2)
        explained = round(float(shares.sum()), 4)
    if points.shape[1] < 2:
        points = np.concatenate([points, np.zeros((len(points), 2 - points.shape[1]))], 1)
    x, y = (np.round(points[:, axis].astype(np.float64), 5).tolist() for axis in (0, 1))
    return {"method": method, "x": x, "y": y, "explained": explained}


def drawn(uses: Sequence[Use], most: int) -> list[int]:
    """Numbers of the uses that are drawn, in order: all, or those with the lowest hashes."""
    if len(uses) <= most:
        return list(range(len(uses)))
    keys = [
        hashlib.blake2b(
            f"drawn {use.start} {use.text}".encode("utf-8", "surrogatepass"), digest_size=8
        ).digest()
        for use in uses
    ]
    return sorted(sorted(range(len(uses)), key=lambda i: (keys[i], i))[:most])


def snippet(use: Use) -> dict[str, str]:
    """What a person is shown of a use: {"before", "form", "after"}, which join to a stretch of the text."""
    before = _SPACE.sub(" ", use.text[max(0, use.start - _BESIDE) : use.start]).lstrip()
    after = _SPACE.sub(" ", use.text[use.end : use.end + _BESIDE]).rstrip()
    return {
        "before": ("…" if use.start > _BESIDE else "") + before,
        "form": use.form,
        "after": after + ("…" if len(use.text) > use.end + _BESIDE else ""),
    }
