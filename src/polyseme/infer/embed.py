"""Texts to vectors: hidden states, computed by packed linear layers, then pooling.

A table of vectors (word2vec) is looked up without batches or padding: `StaticEncoder.means`.
Encoders of zeros and ones (1-of-N, word classes) name the columns that are one; `sparse_vectors` leaves out the zeros.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Literal, cast, get_args, overload

import numpy as np
import torch
from torch import Tensor

from polyseme.core.arrays import Float32Array
from polyseme.core.protocols import SparseEncoder, StaticEncoder
from polyseme.errors import ConfigError
from polyseme.infer.hidden import hidden_states, layer_numbers, packed
from polyseme.infer.inputs import Truncated, check_loaded, one_of, texts_of, warn_of_cut
from polyseme.infer.loaded import Loaded, check_precision, words_of
from polyseme.infer.pooling import OneVector, Pool, Pooling
from polyseme.kernels.packed import Precision
from polyseme.text.tokens import Tokens

__all__ = [
    "Embedder",
    "Layer",
    "Pool",
    "Pooling",
    "cosines",
    "embed",
    "similarity",
    "sparse_rows",
    "sparse_vectors",
]

Layer = int | Literal["mix"] | None

TEXTS_AT_ONCE = 4096
CHARACTERS_AT_ONCE = 4_000_000
"""Texts are sorted by length within a window of this size; only one window is in memory as tokens."""


@overload
def embed(
    loaded: Loaded,
    texts: str | Iterable[str],
    pool: OneVector | None = None,
    layer: Layer = None,
    precision: Precision = "float32",
) -> Float32Array: ...
@overload
def embed(
    loaded: Loaded,
    texts: str | Iterable[str],
    pool: Pool | Pooling | None = None,
    layer: Layer = None,
    precision: Precision = "float32",
) -> Float32Array | list[Float32Array]: ...
def embed(
    loaded: Loaded,
    texts: str | Iterable[str],
    pool: Pool | Pooling | None = None,
    layer: Layer = None,
    precision: Precision = "float32",
) -> Float32Array | list[Float32Array]:
    """Vectors of texts; what is longer than the model reads is cut, which a warning counts.

    An empty text gives zeros, unless [CLS] and [SEP] count (`Pooling`).

    Args:
        loaded: a run.
        texts: one or several, any strings; "[MASK]" in them is these letters, not the token.
        pool: how a text's tokens become one vector: mean or max over them, cls, last; "words" keeps a vector per word.
            None = the run's own way: that of the model it was imported from, or the mean. A `Pooling` says more.
        layer: 0 = embeddings, … , -1 = last; None = last; "mix" = the mean of all layers.
        precision: of the linear layers. bfloat16 and int8 are faster where the CPU has them, and a little less exact
            (docs/guide/embedding.md).
    Shapes:  N texts -> (N, hidden_size); one text -> (hidden_size,); pool words: a list of (words, hidden_size)
    Raises:  InputError: not text.  ConfigError: there is no such layer, the pool says nothing here, or torch has no
             kernels for the precision.

    Example:
        vectors = embed(load("runs/demo"), ["a class", "a function"])
    """
    several, single = texts_of(texts)
    embedder = Embedder(loaded, pool, layer, precision)
    vectors = embedder.vectors(several) if embedder.pooling.pool == "words" else embedder.matrix(several)
    return vectors[0] if single else vectors


class Embedder:
    """Turns texts into vectors in one fixed way; made once, used often.

    Args:
        loaded, pool, layer, precision: as for `embed`.
        plain: use the encoder without packing; the fast form is tested against it.
    Attributes:
        pooling: the way that was chosen.
        hidden_size: dimensions of a vector.
        sparse: whether the vectors are mostly zeros and `sparse_vectors` gives the rest.
        max_content: tokens of a text that are read, without separators.
        cut: texts so far whose ends were not read, as they are longer.
        truncated: which of the texts of the last call these were, and how many tokens they lost.
    Raises:  ConfigError: as for `embed`.
    """

    def __init__(
        self,
        loaded: Loaded,
        pool: Pool | Pooling | None = None,
        layer: Layer = None,
        precision: Precision = "float32",
        plain: bool = False,
    ) -> None:
        check_loaded(loaded)
        check_precision(loaded, precision)
        self._numbers = _numbers(loaded, layer)
        if isinstance(pool, Pooling):
            pool.check(loaded)
            self.pooling = pool
        else:
            self.pooling = Pooling.of(loaded, pool=pool)
        self.loaded, self.layer, self.precision = loaded, layer, precision
        self.hidden_size = self.pooling.width(int(loaded.encoder.config.hidden_size))
        self.sparse = hasattr(loaded.encoder, "active")
        self._encoder = loaded.encoder if plain else packed(loaded.encoder, precision)
        self.max_content = self.pooling.max_content(loaded)
        self.cut, self.truncated = 0, Truncated()
        self._n_read = 0  # texts of this call
        around = self.pooling.separators and any(loaded.separator_counts)
        table = hasattr(loaded.encoder, "means") and loaded.precision == "float32"
        self._looks_up = table and self.pooling.pool == "mean" and not around and not plain

    def vectors(self, texts: Iterable[str]) -> list[Float32Array]:
        """Vectors of texts: (hidden_size,) each, or (words, hidden_size) for pool words; one string is one text.

        Texts that are longer than what is read are counted in a warning.

        Raises:  InputError: not text.
        """
        texts, _ = texts_of(texts)
        self.begin()
        vectors = self.read(texts)
        warn_of_cut(self.truncated, len(texts), self.max_content, stacklevel=5)
        return vectors

    def begin(self, truncated: Truncated | None = None, n_read: int = 0) -> None:
        """Number the texts of later calls of `read` from 0, or from where earlier work was left."""
        self.truncated, self._n_read = truncated or Truncated(), n_read

    def count(self, lengths: Sequence[int]) -> None:
        """Count texts of so many tokens, which follow those that were read."""
        before = self.truncated.texts
        self.truncated.add(lengths, self.max_content, self._n_read)
        self.cut += self.truncated.texts - before
        self._n_read += len(lengths)

    def matrix(self, texts: Iterable[str]) -> Float32Array:
        """`vectors` as one array, for every pool but words.  Shapes: N texts -> (N, hidden_size)"""
        vectors = self.vectors(texts)
        return np.stack(vectors) if vectors else np.zeros((0, self.hidden_size), np.float32)

    def read(self, texts: Sequence[str]) -> list[Float32Array]:
        """`vectors` of a list of strings, without the warning: what is cut is counted in `cut` alone."""
        if self.sparse:
            whole, counts, lengths = sparse_rows(self.loaded, texts, self.pooling)
            self.count(lengths)
            ends = np.cumsum(counts)
            rows = [whole[end - n : end].toarray() for n, end in zip(counts, ends.tolist(), strict=True)]
            return rows if self.pooling.pool == "words" else [row[0] for row in rows]
        results: list[Float32Array] = []
        for window in windows(texts):
            results.extend(self._window(window))
        return results

    @torch.inference_mode()
    def _window(self, texts: Sequence[str]) -> list[Float32Array]:
        """Vectors of texts that are sorted and in memory together."""
        if self._looks_up:
            return self._means(texts)
        loaded, pooling, separator_counts = self.loaded, self.pooling, self.loaded.separator_counts
        tokens = self._tokens(texts)
        words = [*map(words_of, texts, tokens)] if loaded.reads_letters else None
        at_last = self._numbers == (loaded.encoder.config.num_hidden_layers,)

        def at(batch: list[int], width: int) -> Tensor | None:
            return (
                pooling.positions([len(tokens[i]) for i in batch], separator_counts, width)
                if at_last
                else None
            )

        results: list[Any] = [None] * len(texts)
        ids = [t.ids for t in tokens]
        for batch, layers in hidden_states(loaded, ids, words, self._numbers, self._encoder, at):
            states = layers[0] if len(layers) == 1 else torch.stack(layers).mean(0)
            if pooling.pool == "words":
                vectors: Iterable[Float32Array] = [
                    pooling.join_words(row, tokens[i].word_starts, separator_counts[0])
                    for row, i in zip(states, batch, strict=True)
                ]
            else:
                vectors = pooling.join(states, [len(tokens[i]) for i in batch], separator_counts)
            for i, vector in zip(batch, vectors, strict=True):
                results[i] = vector
        return results

    def _means(self, texts: Sequence[str]) -> list[Float32Array]:
        """Vectors of texts from a table."""
        id_lists = self.loaded.tokenizer.encode_ids(texts)
        lengths = np.fromiter(map(len, id_lists), np.int64, len(texts))
        self.count(lengths.tolist())
        if (lengths > self.max_content).any():
            id_lists = [ids[: self.max_content] for ids in id_lists]
            lengths = np.minimum(lengths, self.max_content)
        ids = np.fromiter(chain.from_iterable(id_lists), np.int64, int(lengths.sum()))
        starts = np.cumsum(lengths) - lengths
        encoder = cast(StaticEncoder, self.loaded.encoder)
        vectors = encoder.means(torch.from_numpy(ids), torch.from_numpy(starts))
        return list(self.pooling.scaled(vectors.numpy()))

    def _tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokens of texts, cut; without offsets and word starts where nobody reads them."""
        max_content = self.max_content
        if self.loaded.reads_letters or self.pooling.pool == "words":
            tokens = self.loaded.tokenizer.encode_batch(texts)
            self.count([len(t) for t in tokens])
            return [
                Tokens(t.ids[:max_content], t.offsets[:max_content], t.word_starts[:max_content])
                for t in tokens
            ]
        id_lists = self.loaded.tokenizer.encode_ids(texts)
        self.count([len(ids) for ids in id_lists])
        return [Tokens(ids[:max_content], [], []) for ids in id_lists]


