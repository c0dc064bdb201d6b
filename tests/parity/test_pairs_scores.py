"""Scores of texts against the plain formulas in transformers: causal, and pseudo-log-likelihoods of both kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from polyseme.formats.registry import export_model
from polyseme.infer.model import load
from polyseme.infer.score import score
from trained import make_run

TEXTS = ["the cat sees a bird", "the old catbird likes the small riverday", "a gooddog", "bird, bird!"]


def causal(model: Any, tokenizer: Any, text: str, lead: int) -> float:
    """Log p of every token after one that begins texts, from one forward pass over the text alone."""
    ids = [lead, *tokenizer(text, add_special_tokens=False).input_ids]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return sum(float(logits[i - 1, ids[i]]) for i in range(1, len(ids)))


def masked(model: Any, tokenizer: Any, text: str, within_word: bool) -> float:
    """One forward pass for every token; words are what the tokenizer's own word numbers say."""
    encoding = tokenizer(text, return_tensors="pt")
    ids, words = encoding.input_ids[0], encoding.word_ids()
    total = 0.0
    for i, word in enumerate(words):
        if word is None:
            continue
        hidden = ids.clone()
        hidden[i] = tokenizer.mask_token_id
        for j in range(i + 1, len(words)):
            if within_word and words[j] == word:
                hidden[j] = tokenizer.mask_token_id
        with torch.no_grad():
            logits = model(hidden[None]).logits[0, i].double().log_softmax(-1)
        total += float(logits[ids[i]])
    return total


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("bert"), "bert", 30)


@pytest.fixture(scope="module")
def gpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("gpt"), "gpt", 30)


@pytest.mark.parametrize("within_word", [False, True])
def test_masked(bert: Path, tmp_path: Path, within_word: bool) -> None:
    transformers = pytest.importorskip("transformers")
    loaded = load(bert)
    export_model(loaded.run.path, "huggingface", tmp_path / "out")
    model = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "out").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    several = [text for text in TEXTS if not all(loaded.tokenizer.encode(text).word_starts)]
    assert several
    for text, one in zip(TEXTS, score(loaded, TEXTS, within_word=within_word), strict=True):
        assert one.log_likelihood == pytest.approx(masked(model, tokenizer, text, within_word), abs=1e-4)


def test_causal(gpt: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    loaded = load(gpt)
    export_model(loaded.run.path, "huggingface", tmp_path / "out")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    for text, one in zip(TEXTS, score(loaded, TEXTS), strict=True):
        expected = causal(model, tokenizer, text, loaded.special.cls)
        assert one.log_likelihood == pytest.approx(expected, abs=1e-4)
