from __future__ import annotations

import math
from typing import Any

import pytest

from polyseme.report.cells import Cells, figure, interval, number, written_p
from polyseme.report.compare import _runs
from polyseme.report.compare_studies import FEWEST, POINTS, joined, told
from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Notes, Table


def test_how_figures_are_written() -> None:
    found = {"value": 0.7631, "low": 0.7412, "high": 0.7849, "below": True}
    assert figure(found, "accuracy") == "76.3 *\n74.1–78.5"
    assert figure({"value": 0.5, "low": None, "high": None}, "accuracy") == "50.0"
    assert number(1.25, "mean_squared_error") == "1.250"
    assert interval({"value": -0.01, "low": -0.02, "high": 0.005}, "accuracy", "+") == "-2.0 … +0.5"
    assert (written_p(0.0005), written_p(0.0012)) == ("< 0.001", "0.001")


def test_missing_figures_say_why() -> None:
    cells = Cells(["run", "a\nsmall", "b"])
    for run in ("gpt <1>", "elmo"):
        cells.row(run)
        cells.lack("cannot & will not")
        cells.lack("cannot & will not", "b (whole)")
    table = cells.table()
    assert table.rows == [["gpt <1>", "–", "–"], ["elmo", "–", "–"]]
    assert table.hints == {(row, column): "cannot & will not" for row in (0, 1) for column in (1, 2)}
    (note,) = cells.notes(Speaker())
    assert note.lines == [("gpt <1>, elmo", "a, b (whole): cannot & will not")]
    assert (
        "<li><b>gpt &lt;1&gt;, elmo</b> a, b (whole): cannot &amp; will not</li>"
        in Page("", "", [note]).html()
    )
    assert Cells(["run"]).notes(Speaker()) == []


def test_cells_of_a_page_have_a_first_line_and_small_print() -> None:
    table = Table(
        ["run", "f1\nmicro"], [["a<b", "1.0\n0.9–1.1"]], strong=frozenset({(0, 1)}), hints={(0, 1): '"x"'}
    )
    text = Page("t", "", [table]).html()
    assert "<b>1.0</b><br><small>0.9–1.1</small>" in text
    assert "f1<br><small>micro</small>" in text
    assert 'title="&quot;x&quot;"' in text
    assert "a&lt;b" in text


@pytest.mark.parametrize(("lang", "says"), [("en", "of 57 % of the text"), ("zh", "57 % 的留出文本")])
def test_a_loss_of_a_part_of_the_held_out_text_says_so(lang: str, says: str) -> None:
    facts: dict[str, Any] = {"model": "gpt", "objectives": ["causal_lm"], "sources": ["a.txt"]}
    facts |= {"corpus": {"words": None, "language": "en"}, "heldout_loss": 4.5, "unigram_loss": 6.0}
    runs = {"part": {"facts": facts | {"judged_on": {"share": 4 / 7}}}, "whole": {"facts": facts}}
    table = _runs({"runs": runs}, Speaker(lang)).table()
    part, whole = (row[-1] for row in table.rows)
    assert whole == "4.500\n(6.000)"
    assert part.startswith(whole)
    assert says in part


@pytest.mark.parametrize("n", [7, 1500])
def test_maps_of_many_runs_have_few_points(n: int) -> None:
    def document(shift: float) -> dict[str, Any]:
        entry = {"word": "bank", "map": {"x": [i + shift for i in range(n)], "y": [0.0] * n, "layer": 2}}
        run = {"run": "r", "name": "r", "words": [entry] * 9}
        return {"words": [{"word": "bank", "drawn": list(range(n))}] * 9, "runs": [run], "labelled": True}

    documents = {f"run {k}": document(1000.0 * k) for k in range(6)}
    found = joined(documents)
    most = max(FEWEST, POINTS // 54)
    kept = found["words"][0]["drawn"]
    assert len(kept) == min(n, most)
    assert kept[0] == 0
    assert kept == sorted(set(kept))
    assert [run["name"] for run in found["runs"]] == list(documents)
    for k, run in enumerate(found["runs"]):
        assert run["words"][3]["map"]["x"] == [i + 1000.0 * k for i in kept]
        assert run["words"][3]["map"]["layer"] == 2
    assert math.isclose(
        sum(len(one["drawn"]) for one in documents["run 0"]["words"]), 9 * n
    )  # theirs stay whole


def test_what_the_studies_tell_stands_on_the_page_once() -> None:
    notes = {
        "bert": ["<2> rows", "bert: 3 texts are cut"],
        "gpt": ["<2> rows", "4 unknown"],
        "elmo": ["<2> rows"],
    }
    study = {"documents": {name: {"notes": some} for name, some in notes.items()}}
    (part,) = told(study, Speaker())
    assert part == Notes(["<2> rows", ("bert", "3 texts are cut"), ("gpt", "4 unknown")])
    assert told({"documents": {"bert": {"notes": []}}}, Speaker()) == [Notes([])]
