"""Texts to vectors, in batches of similar length, by linear layers whose weights were laid out for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, overload

import numpy as np
import torch
from torch import Tensor

from polyseme.errors import ConfigError
from polyseme.infer.batching import by_length
from polyseme.infer.cut import warn_of_cut
from polyseme.infer.inputs import check_loaded, texts_of
from polyseme.infer.loaded import Loaded, words_of
from polyseme.infer.pooling import FloatArray, Pool, Pooling, edges_of
from polyseme.infer.prepared import prepared
from polyseme.infer.sparse import sparse_rows, sparse_vectors
from polyseme.kernels.packed import Precision
from polyseme.text.tokens import Tokens

__all__ = ["Embedder", "Layer", "Pool", "Pooling", "embed", "sparse_vectors"]

Layer = int | Literal["mix"] | None

TEXTS_AT_ONCE = 4096
CHARACTERS_AT_ONCE = 4_000_000
"""Texts are sorted by length within so many of them, and are in memory as tokens only that long."""


@overload
def embed(  # type: ignore[overload-overlap]  # a string is an iterable of strings, too
    loaded: Loaded,
    texts: str,
    pool: Pool | Pooling | None = None,
    layer: Layer = None,
    precision: Precision = "float32",
) -> FloatArray: ...
@overload
def embed(
    loaded: Loaded,
    texts: Iterable[str],
    pool: Pool | Pooling | None = None,
    layer: Layer = None,
    precision: Precision = "float32",
) -> list[FloatArray]: ...
def embed(
    loaded: Loaded,
    texts: str | Iterable[str],
    pool: Pool | Pooling | None = None,
    layer: Layer = None,
    precision: Precision = "float32",
) -> FloatArray | list[FloatArray]:
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
    Shapes:  N texts -> N arrays of (hidden_size,), or (words, hidden_size) for pool="words"; one text -> one array
    Raises:  InputError: not text.  ConfigError: there is no such layer, the pool says nothing here, or torch has no
             kernels for the precision.

    Example:
        vectors = embed(load("runs/demo"), ["a class", "a function"])
    """
    some, single = texts_of(texts)
    found = Embedder(loaded, pool, layer, precision).vectors(some)
    return found[0] if single else found