def windows(texts: Iterable[str]) -> Iterator[list[str]]:
    """Stretches of texts that are in memory as tokens together."""
    window: list[str] = []
    characters = 0
    for text in texts:
        characters += len(text)
        if window and (characters > CHARACTERS_AT_ONCE or len(window) == TEXTS_AT_ONCE):
            yield window
            window, characters = [], len(text)
        window.append(text)
    if window:
        yield window


def _numbers(loaded: Loaded, layer: Any) -> tuple[int, ...]:
    """The layers to read for `layer`: one, or all of them for "mix".

    Raises:  ConfigError: there is no such layer.
    """
    n = loaded.encoder.config.num_hidden_layers + 1
    if isinstance(layer, str) and layer == "mix":
        return tuple(range(n))
    layer = -1 if layer is None else layer
    if isinstance(layer, bool) or not isinstance(layer, int | np.integer) or not -n <= layer < n:
        raise ConfigError(
            "no such layer", got=layer, expected=f"0 … {n - 1}, or -{n} … -1 from the end, or mix"
        )
    return layer_numbers(loaded, layer)


def similarity(
    loaded: Loaded,
    texts: str | Iterable[str],
    others: str | Iterable[str] | None = None,
    pool: OneVector | None = None,
    layer: Layer = None,
    precision: Precision = "float32",
) -> Any:
    """Cosines of texts' vectors; 0 where a text has no token.

    A warning counts texts without a known token: all of them have the same vector, or none.

    Args:
        texts, others: what to compare with what; without others, the texts among themselves.
        pool, layer, precision: as for `embed`; pool words gives no vector of a text.
    Shapes:  N texts, M others -> (N, M); a single text takes its dimension away: two single ones give a float
    Raises:  InputError, ConfigError: as for `embed`.
    """
    several, single = texts_of(texts)
    other_texts, other_single = texts_of(others, "others") if others is not None else (several, single)
    one_of("pool", pool, (None, *get_args(OneVector)))
    all_texts = [*several, *other_texts] if others is not None else several
    vectors = Embedder(loaded, pool, layer, precision).matrix(all_texts)
    _warn_of_unknown(loaded, all_texts)
    table = cosines(vectors[: len(several)], vectors[-len(other_texts) :] if other_texts else vectors[:0])
    table = table[0] if single else table
    table = table[..., 0] if other_single else table
    return table if table.ndim else float(table)


