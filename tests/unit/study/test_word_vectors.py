"""Similarity and analogies against values worked out by hand, on files of every form; intervals."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from decoding import make_loaded
from polyseme.errors import CorpusError, InputError
from polyseme.study.stats import interval_of_pairs
from polyseme.study.word_vectors import analogy, read_pairs, read_questions, similarity, word_vector
from polyseme.tasks.metrics.intervals import wilson
from polyseme.tasks.metrics.regression import spearman
from stand_in import ROWS, SHARED_DATA

WORDS = ["[PAD]", "[UNK]", "king", "queen", "man", "woman", "apple", "pear"]
#           royal female fruit
VECTORS = [
    [0, 0, 0], [0, 0, 0], [1, 0.1, 0], [1, 0.9, 0], [0.1, 0.1, 0], [0.1, 1, 0.05], [0, 0.1, 1], [0.1, 0, 1],
]  # fmt: skip


@pytest.fixture
def loaded() -> Any:
    def lookup(text: str) -> list[int]:
        return [WORDS.index(w) if w in WORDS else 1 for w in text.lower().split()]

    special = np.arange(len(WORDS)) < 2
    return SimpleNamespace(
        tokenizer=SimpleNamespace(lookup=lookup, unk_id=1, continues=np.zeros(len(WORDS), np.bool_)),
        word_vectors=nn.functional.normalize(torch.tensor(VECTORS, dtype=torch.float32), dim=1),
        special=SimpleNamespace(special=special),
        encoder=None,
        run=SimpleNamespace(path=Path("runs/w2v")),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\tb\t1.5\r\nc\td\t2\r\ne\tf\t3\r\n", 3),
        ("Word 1,Word 2,Human (mean)\na,b,1.5\nc,d,2\ne,f,3\n", 3),
        ("# head\na b 1.5\n\nc d 2\ne f 3\n", 3),
        ("take\tremove\tV\t6.81\tSYNONYMS\nwalk\ttrail\tV\t4.81\tCOHYPONYMS\nfeed\tstarve\tV\t1.49\tANTONYMS\n", 3),
    ],
    ids=["tabs", "csv", "spaces", "simverb"],
)  # fmt: skip
def test_the_form_of_a_file_is_found(tmp_path: Path, text: str, expected: int) -> None:
    file = tmp_path / "set.txt"
    file.write_bytes(text.encode())
    pairs = read_pairs(file)
    assert len(pairs) == expected
    assert all(isinstance(pair.score, float) and pair.first and pair.second for pair in pairs)


def test_bad_lines_are_named(tmp_path: Path, loaded: Any) -> None:
    file = tmp_path / "set.txt"
    file.write_text("a b 1\nc d\n")
    with pytest.raises(InputError, match="not a pair") as caught:
        read_pairs(file)
    assert str(caught.value.where).endswith(":2")
    file.write_text("a b 1\n")
    with pytest.raises(InputError, match="too few"):
        read_pairs(file)
    file.write_text(": s\na b c\n")
    with pytest.raises(InputError, match="not an analogy"):
        read_questions(file)
    file.write_text("# nothing\n")
    with pytest.raises(InputError, match="no analogies"):
        read_questions(file)
    with pytest.raises(CorpusError, match="no such file"):
        similarity(loaded, tmp_path / "absent")


def test_similarity_by_hand(tmp_path: Path, loaded: Any) -> None:
    file = tmp_path / "set.tsv"
    file.write_text("king\tqueen\t9\nking\tapple\t1\napple\tpear\t10\nKing\tman\t5\nking\tzebra\t3\n")
    result = similarity(loaded, file)
    (found,) = result.document()
    assert (found["pairs"], found["covered"], found["unknown"]) == (5, 4, ["zebra"])
    unit = np.array(VECTORS[2:]) / np.linalg.norm(VECTORS[2:], axis=1, keepdims=True)
    cosines = [unit[0] @ unit[1], unit[0] @ unit[4], unit[4] @ unit[5], unit[0] @ unit[2]]
    ranks = np.argsort(np.argsort(cosines))
    expected = np.corrcoef(ranks, [2, 0, 3, 1])[0, 1]
    s = found["spearman"]
    assert s["value"] == pytest.approx(expected)
    assert s["low"] <= s["value"] <= s["high"]
    assert "4 of 5" in str(result)
    file.write_text("a\tb\t1\nc\td\t2\nking\tqueen\t3\n")
    assert similarity(loaded, file).files[0]["spearman"]["value"] is None


def test_analogies_by_hand(tmp_path: Path, loaded: Any) -> None:
    file = tmp_path / "questions.txt"
    file.write_text(
        ": family\nman woman king queen\nking queen man woman\nman woman zebra queen\n: fruit\nking queen apple man\n"
    )
    result = analogy(loaded, file)
    found = result.document()
    family, fruit = found["sections"]["family"], found["sections"]["fruit"]
    assert (family["questions"], family["covered"]) == (3, 2)
    for rule in ("cos_add", "cos_mul"):
        assert family[rule]["value"] == 1.0
        assert family[rule]["low"] == pytest.approx(wilson(2, 2)[0])
        assert fruit[rule]["value"] == 0.0
        assert found["total"][rule]["value"] == pytest.approx(2 / 3)
    assert found["total"]["covered"] == 3
    assert "2 of 3" in str(result)
    file.write_text(": unknown\nman woman zebra apple\n")
    unknown = str(analogy(loaded, file))
    assert "none" in unknown
    assert "…" not in unknown  # nothing has no interval


def test_words_of_byte_level_vocabularies_have_their_space_before_them(tmp_path: Path) -> None:
    decoder = make_loaded("gpt", "byte-bpe")
    words = ["mat", "and", "two", "three"]
    assert all(len(decoder.tokenizer.encode(f" {word}").ids) == 1 for word in words)
    for word in words:
        vector = word_vector(decoder, word)
        assert vector is not None
        assert torch.allclose(vector, decoder.word_vectors[decoder.tokenizer.encode(f" {word}").ids[0]])
    (tmp_path / "q.txt").write_text(" ".join(words), "utf-8")
    assert analogy(decoder, tmp_path / "q.txt").total["covered"] == 1


def test_spearman_is_scipys() -> None:
    from scipy.stats import spearmanr

    random = np.random.default_rng(0)
    x, y = random.integers(0, 6, (4, 30)).astype(float), random.normal(size=(4, 30))
    expected = [spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(spearman(x, y), expected)


def test_intervals_hold_what_they_say() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(50, 100)
    assert (low, high) == (pytest.approx(0.4038, abs=1e-4), pytest.approx(0.5962, abs=1e-4))
    random = np.random.default_rng(1)
    inside = 0
    for _ in range(60):  # a correlation of 0.6 between normals has Spearman's 0.582
        x = random.normal(size=150)
        y = 0.6 * x + 0.8 * random.normal(size=150)
        low, high = interval_of_pairs(spearman, x, y, resamples=200)
        inside += low <= 0.582 <= high
    assert 50 <= inside <= 60


def test_sets_as_they_were_fetched_are_read(any_data: Path) -> None:
    tasks, real = any_data / "tasks", any_data == SHARED_DATA
    sizes = {file.name: len(read_pairs(file)) for file in (tasks / "wordsim_en").glob("EN-*.txt")}
    assert sizes["EN-MTurk-771.txt"] == (771 if real else ROWS)
    if real:
        assert sizes["EN-SIMLEX-999.txt"] == 999
        assert sizes["EN-SimVerb-3500.txt"] == 3500
    assert len(read_pairs(tasks / "wordsim_zh" / "wordsim-240.txt")) == (240 if real else ROWS)
    questions = read_questions(tasks / "analogy_en" / "questions-words.txt")
    assert sum(map(len, questions.values())) == (19_544 if real else ROWS)
    assert len(questions) == (14 if real else 2)
    chinese = read_questions(tasks / "wordsim_zh" / "analogy.txt")
    assert sum(map(len, chinese.values())) > (900 if real else ROWS - 1)
