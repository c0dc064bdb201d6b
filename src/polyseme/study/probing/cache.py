"""Hidden states of all layers for the tokens that are probed, made by one pass of the encoder, within bounds.

They are kept token by token, (rows, layers, width), so that the layers 0 … l of a token lie side by side:

    memory   float32, up to a budget
    file     beyond it: a temporary file without a name, mapped to be read; it is gone when it is closed, whatever
             happens. What a process holds of it at once is bounded, too: pages are let go while it reads.

Every vector is brought to mean 0 and variance 1 once, here: the norm that the probes' scalar mix wants
(layer_norm="token"). Encoders whose vectors are sparse keep the columns of their ones instead.
"""

from __future__ import annotations

import contextlib
import mmap
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from polyseme.core.arrays import IntArray
from polyseme.core.files import saving
from polyseme.core.protocols import SparseEncoder
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.infer.hidden import hidden_states
from polyseme.infer.loaded import Loaded
from polyseme.layers.mix import EPSILON
from polyseme.study.probing.targets import Stored, TokenizedText
from polyseme.train.machine import peak_memory_bytes

__all__ = ["Active", "ActiveColumns", "LayerCache", "States", "cached"]

HELD = 16 << 20
"""Bytes of a mapped file that are read before its pages are let go; the system maps up to ten times as many."""


class Active(NamedTuple):
    """Vectors of zeros and ones: the columns of all ones, one after another, and where each vector's columns begin.

    Shapes:  columns: (K,).  starts: (N,)
    """

    columns: Tensor
    starts: Tensor


class States(Protocol):
    """What probes read.

    Args:
        layers: how many there are.
        width: dimensions of a vector.
        facts: how the states are kept and what that cost, JSON-able.
    """

    layers: int
    width: int
    facts: dict[str, Any]

    def read(self, rows: IntArray, layers: int) -> Tensor | Active:
        """The first `layers` layers of some tokens.  Shapes:  rows: (N,) -> (N, layers, width)"""
        ...


class LayerCache:
    """Rows of hidden states; see the head of this file.

    Args:
        rows, layers, width: how many.
        budget: bytes that may be in memory as float32; 0: always in a file.
        stored: the number type of the file.
        folder: where the file lies; None = the system's place for temporary files.
    Raises:  StorageError: there is no room for the file.
    """

    def __init__(
        self,
        rows: int,
        layers: int,
        width: int,
        budget: int,
        stored: Stored = "float16",
        folder: Path | None = None,
    ) -> None:
        self.layers, self.width = layers, width
        in_memory = rows * layers * width * 4 <= budget
        self._type = np.dtype("float32" if in_memory else stored)
        self._line = layers * width * self._type.itemsize
        self.n_bytes = rows * self._line
        self._file: Any = None
        self._map: mmap.mmap | None = None
        self._read = 0
        self._where = Path(folder or tempfile.gettempdir())
        shape = (rows, layers * width)
        self._numbers: npt.NDArray[Any] | None = None
        self._shape = shape
        if in_memory:
            self._numbers = np.empty(shape, np.float32)
        else:
            with saving(self._where):
                self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # closed by close
        self.facts: dict[str, Any] = {
            "tokens": rows,
            "layers": layers,
            "width": width,
            "bytes": self.n_bytes,
            "numbers": str(self._type),
            "place": "memory" if in_memory else "file",
        }

    def write(self, row: int, states: Tensor) -> None:
        """Keep the states of tokens row, row + 1, …  Shapes:  states: (n, layers, width)"""
        flat = states.reshape(len(states), -1).numpy()
        if self._file is None:
            assert self._numbers is not None
            self._numbers[row : row + len(flat)] = flat
            return
        with saving(self._where):
            self._file.seek(row * self._line)
            self._file.write(np.ascontiguousarray(flat, self._type).data)

    def read(self, rows: IntArray, layers: int) -> Tensor:
        """The first `layers` layers of some tokens.  Shapes:  rows: (N,) -> (N, layers, width) float32"""
        if self._numbers is None:
            self._open()
        assert self._numbers is not None
        states = torch.from_numpy(self._numbers[rows, : layers * self.width])
        if self._map is not None:
            self._read += len(rows) * layers * self.width * self._type.itemsize
            if self._read > HELD and hasattr(mmap, "MADV_DONTNEED"):
                self._map.madvise(mmap.MADV_DONTNEED)  # they are still in the file
                self._read = 0
        return states.float().view(len(rows), layers, self.width)

    def _open(self) -> None:
        with saving(self._where):
            self._file.flush()
            self._file.truncate(max(1, self.n_bytes))
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        count = self._shape[0] * self._shape[1]
        self._numbers = np.frombuffer(self._map, self._type, count).reshape(self._shape)

    def close(self) -> None:
        """Let everything go; the file is gone, too. Safe to call twice."""
        self._numbers = None
        if self._map is not None:
            with contextlib.suppress(BufferError):  # a caller holds a view of it
                self._map.close()
            self._map = None
        if self._file is not None:
            self._file.close()
            self._file = None


