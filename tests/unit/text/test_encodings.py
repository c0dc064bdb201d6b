"""Encodings are told from the first bytes; what is not text is told, too."""

from __future__ import annotations

import random
import zlib

import pytest

from polyseme.errors import ConfigError
from polyseme.text.clean import CleaningReport
from polyseme.text.encodings import check_name, decode_stream, detect

ENGLISH = "It was a bright cold day in April, and the clocks were striking thirteen. " * 3
FRENCH = "Les élèves français préfèrent le café à la crème; où êtes-vous? Ça va très bien. " * 3
GERMAN = "Die Straße führt über die Brücke zum schönen Schloß. " * 3
SIMPLIFIED = "我们在这个城市里生活了很多年，每一天都有新的事情发生。" * 3
TRADITIONAL = "我們在這個城市裡生活了很多年，每一天都有新的事情發生。" * 3


@pytest.mark.parametrize(
    ("text", "written", "expected"),
    [
        (ENGLISH, "ascii", "utf-8"),
        (FRENCH, "utf-8", "utf-8"),
        (SIMPLIFIED, "utf-8", "utf-8"),
        (FRENCH, "latin-1", "cp1252"),
        (GERMAN, "latin-1", "cp1252"),
        ("He said “yes” – and left. " * 5, "cp1252", "cp1252"),
        (SIMPLIFIED, "gb18030", "gb18030"),
        ("今天天气很好，我们去公园。", "gbk", "gb18030"),
        ("Python " + SIMPLIFIED, "gb18030", "gb18030"),
        (TRADITIONAL, "big5", "cp950"),
        (ENGLISH, "utf-16-le", "utf-16-le"),
        (ENGLISH, "utf-16-be", "utf-16-be"),
        (SIMPLIFIED, "utf-16-le", "utf-16-le"),
        (TRADITIONAL, "utf-16-be", "utf-16-be"),
        (ENGLISH, "utf-32-le", "utf-32-le"),
        (ENGLISH, "utf-32-be", "utf-32-be"),
        ("one\x00two\x00three " * 5, "utf-8", "utf-8"),  # NULs are dirt, not UTF-16
    ],
)
def test_detects_what_was_written(text: str, written: str, expected: str) -> None:
    assert detect(text.encode(written)) == (expected, 0)


@pytest.mark.parametrize(
    ("codec", "expected"),
    [("utf-8-sig", ("utf-8", 3)), ("utf-16", ("utf-16-le", 2)), ("utf-32", ("utf-32-le", 4))],
)
def test_byte_order_marks(codec: str, expected: tuple[str, int]) -> None:
    assert detect(ENGLISH.encode(codec)) == expected


def test_a_character_cut_at_the_end_of_the_head_is_no_error() -> None:
    data = SIMPLIFIED.encode()
    assert all(detect(data[:n]) == ("utf-8", 0) for n in range(len(data) - 4, len(data)))


def test_a_few_broken_bytes_leave_utf8() -> None:
    assert detect(SIMPLIFIED.encode() + b"\xff\xfe" + SIMPLIFIED.encode()) == ("utf-8", 0)
    assert detect(ENGLISH.encode() + b"\xff\xfe" + ENGLISH.encode()) == ("utf-8", 0)


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04rest of a zip",
        b"%PDF-1.7\n",
        b"\x89PNG\r\n\x1a\n",
        zlib.compress(random.Random(1).randbytes(5000)),
        random.Random(2).randbytes(5000),
        bytes(5000),
        b"\x00\x01\x02\x03" * 500,
    ],
)
def test_binary_data_is_not_text(data: bytes) -> None:
    assert detect(data) is None


def test_an_unknown_name_suggests_the_near_one() -> None:
    assert check_name("GB18030") == "gb18030"
    assert check_name("Latin-1") == "cp1252"
    for name in ("utf8x", "hex", "zlib"):
        with pytest.raises(ConfigError):
            check_name(name)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_streams_keep_characters_and_line_ends_whole(size: int) -> None:
    text = "天\r\n地\r玄\n黄😀\r\r\n" * 3
    for codec in ("utf-8", "utf-16-le", "gb18030"):
        data, report = text.encode(codec), CleaningReport()
        chunks = (data[i : i + size] for i in range(0, len(data), size))
        assert "".join(decode_stream(chunks, codec, report, "f")) == text.replace("\r\n", "\n").replace(
            "\r", "\n"
        )
        assert report.counts == {"crlf": 6, "cr": 6}


def test_broken_bytes_are_replaced_counted_and_placed() -> None:
    report = CleaningReport()
    data = "已有\ufffd的".encode() + b"ab\xffcd\xe4\xb8" + "完".encode() + b"\xe4"
    assert (
        "".join(decode_stream([data[:9], data[9:]], "utf-8", report, "f"))
        == "已有\ufffd的ab\ufffdcd\ufffd完\ufffd"
    )
    assert report.counts == {"broken_bytes": 3}
    assert report.examples["broken_bytes"].startswith("f, character ")
