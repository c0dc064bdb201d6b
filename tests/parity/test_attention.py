"""The attention that is shown is transformers' attention, for every model that both have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from exported import run_of
from polyseme.formats.registry import export_model
from polyseme.infer.model import load
from polyseme.study.attention import attend

transformers = pytest.importorskip("transformers")

TEXTS = ["w7 w9 w30 w11 w7 w50 w23 w12 w13 w5", "w8"]


@pytest.mark.parametrize("model", ["bert", "ernie", "gpt", "modernbert", "qwen3"])
def test_attention_equals_transformers(model: str, tmp_path: Path) -> None:
    run = run_of(model, tmp_path / "run", num_hidden_layers=3, local_attention=6)
    export_model(run, "huggingface", tmp_path / "theirs")
    theirs = transformers.AutoModel.from_pretrained(tmp_path / "theirs", attn_implementation="eager").eval()
    loaded = load(run)
    texts = [*TEXTS, *([(TEXTS[0], TEXTS[1])] if model in ("bert", "ernie") else [])]
    for number, one in attend(loaded, texts):
        prefix, suffix = list(loaded.tokenizer.prefix_ids), list(loaded.tokenizer.suffix_ids)
        parts = [loaded.tokenizer.encode(text).ids for text in one.texts]
        ids = prefix + parts[0] + suffix
        types = [0] * len(ids)
        if len(parts) == 2:
            ids, types = ids + parts[1] + suffix, types + [1] * (len(parts[1]) + len(suffix))
        arguments = {"token_type_ids": torch.tensor([types])} if model in ("bert", "ernie") else {}
        with torch.no_grad():
            found = theirs(input_ids=torch.tensor([ids]), output_attentions=True, **arguments).attentions
        assert len(found) == len(one.probabilities) == 3, number
        for ours, reference in zip(one.probabilities, found, strict=True):
            np.testing.assert_allclose(ours, reference[0].numpy(), atol=2e-6)
