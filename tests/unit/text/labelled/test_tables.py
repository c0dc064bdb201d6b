"""Tables, JSON lines and plain text give texts with classes; what is wrong is counted, never guessed."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from polyseme.errors import ConfigError, CorpusError
from polyseme.text.labelled.opening import fingerprint, form_suffix
from polyseme.text.labelled.records import Problems, TextRecord
from polyseme.text.labelled.tables import read_texts
from stand_in import ROWS, SHARED_DATA


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def brief(path: Path, **options: object) -> list[tuple[object, ...]]:
    records = list(read_texts(path, **options))  # type: ignore[arg-type]
    pair = options.get("pair")
    return [(r.text, r.text_b, r.label) if pair else (r.text, r.label) for r in records]


def test_a_tsv_with_our_header(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "id\ttext\tlabel\n7\ta fine day\tgood\n9\t\u4e0b\u96e8\u4e86\tbad\n")
    assert list(read_texts(path)) == [
        TextRecord("7", "a fine day", None, "good", f"{path}:2"),
        TextRecord("9", "下雨了", None, "bad", f"{path}:3"),
    ]


def test_the_order_of_columns_and_other_columns_do_not_matter(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "Label\tnote\tSentence\r\n1\tx\tone\r\n0\ty\ttwo\r\n")
    assert brief(path) == [("one", "1"), ("two", "0")]


def test_quotes_of_a_tsv_are_literal(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", 'label\ttext_a\n1\t"open\n0\tand "this"\n1\t"whole"\n')
    assert [text for text, _ in brief(path)] == ['"open', 'and "this"', '"whole"']


def test_lines_end_at_line_feeds_only(tmp_path: Path) -> None:
    odd = "a\u2028b\x85c\x0bd\x0ce\x1cf\rg"
    path = write(tmp_path, "a.tsv", f"text\tlabel\n{odd}\t1\r\nsecond\t0\n")
    assert brief(path) == [(odd, "1"), ("second", "0")]


def test_a_csv_has_quoted_commas_quotes_and_line_ends(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'text,label\n"one, ""two""\nthree",x\nfour,y\n5" disk,z\n')
    records = list(read_texts(path))
    assert [(r.text, r.label) for r in records] == [
        ('one, "two"\nthree', "x"),
        ("four", "y"),
        ('5" disk', "z"),
    ]
    assert [r.where for r in records] == [f"{path}:2", f"{path}:4", f"{path}:5"]


def test_a_quote_that_is_never_closed_is_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text,label\none,x\ntwo,x\nthree,y\n" + '"four,x\nfive,y\n')
    problems = Problems()
    assert brief(path, problems=problems) == [("one", "x"), ("two", "x"), ("three", "y"), ("five", "y")]
    examples = [{"where": f"{path}:5", "got": '"four,x'}]
    assert problems.report() == {"bad_quotes": {"count": 1, "examples": examples}}


def test_numbers_of_columns_mean_no_header(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "one long string\t0\nanother\t1")
    assert brief(path, columns={"text": "1", "label": "2"}) == [("one long string", "0"), ("another", "1")]
    with pytest.raises(ConfigError) as caught:
        list(read_texts(path))
    assert "--columns text=1,label=2" in str(caught.value)
    assert "one long string | 0" in str(caught.value)


def test_the_suggested_columns_put_the_label_where_it_is(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "4.4\tTwo dogs play.\tDogs are playing.\n")
    with pytest.raises(ConfigError, match="text=2,text_b=3,label=1"):
        list(read_texts(path, pair=True))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": "1"}, "text=1,label=NUMBER"),
        ({"text": "1", "label": "gold"}, "by number and by name"),
        ({"text": "0", "label": "2"}, "counted from 1"),
        ({"texts": "1"}, "did you mean text"),
        ({"text": "", "label": "b"}, "no column is named for 'text'"),
        ({"text": "a", "label": "nowhere"}, "no column 'nowhere'"),
        ({"text": "a"}, "no column for label"),
    ],
)
def test_wrong_columns_are_refused(tmp_path: Path, columns: dict[str, str], message: str) -> None:
    path = write(tmp_path, "a.tsv", "a\tb\tc\n1\t2\t3\n")
    with pytest.raises(ConfigError) as caught:
        list(read_texts(path, columns=columns))
    assert message in str(caught.value)


def test_several_readings_of_a_header_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "review\tcomment\tscore\tstars\nx\ty\t1\t2\n")
    with pytest.raises(ConfigError) as caught:
        list(read_texts(path))
    assert "several columns could be text: review, comment" in str(caught.value)
    assert brief(path, columns={"text": "review"}) == [("x", "1")]


@pytest.mark.parametrize(
    "header",
    [
        "text\ttext_b\tlabel",
        "sentence1\tsentence2\tgold_label",
        "Premise\tHypothesis\tclass",
        "sentence_A\tsentence_B\tlabel",
    ],
)
def test_pairs_under_usual_names(tmp_path: Path, header: str) -> None:
    path = write(tmp_path, "a.txt", header + "\nit rains\tit is wet\tyes\nit rains\tit is dry\t-\n")
    problems = Problems()
    assert brief(path, pair=True, problems=problems) == [("it rains", "it is wet", "yes")]
    assert problems.counts == {"missing_label": 1}


def test_a_pair_file_read_for_single_texts_names_the_task(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "sentence1\tsentence2\tlabel\na\tb\tc\n")
    with pytest.raises(ConfigError, match="the task pair"):
        list(read_texts(path))


def test_labels_of_json_keep_their_kind(tmp_path: Path) -> None:
    values = ["good", 1, 1.5, True, ["b", "a", "b"], [], " spaced "]
    lines = [json.dumps({"text": "t", "label": value}) for value in values]
    path = write(tmp_path, "a.jsonl", "\n".join(lines))
    assert [label for _, label in brief(path)] == ["good", "1", 1.5, "true", ("b", "a"), (), "spaced"]


def test_bad_json_rows_are_counted_by_kind(tmp_path: Path) -> None:
    good = [json.dumps({"text": f"t{i}", "label": "x"}) for i in range(12)]
    bad = [
        '{"text": "t", "label"',
        "[1",
        '{"label": "x"}',
        '{"text": 7, "label": "x"}',
        '{"text": " ", "label": "x"}',
        '{"text": "t"}',
        '{"text": "t", "label": ""}',
        '{"text": "t", "label": {"a": 1}}',
        '{"text": "t", "label": NaN}',
        '{"text": "t", "label": [["a"]]}',
    ]
    problems = Problems()
    path = write(tmp_path, "a.jsonl", "\n".join([*good, *bad]))
    assert len(brief(path, problems=problems)) == 12
    assert problems.counts == {
        "bad_json": 2,
        "bad_label": 2,
        "empty_text": 1,
        "missing_field": 2,
        "missing_label": 2,
        "missing_label_mark": 1,
    }


def test_an_array_of_objects_and_paths_into_them(tmp_path: Path) -> None:
    rows = [{"data": {"body": "one"}, "y": "a"}, {"data": {"body": "two"}, "y": "b"}]
    path = write(tmp_path, "a.json", json.dumps(rows, indent=1))
    assert brief(path, columns={"text": "data.body", "label": "y"}) == [("one", "a"), ("two", "b")]
    with pytest.raises(CorpusError, match="array is broken"):
        list(read_texts(write(tmp_path, "b.json", json.dumps(rows)[:-3])))


def test_half_a_surrogate_pair_becomes_a_replacement_character(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"text": "a\\ud800b", "label": "\\udfff"}')
    problems = Problems()
    assert brief(path, problems=problems) == [("a\ufffdb", "\ufffd")]
    assert problems.counts == {"lone_surrogate": 2}


def test_rows_with_too_few_and_too_many_fields_are_counted(tmp_path: Path) -> None:
    rows = (
        "text\tlabel\tnote\n"
        + "good\tx\t\n" * 5
        + "no label\n"
        + "a\tb\tc\td\n"
        + "short\ty\n"
        + "e\tz\tn\t\t\n"
    )
    problems = Problems()
    path = write(tmp_path, "a.tsv", rows)
    assert brief(path, problems=problems)[5:] == [("short", "y"), ("e", "z")]
    assert problems.counts == {"too_few_fields": 1, "too_many_fields": 1}
    assert problems.report()["too_few_fields"]["examples"] == [{"where": f"{path}:7", "got": "no label"}]
    assert problems.summary()[0].startswith("1 lines have too few fields")


@pytest.mark.parametrize(
    ("name", "text", "empty"),
    [
        ("a.csv", 'text,label\na,x\n,\n"",""\n\nb,y\n', [3, 4]),
        ("a.csv", "text;label\na;x\n;\nb;y\n;;\n", [3, 5]),
        ("a.tsv", "text\tlabel\na\tx\n\t\nb\ty\n", [3]),
        ("a.tsv", 'text\tlabel\n"a\n""b"""\tx\n\t\n"b"\ty\n', [4]),
        ("a.csv", "text,label\na,x\nb,y\n" + ",\n" * 200, list(range(4, 204))),
    ],
)
def test_rows_of_empty_fields_are_counted(tmp_path: Path, name: str, text: str, empty: list[int]) -> None:
    path, problems = write(tmp_path, name, text), Problems()
    assert len(list(read_texts(path, problems=problems))) == 2
    assert problems.counts == {"empty_row": len(empty)}
    places = [one["where"] for one in problems.report()["empty_row"]["examples"]]
    assert places == [f"{path}:{number}" for number in empty[:5]]
    assert f"2 rows read, {len(empty)} left out" in problems.file(str(path)).described()