def cosines(a: Float32Array, b: Float32Array) -> Float32Array:
    """Cosine of every row of a with every row of b; 0 where one is zero.  Shapes: (N, d), (M, d) -> (N, M)"""

    def unit(rows: Float32Array) -> Float32Array:
        norm = np.linalg.norm(rows, axis=1, keepdims=True)
        result: Float32Array = np.divide(rows, norm, out=np.zeros_like(rows), where=norm > 0)
        return result

    return unit(a) @ unit(b).T


def _warn_of_unknown(loaded: Loaded, texts: Sequence[str]) -> None:
    if loaded.reads_letters:
        return
    ids = loaded.tokenizer.encode_ids(texts)
    pairs = zip(texts, ids, strict=True)
    if unknown := sum(bool(text.strip()) and {*row} <= {loaded.tokenizer.unk_id} for text, row in pairs):
        warnings.warn(
            f"of {unknown:,} of {len(texts):,} texts the vocabulary knows no token: their similarity says nothing",
            stacklevel=3,
        )


def sparse_vectors(
    loaded: Loaded, texts: Iterable[str], pool: Pool | Pooling = "mean"
) -> tuple[Any, list[int]]:
    """The same vectors as `embed` without the zeros, for encoders that say which numbers are one.

    Returns a scipy CSR matrix, float32, and its rows per text.
    Shapes:  -> (N, hidden_size), or (words, hidden_size) for pool="words"
    Raises:  InputError: not text.  ConfigError: the pool says nothing here.
    """
    pooling = pool if isinstance(pool, Pooling) else Pooling(pool)
    pooling.check(loaded)
    several, _ = texts_of(texts)
    whole, counts, lengths = sparse_rows(loaded, several, pooling)
    most = pooling.max_content(loaded)
    warn_of_cut(Truncated.of(lengths, most), len(several), most)
    return whole, counts


