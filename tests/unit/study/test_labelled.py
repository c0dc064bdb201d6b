"""A labelled file as a task reads it, before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

import polyseme
from polyseme.errors import ConfigError


def test_records_and_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "reviews.tsv"
    file.write_text("review\tsentiment\nA fine film.\tgood\nToo long.\tbad\n\tgood\n", "utf-8")
    found = polyseme.read_labelled("classify", file)
    assert [row["label"] for row in found.rows()] == ["good", "bad"]
    assert list(found.problems) == ["empty_text"]
    assert len(found.notes) == 1
    assert "2 rows read, 1 left out" in repr(found)
    assert found.document()["records"][0]["text"] == "A fine film."


def test_options_are_those_of_the_verbs(tmp_path: Path) -> None:
    file = tmp_path / "paarung.txt"
    file.write_bytes("gut^schön^1\nschlecht^böse^0\n".encode("latin-1"))
    columns = {"text": "1", "text_b": "2", "label": "3"}
    found = polyseme.read_labelled("pair", file, columns=columns, separator="^", encoding="latin-1")
    assert [(r.text, r.text_b, r.label) for r in found.records] == [
        ("gut", "schön", "1"),
        ("schlecht", "böse", "0"),
    ]
    with pytest.raises(ConfigError, match="unknown task"):
        polyseme.read_labelled("classification-of-all", file)
