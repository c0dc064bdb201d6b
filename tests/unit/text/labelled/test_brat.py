"""brat's pairs of files, and folders of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from polyseme.errors import CorpusError
from polyseme.text.labelled.opening import files_of, fingerprint
from polyseme.text.labelled.records import Problems
from polyseme.text.labelled.sequences import read_tags
from polyseme.text.labelled.tagging import spans

TEXT = "Otto left Hilltown.\n\nMara\nLind stays.\n"
ANN = "T1\tPER 0 4\tOtto\nT2\tLOC 10 18\tHilltown\nT3\tPER 21 30\tMara Lind\nR1\tfrom Arg1:T1 Arg2:T2\n"


def pair(folder: Path, name: str, ann: str = ANN) -> Path:
    (folder / f"{name}.txt").write_text(TEXT, "utf-8")
    (folder / f"{name}.ann").write_text(ann, "utf-8")
    return folder / f"{name}.ann"


def test_lines_are_records_and_spans_join_them(tmp_path: Path) -> None:
    problems = Problems()
    path = pair(tmp_path, "a", ANN + "T4\tTIME 5 9;19 20\tleft .\nA1\tNeg T1\n#1\tAnnotatorNotes T1\tno\n")
    first, second = read_tags(path, problems=problems)
    assert (first.text, second.text) == ("Otto left Hilltown.", "Mara\nLind stays.")
    assert spans(first.tags or ()) == [("PER", 0, 1), ("LOC", 2, 3)]
    assert spans(second.tags or ()) == [("PER", 0, 2)]
    assert problems.counts == {"gap_in_span": 1, "relations": 1}
    assert [record.tags for record in read_tags(path.with_suffix(".txt"))] == [first.tags, second.tags]


def test_a_folder_of_pairs(tmp_path: Path) -> None:
    for name in ("b", "a"):
        pair(tmp_path, name)
    (tmp_path / "annotation.conf").write_text("[entities]\nPER\n", "utf-8")
    (tmp_path / "lonely.txt").write_text("Nobody looked.\n", "utf-8")
    problems = Problems()
    assert [record.id for record in read_tags(tmp_path, problems=problems)] == ["a:0", "a:21", "b:0", "b:21"]
    assert problems.counts == {"relations": 2, "not_annotated": 1}
    assert [file.name for file in files_of(tmp_path)] == ["a.ann", "a.txt", "b.ann", "b.txt"]
    before = fingerprint(tmp_path)
    pair(tmp_path, "a", ANN.replace("LOC", "ORG"))
    assert fingerprint(tmp_path) != before


def test_what_is_no_pair_is_our_error(tmp_path: Path) -> None:
    pair(tmp_path, "a").with_suffix(".txt").unlink()
    for path in (tmp_path / "a.ann", tmp_path):
        with pytest.raises(CorpusError):
            list(read_tags(path))
