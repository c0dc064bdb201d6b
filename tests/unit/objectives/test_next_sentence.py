"""Sentence pairs: half of them real, never from the same document when they are not, whole sentences, no waste."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from polyseme.core.rng import Random
from polyseme.data.examples import NO_LABEL, SentencePairs
from polyseme.data.loader import Loader, Turns, heldout_batches, special_tokens
from polyseme.data.store import StoreWriter, TokenStore
from polyseme.errors import ConfigError, CorpusError
from polyseme.objectives.next_sentence import NextSentence, NextSentenceConfig
from polyseme.train.build import build_loader
from polyseme.train.heldout import heldout_recipe
from polyseme.train.recipe import resolve

VOCABULARY = 2000
SPECIAL = special_tokens(VOCABULARY, 0, 2, 3, 4, [0, 1, 2, 3, 4])


def store(folder: Path, documents: list[list[int]]) -> TokenStore:
    """Tokens count up through the store, so that a token tells its place."""
    with StoreWriter(folder, VOCABULARY) as writer:
        start = 5
        for lengths in documents:
            n = sum(lengths)
            writer.add_documents(
                np.arange(start, start + n), np.ones(n, np.uint8), np.array(lengths), np.array([len(lengths)])
            )
            start += n
    return TokenStore.open(folder)


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[TokenStore, SentencePairs]:
    made = store(tmp_path / "s", [[5, 9, 4, 7, 12, 3]] * 12 + [[6]] * 3 + [[90, 4, 4]])
    return made, SentencePairs(made, 40, SPECIAL, Random(1, "pairs"))


def split(ids: np.ndarray) -> list[np.ndarray]:
    ends = np.flatnonzero(ids == SPECIAL.sep)
    assert ids[0] == SPECIAL.cls
    assert ids[-1] == SPECIAL.sep
    return np.split(ids[1:], ends[:-1])


def test_labels_types_and_documents(pairs: tuple[TokenStore, SentencePairs]) -> None:
    made, source = pairs
    bounds = 5 + np.asarray(made.sentences)[np.asarray(made.documents)]
    starts = set((5 + source._sentences).tolist())  # a sentence too long for an example counts as several
    labels = []
    for counter in range(40):
        for index in range(len(source.lengths)):
            e = source.draw(index, counter)
            assert len(e.ids) <= source.lengths[index] <= 40
            assert len(e.ids) == len(e.type) == len(e.word_starts)
            parts = split(e.ids)
            if e.label == NO_LABEL:
                assert len(parts) == 1
                continue
            a, b = (p[p != SPECIAL.sep] for p in parts)
            assert len(a) > 0
            assert len(b) > 0
            assert (e.type == np.r_[np.zeros(len(a) + 2), np.ones(len(b) + 1)]).all()
            assert a[0] in starts
            assert b[0] in starts or b[0] == a[-1] + 1
            documents = [int(np.searchsorted(bounds, t, side="right")) for t in (a[0], b[0])]
            assert (documents[0] == documents[1]) == (e.label == 0)
            if e.label == 0 and len(a) < 29:  # not cut
                assert b[0] == a[-1] + 1
            labels.append(e.label)
    assert np.mean(labels) == pytest.approx(0.5, abs=0.06)


def test_every_sentence_is_in_a_group(pairs: tuple[TokenStore, SentencePairs]) -> None:
    _, source = pairs
    covered = np.zeros(len(source._sentences) - 1, int)
    for start, end in zip(source._starts, source._ends, strict=True):
        covered[start:end] += 1
    assert (covered == 1).all()


def test_a_draw_is_a_function_of_index_and_counter(pairs: tuple[TokenStore, SentencePairs]) -> None:
    _, source = pairs
    first = [source.draw(i, 3) for i in range(len(source.lengths))]
    again = [source.draw(i, 3) for i in reversed(range(len(source.lengths)))][::-1]
    assert all((a.ids == b.ids).all() and a.label == b.label for a, b in zip(first, again, strict=True))
    other = [source.draw(i, 4) for i in range(len(source.lengths))]
    assert any(len(a.ids) != len(b.ids) or (a.ids != b.ids).any() for a, b in zip(first, other, strict=True))


def test_the_other_text_is_of_a_document_about_as_long(tmp_path: Path) -> None:
    made = store(tmp_path / "mixed", [[5] * 12] * 3 + [[5] * 2] * 24 + [[5] * 8, [5] * 60])
    source = SentencePairs(made, 40, SPECIAL, Random(1, "pairs"))
    bounds = 5 + np.asarray(made.sentences)[np.asarray(made.documents)]
    others: dict[int, set[int]] = {0: set(), 3: set(), 28: set()}
    for counter in range(60):
        for index in range(len(source.lengths)):
            own, e = int(source._document[index]), source.draw(index, counter)
            if own in others and e.label == 1:
                token = split(e.ids)[1][0]
                others[own].add(int(np.searchsorted(bounds, token, side="right")) - 1)
    assert others[0] == {1, 2, 27}
    assert others[3] <= {*range(4, 27)}
    assert len(others[28] & {*range(3, 27)}) > 10  # none is as long: all the others


def test_one_document_is_refused(tmp_path: Path) -> None:
    made = store(tmp_path / "one", [[5, 5, 5]])
    with pytest.raises(CorpusError, match="two documents"):
        NextSentence(NextSentenceConfig(), SPECIAL, 1).examples(made, 32)


def loader_of(made: TokenStore, share: float, *, judged: bool = False, **settings: object) -> Loader | Turns:
    recipe = resolve("bert", settings={"data.sequence_length": 40, "next_sentence.share": share, **settings})
    return build_loader(made, heldout_recipe(recipe) if judged else recipe, SPECIAL, 1)


def test_a_share_of_the_batches_holds_pairs(pairs: tuple[TokenStore, SentencePairs]) -> None:
    made, _ = pairs
    loader = loader_of(made, 0.25, **{"train.batch_size": 2})  # an update is a batch
    plain, paired = loader_of(made, 1.0, objectives="masked_lm"), loader_of(made, 1.0)
    for turn, kind in enumerate("tttptttp"):
        batch = loader.batch(2 * turn, 2)
        assert set(batch.targets) == ({"masked_lm", "next_sentence"} if kind == "p" else {"masked_lm"})
        earlier = "tttptttp"[:turn].count(kind)
        alone = (paired if kind == "p" else plain).batch(2 * earlier, 2)
        assert torch.equal(batch.ids, alone.ids)
    assert isinstance(paired, Loader)


def test_it_is_judged_on_pairs_whatever_its_share(pairs: tuple[TokenStore, SentencePairs]) -> None:
    made, _ = pairs
    few, all_ = (heldout_batches(loader_of(made, s, judged=True), 2, 200, 40) for s in (0.25, 1.0))
    assert len(few) == len(all_)
    assert all(
        torch.equal(a.ids, b.ids) and set(a.targets) == set(b.targets) for a, b in zip(few, all_, strict=True)
    )


def test_alone_it_has_every_batch(pairs: tuple[TokenStore, SentencePairs]) -> None:
    assert isinstance(loader_of(pairs[0], 0.25, objectives="next_sentence"), Loader)


@pytest.mark.parametrize("share", [0.0, 1.5, "half"])
def test_shares_that_are_none(share: object) -> None:
    with pytest.raises(ConfigError, match="bad value for share"):
        resolve("bert", settings={"next_sentence.share": share})
