"""`polyseme distil` as it is typed, and what every verb makes of a static run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyseme.cli import main


@pytest.fixture(scope="module")
def static(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("distil") / "static"
    assert main(["distil", str(run), "-o", str(folder), "--dimensions", "16"]) == 0
    return folder


def printed(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    capsys.readouterr()
    assert main([str(word) for word in words]) == 0
    return json.loads(capsys.readouterr().out)


def test_distil_says_what_it_made(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, "distil", run, "-o", tmp_path / "a", "--dimensions", 8, "--remove", 1, "--json")
    assert (found["vocab_size"], found["dimensions"], found["remove"]) == (700, 8, 1)
    assert 0 < found["explained"] <= 1
    assert (found["way"], found["shares"]) == ("alone", "training text")
    assert main(["distil", str(run), "-o", str(tmp_path / "b"), "--dimensions", "8", "--layer", "mix"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("700 entries, 8 numbers each")
    assert "polyseme export" in said.err


def test_distil_of_uses_in_a_corpus(
    run: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = (
        "--corpus",
        corpus,
        "--words",
        "corpus",
        "--min-count",
        20,
        "--dimensions",
        12,
        "--tokens",
        "5k",
    )
    found = printed(capsys, "distil", run, "-o", tmp_path / "a", *options, "--json")
    assert found["way"] == "uses in a corpus"
    assert found["vocab_size"] == found["words"] + 5
    near = printed(capsys, "neighbours", tmp_path / "a", "the", "--json")
    assert near


def test_every_verb_takes_a_static_run(
    static: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lines.txt").write_text("the first line\n\nthe second line of it\n", "utf-8")
    for output in ("v.npy", "words.npy"):
        pool = ["--pool", "words"] if output == "words.npy" else []
        assert (
            main(["embed", str(static), str(tmp_path / "lines.txt"), "-o", str(tmp_path / output), *pool])
            == 0
        )
    vectors = np.load(tmp_path / "v.npy")
    assert vectors.shape == (3, 16)
    assert not vectors[1].any()
    (tmp_path / "pairs.txt").write_text("class object 7\nlist string 5\nname value 3\n", "utf-8")
    (tmp_path / "four.txt").write_text(": names\nclass list name value\n", "utf-8")
    rows = [
        f"the {a} is {b}\t{'good' if b == 'true' else 'bad'}" for a in "abcdefgh" for b in ("true", "false")
    ]
    (tmp_path / "train.tsv").write_text("text\tlabel\n" + "\n".join(rows) + "\n", "utf-8")
    train = str(tmp_path / "train.tsv")
    for words in (
        ["inspect", str(static)],
        ["neighbours", str(static), "the"],
        ["similarity", str(static), str(tmp_path / "pairs.txt")],
        ["analogy", str(static), str(tmp_path / "four.txt")],
        ["cka", str(static), str(tmp_path / "lines.txt")],
        [
            "finetune",
            "classify",
            str(static),
            "--train",
            train,
            "-o",
            str(tmp_path / "task"),
            "--epochs",
            "1",
        ],
        ["evaluate", str(tmp_path / "task"), train],
        ["export", str(static), "word2vec", str(tmp_path / "v.txt")],
        ["export", str(static), "word2vec", str(tmp_path / "v.bin")],
        ["export", str(static), "projector", str(tmp_path / "projector")],
        ["export", str(static), "model2vec", str(tmp_path / "model2vec")],
        ["import", str(tmp_path / "v.bin"), "-o", str(tmp_path / "back")],
        ["import", str(tmp_path / "model2vec"), "-o", str(tmp_path / "back2")],
        ["embed", str(tmp_path / "back2"), str(tmp_path / "lines.txt"), "-o", str(tmp_path / "again.npy")],
    ):
        assert main(words) == 0, words
    assert np.allclose(np.load(tmp_path / "again.npy"), vectors, atol=1e-6)
    for words, why in (
        (["score", str(static), str(tmp_path / "lines.txt")], "probability"),
        (["attention", str(static), "the line"], "attention"),
        (["distil", str(static), "-o", str(tmp_path / "x")], "static already"),
        (["fill", str(static), "the [MASK]"], "fill"),
    ):
        capsys.readouterr()
        assert main(words) != 0, words
        assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--dimensions", "33"], "fewer dimensions"),
        (["--remove", "-1"], "components"),
        (["--sif", "-1"], "sif"),
        (["--layer", "somewhere"], "--layer is a number or mix"),
        (["--words", "corpus"], "no corpus"),
        (["--words", "nowhere.txt"], "no such file"),
        (["--corpus", "nowhere.txt"], "nowhere.txt"),
    ],
)
def test_bad_options_end_with_two(
    run: Path, options: list[str], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["distil", str(run), "-o", str(tmp_path / "x"), *options]) == 2
    assert why in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_the_other_spelling_is_led_to_the_verb(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["distill", str(run), "-o", str(tmp_path / "x"), "--dimensions", "4"]) == 2
    assert "polyseme distil " in capsys.readouterr().err
