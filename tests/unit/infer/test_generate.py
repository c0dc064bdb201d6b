from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoding import make_loaded
from polyseme.errors import ConfigError
from polyseme.infer import generate as module
from polyseme.infer.generate import generate, generate_stream
from polyseme.infer.model import Model
from polyseme.infer.score import score_continuations

PROMPTS = ["the", "the cat sat on the mat and", "", "北京 and a good", "on a mat " * 9]
WAYS: list[dict[str, Any]] = [
    {"temperature": 0},
    {"seed": 3},
    {"seed": 4, "results": 2, "temperature": 1.5, "top_p": 1.0},
    {"temperature": 0, "repetition_penalty": 1.3},
    {"top_k": 5, "repetition_penalty": 1.3},
    {"beams": 3, "results": 3},
    {"beams": 2, "repetition_penalty": 1.4, "length_penalty": 0.5},
    {"seed": 5, "stop": ("s", "ca")},
    {"beams": 2, "stop": ("s", "ca")},
]


@pytest.fixture(scope="module")
def loaded() -> Model:
    return make_loaded()


@pytest.mark.parametrize("options", WAYS, ids=str)
@pytest.mark.parametrize("model", ["gpt", "qwen3"])
def test_a_batch_gives_what_its_prompts_give_alone(model: str, options: dict[str, Any]) -> None:
    """Also past the model's positions (64), where windows slide at different times."""
    decoder = make_loaded(model)
    together = generate(decoder, PROMPTS, max_new_tokens=70, **options)
    for prompt, found in zip(PROMPTS, together, strict=True):
        alone = generate(decoder, prompt, max_new_tokens=70, **options)
        assert (alone.text, alone.finish) == (found.text, found.finish)
        assert [t.token for t in alone.tokens] == [t.token for t in found.tokens]
        assert found.log_probability == pytest.approx(alone.log_probability, abs=1e-3)
        assert [o.text for o in alone.others] == [o.text for o in found.others]
        assert len(found.others) == options.get("results", 1) - 1


def test_many_prompts_are_taken_in_turns(loaded: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = generate(loaded, PROMPTS * 2, max_new_tokens=9)
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 3)
    turns = generate(loaded, PROMPTS * 2, max_new_tokens=9)
    assert [g.text for g in turns] == [g.text for g in whole]
    assert generate(loaded, []) == []


def test_same_seed_same_text(loaded: Model) -> None:
    first = generate(loaded, "the cat", seed=7, max_new_tokens=30)
    assert generate(loaded, "the cat", seed=7, max_new_tokens=30) == first
    assert generate(loaded, "the cat", seed=8, max_new_tokens=30).text != first.text
    several = generate(loaded, "the cat", seed=7, max_new_tokens=30, results=3)
    assert several.text == first.text
    assert len({several.text, *(o.text for o in several.others)}) == 3


@pytest.mark.parametrize("kind", ["wordpiece", "byte-bpe", "unigram", "characters", "words", "spaces"])
@pytest.mark.parametrize("options", WAYS, ids=str)
def test_streaming_gives_the_same_text_in_whole_characters(kind: str, options: dict[str, Any]) -> None:
    decoder = make_loaded("gpt", kind)
    stream = generate_stream(decoder, "the cat", max_new_tokens=40, **options)
    pieces = list(stream)
    assert all(pieces)
    expected = generate(decoder, "the cat", max_new_tokens=40, **options)
    assert stream.result == expected
    assert "".join(pieces) == expected.text
    if len(expected.tokens) > 20 and options.get("beams", options.get("results", 1)) == 1:
        assert len(pieces) > 10


@pytest.mark.parametrize("kind", ["wordpiece", "byte-bpe", "characters"])
def test_special_tokens_never_come(kind: str) -> None:
    decoder = make_loaded("gpt", kind)
    with (
        torch.no_grad()
    ):  # a model that wants nothing else: the final states point at [PAD] [UNK] [CLS] [MASK]
        weight = decoder.encoder.token_embedding().weight
        weight[[0, 1, 2, 4]] = 5 * weight[5]
    for options in WAYS:
        found = generate(decoder, "the", max_new_tokens=20, **options)
        assert not {t.token for t in found.tokens} & {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}


