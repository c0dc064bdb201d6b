"""What an adapted run says of a file, as JSON lines; memory does not grow with the file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from polyseme.core.config import escaped
from polyseme.core.files import make_folder, new_file
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.errors import ConfigError
from polyseme.infer.predict import Predictor
from polyseme.text.labelled.opening import ReadOptions
from polyseme.text.labelled.records import Problems
from polyseme.text.sources import STDIN

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
        return _write(said, output.write)
    if output.exists() and Path(path) != STDIN and Path(path).exists() and output.samefile(path):
        raise ConfigError("the predictions would replace the texts", where=output, fix="another -o")
    make_folder(output.parent)
    with new_file(output) as file:
        return _write(said, lambda line: file.write(line.encode()))


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


def _write(said: Iterable[dict[str, Any]], write: Callable[[str], object]) -> int:
    n = 0
    for one in said:
        write(escaped(json.dumps(one, ensure_ascii=False, allow_nan=False)) + "\n")
        n += 1
    return n
