"""What a decoder could have written: the next token's distribution, alternatives of every step, streams by steps."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from decoding import make_loaded
from polyseme.core.result import Result
from polyseme.errors import ConfigError
from polyseme.infer.generate import generate, generate_stream, next_tokens
from polyseme.infer.model import Model
from polyseme.infer.score import score_continuations
from polyseme.report.distributions import next_page
from polyseme.report.results import page_of

PROMPTS = ["the", "the cat sat on the mat and", "", "on a mat " * 9]


@pytest.fixture(scope="module")
def loaded() -> Model:
    return make_loaded()


def plain(model: Model, prompt: str) -> Tensor:
    """P of the next token, the whole softmax: (V,)"""
    ids = model.tokenizer.opening(model.tokenizer.encode(prompt).ids)[-int(model.encoder.max_length) :]
    with torch.no_grad():
        hidden = model.encoder.decode(torch.tensor([ids]), model.encoder.new_cache(1, len(ids)))[0, -1]
        return torch.softmax(model.heads["causal_lm"].logits(hidden).double(), 0)


@pytest.mark.filterwarnings("ignore:the prompt has")
@pytest.mark.parametrize("model", ["gpt", "qwen3"])
def test_the_next_token(model: str) -> None:
    decoder = make_loaded(model)
    for prompt, found in zip(PROMPTS, next_tokens(decoder, PROMPTS, 1000), strict=True):
        p = plain(decoder, prompt)
        assert found.entropy == pytest.approx(float(-(p * p.log()).sum()), rel=1e-5)
        shares = [candidate["probability"] for candidate in found.candidates]
        assert shares == sorted(shares, reverse=True)
        never = set(decoder.tokenizer.special_ids) - set(decoder.tokenizer.end_ids)
        allowed = [float(p[i]) for i in range(decoder.tokenizer.vocab_size) if i not in never]
        assert shares == pytest.approx(sorted(allowed, reverse=True), rel=1e-4)
        greedy = generate(decoder, prompt, max_new_tokens=1, temperature=0)
        assert found.candidates[0]["sequence"] == prompt + greedy.text


@pytest.mark.parametrize("options", [{"temperature": 0}, {"seed": 3, "top_k": 3}, {"seed": 4, "results": 2}])
def test_alternatives_change_nothing_and_are_the_next_tokens(loaded: Model, options: dict[str, Any]) -> None:
    prompts = ["the", "the cat sat on the mat and"]
    without = generate(loaded, prompts, max_new_tokens=12, **options)
    found = generate(loaded, prompts, max_new_tokens=12, alternatives=4, **options)
    for before, one in zip(without, found, strict=True):
        assert (one.text, one.tokens, one.finish) == (before.text, before.tokens, before.finish)
        assert before.choices == () != one.choices
        assert len(one.choices) == len(one.tokens)
        first = next_tokens(loaded, one.prompt, 4)
        assert [(a.token, a.probability) for a in one.choices[0].alternatives] == [
            (c["token"], pytest.approx(c["probability"], rel=1e-3)) for c in first.candidates
        ]
        assert one.choices[0].entropy == pytest.approx(first.entropy, rel=1e-4)
        for other in one.others:
            assert len(other.choices) == len(other.tokens)
        token = one.as_dict()["tokens"][0]
        assert set(token) == {"token", "probability", "entropy", "alternatives"}
        assert set(before.as_dict()["tokens"][0]) == {"token", "probability"}
    if "temperature" in options:
        greedy = found[0]
        assert [t.token for t in greedy.tokens] == [c.alternatives[0].token for c in greedy.choices]


@pytest.mark.parametrize("kind", ["wordpiece", "byte-bpe"])
@pytest.mark.parametrize("options", [{}, {"stop": ("s", "ca")}, {"alternatives": 3, "seed": 2}])
def test_steps_of_a_stream_are_its_tokens(kind: str, options: dict[str, Any]) -> None:
    decoder = make_loaded("gpt", kind)
    stream = generate_stream(decoder, "the cat", max_new_tokens=40, **options)
    steps = list(stream.steps())
    expected = generate(decoder, "the cat", max_new_tokens=40, **options)
    assert "".join(step.piece for step in steps) == expected.text
    written = [step for step in steps if step.token is not None]
    assert tuple(step.token for step in written)[: len(expected.tokens)] == expected.tokens
    assert tuple(s.choice for s in written if s.choice)[: len(expected.choices)] == expected.choices
    assert stream.result == expected
    document = steps[0].as_dict()
    assert document["token"] == written[0].token.token  # type: ignore[union-attr]
    assert ("alternatives" in document) == ("alternatives" in options)


@pytest.mark.parametrize("name", ["gpt", "qwen3"])
def test_interleaved_streams_write_what_each_writes_alone(name: str) -> None:
    """Past the model's 64 positions, with seeds of their own; one is left in the middle."""
    decoder = make_loaded(name)
    for prompt in (
        PROMPTS[:3] * 2
    ):  # prompts are read by packed layers from the fifth on, which round otherwise
        generate(decoder, prompt, max_new_tokens=1)
    prompts = ["the", "on a mat", "北京", ""]
    how: dict[str, Any] = {"max_new_tokens": 66, "temperature": 1.0, "top_p": 1.0}
    alone = [generate(decoder, prompt, seed=n, **how) for n, prompt in enumerate(prompts)]
    streams = [generate_stream(decoder, prompt, seed=n, **how) for n, prompt in enumerate(prompts)]
    texts = [""] * len(prompts)
    for turn in range(80):
        for n, stream in enumerate(streams):
            if n > 0 or turn < 5:
                texts[n] += next(stream, "")
    assert alone[0].text.startswith(texts[0])
    assert streams[0].result is None
    assert texts[1:] == [whole.text for whole in alone[1:]]
    assert [stream.result for stream in streams[1:]] == alone[1:]
    assert max(len(whole.tokens) for whole in alone[1:]) > 20
    streams[0].close()
    assert next(streams[0], None) is None


