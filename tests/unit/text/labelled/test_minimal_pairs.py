"""Reading minimal pairs: BLiMP's lines, tables, plain lines, folders; and what is said of broken ones."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from polyseme.errors import ConfigError, CorpusError
from polyseme.text.labelled.minimal_pairs import MinimalPair, pair_files, read_minimal_pairs
from polyseme.text.labelled.records import Problems
from stand_in import ROWS, SHARED_DATA

BLIMP = {
    "sentence_good": "The cats sit.",
    "sentence_bad": "The cats sits.",
    "field": "morphology",
    "linguistics_term": "subject_verb_agreement",
    "UID": "regular_plural",
    "simple_LM_method": True,
    "pairID": "7",
}


def _write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    data = text.encode()
    file.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return file


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.txt"])
def test_blimp(tmp_path: Path, name: str) -> None:
    file = _write(tmp_path, name, json.dumps(BLIMP) + "\n")
    assert list(read_minimal_pairs(file)) == [
        MinimalPair(
            "The cats sit.", "The cats sits.", "regular_plural", "subject_verb_agreement", "7", f"{file}:1"
        )
    ]


def test_tables_with_and_without_a_header(tmp_path: Path) -> None:
    table = _write(tmp_path, "number.csv", 'good,bad,phenomenon\n"a, b",c,order\ngood one,bad one,\n')
    assert [(p.good, p.bad, p.paradigm, p.phenomenon, p.id) for p in read_minimal_pairs(table)] == [
        ("a, b", "c", "order", "order", "2"),
        ("good one", "bad one", "number", "number", "3"),
    ]
    bare = _write(tmp_path, "bare.tsv.gz", "he sits\the sit\nthey sit\tthey sits\n")
    with pytest.raises(ConfigError, match="no column for good and bad") as error:
        list(read_minimal_pairs(bare))
    assert "--columns good=1,bad=2" in str(error.value)
    (first, second) = read_minimal_pairs(bare, columns={"good": "1", "bad": "2"})
    assert (first.good, second.bad, first.paradigm) == ("he sits", "they sits", "bare")
    plain = _write(tmp_path, "plain.txt", "he sits\the sit\n")
    assert [(p.good, p.bad) for p in read_minimal_pairs(plain)] == [("he sits", "he sit")]
    with pytest.raises(ConfigError, match="unknown column 'god'"):
        read_minimal_pairs(plain, columns={"god": "1"})


def test_bad_rows_are_counted_with_their_places(tmp_path: Path) -> None:
    rows = [BLIMP, {**BLIMP, "sentence_bad": " "}, {**BLIMP, "sentence_good": None}, BLIMP, BLIMP]
    file = _write(tmp_path, "b.jsonl", "".join(json.dumps(row) + "\n" for row in rows) + "{broken\n")
    problems = Problems()
    assert len(list(read_minimal_pairs(file, problems=problems))) == 3
    assert problems.counts == {"bad_json": 1, "empty_text": 1, "missing_field": 1}
    assert problems.report()["empty_text"]["examples"] == [{"where": f"{file}:2", "got": "bad"}]


@pytest.mark.parametrize(
    ("text", "said"), [("", "no labelled text"), ("\n".join(["x"] * 9), "more than half")]
)
def test_a_file_without_pairs_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = _write(tmp_path, "c.txt", text)
    with pytest.raises(CorpusError, match=said) as error:
        list(read_minimal_pairs(file))
    assert str(file) in str(error.value)


def test_folders_give_their_files(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.tsv.gz", "SOURCE.txt", "README.json", ".hidden.jsonl", "notes.md"):
        _write(tmp_path, name, "x")
    named = tmp_path / "notes.md"
    assert pair_files([tmp_path, named]) == [tmp_path / "a.tsv.gz", tmp_path / "b.jsonl", named]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CorpusError, match="no file of minimal pairs"):
        pair_files([empty])


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    for name in ("a.tsv", "b.tsv"):
        _write(tmp_path, name, "x")
    a, b = tmp_path / "a.tsv", tmp_path / "b.tsv"
    assert pair_files([b, tmp_path, tmp_path / "x" / ".." / "b.tsv", b]) == [b, a]
    assert pair_files([Path("-"), Path("-")]) == [Path("-")]


def test_blimp_itself(any_data: Path) -> None:
    files = pair_files([any_data / "tasks" / "blimp"])
    real = any_data == SHARED_DATA
    problems = Problems()
    found = [pair for file in files for pair in read_minimal_pairs(file, problems=problems)]
    assert len(files) == (34 if real else 4)
    assert len(found) == (34_000 if real else 4 * ROWS)
    assert not problems.counts
    assert len({pair.paradigm for pair in found}) == len(files)
    assert len({pair.phenomenon for pair in found}) == (13 if real else 2)
