"""Documents that nearly repeat an earlier one: MinHash sketches, bands, components.

    document ──5-word shingles──► sketch: 128 MinHash values ──16 bands of 8──► a hash a band, and the row of its sketch
    runs of bands, sorted by hash, one a piece of the corpus ──merged by ranges of hashes──► documents that share a band
        ──the two sketches agree in 0.8 of their values──► edges ──► components, of which the first document stays

Two documents whose sets of shingles have a Jaccard similarity of 0.8 share a band with probability 0.95, two of 0.5
with 0.06; the estimate from the whole sketches then decides. A component holds what is joined by such pairs, directly
or through others.

What is found does not depend on how the corpus is cut into pieces. Memory is that of a range, and of the pairs found;
sketches and bands (half a kilobyte and 192 bytes a document) may lie on the disk.

Source: Broder, On the resemblance and containment of documents, 1997; Leskovec, Rajaraman and Ullman, Mining of Massive
Datasets, chapter 3.
"""

from __future__ import annotations

import bisect
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from polyseme.core.arrays import IntArray
from polyseme.errors import ConfigError
from polyseme.text.words import word_spans

__all__ = [
    "BANDS",
    "ROW",
    "SKETCH",
    "Run",
    "bands_of",
    "merged",
    "near_duplicates",
    "near_duplicates_of",
    "sketches_of",
]

