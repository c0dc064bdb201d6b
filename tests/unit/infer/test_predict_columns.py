"""Columns of training, for files of other forms."""

from __future__ import annotations

from pathlib import Path

import pytest

from polyseme.infer.predict import inherited, inherited_options
from polyseme.text.labelled.opening import ReadOptions

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


@pytest.mark.parametrize(
    ("name", "data", "trained", "labelled", "expected"),
    [
        ("a.csv", b"text^label\na^b\n", {"separator": "^"}, True, ("auto", "^")),
        ("a.csv", b"# of 2024\ntext^label\na^b\n", {"separator": "^"}, False, ("auto", "^")),
        ("a.tsv", b"text\tlabel\na\tb\n", {"separator": "^"}, True, ("auto", "auto")),
        ("a.jsonl", b'{"text": "a^b"}\n', {"separator": "^"}, True, ("auto", "auto")),
        ("a.txt", b'{"text": "a^b"}\n', {"separator": "^"}, True, ("auto", "auto")),
        ("a.txt", b"good, but long\n", {"separator": ","}, False, ("auto", "auto")),
        ("a.txt", b"id,text\n1,good\n", {"separator": ","}, False, ("auto", ",")),
        ("-", b"", {"separator": "^"}, True, ("auto", "^")),
        ("-", b"", {"separator": "^"}, False, ("auto", "auto")),
        ("a.csv", "text,label\nдень,да\n".encode("cp1251"), {"encoding": "cp1251"}, True, ("cp1251", "auto")),
        ("a.csv", "text,label\nдень,да\n".encode(), {"encoding": "cp1251"}, True, ("auto", "auto")),
        ("a.csv", "text,label\nday,yes\n".encode("utf-16"), {"encoding": "cp1251"}, True, ("auto", "auto")),
        ("a.csv", b"text,label\nday,yes\n", {"encoding": "utf-16"}, True, ("auto", "auto")),
        ("a.parquet", b"PAR1\x15\x04\x00\x00", {"encoding": "cp1251"}, True, ("auto", "auto")),
    ],
)
def test_separator_and_encoding_of_training_where_the_file_can_have_them(
    tmp_path: Path,
    name: str,
    data: bytes,
    trained: dict[str, str],
    labelled: bool,
    expected: tuple[str, str],
) -> None:
    path = Path(name)
    if name != "-":
        path = tmp_path / name
        path.write_bytes(data)
    found = inherited_options(trained, path, labelled, None, ReadOptions())
    assert (found.encoding, found.separator) == expected
    asked = inherited_options(trained, path, labelled, None, ReadOptions(encoding="gb18030", separator=";"))
    assert (asked.encoding, asked.separator) == ("gb18030", ";")
