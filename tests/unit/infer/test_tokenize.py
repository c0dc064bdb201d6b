"""The tokens that a model reads of a text, as a result."""

from __future__ import annotations

import pytest

from decoding import make_loaded
from polyseme.core.result import Result
from polyseme.errors import InputError
from polyseme.infer.tokenize import tokenize
from polyseme.report.results import page_of


@pytest.mark.parametrize("kind", ["wordpiece", "byte-bpe", "unigram", "characters", "words", "spaces"])
def test_tokens_are_those_of_the_tokenizer(kind: str) -> None:
    loaded = make_loaded("bert", kind)
    texts = ["the cats sat on a matcat 北京", "", "☂ the", "the cat " * 40]
    for text, found in zip(texts, tokenize(loaded, texts), strict=True):
        tokens = loaded.tokenizer.encode(text)
        assert [t["id"] for t in found.tokens] == tokens.ids
        assert [(t["start"], t["end"]) for t in found.tokens] == tokens.offsets
        assert [t["word_start"] for t in found.tokens] == tokens.word_starts
        assert [t["token"] for t in found.tokens] == [loaded.tokenizer.display(i) for i in tokens.ids]
        unknown = [i == loaded.tokenizer.unk_id for i in tokens.ids]
        assert [t["unknown"] for t in found.tokens] == unknown
        assert found.cut == max(0, len(tokens) - loaded.max_content)
        assert set(found.document()) == {"text", "tokens", "cut"}


def test_the_result_is_one_of_the_house() -> None:
    loaded = make_loaded("bert")
    found = loaded.tokenize("the catmat ☂ [MASK]")
    assert isinstance(found, Result)
    lines = str(found).split("\n")
    assert lines[0].startswith(f"{len(found.tokens)} tokens, 19 characters. Unknown to the vocabulary: ")
    assert "[UNK](☂)" in lines[2]
    assert [int(word) for word in lines[3].split()] == [token["id"] for token in found.tokens]
    assert loaded.special.mask not in [token["id"] for token in found.tokens]
    assert "词表中没有" in page_of(found, "zh").html()
    assert "the last" in str(loaded.tokenize("the cat " * 40))
    assert found.rows() == found.tokens
    with pytest.raises(InputError, match="must be"):
        loaded.tokenize(3)  # type: ignore[call-overload]
