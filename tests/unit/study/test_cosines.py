"""Cosines of words and of uses: the lesson of the line, from 1-of-N to a model that reads the context."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

import polyseme
from english import english_in
from polyseme.cli import main
from polyseme.errors import InputError
from polyseme.report.cosines import cosines_page
from polyseme.study.cosines import marked_use
from polyseme.study.word_vectors import word_vector
from vector_runs import random_run

BANKS = ["the *cat* sat on the mat", "the dog sees the *cat*", "a small *Cat*"]


@pytest.mark.parametrize("name", ["onehot", "word-classes", "word2vec", "elmo", "bert", "gpt"])
def test_words_in_every_model(tmp_path: Path, name: str) -> None:
    loaded = random_run(tmp_path, name)
    result = polyseme.cosines(loaded, ["cat", "dog", "mat"])
    (layer,) = result.runs[0]["layers"]
    matrix = np.array(layer["cosines"])
    assert np.allclose(np.diag(matrix), 1)
    assert np.allclose(matrix, matrix.T)
    if name == "onehot":  # every two words are equally far
        assert matrix.tolist() == np.eye(3).tolist()
    elif name != "word-classes":
        a, b = (word_vector(loaded, word) for word in ("cat", "dog"))
        assert a is not None
        assert b is not None
        assert matrix[0, 1] == pytest.approx(float(a @ b), abs=2e-6)
    if name == "elmo":  # reads letters
        assert polyseme.cosines(loaded, ["cat", "zebra"]).runs[0]["unknown"] == []


def test_an_unknown_word_has_no_figures(tmp_path: Path) -> None:
    result = polyseme.cosines(random_run(tmp_path, "word2vec"), ["cat", "zebra", "dog"])
    assert result.runs[0]["unknown"] == [1]
    assert [value is None for value in result.runs[0]["layers"][0]["cosines"][0]] == [False, True, False]
    assert [row["cosine"] is None for row in result.rows()] == [True, False, True]
    assert "—" in cosines_page(result.document()).text(80)
    assert result.notes == ["word2vec: without a vector: zebra"]
    loaded = random_run(tmp_path / "again", "word2vec")
    for items, says in ((["cat", "zebra"], "fewer than two"), (["cat", "dog", " "], "an empty word")):
        with pytest.raises(InputError, match=says):
            polyseme.cosines(loaded, items)


def test_uses_of_a_word_in_a_static_and_in_a_contextual_model(tmp_path: Path) -> None:
    runs = [random_run(tmp_path, name) for name in ("word2vec", "bert")]
    result = polyseme.cosines(runs, BANKS, layer="all")
    static, contextual = result.runs
    assert np.allclose(static["layers"][0]["cosines"], 1, atol=1e-5)
    first, *_, last = contextual["layers"]
    assert (first["layer"], last["layer"]) == (0, 2)
    assert last["cosines"][0][1] < 0.999
    vectors = [runs[1].encode(use.text, layers=-1) for use in map(marked_use, BANKS)]
    a, b = (each.layers[0][each.tokens.index("cat")] for each in vectors[:2])
    assert last["cosines"][0][1] == pytest.approx(
        float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)), abs=1e-4
    )
    named = polyseme.cosines(runs[1], [text.replace("*", "") for text in BANKS], word="cat")
    assert named.runs[0]["layers"][0]["cosines"] == last["cosines"]
    found = polyseme.uses(None, "cat", lines=[text.replace("*", "") for text in BANKS]).uses
    assert polyseme.cosines(runs[1], found).runs[0]["layers"][0]["cosines"] == last["cosines"]


def test_nothing_is_no_words(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no words"):
        polyseme.cosines(random_run(tmp_path, "word2vec"), None)  # type: ignore[arg-type]


def test_several_places_are_told(tmp_path: Path) -> None:
    result = polyseme.cosines(random_run(tmp_path, "bert"), ["cat and cat", "a cat"], word="cat")
    assert result.notes == ["2 places of cat in sentence 1: the first is taken"]
    assert (result.items[0]["start"], result.headline()) == (0, "2 uses of cat; bert")


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("items", [["cat", "dog", "cat"], BANKS, ["今天*天气*很好", "*天气*不好"]])
def test_the_page_in_both_languages(tmp_path: Path, lang: str, items: list[str]) -> None:
    document = polyseme.cosines(
        [random_run(tmp_path, "word2vec"), random_run(tmp_path, "bert")], items
    ).document()
    page = cosines_page(json.loads(json.dumps(document)), lang)
    assert (english_in(page, document) == []) == (lang == "zh")
    assert [figure.name.split("_")[1] for figure in page.figures] == ["1", "2"]
    assert len(page.figures) == 2
    for figure in page.figures:
        cells = figure.chart.spec["layer"][0]["data"]["values"]
        assert len(cells) == len({(cell["i"], cell["j"]) for cell in cells}) == len(items) ** 2
    assert page.html()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_uses_of_several_words_are_called_so(tmp_path: Path, lang: str) -> None:
    result = polyseme.cosines(
        random_run(tmp_path, "word2vec"), ["the *cat* sat", "a *Cat*", "the *dog* sees"]
    )
    assert result.headline() == "3 uses of cat, dog; word2vec"
    document = json.loads(json.dumps(result.document()))
    page = cosines_page(document, lang)
    assert "cat" not in page.title
    assert (english_in(page, document) == []) == (lang == "zh")


def test_a_long_word_and_one_of_commands_to_the_terminal(tmp_path: Path) -> None:
    loaded = random_run(tmp_path, "elmo")
    long, red = "w" * 90, "r\x1b[31m\u202e"
    page = cosines_page(polyseme.cosines(loaded, [long, long + "x", red, "cat"]).document())
    text = page.text(80)
    assert max(map(len, text.split("\n"))) <= 80
    assert "\\x1b[31m\\u202e" in text
    assert not {"\x1b", "\u202e"} & set(text)
    cells = page.figures[0].chart.spec["layer"][0]["data"]["values"]
    assert len({(cell["i"], cell["j"]) for cell in cells}) == 16


def test_charts_of_two_runs_are_two_files_and_the_next_line_keeps_what_was_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = random_run(tmp_path, "word2vec").run.path
    runs = [tmp_path / "s.1", tmp_path / "s_1"]
    for run in runs:
        shutil.copytree(first, run)
    given = ["cosines", str(runs[0]), "the *cat* sat", "a *cat*", "--against", str(runs[1])]
    options = ["--layer", "-1", "--seed", "2"]

    def following() -> list[list[str]]:
        lines = capsys.readouterr().err.split("\n")
        return [shlex.split(line)[2:] for line in lines if line.startswith("next:")]

    assert main([*given, *options]) == 0
    (typed,) = following()
    assert sorted(typed) == sorted([*given, *options, "-o", "cosines"])
    assert main([*typed[:-1], str(tmp_path / "out")]) == 0
    assert len([*(tmp_path / "out").glob("*.svg")]) == 2
    assert following() == []
    assert main([*given, "-o", str(tmp_path / "more")]) == 0
    (typed,) = following()
    assert main(typed) == 0
