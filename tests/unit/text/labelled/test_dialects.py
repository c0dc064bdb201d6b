"""What parts the fields of a table and what its quotes mean is told by the file; nothing that is lost is uncounted."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from polyseme.errors import ConfigError, CorpusError
from polyseme.text.labelled.dialects import read_separator
from polyseme.text.labelled.records import Problems
from polyseme.text.labelled.tables import read_texts

ROWS = [
    ("a fine day", "good"),
    ("too long, and dull", "bad"),
    ("warm; fresh", "good"),
    ("cold | soup", "bad"),
]


def read(
    tmp_path: Path, text: str | bytes, name: str = "a.csv", **options: object
) -> tuple[list[tuple[str, object]], Problems, str]:
    """Texts with labels, what was wrong, and the form that the file was taken for."""
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    problems = Problems()
    records = list(read_texts(path, problems=problems, **options))  # type: ignore[arg-type]
    return [(r.text, r.label) for r in records], problems, problems.files[str(path)].form


def written(separator: str, rows: list[tuple[str, str]], **options: object) -> str:
    """A table as Python's csv (and so pandas) writes it."""
    file = io.StringIO()
    csv.writer(file, delimiter=separator, lineterminator="\n", **options).writerows(  # type: ignore[arg-type]
        [("text", "label"), *rows]
    )
    return file.getvalue()


@pytest.mark.parametrize(
    ("body", "bad", "kept"),
    [
        ('ok,good\n"open,bad\n' + "fine,good\nmore,bad\n" * 20, [3], 41),
        ('ok,good\nrow,bad\n"open,bad\n', [4], 2),
        ('"open,bad\nok,good\nrow,bad\n', [2], 2),
        ('a,good\nb,bad\n"open,bad\nd,good\n"again,bad\nf,good\n', [4, 6], 4),
        ('a,good\n"open,bad\nc,good\n"x, y",bad\nd,good\n', [3], 4),
        ('a,good\nb,bad\nc,good\nd,bad\n"open,bad\ne,good\nit is 5",bad\nf,good\n', [6], 7),
    ],
    ids=["middle", "last", "first", "two", "before a quoted row", "before a quote at the end of a field"],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_stray_quote_costs_its_own_row_alone(
    tmp_path: Path, body: str, bad: list[int], kept: int, end: str
) -> None:
    rows, problems, _ = read(tmp_path, ("text,label\n" + body).replace("\n", end))
    assert len(rows) == kept
    assert problems.counts == {"bad_quotes": len(bad)}
    path = tmp_path / "a.csv"
    assert [one["where"] for one in problems.report()["bad_quotes"]["examples"]] == [
        f"{path}:{n}" for n in bad
    ]
    assert (problems.files[str(path)].rows, problems.files[str(path)].left_out) == (kept, len(bad))


@pytest.mark.parametrize(
    "text",
    [
        "one\ntwo, three\n\nfour",
        'a "quoted"\nsecond "line"\n',
        "Roses are red,\nviolets are blue,\nand so are you",
        "foo(a,b)\nbar(c,d)",
        "\n" * 300 + "the end",
    ],
)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_fields_over_several_lines_stay_whole(tmp_path: Path, text: str, separator: str) -> None:
    rows = [("x", "poem"), ("y", "prose"), (text, "poem"), ("z", "prose"), ('said "no"', "prose")]
    found, problems, form = read(tmp_path, written(separator, rows))
    assert found == rows
    assert not problems.counts
    assert "quoted fields" in form


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.txt"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_pandas_and_excel_write_with_tabs_is_read(
    tmp_path: Path, quoting: int, name: str, encoding: str
) -> None:
    rows = [*ROWS, ('he said "no"', "bad"), ("two\nlines", "good"), ("a\ttab", "bad"), ('"', "good")]
    text = written("\t", rows, quoting=quoting)
    found, problems, form = read(tmp_path, text.encode(encoding), name)
    assert found == rows
    assert not problems.counts
    assert form == "tabs between fields, quoted fields"


@pytest.mark.parametrize(
    "lines",
    [
        ['"open it\t1', 'and "this" one\t0', '"whole"\t1', 'close"\t0'],
        ["x\t1", '"open\t1', "more\t0", 'close"\t0', "y\t1"],
        ['"Hello."\t1', "Bye\t0", "x\t1"],
    ],
)
def test_quotes_of_a_plain_tsv_stay_as_they_are(tmp_path: Path, lines: list[str]) -> None:
    rows, problems, form = read(tmp_path, "\n".join(["text\tlabel", *lines]), "a.tsv")
    assert rows == [tuple(line.split("\t")) for line in lines]
    assert not problems.counts
    assert form == "tabs between fields, quotes are ordinary characters"


