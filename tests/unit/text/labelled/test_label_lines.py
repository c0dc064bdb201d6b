"""Lines of fastText give texts and classes, without the mark of the labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from polyseme.tasks.classify import Classify, TextConfig
from polyseme.text.labelled.records import Problems
from polyseme.text.labelled.tables import read_texts


def read(path: Path, text: str, labelled: bool = True) -> tuple[list[tuple[str, object]], Problems, str]:
    path.write_text(text, "utf-8")
    problems = Problems()
    records = [
        (record.text, record.label) for record in read_texts(path, problems=problems, labelled=labelled)
    ]
    return records, problems, problems.files[str(path)].form


@pytest.mark.parametrize("gap", [" ", "\t", " , ", "  "])
@pytest.mark.parametrize("name", ["a.txt", "a.tsv", "a.csv", "a.train"])
def test_one_label_a_line(tmp_path: Path, name: str, gap: str) -> None:
    text = f"__label__pro{gap}a good day, sir\n\n__label__con{gap}\u5929\u6c14 bad\n"
    found, problems, form = read(tmp_path / name, text)
    assert found == [("a good day, sir", "pro"), ("天气 bad", "con")]
    assert (form, problems.counts) == ("fastText lines", {})
    found, _, form = read(tmp_path / name, text, labelled=False)
    assert (found, form) == ([("a good day, sir", None), ("天气 bad", None)], "fastText lines")


def test_several_labels_are_several_classes(tmp_path: Path) -> None:
    found, _, _ = read(
        tmp_path / "a.txt", "__label__a __label__b x y\n__label__a z\nw __label__b __label__c\n"
    )
    assert found == [("x y", ("a", "b")), ("z", "a"), ("w", ("b", "c"))]
    records = list(read_texts(tmp_path / "a.txt"))
    assert Classify.of_one_kind(TextConfig(), records, Problems())[0].kind == "several"


def test_what_is_missing_is_counted(tmp_path: Path) -> None:
    lines = ["__label__a x"] * 20 + ["__label__a", "no label", "__label__b , a comma of its own"]
    found, problems, _ = read(tmp_path / "a.txt", "\n".join(lines) + "\n")
    assert (len(found), found[-1]) == (21, (", a comma of its own", "b"))
    assert problems.counts == {"empty_text": 1, "missing_label": 1}


def test_a_table_with_a_header_is_a_table(tmp_path: Path) -> None:
    found, _, form = read(tmp_path / "a.tsv", "label\ttext\n__label__a\tx\n__label__b\ty\n")
    assert (found[0], form) == (("x", "__label__a"), "tabs between fields")
