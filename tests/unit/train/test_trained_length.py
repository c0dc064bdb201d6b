"""Positions that no example reached are there, for other programs, and are not read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import polyseme
from polyseme import Budget, PretrainRequest, pretrain
from polyseme.formats.registry import export_model, import_model
from polyseme.train.recipe import resolve


def test_the_recipe_has_512_positions_of_which_examples_reach_128() -> None:
    recipe = resolve("gpt")
    assert recipe.section("model").max_position_embeddings == 512
    assert recipe.section("data").sequence_length == 128


def test_texts_are_read_as_far_as_examples_reached(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(
        "\n".join(f"the old cat sees {n} birds and the river" for n in range(200))
    )
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    asked = PretrainRequest(
        model="gpt",
        corpus=[str(tmp_path / "text.txt")],
        output=tmp_path / "run",
        budget=Budget(steps=2),
        settings={
            **sizes,
            "max_position_embeddings": 64,
            "data.sequence_length": 16,
            "tokenizer.vocab_size": 330,
        },
        threads=1,
    )
    run = pretrain(asked)
    assert run.meta["trained_length"] == 16
    model = polyseme.load(run.path)
    assert model.encoder.max_length == 16
    assert model.encoder.position_embeddings.weight.size(0) == 64
    assert model.generate("the old cat", max_new_tokens=40, temperature=0.0)
    transformers = pytest.importorskip("transformers")
    export_model(run.path, "huggingface", tmp_path / "theirs")
    assert transformers.AutoConfig.from_pretrained(tmp_path / "theirs").n_positions == 64
    assert transformers.AutoTokenizer.from_pretrained(tmp_path / "theirs").model_max_length == 16
    settings = {"data.sequence_length": 32}
    longer = pretrain(replace(asked, output=tmp_path / "longer", init=str(run.path), settings=settings))
    assert polyseme.load(longer.path).encoder.max_length == 32
    settings = {"data.sequence_length": 8}
    shorter = pretrain(replace(asked, output=tmp_path / "shorter", init=str(longer.path), settings=settings))
    assert polyseme.load(shorter.path).encoder.max_length == 32
    import_model(tmp_path / "theirs", tmp_path / "imported")  # how long its examples were is not known
    assert polyseme.load(tmp_path / "imported").encoder.max_length == 64
