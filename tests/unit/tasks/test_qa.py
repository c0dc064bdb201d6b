"""Answers: found among spans, found among tokens, and given back to the character."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapting import WORDS, tokenizer_of
from polyseme.errors import CorpusError
from polyseme.tasks.qa import QA, QAConfig, best_spans
from polyseme.text.labelled.records import QuestionRecord

KINDS = ["wordpiece", "byte-bpe", "unigram", "characters", "words", "spaces"]
ENCODER = SimpleNamespace(reach="both", max_length=64)
PIECES = [*WORDS, "Größe", "naïve", "猫", "公园", "😀", "3.14%", "“zebra”", "x—y"]


@settings(deadline=None, max_examples=60)
@given(
    scores=st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), max_size=12),
    cap=st.integers(1, 14),
    most=st.integers(1, 9),
)
def test_best_spans_are_those_of_trying_all(scores: list[tuple[int, int]], cap: int, most: int) -> None:
    start, end = np.array(scores, np.float32).reshape(-1, 2).T
    found = best_spans(start, end, cap, most)
    n = len(scores)
    every = sorted(
        (float(start[i] + end[j]) for i in range(n) for j in range(i, min(n, i + cap))), reverse=True
    )
    assert [score for score, _, _ in found] == every[:most]
    assert len({(i, j) for _, i, j in found}) == len(found)
    for score, i, j in found:
        assert i <= j < i + cap
        assert score == start[i] + end[j]


@st.composite
def questions(draw: st.DrawFn) -> QuestionRecord:
    """A passage of words, the answer a run of them."""
    words = draw(st.lists(st.sampled_from(PIECES), min_size=1, max_size=60))
    gaps = draw(st.lists(st.sampled_from([" ", "  ", "\n"]), min_size=len(words), max_size=len(words)))
    first = draw(st.integers(0, len(words) - 1))
    last = draw(st.integers(first, len(words) - 1))
    starts, context = [], ""
    for word, gap in zip(words, gaps, strict=True):
        starts.append(len(context))
        context += word + gap
    begin, end = starts[first], starts[last] + len(words[last])
    return QuestionRecord("q", "which cat?", context, ((context[begin:end], begin),))


def perfect(data: Any) -> list[Any]:
    """Scores of a head that knows the gold tokens and says "no answer" elsewhere."""
    outputs = []
    for example, gold in zip(data.examples, data.gold, strict=True):
        scores = np.full((len(example.ids), 2), -5.0, np.float32)
        scores[gold[0][0], 0] = scores[gold[0][1], 1] = 5.0
        outputs.append(scores)
    return outputs


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60)
@given(record=questions(), max_length=st.integers(24, 64))
def test_answers_come_back_to_the_character_from_every_tokenizer_and_window(
    kind: str, record: QuestionRecord, max_length: int
) -> None:
    config = QAConfig(max_length=max_length, answer_length=200, overlap=8, unanswerable=True)
    task, tokenizer = QA(config), tokenizer_of(kind)
    data = task.encode([record], tokenizer, ENCODER)
    assert all(len(example.ids) <= max_length for example in data.examples)
    inside = [g for g, d in zip(data.gold, data.details, strict=True) if d is None or g[0].tolist() != [0, 0]]
    assert inside  # no answer is ever lost
    text, begin = record.answers[0] if record.answers else ("", 0)
    whole = tokenizer.encode(record.context).offsets
    touched = [(s, e) for s, e in whole if s < begin + len(text) and e > begin]
    room = max_length - 3 - min(len(tokenizer.encode(record.question).ids), (max_length - 3) // 2)
    touched, fits = touched[:room], len(touched) <= room
    for example, gold, details in zip(data.examples, data.gold, data.details, strict=True):
        i, j = gold[0].tolist()
        assert 0 <= i <= j < len(example.ids)
        if details is not None and (i, j) != (0, 0):
            _, first, offsets = details
            assert (int(offsets[i - first, 0]), int(offsets[j - first, 1])) == (touched[0][0], touched[-1][1])
    (said,) = task.predictions(data, perfect(data), {"threshold": 0.0})
    if any(d is not None and g[0].tolist() != [0, 0] for g, d in zip(data.gold, data.details, strict=True)):
        assert said["answer"] == record.context[said["start"] : said["end"]]
        assert (said["start"], said["end"]) == (touched[0][0], touched[-1][1])
        if fits and all(
            s >= begin and e <= begin + len(text) for s, e in touched
        ):  # no token goes beyond the answer
            assert said["answer"] == text
    else:  # learned from a window of its own; longer than what neighbouring windows share
        assert len(touched) > min(8, room - 1)


def test_an_answer_in_no_shared_part_has_a_window_of_its_own_in_training_alone() -> None:
    context = " ".join(["cat"] * 40 + ["river"] * 12 + ["dog"] * 40)
    record = QuestionRecord("q", "a day", context, ((" ".join(["river"] * 12), context.index("river")),))
    task = QA(QAConfig(max_length=22, overlap=2, answer_length=3))
    data = task.encode([record], tokenizer_of("words"), ENCODER)
    (own,) = [n for n, details in enumerate(data.details) if details is None]
    i, j = data.gold[own][0].tolist()
    assert j - i + 1 == 12
    unlabelled = task.encode([replace(record, answers=None)], tokenizer_of("words"), ENCODER)
    assert len(unlabelled.examples) == len(data.examples) - 1
    outputs = [np.random.default_rng(n).normal(size=(len(e.ids), 2)) for n, e in enumerate(data.examples)]
    assert task.predictions(data, outputs, {}) == task.predictions(unlabelled, outputs[:-1], {})


def test_of_an_answer_longer_than_a_window_its_beginning_is_learned() -> None:
    context = " ".join(["cat"] * 5 + ["river"] * 50 + ["dog"] * 5)
    record = QuestionRecord("q", "a day", context, ((" ".join(["river"] * 50), context.index("river")),))
    data = QA(QAConfig(max_length=16)).encode([record], tokenizer_of("words"), ENCODER)
    golds = [gold[0].tolist() for gold in data.gold if gold[0].tolist() != [0, 0]]
    assert [j - i + 1 for i, j in golds] == [11]


def test_short_windows_do_not_explode() -> None:
    context = " ".join(["cat"] * 1000)
    record = QuestionRecord("q", "a day", context, None)
    data = QA(QAConfig(max_length=64)).encode([record], tokenizer_of("words"), ENCODER)  # overlap = 128
    assert len(data.examples) <= 40


def test_no_answer_where_no_answer_scores_higher_than_the_threshold() -> None:
    task = QA(QAConfig(unanswerable=True))
    record = QuestionRecord("q", "a cat", "the dog sees", ())
    data = task.encode([record], tokenizer_of("words"), ENCODER)
    scores = np.zeros((len(data.examples[0].ids), 2), np.float32)
    scores[0] = 1.0  # no answer is ahead by 2
    assert data.gold[0].tolist() == [[0, 0]]
    for threshold, answered in ((1.9, False), (2.1, True)):
        (said,) = task.predictions(data, [scores], {"threshold": threshold})
        assert bool(said["answer"]) == answered
        assert said["no_answer_score"] == pytest.approx(2.0)
        assert 0 < said["probability"] < 1
        assert said["best"]["answer"] == record.context[said["best"]["start"] : said["best"]["end"]]


def test_detail_says_where_an_answer_may_begin_and_end() -> None:
    """One window: the softmax over the passage's tokens and the place of no answer, by hand."""
    record = QuestionRecord("q", "a cat", "the old dog sees", None)
    for may_be_none in (True, False):
        task = QA(QAConfig(unanswerable=may_be_none))
        data = task.encode([record], tokenizer_of("words"), ENCODER)
        scores = np.random.default_rng(2).normal(size=(len(data.examples[0].ids), 2)).astype(np.float32) * 2
        (plain,) = task.predictions(data, [scores], {"threshold": 0.5})
        (said,) = task.predictions(data, [scores], {"threshold": 0.5, "detail": True})
        assert {name: said[name] for name in plain} == plain
        null, first, offsets = data.details[0]
        rows = scores[first : first + 4].astype(np.float64)
        rows = np.concatenate([rows, scores[null][None]]) if may_be_none else rows
        p = np.exp(rows) / np.exp(rows).sum(0)
        assert [(t["start"], t["end"]) for t in said["tokens"]] == [tuple(o) for o in offsets.tolist()]
        for place, name in enumerate(("start_probability", "end_probability")):
            assert [t[name] for t in said["tokens"]] == pytest.approx(p[:4, place].tolist(), rel=1e-4)
        spans = [(s["start"], s["end"]) for s in said["spans"]]
        assert len(spans) == len(set(spans)) == 5
        assert all(start < end for start, end in spans)
        shares = [s["probability"] for s in said["spans"]]
        assert shares == sorted(shares, reverse=True)
        assert [s["text"] for s in said["spans"]] == [record.context[start:end] for start, end in spans]
        if may_be_none:
            assert said["threshold"] == 0.5
            assert 0 < said["no_answer"] < 1 - shares[0]
        else:
            assert said["threshold"] is said["no_answer"] is None


