"""Every kind of dirt is removed by its rule and counted."""

from __future__ import annotations

import pytest

import polyseme.text.clean as module
from polyseme.text.clean import KINDS, CleaningReport, clean

CASES = [
    ("a\r\nb\r\n", "a\nb", {"crlf": 2}),
    ("a\rb", "a\nb", {"cr": 1}),
    ("a\r\nb\rc", "a\nb\nc", {"crlf": 1, "cr": 1}),
    ("a\x0bb\x0cc\x85d\u2028e\u2029f", "a\nb\nc\nd\ne\nf", {"line_separator": 5}),
    ("a\x00b\x00", "ab", {"nul": 2}),
    ("a\x07b\x1bc\x7fd\x9fe", "abcde", {"control": 4}),
    ("a\ud800b\udfff", "a\ufffdb\ufffd", {"lone_surrogate": 2}),
    ("a\ufdd0b\uffffc\U0001ffffd\U0010fffe", "abcd", {"noncharacter": 4}),
    ("a\ufeffb", "ab", {"zero_width_no_break": 1}),
    ("a \nb\t \nc\u3000\n\nd", "a\nb\nc\n\nd", {"trailing_space": 3}),
    ("cafe\u0301", "caf\xe9", {"not_nfc": 1}),
    ("\n\n a\n \n", " a", {"trailing_space": 1}),
    ("\x00\ufeff \n", "", {"nul": 1, "zero_width_no_break": 1, "trailing_space": 1}),
]


@pytest.mark.parametrize(("dirty", "expected", "counts"), CASES)
def test_each_rule(dirty: str, expected: str, counts: dict[str, int]) -> None:
    report = CleaningReport()
    assert clean(dirty, report) == expected
    assert dict(report.counts) == counts
    assert set(counts) <= set(KINDS)


@pytest.mark.parametrize(
    "text", ["plain", "tab\there\nand line", "caf\xe9 – “x” 中文，😀 \xa0x", "e\u200b\u00ad\ufffd"]
)
def test_clean_text_is_returned_as_it_is_and_counts_nothing(text: str) -> None:
    report = CleaningReport()
    assert clean(text, report) is text
    assert not report.counts


def test_normal_forms() -> None:
    report = CleaningReport()
    assert clean("ﬁ e\u0301", report, normalize="none") == "ﬁ e\u0301"
    assert not report.counts
    assert clean("ﬁ１", report, normalize="NFKC") == "fi1"
    assert report.counts == {"not_nfkc": 1}


def test_the_report_keeps_the_first_place_of_each_kind() -> None:
    report = CleaningReport()
    clean("abc\x00\x00", report, source="one.txt", offset=100)
    clean("\x00", report, source="two.txt")
    clean("x\x07", report, source="r.jsonl", offset=7, unit="line")
    assert report.as_dict() == {
        "counts": {"control": 1, "nul": 3},
        "examples": {"control": "r.jsonl, line 7", "nul": "one.txt, character 103"},
    }


def test_reports_merge() -> None:
    one, two = CleaningReport(), CleaningReport()
    one.add("nul", 2, "a")
    two.add("nul", 1, "b")
    two.add("cr", 1, "c")
    one.merge(two)
    assert one.as_dict() == {"counts": {"cr": 1, "nul": 3}, "examples": {"cr": "c", "nul": "a"}}


def test_long_runs_of_spaces_take_linear_time() -> None:
    assert clean("a" + " " * 32_000 + "b", CleaningReport()).endswith("b")


def test_every_character_that_is_dirt_is_seen_beside_chinese_punctuation() -> None:
    clean_text = "“北京”，é…"
    assert not module._is_dirty(clean_text)
    for block in range(0, 0x110000, 64):  # 64 characters that are all clean are clean together
        characters = [chr(code) for code in range(block, block + 64)]
        dirty = [c for c in characters if module._DIRT.match(c)]
        assert all(module._is_dirty(clean_text + c) for c in dirty)
        assert not module._is_dirty(clean_text + "".join(c for c in characters if c not in dirty))