@pytest.mark.parametrize("stop", ["s", "京", "e", " o", "at", "t t"])
def test_stop_strings_end_the_text_where_it_would_have_held_them(loaded: Model, stop: str) -> None:
    for seed in range(6):
        free = generate(loaded, "the cat", max_new_tokens=40, seed=seed)
        ended = generate(loaded, "the cat", max_new_tokens=40, seed=seed, stop=(stop,))
        at = free.text.find(stop)
        assert ended.text == (free.text if at < 0 else free.text[:at])
        assert ended.finish == (free.finish if at < 0 else "stop")
        assert ended.tokens == free.tokens[: len(ended.tokens)]
        assert len(ended.tokens) <= len(ended.text) + 1


@pytest.mark.parametrize("options", [w for w in WAYS if "stop" not in w], ids=str)
@pytest.mark.parametrize("kind", ["byte-bpe", "characters"])
def test_probabilities_are_the_models_own(options: dict[str, Any], kind: str) -> None:
    """Their logarithms add up to what scoring finds for the same text."""
    decoder = make_loaded("gpt", kind)
    found = generate(decoder, "the cat", max_new_tokens=30, **options)
    own = sum(math.log(t.probability) for t in found.tokens)
    if found.finish != "end":
        assert own == pytest.approx(found.log_probability, abs=1e-3)
    if "�" in found.text:
        return
    tokens = decoder.tokenizer.encode("the cat" + found.text)
    shown = [decoder.tokenizer.display(i) for i in tokens.ids]
    n = len(decoder.tokenizer.encode("the cat").ids)
    if shown[n:] != [t.token for t in found.tokens]:
        return  # the text has a shorter spelling than the one that was sampled
    (score,) = score_continuations(decoder, "the cat", [found.text], end=found.finish == "end")
    if len(tokens.ids) == n + len(found.tokens) and n + score.tokens < 60:
        assert found.log_probability == pytest.approx(score.log_likelihood, abs=1e-3)


def test_windows_slide_like_a_fresh_reading_of_the_last_half(loaded: Model) -> None:
    """Every token, also past the model's positions, is the greedy choice of its own window."""
    found = generate(loaded, "the cat", max_new_tokens=150, temperature=0)
    assert found.finish == "length"
    ids = [loaded.special.cls, *loaded.tokenizer.encode("the cat").ids]
    by_name = {loaded.tokenizer.display(i): i for i in range(loaded.tokenizer.vocab_size)}
    window = list(ids)
    for token in found.tokens:
        if len(window) > 64:
            window = window[-32:]
        cache = loaded.encoder.new_cache(1, 64)
        with torch.no_grad():
            logits = loaded.heads["causal_lm"].logits(
                loaded.encoder.decode(torch.tensor([window]), cache)[:, -1]
            )
        probability = float(torch.softmax(logits, 1)[0, by_name[token.token]])
        assert probability == pytest.approx(token.probability, rel=1e-3)
        window.append(by_name[token.token])


def test_a_long_prompt_keeps_its_end(loaded: Model) -> None:
    long = "the mat sat on a good cat and " * 20
    with pytest.warns(UserWarning, match="only its end is used"):
        found = generate(loaded, long, max_new_tokens=5, temperature=0)
    assert len(found.tokens) == 5
    assert found.prompt == long
    with pytest.warns(UserWarning, match="only its end is used"):
        other = generate(loaded, "one " + long, max_new_tokens=5, temperature=0)
    assert other.text == found.text


def test_length_and_end_are_told_apart(loaded: Model) -> None:
    finishes = {
        generate(loaded, "the", max_new_tokens=60, temperature=1.0, top_p=1.0, seed=s).finish
        for s in range(9)
    }
    assert finishes == {"length", "end"}
    one = generate(loaded, "the", max_new_tokens=1)
    assert len(one.tokens) == 1


