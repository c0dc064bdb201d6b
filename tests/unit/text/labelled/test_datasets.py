"""Data sets of Hugging Face: their names of classes are used, wherever they are written."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from polyseme.errors import ConfigError, CorpusError
from polyseme.text.labelled.records import Problems
from polyseme.text.labelled.sequences import read_tags
from polyseme.text.labelled.tables import read_texts

NAMES = ["O", "B-PER", "I-PER"]
ROWS = [{"tokens": ["Otto", "Brandt", "left"], "ner_tags": [1, 2, 0]}] * 2
TAGS = ("B-PER", "I-PER", "O")


@pytest.fixture
def saved(tmp_path: Path) -> Any:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "tokens": datasets.Sequence(datasets.Value("string")),
            "ner_tags": datasets.Sequence(datasets.ClassLabel(names=NAMES)),
        }
    )
    found = datasets.Dataset.from_list(ROWS, features=features)
    found.save_to_disk(str(tmp_path / "saved"))
    found.to_parquet(str(tmp_path / "a.parquet"))
    datasets.DatasetDict({"test": found, "train": found}).save_to_disk(str(tmp_path / "both"))
    return tmp_path


@pytest.mark.parametrize("name", ["saved", "saved/data-00000-of-00001.arrow", "a.parquet", "both/train"])
def test_data_sets_are_read_with_their_names(saved: Path, name: str) -> None:
    problems = Problems()
    assert [record.tags for record in read_tags(saved / name, problems=problems)] == [TAGS, TAGS]
    form = problems.files[str(saved / name)].form
    assert form == ("a Parquet table" if name == "a.parquet" else "a data set of Hugging Face")


def test_a_data_set_of_several_parts_names_them(saved: Path) -> None:
    with pytest.raises(CorpusError, match="several parts") as caught:
        list(read_tags(saved / "both"))
    assert caught.value.fix == f"name one part: {saved / 'both' / 'train'}"


@pytest.mark.parametrize("listed", [True, False])
def test_names_beside_a_file_of_lines(tmp_path: Path, listed: bool) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    problems = Problems()
    assert [record.tags for record in read_tags(path, problems=problems)] == [("1", "2", "0")] * 2
    assert problems.counts == {"numbered_tags": 6}
    inner = {"names": NAMES, "_type": "ClassLabel"}
    feature = [inner] if listed else {"feature": inner, "_type": "Sequence"}
    (tmp_path / "dataset_info.json").write_text(json.dumps({"features": {"ner_tags": feature}}), "utf-8")
    assert [record.tags for record in read_tags(path)] == [TAGS, TAGS]


def test_minus_one_is_no_class(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"text": "a {n}", "label": {n % 3 - 1}}}\n' for n in range(9)), "utf-8")
    info = {"features": {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info), "utf-8")
    problems = Problems()
    assert [record.label for record in read_texts(path, problems=problems)] == ["neg", "pos"] * 3
    assert problems.counts == {"missing_label": 3}


def test_what_cannot_be_read_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 and nothing more")
    pytest.importorskip("pyarrow")
    with pytest.raises(CorpusError, match="not a table in the form Parquet"):
        list(read_tags(path))
    (tmp_path / "a.spacy").write_bytes(b"\x78\x9c")
    with pytest.raises(CorpusError, match="spaCy's binary"):
        list(read_tags(tmp_path / "a.spacy"))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match="pyarrow is not installed"):
        list(read_tags(path))
