"""Within-word scoring of masked models: what is hidden, by hand, and that it changes nothing else."""

from __future__ import annotations

import pytest
import torch

from decoding import make_loaded
from polyseme.errors import ConfigError
from polyseme.infer.likelihood import Part, hidden_windows
from polyseme.infer.model import Model
from polyseme.infer.score import score, score_continuations


def test_the_rest_of_the_word_is_hidden() -> None:
    loaded = make_loaded("bert")
    cls, sep, mask = loaded.special.cls, loaded.special.sep, loaded.special.mask
    part = Part([cls, 10, 11, 12, 13], 1, None, (True, False, False, True))
    assert [(w.ids, w.positions, w.labels) for w in hidden_windows(part, loaded, 0)] == [
        ([cls, mask, mask, mask, 13, sep], [1], [10]),
        ([cls, 10, mask, mask, 13, sep], [2], [11]),
        ([cls, 10, 11, mask, 13, sep], [3], [12]),
        ([cls, 10, 11, 12, mask, sep], [4], [13]),
    ]
    plain = [w.ids for w in hidden_windows(part._replace(starts=None), loaded, 0)]
    assert plain[0] == [cls, mask, 11, 12, 13, sep]


def test_a_long_word_is_hidden_as_far_as_the_window_goes() -> None:
    loaded = make_loaded("bert")
    n = loaded.max_content + 20
    part = Part([loaded.special.cls, *range(20, 20 + n)], 1, None, (True, *[False] * (n - 1)))
    windows = list(hidden_windows(part, loaded, 0))
    assert len(windows) == n
    assert {len(w.ids) for w in windows} == {loaded.max_content + 2}
    for number, window in enumerate(windows):
        (place,) = window.positions
        inner = window.ids[1:-1]
        assert inner[place - 1 :] == [loaded.special.mask] * (loaded.max_content - place + 1)
        assert loaded.special.mask not in inner[: place - 1]
        assert window.labels == [20 + number]


def plain(loaded: Model, text: str) -> float:
    """A token at a time, the whole softmax, no batches."""
    tokens = loaded.tokenizer.encode(text)
    total = 0.0
    with torch.no_grad():
        for i, token in enumerate(tokens.ids):
            hidden = list(tokens.ids)
            for j in range(i, len(hidden)):
                if j > i and tokens.word_starts[j]:
                    break
                hidden[j] = loaded.special.mask
            state = loaded.encoder.encode(loaded.batch([hidden])).last[0, i + 1]
            logits = loaded.heads["masked_lm"].logits(state).double()
            total += float(torch.log_softmax(logits, 0)[token])
    return total


@pytest.mark.parametrize("kind", ["wordpiece", "byte-bpe", "characters", "words"])
@pytest.mark.parametrize("model", ["bert", "modernbert"])
def test_scores(model: str, kind: str) -> None:
    loaded = make_loaded(model, kind)
    texts = ["the cats sat on a matcat", "catmat", "", "good day, 北京欢迎你"]
    found = score(loaded, texts, within_word=True)
    for text, one in zip(texts, found, strict=True):
        assert one.log_likelihood == pytest.approx(plain(loaded, text), abs=1e-3)
        assert one.tokens == len(loaded.tokenizer.encode(text).ids)
    original = score(loaded, texts)
    several = [not all(loaded.tokenizer.encode(text).word_starts) for text in texts]
    for a, b, differ in zip(found, original, several, strict=True):
        assert (abs(a.log_likelihood - b.log_likelihood) > 1e-4) == differ
    by_method = loaded.score(texts, within_word=True)
    assert by_method.tolist() == pytest.approx([one.log_likelihood for one in found], abs=1e-6)


def test_continuations_begin_with_a_word() -> None:
    loaded = make_loaded("bert")
    (whole,) = score(loaded, ["the catmat"], within_word=True)
    (given,) = score_continuations(loaded, "the", [" catmat"], within_word=True)
    tokens = loaded.tokenizer.encode("the catmat")
    assert not all(tokens.word_starts)
    hidden = [loaded.special.mask, *tokens.ids[1:]]
    with torch.no_grad():
        state = loaded.encoder.encode(loaded.batch([hidden])).last[0, 1]
        first = torch.log_softmax(loaded.heads["masked_lm"].logits(state).double(), 0)[tokens.ids[0]]
    assert whole.log_likelihood - given.log_likelihood == pytest.approx(float(first), abs=1e-3)


@pytest.mark.parametrize("model", ["gpt", "elmo"])
def test_others_hide_nothing(model: str) -> None:
    with pytest.raises(ConfigError, match="only masked models hide"):
        score(make_loaded(model, "words"), ["the cat"], within_word=True)