def test_mostly_bad_rows_are_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "text\tlabel\ngood\tx\n" + "bad\t\n" * 3)
    with pytest.raises(CorpusError) as caught:
        list(read_texts(path))
    assert "3 of 4 bad; 3 rows have no label" in str(caught.value)
    late = write(tmp_path, "b.tsv", "text\tlabel\n" + "good\tx\n" * 60 + "bad\t\n" * 200)
    problems = Problems()
    assert len(brief(late, problems=problems)) == 60
    assert problems.counts == {"missing_label": 200}


def test_plain_text_is_a_text_a_line_only_without_labels(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "First, a line.\n\nText and a\ttab.\n第三行\n")
    texts = ["First, a line.", "Text and a\ttab.", "第三行"]
    records = list(read_texts(path, labelled=False))
    assert [(r.id, r.text, r.label) for r in records] == list(zip("134", texts, [None] * 3, strict=True))
    with pytest.raises(ConfigError, match="no column for text"):
        list(read_texts(path))


def test_unlabelled_pairs_are_parted_by_a_tab(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "it rains\tit is wet\nno tab\nx\ty\n")
    problems = Problems()
    pairs = brief(path, pair=True, labelled=False, problems=problems)
    assert pairs == [("it rains", "it is wet", None), ("x", "y", None)]
    assert problems.counts == {"too_few_fields": 1}


