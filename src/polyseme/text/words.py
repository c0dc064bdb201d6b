"""Word boundaries: dictionary words for Chinese, runs of letters and digits elsewhere."""

from __future__ import annotations

import functools
import re
import unicodedata

import numpy as np
import numpy.typing as npt

__all__ = [
    "IDEOGRAPHS",
    "IDEOGRAPH_RANGES",
    "INSIDE",
    "LETTER",
    "TOKEN_PATTERN",
    "character_kinds",
    "cjk_share",
    "cjk_spans",
    "close_gaps",
    "has_cjk",
    "is_cjk",
    "is_wide",
    "token_spans",
    "word_spans",
]

IDEOGRAPH_RANGES = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF))
"""Han ideographs that every tokenizer cuts apart and no normaliser changes: nearly all of modern text."""
IDEOGRAPHS = "".join(f"{chr(first)}-{chr(last)}" for first, last in IDEOGRAPH_RANGES)
"""The same inside a pattern's brackets."""
# With 々, 〇, those for compatibility and the rare ones of the planes beyond: what a reader calls a Chinese character.
_CJK = f"\u3005\u3007{IDEOGRAPHS}\uf900-\ufaff\U00020000-\U0003ffff"
_CJK_CHARACTER = re.compile(f"[{_CJK}]")
_CJK_GAP = re.compile(f"(?<=[{_CJK}]) (?=[{_CJK}])")
_CJK_RUN = re.compile(f"[{_CJK}]+")
INSIDE = 16
LETTER = rf"[^\W{_CJK}]"
"""A pattern: one letter, digit or low line that is no Chinese character."""
# Letters, digits and marks; an apostrophe or a hyphen joins only between letters: don't, well-known.
_WORD = re.compile(rf"(?:(?![{_CJK}])[^\W_])(?:(?![{_CJK}])[^\W_]|[\u0300-\u036f]|['’-](?=[^\W\d_]))*")
_WORD_OR_CJK = re.compile(rf"(?P<cjk>[{_CJK}]+)|{_WORD.pattern}")
# The same, and every other visible character by itself; also the pattern of word-level tokenizers.
TOKEN_PATTERN = rf"[{_CJK}]+|{_WORD.pattern}|\S"
_TOKEN = re.compile(rf"(?P<cjk>[{_CJK}]+)|{_WORD.pattern}|\S")


def is_cjk(text: str) -> bool:
    """Whether the text begins with a Chinese character (Han ideograph)."""
    return _CJK_CHARACTER.match(text) is not None


def is_wide(character: str) -> bool:
    """Whether it is a Chinese or Japanese character or one of their punctuation marks."""
    return is_cjk(character) or unicodedata.east_asian_width(character) in "WF"


def has_cjk(text: str) -> bool:
    """Whether a Chinese character (Han ideograph) is anywhere in the text."""
    return not text.isascii() and _CJK_CHARACTER.search(text) is not None


def cjk_spans(text: str) -> list[tuple[int, int]]:
    """Spans of the runs of Chinese characters."""
    return [] if text.isascii() else [run.span() for run in _CJK_RUN.finditer(text)]


def cjk_share(text: str) -> float:
    """Share of Han ideographs among the letters and ideographs of a text."""
    if text.isascii():
        return 0.0
    ideographs = sum(len(run) for run in _CJK_RUN.findall(text))
    letters = sum(map(str.isalpha, text))  # ideographs are letters, too
    return ideographs / letters if letters else 0.0


def close_gaps(text: str) -> str:
    """Leave out the spaces between Chinese characters.

    Example:
        >>> close_gaps("自然 语言 API")
        '自然语言 API'
    """
    return _CJK_GAP.sub("", text)


@functools.cache
def every_character() -> str:
    """All code points in order; this takes and keeps four megabytes."""
    return "".join(map(chr, range(0x110000)))


@functools.cache
def character_kinds() -> npt.NDArray[np.uint8]:
    r"""Of every code point, as bits: 1 white space, 2 \w, 4 a letter, 8 a Chinese character, 16 INSIDE a sentence.

    The first two are those of `str.strip` and `re`, the fourth is that of `is_cjk`. What is INSIDE is an ideograph, a
    letter or digit of ASCII, a space or one of ，、；： and thus never ends a sentence.

    Shapes:  -> (0x110000,)
    """
    kinds = 4 * np.fromiter(map(str.isalpha, every_character()), np.uint8, 0x110000)
    for bit, runs in (
        (1, r"\s+"),
        (2, r"\w+"),
        (8, f"[{_CJK}]+"),
        (INSIDE, f"[{IDEOGRAPHS}a-zA-Z0-9 ，、；：]+"),
    ):
        for run in re.finditer(runs, every_character()):
            kinds[run.start() : run.end()] |= bit
    return kinds


def word_spans(text: str, language: str) -> list[tuple[int, int]]:
    """Character spans of the words of a text, in order, without spaces and punctuation.

    Args:
        text: any text.
        language: "zh" cuts runs of ideographs into dictionary words (rjieba); otherwise such a run is cut
            into single characters.

    Example:
        >>> text = "Don't panic, 北京!"
        >>> [text[start:end] for start, end in word_spans(text, "en")]
        ["Don't", 'panic', '北', '京']
    """
    return _spans(_WORD_OR_CJK, text, language == "zh")


def token_spans(text: str) -> list[tuple[int, int]]:
    """Character spans of words, dictionary words of Chinese, and punctuation marks, in order.

    Example:
        >>> text = "Don't panic, 我们!"
        >>> [text[start:end] for start, end in token_spans(text)]
        ["Don't", 'panic', ',', '我们', '!']
    """
    return _spans(_TOKEN, text, True)


def _spans(pattern: re.Pattern[str], text: str, cut_chinese: bool) -> list[tuple[int, int]]:
    if text.isascii():
        return [match.span() for match in pattern.finditer(text)]
    spans: list[tuple[int, int]] = []
    for match in pattern.finditer(text):
        start, end = match.span()
        if match["cjk"] is None:
            spans.append((start, end))
        elif cut_chinese and end - start > 1:
            for word in _cut(match[0]):
                spans.append((start, start + len(word)))
                start += len(word)
        else:
            spans.extend((i, i + 1) for i in range(start, end))
    return spans


def _cut(run: str) -> list[str]:
    """Dictionary words of a run of ideographs; they join to the run exactly."""
    import rjieba

    return rjieba.cut(run)
