"""Names of classes that a file writes as numbers: Hugging Face datasets keep them in dataset_info.json beside it.

{"features": {"ner_tags": {"feature": {"names": ["O", "B-PER"], "_type": "ClassLabel"}, "_type": "Sequence"}}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polyseme.text.sources import STDIN

__all__ = ["class_names", "named", "names_in"]

Names = dict[str, list[str]]


def class_names(path: Path | str) -> Names:
    """The names by column; none where no dataset_info.json lies beside the file."""
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
    """The names by column of what a dataset says about its columns."""
    found = (
        {str(column): _names(feature) for column, feature in features.items()}
        if isinstance(features, dict)
        else {}
    )
    return {column: names for column, names in found.items() if names}


def _names(feature: Any) -> list[str]:
    """The names of a column's classes, also where it holds lists of them."""
    if isinstance(feature, list):
        return _names(feature[0]) if feature else []
    if not isinstance(feature, dict):
        return []
    names = feature.get("names")
    if isinstance(names, list) and all(isinstance(one, str) for one in names):
        return names
    return _names(feature.get("feature"))


def named(record: Mapping[str, Any], names: Names) -> dict[str, Any]:
    """A record with names in place of numbers; -1, a test set's missing label, is no label."""

    def name(value: Any, known: list[str]) -> Any:
        if isinstance(value, list):
            return [name(one, known) for one in value]
        if type(value) is not int:
            return value
        return known[value] if 0 <= value < len(known) else None

    return {key: name(value, names[key]) if key in names else value for key, value in record.items()}