def test_detail_of_a_passage_in_windows_covers_all_of_it() -> None:
    context = " ".join(["cat", "dog", "river", "bird"] * 12)
    task = QA(QAConfig(max_length=22, overlap=4, answer_length=3, unanswerable=True))
    data = task.encode([QuestionRecord("q", "a day", context, None)], tokenizer_of("words"), ENCODER)
    outputs = [np.zeros((len(e.ids), 2), np.float32) for e in data.examples]
    assert len(outputs) > 2
    outputs[1][data.details[1][1] + 6] = 9.0  # the seventh token of the second window
    (said,) = task.predictions(data, outputs, {"detail": True})
    assert [context[t["start"] : t["end"]] for t in said["tokens"]] == context.split()
    sure = [
        n for n, t in enumerate(said["tokens"]) if t["start_probability"] > 0.9 < 10 * t["end_probability"]
    ]
    (_, _, second) = data.details[1]
    assert [said["tokens"][n]["start"] for n in sure] == [int(second[6][0])]
    assert said["start"] == int(second[6][0])


def test_the_threshold_is_tuned_to_the_highest_f1() -> None:
    task = QA(QAConfig(unanswerable=True))
    texts = [("the dog", (("dog", 4),)), ("the dog", ()), ("a river", (("river", 2),)), ("a bird", ())]
    records = [QuestionRecord(str(n), "which", text, answers) for n, (text, answers) in enumerate(texts)]
    data = task.encode(records, tokenizer_of("words"), ENCODER)
    outputs = []
    for n, example in enumerate(data.examples):
        scores = np.zeros((len(example.ids), 2), np.float32)
        scores[0] = (0.5, 4.0, 1.0, 3.0)[n]
        scores[-2] = 0.3  # the passage's last word
        outputs.append(scores)
    decoding = task.tune(data, outputs)
    for noise in (-1e-4, 1e-4):  # sums that round otherwise decide the same
        shifted = [scores + noise * (np.arange(len(scores)) == 0)[:, None] for scores in outputs]
        again = task.predictions(data, shifted, decoding)
        assert [p["answer"] for p in again] == [
            p["answer"] for p in task.predictions(data, outputs, decoding)
        ]
    assert decoding["dev_f1"] == pytest.approx(1.0)
    said = task.predictions(data, outputs, decoding)
    assert [one["answer"] for one in said] == ["dog", "", "river", ""]
    assert all(m.value == 1.0 for m in task.measures(records, said).values())


