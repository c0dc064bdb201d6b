"""Dialogues: roles alternate, half of the examples are real, fakes come from other dialogues, lengths hold."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from polyseme.core.rng import Random
from polyseme.data.examples import FAKE, REAL, DialogueTurns, SpecialTokens
from polyseme.data.loader import Loader, special_tokens
from polyseme.data.packing import RowPlan
from polyseme.data.store import StoreWriter, TokenStore
from polyseme.errors import CorpusError
from polyseme.objectives.dialogue import Dialogue, DialogueConfig
from polyseme.objectives.next_sentence import NextSentenceHead
from small import VOCABULARY, make_encoder, make_learner, make_objectives

SPECIAL = special_tokens(2000, 0, 2, 3, 4, [0, 1, 2, 3, 4])


def store(folder: Path, dialogues: list[list[int]], vocabulary: int = 2000) -> TokenStore:
    """Tokens count up through the store, so that a token tells its place."""
    with StoreWriter(folder, vocabulary) as writer:
        start = 5
        for lengths in dialogues:
            n = sum(lengths)
            ids = 5 + (np.arange(start, start + n) - 5) % (vocabulary - 5)
            writer.add_documents(ids, np.ones(n, np.uint8), np.array(lengths), np.array([len(lengths)]))
            start += n
    return TokenStore.open(folder)


@pytest.mark.parametrize("turns", [2, 3])
def test_examples(tmp_path: Path, turns: int) -> None:
    sizes = [[5, 9, 4, 7], [3, 12], [6], [30, 2, 2, 8, 5], [4, 4, 4]] * 3
    made = store(tmp_path / "s", sizes)
    source = DialogueTurns(made, 40, SPECIAL, Random(1, "turns"), turns)
    assert len(source.lengths) == sum(len(d) - 1 for d in sizes)
    sentences, documents = np.asarray(made.sentences), np.asarray(made.documents)
    labels = []
    for counter in range(30):
        for index in range(len(source.lengths)):
            e = source.draw(index, counter)
            assert len(e.ids) == len(e.type) == len(e.word_starts) <= source.lengths[index] <= 40
            ends = np.flatnonzero(e.ids == SPECIAL.sep)
            assert 2 <= len(ends) <= turns
            parts = [p[p > 4] - 5 for p in np.split(e.ids, ends)[:-1]]
            numbers = [int(np.searchsorted(sentences, p[0], side="right")) - 1 for p in parts]
            for part, number in zip(parts, numbers, strict=True):  # the beginning of a turn, perhaps cut
                assert (part == sentences[number] + np.arange(len(part))).all()
                assert len(part) <= sentences[number + 1] - sentences[number]
            dialogue = [int(np.searchsorted(documents, n, side="right")) - 1 for n in numbers]
            foreign = [d for d in dialogue if d != dialogue[0]]
            assert len(foreign) == (1 if e.label == FAKE else 0)
            if e.label == REAL:
                assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
            roles = [int(e.type[end]) for end in ends]
            first = numbers[0] - documents[dialogue[0]]
            assert roles == [int(first + i) % 2 for i in range(len(roles))]
            assert e.type[0] == roles[0]
            labels.append(e.label)
    assert np.mean(labels) == pytest.approx(0.5, abs=0.05)


def test_what_is_drawn_depends_on_the_counter_alone(tmp_path: Path) -> None:
    made = store(tmp_path / "s", [[5, 9, 4], [3, 12, 8]])
    a, b = (DialogueTurns(made, 40, SPECIAL, Random(1, "turns"), 3) for _ in range(2))
    b.draw(1, 7)
    for counter in range(5):
        assert all(
            (x == y).all() for x, y in zip(a.draw(0, counter)[:3], b.draw(0, counter)[:3], strict=True)
        )


@pytest.mark.parametrize("sizes", [[[5, 5, 5]], [[5], [6], [7]]])
def test_text_that_is_no_dialogue_is_refused(tmp_path: Path, sizes: list[list[int]]) -> None:
    objective = Dialogue(DialogueConfig(), SPECIAL, 1)
    with pytest.raises(CorpusError, match="dialogues of several turns") as caught:
        objective.examples(store(tmp_path / "s", sizes), 40)
    assert "ernie-dialogue" in str(caught.value)


def test_it_learns_beside_knowledge_masking(tmp_path: Path) -> None:
    special: SpecialTokens = special_tokens(VOCABULARY, 0, 2, 3, 4, [0, 1, 2, 3, 4])
    objectives = make_objectives(("knowledge_masking", "dialogue"), special)
    made = store(tmp_path / "s", [[9, 8, 7]] * 4, VOCABULARY)
    source = objectives[1].examples(made, 40)
    loader = Loader(source, RowPlan(source.lengths, 40, Random(1, "order")), objectives, 40, special)
    encoder = make_encoder("ernie", initializer_range=0.02)
    learner = make_learner(encoder, objectives)
    assert isinstance(learner.heads["dialogue"], NextSentenceHead)
    batches = [loader.batch(0, 4), loader.batch(4, 4)]
    scores = learner.evaluate(batches)
    assert scores["dialogue_baseline"] == pytest.approx(math.log(2))
    for _ in range(60):
        metrics = learner.step(batches, 0.5)
    assert metrics["dialogue_loss"] < 0.3
    assert metrics["knowledge_masking_loss"] < 2.0
    assert learner.evaluate(batches)["dialogue_accuracy"] == 1.0
