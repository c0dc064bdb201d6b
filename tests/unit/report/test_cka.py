"""The page of layers' similarity, in both languages, and the verb that writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from english import english_in
from hovering import shown_on_hover
from polyseme import cli
from polyseme.report.cka import cka_page
from vector_runs import TEXTS, random_run


def one(value: float | None, plain: float | None = 0.9) -> dict[str, Any]:
    low, high = (None, None) if value is None else (value - 0.02, min(1.0, value + 0.02))
    return {"value": value, "low": low, "high": high, "n": 90, "plain": plain}


def document_of(alone: bool = False, **changes: Any) -> dict[str, Any]:
    runs = [{"run": "runs/a", "model": "bert", "layers": 2}, {"run": "runs/b", "model": "gpt", "layers": 3}]
    matrix = [[one(0.9), one(0.3), one(-0.01)], [one(0.2), one(None, None), one(0.6)]]
    if alone:
        runs, matrix = runs[:1], [[one(1.0), one(0.4)], [one(0.4), one(1.0)]]
    found = {
        "runs": runs, "unit": "words", "file": "x.txt", "texts": 12, "units": 90, "blocks": 12,
        "left_out": {"not_read": 3, "unknown": 4}, "cka": matrix,
    }  # fmt: skip
    return found | changes


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("changes", [{}, {"alone": True}, {"unit": "texts", "blocks": 1, "file": None}])
def test_the_whole_page_is_drawn_in_both_languages(lang: str, changes: dict[str, Any]) -> None:
    document = document_of(**changes)
    page = cka_page(document, lang)
    assert page.html().startswith("<!doctype html>")
    assert (english_in(page, document) == []) == (lang == "zh")
    json.dumps([figure.chart.to_dict() for figure in page.figures])


@pytest.mark.parametrize("alone", [True, False])
def test_the_pointer_shows_both_layers_of_a_cell(alone: bool) -> None:
    (figure,) = cka_page(document_of(alone)).figures
    (shown,) = shown_on_hover(figure.chart)
    assert all(f'datum["{name}"]' in shown for name in ("i", "j", "written", "plain"))


def test_the_text_names_the_most_similar_layer() -> None:
    text = cka_page(document_of()).text()
    lines = [line.split() for line in text.split("\n")]
    assert ["0", "0.90", "0.30", "-0.01"] in lines
    assert ["1", "2", "0.600", "0.580", "…", "0.620", "0.900"] in lines
    own = [line.split() for line in cka_page(document_of(alone=True)).text().split("\n")]
    assert ["0", "1", "0.400", "0.380", "…", "0.420", "0.900"] in own  # itself is left out


def test_runs_of_one_name_are_told_apart() -> None:
    runs = [{"run": "a/run", "model": "bert", "layers": 2}, {"run": "b/run", "model": "gpt", "layers": 3}]
    text = cka_page(document_of(runs=runs)).text()
    assert "a/run" in text
    assert "b/run" in text


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(random_run(tmp_path, name).run.path) for name in ("bert", "word2vec")]
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(text for text in TEXTS * 3 if text.isascii()), "utf-8")
    assert cli.main(["cka", *runs, str(file), "-o", str(tmp_path / "out"), "--report-lang", "zh"]) == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"cka.json", "cka.html", "cka.svg", "cka.png"}
    assert "The layer of word2vec that each layer of bert is most like." in capsys.readouterr().out
    assert cli.main(["cka", *runs, str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(
        (tmp_path / "out" / "cka.json").read_text("utf-8")
    )
    assert cli.main(["cka", runs[0]]) == 2
    assert cli.main(["cka", *runs, runs[0], str(file)]) == 2
