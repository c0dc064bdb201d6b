"""A label has one form whatever the file; marks of what is missing are told; columns are guessed in errors only."""

from __future__ import annotations

import datetime
import json
import shlex
from pathlib import Path

import pytest

from polyseme.cli.options import read_columns
from polyseme.errors import ConfigError, CorpusError
from polyseme.tasks.classify import Classify, TextConfig, _kind_of
from polyseme.text.labelled.opening import ReadOptions
from polyseme.text.labelled.records import Problems, TextRecord
from polyseme.text.labelled.tables import as_number, read_texts


def labels(path: Path, **options: object) -> list[object]:
    return [record.label for record in read_texts(path, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("in_table", "in_json", "expected"),
    [
        ("1.0", 1, "1"),
        ("1.0", 1.0, "1"),
        ("1", 1.0, "1"),
        ("-2.00", -2, "-2"),
        ("True", True, "true"),
        ("TRUE", True, "true"),
        ("false", False, "false"),
        ("01", "01", "01"),
        ("2024-01-31", "2024-01-31", "2024-01-31"),
        (" spaced ", " spaced ", "spaced"),
        ("['x', 'y']", ["x", "y"], ("x", "y")),
        ('["x", "y"]', ["x", "y"], ("x", "y")),
        ("[1, 2]", [1, 2], ("1", "2")),
        ("[]", [], ()),
        ("[removed]", "[removed]", "[removed]"),
        ("1e3", "1e3", "1e3"),
    ],
)
def test_two_readers_never_disagree(tmp_path: Path, in_table: str, in_json: object, expected: object) -> None:
    """The same value in .csv, .tsv, .jsonl and .json."""
    quoted = in_table.replace('"', '""')
    (tmp_path / "a.csv").write_text(f'text,label\nx,"{quoted}"\ny,other\n', "utf-8")
    (tmp_path / "a.tsv").write_text(f'"text"\t"label"\n"x"\t"{quoted}"\n"y"\t"other"\n', "utf-8")
    rows = [{"text": "x", "label": in_json}, {"text": "y", "label": "other"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    (tmp_path / "a.json").write_text(json.dumps(rows), "utf-8")
    found = [labels(tmp_path / f"a.{form}") for form in ("csv", "tsv", "jsonl", "json")]
    assert found == [[expected, "other"]] * 4


def test_a_parquet_table_has_the_same_labels(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {
        "flag": [True, None, False],
        "float": [1.0, float("nan"), 0.0],
        "day": [datetime.date(2024, 1, 31), None, datetime.date(2024, 2, 1)],
        "name": ["01", None, "1"],
        "several": [["x", "y"], None, []],
    }
    expected = [["true", "false"], ["1", "0"], ["2024-01-31", "2024-02-01"], ["01", "1"], [("x", "y"), ()]]
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": ["a", "b", "c"], **columns}), path)
    for name, wanted in zip(columns, expected, strict=True):
        problems = Problems()
        assert labels(path, columns={"label": name}, problems=problems) == wanted
        assert sum(problems.counts.values()) == problems.files[str(path)].left_out == 1
    with pytest.raises(ConfigError) as caught:
        labels(path, columns={"text": "1", "label": "5"})
    assert str(caught.value.fix).startswith("--columns text=text,label=")
    path.write_bytes(b"PAR1" + bytes(20))
    with pytest.raises(CorpusError, match="not a table"):
        labels(path)


def test_labels_that_were_learned_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\nx,1.0\ny,True\nz,nan\n", "utf-8")
    assert labels(tmp_path / "a.csv", known=("1.0", "True", "nan")) == ["1.0", "True", "nan"]


@pytest.mark.parametrize(
    "mark", ["nan", "NaN", "-nan", "<NA>", "#N/A", "NULL", "null", "NaT", "\\N", "#DIV/0!"]
)
def test_what_programs_write_for_nothing_is_left_out_and_counted(tmp_path: Path, mark: str) -> None:
    problems = Problems()
    path = tmp_path / "a.csv"
    path.write_text(f"text,label\na,x\nb,y\nc,{mark}\n{mark},x\nd,x\n", "utf-8")
    assert labels(path, problems=problems) == ["x", "y", "x"]
    assert problems.counts == {"missing_label_mark": 1, "missing_text_mark": 1}
    report = problems.report()
    assert report["missing_label_mark"]["examples"] == [{"where": f"{path}:4", "got": mark}]
    assert report["missing_text_mark"]["examples"] == [{"where": f"{path}:5", "got": mark}]


@pytest.mark.parametrize("mark", ["None", "none", "NA", "N/A", "-", "?"])
def test_what_may_be_meant_is_kept_and_told(tmp_path: Path, mark: str) -> None:
    problems = Problems()
    path = tmp_path / "a.csv"
    path.write_text(f"text,label\na,x\nb,y\nc,{mark}\n{mark},x\n", "utf-8")
    assert labels(path, problems=problems) == ["x", "y", mark, "x"]
    assert problems.counts == {"doubtful_label": 1, "doubtful_text": 1}
    assert f"{path}:4" in problems.summary()[0]


def test_lines_of_plain_text_hold_no_marks(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("nan\nNone\nfine\n", "utf-8")
    problems = Problems()
    assert len(list(read_texts(tmp_path / "a.txt", labelled=False, problems=problems))) == 3
    assert not problems.counts


def records(*values: object) -> list[TextRecord]:
    return [TextRecord(str(n), "t", label=value, where=f"a:{n}") for n, value in enumerate(values)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1.5", "2", "3.25", "4"] * 5, "number"),
        (["4,25", "3,5", "1", "2,75"], "single"),
        (["0,1", "2", "1,3"] * 5, "single"),
        (["1,000", "2,500", "12,000"] * 5, "single"),
        ([0.5, "1", 2.5] * 4, "number"),
        (["1", "2", "3", "4", "5"] * 4 + ["4.5"], "single"),
        (["1.5", "2.5", "3.5"] * 10 + ["N/A"], "number"),
        (["1.5", "2.5", "3.5"] * 10 + ["good"] * 10, "single"),
        (["good", "bad"] * 10 + ["1.5"], "single"),
        (["a", "b"] * 20 + [("a",)], "single"),
        ([("a",), ("a", "b")], "several"),
    ],
)
def test_one_odd_label_does_not_change_the_kind(values: list[object], kind: str) -> None:
    assert _kind_of(records(*values)) == kind


def test_among_numbers_what_is_none_is_left_out_and_counted() -> None:
    problems = Problems()
    problems.add("doubtful_label", "a:30", "N/A")
    found, kept = Classify.of_one_kind(TextConfig(), records(*["1.5", "2.5"] * 15, "N/A"), problems)
    assert (found.kind, len(kept)) == ("number", 30)
    assert problems.report() == {"not_a_number": {"count": 1, "examples": [{"where": "a:30", "got": "N/A"}]}}
    assert Classify(found).described(kept) == "numbers from 1.5 to 2.5 (regression)"


def test_what_labels_are_is_said() -> None:
    task = Classify(TextConfig(kind="single", labels=("10", "9")))
    assert task.described(records("9", "10", "9")) == "2 classes: 9, 10"
    task = Classify(TextConfig(kind="several", labels=("a", "b")))
    assert task.described(records(("a", "b"), ("a",))) == "2 classes, several a text: a, b"


ZH = "今天天气很好，我们去公园,{0}\n电影太长了没意思,{1}\n面包很香,{0}\n雨下个不停,{1}\n"
EN = "a fine day out,{0}\ntoo long and dull,{1}\ngood bread here,{0}\nbad soup,{1}\n"


@pytest.mark.parametrize(
    ("text", "fix", "first"),
    [
        ("内容,标签\n" + ZH.format("好", "坏").replace("，", "、"), "--columns text=内容,label=标签", "好"),
        ("Review Text,Rating\n" + EN.format(5, 1), "--columns 'text=Review Text,label=Rating'", "5"),
        ("Stars,What\n" + "5,a fine day\n1,a dull one\n" * 3, "--columns text=What,label=Stars", "5"),
        ("Nr,Satz,Art\n1,a fine day,x\n2,too long,y\n3,bad soup,x\n", "--columns text=Satz,label=Art", "x"),
        (EN.format("good", "bad"), "--columns text=1,label=2", "good"),
        ("5,a fine day\n1,a dull one\n5,good bread\n", "--columns text=2,label=1", "5"),
        ('"Text, long",Art\n"aa, bb cc dd",x\nb cc dd ee,y\nc cc dd ee,x\n', None, "x"),
        (
            "id,comment_text,toxic,severe\n01,you are nice,0,0\n02,you are not,1,0\n03,hm hm hm,0,0\n",
            None,
            "0",
        ),
        (
            "v1,v2,,,\nham,Go until jurong point,,,\nspam,Free entry in a comp,,,\nham,Ok lar,,,\n",
            None,
            "ham",
        ),
        ("id,qid1,Satz,is_duplicate\n7,1,What is it about?,0\n8,3,How does it go?,1\n", None, "0"),
        ("text,text,label\na,b,x\nc,d,y\n", "--columns text=text.0,label=label", "x"),
        ("text,label,label\na,x,y\nc,y,x\n", "--columns text=text,label=label.0", "x"),
    ],
)
def test_the_proposed_columns_work_when_typed(tmp_path: Path, text: str, fix: str | None, first: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        labels(path)
    option, typed = shlex.split(caught.value.fix or "")
    assert option == "--columns"
    assert fix is None or caught.value.fix == fix
    assert labels(path, columns=read_columns([typed]))[0] == first


def test_the_proposed_keys_of_json_work_when_typed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"data": {"body": f"a text of {n} words"}, "y": "ab"[n % 2], "n": n} for n in range(6)]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    for columns in ({}, {"text": "1", "label": "2"}):
        with pytest.raises(ConfigError) as caught:
            labels(path, columns=columns)
        assert caught.value.fix == "--columns text=data.body,label=y"
    assert labels(path, columns={"text": "data.body", "label": "y"}) == list("ababab")


def test_a_header_above_numbered_columns_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Label,Sentence\n1,a fine day\n0,a dull one\n", "utf-8")
    problems = Problems()
    assert labels(path, columns={"text": "2", "label": "1"}, problems=problems) == ["1", "0"]
    assert problems.counts == {"header_row": 1}


def test_columns_of_one_name_that_nobody_asks_for_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label,n,n\na,x,1,1\nb,y,2,2\n", "utf-8")
    assert labels(path) == ["x", "y"]


def test_how_files_are_read_is_one_value() -> None:
    asked = ReadOptions({"text": "a"}, separator=";")
    assert ReadOptions.of(asked) is asked
    assert ReadOptions.of({"text": "a"}) == ReadOptions({"text": "a"})
    assert ReadOptions.of(None).recorded == {}
    assert asked.recorded == {"separator": ";"}


def of_file(path: Path, text: str, **settings: object) -> tuple[str, list[object], dict[str, int]]:
    """The kind of a file's labels, the labels that are kept, and what was counted."""
    path.write_text(text, "utf-8")
    problems, config = Problems(), TextConfig.of(settings, "classify")
    read = list(Classify.read(path, config, {}, problems))
    found, kept = Classify.of_one_kind(config, read, problems)
    learned = Classify.learn(TextConfig.of({**settings, "pool": "mean"}, "classify"), kept, None)
    assert learned.kind == found.kind
    return found.kind, [record.label for record in kept], problems.counts


def test_joined_class_numbers_are_no_regression(tmp_path: Path) -> None:
    text = "text\tlabel\na\t0,1\nb\t2\nc\t1,3\n"
    assert of_file(tmp_path / "a.tsv", text) == ("single", ["0,1", "2", "1,3"], {"comma_numbers": 2})
    found = of_file(tmp_path / "a.tsv", text, separator=",")
    assert found == ("several", [("0", "1"), ("2",), ("1", "3")], {})


def test_a_decimal_comma_is_read_where_it_is_asked_for_or_usual(tmp_path: Path) -> None:
    rows = [f"row{n};{n},5" for n in range(6)]
    kind, kept, counts = of_file(tmp_path / "a.csv", "text;label\n" + "\n".join(rows) + "\n")
    assert (kind, kept, counts) == ("number", [f"{n}.5" for n in range(6)], {})
    tabs = "text\tlabel\n" + "\n".join(rows).replace(";", "\t") + "\n"
    assert of_file(tmp_path / "a.tsv", tabs)[0] == "single"
    kind, kept, counts = of_file(tmp_path / "a.tsv", tabs, kind="number")
    assert (kind, [as_number(label) for label in kept]) == ("number", [n + 0.5 for n in range(6)])


def test_thousands_become_no_decimals(tmp_path: Path) -> None:
    text = "text\tlabel\na\t1,000\nb\t2,5\nc\t3.25\nd\t0,125\ne\t7\n"
    kind, kept, counts = of_file(tmp_path / "a.tsv", text, kind="number")
    assert (kind, kept, counts) == ("number", ["2,5", "3.25", "0,125", "7"], {"ambiguous_number": 1})
    semicolons = "text;label\na;1,000\nb;2,500\nc;3,25\n"
    assert of_file(tmp_path / "a.csv", semicolons)[0] == "single"
