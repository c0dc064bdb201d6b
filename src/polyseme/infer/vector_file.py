"""A file of vectors that grows as they come, survives a kill at any moment, and is complete or absent.

    OUT.npy.partial        the array so far: a whole .npy file but for the number of rows in its head
    OUT.npy.partial.json   how many lines and bytes of it count, and what they were made from; written after them
    OUT.offsets.npy        for a vector a word: the first row of each line; OUT.offsets.npy.partial while it grows
    OUT.npy, OUT.parquet   appears by a rename when everything is in it

What stands in a partial file behind the bytes that count is cut off when the work goes on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from polyseme.core.config import to_json
from polyseme.core.files import new_file, saving, sync, sync_folder, write_atomic
from polyseme.errors import CheckpointError, ConfigError, RunError
from polyseme.infer.pooling import FloatArray

__all__ = ["VectorFile", "check_parquet"]

NUMBERS_AT_ONCE = 1 << 24
"""Of an array that is read back or made dense."""


class VectorFile:
    """A file of vectors in the making.

    Args:
        output: the .npy or .parquet file.
        width: numbers of a vector.
        made_from: JSON-able; a file goes on only if it is equal to what it was begun with.
        words: whether a line has as many vectors as words.
        resume: go on where a file of the same making was left; begin one where there is none.
    Attributes:
        lines: lines whose vectors are in it.
        vectors: rows.
        remembered: what the last `commit` was told.
    Raises:  RunError: a partial file is there and `resume` was not asked for, or it is of another making.
             CheckpointError: the partial file is shorter than it should be.  StorageError: the disk refuses.
    """

    def __init__(
        self, output: Path, width: int, made_from: Mapping[str, Any], words: bool, resume: bool
    ) -> None:
        self.output, self.width, self.words = output, width, words
        self.partial = _beside(output)
        self.state = output.with_name(f"{output.name}.partial.json")
        self.offsets = output.with_suffix(".offsets.npy")
        self.lines = self.vectors = 0
        self.remembered: dict[str, Any] = {}
        self._made_from = json.loads(to_json(dict(made_from)))
        self._head = _head((0, width), "<f4")
        self._offsets_head = _head((0,), "<i8")
        found = self.partial.exists() and self.state.exists()
        if found and not resume:
            raise RunError(
                "an unfinished file of vectors is there",
                where=self.partial,
                fix=f"--resume to go on with it, or delete {self.partial.name} and {self.state.name}",
            )
        with saving(output):
            if found:
                self._read_state()
            else:
                self.state.unlink(missing_ok=True)
            self._file = self._open(self.partial, self._head, 4 * width * self.vectors, found)
            self._index: BinaryIO | None = None
            if words:
                n = 8 * (self.lines + 1)
                self._index = self._open(_beside(self.offsets), self._offsets_head, n, found)
                if not found:
                    self._index.write(np.zeros(1, "<i8").tobytes())

    def _read_state(self) -> None:
        try:
            state = json.loads(self.state.read_bytes())
            begun = state["made_from"]
            self.lines, self.vectors = int(state["lines"]), int(state["vectors"])
            self.remembered = dict(state["remembered"])
        except (ValueError, KeyError, TypeError):
            raise CheckpointError(
                "what is remembered of an unfinished file is damaged", where=self.state, fix="delete it"
            ) from None
        if begun != self._made_from:
            other = [k for k in {**begun, **self._made_from} if begun.get(k) != self._made_from.get(k)]
            raise RunError(
                "the unfinished file was begun in another way",
                got=", ".join(f"{k} {self._made_from.get(k)}" for k in other),
                expected=", ".join(f"{k} {begun.get(k)}" for k in other),
                where=self.partial,
                fix="the options of before, another -o, or delete it",
            )

    def _open(self, path: Path, head: bytes, size: int, found: bool) -> BinaryIO:
        """Open a partial file behind the bytes that count; a new one gets its head."""
        if not found:
            file = path.open("w+b")
            file.write(head)
            return file
        if not path.exists() or path.stat().st_size < len(head) + size:
            raise CheckpointError(
                "the unfinished file is shorter than what is remembered of it",
                where=path,
                fix=f"delete {self.partial.name} and {self.state.name}, and begin again",
            )
        file = path.open("r+b")
        file.truncate(len(head) + size)
        file.seek(0, os.SEEK_END)
        return file

    def append(self, blocks: Iterable[FloatArray], counts: list[int]) -> None:
        """Add the vectors of some lines.

        Args:
            blocks: the rows of all the lines, in any number of pieces.
            counts: rows of each line.
        Shapes:  blocks: (n, width) each, together sum of counts
        """
        with saving(self.output):
            for rows in blocks:
                self._file.write(np.ascontiguousarray(rows, "<f4").data)
            if self._index is not None:
                self._index.write((self.vectors + np.cumsum(counts)).astype("<i8").tobytes())
        self.vectors += sum(counts)
        self.lines += len(counts)

    def commit(self, remembered: Mapping[str, Any]) -> None:
        """Put on the disk what was added so far, then that it counts."""
        self.remembered = dict(remembered)
        state = {
            "made_from": self._made_from,
            "lines": self.lines,
            "vectors": self.vectors,
            "remembered": self.remembered,
        }
        with saving(self.output):
            for file in filter(None, (self._file, self._index)):
                sync(file)
        write_atomic(self.state, to_json(state).encode())

    def finish(self) -> None:
        """Complete the heads and give the files their names, the vectors last."""
        with saving(self.output):
            self._complete(self._file, _head((self.vectors, self.width), "<f4"))
            if self._index is not None:
                self._complete(self._index, _head((self.lines + 1,), "<i8"))
            if self.output.suffix == ".parquet":
                self._write_parquet()
            else:
                if self._index is not None:
                    _beside(self.offsets).replace(self.offsets)
                self.partial.replace(self.output)
            sync_folder(self.output.absolute().parent)
            for left in (self.state, self.partial, _beside(self.offsets)):
                left.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the partial files and leave what counts of them; after `finish` nothing is left to do."""
        for file in filter(None, (self._file, self._index)):
            file.close()
        if not self.state.exists():  # nothing was committed
            for left in (self.partial, _beside(self.offsets)):
                left.unlink(missing_ok=True)

    def _complete(self, file: BinaryIO, head: bytes) -> None:
        file.seek(0)
        file.write(head)
        sync(file)
        file.close()

    def _write_parquet(self) -> None:
        """Write the rows of the partial file as a table: line, word where there are words, vector."""
        import pyarrow as pa
        from pyarrow import parquet

        vector = pa.list_(pa.float32(), self.width)
        names = ["line", "word", "vector"] if self.words else ["line", "vector"]
        kinds = [pa.int64(), pa.int64(), vector] if self.words else [pa.int64(), vector]
        schema = pa.schema(list(zip(names, kinds, strict=True)))
        with new_file(self.output) as file, parquet.ParquetWriter(file, schema) as writer:
            for start, rows in self._blocks():
                columns = [pa.array(column) for column in self._places(start, start + len(rows))]
                flat = pa.array(np.asarray(rows).ravel(), pa.float32())
                vectors = pa.FixedSizeListArray.from_arrays(flat, self.width)
                writer.write_table(pa.table([*columns, vectors], schema=schema))

    def _blocks(self) -> Iterator[tuple[int, FloatArray]]:
        """The rows of the partial file, some at a time."""
        step = max(1, NUMBERS_AT_ONCE // self.width)
        with self.partial.open("rb") as file:
            file.seek(len(self._head))
            for start in range(0, self.vectors, step):
                n = min(step, self.vectors - start)
                yield start, np.fromfile(file, "<f4", n * self.width).reshape(n, self.width)

    def _places(self, start: int, end: int) -> list[npt.NDArray[np.int64]]:
        """Line, and word within it, of rows start … end - 1."""
        rows = np.arange(start, end)
        if not self.words:
            return [rows]
        offsets = np.load(_beside(self.offsets), mmap_mode="r")
        line = np.searchsorted(offsets, rows, side="right") - 1
        return [line, rows - offsets[line]]


def check_parquet() -> None:
    """Refuse at once where the library for tables is missing.

    Raises:  ConfigError: it is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise ConfigError(
            "pyarrow is not installed, which writes .parquet",
            fix="pip install 'polyseme[parquet]', or -o OUT.npy",
        ) from None


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.partial")


def _head(shape: tuple[int, ...], kind: str) -> bytes:
    """The head of a .npy file; its length does not depend on the number of rows."""
    import io

    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": kind, "fortran_order": False, "shape": shape})
    return buffer.getvalue()
