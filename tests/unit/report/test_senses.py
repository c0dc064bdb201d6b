"""The pages of senses, drawn in both languages from the document alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from english import english_in
from hovering import shown_on_hover
from polyseme.errors import StorageError
from polyseme.report.figures import width
from polyseme.report.files import check_file, check_folder, write_study
from polyseme.report.language import Speaker
from polyseme.report.parts import Heading, Table, figures_of
from polyseme.report.senses import contexts, highest, map_chart, numbered, senses_page, senses_parts
from polyseme.study.senses import senses
from polyseme.text.labelled.senses import Use
from polyseme.text.words import has_cjk
from vector_runs import random_run


def uses(word: str, labelled: bool, n: int = 24) -> list[Use]:
    found = []
    for i in range(n):
        text = f"{i} the {word} sat on the mat" if i % 3 else f"{i} the old dog sees the {word}"
        sense = "<mat>" if i % 3 else "狗"
        start = text.index(word)
        found.append(Use(f"{word} {i}", text, start, start + len(word), sense if labelled else None, word))
    return found


@pytest.fixture(scope="module", params=["labelled", "one word", "unlabelled"])
def document(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("runs")
    labelled = request.param != "unlabelled"
    runs = [random_run(folder, "bert")]
    if request.param != "one word":
        runs.append(random_run(folder, "word2vec"))
    some = uses("cat", labelled) + (uses("small", labelled) if request.param == "labelled" else [])
    how: Any = "lda" if request.param == "one word" else "pca"
    found: dict[str, Any] = json.loads(
        json.dumps(senses(runs, some, map=how, resamples=100).document(), allow_nan=False)
    )
    return found


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_part_is_drawn_in_both_languages(document: dict[str, Any], lang: str) -> None:
    parts = senses_parts(document, Speaker(lang), "first_")
    figures = list(figures_of(parts))
    names = [figure.name for figure in figures]
    assert len(set(names)) == len(names) >= 1
    assert all(name.startswith("first_senses_") for name in names)
    assert all(figure.chart.to_dict()["config"] for figure in figures)
    tables = [part for part in parts if isinstance(part, Table)]
    assert all(len(row) == len(table.head) for table in tables for row in table.rows)
    if lang == "zh":
        titles = [part.text for part in parts if isinstance(part, Heading)]
        assert all(map(has_cjk, titles)) or not document["labelled"]
    html = senses_page({**document, "file": "a/bank.tsv"}, lang).html()
    assert "<mat>" not in html


def test_the_text_for_a_terminal_names_every_run_and_word(document: dict[str, Any]) -> None:
    text = senses_page({**document, "file": "a/bank.tsv"}).text(80)
    assert max(map(width, text.split("\n"))) <= 80
    for run in document["runs"]:
        assert run["name"] in text
    for word in document["words"]:
        assert word["word"] in text


def test_a_map_holds_every_use_with_its_sentence(document: dict[str, Any]) -> None:
    parts = senses_parts(document, Speaker(), "")
    figure = next(figure for figure in figures_of(parts) if figure.name == "senses_map_cat")
    drawn = json.dumps(figure.chart.to_dict(), ensure_ascii=False)
    assert "【cat】 sat on the mat" in drawn
    assert len(document["words"][0]["drawn"]) == len(document["runs"][0]["words"][0]["map"]["x"])
    shown = shown_on_hover(figure.chart)
    assert shown
    for one in shown:  # a line of the same title as another would be left out
        assert 'datum["context"]' in one
        assert 'datum["sense"]' in one


def test_notes_stand_on_the_page(document: dict[str, Any]) -> None:
    html = senses_page({**document, "notes": ["3 rows <b> were skipped"]}, "zh").html()
    assert "<li>3 rows &lt;b&gt; were skipped</li>" in html


def test_a_chinese_page_has_no_english_sentence(document: dict[str, Any]) -> None:
    notes = ["1 rows have no label: skipped (a.tsv:7)"]
    notes += ["bert: 3 texts are longer than the model reads: cut to a window around the use"]
    found = {**document, "file": "bank.tsv", "notes": [*document["notes"], *notes]}
    assert english_in(senses_page(found, "zh"), found) == []
    assert english_in(senses_page(found, "en"), found) != []


def test_typical_uses_stay_in_sight() -> None:
    one = {"before": "…" + "汉" * 60, "form": "银行", "after": "字" * 60 + "…"}
    two = {"before": "…" + "a" * 60, "form": "bank", "after": "b"}
    shown = contexts({"typical": [one, two]})
    assert shown[0] == "…" + "汉" * 31 + "【银行】" + "字" * 31 + "…"
    assert shown[1] == two["before"] + "【bank】b"


def test_no_two_words_have_one_picture(document: dict[str, Any]) -> None:
    names = ["c", "c++", "C#", "c_2", "…", "c_4", "银行"]
    words = [{**document["words"][0], "word": name} for name in names]
    runs = [
        {**run, "words": [{**run["words"][0], "word": name} for name in names]} for run in document["runs"]
    ]
    parts = senses_parts({**document, "words": words, "runs": runs}, Speaker())
    figures = [figure.name for figure in figures_of(parts)]
    maps = [name.removeprefix("senses_map_") for name in figures if name.startswith("senses_map_")]
    assert len({name.casefold() for name in maps}) == len(names)
    assert (maps[0], maps[-1]) == ("c", "银行")


def test_places_that_cannot_be_written_are_refused_before_the_work(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    for folder in (file, file / "below" / "it"):
        with pytest.raises(StorageError, match="could not save"):
            check_folder(folder)
    with pytest.raises(StorageError):
        check_file(tmp_path)
    check_folder(tmp_path / "new" / "one.html")
    check_file(tmp_path / "new" / "page.html")
    check_file(file)
    assert list(tmp_path.iterdir()) == [file]


def test_pictures_are_written(document: dict[str, Any], tmp_path: Path) -> None:
    if document["labelled"] and len(document["words"]) > 1:
        pytest.skip("two documents are enough")
    document = {**document, "file": "bank.tsv"}
    wrote, _ = write_study("senses", document, senses_page(document, "zh"), tmp_path / "out")
    assert {path.suffix for path in wrote} == {".json", ".html", ".svg", ".png"}
    assert json.loads((tmp_path / "out" / "senses.json").read_text("utf-8"))["words"] == document["words"]


def test_points_of_a_static_run_are_numbered_and_told(document: dict[str, Any]) -> None:
    """Which uses lie on each point, and how many: 24 uses on one dot look like one use."""
    if len(document["runs"]) == 1:
        pytest.skip("no static run")
    entry, word = document["runs"][1]["words"][0], document["words"][0]
    (point,) = numbered(entry, word["drawn"])
    assert (point.number, point.uses, point.forms) == (1, list(range(24)), [("cat", 24)])
    assert numbered(document["runs"][0]["words"][0], word["drawn"]) == []
    drawn = json.dumps(map_chart(document, 0, Speaker()).to_dict(), ensure_ascii=False)
    assert "one point: all 24 uses have the same vector" in drawn
    assert '"text": {"field": "number"' in drawn
    if document["labelled"]:
        assert point.senses == [(0, 16), (1, 8)]
        html = senses_page({**document, "file": "a"}, "en").html()
        assert "word2vec: the uses of cat that lie on each point." in html


def test_the_only_layer_is_not_the_highest(document: dict[str, Any]) -> None:
    if not document["labelled"] or len(document["runs"]) == 1:
        pytest.skip("no static run")
    bert, static = document["runs"]
    assert highest(bert["words"][0]["best"]["nearest"], bert).startswith("1.000 @ ")
    assert highest(static["words"][0]["best"]["nearest"], static) == "—"


def test_two_forms_are_two_points() -> None:
    drawn = [{"form": form, "sense": i % 2} for i, form in enumerate(["cat"] * 5 + ["Cat"] * 2)]
    spread = {"layer": 0, "x": [0.5, 0.50001, 0.5, 0.5, 0.5, -0.9, -0.9], "y": [0.0] * 7}
    entry = {"map": spread, "layers": [{"layer": 0, "dots": 2}]}
    points = numbered(entry, drawn)
    assert [(p.number, len(p.uses), p.forms) for p in points] == [(1, 5, [("cat", 5)]), (2, 2, [("Cat", 2)])]
