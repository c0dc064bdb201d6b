"""Every line of a file to a vector, a window of lines at a time: memory does not grow with the file.

The file of vectors grows as they come, survives a kill at any moment, and is complete or absent:

    OUT.npy.partial        the array so far: a whole .npy file but for the number of rows in its head
    OUT.npy.partial.json   how many lines and bytes of it count, and what they were made from; written after them
    OUT.offsets.npy        for a vector a word: the first row of each line; OUT.offsets.npy.partial while it grows
    OUT.npy, OUT.parquet   appears by a rename when everything is in it

When the work goes on, bytes of a partial file behind those that count are cut off.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from polyseme.core.arrays import Float32Array, IntArray
from polyseme.core.config import to_json
from polyseme.core.files import make_folder, new_file, saving, sync, sync_folder, write_atomic
from polyseme.core.paths import PathLike, path_of
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.core.shell import typed
from polyseme.errors import CheckpointError, ConfigError, CorpusError, Interrupted, RunError
from polyseme.infer.embed import Embedder, Layer, sparse_rows, windows
from polyseme.infer.inputs import Truncated
from polyseme.infer.loaded import Loaded
from polyseme.infer.pooling import Pool, Pooling
from polyseme.kernels.packed import Precision
from polyseme.text.clean import CleaningReport
from polyseme.text.config import TextConfig
from polyseme.text.sources import SourceFile, estimated_bytes, read_lines

__all__ = ["VectorFile", "embed_file"]

COMMIT_EVERY_S = 2.0
"""Seconds between commits: this much work, or one window of lines, may be lost to a kill."""

NUMBERS_AT_ONCE = 1 << 24
"""Of an array that is read back or made dense."""


def embed_file(
    loaded: Loaded,
    file: PathLike,
    output: PathLike,
    pool: Pool | Pooling | None = None,
    layer: Layer = None,
    precision: Precision = "float32",
    resume: bool = False,
    reporter: Reporter | None = None,
    reading: TextConfig | None = None,
) -> dict[str, Any]:
    """Vectors of every line of a file, written as one array (.npy), a table (.parquet) or a sparse matrix (.npz).

    The output is there when it is complete; until then OUTPUT.partial grows, from which `resume` goes on. With
    pool="words" the array holds the vectors of all words, and OUTPUT.offsets.npy the first row of each line.

    Args:
        loaded, pool, layer, precision: as for `embed`.
        file: one text per line, or per record of a .jsonl file (.gz and .zst too). Lines end at LF or CRLF and are
            taken as they stand, like texts in a list: nothing is cleaned.
        output: the .npy file to write; .parquet for a table with the columns line (from 0) and vector, and word where
            there is a vector a word; .npz for a sparse matrix (scipy's CSR), where the encoder's vectors are sparse.
        resume: go on with what was interrupted; the file then ends equal to one that was not.
        reporter: receives the progress.
        reading: its `encoding`, and the `field` of records; None = found out, and "text".
    Returns {"lines", "vectors", "hidden_size", "cut": lines whose ends were not read, "truncated": the numbers of the
    first thousand of them, from 0, "tokens_lost": of all of them, "room": tokens of a line that are read, "dirt":
    counts by kind}.
    Shapes:  -> (lines, hidden_size), or (words, hidden_size) and offsets (lines + 1,)
    Raises:  CorpusError: the file is missing or binary, or not the one that was begun with.
             RunError: an unfinished file is there, or a folder has the output's name.  StorageError: the disk refuses.
             ConfigError: the output's suffix, or as for `embed`.
             Interrupted: by Ctrl-C; what was made is kept.
    """
    embedder = Embedder(loaded, pool, layer, precision)
    output, file, reading = path_of(output), path_of(file), reading or TextConfig()
    _check_output(output, embedder.sparse, resume)
    report = CleaningReport()
    if output.suffix == ".npz":
        lines, vectors = _write_sparse(embedder, windows(read_lines(file, reading, report)), output)
        return _summary(lines, vectors, embedder, report)
    target = VectorFile(
        output,
        embedder.hidden_size,
        _made_from(embedder),
        embedder.pooling.pool == "words",
        resume,
    )
    try:
        _fill(target, embedder, file, windows(read_lines(file, reading, report)), reporter or NullReporter())
        target.finish()
    finally:
        target.close()
    return _summary(target.lines, target.vectors, embedder, report)


def _fill(
    target: VectorFile, embedder: Embedder, file: Path, windows: Iterator[list[str]], reporter: Reporter
) -> None:
    """Add the vectors of every line that is not in the file yet."""
    digest = hashlib.blake2b(digest_size=16)
    made = str(target.remembered.get("text"))  # digest of the lines whose vectors are there
    # of the lines whose vectors are there
    embedder.begin(_cut_before(target.remembered), target.lines)
    embedder.cut = embedder.truncated.texts
    cut = _cut_so_far(embedder)
    done, passed, read, total = target.lines, 0, 0, None  # passed: lines that were read again
    begun = committed = time.monotonic()
    try:
        for window in windows:
            total = total or estimated_bytes(SourceFile(file, file.stat().st_size, 0, named=True))
            for line in window:
                data = line.encode("utf-8", "surrogatepass")
                digest.update(len(data).to_bytes(8, "little") + data)
                read += len(data) + 1
            if passed < done:
                passed += len(window)
                if passed == done and digest.hexdigest() != made:
                    raise _changed(file)
                continue
            target.append(*_rows(embedder, window))
            made, cut = digest.hexdigest(), _cut_so_far(embedder)
            pace = (target.lines - done) / (time.monotonic() - begun)
            reporter.stage("embedding", read, total, f"{target.lines:,} lines, {pace:,.0f} a second")
            if time.monotonic() - committed > COMMIT_EVERY_S:
                target.commit({"text": made, **cut})
                committed = time.monotonic()
        if passed < done:
            raise _changed(file)
        target.commit({"text": made, **cut})
    except KeyboardInterrupt:
        target.commit({"text": made, **cut})
        raise Interrupted(
            "interrupted",
            got=f"{target.lines:,} lines are kept",
            where=target.partial,
            fix="the same with --resume",
        ) from None


def _cut_so_far(embedder: Embedder) -> dict[str, Any]:
    """What is remembered of the lines whose ends were not read."""
    truncated = embedder.truncated
    return {"cut": truncated.texts, "lost": [*truncated.lost.items()], "tokens_lost": truncated.tokens}


def _cut_before(remembered: Mapping[str, Any]) -> Truncated:
    """What `_cut_so_far` gave when the work was left."""
    lost = {int(number): int(tokens) for number, tokens in remembered.get("lost", ())}
    return Truncated(lost, int(remembered.get("cut", 0)), int(remembered.get("tokens_lost", 0)))


def _changed(file: Path) -> CorpusError:
    return CorpusError(
        "the file is not the one that the unfinished vectors were made from",
        where=file,
        fix="name that file, or delete the .partial files and begin again",
    )


def _rows(embedder: Embedder, lines: list[str]) -> tuple[Iterable[Float32Array], list[int]]:
    """The vectors of lines in blocks of rows, and the number of rows of each line."""
    if embedder.sparse:
        whole, counts, lengths = sparse_rows(embedder.loaded, lines, embedder.pooling)
        embedder.count(lengths)
        step = max(1, NUMBERS_AT_ONCE // embedder.hidden_size)
        return (whole[i : i + step].toarray() for i in range(0, whole.shape[0], step)), counts
    vectors = embedder.read(lines)
    if embedder.pooling.pool == "words":
        return vectors, [len(v) for v in vectors]
    return [np.stack(vectors)], [1] * len(lines)


def _made_from(embedder: Embedder) -> dict[str, Any]:
    """Everything that vectors depend on, besides the text."""
    loaded = embedder.loaded
    return {
        "weights": loaded.run.meta.get("files"),
        "tokenizer": loaded.tokenizer.fingerprint,
        "pooling": embedder.pooling.as_dict(),
        "layer": embedder.layer,
        "precision": embedder.precision,
    }


def _check_output(output: Path, sparse: bool, resume: bool) -> None:
    """Refuse an output that cannot be written, before anything is computed; make its folder."""
    if output.suffix not in (".npy", ".parquet", ".npz"):
        raise ConfigError(
            "unknown kind of output", got=output, expected=".npy, .parquet, or .npz for sparse vectors"
        )
    if output.suffix == ".npz" and not sparse:
        raise ConfigError(
            "only sparse vectors are written as .npz",
            got=output,
            fix=f"-o {typed(output.with_suffix('.npy'))}",
        )
    if output.suffix == ".npz" and resume:
        raise ConfigError("a sparse matrix is written at once", fix="leave --resume out")
    if output.suffix == ".parquet":
        _check_parquet()
    if output.is_dir():
        raise RunError("the output is a folder", where=output, expected="the name of a file")
    make_folder(output.parent)


def _summary(lines: int, vectors: int, embedder: Embedder, report: CleaningReport) -> dict[str, Any]:
    return {
        "lines": lines,
        "vectors": vectors,
        "hidden_size": embedder.hidden_size,
        "cut": embedder.truncated.texts,
        **embedder.truncated.as_dict(),
        "room": embedder.max_content,
        "dirt": report.as_dict(),
    }


def _write_sparse(embedder: Embedder, windows: Iterator[list[str]], output: Path) -> tuple[int, int]:
    """Write a whole sparse matrix beside its place, then rename it; returns its lines and rows."""
    from scipy.sparse import csr_matrix, save_npz, vstack

    parts: list[Any] = []
    lines = 0
    for window in windows:
        part, counts, n_tokens = sparse_rows(embedder.loaded, window, embedder.pooling)
        embedder.count(n_tokens)
        parts.append((part, counts))
        lines += len(window)
    matrices = [part for part, _ in parts]
    whole = vstack(matrices, "csr") if matrices else csr_matrix((0, embedder.hidden_size), dtype=np.float32)
    if embedder.pooling.pool == "words":
        counts = [n for _, line_counts in parts for n in line_counts]
        with new_file(output.with_suffix(".offsets.npy")) as target:
            np.save(target, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
    with new_file(output) as target:
        save_npz(target, whole)
    return lines, int(whole.shape[0])


class VectorFile:
    """A file of vectors in the making.

    Args:
        output: the .npy or .parquet file.
        width: dimensions of a vector.
        made_from: JSON-able; a file goes on only if it is equal to what it was begun with.
        words: whether a line has as many vectors as words.
        resume: go on where a file of the same making was left; begin one where there is none.
    Attributes:
        lines: lines whose vectors are in it.
        vectors: rows.
        remembered: the argument of the last `commit`.
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
        begun = self.partial.exists() and self.state.exists()
        if begun and not resume:
            raise RunError(
                "an unfinished file of vectors is there",
                where=self.partial,
                fix=f"--resume to go on with it, or delete {self.partial.name} and {self.state.name}",
            )
        with saving(output):
            if begun:
                self._read_state()
            else:
                self.state.unlink(missing_ok=True)
            self._file = self._open(self.partial, self._head, 4 * width * self.vectors, begun)
            self._index: BinaryIO | None = None
            if words:
                n = 8 * (self.lines + 1)
                self._index = self._open(_beside(self.offsets), self._offsets_head, n, begun)
                if not begun:
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
            changed = [k for k in {**begun, **self._made_from} if begun.get(k) != self._made_from.get(k)]
            raise RunError(
                "the unfinished file was begun in another way",
                got=", ".join(f"{k} {self._made_from.get(k)}" for k in changed),
                expected=", ".join(f"{k} {begun.get(k)}" for k in changed),
                where=self.partial,
                fix="the options of before, another -o, or delete it",
            )

    def _open(self, path: Path, head: bytes, size: int, begun: bool) -> BinaryIO:
        """Open a partial file behind the bytes that count; a new one gets its head."""
        if not begun:
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

    def append(self, blocks: Iterable[Float32Array], counts: list[int]) -> None:
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
        """Write everything added so far to the disk, then the state that makes it count."""
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
            for path in (self.state, self.partial, _beside(self.offsets)):
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the partial files and leave what counts of them; after `finish` nothing is left to do."""
        for file in filter(None, (self._file, self._index)):
            file.close()
        if not self.state.exists():  # nothing was committed
            for path in (self.partial, _beside(self.offsets)):
                path.unlink(missing_ok=True)

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

    def _blocks(self) -> Iterator[tuple[int, Float32Array]]:
        """The rows of the partial file, some at a time."""
        step = max(1, NUMBERS_AT_ONCE // self.width)
        with self.partial.open("rb") as file:
            file.seek(len(self._head))
            for start in range(0, self.vectors, step):
                n = min(step, self.vectors - start)
                yield start, np.fromfile(file, "<f4", n * self.width).reshape(n, self.width)

    def _places(self, start: int, end: int) -> list[IntArray]:
        """Line, and word within it, of rows start … end - 1."""
        rows = np.arange(start, end)
        if not self.words:
            return [rows]
        offsets = np.load(_beside(self.offsets), mmap_mode="r")
        line = np.searchsorted(offsets, rows, side="right") - 1
        return [line, rows - offsets[line]]


def _check_parquet() -> None:
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
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": kind, "fortran_order": False, "shape": shape})
    return buffer.getvalue()
