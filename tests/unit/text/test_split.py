"""Streams are cut into documents, whatever the chunks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest

from polyseme.text.document_rule import choose_mode
from polyseme.text.split import LIMIT, Mode, lines, split


def texts(text: str, mode: Mode, size: int = 10**9) -> list[str]:
    return [piece.text for piece in split((text[i : i + size] for i in range(0, len(text), size)), mode)]


def test_modes() -> None:
    text = "a\nb\n\n \nc\n\nd\n"
    assert texts(text, "blank") == ["a\nb", "c", "d\n"]
    assert texts(text, "line") == ["a", "b", "c", "d"]
    assert texts(text, "file") == [text]
    assert texts(" \n\n \n", "blank") == texts("", "file") == []


def test_auto_takes_long_blocks_for_documents_and_short_ones_for_paragraphs() -> None:
    assert choose_mode("\n\n".join(["word " * 300] * 5)) == "blank"
    assert choose_mode("\n\n".join(["word " * 30] * 5)) == "file"
    assert choose_mode("word " * 3000) == "file"
    assert choose_mode("") == "file"


@pytest.mark.parametrize("mode", ["blank", "line", "file", "heading"])
def test_chunks_make_no_difference(mode: Mode) -> None:
    text = (
        "".join(
            f"{'word ' * (i % 70)}\n" + "\n" * (i % 3) + f" = Title {i} = \n" * (i % 90 == 0)
            for i in range(3000)
        )
        + "x" * 3 * LIMIT
        + "\n\nend"
    )
    whole = list(split([text], mode))
    for size in (997, 40_000, 100_001):
        assert list(split((text[i : i + size] for i in range(0, len(text), size)), mode)) == whole


def test_long_documents_are_cut_at_the_best_place_and_nothing_is_lost() -> None:
    for unit, end in (
        ("word word\n\n", "\n\n"),
        ("word word\n", "\n"),
        ("好的。", "。"),
        ("word ", " "),
        ("x", "x"),
    ):
        text = unit * (100_000 // len(unit))
        parts = list(split([text], "file"))
        assert "".join(part.text for part in parts) == text
        assert all(LIMIT // 2 <= len(part.text) <= LIMIT for part in parts[:-1])
        assert all(part.text.endswith(end) for part in parts)
        assert [part.cut for part in parts] == [True] + [False] * (len(parts) - 1)
        assert [part.offset for part in parts] == [
            sum(len(p.text) for p in parts[:i]) for i in range(len(parts))
        ]


def test_an_endless_line_comes_out_while_it_is_read() -> None:
    def endless() -> Iterator[str]:
        while True:
            yield "x" * 1000

    assert [len(piece.text) for piece in islice(split(endless(), "blank"), 5)] == [LIMIT] * 5


def test_lines_are_split_at_line_feeds_alone() -> None:
    assert list(lines(["a\u2028b\nc", "d\n", "\ne"])) == ["a\u2028b", "cd", "", "e"]
    assert list(lines(["a\n"])) == ["a"]


def test_a_line_too_long_to_hold_is_reported() -> None:
    assert list(lines(["aaaa", "bbbbbbb", "c\nd\n", "eeeeeeeeeee"], longest=10)) == [None, "d", None]