def test_beams_find_the_most_probable_text_when_nothing_is_cut(loaded: Model) -> None:
    """With as many beams as there are texts, beam search is exhaustive search."""
    decoder = make_loaded("gpt", "characters")
    vocabulary = decoder.tokenizer.vocab_size
    found = generate(decoder, "the", max_new_tokens=2, beams=vocabulary, results=5, length_penalty=0.0)
    allowed = [3, *range(5, vocabulary)]
    context = [decoder.special.cls, *decoder.tokenizer.encode("the").ids]
    texts: dict[tuple[int, ...], float] = {}
    with torch.no_grad():
        for first in allowed:
            cache = decoder.encoder.new_cache(1, 64)
            hidden = decoder.encoder.decode(torch.tensor([[*context, first]]), cache)[0, -2:]
            log_p = torch.log_softmax(decoder.heads["causal_lm"].logits(hidden), 1)
            if first == 3:
                texts[(3,)] = float(log_p[0, 3])
            else:
                texts |= {(first, n): float(log_p[0, first] + log_p[1, n]) for n in allowed}
    best = sorted(texts.values(), reverse=True)[:5]
    assert [g.log_probability for g in (found, *found.others)] == pytest.approx(best, abs=1e-4)


@settings(deadline=None, max_examples=15)
@given(st.text(max_size=12))
def test_any_prompt_can_be_continued(prompt: str) -> None:
    for kind in ("byte-bpe", "wordpiece"):
        decoder = _decoder(kind)
        found = generate(decoder, prompt, max_new_tokens=4, temperature=0)
        assert found.prompt == prompt
        found.text.encode()


_DECODERS: dict[str, Model] = {}


def _decoder(kind: str) -> Model:
    return _DECODERS.setdefault(kind, make_loaded("gpt", kind))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"beams": 2, "temperature": 0.5}, "beam search does not sample"),
        ({"beams": 99999}, "less than or equal to 256"),
        ({"results": 257}, "less than or equal to 256"),
        ({"beams": 2, "results": 3}, "at most 2 results"),
        ({"beams": 2, "results": 3}, "--beams 3"),
        ({"temperature": 0, "results": 2}, "results 2, temperature 0"),
        ({"stop": ("",)}, "stop string must not be empty"),
        ({"stop": ""}, "stop string must not be empty"),
        ({"stop": 3}, "stop must be a string, or a list of strings"),
        ({"stop": [3]}, "stop must be a string, or a list of strings"),
        ({"top_k": -1}, "top_k"),
        ({"top_q": 0.5}, "unknown key 'top_q'"),
        ({"top_p": 0.0}, "top_p"),
        ({"temperature": -1}, "temperature"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"temperature": math.inf}, "temperature"),
        ({"repetition_penalty": math.inf}, "repetition_penalty"),
        ({"beams": 2, "length_penalty": math.nan}, "length_penalty"),
    ],
)
def test_bad_options_are_refused(loaded: Model, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        generate(loaded, "the", **options)
    assert message in str(error.value)


def test_options_mean_what_they_mean_elsewhere(loaded: Model) -> None:
    plain = generate(loaded, "the", max_new_tokens=12, top_p=1.0).text
    assert generate(loaded, "the", max_new_tokens=12, top_p=None, top_k=0).text == plain
    stop = plain.strip()[2]
    ended = generate(loaded, "the", max_new_tokens=12, top_p=1.0, stop=stop)
    assert ended.finish == "stop"
    assert ended.text == generate(loaded, "the", max_new_tokens=12, top_p=1.0, stop=[stop]).text
    assert generate(loaded, "the", max_new_tokens=12, top_p=1.0, stop=None).text == plain
    beams = generate(loaded, "the", max_new_tokens=4, beams=2)
    assert generate(loaded, "the", max_new_tokens=4, beams=2, top_k=0, top_p=1).text == beams.text


def test_next_to_no_temperature_is_greedy(loaded: Model) -> None:
    greedy = generate(loaded, "the", max_new_tokens=9, temperature=0).text
    assert all(
        generate(loaded, "the", max_new_tokens=9, temperature=t).text == greedy for t in (1e-300, 1e-40, 1e-9)
    )


def test_a_run_that_cannot_generate_says_what_it_can() -> None:
    with pytest.raises(ConfigError, match="cannot generate") as error:
        generate(make_loaded("bert"), "the")
    assert "polyseme fill" in str(error.value)
    assert "bert, trained with masked_lm" in str(error.value)


def test_json_form(loaded: Model) -> None:
    document = generate(loaded, "the", max_new_tokens=3, temperature=0).as_dict()
    assert list(document) == ["text", "tokens", "finish"]
    assert all(set(t) == {"token", "probability"} for t in document["tokens"])
    assert len(generate(loaded, "the", max_new_tokens=3, beams=2, results=2).as_dict()["others"]) == 1
