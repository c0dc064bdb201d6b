"""Every line of a file to a vector, a window of lines at a time: memory does not grow with the file."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from polyseme.core.files import make_folder, new_file
from polyseme.core.paths import PathLike, path_of
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.errors import ConfigError, CorpusError, Interrupted, RunError
from polyseme.infer import embed as embedding
from polyseme.infer.embed import Embedder, Layer, Pool, Pooling, sparse_rows
from polyseme.infer.loaded import Loaded
from polyseme.infer.pooling import FloatArray
from polyseme.infer.vector_file import NUMBERS_AT_ONCE, VectorFile, check_parquet
from polyseme.kernels.packed import Precision
from polyseme.text.clean import CleaningReport
from polyseme.text.config import TextConfig
from polyseme.text.sources import SourceFile, estimated_bytes, read_lines

__all__ = ["embed_file"]

COMMIT_EVERY_S = 2.0
"""What was made in so many seconds may be lost to a kill, but at least a window of lines."""


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
        reporter: told how far it is.
        reading: its `encoding`, and the `field` of records; None = found out, and "text".
    Returns {"lines", "vectors", "hidden_size", "cut": lines whose ends were not read, "room": tokens of a line that
    are read, "dirt": counts by kind}.
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
        lines, vectors = _write_sparse(embedder, _windows(file, reading, report), output)
        return _summary(lines, vectors, embedder, report)
    target = VectorFile(
        output,
        embedder.hidden_size,
        _made_from(embedder),
        embedder.pooling.pool == "words",
        resume,
    )
    try:
        _fill(target, embedder, file, _windows(file, reading, report), reporter or NullReporter())
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
    embedder.cut = cut = int(target.remembered.get("cut", 0))  # of the lines whose vectors are there
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
            made, cut = digest.hexdigest(), embedder.cut
            pace = (target.lines - done) / (time.monotonic() - begun)
            reporter.stage("embedding", read, total, f"{target.lines:,} lines, {pace:,.0f} a second")
            if time.monotonic() - committed > COMMIT_EVERY_S:
                target.commit({"text": made, "cut": cut})
                committed = time.monotonic()
        if passed < done:
            raise _changed(file)
        target.commit({"text": made, "cut": cut})
    except KeyboardInterrupt:
        target.commit({"text": made, "cut": cut})
        raise Interrupted(
            "interrupted",
            got=f"{target.lines:,} lines are kept",
            where=target.partial,
            fix="the same with --resume",
        ) from None


def _changed(file: Path) -> CorpusError:
    return CorpusError(
        "the file is not the one that the unfinished vectors were made from",
        where=file,
        fix="name that file, or delete the .partial files and begin again",
    )


def _windows(file: Path, reading: TextConfig, report: CleaningReport) -> Iterator[list[str]]:
    """Lines, as many at once as are embedded together; the same for the same file."""
    window: list[str] = []
    characters = 0
    for line in read_lines(file, reading, report):
        if window and characters + len(line) > embedding.CHARACTERS_AT_ONCE:
            yield window
            window, characters = [], 0
        window.append(line)
        characters += len(line)
        if len(window) == embedding.TEXTS_AT_ONCE:
            yield window
            window, characters = [], 0
    if window:
        yield window


def _rows(embedder: Embedder, lines: list[str]) -> tuple[Iterable[FloatArray], list[int]]:
    """Vectors of lines, one below the other in blocks, and how many each has."""
    if embedder.sparse:
        whole, counts, cut = sparse_rows(embedder.loaded, lines, embedder.pooling)
        embedder.cut += cut
        step = max(1, NUMBERS_AT_ONCE // embedder.hidden_size)
        return (whole[i : i + step].toarray() for i in range(0, whole.shape[0], step)), counts
    vectors = embedder.read(lines)
    if embedder.pooling.pool == "words":
        return vectors, [len(v) for v in vectors]
    return [np.stack(vectors)], [1] * len(lines)


def _made_from(embedder: Embedder) -> dict[str, Any]:
    """What vectors depend on, beside the text."""
    loaded = embedder.loaded
    return {
        "weights": loaded.run.meta.get("files"),
        "tokenizer": loaded.tokenizer.fingerprint,
        "pooling": embedder.pooling.as_dict(),
        "layer": embedder.layer,
        "precision": embedder.precision,
    }


def _check_output(output: Path, sparse: bool, resume: bool) -> None:
    """Refuse what cannot be written before anything is computed; make the folder that it goes into."""
    if output.suffix not in (".npy", ".parquet", ".npz"):
        raise ConfigError(
            "unknown kind of output", got=output, expected=".npy, .parquet, or .npz for sparse vectors"
        )
    if output.suffix == ".npz" and not sparse:
        raise ConfigError(
            "only sparse vectors are written as .npz", got=output, fix=f"-o {output.with_suffix('.npy')}"
        )
    if output.suffix == ".npz" and resume:
        raise ConfigError("a sparse matrix is written at once", fix="leave --resume out")
    if output.suffix == ".parquet":
        check_parquet()
    if output.is_dir():
        raise RunError("the output is a folder", where=output, expected="the name of a file")
    make_folder(output.parent)


def _summary(lines: int, vectors: int, embedder: Embedder, report: CleaningReport) -> dict[str, Any]:
    return {
        "lines": lines,
        "vectors": vectors,
        "hidden_size": embedder.hidden_size,
        "cut": embedder.cut,
        "room": embedder.room,
        "dirt": report.as_dict(),
    }


def _write_sparse(embedder: Embedder, windows: Iterator[list[str]], output: Path) -> tuple[int, int]:
    """Write a whole sparse matrix beside its place, then rename it; returns its lines and rows."""
    from scipy.sparse import csr_matrix, save_npz, vstack

    parts: list[Any] = []
    lines = 0
    for window in windows:
        part, counts, cut = sparse_rows(embedder.loaded, window, embedder.pooling)
        embedder.cut += cut
        parts.append((part, counts))
        lines += len(window)
    matrices = [part for part, _ in parts]
    whole = vstack(matrices, "csr") if matrices else csr_matrix((0, embedder.hidden_size), dtype=np.float32)
    if embedder.pooling.pool == "words":
        counts = [n for _, some in parts for n in some]
        with new_file(output.with_suffix(".offsets.npy")) as target:
            np.save(target, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
    with new_file(output) as target:
        save_npz(target, whole)
    return lines, int(whole.shape[0])
