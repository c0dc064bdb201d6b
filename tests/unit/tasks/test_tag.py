"""Tags: read from the encoder's tokens that the file's tokens begin with, whatever cuts the text."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adapting import WORDS, tokenizer_of
from polyseme.data.labelled import ExampleLoader
from polyseme.errors import CorpusError
from polyseme.study.evaluate import mistakes
from polyseme.tasks.tag import Tag, TagConfig, _best_window, _first_tokens, _place_within
from polyseme.text.labelled.records import TagRecord
from polyseme.train.build import special_ids
from small import make_encoder

ENCODER = SimpleNamespace(reach="both", max_length=64)
PIECES = [*WORDS, "Größe", "naïve", "猫公园", "😀", "3.14%", "don't"]


def first_tokens(text: str, tokens: list[tuple[int, int]], kind: str) -> list[str]:
    """What the encoder's token is written like that each of the file's tokens is read from."""
    offsets = np.array(tokenizer_of(kind).encode(text).offsets).reshape(-1, 2)
    return [text[slice(*offsets[place])] for place in _first_tokens(tokens, offsets)]


def test_first_tokens_of_words_pieces_and_characters() -> None:
    text, words = "an unbelievable cat", [(0, 2), (3, 15), (16, 19)]
    assert first_tokens(text, words, "words") == ["an", "unbelievable", "cat"]
    assert first_tokens(text, words, "characters") == ["a", "u", "c"]
    pieces = first_tokens(text, words, "wordpiece")
    assert pieces[1] != "unbelievable"
    assert "unbelievable".startswith(pieces[1])


def test_first_tokens_where_several_lie_in_one_token_or_none_covers_them() -> None:
    assert first_tokens("don't", [(0, 2), (2, 5)], "spaces") == ["don't", "don't"]
    assert first_tokens("cat   dog", [(0, 3), (4, 5), (6, 9)], "words") == ["cat", "dog", "dog"]
    assert first_tokens("cat   ", [(0, 3), (4, 5)], "words") == ["cat", "cat"]
    assert _first_tokens([(0, 3)], np.empty((0, 2), np.int64)).tolist() == [0]


@pytest.mark.parametrize("kind", ["wordpiece", "byte-bpe", "unigram", "characters", "words", "spaces"])
@settings(deadline=None, max_examples=60)
@given(words=st.lists(st.sampled_from(PIECES), min_size=1, max_size=12), data=st.data())
def test_the_token_read_covers_the_beginning_and_comes_first(
    kind: str, words: list[str], data: st.DataObject
) -> None:
    text = " ".join(words)
    starts = np.cumsum([0, *(len(w) + 1 for w in words[:-1])]).tolist()
    tokens = []
    for start, word in zip(starts, words, strict=True):  # words, or parts of them
        cut = data.draw(st.integers(1, len(word)))
        tokens += [(start, start + cut)] + [(start + cut, start + len(word))] * (cut < len(word))
    offsets = np.array(tokenizer_of(kind).encode(text).offsets).reshape(-1, 2)
    for (start, _), place in zip(tokens, _first_tokens(tokens, offsets), strict=True):
        covering = [n for n, (s, e) in enumerate(offsets.tolist()) if s <= start < e]
        assert place == covering[0]


@settings(deadline=None, max_examples=60)
@given(n=st.integers(1, 150), room=st.integers(2, 40), overlap=st.integers(0, 50))
def test_every_token_of_a_long_sentence_is_judged_once_where_it_has_most_context(
    n: int, room: int, overlap: int
) -> None:
    words = [WORDS[i % len(WORDS)] for i in range(n)]
    starts = np.cumsum([0, *(len(w) + 1 for w in words[:-1])]).tolist()
    tokens = tuple((s, s + len(w)) for s, w in zip(starts, words, strict=True))
    tags = tuple(("O", "B-X")[i % 2] for i in range(n))
    task = Tag(TagConfig(labels=("O", "B-X"), max_length=max(4, room + 2), overlap=overlap))
    data = task.encode([TagRecord("1", " ".join(words), tokens, tags)], tokenizer_of("words"), ENCODER)
    judged = np.concatenate(data.details)
    assert sorted(judged.tolist()) == list(range(n))
    ids = tokenizer_of("words").encode(" ".join(words)).ids
    for example, places, mine, gold in zip(data.examples, data.places, data.details, data.gold, strict=True):
        assert example.ids[places].tolist() == [ids[t] for t in mine]
        assert gold.tolist() == [t % 2 for t in mine]
        assert len(example.ids) <= max(4, room + 2)
    assert bool(data.cut) == (n > max(2, room))


def test_best_window_is_far_from_its_edges() -> None:
    parts = [(0, 10), (6, 16), (12, 20)]
    assert _best_window(np.arange(20), parts).tolist() == [0] * 8 + [1] * 6 + [2] * 6


def test_place_within_a_token() -> None:
    positions = torch.tensor([4, 5, 5, 5, 5, 5, 9, 9])
    assert _place_within(positions).tolist() == [0, 0, 1, 2, 3, 3, 0, 1]
    assert _place_within(torch.empty(0, dtype=torch.long)).tolist() == []


def test_tags_come_out_legal_and_at_their_places() -> None:
    task = Tag(TagConfig(labels=("O", "B-X", "I-X", "B-Y", "I-Y")))
    record = TagRecord("1", "the old cat sees", ((0, 3), (4, 7), (8, 11), (12, 16)), None)
    data = task.encode([record], tokenizer_of("words"), ENCODER)
    scores = np.zeros((4, 5), np.float32)
    scores[0, 2] = 9.0  # I-X cannot be first
    scores[1, 1] = 5.0
    scores[2, 4] = 2.0  # I-Y cannot follow B-X
    (said,) = task.predictions(data, [scores], {})
    tags = [token["tag"] for token in said["tokens"]]
    for before, after in zip(["O", *tags], tags, strict=False):
        assert not after.startswith("I-") or before[1:] == after[1:]
    for span in said["spans"]:
        assert record.text[span["start"] : span["end"]] == span["text"]
    free = Tag(task.config.of({**task.config.model_dump(), "constrained": False}, "tag"))
    (anything,) = free.predictions(data, [scores], {})
    assert [t["tag"] for t in anything["tokens"]] == ["I-X", "B-X", "I-Y", "O"]


def test_transitions_decide_where_scores_do_not() -> None:
    task = Tag(TagConfig(labels=("NOUN", "VERB")))
    record = TagRecord("1", "the old cat", ((0, 3), (4, 7), (8, 11)), None)
    data = task.encode([record], tokenizer_of("words"), ENCODER)
    crf = {"start": [0.0, 1.0], "transition": [[-2.0, 2.0], [2.0, -2.0]], "end": [0.0, 0.0]}
    (said,) = task.predictions(data, [np.zeros((3, 2), np.float32)], {"crf": crf})
    assert [token["tag"] for token in said["tokens"]] == ["VERB", "NOUN", "VERB"]
    assert "spans" not in said


def test_a_chain_says_how_sure_it_is() -> None:
    """The token by itself says VERB with 0.73; the chain after a sure NOUN makes it a VERB with nearly 1."""
    task = Tag(TagConfig(labels=("NOUN", "VERB")))
    record = TagRecord("1", "the old", ((0, 3), (4, 7)), ("NOUN", "NOUN"))
    data = task.encode([record], tokenizer_of("words"), ENCODER)
    crf = {"start": [0.0, 0.0], "transition": [[-5.0, 5.0], [0.0, 0.0]], "end": [0.0, 0.0]}
    scores = np.array([[9.0, 0.0], [0.0, 1.0]], np.float32)
    (alone,), (chained,) = (task.predictions(data, [scores], decoding) for decoding in ({}, {"crf": crf}))
    for said, expected in ((alone, 0.731), (chained, 0.99998)):
        assert [token["tag"] for token in said["tokens"]] == ["NOUN", "VERB"]
        assert said["tokens"][1]["probability"] == pytest.approx(expected, abs=1e-3)
        assert mistakes(task, [record], [said])[0]["probability"] == said["tokens"][1]["probability"]


@pytest.mark.parametrize("crf", [False, True])
def test_unknown_tags_have_no_part_in_the_loss(crf: bool) -> None:
    encoder = make_encoder("bert").eval()
    task = Tag(TagConfig(labels=("O", "B-X"), crf=crf, dropout=0.0))
    text, tokens = "the old cat", ((0, 3), (4, 7), (8, 11))
    known = TagRecord("1", text, tokens, ("O", "B-X", "O"))
    odd = [TagRecord("2", text, tokens, ("O", "B-Z", "B-Z")), TagRecord("3", text, tokens, ("B-Z",) * 3)]
    torch.manual_seed(3)
    head = task.build_head(encoder).eval()
    tokenizer, found = tokenizer_of("words"), []
    for records in ([known], [known, *odd], odd[1:]):
        data = task.encode(records, tokenizer, encoder)
        task.use(data)
        batch = ExampleLoader(data.examples, [task], special_ids(tokenizer)).of(range(len(records)))
        with torch.no_grad():
            found.append(task.loss(encoder.encode(batch), head, batch))
    assert [count for _, count in found] == [3, 4, 0]
    assert found[2][0].item() == 0.0
    short = TagRecord("2", text, tokens[:1], ("O",))
    data = task.encode([short], tokenizer, encoder)
    task.use(data)
    batch = ExampleLoader(data.examples, [task], special_ids(tokenizer)).of([0])
    with torch.no_grad():
        alone = task.loss(encoder.encode(batch), head, batch)[0]
    assert found[1][0].item() == pytest.approx(found[0][0].item() + alone.item(), rel=1e-4)


def test_sentences_without_tokens_and_tags_that_are_unknown() -> None:
    task = Tag(TagConfig(labels=("O", "B-X")))
    records = [
        TagRecord("1", " ", (), ()),
        TagRecord("2", "the cat", ((0, 3), (4, 7)), ("O", "B-Z")),
        TagRecord("3", " \u200b", ((0, 1),), ("O",)),
    ]
    data = task.encode(records, tokenizer_of("words"), ENCODER)
    assert [gold.tolist() for gold in data.gold] == [[], [0, -1], [0]]
    assert task.unknown_labels(records) == {"B-Z": 1}
    outputs = [np.zeros((len(places), 2), np.float32) for places in data.places]
    said = task.predictions(data, outputs, {})
    assert [len(one["tokens"]) for one in said] == [0, 2, 1]
    assert task.measures(records, said)["f1"].value == 0.0


def test_one_tag_is_nothing_to_learn() -> None:
    record = TagRecord("1", "the cat", ((0, 3), (4, 7)), ("O", "O"))
    with pytest.raises(CorpusError, match="at least two tags"):
        Tag.learn(TagConfig(), [record], ENCODER)
