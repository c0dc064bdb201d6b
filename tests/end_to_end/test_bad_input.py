"""Every mistake gets our own error and exit code 2, says what to do, and leaves everything as it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from polyseme.cli import main

from .conftest import tiny


def refused(capsys: pytest.CaptureFixture[str], *words: object, code: int = 2) -> str:
    capsys.readouterr()
    assert main([str(word) for word in words]) == code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert "error: " in captured.err
    return captured.err


@pytest.mark.parametrize(
    ("corpus_name", "says"),
    [
        ("missing", "no such file"),
        ("empty.txt", "empty"),
        ("spaces.txt", ""),
        ("picture.txt", "not a text file"),
        ("folder", "no text files"),
    ],
)
def test_corpora_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], corpus_name: str, says: str
) -> None:
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "spaces.txt").write_bytes(b" \n\n \n" * 10)
    (tmp_path / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)
    (tmp_path / "folder").mkdir()
    run = tmp_path / "run"
    said = refused(capsys, "pretrain", "bert", tmp_path / corpus_name, "-o", run, "--steps", "2", *tiny())
    assert says in said
    assert not run.exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["pretrain", "brt", "CORPUS", "-o", "RUN", "--steps", "1"], "bert"),
        (["pretrain", "bert", "CORPUS", "-o", "RUN", "--recipe", "bertt"], "bert"),
        (["pretrain", "bert", "CORPUS", "-o", "RUN", "--set", "hiden_size=3"], "hidden_size"),
        (["pretrain", "bert", "CORPUS", "-o", "RUN", "--set", "hidden_size=30"], "divisible"),
        (["pretrain", "bert", "CORPUS", "-o", "RUN", "--set", "data.sequence_length=600"], "max_position_embeddings"),
        (["pretrain", "bert", "CORPUS", "-o", "RUN", "--minutes", "0"], "above zero"),
        (["pretrain", "bert", "CORPUS", "-o", "RUN", "--steps", "-4"], "above zero"),
        (["pretrain", "gpt", "CORPUS", "-o", "RUN", "--steps", "4", "--set", "objectives=hybrid"], "--recipe hybrid"),
        (["pretrain", "gpt", "CORPUS", "-o", "RUN", "--steps", "4", "--recipe", "hybrid"], "pretrain modernbert"),
        (["pretrain", "bert", "CORPUS", "-o", "RUN", "--recipe", "hybrid"], "modernbert"),
        (["pretrain", "bert", "CORPUS", "-o", "RUN", "--steps", "4", "--minutes", "1"], "--minutes"),
        (["pretrain", "bert", "-o", "RUN", "--steps", "4"], "corpus"),
        (["pretrain", "bert", "CORPUS", "-o", "RUN", "--steps", "2", "--tokenizer", "nowhere"], "tokenizer"),
        (["pretrain", "bert", "CORPUS", "-o", "RUN", "--steps", "2", "--init", "nowhere"], "not a run"),
        (["fill", "nowhere", "a [MASK]"], "not a run"),
        (["list", "modells"], "models"),
        (["pretrian", "bert"], "pretrain"),
    ],
)  # fmt: skip
def test_requests_that_make_no_sense(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    run = tmp_path / "run"
    filled = [str({"CORPUS": corpus, "RUN": run}.get(word, word)) for word in words]
    assert says in refused(capsys, *filled)
    assert not run.exists()


def test_another_run_is_never_overwritten(
    run: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    said = refused(capsys, "pretrain", "modernbert", corpus, "-o", run, "--steps", "2", *tiny())
    assert "another run" in said
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("change", "says"),
    [(["--set", "train.learning_rate=0.5"], "train.learning_rate"), (["--seed", "9"], "seed")],
)
def test_resuming_with_another_recipe(
    run: Path, corpus: Path, capsys: pytest.CaptureFixture[str], change: list[str], says: str
) -> None:
    words = ["pretrain", "bert", corpus, "-o", run, "--steps", "6", *tiny(), *change, "--resume"]
    assert says in refused(capsys, *words)


def test_resuming_with_another_corpus(
    run: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    shutil.copytree(corpus, other)
    (other / "extra.txt").write_text("something new " * 50, "utf-8")
    words = ["pretrain", "bert", other, "-o", run, "--steps", "6", *tiny(), "--resume"]
    assert "corpus has changed" in refused(capsys, *words)


@pytest.mark.filterwarnings("default:a file of weights:UserWarning")
def test_damaged_checkpoints_fall_back_and_say_so(
    run: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    capsys.readouterr()
    assert main(["fill", str(copy), "a [MASK]"]) == 0
    assert "using the checkpoint of step 6" in capsys.readouterr().err
    for tensors in copy.glob("resume/step-*/tensors.safetensors"):
        tensors.write_bytes(b"x" + tensors.read_bytes()[1:])
    assert "truncated or altered" in refused(capsys, "fill", copy, "a [MASK]", code=1)
    words = ["pretrain", "bert", corpus, "-o", copy, "--steps", "6", *tiny(), "--resume"]
    assert "no whole checkpoint" in refused(capsys, *words, code=1)


def test_texts_that_a_run_cannot_use(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no [MASK]" in refused(capsys, "fill", run, "nothing to fill")
    assert "not in the vocabulary" in refused(capsys, "neighbours", run, "☃")
    assert "not in the context" in refused(capsys, "neighbours", run, "class", "--context", "nothing here")
    assert "longer than" in refused(capsys, "fill", run, "word " * 2000 + "[MASK]")


def test_an_old_run_with_an_unknown_key(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    meta = json.loads((copy / "run.json").read_bytes())
    meta["recipe"]["model"]["hiden_size"] = 3
    (copy / "run.json").write_text(json.dumps(meta), "utf-8")
    assert "hidden_size" in refused(capsys, "fill", copy, "a [MASK]")


def test_a_run_is_trained_by_one_process_at_a_time(
    run: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fcntl = pytest.importorskip("fcntl")
    words = ["pretrain", "bert", corpus, "-o", run, "--steps", "6", *tiny(), "--resume"]
    with (run / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "another process" in refused(capsys, *words)
    assert main([str(word) for word in words]) == 0


def test_a_corpus_without_pairs_is_refused_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "lone.txt"
    text.write_text("\n".join(f"This is the only sentence of document {i}." for i in range(400)), "utf-8")
    options = tiny(objectives="next_sentence", **{"text.documents": "line"})
    said = refused(capsys, "pretrain", "bert", text, "-o", tmp_path / "run", "--steps", "2", *options)
    assert "several sentences" in said
    assert not (tmp_path / "run").exists()