BANDS = 16
_VALUES, _SIMILARITY, _SHINGLE, _SEED = 128, 0.8, 5, 1
_AGREE = -int(-_SIMILARITY * _VALUES // 1)  # values of two sketches that must be equal, rounded up

SKETCH = np.dtype([("place", "<u4"), ("values", "<u4", (_VALUES,))])
"""A document that has a sketch: which one of its piece it is, and its MinHash values."""
ROW = np.dtype([("key", "<u8"), ("place", "<u4")])
"""A key and where it was met; a run of them is sorted by key, then by place."""

_RANGE = 1 << 20  # rows that are merged at a time
_SKETCHES = 1 << 17  # rows of bands: of each its sketch may be read


class Run(Protocol):
    """The sketches of one piece of a corpus."""

    def band(self, number: int) -> npt.NDArray[Any]:
        """ROW: the hash of this band of every sketch, sorted, and which sketch it is."""
        ...

    def sketches(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """SKETCH: those of these numbers."""
        ...


@dataclass(frozen=True)
class _InMemory:
    """A corpus as one run."""

    all: npt.NDArray[Any]
    bands: list[npt.NDArray[Any]]

    def band(self, number: int) -> npt.NDArray[Any]:
        return self.bands[number]

    def sketches(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        found: npt.NDArray[Any] = self.all[rows]
        return found


def check_rensa() -> None:
    """Raises:  ConfigError: the package is not installed."""
    if importlib.util.find_spec("rensa") is None:
        raise ConfigError("near-duplicate removal needs the package rensa", fix="pip install rensa")


def _sketch(text: str) -> list[int] | None:
    """The MinHash values of a text; None where it is too short to resemble anything."""
    from rensa import RMinHash

    words = [text[start:end].lower() for start, end in word_spans(text, "en")]
    if len(words) < _SHINGLE:
        return None
    made = RMinHash(_VALUES, _SEED)
    made.update([" ".join(words[i : i + _SHINGLE]) for i in range(len(words) - _SHINGLE + 1)])
    values: list[int] = made.digest()
    return values


def sketches_of(texts: Iterable[str]) -> Iterator[npt.NDArray[Any]]:
    """The sketches (SKETCH) of texts, some at a time; a place is the number of the text."""
    rows: list[tuple[int, list[int]]] = []
    for place, text in enumerate(texts):
        if (values := _sketch(text)) is not None:
            rows.append((place, values))
        if len(rows) == 1000:
            yield np.array(rows, SKETCH)
            rows = []
    yield np.array(rows, SKETCH)


def bands_of(sketches: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """The run of each band (ROW): places are numbers of sketches."""
    width = _VALUES // BANDS
    odd = np.random.default_rng(_SEED).integers(0, 2**63, width, np.uint64) * np.uint64(2) + np.uint64(1)
    for number in range(BANDS):
        hashes = sketches["values"][:, number * width : (number + 1) * width].astype(np.uint64) @ odd
        hashes = (hashes ^ (hashes >> np.uint64(32))) * odd[
            0
        ]  # so that ranges of equal width hold equally many
        order = np.argsort(hashes, kind="stable")
        run = np.empty(len(order), ROW)
        run["key"], run["place"] = hashes[order], order
        yield run


def near_duplicates_of(texts: Iterable[str]) -> set[int]:
    """The numbers of the texts that nearly repeat an earlier one; takes about a kilobyte of memory a text."""
    sketches = np.concatenate([*sketches_of(texts)])
    found = near_duplicates([_InMemory(sketches, [*bands_of(sketches)])])
    return {place for _, places in found for place in places.tolist()}


def near_duplicates(runs: Sequence[Run]) -> Iterator[tuple[int, npt.NDArray[np.uint32]]]:
    """The documents of pieces, given in the order of the corpus, that are not the first of their component.

    Gives (number of the piece, places in it), each piece once.
    """
    edges = np.empty((0, 2), np.int64)
    for number in range(BANDS):
        bands = [run.band(number) for run in runs]
        found = [_edges(pieces, rows, runs) for pieces, rows in merged(bands, _SKETCHES)]
        edges = _to_the_first(np.concatenate([edges, *found]))
    pieces = edges[:, 0] >> 32
    for piece in np.unique(pieces).tolist():
        rows = edges[pieces == piece, 0] & 0xFFFFFFFF
        yield piece, runs[piece].sketches(rows)["place"]


def merged(
    runs: Sequence[npt.NDArray[Any]], most: int | None = None
) -> Iterator[tuple[IntArray, npt.NDArray[Any]]]:
    """Merge runs (ROW), a range of keys at a time: (number of the run of every row, rows).

    Rows are sorted by key; of equal keys those of earlier runs come first. Keys are hashes, so ranges of equal width
    hold equally many.

    Args:
        most: rows at a time, about, so that memory does not grow with the runs.
    """
    parts = max(1, -(-sum(map(len, runs)) // (most or _RANGE)))
    bounds = [2**64 * part // parts for part in range(parts + 1)]
    for low, high in pairwise(bounds):
        found = []
        for run in runs:
            begin, end = (
                bisect.bisect_left(run, bound, key=lambda row: int(row["key"])) for bound in (low, high)
            )
            found.append(np.array(run[begin:end]))
        number = np.repeat(np.arange(len(runs)), [len(part) for part in found])
        rows = np.concatenate(found)
        order = np.argsort(rows["key"], kind="stable")
        yield number[order], rows[order]


def _edges(pieces: IntArray, rows: npt.NDArray[Any], runs: Sequence[Run]) -> IntArray:
    """Pairs of documents of one range of a band that resemble each other; they join all that do.

    A document is piece · 2^32 + number of its sketch, so that an earlier one has a smaller number.
    Shapes:  pieces, rows: (n,); result: (pairs, 2)
    """
    if not len(rows):
        return np.empty((0, 2), np.int64)
    same = rows["key"][1:] == rows["key"][:-1]
    met = np.concatenate([same, [False]]) | np.concatenate([[False], same])  # with others of the same hash
    pieces, rows = pieces[met], rows[met]
    documents = pieces << 32 | rows["place"]
    values = np.empty((len(rows), _VALUES), np.uint32)
    for piece in np.unique(pieces).tolist():
        here = pieces == piece
        values[here] = runs[piece].sketches(rows["place"][here])["values"]
    within = rows["key"][1:] == rows["key"][:-1]
    alike = within & _resemble(values[1:], values[:-1])
    edges = [np.stack([documents[1:], documents[:-1]], 1)[alike]]
    # a bucket in which all neighbours are alike is joined already
    borders = np.flatnonzero(np.concatenate([[True], ~within, [True]])[: len(rows) + 1])
    for begin, end in pairwise(borders.tolist()):
        if not alike[begin : end - 1].all():
            edges.append(_joined(documents[begin:end], values[begin:end]))
    return np.concatenate(edges)


def _resemble(some: npt.NDArray[np.uint32], others: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = np.count_nonzero(some == others, axis=-1) >= _AGREE
    return found


def _joined(documents: IntArray, values: npt.NDArray[np.uint32]) -> IntArray:
    """Pairs of the documents of a bucket that join all that resemble each other."""
    different, first, which = np.unique(values, axis=0, return_index=True, return_inverse=True)
    edges = [np.stack([documents, documents[first[which.ravel()]]], 1)]  # equal sketches
    left = np.arange(len(different))
    while len(left):
        reached, left = [left[0]], left[1:]
        for one in reached:
            alike = _resemble(different[left], different[one])
            reached += left[alike].tolist()
            edges.append(
                np.stack(np.broadcast_arrays(documents[first[left[alike]]], documents[first[one]]), 1)
            )
            left = left[~alike]
    return np.concatenate(edges)


def _to_the_first(edges: IntArray) -> IntArray:
    """The same components with as few pairs: of each document but the first of a component, (document, first)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    documents, ends = np.unique(edges, return_inverse=True)
    ends = ends.reshape(-1, 2)
    size = len(documents)
    graph = coo_array((np.ones(len(ends), np.bool_), (ends[:, 0], ends[:, 1])), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    _, first = np.unique(component, return_index=True)
    pairs = np.stack([documents, documents[first[component]]], 1)
    found: IntArray = pairs[pairs[:, 0] != pairs[:, 1]]
    return found
