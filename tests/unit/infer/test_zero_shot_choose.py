from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from decoding import make_loaded
from polyseme.errors import ConfigError, InputError
from polyseme.infer import likelihood
from polyseme.infer.model import Model
from polyseme.infer.score import score
from polyseme.infer.zero_shot import Chooser

TEMPLATE = "{text} on a {label} mat."
CHOICES = ["cat", "good day", "one"]
TEXTS = ["the cat sat", "it's a", "the cat sat on the mat, and it's", "a", "北京欢迎你"]
TOLERANCE = 1e-5


def softmax(rows: Any) -> Any:
    e = np.exp(rows - rows.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def whole_scores(loaded: Model, template: str, texts: list[str], choices: list[str]) -> Any:
    """Log-likelihood of the whole of every filled template, each by itself."""
    rows = [[template.format(text=text, label=choice) for choice in choices] for text in texts]
    return np.array([[score(loaded, [one])[0].log_likelihood for one in row] for row in rows])


@pytest.mark.parametrize("model", ["gpt", "qwen3"])
@pytest.mark.parametrize("kind", ["wordpiece", "byte-bpe", "characters", "unigram", "words"])
@pytest.mark.parametrize("size", [8192, 90])
def test_differences_are_those_of_the_whole_texts(
    model: str, kind: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands before the choices cancels out, however the vocabulary cuts the border."""
    monkeypatch.setattr(likelihood, "TOKENS_PER_BATCH", size)
    loaded = make_loaded(model, kind)
    texts = [text for text in TEXTS if text.isascii() or kind != "words"]
    for template in (TEMPLATE, "{text}{label}", "a {label} day, {text}"):
        chooser = Chooser(loaded, CHOICES, template)
        expected = whole_scores(loaded, template, texts, CHOICES)
        found = chooser.scores(texts)
        np.testing.assert_allclose(
            found - found[:, :1], expected - expected[:, :1], atol=TOLERANCE * 40, rtol=TOLERANCE
        )
        np.testing.assert_allclose(chooser.probabilities(texts), softmax(expected), atol=TOLERANCE)


def test_the_context_is_read_once_for_all_choices_and_texts_go_side_by_side(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded = make_loaded("gpt", "words")
    chooser = Chooser(loaded, CHOICES, "{text} {label}")
    read: list[tuple[int, ...]] = []
    decode = loaded.encoder.decode
    monkeypatch.setattr(
        loaded.encoder, "decode", lambda ids, cache: (read.append(tuple(ids.shape)), decode(ids, cache))[1]
    )
    chooser.probabilities(["the cat sat on the mat", "the cat sat on a mat"])
    assert read == [(2, 6), (6, 2)]  # [CLS] and the text but its last token; that, and the label but its last


@pytest.mark.parametrize("model", ["gpt", "bert"])
def test_mean_and_pmi(model: str) -> None:
    loaded = make_loaded(model)
    plain = Chooser(loaded, CHOICES, TEMPLATE).scores(TEXTS)
    parts = Chooser(loaded, CHOICES, TEMPLATE)
    counts = np.array(
        [
            [len(part.counted) for part in parts._parts(question)]
            for question in parts._questions([{"text": text, "text_b": ""} for text in TEXTS])
        ]
    )
    assert len(set(counts[0])) > 1
    np.testing.assert_allclose(
        Chooser(loaded, CHOICES, TEMPLATE, "mean").scores(TEXTS), plain / counts, atol=TOLERANCE
    )
    for neutral in ("", "one"):
        without = Chooser(loaded, CHOICES, TEMPLATE).scores([neutral])
        found = Chooser(loaded, CHOICES, TEMPLATE, "pmi", neutral).scores(TEXTS)
        np.testing.assert_allclose(found, plain - without, atol=1e-4)
    # a text without content tells nothing: all choices are equal
    equal = Chooser(loaded, CHOICES, TEMPLATE, "pmi", "one").probabilities(["one"])
    np.testing.assert_allclose(equal, 1 / 3, atol=TOLERANCE)


@pytest.mark.parametrize("model", ["bert", "modernbert"])
def test_a_masked_model_hides_the_tokens_of_the_label_in_turn(model: str) -> None:
    loaded = make_loaded(model)
    found = Chooser(loaded, CHOICES, TEMPLATE).scores(TEXTS)
    for text, row in zip(TEXTS, found, strict=True):
        for choice, total in zip(CHOICES, row, strict=True):
            before = len(loaded.tokenizer.encode(f"{text} on a").ids)
            n = len(loaded.tokenizer.encode(choice).ids)
            ids = loaded.tokenizer.encode(f"{text} on a {choice} mat.").ids
            expected = 0.0
            with torch.no_grad():
                for i in range(before, before + n):
                    hidden = loaded.encoder.encode(
                        loaded.batch([[*ids[:i], loaded.special.mask, *ids[i + 1 :]]])
                    ).last
                    logits = loaded.heads["masked_lm"].logits(hidden[0, i + 1]).double()
                    expected += float(torch.log_softmax(logits, 0)[ids[i]])
            assert total == pytest.approx(expected, abs=1e-4)


def test_elmo_chooses_from_both_sides() -> None:
    loaded = make_loaded("elmo", "words")
    choices = ["cat", "good", "one"]
    found = Chooser(loaded, choices, "the {label} sat on {text}").probabilities(["the mat", "a mat"])
    assert found.shape == (2, 3)
    assert found.sum(1) == pytest.approx(1)
    assert np.ptp(found) > 0


@pytest.mark.parametrize("kind", ["characters", "byte-bpe", "wordpiece", "words"])
def test_chinese_labels_are_told_apart(kind: str) -> None:
    loaded = make_loaded("gpt", kind)
    found = Chooser(loaded, ["北京", "欢迎"], "{text}，{label}你。").probabilities(["北京欢迎你"])
    assert found.sum() == pytest.approx(1)
    assert found[0, 0] != pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("model", ["gpt", "bert"])
def test_a_long_text_loses_its_beginning(model: str) -> None:
    loaded = make_loaded(model)
    chooser = Chooser(loaded, CHOICES, TEMPLATE)
    long = ("the cat sat on the mat, and it's a good day " * 30).strip()
    with pytest.warns(UserWarning, match="1 of 2 texts are longer"):
        found = chooser.probabilities([long, "a"])
    assert found[1] == pytest.approx(chooser.probabilities(["a"])[0], abs=TOLERANCE)
    with pytest.warns(UserWarning, match="their beginnings"):
        (question,) = chooser._questions([{"text": long, "text_b": ""}])
    for filled, choice in zip(question.filled, CHOICES, strict=True):
        assert filled.text.endswith(f"a good day on a {choice} mat.")
    assert loaded.max_content - 6 <= max(map(len, question.tokens)) <= loaded.max_content
    with pytest.warns(UserWarning, match="their beginnings"):
        other = chooser.probabilities(["zzz " + long])  # what is left out changes nothing
    assert other[0] == pytest.approx(found[0], abs=TOLERANCE)


def test_pairs() -> None:
    loaded = make_loaded()
    chooser = Chooser(loaded, CHOICES, "{text} {text_b} {label}")
    assert chooser.paired
    found = chooser.probabilities(["the cat"], ["sat on the"])
    expected = Chooser(loaded, CHOICES, "{text} {label}").probabilities(["the cat sat on the"])
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    with pytest.raises(ConfigError, match="no second texts"):
        chooser.scores(["a"])
    with pytest.raises(ConfigError, match="no place"):
        Chooser(loaded, CHOICES, TEMPLATE).scores(["a"], ["b"])
    with pytest.raises(ConfigError, match="pairs"):
        chooser.scores(["a", "b"], ["b"])


def test_the_method() -> None:
    loaded = make_loaded()
    many = loaded.choose(TEXTS, CHOICES, TEMPLATE)
    assert many.shape == (5, 3)
    assert many.sum(1) == pytest.approx(1)
    np.testing.assert_allclose(loaded.choose(TEXTS[0], CHOICES, TEMPLATE), many[0], atol=TOLERANCE)
    assert loaded.choose([], CHOICES, TEMPLATE).shape == (0, 3)
    assert "choose" in loaded.abilities
    assert "choose" in make_loaded("bert").abilities


@pytest.mark.parametrize(
    ("choices", "options", "error", "message"),
    [
        (["cat"], {}, ConfigError, "two choices at least"),
        (["cat", "cat"], {}, ConfigError, "there twice"),
        (["cat", " "], {}, ConfigError, "must not be empty"),
        ("cat", {}, ConfigError, "list of strings"),
        (CHOICES, {"normalize": "max"}, ConfigError, "no such normalize"),
        (CHOICES, {"template": "{text}"}, ConfigError, r"no \{label\}"),
        (CHOICES, {"template": "{label}"}, ConfigError, r"no \{text\}"),
        (["cat", "☃☃"], {}, InputError, "does not know a choice"),
        (["cat", "CAT"], {}, InputError, "reads two choices alike"),
    ],
)
def test_misuse(choices: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Chooser(make_loaded(), choices, **{"template": TEMPLATE, **options})


@pytest.mark.parametrize("model", ["gpt", "qwen3"])
@pytest.mark.parametrize("size", [8192, 150, 20])
def test_groups_side_by_side_give_what_each_text_gives_alone(
    model: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beginnings and ends of all lengths: some share nothing, some fill the model's 64 positions, some overflow it."""
    monkeypatch.setattr(likelihood, "TOKENS_PER_BATCH", size)
    loaded = make_loaded(model, "words")
    random = np.random.default_rng(0)

    def ids(n: int) -> list[int]:
        return [int(i) for i in random.integers(5, loaded.tokenizer.vocab_size, n)]

    groups = []
    for shared, ends in [
        (1, (1, 2)),
        (60, (1, 4)),
        (5, (50, 3, 3)),
        (30, (33, 34, 35)),
        (70, (5, 9)),
        (0, (4, 9)),
    ]:
        beginning = ids(shared)
        texts = [[2, *beginning, *ids(n)] for n in ends]
        groups.append(
            [
                likelihood.Part(text, shared + 1, len(text) - (n > 3))
                for text, n in zip(texts, ends, strict=True)
            ]
        )
    groups += [[], groups[1][:1]]
    head = loaded.heads["causal_lm"]
    with torch.no_grad():
        found = likelihood.causal_shared(loaded, head, groups)
        for group, of_texts in zip(groups, found, strict=True):
            expected = [likelihood.causal(loaded, head, [part])[0] for part in group]
            assert [len(values) for values in of_texts] == [len(part.counted) for part in group]
            for values, wanted in zip(of_texts, expected, strict=True):
                assert values == pytest.approx(wanted, abs=1e-4)
