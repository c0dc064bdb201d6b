"""Records of all the forms that programs write: each gives the same texts."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from polyseme.errors import CorpusError
from polyseme.text.clean import CleaningReport
from polyseme.text.config import TextConfig
from polyseme.text.corpus import Corpus
from polyseme.text.sources import read_lines

TEXTS = ['The first, "quoted" text.', "第二篇文章。\nIt has two lines.", "A third [one], {here}."]
RECORDS = [{"id": i, "text": text, "tags": ["a", "b"]} for i, text in enumerate(TEXTS)]


def read(path: Path, **changes: Any) -> tuple[list[str], CleaningReport]:
    report = CleaningReport()
    documents = Corpus([str(path)], TextConfig(**changes)).documents(report)
    return [document.text for document in documents], report


def lines(records: list[Any]) -> str:
    return "\n".join(json.dumps(record, ensure_ascii=False) for record in records)


FORMS = {
    "lines": lines(RECORDS),
    "array": json.dumps(RECORDS),
    "pretty array": json.dumps(RECORDS, indent=2, ensure_ascii=False),
    "array of strings": json.dumps(TEXTS),
    "data": json.dumps({"version": "1", "data": RECORDS}),
    "pretty rows": json.dumps({"rows": RECORDS, "count": 3}, indent=1),
    "one list": json.dumps({"version": 2, "abstracts": TEXTS}),
    "the hub's rows": json.dumps({"features": [], "rows": [{"row_idx": 0, "row": r} for r in RECORDS]}),
    "columns": json.dumps({"id": [0, 1, 2], "text": TEXTS}),
    "pandas columns": json.dumps({"text": {str(i): text for i, text in enumerate(TEXTS)}}),
    "pandas index": json.dumps({str(i): record for i, record in enumerate(RECORDS)}),
    "jq": "\n".join(json.dumps(record, indent=2) for record in RECORDS),
    "arrays": json.dumps(RECORDS[:1]) + "\n" + json.dumps(RECORDS[1:]) + "\n",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.NDJSON"])
def test_every_form_gives_the_texts_whatever_the_file_is_called(tmp_path: Path, form: str, name: str) -> None:
    (tmp_path / name).write_text(FORMS[form], "utf-8")
    texts, report = read(tmp_path / name)
    assert texts == TEXTS
    assert report.counts == {}


@pytest.mark.parametrize("form", ["array", "pretty rows", "lines"])
def test_compressed(tmp_path: Path, form: str) -> None:
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(FORMS[form].encode()))
    (tmp_path / "a.json.zst").write_bytes(zstandard.compress(FORMS[form].encode()))
    assert read(tmp_path / "a.json.gz")[0] == read(tmp_path / "a.json.zst")[0] == TEXTS


def test_an_array_is_not_held_as_a_whole(tmp_path: Path) -> None:
    many = [{"text": f"Text {i} " + "word " * 200} for i in range(3000)]  # three megabytes
    (tmp_path / "a.json").write_text(json.dumps(many))
    assert read(tmp_path / "a.json")[0] == [record["text"].strip() for record in many]


def test_what_an_array_holds_beside_texts_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        json.dumps([{"text": "One."}, 3, None, {"body": "x"}, {"text": 4}, {"text": ""}])
    )
    texts, report = read(tmp_path / "a.json")
    assert texts == ["One."]
    assert report.counts == {"not_json": 2, "no_field": 1, "field_not_text": 1, "empty_document": 1}
    assert report.examples["no_field"] == f"{tmp_path / 'a.json'}, record 4"


@pytest.mark.parametrize(
    ("content", "got"), [(json.dumps(RECORDS)[:-40], "record 2"), (json.dumps(RECORDS) + " x", "record 3")]
)
def test_a_broken_array_is_an_error_that_says_where(tmp_path: Path, content: str, got: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(CorpusError, match="array is broken") as caught:
        read(tmp_path / "a.json")
    assert str(caught.value.where).endswith(got)


@pytest.mark.parametrize(
    ("record", "typed"),
    [
        ({"id": "7", "sentence": "The text itself."}, "--field sentence"),
        ({"Text": "x", "comment": "longer than that"}, "--field Text"),
        ({"meta": {"name": "a"}, "body": {"content": "The text itself."}}, "--field body.content"),
        ({"messages": [{"role": "a", "message": "Hello there."}]}, "--field messages.message"),
        ({"正文": "这是一篇文章。"}, "--field 正文"),
        ({"the text": "This is the text."}, "--field 'the text'"),
    ],
)
def test_the_field_that_is_meant_can_be_typed(tmp_path: Path, record: dict[str, Any], typed: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps([record, record]))
    with pytest.raises(CorpusError, match="no record has text") as caught:
        read(tmp_path / "a.json")
    assert caught.value.fix == typed
    field = typed.removeprefix("--field ").strip("'")
    assert len(read(tmp_path / "a.json", field=field)[0]) == 2


def test_lines_for_vectors_are_the_records(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(FORMS["pretty array"])
    assert list(read_lines(tmp_path / "a.json", TextConfig(), CleaningReport())) == TEXTS
    (tmp_path / "b.jsonl").write_text('{"text": "one"}\n\n{"text": 3}\n{"text": "two"}\n')
    report = CleaningReport()
    assert list(read_lines(tmp_path / "b.jsonl", TextConfig(), report)) == ["one", "", "", "two"]
    assert report.counts == {"not_json": 1, "field_not_text": 1}


# Tables


@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ","), ("a.csv", ";"), ("a.tsv", "\t")])
def test_a_column_of_a_table(tmp_path: Path, name: str, delimiter: str) -> None:
    with (tmp_path / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["id", "text", "label"])
        writer.writerows([i, text, "good"] for i, text in enumerate(TEXTS))
    assert read(tmp_path / name)[0] == TEXTS
    assert read(tmp_path / name, field="label")[0] == ["good"] * 3
    corpus = Corpus([str(tmp_path / name)], TextConfig())
    list(corpus.documents(CleaningReport()))
    assert corpus.reading()[0]["rule"] == "row"


def test_a_table_without_the_column_and_one_with_an_open_quote(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,review\n1,This was very good.\n")
    with pytest.raises(CorpusError, match="no column 'text'") as caught:
        read(tmp_path / "a.csv")
    assert caught.value.fix == "--field review"
    assert read(tmp_path / "a.csv", field="review")[0] == ["This was very good."]
    (tmp_path / "b.csv").write_text('text\nfine\n"open, and never closed\nmore\n')
    texts, report = read(tmp_path / "b.csv")
    assert (texts, report.counts["bad_quotes"]) == (["fine", "more"], 1)
    assert report.examples["bad_quotes"].endswith("b.csv, line 3")
    (tmp_path / "c.csv").write_text('text,label\n"open, and never closed\n')
    with pytest.raises(CorpusError, match="no row of the table") as caught:
        read(tmp_path / "c.csv")
    assert str(caught.value.where).endswith("c.csv, line 2")


@pytest.mark.parametrize(
    ("name", "text", "texts", "counts"),
    [
        (
            "a.tsv",
            'text\tlabel\n"a fine day\t1\nsecond row\t0\nthird row\t1\nit was good"\t0\nlast\t1\n',
            ['"a fine day', "second row", "third row", 'it was good"', "last"],
            {},
        ),
        (
            "a.csv",
            'text,label\n"a fine day,1\nsecond row,0\nthird row,1\nlast,1\n',
            ["second row", "third row", "last"],
            {"bad_quotes": 1},
        ),
        ("a.csv", "label,text\n1,good, but long\n0,short\n", ["short"], {"too_many_fields": 1}),
        ("a.csv", 'text,label\none,1\n,\n"",""\ntwo,0\n', ["one", "two"], {"empty_row": 2}),
        ("a.tsv", "text\tlabel\none\t1\n\t\n\ntwo\t0\n", ["one", "two"], {"empty_row": 1}),
        ("a.csv", "# of 2024\nlabel,text\n1,one\n0\n", ["one"], {"comment": 1, "no_field": 1}),
        ("a.csv", "sep=;\nlabel;text\n1;one, and more\n", ["one, and more"], {}),
        ("a.tsv", "text;label\none;1\ntwo;0\n", ["one", "two"], {}),
        ("a.csv", "text\none, and more\ntwo\n", ["one, and more", "two"], {}),
    ],
)
def test_no_row_of_a_table_is_lost_in_silence(
    tmp_path: Path, name: str, text: str, texts: list[str], counts: dict[str, int]
) -> None:
    (tmp_path / name).write_text(text)
    found, report = read(tmp_path / name)
    assert found == texts
    assert dict(report.counts) == counts
