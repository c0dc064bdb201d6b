"""What an adapted run says of a file, as JSON lines; memory does not grow with the file."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from polyseme.core.config import escaped
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.data.store import sync_folder
from polyseme.errors import ConfigError
from polyseme.infer.predict import Predictor
from polyseme.text.labelled.opening import ReadOptions
from polyseme.text.labelled.records import Problems
from polyseme.text.sources import STDIN
from polyseme.train.run import saving

__all__ = ["predict_file", "told"]


def predict_file(
    predictor: Predictor,
    path: Path | str,
    output: Path | TextIO,
    columns: Mapping[str, str] | None = None,
    problems: Problems | None = None,
    reporter: Reporter | None = None,
    *,
    encoding: str = "auto",
    separator: str = "auto",
) -> int:
    """Write a JSON object a record, in the file's order.

    Args:
        predictor: of an adapted run.
        path: the file, with or without labels; "-" for the standard input.
        output: a file, which is there when it is complete; or an open stream.
        columns: see `Predictor.read`.
        problems: counts the rows that cannot be used.
        reporter: told how far it is.
        encoding, separator: see `Predictor.read`.
    Returns the number of records.
    Raises:  CorpusError, ConfigError: as the file's reader says, or the output is the file itself.
             StorageError: the disk refuses.

    Example:
        predict_file(Predictor(load("runs/sentiment")), "reviews.txt", Path("said.jsonl"))
    """
    reporter = reporter or NullReporter()
    reading = ReadOptions(encoding=encoding, separator=separator).said
    records = predictor.read(path, columns, problems, labelled=False, **reading)
    said = told(predictor.predict(records), reporter)
    if not isinstance(output, Path):
        return _write(said, output)
    if output.exists() and Path(path) != STDIN and Path(path).exists() and output.samefile(path):
        raise ConfigError("the predictions would replace the texts", where=output, fix="another -o")
    temporary = output.with_name(f".{output.name}.partial")
    with saving(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("w", encoding="utf-8", newline="\n") as file:
                n = _write(said, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(output)
            sync_folder(output.parent)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
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
        file.write(escaped(json.dumps(one, ensure_ascii=False, allow_nan=False)) + "\n")
        n += 1
    return n
