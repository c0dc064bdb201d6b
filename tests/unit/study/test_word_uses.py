"""Uses of a word from a run's own text, and what takes them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import polyseme
from english import english_in
from polyseme.cli import main
from polyseme.report.senses import senses_page
from polyseme.report.uses import uses_page
from polyseme.text.labelled.senses import read_uses
from trained import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("uses"), "word2vec", steps=1)


def test_uses_are_those_of_the_training_text(run: Path) -> None:
    result = polyseme.uses(run, "river", limit=25, seed=1)
    whole = " ".join(" ".join(path.read_text().split()) for path in (run.parent / "texts").iterdir())
    meta = polyseme.RunDirectory.open(run).meta["corpus"]
    assert (result.source, result.texts_read) == ("store", meta["splits"]["train"]["documents"])
    assert len(result.uses) == 25 < result.found <= whole.split().count("river")
    assert all(use.form == "river" and use.text in whole for use in result.uses)
    document = json.loads(json.dumps(result.document()))
    assert set(document["uses"][0]) == {"id", "text", "start", "end"}
    assert document["from"] == "store"


def test_senses_and_cosines_take_them(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["uses", str(run), "river", "--limit", "30", "-o", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {"uses.html", "uses.json", "uses.jsonl"}
    assert len(read_uses(out / "uses.jsonl")) == 30
    capsys.readouterr()
    assert main(["senses", str(run), "--word", "river", "--limit", "30", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["words"][0]["uses"] == 30
    assert printed["notes"][0].startswith("the text is put together from the run's tokens")
    assert not senses_page(printed).lead.endswith("· ")
    drawn = polyseme.uses(run, "river", limit=3).uses
    result = polyseme.cosines(run, drawn)
    assert result.headline() == "3 uses of river; run"
    assert polyseme.cosines(run, word="river", limit=3).document() == result.document()
    assert main(["cosines", str(run), "--word", "river", "--limit", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == result.document()


def test_other_texts_in_place_of_the_run_s(run: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The River is wide.\n\nNobody saw rivers.", "utf-8")
    result = polyseme.uses(run, "river", texts=tmp_path / "a.txt")
    assert [use.form for use in result.uses] == ["River"]
    assert (result.source, result.run) == ("texts", "")
    lines = polyseme.uses(None, "天气", lines=["今天天气很好", "她走了", "天气不好，天气很冷"], limit=2)
    assert (len(lines.uses), lines.found, lines.texts_read) == (2, 3, 3)


@pytest.mark.parametrize("source", ["store", "texts", "lines"])
def test_the_page_in_both_languages(run: Path, source: str) -> None:
    result = polyseme.uses(run, "river", limit=25)
    document = result.document() | {"from": source}
    for lang in ("en", "zh"):
        page = uses_page(document, lang)
        assert (english_in(page, document) == []) == (lang == "zh")
        assert "5" in page.text(80).split("\n\n")[2]  # more than are shown


def test_without_its_store_a_run_says_what_to_type(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("store"))
    assert main(["uses", str(tmp_path / "run"), "river"]) == 2
    assert "--texts FILE" in capsys.readouterr().err