def test_nothing_is_computed_for_a_stream_that_is_not_asked(
    loaded: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = []
    push = __import__("polyseme.infer.contexts", fromlist=["Contexts"]).Contexts.push
    monkeypatch.setattr(
        "polyseme.infer.contexts.Contexts.push", lambda self, ids: (pushed.append(1), push(self, ids))[1]
    )
    stream = generate_stream(loaded, "the cat", max_new_tokens=30, temperature=0)
    assert pushed == []
    steps = stream.steps()
    for _ in range(4):
        next(steps)
    assert len(pushed) == 3
    stream.close()
    assert list(stream) == []
    assert len(pushed) == 3
    assert stream.result is None


def test_a_probability_is_the_score_of_the_token(loaded: Model) -> None:
    found = next_tokens(loaded, "the cat", 3)
    for candidate in found.candidates:
        behind = candidate["sequence"].removeprefix("the cat")
        if loaded.tokenizer.encode(candidate["sequence"]).ids[:-1] == loaded.tokenizer.encode("the cat").ids:
            one = score_continuations(loaded, "the cat", behind)
            assert math.log(candidate["probability"]) == pytest.approx(one.log_likelihood, abs=1e-3)


def test_the_results_are_those_of_the_house(loaded: Model) -> None:
    found = loaded.next_tokens("the cat", 3)
    assert isinstance(found, Result)
    assert found.document().keys() == {"text", "entropy", "candidates"}
    assert str(found).startswith("Entropy ")
    assert "熵为" in page_of(found, "zh").html()
    text = loaded.generate("the cat", max_new_tokens=4, alternatives=2, temperature=0)
    assert isinstance(text, Result)
    assert "\n" not in repr(text)
    assert [row["token"] for row in text.rows()] == [token.token for token in text.tokens]
    assert "likeliest tokens" in str(text)
    assert "最可能的词元" in page_of(text, "zh").html()
    assert "likeliest" not in str(loaded.generate("the cat", max_new_tokens=4))


def test_a_line_end_does_not_break_the_table() -> None:
    candidate = {"token": "\n", "probability": 0.5, "sequence": "one\ntwo\n"}
    lines = next_page({"text": "one\ntwo", "entropy": 1.0, "candidates": [candidate]}).text()
    assert "one⏎two⏎" in lines


def test_what_has_no_alternatives(loaded: Model) -> None:
    with pytest.raises(ConfigError, match="beam search weighs whole texts"):
        generate(loaded, "the", beams=2, alternatives=3)
    with pytest.raises(ConfigError, match="can be shown") as caught:
        generate(loaded, "the", alternatives=30)
    assert caught.value.fix == "--alternatives 20"
    for wrong in (21, -1, 1.5):
        with pytest.raises(ConfigError, match="alternatives"):
            generate(loaded, "the", alternatives=wrong)
    with pytest.raises(ConfigError, match="cannot generate"):
        next_tokens(make_loaded("bert"), "the")
    with pytest.raises(ConfigError, match="top must be"):
        next_tokens(loaded, "the", 0)