@pytest.mark.parametrize(("mark", "name"), [(",", "comma"), (";", "semicolon"), ("\t", "tab"), ("|", "bar")])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt"])
@pytest.mark.parametrize("top", ["", "sep={}\n", '"sep={}"\n', "# exported\n# by a tool, in 2024\n"])
def test_separators_are_seen_whatever_the_suffix(
    tmp_path: Path, mark: str, name: str, suffix: str, top: str
) -> None:
    text = "\ufeff" + top.format(mark) + written(mark, ROWS)
    rows, problems, form = read(tmp_path, text, "a" + suffix)
    assert rows == ROWS
    assert form.startswith(f"{name}s between fields")
    assert problems.counts == ({"comment": 2} if top.startswith("#") else {})
    headless = written(mark, ROWS).split("\n", 1)[1]
    if not top:
        assert read(tmp_path, headless, "b" + suffix, columns={"text": "1", "label": "2"})[0] == ROWS


@pytest.mark.parametrize("mark", ["^", "::", "~", "\x01", "§"])
def test_other_separators_are_given(tmp_path: Path, mark: str) -> None:
    text = "\n".join(mark.join(row) for row in [("text", "label"), *ROWS])
    assert read(tmp_path, text, separator=mark)[0] == ROWS
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert (caught.value.fix or "").startswith("--separator ")
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, written(";", ROWS), separator="|")
    assert caught.value.fix == "--separator semicolon"


def test_names_of_separators() -> None:
    assert [read_separator(name) for name in ("tab", "\\t", "Comma", "pipe", ";", "||")] == [
        *("\t", "\t", ",", "|", ";", "||")
    ]
    for wrong in ("", '"', "\n"):
        with pytest.raises(ConfigError, match="no separator"):
            read_separator(wrong)


def test_decimal_commas_between_semicolons(tmp_path: Path) -> None:
    rows = [("a, b", "4,25"), ("c", "3,5"), ("d", "1")]
    assert read(tmp_path, written(";", rows))[0] == rows


def test_one_column_may_hold_commas(tmp_path: Path) -> None:
    rows, _, form = read(tmp_path, 'text\nHello, world\n"Quoted, too"\nfine\n', labelled=False)
    assert [text for text, _ in rows] == ["Hello, world", "Quoted, too", "fine"]
    assert form == "one column, quoted fields"
    rows, _, _ = read(tmp_path, "Hello, world\nfine\nno\n", labelled=False, columns={"text": "1"})
    assert [text for text, _ in rows] == ["Hello, world", "fine", "no"]


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ('"","text","label"\n"1","a, b","x"\n"2","c","y"\n', "a.csv", [("a, b", "x"), ("c", "y")]),
        ('"text"\t"label"\n"1"\t"a"\t"x"\n"2"\t"c"\t"y"\n', "a.tsv", [("a", "x"), ("c", "y")]),
        ("Unnamed: 0,text,label\n0,a,x\n1,b,y\n", "a.csv", [("a", "x"), ("b", "y")]),
        ("text,label,\na,x,\nb,y,\n", "a.csv", [("a", "x"), ("b", "y")]),
        ("text,label\na,x,\nb,y,,\n", "a.csv", [("a", "x"), ("b", "y")]),
        ("text , label\na,x\nb,y\n", "a.csv", [("a", "x"), ("b", "y")]),
        ('text, label\n"a", "x"\n"b", "y"\n', "a.csv", [("a", "x"), ("b", "y")]),
        ('text,label\n"He said \\"hi, you\\"",x\nb,y\n', "a.csv", [('He said "hi, you"', "x"), ("b", "y")]),
        ('text,label\nb,"he said \\"no\\""\nc,"y"\n', "a.csv", [("b", 'he said "no"'), ("c", "y")]),
        ('text,label\n"Yes" he said,x\nb,y\n', "a.csv", [('"Yes" he said', "x"), ("b", "y")]),
        ('text,"label\na,x\nb,y\n', "a.csv", [("a", "x"), ("b", "y")]),
    ],
    ids=[
        "write.csv",
        "write.table",
        "index",
        "trailing",
        "more",
        "padded",
        "spaced",
        "Spark",
        "Spark at the end",
        "after",
        "header",
    ],
)
def test_what_tools_write_is_read(
    tmp_path: Path, text: str, name: str, expected: list[tuple[str, str]]
) -> None:
    rows, problems, _ = read(tmp_path, text, name)
    assert rows == expected
    assert not problems.counts


