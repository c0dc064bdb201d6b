"""Charts of every kind: their data, axes, hover texts and themes, and the files they are written into."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hovering import shown_on_hover
from polyseme.errors import ConfigError
from polyseme.report import files
from polyseme.report.charts import (
    PALETTE,
    Axis,
    Chart,
    Rule,
    Series,
    bars,
    beside,
    dots,
    heatmap,
    lines,
    links,
    looks,
    scatter,
    theme,
)
from polyseme.report.files import boxes_for, save

RUNS = Series("run", ["bert", "gpt", "word2vec"])
LAYER, VALUE = Axis("layer", "layer", integers=True), Axis("value", "accuracy", ".3f")


def layered(**more: Any) -> list[dict[str, Any]]:
    """Two runs of three layers, and one of a single layer."""
    rows = [
        {"run": run, "layer": layer, "value": 0.5 + layer / 10}
        for run in ("bert", "gpt")
        for layer in (0, 1, 2)
    ]
    rows.append({"run": "word2vec", "layer": 0, "value": 0.4})
    return [{**row, "low": row["value"] - 0.05, "high": row["value"] + 0.05, **more} for row in rows]


def first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["layer"] == 0]


KINDS = {
    "lines": lambda: lines(layered(), LAYER, VALUE, RUNS, Rule(0.5, "chance 0.5"), ends=["bert"], title="t"),
    "bars": lambda: bars(
        [{**row, "text": "x"} for row in first(layered())], Axis("run"), VALUE, RUNS.names, RUNS, text="text"
    ),
    "upright": lambda: bars(layered()[:3], LAYER, VALUE, upright=True, marks=[(1.3, "red")], rule=Rule(0.4)),
    "dots": lambda: dots(first(layered(word="银行")), Axis("word"), VALUE, ["银行"], RUNS, {"银行": 0.5}),
    "heatmap": lambda: heatmap(
        layered(text="."), Axis("run", "r"), Axis("layer", "l"), VALUE, RUNS.names, [2, 1, 0], text="text"
    ),
    "scatter": lambda: scatter(
        [{"x": 0, "y": 1, "kind": "a", "text": "<b>"}],
        Axis("x", domain=(0, 1)),
        Axis("y", domain=(0, 1)),
        Series("kind", ["a", "b"]),
        ["text"],
        numbered=[{"x": 0, "y": 1, "number": "1"}],
    ),
    "links": lambda: links(
        [{"from": 0, "to": 1, "share": 0.4, "kind": "a"}], ["the", "cat"], Series("kind", ["a", "b"])
    ),
    "beside": lambda: beside([KINDS["lines"](), KINDS["dots"]()], title="both"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn(kind: str, tmp_path: Path) -> None:
    chart = KINDS[kind]()
    assert save(chart, [tmp_path / "new" / "a.svg", tmp_path / "a.png"])
    assert (tmp_path / "a.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    drawn = (tmp_path / "new" / "a.svg").read_text("utf-8")
    assert "NaN" not in drawn
    assert "undefined" not in drawn
    assert shown_on_hover(chart)


def test_a_chart_by_itself_may_be_a_page(tmp_path: Path) -> None:
    assert save(KINDS["lines"](), [tmp_path / "a.html"])
    page = (tmp_path / "a.html").read_text("utf-8")
    assert "<title>a</title>" in page
    assert "<h1>" not in page
    assert "unsafe-eval" not in page


def test_a_layer_is_an_integer() -> None:
    """Layers have no ticks between them, however few there are: "0 1 1 2 2" was written once."""
    for last, ticks in ((1, [0, 1]), (2, [0, 1, 2]), (48, [0, 3, 6])):
        axis = Axis("value", "layer", domain=(0, last), integers=True)
        chart = dots([{"run": "bert", "value": 0.5, "low": 0, "high": 1}], Axis("run"), axis, ["bert"], RUNS)
        written = chart.spec["layer"][0]["layer"][1]["encoding"]["x"]["axis"]
        assert written["values"][: len(ticks)] == ticks
        assert written["format"] == "d"
        assert all(isinstance(tick, int) for tick in written["values"])
    across = lines(layered(), LAYER, VALUE, RUNS).spec["layer"][0]["encoding"]["x"]
    assert across["axis"]["values"] == [0, 1, 2]


def test_the_pointer_shows_names_values_and_intervals(tmp_path: Path) -> None:
    (shown,) = shown_on_hover(lines(layered(), LAYER, VALUE, RUNS))
    assert all(f'datum["{field}"]' in shown for field in ("heading", "layer", "written"))
    (shown,) = shown_on_hover(
        heatmap(layered(), Axis("run", "x"), Axis("layer", "x"), VALUE, ["bert"], [0, 1])
    )
    assert '"x →"' in shown  # of two titles that are alike only the first would be shown
    assert '"x ↑"' in shown


def test_a_run_looks_the_same_in_every_chart() -> None:
    """Colours go with the names that are given, whichever have rows; the legend has those with rows."""
    rows = [row for row in layered() if row["run"] != "bert"]
    colour = lines(rows, LAYER, VALUE, RUNS).spec["layer"][0]["encoding"]["color"]
    assert colour["scale"] == {"domain": list(RUNS.names), "range": list(PALETTE[:3])}
    assert colour["legend"]["values"] == ["gpt", "word2vec"]
    assert len(set(zip(*looks(9), strict=True))) == 9
    assert len(set(zip(*looks(49), strict=True))) == 49


def test_points_of_one_layer_do_not_lie_on_each_other() -> None:
    rows = [row | {"run": run} for run in RUNS.names for row in first(layered())[:1]]
    places = [row["at"] for row in lines(rows, LAYER, VALUE, RUNS).spec["layer"][0]["data"]["values"]]
    assert len(set(places)) == 3


def test_long_lines_have_no_dots_and_long_bars_room_for_their_text() -> None:
    many = [{"run": "bert", "minutes": i, "value": 1.0} for i in range(150)]
    chart = lines([*many, {"run": "gpt", "minutes": 1, "value": 2.0}], Axis("minutes"), VALUE, RUNS)
    kinds = {row["run"]: row["kind"] for row in chart.spec["layer"][0]["data"]["values"]}
    assert kinds == {"bert": "dense", "gpt": "dot"}
    drawn = KINDS["bars"]().spec["layer"][0]["layer"][0]["encoding"]["x"]
    assert drawn["scale"]["domain"] == pytest.approx([0, 0.55 * 1.14])


def test_a_picture_has_one_typeface_and_a_theme_for_light_and_dark() -> None:
    assert KINDS["dots"]().to_dict()["config"]["font"].startswith('"Noto Sans CJK SC"')
    assert "CJK" not in KINDS["lines"]().to_dict()["config"]["font"]
    light, dark = theme(), theme(dark=True)
    assert light.keys() == dark.keys()
    assert light["background"] != dark["background"]
    for kind, draw in KINDS.items():  # ink and paper are the theme's, in no specification
        text = json.dumps(draw().spec)
        assert not {light["background"], light["text"]["color"]} & set(text.split('"')), kind


def test_other_formats_are_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown chart format"):
        save(KINDS["lines"](), [tmp_path / "a.svg", tmp_path / "a.pdf"])
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_not_unicode_are_drawn(tmp_path: Path) -> None:
    chart = lines(layered(), LAYER, VALUE, RUNS, title="run\udce9")
    assert save(chart, [tmp_path / "a.svg"])


def test_boxes_are_announced_only_where_they_appear(monkeypatch: pytest.MonkeyPatch) -> None:
    png, svg = Path("a.png"), Path("a.svg")
    good, latin = Chart({"title": "好"}), Chart({"title": "ok"})
    monkeypatch.setattr(files, "_draws_chinese", lambda: False)
    assert "a.png" in (boxes_for([latin, good], [png, svg]) or "")
    assert boxes_for([latin], [png]) is None
    assert boxes_for([good], [svg]) is None
    monkeypatch.setattr(files, "_draws_chinese", lambda: True)
    assert boxes_for([good], [png]) is None
