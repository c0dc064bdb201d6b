from __future__ import annotations

import pytest

from decoding import make_tokenizer
from polyseme.errors import ConfigError, InputError
from polyseme.infer.zero_shot import Template, shortened

KNOWN = ("text", "text_b", "label")


def test_places_are_filled_and_found() -> None:
    template = Template("  {text} It was {label}. {text}", KNOWN)
    filled = template.fill({"text": "a {label} day", "label": "good"})
    assert filled.text == "a {label} day It was good. a {label} day"
    assert filled.text[slice(*filled.spans["label"])] == "good"
    assert filled.text[slice(*filled.spans["text"])] == "a {label} day"
    assert template.names == ("text", "label")


def test_an_empty_value_leaves_no_space_in_front() -> None:
    filled = Template("{text} It was {label}.", KNOWN).fill({"text": "", "label": "good"})
    assert filled.text == "It was good."
    assert filled.text[slice(*filled.spans["label"])] == "good"


def test_chinese_gets_no_spaces_and_doubled_braces_stand_for_themselves() -> None:
    filled = Template("《{text}》这篇评论的态度是{label}。", KNOWN).fill({"text": "很好看", "label": "好"})
    assert filled.text == "《很好看》这篇评论的态度是好。"
    assert Template("{{{text}}} {{label}}", KNOWN).fill({"text": "x"}).text == "{x} {label}"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{text} {lable}", r"unknown place \{lable\}"),
        ("{text} {}", r"unknown place \{\}"),
        ("{text!r} {label}", r"unknown place \{text!r\}"),
        ("{text:>9} {label}", r"unknown place \{text:>9\}"),
        ("{text.x} {label}", r"unknown place \{text\.x\}"),
        ("{text} {label", "a brace stands alone"),
        ("{text} } {label}", "a brace stands alone"),
        ("{label}", r"the template has no \{text\}"),
        ("{text} {label} {label}", "once"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_known(source: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Template(source, KNOWN, ("text", "label"), ("label",))
    assert source in str(caught.value)
    if "unknown" in message:
        assert "{text}, {text_b}, {label}" in str(caught.value)


@pytest.mark.parametrize("kind", ["wordpiece", "byte-bpe", "characters", "words", "unigram"])
@pytest.mark.parametrize("room", [9, 14, 30, 31, 200])
def test_the_beginning_of_the_text_is_left_out(kind: str, room: int) -> None:
    tokenizer = make_tokenizer(kind)
    template = Template("{text} on {label}", KNOWN)
    whole = {"text": "the cat sat on the mat, and it's a good day 北京欢迎你 " * 3, "label": "mat"}
    values, cut = shortened(tokenizer, template, whole, room, ("text",))
    n = len(tokenizer.encode(template.fill(values).text))
    assert n <= room
    assert whole["text"].endswith(values["text"])
    assert values["label"] == "mat"
    assert cut == (values["text"] != whole["text"])
    # no more is left out than must be: a few tokens may merge anew at the edge
    assert not cut or n >= room - 3


def test_the_second_text_is_left_out_last_and_the_rest_never() -> None:
    tokenizer = make_tokenizer("words")
    template = Template("{text} and {text_b} on {label}", KNOWN)
    values = {"text": "the cat sat", "text_b": "one two three", "label": "mat"}
    kept, cut = shortened(tokenizer, template, values, 5, ("text", "text_b"))
    assert (kept["text"], kept["text_b"], cut) == ("", "two three", True)
    with pytest.raises(InputError, match="must not be left out"):
        shortened(tokenizer, template, values, 2, ("text", "text_b"))
