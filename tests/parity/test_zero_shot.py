"""Choices weighed by us and by transformers' log-likelihoods of the same strings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import polyseme
from foreign import gpt2_like, random_run
from polyseme.formats.registry import export_model, import_model

transformers = pytest.importorskip("transformers")

TOLERANCE = 1e-5
TEMPLATE = "{text} It was {label} day."
TEXTS = ["one café", "今天天气", "it was good and it was late"]
CHOICES = ["good", "a bad bad", "天气"]


def softmax(scores: list[list[float]]) -> Any:
    return torch.tensor(scores, dtype=torch.float64).softmax(1).numpy()


@pytest.mark.parametrize(("name", "kind"), [("gpt", "byte-bpe"), ("gpt", "unigram"), ("qwen3", "byte-bpe")])
def test_a_decoder_chooses_by_the_likelihood_of_the_whole(name: str, kind: str, tmp_path: Path) -> None:
    random_run(tmp_path / "run", name, kind=kind)
    export_model(tmp_path / "run", "huggingface", tmp_path / "theirs")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "theirs").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "theirs")
    scores = []
    for text in TEXTS:
        scores.append([])
        for choice in CHOICES:
            inputs = tokenizer(TEMPLATE.format(text=text, label=choice), return_tensors="pt")
            with torch.no_grad():
                log_p = theirs(**inputs).logits[0].double().log_softmax(1)
            gold = inputs["input_ids"][0, 1:]
            scores[-1].append(float(log_p[:-1].gather(1, gold[:, None]).sum()))
    found = polyseme.load(tmp_path / "run").choose(TEXTS, CHOICES, TEMPLATE)
    np.testing.assert_allclose(found, softmax(scores), atol=TOLERANCE)
    assert np.ptp(found) > 0.01


@pytest.mark.parametrize("name", ["bert", "modernbert"])
def test_a_masked_model_chooses_by_a_cloze(name: str, tmp_path: Path) -> None:
    random_run(tmp_path / "run", name)
    export_model(tmp_path / "run", "huggingface", tmp_path / "theirs")
    auto = "AutoModelForPreTraining" if name == "bert" else "AutoModelForMaskedLM"
    theirs = getattr(transformers, auto).from_pretrained(tmp_path / "theirs").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "theirs")
    scores = []
    for text in TEXTS:
        scores.append([])
        for choice in CHOICES:
            whole = TEMPLATE.format(text=text, label=choice)
            start = whole.rindex(choice)
            inputs = tokenizer(whole, return_tensors="pt", return_offsets_mapping=True)
            offsets = inputs.pop("offset_mapping")[0].tolist()
            ids = inputs["input_ids"]
            total = 0.0
            for place, (begin, end) in enumerate(offsets):
                if end <= start or begin >= start + len(choice) or begin == end:
                    continue
                hidden = ids.clone()
                hidden[0, place] = tokenizer.mask_token_id
                with torch.no_grad():
                    out = theirs(**{**inputs, "input_ids": hidden})
                logits = out.prediction_logits if name == "bert" else out.logits
                total += float(logits[0, place].double().log_softmax(0)[ids[0, place]])
            scores[-1].append(total)
    found = polyseme.load(tmp_path / "run").choose(TEXTS, CHOICES, TEMPLATE)
    np.testing.assert_allclose(found, softmax(scores), atol=TOLERANCE)
    assert np.ptp(found) > 0.01


def test_gpt2_begins_with_its_end_of_text_where_the_label_comes_first(tmp_path: Path) -> None:
    theirs = gpt2_like(tmp_path / "theirs")
    theirs.eval()
    import_model(tmp_path / "theirs", tmp_path / "run")
    ours = polyseme.load(tmp_path / "run")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "theirs")
    for template, first in (("{label}: {text}", [tokenizer.eos_token_id]), ("{text} {label}", [])):
        scores = []
        for text in TEXTS:
            scores.append([])
            for choice in CHOICES:
                ids = torch.tensor([first + tokenizer(template.format(text=text, label=choice))["input_ids"]])
                with torch.no_grad():
                    log_p = theirs(ids).logits[0].double().log_softmax(1)
                scores[-1].append(float(log_p[:-1].gather(1, ids[0, 1:, None]).sum()))
        found = ours.choose(TEXTS, CHOICES, template)
        np.testing.assert_allclose(found, softmax(scores), atol=TOLERANCE)
    assert ours.choose("", CHOICES, "{text} {label}", normalize="pmi").sum() == pytest.approx(1)
