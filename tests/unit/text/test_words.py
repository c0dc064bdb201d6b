"""Word boundaries in English and Chinese."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import polyseme
from polyseme.text.words import IDEOGRAPH_RANGES, cjk_share, is_cjk, word_spans


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Don't panic, Mr. O’Brien!", "en", ["Don't", "panic", "Mr", "O’Brien"]),
        ("well-known 3.14 x_y 'tis", "en", ["well-known", "3", "14", "x", "y", "tis"]),
        ("Ünïcode e\u0301té", "en", ["Ünïcode", "e\u0301té"]),
        ("我来到北京清华大学。", "zh", ["我", "来到", "北京", "清华大学"]),
        ("用Python写3个程序😀吧", "zh", ["用", "Python", "写", "3", "个", "程序", "吧"]),
        ("北京", "en", ["北", "京"]),
        ("", "zh", []),
    ],
)
def test_words(text: str, language: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in word_spans(text, language)] == expected


def test_share_of_chinese() -> None:
    assert cjk_share("abc") == cjk_share("") == cjk_share("，。") == 0.0
    assert cjk_share("中文") == 1.0
    assert cjk_share("中文ab, 12") == 0.5


def test_chinese_ranges_are_written_once() -> None:
    """Four rooms used to write them, and they were not the same ones."""
    source = Path(polyseme.__file__).parent
    ranges = re.compile(r"u4e00|0x4e00|9fff", re.IGNORECASE)
    written = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if ranges.search(path.read_text("utf-8"))
    }
    assert written == {"text/words.py", "tasks/metrics/answers.py"}  # the second is CMRC 2018's own rule
    assert all(is_cjk(chr(code)) for first, last in IDEOGRAPH_RANGES for code in (first, last))
    assert not any(is_cjk(chr(code)) for code in (0x33FF, 0x4DC0, 0xA000))
