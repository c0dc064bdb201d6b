"""Parts as text: nothing passes the terminal's width, and nothing is lost."""

from __future__ import annotations

import pytest

from polyseme.report.figures import width
from polyseme.report.parts import Commands, Either, Figure, Heading, Notes, Table, View
from polyseme.report.terminal import text, wrap

LONG = "runs/a-name-that-is-long/bert-small-2026-11-30-seed-1"
WIDE = Table(
    ["run", "model of the thing", "balanced accuracy", "difference", "note", "z"],
    [
        [
            LONG,
            "BERT",
            "0.1234 (0.1111 … 0.2222)",
            "+0.1 (+0.01 … +0.333)",
            "一行很长的中文说明，要折行的。" * 4,
            "1\n2",
        ]
    ]
    * 3,
    "A caption of words. " * 8,
    left=(0, 1, 4),
    strong=frozenset({(1, 2)}),
)


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 300])
def test_nothing_is_wider_than_the_terminal_and_no_cell_is_lost(columns: int) -> None:
    shown = text([Heading("Heads"), WIDE, Notes([("who", "why " * 50)]), "words " * 50], columns)
    assert max(map(width, shown.split("\n"))) <= columns
    assert shown.count("+0.333") == 3
    assert shown.count("•") == 1
    assert shown.count("说") == 12
    joined = "".join(shown.split())
    assert all(word in joined for word in ("balanced", "accuracy", "caption", "why"))


def test_only_intervals_stand_below_their_figures() -> None:
    rows = [["0.464 (0.427 … 0.491)", "files in Big5 (converted)"]] * 2
    lines = text([Table(["figure", "what was done to the text"], rows)], 50).splitlines()
    assert any("files in Big5 (converted)" in line for line in lines)


def test_a_table_that_fits_stands_as_it_is() -> None:
    table = Table(["word", "uses"], [["bank", "1,200"], ["银行", "7"]], "Uses.")
    assert text([table], 80) == "word   uses\nbank  1,200\n银行      7\nUses."


def test_heads_break_before_figures_do_and_the_first_column_is_repeated_at_last() -> None:
    table = Table(["run", "a long head", "another"], [["x", "0.50 (0.40 … 0.60)", "0.7"]] * 2)
    assert text([table], 60).split("\n")[0] == "run         a long head  another"
    many = Table(["run", *("the head of " + str(n) for n in range(30))], [["x", *["0.123"] * 30]])
    blocks = text([many], 80).split("\n\n")
    assert len(blocks) > 1
    assert all(block.startswith("run") or "\nrun" in block for block in blocks)
    brackets = Table(["run", *"abcd"], [["x", *["0.500 (0.400 … 0.600)"] * 4]])
    assert text([brackets], 80).split("\n")[1:] == [
        "x              0.500            0.500            0.500            0.500",
        "     (0.400 … 0.600)  (0.400 … 0.600)  (0.400 … 0.600)  (0.400 … 0.600)",
    ]


def test_a_terminal_shows_its_own_form_and_no_charts() -> None:
    chart = Figure("a", None)
    either = Either(page=[chart, "on the page"], terminal=["in the terminal"])
    assert (
        text([chart, View("<b>x</b>"), either, "", Commands(["polyseme x"])], 80)
        == "in the terminal\n\npolyseme x"
    )


def test_heads_that_are_empty_are_left_out() -> None:
    assert text([Table(["", ""], [["model", "bert"], ["status", "finished"]], left=(0, 1))], 80) == (
        "model   bert\nstatus  finished"
    )


def test_words_are_cut_where_a_path_has_marks() -> None:
    assert wrap("a/path/of/folders", 10) == ["a/path/of/", "folders"]
    assert wrap("中文，标点", 4) == ["中", "文，", "标点"]


def test_a_heading_of_what_only_the_page_has_is_left_out() -> None:
    chart = Either(page=[Figure("x", None)])
    parts = [
        Heading("One"),
        chart,
        Heading("Two"),
        Heading("bare", 3),
        chart,
        Heading("full", 3),
        "words",
        Heading("3"),
    ]
    assert text(parts).split("\n")[::3] == ["Two", "full", "words"]
