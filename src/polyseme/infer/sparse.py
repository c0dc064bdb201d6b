"""Vectors of texts without their zeros, for encoders that say which numbers are one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
import torch

from polyseme.core.protocols import SparseEncoder
from polyseme.infer.cut import warn_of_cut
from polyseme.infer.inputs import texts_of
from polyseme.infer.loaded import Loaded
from polyseme.infer.pooling import Pool, Pooling

__all__ = ["sparse_rows", "sparse_vectors"]


def sparse_vectors(
    loaded: Loaded, texts: Iterable[str], pool: Pool | Pooling = "mean"
) -> tuple[Any, list[int]]:
    """The same vectors as `embed` without the zeros, for encoders that say which numbers are one.

    Returns a scipy CSR matrix, float32, and its rows per text.
    Shapes:  -> (N, hidden_size), or (words, hidden_size) for pool="words"
    Raises:  InputError: not text.  ConfigError: the pool says nothing here.
    """
    way = pool if isinstance(pool, Pooling) else Pooling(pool)
    way.check(loaded)
    some, _ = texts_of(texts)
    whole, counts, cut = sparse_rows(loaded, some, way)
    warn_of_cut(cut, len(some), way.room(loaded))
    return whole, counts


def sparse_rows(loaded: Loaded, texts: Sequence[str], way: Pooling) -> tuple[Any, list[int], int]:
    """The same, and how many of the texts are longer than what is read."""
    from scipy.sparse import csr_matrix

    room = way.room(loaded)
    tokens = loaded.tokenizer.encode_batch(texts)
    cut = sum(len(t) > room for t in tokens)
    rows = [t.ids[:room] for t in tokens]
    words = [t.word_starts[:room] for t in tokens]
    if way.separators and way.pool != "words":
        before, behind = loaded.tokenizer.prefix_ids, loaded.tokenizer.suffix_ids
        rows = [[*before, *r, *behind] for r in rows]
    if way.pool == "last":
        rows = [r[-1:] for r in rows]
    ids = np.array([i for r in rows for i in r], np.int64)
    lengths = np.array([len(r) for r in rows], np.int64)
    row = np.repeat(np.arange(len(rows)), lengths)  # of the result, for every token
    counts = [1] * len(rows)
    if way.pool == "words":
        starts = np.array([word for w in words for word in w], np.bool_)
        starts[(np.cumsum(lengths) - lengths)[lengths > 0]] = True
        row = np.cumsum(starts) - 1
        counts = [sum(w[1:]) + 1 if w else 0 for w in words]
    n_rows, width = sum(counts), loaded.encoder.config.hidden_size
    share = np.ones(len(ids)) if way.pool == "max" else 1.0 / np.bincount(row, minlength=n_rows)[row]
    token, column = (
        part.numpy() for part in cast(SparseEncoder, loaded.encoder).active(torch.from_numpy(ids))
    )
    whole = csr_matrix((share[token], (row[token], column)), (n_rows, width))  # what meets is added
    whole.sum_duplicates()
    if way.pool == "max":
        whole.data[:] = 1.0
    if way.normalize:
        norm = np.sqrt(np.asarray(whole.multiply(whole).sum(axis=1)).ravel())
        whole = csr_matrix(whole.multiply((1.0 / np.maximum(norm, 1e-12))[:, None]))
    return whole.astype(np.float32), counts, cut
