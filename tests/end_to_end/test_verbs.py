"""Every verb on real text, as a user types it, in this process."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyseme.cli import main
from polyseme.train.run import RunDirectory

from .conftest import tiny


def stdout_json(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    capsys.readouterr()
    assert main([str(word) for word in words]) == 0
    return json.loads(capsys.readouterr().out)


def test_run_directory(run: Path) -> None:
    names = {p.relative_to(run).as_posix() for p in run.rglob("*") if p.is_file()}
    assert {
        "run.json",
        "tokenizer.json",
        "model.safetensors",
        "heads/masked_lm.safetensors",
        "heads/next_sentence.safetensors",
        "metrics.jsonl",
        "README.md",
    } <= names
    meta = RunDirectory.open(run).meta
    assert meta["status"] == "finished"
    assert meta["format_version"] == 1
    assert meta["recipe"]["model"]["vocab_size"] == 700
    assert len(meta["corpus"]["fingerprint"]) >= 32
    steps = [r for r in RunDirectory.open(run).metrics() if "loss" in r]
    assert [r["step"] for r in steps] == [1, 2, 3, 4, 5, 6]
    assert {"tokens", "seconds", "lr", "grad_norm", "tokens_per_second"} <= set(steps[0])
    assert (run / "README.md").read_text("utf-8").startswith("---\n")


def test_inspect(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = stdout_json(capsys, "inspect", run, "--json")
    for key in (
        *("model", "parameters", "vocab_size", "tokens_seen", "steps", "seconds", "tokens_per_second"),
        *("peak_memory_bytes", "heldout_loss", "unigram_loss"),
    ):
        assert summary[key], key
    assert {"documents", "words", "fingerprint", "dirt"} <= set(summary["corpus"])
    assert main(["inspect", str(run)]) == 0


def test_fill(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "The [MASK] statement, é 中文 and [MASK]."
    found = stdout_json(capsys, "fill", run, text, "--top", "4", "--json")
    assert [m["position"] for m in found] == [text.index("[MASK]"), text.rindex("[MASK]")]
    for mask in found:
        shares = [c["probability"] for c in mask["candidates"]]
        assert len(shares) == 4
        assert shares == sorted(shares, reverse=True)
        assert all("[MASK]" in c["sequence"] for c in mask["candidates"])  # the other mask stays
        assert not {c["token"] for c in mask["candidates"]} & {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}


def test_fill_of_a_hidden_word(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "The statement is a statement of the class."
    words = ("fill", run, text, "--hide", "is", "--hide", "of the", "--whole", "--top", "2")
    single, whole = stdout_json(capsys, *words, "--detail", "--json")
    assert set(single) == {"position", "candidates", "entropy", "original"}
    assert (single["position"], single["original"]["token"]) == (text.index("is"), "is")
    assert (whole["position"], whole["masks"], whole["original"]["token"]) == (29, 2, "of the")
    assert main([*map(str, words), "--detail"]) == 0
    assert "“is” stood there: rank" in capsys.readouterr().out
    assert main([*map(str, words)]) == 0
    assert "2 masks at character 29" in capsys.readouterr().out
    assert main(["fill", str(run), text, "--hide", "nothing like it"]) == 2


def test_tokenize(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "The statement is ☃ executed."
    found = stdout_json(capsys, "tokenize", run, text, "--json")
    assert set(found) == {"text", "tokens", "cut"}
    assert "".join(text[t["start"] : t["end"]] for t in found["tokens"]) == text.replace(" ", "")
    assert [text[t["start"]] for t in found["tokens"] if t["unknown"]] == ["☃"]
    assert main(["tokenize", str(run), text]) == 0
    assert "Unknown to the vocabulary: 1." in capsys.readouterr().out


def test_follows(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("follows", run, "The statement is executed.", "It has a value.")
    found = stdout_json(capsys, *words, "--json")
    assert set(found) == {"text", "text_b", "follows"}
    assert 0 < found["follows"] < 1
    assert main([*map(str, words)]) == 0
    assert "probability that it follows" in capsys.readouterr().out


def test_embed(run: Path, tmp_path: Path) -> None:
    lines = ["the with statement", "", "a class " * 300, "中文 and é"]
    file = tmp_path / "lines.txt.gz"
    file.write_bytes(gzip.compress("\n".join(lines).encode()))
    shapes = {}
    for pool in ("mean", "cls", "max"):
        assert main(["embed", str(run), str(file), "-o", str(tmp_path / f"{pool}.npy"), "--pool", pool]) == 0
        shapes[pool] = np.load(tmp_path / f"{pool}.npy")
    assert {a.shape for a in shapes.values()} == {(4, 32)}
    assert not np.allclose(shapes["mean"], shapes["max"])
    single = tmp_path / "single.txt"
    single.write_text(lines[0], "utf-8")
    assert main(["embed", str(run), str(single), "-o", str(tmp_path / "one.npy")]) == 0
    np.testing.assert_allclose(np.load(tmp_path / "one.npy")[0], shapes["mean"][0], atol=1e-5)
    assert main(["embed", str(run), str(file), "-o", str(tmp_path / "w.npy"), "--pool", "words"]) == 0
    offsets = np.load(tmp_path / "w.offsets.npy")
    assert offsets[-1] == len(np.load(tmp_path / "w.npy"))
    assert offsets[1] - offsets[0] == 3  # words, whatever their pieces


def test_neighbours(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = stdout_json(capsys, "neighbours", run, "class", "--top", "3", "--json")
    assert len(plain) == 3
    assert "class" not in [n["word"] for n in plain]
    context = stdout_json(
        capsys, "neighbours", run, "class", "--context", "a class is defined here", "--json"
    )
    assert [n["word"] for n in context] != [n["word"] for n in plain]


def test_prepare_then_pretrain_from_the_store(corpus: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    words = ["--set", "tokenizer.vocab_size=700", "--set", "text.valid_share=0.15"]
    assert main(["prepare", str(corpus), "-o", str(store), *words]) == 0
    run = tmp_path / "run"
    assert main(["pretrain", "modernbert", str(store), "-o", str(run), "--steps", "3", *tiny()]) == 0
    assert RunDirectory.open(run).meta["results"]["steps"] == 3
    assert not (run / "store").exists()


def test_init_goes_on_with_the_same_vocabulary(run: Path, corpus: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    words = [w for w in tiny() if "hidden" not in w]
    assert (
        main(["pretrain", "bert", str(corpus), "-o", str(new), "--steps", "2", "--init", str(run), *tiny()])
        == 0
    )
    assert words
    meta = RunDirectory.open(new).meta
    assert meta["recipe"]["model"] == RunDirectory.open(run).meta["recipe"]["model"]
    assert (new / "tokenizer.json").read_bytes() == (run / "tokenizer.json").read_bytes()
    first = next(r for r in RunDirectory.open(new).metrics() if "heldout_masked_lm_loss" in r)
    before = RunDirectory.open(run).meta["results"]["heldout_loss"]
    assert first["heldout_loss"] == pytest.approx(before, abs=0.2)


def test_resume_of_a_finished_run_changes_nothing(run: Path, corpus: Path) -> None:
    before = (run / "model.safetensors").read_bytes()
    words = ["pretrain", "bert", str(corpus), "-o", str(run), "--steps", "6", *tiny(), "--resume"]
    assert main(words) == 0
    assert (run / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("unit", ["token", "word", "span"])
@pytest.mark.parametrize("kind", ["wordpiece", "byte-bpe", "unigram", "characters"])
def test_every_tokenizer_and_unit(corpus: Path, tmp_path: Path, kind: str, unit: str) -> None:
    options = tiny(**{"tokenizer.kind": kind, "masked_lm.unit": unit, "objectives": "masked_lm"})
    run = tmp_path / "run"
    assert main(["pretrain", "bert", str(corpus), "-o", str(run), "--steps", "2", *options]) == 0
    assert main(["fill", str(run), "a [MASK] of the"]) == 0
