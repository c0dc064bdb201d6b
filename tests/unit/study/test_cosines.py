"""Cosines of words and of uses: the lesson of the line, from 1-of-N to a model that reads the context."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import polyseme
from english import english_in
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
    assert [figure.name.split("_")[1] for figure in page.figures] == ["word2vec", "bert"]
    assert len(page.figures) == 2
    for figure in page.figures:
        cells = figure.chart.spec["layer"][0]["data"]["values"]
        assert len(cells) == len({(cell["i"], cell["j"]) for cell in cells}) == len(items) ** 2
    assert page.html()
