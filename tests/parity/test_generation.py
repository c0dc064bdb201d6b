"""Our generation gives the tokens of transformers' `generate`, and our filters its distributions.

Which of their settings is which of ours: `do_sample=False` is temperature=0; `num_beams` with their default
`early_stopping=False` and `length_penalty` is beams and length_penalty; `suppress_tokens` with [PAD] [UNK] [CLS] [MASK]
is what we always do. Their repetition penalty counts the prompt, [CLS] included, and under beams it is applied to
log-probabilities; so does ours.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from parity.test_decoders import QWEN, pair
from polyseme.infer import sampling
from polyseme.infer.generate import GenerationConfig, _Work
from polyseme.infer.model import Model
from polyseme.text.config import TokenizerConfig
from polyseme.text.training import train_tokenizer
from polyseme.train.build import special_ids

transformers = pytest.importorskip("transformers")

WORDS = " ".join(f"w{i:02}" for i in range(55))
NEW = 14


def models(name: str) -> tuple[Model, Any]:
    """Our run and transformers' model with the same weights and 60 tokens."""
    encoder, head, theirs = pair(name, {} if name == "gpt" else QWEN[2])
    with torch.no_grad():
        for p in encoder.parameters():
            assert p.isfinite().all()
    tokenizer = train_tokenizer([WORDS], TokenizerConfig(kind="spaces", vocab_size=60, min_count=1), 0)
    assert tokenizer.vocab_size == 60
    recipe: Any = SimpleNamespace(architecture=name, objectives=("causal_lm",))
    run: Any = SimpleNamespace(path=Path("run"), meta={})
    return Model(run, encoder, {"causal_lm": head}, tokenizer, recipe, special_ids(tokenizer)), theirs


PROMPTS = [[7, 9, 33], [20], [11, 12, 13, 14, 15, 40, 41], [55, 56]]


def their_tokens(theirs: Any, prompt: list[int], **options: Any) -> list[list[int]]:
    ids = torch.tensor([[2, *prompt]])
    out = theirs.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=NEW,
        pad_token_id=0,
        eos_token_id=3,
        suppress_tokens=[0, 1, 2, 4],
        **options,
    )
    rows = [row[ids.size(1) :].tolist() for row in out]
    return [row[: row.index(3)] if 3 in row else [t for t in row if t] for row in rows]


def our_tokens(loaded: Model, prompts: list[list[int]], **options: Any) -> list[list[list[int]]]:
    work = _Work(loaded, GenerationConfig(max_new_tokens=NEW, **options))
    names = [" ".join(loaded.tokenizer.token(i) for i in prompt) for prompt in prompts]
    found = work.run([work.prompt(name) for name in names])
    return [
        [[loaded.tokenizer.id(t.token) for t in row.generation().tokens] for row in rows]  # type: ignore[misc]
        for rows in found
    ]


@pytest.mark.parametrize("name", ["gpt", "qwen3"])
@pytest.mark.parametrize("penalty", [1.0, 1.3, 0.8])
def test_greedy(name: str, penalty: float) -> None:
    loaded, theirs = models(name)
    ours = our_tokens(loaded, PROMPTS, temperature=0, repetition_penalty=penalty)
    expected = [their_tokens(theirs, p, do_sample=False, repetition_penalty=penalty) for p in PROMPTS]
    assert ours == expected


@pytest.mark.parametrize("name", ["gpt", "qwen3"])
@pytest.mark.parametrize(
    ("beams", "length_penalty", "penalty"),
    [(2, 1.0, 1.0), (4, 1.0, 1.0), (4, 0.0, 1.0), (3, 2.0, 1.0), (5, -0.5, 1.0), (4, 1.0, 1.4)],
)
@pytest.mark.parametrize("end_scale", [1.0, 3.0])  # with the second, many beams end before the last step
def test_beams(name: str, beams: int, length_penalty: float, penalty: float, end_scale: float) -> None:
    loaded, theirs = models(name)
    with torch.no_grad():
        loaded.heads["causal_lm"].weight[3] *= end_scale  # type: ignore[operator, index]
        theirs.lm_head.weight[3] *= end_scale
    ours = our_tokens(
        loaded,
        PROMPTS,
        beams=beams,
        results=beams,
        length_penalty=length_penalty,
        repetition_penalty=penalty,
    )
    for prompt, mine in zip(PROMPTS, ours, strict=True):
        expected = their_tokens(
            theirs,
            prompt,
            do_sample=False,
            num_beams=beams,
            num_return_sequences=beams,
            length_penalty=length_penalty,
            early_stopping=False,
            repetition_penalty=penalty,
        )
        assert mine == expected


@pytest.mark.parametrize("scale", [0.3, 1.0, 5.0])
def test_filters(scale: float) -> None:
    """The whole chain in the order of their `generate`, as distributions."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 700, generator=generator) * scale
    ids = torch.randint(700, (5, 30), generator=generator)
    seen = torch.zeros(5, 700, dtype=torch.bool).scatter_(1, ids, True)
    t = transformers
    for penalty, temperature, k, p in (
        *((1.3, 1.0, None, 1.0), (1.0, 0.7, None, 1.0), (1.0, 1.0, 20, 1.0), (1.0, 1.0, None, 0.9)),
        *((1.2, 0.8, 50, 0.95), (0.9, 1.4, 3, 0.5), (1.0, 1.0, None, 0.01)),
    ):
        theirs = t.RepetitionPenaltyLogitsProcessor(penalty)(ids, logits.clone())
        theirs = t.TemperatureLogitsWarper(temperature)(ids, theirs)
        theirs = t.TopKLogitsWarper(k)(ids, theirs) if k else theirs
        theirs = t.TopPLogitsWarper(p)(ids, theirs) if p < 1 else theirs
        ours = sampling.temper(sampling.penalise(logits, seen, penalty), temperature)
        ours = sampling.keep_top_k(ours, k) if k else ours
        ours = sampling.keep_top_p(ours, p)
        torch.testing.assert_close(ours.softmax(1), theirs.softmax(1), atol=1e-7, rtol=1e-5)
        assert torch.equal(ours.isfinite(), theirs.isfinite())