def test_lines_of_old_macs(tmp_path: Path) -> None:
    rows, problems, _ = read(tmp_path, written(",", ROWS).replace("\n", "\r"))
    assert rows == ROWS
    assert problems.counts == {"cr_lines": 1}


def test_comments_between_rows_are_counted_and_hashtags_kept(tmp_path: Path) -> None:
    rows, problems, _ = read(tmp_path, "text,label\na,x\n# half\n#tag first,y\n")
    assert rows == [("a", "x"), ("#tag first", "y")]
    assert problems.counts == {"comment": 1}
    text = "Quality\t#1 String\t#2 String\n1\ta b\tc d\n0\te\tf\n"
    columns = {"text": "#1 String", "text_b": "#2 String", "label": "Quality"}
    assert read(tmp_path, text, "a.tsv", pair=True, columns=columns)[0] == [("a b", "1"), ("e", "0")]


def test_surplus_fields_of_a_table_without_header_are_told(tmp_path: Path) -> None:
    text = "a,x\n" * 20 + "b, c,y\n"
    rows, problems, _ = read(tmp_path, text, columns={"text": "1", "label": "2"})
    assert len(rows) == 20
    assert problems.counts == {"too_many_fields": 1}


@pytest.mark.parametrize("quoted", [True, False])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_field_may_be_as_long_as_a_book(tmp_path: Path, name: str, quoted: bool) -> None:
    long = "a" * 200_000
    separator = "," if name == "a.csv" else "\t"
    field = f'"{long}"' if quoted and name == "a.csv" else long
    rows, problems, _ = read(
        tmp_path, f"text{separator}label\n{field}{separator}x\nshort{separator}y\n", name
    )
    assert rows == [(long, "x"), ("short", "y")]
    assert not problems.counts


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1251", "Хороший день, тёплый хлеб"),
        ("koi8-r", "Хороший день, тёплый хлеб"),
        ("shift-jis", "良い一日です"),
        ("euc-kr", "좋은 하루입니다"),
        ("cp1250", "příliš žluťoučký kůň"),
        ("cp1253", "καλημέρα κόσμε"),
        ("big5", "今天是美好的一天"),
        ("utf-16-le", "a fine day"),
    ],
)
def test_an_encoding_that_is_named_is_read_and_one_that_is_not_known_proposed(
    tmp_path: Path, encoding: str, text: str
) -> None:
    data = written("\t", [(f"{text} {n}", "ab"[n % 2]) for n in range(20)]).encode(encoding)
    rows, problems, _ = read(tmp_path, data, "a.tsv", encoding=encoding)
    assert rows[0] == (f"{text} 0", "a")
    assert problems.files[str(tmp_path / "a.tsv")].encoding == encoding
    if encoding not in ("big5", "utf-16-le"):
        with pytest.raises(CorpusError, match="not recognised") as caught:
            read(tmp_path, data, "a.tsv")
        assert caught.value.fix == f"--encoding {encoding}"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.xlsx", b"PK\x03\x04" + b"\0" * 26 + b"[Content_Types].xml", "Excel"),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 100, "Excel"),
        ("a.csv.zip", b"PK\x03\x04" + b"\0" * 26 + b"a.csv", "zip archive"),
        ("a.csv.bz2", b"BZh91AY&SY" + b"\0" * 50, "bzip2"),
        ("a.csv.xz", b"\xfd7zXZ\0" + b"\0" * 50, "xz"),
    ],
)
def test_what_is_no_text_is_called_by_its_name(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    with pytest.raises(CorpusError, match="not a text file") as caught:
        read(tmp_path, data, name)
    assert message in str(caught.value)
    assert "--encoding" not in str(caught.value)


def test_columns_quoted_from_top_to_bottom_may_hold_quotes_after_a_backslash(tmp_path: Path) -> None:
    rows = ['"0_8"\t1\t"It is \\"good\\" <br />"', '"1_8"\t0\t"bad"', '"2_8"\t0\t"\\"dull\\" and \\"long\\""']
    found, problems, form = read(tmp_path, "id\tsentiment\treview\n" + "\n".join(rows) + "\n", "a.tsv")
    assert found == [('It is "good" <br />', "1"), ("bad", "0"), ('"dull" and "long"', "0")]
    assert (problems.counts, form) == ({}, "tabs between fields, quoted fields")
