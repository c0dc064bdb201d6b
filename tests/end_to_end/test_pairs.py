"""Minimal pairs of a trained run, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from polyseme.cli import main

from .test_verbs import stdout_json


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "pairs"
    folder.mkdir()
    rows = [
        {
            "sentence_good": f"The {noun}s are bound.",
            "sentence_bad": f"The {noun}s is bound.",
            "UID": "agreement",
            "linguistics_term": "number",
        }
        for noun in ("name", "class", "module", "function", "object")
    ]
    (folder / "agreement.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (folder / "order.tsv").write_text(
        "good\tbad\tphenomenon\nthe class is\tclass the is\torder\na name\tname a\torder\n", "utf-8"
    )
    return folder


def test_pairs(run: Path, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = stdout_json(capsys, "pairs", run, files, "--json")
    assert found["scoring"] == "within-word"
    assert [(one["paradigm"], one["pairs"]) for one in found["paradigms"]] == [("agreement", 5), ("order", 2)]
    assert set(found["figures"]["accuracy"]) == {"value", "low", "high", "n"}
    original = stdout_json(capsys, "pairs", run, files / "agreement.jsonl", "--scoring", "original", "--json")
    assert original["scoring"] == "original"
    out = tmp_path / "out"
    words = ["pairs", run, files, "--against", run, "--limit", "3", "-o", out, "--report-lang", "zh"]
    assert main([str(word) for word in words]) == 0
    printed = capsys.readouterr()
    assert "all: mean over paradigms" in printed.out
    assert "next:" in printed.err
    assert {path.name for path in out.iterdir()} == {
        *("pairs.json", "pairs.html", "pairs.svg", "pairs.png", "scores.jsonl")
    }
    document = json.loads((out / "pairs.json").read_text("utf-8"))
    assert document["figures"]["difference"]["value"] == 0
    assert "最小对立体" in (out / "pairs.html").read_text("utf-8")
    lines = [json.loads(line) for line in (out / "scores.jsonl").read_text("utf-8").splitlines()]
    assert len(lines) == document["figures"]["pairs"] == 5
    assert lines[0]["margin"] == pytest.approx(lines[0]["good_score"] - lines[0]["bad_score"])


def test_lines_are_scored_within_words(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "lines.txt"
    file.write_text("unboundedly\n", "utf-8")
    plain = stdout_json(capsys, "score", run, file, "--json")["lines"][0]
    within = stdout_json(capsys, "score", run, file, "--within-word", "--json")["lines"][0]
    assert plain["tokens"] == within["tokens"] > 1
    assert plain["log_likelihood"] != within["log_likelihood"]


def test_misuse(run: Path, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = tmp_path / "bare.tsv"
    bare.write_text("a class\tclass a\nthe name\tname the\n", "utf-8")
    for words, said in (
        ([run], "no file of minimal pairs given"),
        ([run, bare], "--columns good=1,bad=2"),
        ([run, tmp_path / "absent.jsonl"], "no such file"),
        ([run, files, "--limit", "0"], "--limit must be above zero"),
    ):
        assert main(["pairs", *map(str, words)]) in (1, 2)
        assert said in capsys.readouterr().err
    assert main(["pairs", str(run), str(bare), "--columns", "good=1,bad=2"]) == 0


def test_a_run_without_probabilities_says_what_it_can_do(
    corpus: Path, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "word2vec"
    words = ["pretrain", "word2vec", corpus, "-o", folder, "--epochs", "1", "--set", "hidden_size=8"]
    assert main([*map(str, words), "--set", "text.valid_share=0.3"]) == 0
    assert main(["pairs", str(folder), str(files)]) != 0
    error = capsys.readouterr().err
    assert "gives texts no probability" in error
    assert "polyseme neighbours" in error
