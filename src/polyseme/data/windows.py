"""The order of rows of a store in shards: memory and the time to resume do not grow with the text.

    shards ──permutation of the epoch──► windows of K shards ──permutation within──► rows

Row `counter` is a pure function of (store, seed, counter), as of a store in one piece. How many rows a shard has is
known without it (store.json says so for usual lengths), so a sum over the shards tells in which window a row lies, and
only the shards of that window are opened and packed. In its second half those of the next one are, in the background.

Every row of an epoch comes once. Rows that are near each other come from K shards, not from all: K is such that a
window has some sixty million tokens.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from functools import lru_cache
from threading import Lock, Thread
from typing import NamedTuple

import numpy as np

from polyseme.core.arrays import IntArray
from polyseme.core.rng import Random
from polyseme.data.examples import Example, ExampleSource
from polyseme.data.packing import pack, packed_rows
from polyseme.data.store import ShardedStore, TokenStore
from polyseme.errors import CorpusError, PolysemeError

WINDOW = 1 << 26
"""Tokens of a window, about."""
_MOST_SHARDS = 256  # of a window
_SHARD = 40  # bits of an example's number that say which one of its shard it is


class _Packed(NamedTuple):
    """A shard's examples and rows; row r holds examples members[offsets[r] : offsets[r + 1]]."""

    source: ExampleSource
    offsets: IntArray
    members: IntArray


class _Window(NamedTuple):
    """Shapes:  shards: (K,), begins: (K + 1,) of their rows in the window, order: (rows of the window,)"""

    shards: IntArray
    begins: IntArray
    order: IntArray


class ShardedRows:
    """Examples and rows of a store in shards: a `Plan` and what it numbers in one.

    Args:
        store: the text.
        make: the examples of one shard; CorpusError where it has none.
        length, row_length: tokens of the longest example and of a row.
        random: the stream that orders shards and rows.
        window: tokens of a window.
    Raises:  CorpusError: no shard has an example.
             CheckpointError: a shard is damaged; also later, where it is first read.
    """

    def __init__(
        self,
        store: ShardedStore,
        make: Callable[[TokenStore], ExampleSource],
        length: int,
        row_length: int,
        random: Random,
        window: int = WINDOW,
    ) -> None:
        self._store, self._make, self._row_length, self._random = store, make, row_length, random
        self._rows, tokens = self._sizes(length)
        self.n_rows = int(self._rows.sum())
        self.tokens_per_row = tokens / max(1, self.n_rows)
        shards = len(self._rows)
        each = max(1, store.n_tokens // max(1, shards))
        self._k = min(max(1, window // each), _MOST_SHARDS, max(1, shards))
        self._begins = lru_cache(maxsize=3)(self._window_begins)
        self._windows: OrderedDict[tuple[int, int], _Window] = OrderedDict()
        self._packs: OrderedDict[int, Future[_Packed]] = OrderedDict()
        self._lock = Lock()
        self._ahead: tuple[int, int] | None = None  # the window that was last begun in the background

    def row(self, counter: int) -> IntArray:
        """Numbers of the examples in this row."""
        epoch, place = divmod(counter, self.n_rows)
        begins = self._begins(epoch)
        number = int(np.searchsorted(begins, place, side="right")) - 1
        window = self._window(epoch, number)
        row = int(window.order[place - begins[number]])
        slot = int(np.searchsorted(window.begins, row, side="right")) - 1
        shard = int(window.shards[slot])
        _, offsets, members = self._pack(shard)
        row -= int(window.begins[slot])
        if 2 * (place - begins[number]) >= len(window.order):
            self._begin_next(epoch, number, len(begins) - 1)
        return members[offsets[row] : offsets[row + 1]] + (shard << _SHARD)

    def draw(self, index: int, counter: int) -> Example:
        """The example with this number, as it is at this point of the run."""
        return self._pack(index >> _SHARD).source.draw(index & ((1 << _SHARD) - 1), counter)

    def _sizes(self, length: int) -> tuple[IntArray, int]:
        """Rows of every shard, and tokens of all examples; as store.json has them, or counted."""
        known = None
        rows, tokens = np.zeros(len(self._store.shards), np.int64), 0
        error: CorpusError | None = None
        for number, entry in enumerate(self._store.shards):
            if known is not None and known in entry["rows"]:
                rows[number], more = entry["rows"][known][self._store.split]
                tokens += more
                continue
            try:
                source = self._make(self._store.shard(number))
            except CorpusError as nothing:
                error = nothing
                continue
            known = rows_key(source, length, self._row_length)
            rows[number] = packed_rows(source.lengths, self._row_length)
            tokens += int(source.lengths.sum())
        if not rows.any():
            raise error or CorpusError(
                "the corpus holds no text to learn from", fix="more text, or --valid FILE"
            )
        return rows, tokens

    def _shards_of(self, epoch: int, number: int) -> IntArray:
        order = self._random.permutation(len(self._rows), epoch)
        return order[number * self._k : (number + 1) * self._k]

    def _window_begins(self, epoch: int) -> IntArray:
        """The first row of every window of an epoch, and their number.  Shapes: -> (windows + 1,)"""
        rows = self._rows[self._random.permutation(len(self._rows), epoch)]
        ends = np.cumsum(rows)
        whole: IntArray = np.append(ends[self._k - 1 :: self._k], ends[-1:] if len(ends) % self._k else [])
        return np.append(0, whole).astype(np.int64)

    def _window(self, epoch: int, number: int) -> _Window:
        with self._lock:
            window = self._windows.get((epoch, number))
        if window is not None:
            return window
        shards = self._shards_of(epoch, number)
        begins = np.append(0, np.cumsum(self._rows[shards]))
        window = _Window(shards, begins, self._random.permutation(int(begins[-1]), epoch, number))
        for shard in shards[self._rows[shards] > 0].tolist():
            self._pack(shard)
        with self._lock:
            self._windows[epoch, number] = window
            while len(self._windows) > 2:
                self._windows.popitem(last=False)
        return window

    def _pack(self, shard: int) -> _Packed:
        with self._lock:
            future = self._packs.get(shard)
            mine = future is None
            if future is None:
                future = self._packs[shard] = Future()
                while len(self._packs) > 2 * self._k:  # this window's and the next one's
                    self._packs.popitem(last=False)
            else:
                self._packs.move_to_end(shard)
        if mine:
            try:
                source = self._make(self._store.shard(shard))
                future.set_result(_Packed(source, *pack(source.lengths, self._row_length)))
            except BaseException as error:
                with self._lock:
                    self._packs.pop(shard, None)
                future.set_exception(error)
        return future.result()

    def _begin_next(self, epoch: int, number: int, windows: int) -> None:
        """Open and pack the next window in the background, once."""
        following = (epoch, number + 1) if number + 1 < windows else (epoch + 1, 0)
        if self._ahead == following:
            return
        self._ahead = following
        Thread(target=self._try_window, args=following, name="window", daemon=True).start()

    def _try_window(self, epoch: int, number: int) -> None:
        try:
            self._window(epoch, number)
        except (PolysemeError, OSError, MemoryError):
            return  # it is met again, and raised, where the window is needed


def rows_key(source: ExampleSource, length: int, row_length: int) -> str:
    """The name under which store.json has the rows of examples of a kind."""
    return f"{type(source).__name__} {length} {row_length}"
