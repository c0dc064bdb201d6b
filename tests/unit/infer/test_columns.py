"""Columns of training, for files of other forms."""

from __future__ import annotations

from pathlib import Path

import pytest

from polyseme.infer.columns import inherited

NUMBERS = {"text": "1", "label": "2"}
NAMES = {"text": "sentence", "label": "gold"}


@pytest.mark.parametrize(
    ("trained", "name", "labelled", "expected"),
    [
        (NUMBERS, "a.tsv", True, NUMBERS),
        (NUMBERS, "a.tsv.gz", False, {"text": "1"}),
        (NAMES, "a.csv", False, {"text": "sentence"}),
        (NAMES, "a.jsonl", True, NAMES),
        (NUMBERS, "a.jsonl", True, {}),
        (NAMES, "-", False, {}),
        (NAMES, "-", True, NAMES),
        ({"token": "1", "tag": "4"}, "a.conllu", True, {}),
        ({"question": "q", "context": "c", "answer": "a"}, "a.json", True, {}),
        ({"question": "q", "context": "c", "answer": "a"}, "a.csv", False, {"question": "q", "context": "c"}),
        ({}, "a.tsv", True, {}),
        ({"label": "gold"}, "a.tsv", False, {}),
        (NUMBERS, "missing.txt", False, {}),
    ],
)
def test_by_the_form_of_the_file(
    trained: dict[str, str], name: str, labelled: bool, expected: dict[str, str]
) -> None:
    assert inherited(trained, name, labelled) == expected


def test_a_text_file_is_a_table_if_its_first_line_fits(tmp_path: Path) -> None:
    table, plain = tmp_path / "table.txt", tmp_path / "plain.txt"
    table.write_text("id\tsentence\n1\ta day\n", "utf-8")
    plain.write_text("a sentence of its own\nanother\n", "utf-8")
    assert inherited(NAMES, table, False) == {"text": "sentence"}
    assert inherited(NUMBERS, table, False) == {"text": "1"}
    assert inherited(NAMES, plain, False) == {}
    assert inherited(NUMBERS, plain, False) == {}
