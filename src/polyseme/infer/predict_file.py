"""What an adapted run says of a file, as JSON lines; memory does not grow with the file."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from polyseme.core.reporter import NullReporter, Reporter
from polyseme.data.store import sync_folder
from polyseme.errors import StorageError
from polyseme.infer.predict import Predictor
from polyseme.text.labelled.records import Problems

__all__ = ["predict_file", "told"]


def predict_file(
    predictor: Predictor,
    path: Path | str,
    output: Path | TextIO,
    columns: Mapping[str, str] | None = None,
    problems: Problems | None = None,
    reporter: Reporter | None = None,
) -> int:
    """Write a JSON object a record, in the file's order.

    Args:
        predictor: of an adapted run.
        path: the file, with or without labels; "-" for the standard input.
        output: a file, which is there when it is complete; or an open stream.
        columns: see `Predictor.read`.
        problems: counts the rows that cannot be used.
        reporter: told how far it is.
    Returns the number of records.
    Raises:  CorpusError, ConfigError: as the file's reader says.  StorageError: the disk refuses.

    Example:
        predict_file(Predictor(load("runs/sentiment")), "reviews.txt", Path("said.jsonl"))
    """
    reporter = reporter or NullReporter()
    records = predictor.read(path, columns, problems, labelled=False)
    said = told(predictor.predict(records), reporter)
    if not isinstance(output, Path):
        return _write(said, output)
    temporary = output.with_name(f".{output.name}.partial")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        file = temporary.open("w", encoding="utf-8", newline="\n")
    except OSError as error:
        raise _refused(error, output) from error
    try:
        with file:
            n = _write(said, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(output)
        sync_folder(output.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _refused(error, output) from error
        raise
    return n


def told(
    said: Iterable[dict[str, Any]], reporter: Reporter, total: int | None = None
) -> Iterator[dict[str, Any]]:
    """Predictions as they come, counted before a reporter.

    Args:
        total: how many there will be, where that is known.
    """
    began, n = time.perf_counter(), 0
    reporter.stage("predicting", 0, total)

    def rate() -> str:
        return f"{n:,} examples, {n / max(1e-9, time.perf_counter() - began):,.0f}/s"

    for n, one in enumerate(said, 1):
        yield one
        if n % 64 == 0:
            reporter.stage("predicting", n, total, rate())
    reporter.stage("predicting", n, n or total, rate())


def _write(said: Iterable[dict[str, Any]], file: TextIO) -> int:
    n = 0
    for one in said:
        file.write(json.dumps(one, ensure_ascii=False, allow_nan=False) + "\n")
        n += 1
    return n


def _refused(error: OSError, output: Path) -> StorageError:
    return StorageError(
        "could not write the predictions",
        got=error.strerror or str(error),
        where=output,
        fix="another place with -o",
    )
