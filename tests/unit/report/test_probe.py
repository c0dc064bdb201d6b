from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from english import english_in
from polyseme.errors import ConfigError
from polyseme.report.commands import probe_commands
from polyseme.report.figures import width
from polyseme.report.files import write_study
from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Figure, Heading, Table
from polyseme.report.probe import figure_text, overview_rows, probe_page, probe_parts, slug
from polyseme.study.probing.numbers import withheld


def measured(value: float | None, reach: float | None = 0.02, **more: Any) -> dict[str, Any]:
    known = value is not None and reach is not None
    ends = {"low": value - reach, "high": value + reach} if known else {"low": None, "high": None}  # type: ignore[operator]
    return {"value": value, **ends, "n": 100, **more}


def task(scores: list[float], weights: list[float] | None = None, pairs: bool = False) -> dict[str, Any]:
    layers = len(scores)
    weights = weights or [1 / layers] * layers
    gains = [b - a for a, b in pairwise(scores)]
    one = layers == 1
    control = {"score": measured(0.5), "difference": measured(0.3) | {"above": True}}
    weak = {"score": measured(0.79), "difference": measured(0.01) | {"above": False}}
    controls = {"layer_0": control, "random_encoder": weak, "random_labels": control}
    if one:
        del controls["layer_0"]
    counts = {"texts": 10, "targets": 1234, "left_out": {}}
    return {
        "task": "dependencies" if pairs else "pos",
        "files": {"train": "a.conllu", "dev": None, "test": "my test.conllu"},
        "column": "xpos",
        "spans": 1 + pairs,
        "labels": ["A", "B"],
        "counts": {"train": counts, "dev": counts, "test": counts},
        "metric": "micro_f1",
        "score": measured(scores[-1]),
        "accuracy": measured(0.9),
        "most_frequent": measured(0.2),
        "mix": None
        if one
        else {
            "weights": [measured(w) for w in weights],
            "gamma": measured(1.2),
            "centre_of_gravity": measured(1.25),
            "divergence": measured(0.123),
        },
        "cumulative": None
        if one
        else {
            "scores": [measured(s) for s in scores],
            "differences": [measured(g) for g in gains],
            "expected_layer": measured(1.5),
            "expected_layer_clipped": measured(None),
        },
        "controls": controls,
        "above": {name: one["difference"]["above"] for name, one in controls.items()},
        "cache": {
            "texts": 30,
            "tokens": 400,
            "layers": layers,
            "bytes": 123456,
            "numbers": "float16",
            "place": "file",
            "seconds": 1.5,
        },
        "training": {"seconds_of_task": 12.0},
    }


def document(layers: int = 3) -> dict[str, Any]:
    scores = [0.5, 0.7, 0.8][:layers]
    return {
        "run": "runs/bert",
        "model": "bert",
        "layers": layers,
        "settings": {"seeds": 3, "projection": 256, "hidden": 256, "examples": 50},
        "tasks": {"POS": task(scores), "依存 <b>": task(scores, pairs=True)},
        "notes": ["a note"],
        "seconds": 20.0,
        "peak_memory_bytes": 1 << 30,
    }


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("layers", [1, 3])
def test_the_whole_page_is_drawn_in_both_languages(lang: str, layers: int) -> None:
    parts = probe_parts(document(layers), Speaker(lang), "bert-")
    page = Page("t", "", parts, lang)
    html = page.html()
    assert "依存 &lt;b&gt;" in html
    assert "依存 <b>" not in html
    names = [figure.name for figure in page.figures]
    assert names == (
        ["bert-probe-layers", "bert-probe-controls", "bert-probe-POS", "bert-probe-依存-b"]
        if layers > 1
        else ["bert-probe-controls"]
    )
    for figure in page.figures:
        json.dumps(figure.chart.to_dict())
    found = document(layers) | {"notes": ["POS: no dev file: held out of a.conllu"]}
    assert (english_in(probe_page(found, lang), found) == []) == (lang == "zh")
    if lang == "zh":
        titles = [part.text for part in parts if isinstance(part, Heading)]
        titles = [title for title in titles if title not in ("POS", "依存 <b>")]
        assert all(ord(title[0]) > 0x4E00 for title in titles)