@pytest.mark.parametrize("unanswerable", [True, False])
def test_passages_without_a_token(unanswerable: bool) -> None:
    task = QA(QAConfig(unanswerable=unanswerable))
    data = task.encode([QuestionRecord("q", "?", " ", None)], tokenizer_of("words"), ENCODER)
    outputs = [np.ones((len(e.ids), 2), np.float32) for e in data.examples]
    (said,) = task.predictions(data, outputs, {"threshold": 0.0})
    assert (said["answer"], said["start"], said["end"]) == ("", None, None)
    (said,) = task.predictions(data, outputs, {"threshold": 0.0, "detail": True})
    assert said["tokens"] == said["spans"] == []
    assert said["no_answer"] == (1.0 if unanswerable else None)


def test_what_is_learned_from_the_training_file() -> None:
    ours = QuestionRecord("1", "which", "the dog", (("dog", 4),))
    chinese = QuestionRecord("1", "天气好吗", "天气很好", (("很好", 2),))
    assert QA.learn(QAConfig(), [ours], ENCODER).unanswerable is False
    assert QA.learn(QAConfig(), [ours, replace(ours, answers=())], ENCODER).unanswerable is True
    assert QA.learn(QAConfig(), [ours], ENCODER).rules == "squad-2.0"
    assert QA.learn(QAConfig(), [chinese], ENCODER).rules == "cmrc-2018"
    assert QA.learn(QAConfig(), [ours], ENCODER).answer_length == 30
    assert QA.learn(QAConfig(), [chinese], ENCODER).answer_length == 60
    assert QA.learn(QAConfig(answer_length=9), [chinese], ENCODER).answer_length == 9
    with pytest.raises(CorpusError, match="no question has an answer"):
        QA.learn(QAConfig(), [replace(ours, answers=())], ENCODER)
