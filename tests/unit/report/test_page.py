"""A page as a browser shows it: at the width of a desk and of a telephone, on light and on dark paper."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import Browser, browser, find_browser
from polyseme.report.charts import Axis, Series, lines
from polyseme.report.page import Page
from polyseme.report.parts import Commands, Either, Figure, Heading, Notes, Table, View

ROWS = [
    {"run": run, "layer": layer, "value": 0.5 + layer / 10} for run in ("bert", "gpt") for layer in (0, 1, 2)
]
CHART = lines(
    ROWS, Axis("layer", "layer", integers=True), Axis("value", "accuracy"), Series("run", ["bert", "gpt"])
)
WIDE = Table(
    ["run", *(f"figure {n}" for n in range(20))], [["bert", *["0.5 (0.4 … 0.6)"] * 20]], "A caption."
)
PARTS = [
    Heading("Charts"),
    "A paragraph.",
    Figure("a", CHART, "One."),
    Figure("b", CHART, "Two."),
    Heading("One chart"),
    Either(page=[Figure("c", CHART)], terminal=["in the terminal"]),
    Heading("A wide table", 3),
    WIDE,
    Notes([("bert", "<b>is not bold")]),
]


def test_headings_of_level_2_are_sections_and_stand_in_the_contents() -> None:
    page = Page("Title", "", [part for n in range(4) for part in (Heading(f"part {n}"), "words")]).html()
    assert [f'<a href="#s{n}">part {n - 1}</a>' in page for n in range(1, 5)] == [True] * 4
    assert page.count("<section") == 5


def test_what_only_a_terminal_shows_is_not_on_the_page() -> None:
    page = Page("Title", "", PARTS)
    assert "in the terminal" not in page.html()
    assert "in the terminal" in page.text(80)
    assert [figure.name for figure in page.figures] == ["a", "b", "c"]
    assert "&lt;b&gt;is not bold" in page.html()


def test_the_document_has_what_the_page_shows_as_blocks() -> None:
    view = View("<b>drawn by a script</b>", [Figure("d", CHART, describes="a picture of the view")])
    bold = Table(["run", "f1"], [["bert", "0.5"]], strong=frozenset({(0, 1)}), hints={(0, 0): "its folder"})
    document = Page("Title", "Lead.", [*PARTS, view, bold, Commands(["polyseme list models"]), ""]).document()
    assert json.loads(json.dumps(document)) == document
    blocks = document.pop("blocks")
    assert document == {"title": "Title", "lead": "Lead.", "lang": "en"}
    kinds = " ".join(block["kind"] for block in blocks)
    assert kinds == "heading text chart chart heading chart heading table notes chart table commands"
    charts = [block for block in blocks if block["kind"] == "chart"]
    assert [chart["name"] for chart in charts] == ["a", "b", "c", "d"]
    assert charts[0]["spec"] == CHART.spec
    assert (charts[0]["elastic"], charts[3]["describes"]) == (True, "a picture of the view")
    assert blocks[6] == {"kind": "heading", "level": 3, "text": "A wide table"}
    assert (blocks[-2]["strong"], blocks[-2]["hints"]) == ([[0, 1]], [[0, 0, "its folder"]])
    assert blocks[8]["lines"] == [["bert", "<b>is not bold"]]
    assert Page("a\udcff", "", []).document()["title"] == "a\ufffd"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, Path]]:
    program = find_browser()
    if program is None:
        pytest.skip("no browser found: Chromium, or the program that POLYSEME_BROWSER names")
    path = Page("Title", "Lead.", PARTS).write(tmp_path_factory.mktemp("page") / "page.html")
    with browser(program) as opened:
        yield opened, path


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_take_the_width_and_the_ink_of_the_reader(
    one: tuple[Browser, Path], width: int, scheme: str
) -> None:
    opened, path = one
    opened.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    seen = opened.open(path, width)
    assert (seen.problems, seen.outside, seen.cut) == ([], [], [])
    assert seen.charts == (3, 3)
    assert seen.content <= width
    first, second, third = opened.evaluate("[...document.querySelectorAll('svg')].map(s => s.clientWidth)")
    if width == 1280:  # two beside each other, one alone over all
        assert 480 <= first == second <= 640
        assert third > 1100
    ink = opened.evaluate("document.querySelector('svg .role-axis-label text').getAttribute('fill')")
    paper = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ink, paper) == {
        "light": ("#1f2328", "rgb(255, 255, 255)"),
        "dark": ("#e6edf3", "rgb(13, 17, 23)"),
    }[scheme]
    scrolls = (
        "(() => { const f = document.querySelector('.table .wide'); return f.scrollWidth > f.clientWidth })()"
    )
    assert opened.evaluate(scrolls)


def test_the_pointer_shows_the_figures_of_a_mark(one: tuple[Browser, Path]) -> None:
    opened, path = one
    opened.open(path, 1280)
    x, y = opened.evaluate(
        "(() => { const b = document.querySelector('.mark-symbol.role-mark path').getBoundingClientRect();"
        "return [b.x + b.width / 2, b.y + b.height / 2] })()"
    )
    for shift in (1, 0):
        opened.call("Input.dispatchMouseEvent", type="mouseMoved", x=x - shift, y=y)
    time.sleep(0.2)
    shown = opened.evaluate("document.querySelector('#vg-tooltip-element.visible')?.innerText ?? ''")
    assert "accuracy" in shown
