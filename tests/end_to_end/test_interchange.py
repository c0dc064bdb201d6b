"""Trained runs leave for transformers' pipelines and give the same there; the verbs import and export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import polyseme
from foreign import gpt2_like, random_imported
from polyseme.cli import main
from polyseme.formats.runs import write_run

from .conftest import tiny

transformers = pytest.importorskip("transformers")

MASKED = [
    "The value of the [MASK] is an object.",
    "[MASK] statements are executed [MASK] the loop",
    "a naïve [MASK] 你好",
]
PROMPTS = ["The value", "If the list is empty", "", "é 你好"]


def export(run: Path, folder: Path) -> Path:
    assert main(["export", str(run), "huggingface", str(folder)]) == 0
    return folder


@pytest.mark.parametrize(
    ("model", "kind"), [("bert", "wordpiece"), ("ernie", "wordpiece"), ("modernbert", "byte-bpe")]
)
def test_fill_mask(model: str, kind: str, corpus: Path, tmp_path: Path) -> None:
    options = tiny(**{"tokenizer.kind": kind})
    assert main(["pretrain", model, str(corpus), "-o", str(tmp_path / "run"), "--steps", "12", *options]) == 0
    pipe = transformers.pipeline("fill-mask", str(export(tmp_path / "run", tmp_path / "theirs")))
    loaded = polyseme.load(tmp_path / "run")
    for text in MASKED:
        found = polyseme.fill(loaded, text, top=5)
        theirs: Any = pipe(text, top_k=5)
        for mask, candidates in zip(found, theirs if len(found) > 1 else [theirs], strict=True):
            for ours, reference in zip(mask["candidates"], candidates, strict=True):
                assert loaded.tokenizer.display(reference["token"]) == ours["token"]
                assert reference["score"] == pytest.approx(ours["probability"], rel=1e-4)


@pytest.mark.parametrize(
    ("model", "kind"), [("gpt", "byte-bpe"), ("qwen3", "byte-bpe"), ("gpt", "wordpiece")]
)
def test_text_generation(model: str, kind: str, corpus: Path, tmp_path: Path) -> None:
    options = tiny(**{"tokenizer.kind": kind, "train.learning_rate": 3e-3})
    if model == "qwen3":
        options += ["--set", "num_key_value_heads=1", "--set", "head_dim=16"]
    assert main(["pretrain", model, str(corpus), "-o", str(tmp_path / "run"), "--steps", "25", *options]) == 0
    pipe = transformers.pipeline("text-generation", str(export(tmp_path / "run", tmp_path / "theirs")))
    loaded = polyseme.load(tmp_path / "run")
    for prompt in PROMPTS:
        ours = polyseme.generate(loaded, prompt, max_new_tokens=16, temperature=0)
        ids = pipe(prompt, max_new_tokens=16, return_tensors=True)[0]["generated_token_ids"]
        before = loaded.tokenizer.opening(loaded.tokenizer.encode(prompt).ids)
        assert ids[: len(before)] == before
        new = [i for i in ids[len(before) :] if i != loaded.tokenizer.sep_id]
        assert [loaded.tokenizer.display(i) for i in new] == [token.token for token in ours.tokens]
        if kind == "byte-bpe":
            (text,) = pipe(prompt, max_new_tokens=16)
            assert text["generated_text"] == prompt + ours.text


def test_the_verbs(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = str(export(run, tmp_path / "theirs"))
    captured = capsys.readouterr()
    assert "model.safetensors" in captured.out
    assert "wrote:" in captured.err
    assert main(["import", theirs, "-o", str(tmp_path / "again"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["model"] == "bert"
    assert document["imported"]["files"].keys() >= {"config.json", "model.safetensors", "tokenizer.json"}
    text = "The value of the [MASK] is an object."
    assert polyseme.fill(polyseme.load(tmp_path / "again"), text) == polyseme.fill(polyseme.load(run), text)
    assert main(["inspect", str(tmp_path / "again")]) == 0
    assert "imported" in capsys.readouterr().out
    assert main(["list", "formats"]) == 0
    assert "huggingface" in capsys.readouterr().out


def test_training_goes_on_from_an_import(run: Path, corpus: Path, tmp_path: Path) -> None:
    theirs = export(run, tmp_path / "theirs")
    assert main(["import", str(theirs), "-o", str(tmp_path / "again")]) == 0
    start = [
        "--init",
        str(tmp_path / "again"),
        "--steps",
        "2",
        "--set",
        "data.sequence_length=48",
        "--set",
        "text.valid_share=0.15",
    ]
    assert main(["pretrain", "bert", str(corpus), "-o", str(tmp_path / "more"), *start]) == 0
    loaded = polyseme.load(tmp_path / "more")
    assert loaded.run.meta["results"]["steps"] == 2


def test_training_goes_on_with_a_table_of_more_rows_than_tokens(corpus: Path, tmp_path: Path) -> None:
    imported = random_imported("modernbert", ["masked_lm"], scale=0.02, vocab_size=600)
    assert imported.tokenizer.vocab_size < 600
    write_run(imported, tmp_path / "wide")
    options = ["--steps", "2", "--set", "data.sequence_length=48", "--set", "text.valid_share=0.15"]
    start = ["--init", str(tmp_path / "wide"), "-o", str(tmp_path / "more"), *options]
    assert main(["pretrain", "modernbert", str(corpus), *start]) == 0
    assert polyseme.load(tmp_path / "more").encoder.config.vocab_size == 600


def test_gpt2s_tokenizer_trains_decoders_and_no_masks(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gpt2_like(tmp_path / "theirs")
    run = tmp_path / "run"
    assert main(["import", str(tmp_path / "theirs"), "-o", str(run)]) == 0
    options = ["--steps", "2", "--set", "data.sequence_length=48", "--set", "text.valid_share=0.15"]
    assert (
        main(["pretrain", "gpt", str(corpus), "--init", str(run), "-o", str(tmp_path / "more"), *options])
        == 0
    )
    more = polyseme.load(tmp_path / "more")
    assert more.tokenizer.special_ids == polyseme.load(run).tokenizer.special_ids
    assert (more.tokenizer.prefix_ids, more.special.mask) == ((), -1)
    capsys.readouterr()
    assert main(["fill", str(tmp_path / "more"), "a [MASK]"]) == 2
    masks = ["--tokenizer", str(run), "-o", str(tmp_path / "bert"), *options]
    assert main(["pretrain", "bert", str(corpus), *masks, "--set", "objectives=masked_lm"]) == 2
    assert "no mask token" in capsys.readouterr().err
    assert not (tmp_path / "bert").exists()
    assert main(["pretrain", "gpt", str(corpus), "-o", str(run), "--resume"]) == 2
    assert "--init" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "nowhere", "-o", "x"], "nothing to import"),
        (["import", "RUN", "-o", "x"], "a run already"),
        (["import", "FOLDER", "-o", "x"], "not a model"),
        (["import", "FOLDER", "-o", "RUN"], "already holds something"),
        (["import", "FOLDER", "-o", "x", "--format", "onnyx"], "unknown format"),
        (["export", "RUN", "huggingfaces", "x"], "huggingface"),
        (["export", "RUN", "huggingface", "RUN"], "already holds something"),
        (["export", "FOLDER", "huggingface", "x"], "not a run"),
    ],
)
def test_misuse(
    arguments: list[str], message: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "some.txt").write_text("text")
    places = {"RUN": str(run), "FOLDER": str(tmp_path / "folder"), "x": str(tmp_path / "x")}
    assert main([places.get(word, word) for word in arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["model.onnx", "pytorch_model.bin", "model.pt"])
def test_other_weights_are_refused_with_advice(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(b"\x80\x02}q\x00." if name != "model.onnx" else b"\x08\x07onnx")
    assert main(["import", str(tmp_path / name), "-o", str(tmp_path / "x")]) == 1
    error = capsys.readouterr().err
    assert "is not read" in error
    assert "try:" in error
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert main(["import", str(tmp_path), "-o", str(tmp_path / "x")]) == 1
    assert "is not read" in capsys.readouterr().err
