"""CKA of runs: words as units across tokenizers, sparse runs, blocks of whole texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyseme.errors import ConfigError, InputError
from polyseme.infer.hidden import encode
from polyseme.study import cka as module
from polyseme.study.cka import alignment, cka, dependence
from polyseme.study.word_units import spans_of_words
from vector_runs import random_run

TEXTS = [
    "the cat sat on the mat",
    "the old dog sees the small cat and the small cat sees the old dog",
    "今天天气很好",
    "the dog sat on the old mat, and the cat sat on the small one",
    "a dog on a cat on a mat",
    "",
] * 4


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("runs")
    return {name: random_run(folder, name) for name in ("bert", "gpt", "elmo", "onehot", "word2vec")}


def test_layers_of_one_run(runs: dict[str, Any]) -> None:
    found = cka(runs["bert"], TEXTS).document()
    matrix = np.array([[one["value"] for one in row] for row in found["cka"]])
    assert matrix.shape == (3, 3)
    np.testing.assert_allclose(np.diag(matrix), 1.0)
    np.testing.assert_allclose(matrix, matrix.T)
    assert found["runs"][0]["layers"] == 3
    assert found["texts"] == 20
    assert found["cka"][0][1]["n"] == found["units"] == 4 * sum(len(spans_of_words(t)) for t in TEXTS[:6])
    assert 10 <= found["blocks"] <= 20  # of whole texts, which are not equally long
    for row in found["cka"]:
        for one in row:
            assert one["low"] <= one["value"] <= one["high"]


def test_words_of_different_tokenizers_are_compared_as_the_plain_way_would(runs: dict[str, Any]) -> None:
    """Vectors gathered by hand, word by word, give the same figures."""
    found = cka([runs["bert"], runs["elmo"]], TEXTS).document()
    vectors: dict[str, list[list[np.ndarray]]] = {"bert": [], "elmo": []}
    for name, rows in vectors.items():
        for one in encode(runs[name], TEXTS):
            for start, end in spans_of_words(one.text).tolist():
                inside = [i for i, (a, b) in enumerate(one.offsets.tolist()) if a < end and b > start]
                rows.append([layer[inside].mean(0) for layer in one.layers])
    assert len(vectors["bert"]) == found["units"]
    x = [[np.stack([row[k] for row in vectors["bert"]])] for k in range(3)]
    y = [[np.stack([row[k] for row in vectors["elmo"]])] for k in range(3)]
    for i, a in enumerate(x):
        for j, b in enumerate(y):
            plain = alignment(dependence(a, b), dependence(a, a), dependence(b, b))
            assert found["cka"][i][j]["value"] == pytest.approx(plain["value"], abs=1e-5)
            assert found["cka"][i][j]["plain"] == pytest.approx(plain["plain"], abs=1e-5)


def test_sparse_runs_stay_sparse(runs: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(runs["onehot"].encoder), "encode", None)  # dense unit vectors are never made
    found = cka([runs["onehot"], runs["word2vec"]], TEXTS).document()
    assert found["cka"][0][0]["value"] is not None
    assert cka(runs["onehot"], TEXTS).values[0][0]["value"] == pytest.approx(1.0)


def test_the_size_of_blocks_changes_no_value(runs: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cka([runs["bert"], runs["gpt"]], TEXTS).document()
    monkeypatch.setattr(module, "BLOCKS", 3)
    monkeypatch.setattr(module, "BLOCK_ROWS", 100)
    few = cka([runs["bert"], runs["gpt"]], TEXTS).document()
    assert few["blocks"] == 3
    for row, other in zip(whole["cka"], few["cka"], strict=True):
        for one, two in zip(row, other, strict=True):
            assert one["value"] == pytest.approx(two["value"], rel=1e-7)


def test_whole_texts(runs: dict[str, Any]) -> None:
    found = cka([runs["bert"], runs["word2vec"]], TEXTS, unit="texts").document()
    assert found["units"] == 20
    assert found["unit"] == "texts"


def test_words_that_a_run_does_not_know_are_left_out_for_both(runs: dict[str, Any]) -> None:
    texts = [f"{text} zebra" for text in TEXTS if text.isascii()]
    found = cka([runs["word2vec"], runs["elmo"]], texts)
    assert found.left_out["unknown"] == len(texts)  # elmo reads letters, word2vec does not know the word
    assert cka(runs["elmo"], texts).left_out["unknown"] == 0


def test_words_beyond_what_a_run_reads_are_left_out(runs: dict[str, Any]) -> None:
    long = " ".join(["the old dog sees the small cat"] * 20)
    found = cka(runs["bert"], [long, long])
    assert found.left_out["not_read"] > 0
    assert found.units + found.left_out["not_read"] == 2 * 7 * 20


def test_the_limit_ends_the_reading(runs: dict[str, Any]) -> None:
    found = cka(runs["bert"], iter(TEXTS), limit=30)
    assert 30 <= found.units < 60


def test_what_is_refused(runs: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="too few words"):
        cka(runs["bert"], ["", "the cat"])
    with pytest.raises(ConfigError):
        cka(runs["bert"], TEXTS, unit="lines")  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        cka(runs["bert"], TEXTS, limit=0)
    with pytest.raises(InputError, match="one or two runs"):
        cka([], TEXTS)
