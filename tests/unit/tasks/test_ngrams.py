"""N-grams: which there are, how often, what they weigh; and what the head says of a text in plain torch."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import numpy as np
import pytest
import torch

from adapting import tokenizer_of
from polyseme.tasks.classify import Classify, TextConfig
from polyseme.tasks.ngrams import LEAST, NgramHead, Spelled, ngrams, spelled, symbols_of
from polyseme.text.labelled.records import TextRecord
from small import make_encoder

ENGLISH = ["the cat sees the zebra", "the old cat", "", "zebra  sees\tThe zebra", "the cat sees the dog"]
CHINESE = ["我喜欢北京的酒店", "北京的酒店不好", "酒店不好, the cat sees 北京"]


def texts_of(texts: list[str]) -> list[Spelled]:
    """As the task encodes them."""
    encoder = make_encoder("onehot", vocab_size=tokenizer_of("words").vocab_size)
    task = Classify(TextConfig(kind="single", labels=("a", "b"), pool="mean", ngrams=2))
    records = [TextRecord(str(n), text) for n, text in enumerate(texts)]
    return task.encode(records, tokenizer_of("words"), encoder).details


def head_of(
    texts: list[Spelled], words: int, characters: int, idf: bool = True, outputs: int = 2, least: int = 1
) -> NgramHead:
    head = NgramHead(words, characters, idf, tokenizer_of("words").vocab_size, outputs)
    head.learn(texts, least)
    return head


def named(head: NgramHead, texts: list[Spelled]) -> list[Counter[str]]:
    """The n-grams of each text, by name."""
    _, text, place = ngrams(head._symbols(texts), head.tree.numpy())
    unknown = list(head._known())
    words = [tokenizer_of("words").token(i) for i in range(head.vocab_size)] + unknown
    found: list[Counter[str]] = [Counter() for _ in texts]
    for t, p in zip(text.tolist(), place.tolist(), strict=True):
        found[t][spelled(head.tree.numpy(), p, words.__getitem__)] += 1
    return found


def plain(words: list[list[str]], texts: list[str], longest: int, characters: int) -> list[Counter[str]]:
    """The same by slices of lists."""
    found = []
    for row, text in zip(words, texts, strict=True):
        spaced = f" {' '.join(text.lower().split())} "
        of_words = [" ".join(row[i : i + n]) for n in range(1, longest + 1) for i in range(len(row) - n + 1)]
        of_characters = [
            f"“{spaced[i : i + n]}”".replace(" ", "_")
            for n in range(1, characters + 1)
            for i in range(len(spaced) - n + 1)
        ]
        found.append(Counter([*of_words, *of_characters]))
    return found


@pytest.mark.parametrize(("longest", "characters"), [(1, 0), (2, 0), (3, 4), (1, 1)])
def test_english(longest: int, characters: int) -> None:
    texts = texts_of(ENGLISH)
    words = [text.lower().split() for text in ENGLISH]
    assert named(head_of(texts, longest, characters), texts) == plain(words, ENGLISH, longest, characters)


def test_chinese_is_cut_into_words() -> None:
    texts = texts_of(CHINESE)
    words = [["我", "喜欢", "北京", "的", "酒店"], ["北京", "的", "酒店", "不好"]]
    words.append(["酒店", "不好", ",", "the", "cat", "sees", "北京"])
    found = named(head_of(texts, 2, 3), texts)
    assert found == plain(words, CHINESE, 2, 3)
    assert found[0]["北京 的"] == found[1]["“酒店不”"] == 1


def test_what_was_not_seen_in_training_is_left_out() -> None:
    texts = texts_of(ENGLISH)
    head = head_of(texts[:2], 2, 2)
    known, other = set(named(head, texts[:2])[0] | named(head, texts[:2])[1]), named(head, texts)[4]
    assert set(other) <= known
    assert other["the cat"] == 1
    assert "dog" not in other
    assert "“do”" not in other
    assert named(head, texts)[3]["zebra"] == 2  # learned, though the run's vocabulary lacks it


@pytest.mark.parametrize("least", [2, 3])
def test_rare_ngrams_are_left_out(least: int) -> None:
    symbols = symbols_of(texts_of(ENGLISH), 2, 3, {}, tokenizer_of("words").vocab_size)
    every, text, place = ngrams(symbols)
    holding = Counter(chain.from_iterable(set(place[text == t].tolist()) for t in range(len(ENGLISH))))
    frequent, _, _ = ngrams(symbols, None, least)
    names = lambda tree: {spelled(tree, p, str) for p in range(len(tree))}  # noqa: E731
    assert names(frequent) == {spelled(every, p, str) for p, n in holding.items() if n >= least}
    assert np.all(np.diff(every) > 0)
    assert np.all(np.diff(frequent) > 0)


def test_no_texts_and_no_ngrams() -> None:
    head = head_of([], 2, 2)
    assert head.rows([]).shape == (0, 0)
    assert head(head.rows(texts_of(["the cat", ""]))).tolist() == [[0.0, 0.0]] * 2
    for texts in ([], texts_of([""])):
        tree, text, place = ngrams(symbols_of(texts, 2, 0, {}, 9))
        assert len(tree) == len(text) == len(place) == 0


def test_weights_are_those_of_the_formula() -> None:
    texts = texts_of(ENGLISH)
    head = head_of(texts, 1, 0)
    row = head.rows(texts)[3].toarray()[0]
    n = len(ENGLISH)
    idf = {"zebra": 1 + np.log((1 + n) / 3), "sees": 1 + np.log((1 + n) / 4), "the": 1 + np.log((1 + n) / 5)}
    expected = np.array([idf["the"], idf["sees"], (1 + np.log(2)) * idf["zebra"]])
    assert sorted(row[row > 0]) == pytest.approx(sorted(expected / np.linalg.norm(expected)))
    assert set(head_of(texts, 1, 0, idf=False).idf.tolist()) == {1.0}


@pytest.mark.parametrize("analyzer", ["word", "char"])
def test_rows_are_those_of_scikit_learn(analyzer: str) -> None:
    text = pytest.importorskip("sklearn.feature_extraction.text")
    texts = texts_of(ENGLISH)
    rows = head_of(texts, *((2, 0) if analyzer == "word" else (0, 3)), least=LEAST).rows(texts)
    cut = {"token_pattern": r"\S+"} if analyzer == "word" else {"analyzer": "char"}
    peer = text.TfidfVectorizer(
        ngram_range=(1, 2 if analyzer == "word" else 3), sublinear_tf=True, min_df=LEAST, **cut
    )
    spaced = [f" {' '.join(text.split())} " for text in ENGLISH]
    expected = peer.fit_transform(spaced)
    assert rows.shape == expected.shape
    # columns are in another order: the products of all pairs of rows are not
    np.testing.assert_allclose((rows @ rows.T).toarray(), (expected @ expected.T).toarray(), atol=1e-6)


def test_the_head_is_a_linear_layer_over_the_rows() -> None:
    texts = texts_of(ENGLISH)
    head = head_of(texts, 2, 3, outputs=3)
    with torch.no_grad():
        head.weight.copy_(torch.randn(head.weight.shape, generator=torch.Generator().manual_seed(1)))
        head.bias.copy_(torch.tensor([0.5, -1.0, 2.0]))
    expected = head.rows(texts) @ head.weight.detach().numpy() + head.bias.detach().numpy()
    np.testing.assert_allclose(head(head.rows(texts)).detach().numpy(), expected, atol=1e-5)
    assert head.rows(texts)[2].nnz > 0  # an empty text has its two spaces


def test_words_outside_the_vocabulary_survive_saving() -> None:
    texts = texts_of([*ENGLISH, *CHINESE])
    head, other = (NgramHead(2, 3, True, tokenizer_of("words").vocab_size, 2) for _ in range(2))
    head.learn(texts, 1)
    weights = {name: p.detach().clone() for name, p in head.named_parameters()}
    other.take_shapes(weights)
    other.load_state_dict(weights)
    assert list(other._known()) == list(head._known())
    assert "zebra" in other._known()
    np.testing.assert_array_equal(other.rows(texts).toarray(), head.rows(texts).toarray())


def test_unknown_words_that_are_rare_are_one_word() -> None:
    texts = texts_of(["the zebra", "the yak", "the zebra"])
    head = head_of(texts, 2, 0, least=2)
    assert list(head._known()) == ["zebra"]
    assert set(named(head, texts)[0]) == {"the", "zebra", "the zebra"}
    assert set(named(head, texts)[1]) == {"the"}


def test_what_tells_most() -> None:
    texts = texts_of(["the good cat", "the bad cat", "zebra good"])
    head = head_of(texts, 1, 0)
    words = tokenizer_of("words").token
    weight = {"good": 2.0, "zebra": 3.0, "bad": -1.0}
    names = [
        spelled(head.tree.numpy(), p, lambda i: (*map(words, range(head.vocab_size)), "zebra")[i])
        for p in range(len(head.tree))
    ]
    with torch.no_grad():
        head.weight[:, 0] = torch.tensor([weight.get(name, 0.0) for name in names])
        head.weight[:, 1] = -head.weight[:, 0]
    assert head.telling(5, words) == [["zebra", "good"], ["bad"]]
    assert head.telling(1, words) == [["zebra"], ["bad"]]