def sparse_rows(loaded: Loaded, texts: Sequence[str], pooling: Pooling) -> tuple[Any, list[int], list[int]]:
    """As `sparse_vectors`, without the warning; also how many tokens each text has."""
    from scipy.sparse import csr_matrix

    max_content = pooling.max_content(loaded)
    tokens = loaded.tokenizer.encode_batch(texts)
    n_tokens = [len(t) for t in tokens]
    rows = [t.ids[:max_content] for t in tokens]
    words = [t.word_starts[:max_content] for t in tokens]
    if pooling.separators and pooling.pool != "words":
        before, behind = loaded.tokenizer.prefix_ids, loaded.tokenizer.suffix_ids
        rows = [[*before, *r, *behind] for r in rows]
    if pooling.pool == "last":
        rows = [r[-1:] for r in rows]
    ids = np.array([i for r in rows for i in r], np.int64)
    lengths = np.array([len(r) for r in rows], np.int64)
    row = np.repeat(np.arange(len(rows)), lengths)  # of the result, for every token
    counts = [1] * len(rows)
    if pooling.pool == "words":
        starts = np.array([word for w in words for word in w], np.bool_)
        starts[(np.cumsum(lengths) - lengths)[lengths > 0]] = True
        row = np.cumsum(starts) - 1
        counts = [sum(w[1:]) + 1 if w else 0 for w in words]
    n_rows, width = sum(counts), loaded.encoder.config.hidden_size
    share = np.ones(len(ids)) if pooling.pool == "max" else 1.0 / np.bincount(row, minlength=n_rows)[row]
    token, column = (
        part.numpy() for part in cast(SparseEncoder, loaded.encoder).active(torch.from_numpy(ids))
    )
    # entries at the same place are added
    whole = csr_matrix((share[token], (row[token], column)), (n_rows, width))
    whole.sum_duplicates()
    if pooling.pool == "max":
        whole.data[:] = 1.0
    if pooling.normalize:
        norm = np.sqrt(np.asarray(whole.multiply(whole).sum(axis=1)).ravel())
        whole = csr_matrix(whole.multiply((1.0 / np.maximum(norm, 1e-12))[:, None]))
    return whole.astype(np.float32), counts, n_tokens
