from __future__ import annotations

from typing import Any

import pytest

from decoding import make_loaded
from polyseme.errors import ConfigError, InputError
from polyseme.infer.generate import generate
from polyseme.infer.zero_shot import first_sentences, reply

TEXT = "the cat sat on the mat"


@pytest.mark.parametrize("model", ["gpt", "qwen3"])
def test_the_tasks_are_the_papers_prompts(model: str) -> None:
    loaded = make_loaded(model, "byte-bpe", max_position_embeddings=256)
    (summary,) = reply(loaded, "summary", [TEXT], seed=3)
    plain = generate(
        loaded, f"{TEXT}\nTL;DR:", max_new_tokens=100, temperature=1.0, top_k=2, top_p=1.0, seed=3
    )
    assert summary.generation == plain
    assert summary.text == first_sentences(plain.text, 3)
    (answer,) = reply(loaded, "answer", [TEXT], question=" one two ")
    prompt = f"{TEXT}\n\nQ: one two\nA:"
    assert answer.generation == generate(loaded, prompt, max_new_tokens=50, temperature=0, stop=("\n", "Q:"))
    pairs = [("one", "two"), ("a", "é")]
    (translation,) = reply(loaded, "translate", ["three"], examples=pairs, source="english", target="french")
    prompt = "english = french\none = two\na = é\nthree ="
    assert translation.generation == generate(loaded, prompt, max_new_tokens=100, temperature=0, stop=("\n",))


def test_a_small_model_writes_half_of_what_it_reads() -> None:
    loaded = make_loaded("gpt", "byte-bpe", max_position_embeddings=64)
    (found,) = reply(loaded, "summary", ["a"])
    assert len(found.generation.tokens) <= 32
    (asked,) = reply(loaded, "summary", ["a"], max_new_tokens=40, temperature=1.0)
    assert asked.generation.finish != "length" or len(asked.generation.tokens) == 40


def test_the_methods_give_strings() -> None:
    loaded = make_loaded("gpt", "byte-bpe")
    texts = [TEXT, "a good day"]
    many = loaded.answer(texts, "one?")
    assert many == [r.text for r in reply(loaded, "answer", texts, question="one?")]
    assert loaded.answer(TEXT, "one?") == many[0]
    assert loaded.summarize(TEXT, seed=4) == reply(loaded, "summary", [TEXT], seed=4)[0].text
    assert loaded.translate(["a"], [("one", "two")], max_new_tokens=4) == [
        reply(loaded, "translate", ["a"], examples=[("one", "two")], max_new_tokens=4)[0].text
    ]
    assert {"summarize", "answer", "translate"} < set(loaded.abilities)


def test_options_and_templates() -> None:
    loaded = make_loaded("gpt", "byte-bpe")
    (found,) = reply(
        loaded,
        "answer",
        ["北京欢迎你"],
        question="谁？",
        template="{text}\n问：{question}\n答：",
        beams=2,
        results=2,
    )
    assert found.generation.prompt == "北京欢迎你\n问：谁？\n答："
    assert len(found.others) == 1
    document = found.as_dict()
    assert set(document) == {"text", "prompt", "generated", "tokens", "finish", "others"}
    (stopped,) = reply(loaded, "summary", [TEXT], temperature=0, stop=("e",), max_new_tokens=20)
    assert "e" not in stopped.generation.text


@pytest.mark.parametrize("kind", ["byte-bpe", "wordpiece"])
def test_what_is_too_long_loses_its_beginning_and_never_the_question(kind: str) -> None:
    loaded = make_loaded("gpt", kind)
    with pytest.warns(UserWarning, match="1 of 2 prompts"):
        found = reply(loaded, "answer", [TEXT * 30, "a"], question="one two", max_new_tokens=5)
    assert found[1].generation.prompt == "a\n\nQ: one two\nA:"
    prompt = found[0].generation.prompt
    assert prompt.endswith("mat\n\nQ: one two\nA:")
    n = len(loaded.tokenizer.encode(prompt))
    assert 50 < n <= 64 - loaded.prefix_length - 5
    with pytest.raises(InputError, match="must not be left out"):
        reply(loaded, "answer", ["a"], question="one two " * 40)
    pairs = [("one two", "three")] * 40
    with pytest.warns(UserWarning, match="what stands first"):
        (found[0],) = reply(loaded, "translate", ["four"], examples=pairs, max_new_tokens=5)
    assert found[0].generation.prompt.endswith("one two = three\nfour =")
    assert found[0].generation.prompt.startswith("one two = ")


def test_first_sentences() -> None:
    assert first_sentences(" Mr. Fox left at 3.5. He ran. And then.", 2) == "Mr. Fox left at 3.5. He ran."
    assert first_sentences("他走了。她来了！然后", 1) == "他走了。"
    assert first_sentences("no end", 3) == "no end"
    assert first_sentences(" \n ", 3) == ""
    assert first_sentences(" a. b. ", None) == "a. b."


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("sumary", {}, "no such task"),
        ("answer", {}, "needs a question"),
        ("answer", {"question": " "}, "question is empty"),
        ("summary", {"question": "one?"}, "takes no question"),
        ("summary", {"examples": [("a", "b")]}, "takes no pairs"),
        ("translate", {"source": "english"}, "both languages"),
        ("translate", {"examples": [("a", "")]}, "a sentence and its translation"),
        ("summary", {"template": "{txt}"}, r"unknown place \{txt\}"),
        ("answer", {"question": "a", "template": "{text} A:"}, r"no \{question\}"),
        ("summary", {"max_new_tokens": 0}, "max_new_tokens"),
        ("summary", {"topk": 3}, "unknown key 'topk'"),
        ("summary", {"beams": 2, "top_k": 3}, "beam search does not sample"),
    ],
)
def test_misuse(task: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        reply(make_loaded(), task, [TEXT], **options)


def test_only_decoders_reply() -> None:
    with pytest.raises(ConfigError, match="cannot generate"):
        make_loaded("bert").summarize(TEXT)