def test_a_table_without_labels_uses_its_header(tmp_path: Path) -> None:
    for name in ("a.txt", "a.tsv"):
        path = write(tmp_path, name, "text\tlabel\none\tx\ntwo\n")
        assert brief(path, labelled=False) == [("one", None), ("two", None)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16"])
def test_encodings_are_told_and_may_be_named(tmp_path: Path, encoding: str) -> None:
    text = "text\tlabel\n" + "我们在这个城市里生活了很多年，每一天都有新的事情发生。\t好\n" * 4
    path = write(tmp_path, "a.tsv", text.encode(encoding))
    assert set(brief(path)) == {("我们在这个城市里生活了很多年，每一天都有新的事情发生。", "好")}
    assert brief(path, encoding="utf-8" if encoding == "utf-8-sig" else encoding) == brief(path)


def test_mixed_encodings_are_counted(tmp_path: Path) -> None:
    lines = "text\tlabel\n" + "我们在这个城市里生活了很多年。\t好\n" * 20
    path = write(tmp_path, "a.tsv", lines.encode() + "天气\t坏\n".encode("gb18030"))
    problems = Problems()
    assert len(brief(path, problems=problems)) == 21
    assert problems.counts["broken_bytes"] > 0


def test_compressed_files_and_the_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zstandard

    data = b"text\tlabel\none\tx\n"
    expected = [("one", "x")]
    plain = write(tmp_path, "a.tsv", data)
    files = [
        plain,
        write(tmp_path, "a.tsv.gz", gzip.compress(data)),
        write(tmp_path, "a.tsv.zst", zstandard.compress(data)),
    ]
    assert [brief(file) for file in files] == [expected] * 3
    assert len({fingerprint(file) for file in files}) == 1
    assert fingerprint(plain) != fingerprint(write(tmp_path, "b.tsv", data + b"\n"))
    for piped in (data, gzip.compress(data), b'{"text": "one", "label": "x"}\n'):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped)))
        assert brief(Path("-")) == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\n")))
    assert [r.where for r in read_texts("-", labelled=False)] == ["standard input:1"]


def test_files_that_cannot_be_read_are_our_errors(tmp_path: Path) -> None:
    cut = gzip.compress(b"text\tlabel\n" + bytes(range(32, 127)) * 300)[:-20]
    (tmp_path / "sub").mkdir()
    write(tmp_path, "train.tsv", "text\tlabel\na\tb\n")
    for path, message in (
        (write(tmp_path, "a.tsv", b""), "no labelled text"),
        (write(tmp_path, "b.tsv", "text\tlabel\n"), "no labelled text"),
        (write(tmp_path, "c.jsonl", "\n\n"), "no labelled text"),
        (write(tmp_path, "d.csv", b"PK\x03\x04" + bytes(100)), "not a text file"),
        (write(tmp_path, "e.tsv.gz", cut), "damaged"),
        (tmp_path / "sub", "a folder instead of a file"),
        (tmp_path / "trian.tsv", "did you mean train.tsv"),
    ):
        with pytest.raises(CorpusError) as caught:
            list(read_texts(path))
        assert message in str(caught.value)
    with pytest.raises(ConfigError, match="unknown encoding"):
        list(read_texts(tmp_path / "train.tsv", encoding="klingon"))