def test_tables_hold_the_figures_and_mark_what_is_above() -> None:
    parts = probe_parts(document(), Speaker())
    overview, controls, *_ = (part for part in parts if isinstance(part, Table))
    assert overview.rows[0] == [
        "POS",
        "1.25 (1.23 … 1.27)",
        "0.123 (0.103 … 0.143)",
        "1.50 (1.48 … 1.52)",
        "—",
    ]
    assert controls.rows[0] == ["POS", "all layers", "80.0 (78.0 … 82.0)", ""]
    assert controls.rows[1] == ["POS", "layer 0 alone", "50.0 (48.0 … 52.0)", "30.0 (28.0 … 32.0)"]
    marked = {controls.rows[row][1] for row, _ in controls.strong}
    assert marked == {"layer 0 alone", "random labels"}  # not the random encoder


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_probe_below_its_baseline_names_no_layer(lang: str) -> None:
    """What it says of layers is withheld everywhere: text, tables, charts, and no gain is bold."""
    found = document()
    for one in found["tasks"].values():
        one["most_frequent"] = measured(0.85)  # above the probe's 0.8
        withheld(one["mix"], one["cumulative"])
    say = Speaker(lang)
    parts = probe_parts(found, say)
    overview, against, *_ = (part for part in parts if isinstance(part, Table))
    assert overview.rows[0] == ["POS", "—", "—", "—", "—"]
    assert say("—: the probe is not above always saying the most frequent label.") in overview.caption
    assert against.strong == frozenset()
    assert overview_rows(found, say) == []
    page = Page("t", "", parts, lang)
    assert [figure.name for figure in page.figures] == ["probe-controls", "probe-POS", "probe-依存-b"]
    drawn = json.dumps([figure.chart.to_dict() for figure in page.figures], ensure_ascii=False)
    assert say("Mixing weights") in drawn
    assert say("Mixing weights: centre of gravity {value}", value="—") not in drawn
    assert "1.25" not in drawn  # the centre of gravity, no mark of it either
    assert "its layers tell nothing" in page.html() or "不说明任何问题" in page.html()
    text = page.text(80)
    assert "its layers tell nothing" in text.replace("\n", " ") or "不说明任何问题" in text
    assert "1.25" not in text


def test_charts_leave_out_what_is_not_known() -> None:
    rows = overview_rows(document(), Speaker())
    assert {row["figure"] for row in rows} == {"centre of gravity", "expected layer"}
    figures = [part for part in probe_parts(document(), Speaker()) if isinstance(part, Figure)]
    assert "losses as 0" not in json.dumps(figures[0].chart.to_dict()["layer"][0]["data"])


def test_text_for_a_terminal() -> None:
    text = probe_page(document()).text(80)
    assert max(map(width, text.split("\n"))) <= 80
    assert "bert (bert)" in text
    assert "• 30.0 (28.0 … 32.0)" in text
    assert (
        "0      0.333 (0.313 … 0.353)        50.0 (48.0 … 52.0)                   —" in text
    )  # what the chart draws
    assert "float16, in a file" in text
    assert "centre of" not in probe_page(document(1)).text(80)


def test_commands_can_be_typed() -> None:
    assert probe_commands(document())[0] == (
        "polyseme probe runs/bert a.conllu --task pos --test 'my test.conllu' --seeds 3 --examples 50 --column xpos"
    )
    asked = document()
    asked["settings"] |= {"seed": 7, "epochs": 2, "max_length": 64, "controls": False, "cumulative": False}
    asked["tasks"]["POS"] |= {"examples": 9, "column": None}
    assert probe_commands(asked)[0] == (
        "polyseme probe runs/bert a.conllu --task pos --test 'my test.conllu' --seeds 3 --seed 7 --epochs 2 "
        "--max-length 64 --no-controls --no-cumulative --examples 9"
    )


def test_small_things() -> None:
    assert figure_text({"value": 0.5, "low": None, "high": None}, 1, 100) == "50.0"
    assert figure_text(None, 1) == "—"
    assert slug("a b/c") == "a-b-c"
    assert slug("//") == "task"
    with pytest.raises(ConfigError):
        Speaker("de")


def test_files_are_written(tmp_path: Path) -> None:
    found = document()
    del found["tasks"]["依存 <b>"]
    wrote, _ = write_study("probe", found, probe_page(found), tmp_path / "out")
    assert {path.name for path in wrote} >= {
        "probe.html",
        "probe.json",
        "probe-layers.svg",
        "probe-POS.png",
        "probe-controls.svg",
    }
    assert all(path.stat().st_size > 500 for path in wrote)
    assert json.loads((tmp_path / "out" / "probe.json").read_text("utf-8")) == found
