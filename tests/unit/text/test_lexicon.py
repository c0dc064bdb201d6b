"""Lexicons in the forms that people have them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from polyseme.errors import CorpusError
from polyseme.text.lexicon import Entry, lexicon_fingerprint, read_lexicon
from stand_in import SHARED_DATA


def write(folder: Path, name: str, data: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def words(*paths: Path) -> list[str]:
    return [entry.text for entry in read_lexicon(paths)]


def test_tabs_frequencies_types_and_comments(tmp_path: Path) -> None:
    text = "# places\n哈尔滨 \t 395499\n黑龙江\t12\tplace\nHarry Potter\tperson\na series of\tphrase\n计算机\tWord\n\n"
    assert read_lexicon([write(tmp_path, "a.txt", text)]) == [
        Entry("哈尔滨", "entity", "", "a.txt"),
        Entry("黑龙江", "entity", "place", "a.txt"),
        Entry("Harry Potter", "entity", "person", "a.txt"),
        Entry("a series of", "phrase", "phrase", "a.txt"),
        Entry("计算机", "word", "Word", "a.txt"),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_line_ends_and_encodings(tmp_path: Path, end: str, encoding: str) -> None:
    text = end.join(["中国\t1932582", "北京\t1119506", "美国\t864762", "我们的祖国是花园\t3"])
    assert words(write(tmp_path, "places.txt", text.encode(encoding))) == [
        "中国",
        "北京",
        "美国",
        "我们的祖国是花园",
    ]


def test_json(tmp_path: Path) -> None:
    records = [{"derivation": "…", "word": "阿鼻地狱"}, {"word": "阿党比周", "type": "phrase"}, "一心 一意"]
    array = write(tmp_path, "a.json", json.dumps(records, ensure_ascii=False))
    lines = write(tmp_path, "b.jsonl", "\n".join(map(json.dumps, records)))
    expected = ["阿鼻地狱", "阿党比周", "一心 一意"]
    assert words(array) == words(lines) == expected
    assert [e.level for e in read_lexicon([array])] == ["entity", "phrase", "entity"]


def test_folders_and_compressed_files_and_the_first_of_equal_entries(tmp_path: Path) -> None:
    write(tmp_path, "LICENSE", "MIT License\n" * 9)
    write(tmp_path, "SOURCE.txt", "somewhere\n")
    write(tmp_path, "b.txt.gz", gzip.compress("北京\tplace\n上海\n".encode()))
    write(tmp_path, "c.txt", "北京\tphrase\n")
    assert read_lexicon([tmp_path]) == [
        Entry("北京", "entity", "place", "b.txt.gz"),
        Entry("上海", "entity", "", "b.txt.gz"),
    ]


def test_the_fingerprint_is_of_the_entries(tmp_path: Path) -> None:
    a = read_lexicon([write(tmp_path, "a.txt", "北京\t1\n上海\n")])
    b = read_lexicon([write(tmp_path, "b.txt", "北京\r\n上海\t7\r\n")])
    c = read_lexicon([write(tmp_path, "c.txt", "北京\tphrase\n上海\n")])
    assert lexicon_fingerprint(a) == lexicon_fingerprint(b) != lexicon_fingerprint(c)


@pytest.mark.parametrize(
    ("name", "data", "what", "where"),
    [
        ("a.txt", b"", "empty", "a.txt"),
        ("a.txt", b"# nothing\n\n", "no entry", "a.txt"),
        ("a.txt", b"PK\x03\x04\x00\x00\x00\x08\x00\x00", "not a text file", "a.txt"),
        ("a.txt", b"one\n---\n", "without a letter", "line 2"),
        ("a.txt", b"one\ntwo\n" + b"word " * 40, "too long", "line 3"),
        ("a.txt", b"one\tplace\tperson\n", "several types", "line 1"),
        ("a.json", b'[\n{"word": "one"},\n{"word" "two"}]', "array is broken", "record 1"),
        ("a.json", b'[{"word": "one"}, {"idiom": "two"}]', "without a word", "record 2"),
        ("a.jsonl", b'{"word": "one"}\n{"word": \n', "not valid JSON", "line 2"),
    ],
)
def test_mistakes_name_file_and_line(tmp_path: Path, name: str, data: bytes, what: str, where: str) -> None:
    with pytest.raises(CorpusError, match=what) as caught:
        read_lexicon([write(tmp_path, name, data)])
    assert where in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_what_is_not_there(tmp_path: Path) -> None:
    write(tmp_path, "places.txt", "北京\n")
    with pytest.raises(CorpusError, match="no such lexicon") as caught:
        read_lexicon([tmp_path / "place.txt"])
    assert "places.txt" in str(caught.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="no lexicon here"):
        read_lexicon([tmp_path / "empty"])
    assert read_lexicon([]) == []


def test_whole_lexicons(any_data: Path) -> None:
    thuocl = read_lexicon([any_data / "lexicon" / "zh_thuocl"])
    real = any_data == SHARED_DATA
    assert len(thuocl) > (150_000 if real else 400)
    assert {"字符串", "中国", "北京", "李世民", "坚定不移"} <= {entry.text for entry in thuocl}
    assert not any(c in entry.text for entry in thuocl for c in "\t\r\n\ufeff")
    idioms = read_lexicon([any_data / "lexicon" / "zh_idioms"])
    assert len(idioms) > (8_000 if real else 600)
