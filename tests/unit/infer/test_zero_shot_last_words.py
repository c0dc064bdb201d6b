from __future__ import annotations

import pytest

from decoding import make_loaded
from polyseme.errors import ConfigError
from polyseme.infer.generate import generate
from polyseme.infer.zero_shot import _first, _last, last_words


@pytest.mark.parametrize("kind", ["byte-bpe", "wordpiece", "words"])
def test_right_is_what_the_model_goes_on_with(kind: str) -> None:
    loaded = make_loaded("gpt", kind, max_position_embeddings=128)
    contexts = ["the cat", "on the mat", "it's a"]
    written = [generate(loaded, context, max_new_tokens=10, temperature=0.0).text for context in contexts]
    own = [_first(text.strip()) for text in written]
    texts = [f"{context} {word}" for context, word in zip(contexts, own, strict=True)]
    found = last_words(loaded, [*texts, "the cat zzz", "alone", ""])
    assert [one.found for one in found[:4]] == [*own, own[0]]
    assert [one.right for one in found] == [True] * 3 + [False] * 3
    assert found[4].word == found[5].word == ""


def test_chinese_words_and_long_texts() -> None:
    assert _last("他住在北京") == ("他住在", "北京")
    assert _last("他住在北京。") == ("他住在", "北京。")
    assert _last("他说：“我住在北京！”") == ("他说：“我住在", "北京！”")
    assert _last("我用Python。") == ("我用", "Python。")
    assert _last("北京。") == ("", "北京。")
    assert _first("北京，他") == "北京"
    assert _first("“北京”，他") == "北京"
    assert _first("Python很好") == "Python"
    assert _last("the cat sat.") == ("the cat", "sat.")
    loaded = make_loaded("gpt", "byte-bpe")
    with pytest.warns(UserWarning, match="1 of 2 texts"):
        (long, short) = last_words(loaded, ["the cat sat on the mat " * 30 + "one", "the cat"])
    assert long.word == "one"
    assert short.word == "cat"


def test_only_decoders_have_last_words() -> None:
    with pytest.raises(ConfigError, match="cannot generate"):
        last_words(make_loaded("bert"), ["the cat"])
