"""Data sets of Hugging Face: .parquet, .arrow, and the folder that `save_to_disk` writes, read through pyarrow.

Class numbers are replaced by the names that the data set gives.

Hugging Face data sets keep the names of numbered classes in dataset_info.json beside the file.

{"features": {"ner_tags": {"feature": {"names": ["O", "B-PER"], "_type": "ClassLabel"}, "_type": "Sequence"}}}
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from polyseme.core.remote import RemotePath
from polyseme.errors import ConfigError, CorpusError
from polyseme.text.sources import ARROW, STDIN

__all__ = ["arrow_files", "arrow_lines", "arrow_rows", "class_names", "is_arrow_folder", "named", "names_in"]

Names = dict[str, list[str]]


def class_names(path: Path | str) -> Names:
    """The class names by column; empty where no dataset_info.json lies beside the file."""
    path = Path(path)
    info = path.parent / "dataset_info.json"
    if path == STDIN or not info.is_file():
        return {}
    try:
        value = json.loads(info.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return names_in(value.get("features") if isinstance(value, dict) else None)


def names_in(features: Any) -> Names:
    """The class names by column, from a data set's description of its columns."""
    names_by_column = (
        {str(column): _names(feature) for column, feature in features.items()}
        if isinstance(features, dict)
        else {}
    )
    return {column: names for column, names in names_by_column.items() if names}


def _names(feature: Any) -> list[str]:
    """The class names of a column, also where it holds lists of classes."""
    if isinstance(feature, list):
        return _names(feature[0]) if feature else []
    if not isinstance(feature, dict):
        return []
    names = feature.get("names")
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return names
    return _names(feature.get("feature"))


def named(record: Mapping[str, Any], names: Names) -> dict[str, Any]:
    """A record with class names in place of numbers; -1, a test set's missing label, becomes no label."""

    def name(value: Any, known: list[str]) -> Any:
        if isinstance(value, list):
            return [name(item, known) for item in value]
        if type(value) is not int:
            return value
        return known[value] if 0 <= value < len(known) else None

    return {key: name(value, names[key]) if key in names else value for key, value in record.items()}


def is_arrow_folder(path: Path) -> bool:
    """Whether a folder is a saved data set, or one with several parts."""
    return path.is_dir() and any(
        (path / name).is_file() for name in ("dataset_info.json", "dataset_dict.json")
    )


def arrow_files(path: Path) -> list[Path]:
    """The files of a data set, in order.

    Raises:  CorpusError: the folder holds several data sets (train, test), or none.
    """
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix in ARROW)
    if files:
        return files
    parts = sorted(
        (part for part in path.iterdir() if is_arrow_folder(part)), key=lambda folder: folder.name != "train"
    )
    raise CorpusError(
        "a data set of several parts" if parts else "a data set without its .arrow files",
        got=", ".join(part.name for part in parts) or None,
        where=path,
        fix=f"name one part: {parts[0]}" if parts else "copy the whole folder",
    )


def arrow_lines(path: Path) -> Iterator[tuple[int, str]]:
    """A JSON line for each row.

    Raises:  ConfigError: pyarrow is not installed.  CorpusError: a file is broken.
    """
    pa, ipc, parquet = _pyarrow(path)
    number = 0
    for file in arrow_files(path):
        try:
            table = parquet.read_table(file) if file.suffix == ".parquet" else _stream(pa, ipc, file)
        except (OSError, pa.ArrowException) as error:
            raise _no_table(file, error) from None
        names = class_names(file) | names_in(_features(table.schema.metadata or {}))
        for batch in table.to_batches(max_chunksize=1000):
            for row in batch.to_pylist():
                number += 1
                yield number, json.dumps(named(row, names), ensure_ascii=False, default=_written)


def arrow_rows(file: Path, field: str) -> Iterator[dict[str, Any]]:
    """The rows of one file of a large table, a thousand in memory at a time.

    Args:
        field: the column that is needed, or a path that begins with its name; where there is none, all are given.

    Raises:  ConfigError: pyarrow is not installed.  CorpusError: the file is broken.
    """
    pa, ipc, parquet = _pyarrow(file)
    try:
        if file.suffix.lower() == ".parquet":
            with parquet.ParquetFile(file.open("rb") if isinstance(file, RemotePath) else file) as table:
                names = set(table.schema_arrow.names)
                needed = [name for name in (field, field.partition(".")[0]) if name in names]
                for batch in table.iter_batches(1000, columns=needed[:1] or None):
                    yield from batch.to_pylist()
        else:
            for batch in _stream(pa, ipc, file).to_batches(max_chunksize=1000):  # mapped, not read
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise _no_table(file, error) from None


def _no_table(file: Path, error: Exception) -> CorpusError:
    problem = f"not a table in the form {'Parquet' if file.suffix.lower() == '.parquet' else 'Arrow'}"
    return CorpusError(problem, got=str(error)[:200], where=file, fix="copy or download it again")


def _pyarrow(path: Path) -> tuple[Any, Any, Any]:
    """Raises:  ConfigError: pyarrow is not installed."""
    try:
        import pyarrow as pa
        from pyarrow import ipc, parquet
    except ImportError:
        raise ConfigError(
            "pyarrow is not installed, which reads .arrow and .parquet",
            where=path,
            fix="pip install 'polyseme[parquet]', or save the rows as .jsonl",
        ) from None
    return pa, ipc, parquet


def _stream(pa: Any, ipc: Any, file: Path) -> Any:
    """A table in either of Arrow's two forms; the datasets library writes streams."""
    remote = isinstance(file, RemotePath)
    with pa.PythonFile(file.open("rb")) if remote else pa.memory_map(str(file)) as source:
        try:
            return ipc.open_stream(source).read_all()
        except pa.ArrowInvalid:
            source.seek(0)
            return ipc.open_file(source).read_all()


def _written(value: Any) -> str:
    """A value that JSON cannot hold, such as a date, as text."""
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


def _features(metadata: dict[bytes, bytes]) -> Any:
    try:
        return json.loads(metadata[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return None
