"""Phrases from the command line: trained, found by neighbours, shared with another run."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyseme.cli import main
from polyseme.text.tokenizers import Tokenizer

OPTIONS = ("--set", "hidden_size=16", "--set", "tokenizer.min_count=2", "--set", "text.documents=blank")
PHRASES = ("--set", "tokenizer.phrases=2", "--set", "tokenizer.phrase_threshold=8")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences of words in any order, with three phrases in their midst."""
    draw = random.Random(1)
    filler = [a + b for a in ("mo", "ta", "ri", "lu", "ke", "vi") for b in ("pa", "ne", "so", "di", "gu")]
    names = ["New York", "New York Times", "San Francisco", "new", "york", "times"]
    file = tmp_path_factory.mktemp("text") / "text.txt"
    sentences = [
        " ".join([*draw.choices(filler, k=4), draw.choice(names), *draw.choices(filler, k=4)]) + "."
        for _ in range(3000)
    ]
    file.write_text("\n\n".join(" ".join(sentences[i : i + 10]) for i in range(0, 3000, 10)), "utf-8")
    return file


@pytest.fixture(scope="module")
def run(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "phrases"
    assert (
        main(["pretrain", "word2vec", str(text), "-o", str(folder), "--epochs", "2", *OPTIONS, *PHRASES]) == 0
    )
    return folder


def stdout_json(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    capsys.readouterr()
    assert main([str(word) for word in words]) == 0
    return json.loads(capsys.readouterr().out)


def test_neighbours_of_a_phrase(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed = [
        stdout_json(capsys, "neighbours", run, way, "--top", "60", "--json")
        for way in ("new york", "New_York")
    ]
    assert typed[0] == typed[1]
    words = [found["word"] for found in typed[0]]
    assert "san francisco" in words
    assert "new york times" in words
    assert "new york" not in words
    assert {"new", "york"} <= set(words)
    assert [
        n["word"] for n in stdout_json(capsys, "neighbours", run, "new times", "--top", "60", "--json")
    ] != words


def test_word_sets_may_hold_phrases(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs, questions = tmp_path / "pairs.tsv", tmp_path / "questions.txt"
    pairs.write_text("new_york\tsan_francisco\t9\nnew york\tmopa\t2\nnew_york_times\ttane\t1\n", "utf-8")
    questions.write_text("new_york new san_francisco times\nnew_gork new york times\n", "utf-8")
    found = stdout_json(capsys, "similarity", run, pairs, "--json")
    assert "'covered': 3" in str(found)
    found = stdout_json(capsys, "analogy", run, questions, "--json")
    assert "'questions': 2, 'covered': 1" in str(found)


def test_embed_gives_a_phrase_one_vector(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "lines.txt"
    file.write_text("mopa New York Times tane.\nnew\n", "utf-8")
    assert main(["embed", str(run), str(file), "-o", str(tmp_path / "v.npy"), "--pool", "words"]) == 0
    assert np.load(tmp_path / "v.offsets.npy").tolist() == [0, 4, 5]


def test_the_vocabulary_is_saved_and_shared(
    run: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = Tokenizer.from_file(run / "tokenizer.json")
    assert tokenizer.id("new york times") is not None
    assert json.loads((run / "run.json").read_text("utf-8"))["recipe"]["tokenizer"]["phrases"] == 2
    other = tmp_path / "classes"
    options = ["--tokenizer", str(run), "--set", "num_classes=4", "--set", "text.documents=blank"]
    assert main(["pretrain", "word-classes", str(text), "-o", str(other), *options]) == 0
    assert Tokenizer.from_file(other / "tokenizer.json").fingerprint == tokenizer.fingerprint
    assert stdout_json(capsys, "neighbours", other, "new_york", "--json")


def test_other_kinds_refuse(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--set", "tokenizer.kind=wordpiece", *PHRASES]
    assert main(["pretrain", "word2vec", str(text), "-o", str(tmp_path / "run"), *options]) == 2
    assert "kind words or spaces for phrases" in capsys.readouterr().err