class Embedder:
    """One way to turn texts into vectors, for much use.

    Args:
        loaded, pool, layer, precision: as for `embed`.
        plain: use the encoder as it is; the way that the fast one is tested against.
    Attributes:
        pooling: the way that was chosen.
        hidden_size: numbers of a vector.
        sparse: whether the vectors are mostly zeros and `sparse_vectors` gives the rest.
        room: tokens of a text that are read, without separators.
        cut: texts so far whose ends were not read, as they are longer.
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
        check_layer(loaded, layer)
        if isinstance(pool, Pooling):
            pool.check(loaded)
            self.pooling = pool
        else:
            self.pooling = Pooling.of(loaded, pool=pool)
        self.loaded, self.layer, self.precision = loaded, layer, precision
        self.hidden_size = self.pooling.width(int(loaded.encoder.config.hidden_size))
        self.sparse = hasattr(loaded.encoder, "active")
        self._encoder = loaded.encoder if plain else prepared(loaded.encoder, precision)
        self.room = self.pooling.room(loaded)
        self.cut = 0
        self._edges = edges_of(loaded)
        self._spells = bool(getattr(loaded.encoder, "open_vocabulary", False))

    def vectors(self, texts: Iterable[str]) -> list[FloatArray]:
        """Vectors of texts: (hidden_size,) each, or (words, hidden_size) for pool words; one string is one text.

        Texts that are longer than what is read are counted in a warning.

        Raises:  InputError: not text.
        """
        texts, _ = texts_of(texts)
        before = self.cut
        found = self.read(texts)
        warn_of_cut(self.cut - before, len(texts), self.room, stacklevel=4)
        return found

    def read(self, texts: Sequence[str]) -> list[FloatArray]:
        """`vectors` of a list of strings, without the warning: what is cut is counted in `cut` alone."""
        if self.sparse:
            whole, counts, cut = sparse_rows(self.loaded, texts, self.pooling)
            self.cut += cut
            ends = np.cumsum(counts)
            rows = [whole[end - n : end].toarray() for n, end in zip(counts, ends.tolist(), strict=True)]
            return rows if self.pooling.pool == "words" else [row[0] for row in rows]
        results: list[FloatArray] = []
        for some in windows(texts):
            results.extend(self._window(some))
        return results

    def _window(self, texts: Sequence[str]) -> list[FloatArray]:
        """Vectors of texts that are sorted and in memory together."""
        tokens = self._tokens(texts)
        results: list[FloatArray | None] = [None] * len(texts)
        for indices in by_length([max(1, len(t) + sum(self._edges)) for t in tokens]):
            some = [tokens[i] for i in indices]
            words = [words_of(texts[i], tokens[i]) for i in indices] if self._spells else None
            for i, vector in zip(indices, self._batch(some, words), strict=True):
                results[i] = vector
        return [r for r in results if r is not None]

    def _tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokens of texts, cut; without offsets and word starts where nobody reads them."""
        room = self.room
        if self._spells or self.pooling.pool == "words":
            found = self.loaded.tokenizer.encode_batch(texts)
            self.cut += sum(len(t) > room for t in found)
            return [Tokens(t.ids[:room], t.offsets[:room], t.word_starts[:room]) for t in found]
        each = self.loaded.tokenizer.encode_ids(texts)
        self.cut += sum(len(ids) > room for ids in each)
        return [Tokens(ids[:room], [], []) for ids in each]

    @torch.inference_mode()
    def _batch(self, tokens: Sequence[Tokens], words: Sequence[Sequence[str]] | None) -> Iterable[FloatArray]:
        """Vectors of one batch."""
        batch = self.loaded.batch([t.ids for t in tokens], words)
        lengths = [len(t) for t in tokens]
        last = self.layer in (None, -1, self.loaded.encoder.config.num_hidden_layers)
        at = self.pooling.positions(lengths, self._edges, batch.ids.size(1)) if last else None
        encoding = self._encoder.encode(batch, keep="last" if last else "all", at=at)
        if at is not None:
            return self.pooling.join(encoding.at(at), lengths, self._edges)
        hidden = _layer(encoding.layers, None if last else self.layer)
        if self.pooling.pool == "words":
            before = self._edges[0]
            return [
                self.pooling.join_words(row, t.word_starts, before)
                for row, t in zip(hidden, tokens, strict=True)
            ]
        return self.pooling.join(hidden, lengths, self._edges)


def windows(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Stretches of texts that are in memory as tokens together."""
    start = 0
    while start < len(texts):
        end, characters = start, 0
        while end < len(texts) and end - start < TEXTS_AT_ONCE:
            characters += len(texts[end])
            if characters > CHARACTERS_AT_ONCE and end > start:
                break
            end += 1
        yield texts[start:end]
        start = end


def check_layer(loaded: Loaded, layer: Any) -> None:
    """Refuse a layer that the encoder does not have.

    Raises:  ConfigError: it does not have it.
    """
    n = loaded.encoder.config.num_hidden_layers + 1
    if layer is None or (isinstance(layer, str) and layer == "mix"):
        return
    if isinstance(layer, bool) or not isinstance(layer, int | np.integer) or not -n <= layer < n:
        raise ConfigError(
            "no such layer", got=layer, expected=f"0 … {n - 1}, or -{n} … -1 from the end, or mix"
        )


def _layer(layers: tuple[Tensor, ...], layer: Layer) -> Tensor:
    if layer == "mix":
        return torch.stack(layers).mean(0)
    return layers[-1 if layer is None else layer]