def test_suffixes() -> None:
    assert [form_suffix(name) for name in ("a.TSV", "a.json.gz", "b.x.zst", "-", "seq")] == [
        ".tsv",
        ".json",
        ".x",
        "",
        "",
    ]


def test_reading_is_streaming(tmp_path: Path) -> None:
    import itertools
    import tracemalloc

    path = write(tmp_path, "a.tsv", "text\tlabel\n" + "a sentence of some words\tx\n" * 200_000)
    tracemalloc.start()
    n = sum(1 for _ in itertools.islice(read_texts(path), 60_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n == 60_000
    assert path.stat().st_size > 5_000_000
    assert peak < 15_000_000  # a megabyte of text at a time, in a few forms


def test_files_as_they_were_fetched(any_data: Path) -> None:
    tasks, real = any_data / "tasks", any_data == SHARED_DATA
    numbers = {"text": "1", "label": "2"}
    train = list(read_texts(tasks / "sst2/train.tsv", columns=numbers))
    assert Counter(r.label for r in train) == ({"0": 3310, "1": 3610} if real else {"0": 400, "1": 400})
    assert sum(1 for _ in read_texts(tasks / "sst2/test.tsv", columns=numbers)) == (1821 if real else ROWS)
    for name, n in (("train", 4500), ("trial", 500), ("test_annotated", 4927)):
        records = list(read_texts(tasks / f"sick/SICK_{name}.txt", pair=True))
        assert len(records) == (n if real else ROWS)
        assert {r.label for r in records} == {"NEUTRAL", "ENTAILMENT", "CONTRADICTION"}
    for name, n in (("train", 9600), ("dev", 1200), ("test", 1200)):
        assert Counter(type(r.label) for r in read_texts(tasks / f"chnsenticorp/{name}.tsv")) == {
            str: n if real else ROWS
        }
    problems = Problems()
    for name, n in (("train.10k", 10_000), ("train.3k", 3000), ("dev", 3000)):
        before = problems.counts.get("missing_label", 0)
        kept = sum(1 for _ in read_texts(tasks / f"ocnli/{name}.json", pair=True, problems=problems))
        assert kept + problems.counts["missing_label"] - before == (n if real else ROWS)
    assert problems.counts == {"missing_label": 71 if real else 12}  # "-": no majority


def test_the_columns_of_a_ground_truth_manifest_are_proposed(tmp_path: Path) -> None:
    rows = [
        {
            "source": text,
            "my-job": number,
            "my-job-metadata": {
                "class-name": name,
                "confidence": 0.9,
                "job-name": "labeling-job/my-job",
                "human-annotated": "yes",
                "creation-date": f"2020-01-0{day}T00:00:00.123456",
                "type": "groundtruth/text-classification",
            },
        }
        for day, (text, number, name) in enumerate(
            [("good", 0, "pos"), ("so bad", 1, "neg"), ("ok", 0, "pos")], 1
        )
    ]
    path = write(tmp_path, "a.manifest", "".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ConfigError) as caught:
        list(read_texts(path))
    assert caught.value.fix == "--columns text=source,label=my-job-metadata.class-name"
    columns = {"text": "source", "label": "my-job-metadata.class-name"}
    assert brief(path, columns=columns)[0] == ("good", "pos")


def test_a_column_that_says_the_same_everywhere_is_no_label(tmp_path: Path) -> None:
    rows = [
        {"text": text, "prediction": None, "annotation": name, "multi_label": False, "status": "Validated"}
        for text, name in [("a good day", "pos"), ("a bad day", "neg"), ("fine", "pos")]
    ]
    path = write(tmp_path, "argilla.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ConfigError) as caught:
        list(read_texts(path))
    assert caught.value.fix == "--columns text=text,label=annotation"


def test_joined_labels_are_told(tmp_path: Path) -> None:
    path = write(tmp_path, "doccano.csv", "id,text,label\n1,a fine day,pos#long\n2,dull,C#\n")
    problems = Problems()
    assert [record.label for record in read_texts(path, problems=problems)] == ["pos#long", "C#"]
    assert problems.counts == {"joined_label": 1}


def test_rows_that_are_sorted_by_class_do_not_make_a_label_of_another_column(tmp_path: Path) -> None:
    rows = "".join(f"{n}\ta day of {n} hours\tpos\n" for n in range(150)) + "150\ta bad day\tneg\n"
    path = write(tmp_path, "a.tsv", "place\treview\tpolarity\n" + rows)
    with pytest.raises(ConfigError) as caught:
        list(read_texts(path))
    assert caught.value.fix == "a file with a column for each of text, label"