class ActiveColumns:
    """Tokens of an encoder with sparse vectors: which columns are one.

    Args:
        encoder: an encoder with `active`.
        ids: of the tokens.
    Shapes:  ids: (N,)
    """

    layers = 1

    def __init__(self, encoder: SparseEncoder, ids: IntArray) -> None:
        self.width = int(encoder.config.hidden_size)
        owner, columns = encoder.active(torch.from_numpy(ids))
        self._columns = columns.numpy()
        self._length = np.bincount(owner.numpy(), minlength=len(ids))
        self._start = np.cumsum(self._length) - self._length
        self.facts: dict[str, Any] = {
            "tokens": len(ids),
            "layers": 1,
            "width": self.width,
            "bytes": int(self._columns.nbytes),
            "numbers": "columns of ones",
            "place": "memory",
        }

    def read(self, rows: IntArray, layers: int) -> Active:
        """The columns of some tokens.  Shapes:  rows: (N,)"""
        length = self._length[rows]
        starts = np.cumsum(length) - length
        within = np.arange(int(length.sum())) - np.repeat(starts, length)
        columns = self._columns[np.repeat(self._start[rows], length) + within]
        return Active(torch.from_numpy(columns), torch.from_numpy(starts))


@contextmanager
def cached(
    loaded: Loaded,
    texts: Sequence[TokenizedText],
    rows: int,
    budget: int,
    stored: Stored = "float16",
    normed: bool = True,
    folder: Path | None = None,
    reporter: Reporter | None = None,
) -> Iterator[States]:
    """Hidden states of the kept tokens of texts, by one pass of the encoder; gone when the block ends.

    Args:
        loaded: the encoder and how its texts are put into batches.
        texts: what is read; their rows are 0 … rows - 1.
        budget, stored, folder: see `LayerCache`.
        normed: bring every vector to mean 0 and variance 1.
        reporter: receives the progress.
    """
    began = time.perf_counter()
    if hasattr(loaded.encoder, "active"):
        ids = [text.ids[i] for text in texts for i in text.kept]
        sparse = ActiveColumns(cast(SparseEncoder, loaded.encoder), np.asarray(ids, np.int64))
        sparse.facts |= {"texts": len(texts), "passes": 1, "seconds": time.perf_counter() - began}
        sparse.facts["peak_memory_bytes"] = peak_memory_bytes()
        yield sparse
        return
    config = loaded.encoder.config
    layers = int(config.num_hidden_layers) + 1
    cache = LayerCache(rows, layers, int(config.hidden_size), budget, stored, folder)
    try:
        read = _fill(cache, loaded, texts, normed, reporter or NullReporter())
        cache.facts |= {"texts": len(texts), "tokens_read": read, "passes": 1}
        cache.facts |= {"seconds": time.perf_counter() - began, "peak_memory_bytes": peak_memory_bytes()}
        yield cache
    finally:
        cache.close()


@torch.inference_mode()
def _fill(
    cache: LayerCache, loaded: Loaded, texts: Sequence[TokenizedText], normed: bool, reporter: Reporter
) -> int:
    """Read every text once; returns how many tokens the encoder read, separators among them."""
    texts = [text for text in texts if len(text.kept)]
    lengths = [len(text.ids) + sum(loaded.separator_counts) for text in texts]
    done, total = 0, sum(lengths)
    reporter.stage("encoding", 0, total)
    ids, pieces = [text.ids for text in texts], [text.pieces for text in texts]
    for batch, layers in hidden_states(loaded, ids, pieces, tuple(range(cache.layers))):
        chosen, width = [texts[i] for i in batch], layers[0].size(1)
        places = [row * width + loaded.prefix_length + text.kept for row, text in enumerate(chosen)]
        index = torch.from_numpy(np.concatenate(places))
        states = torch.stack([h.reshape(-1, h.size(-1)).index_select(0, index) for h in layers], 1).float()
        if normed:
            states = torch.nn.functional.layer_norm(states, states.shape[-1:], eps=EPSILON)
        at = 0
        for text in chosen:
            cache.write(text.row, states[at : at + len(text.kept)])
            at += len(text.kept)
        done += sum(lengths[i] for i in batch)
        reporter.stage("encoding", done, total)
    return done
