"""Does B follow A: the head's own answer, the right way round, and after a little training the right one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from decoding import make_loaded
from polyseme.core.config import Config
from polyseme.core.result import Result
from polyseme.core.rng import Random
from polyseme.data.examples import SentencePairs
from polyseme.data.loader import collate, to_batch
from polyseme.data.store import StoreWriter, TokenStore
from polyseme.errors import ConfigError, InputError
from polyseme.infer.model import Model
from polyseme.infer.next_sentence import follows
from polyseme.report.results import page_of
from small import make_objectives

TOPICS = [["the", "cat", "sat"], ["one", "two", "three"], ["good", "day", "and"]]
LENGTH = 24


class _Data(Config):
    sequence_length: int = LENGTH


def with_head(model: str = "bert") -> tuple[Model, Any]:
    """A model with a fresh next-sentence head, and the objective that trains it."""
    loaded = make_loaded(model, "words")
    (objective,) = make_objectives(("next_sentence",), loaded.special)
    torch.manual_seed(0)
    loaded.heads["next_sentence"] = objective.build_head(loaded.encoder).eval()
    loaded.recipe.section = lambda name: _Data()  # type: ignore[method-assign]
    return loaded, objective


def sentences(random: np.random.Generator, topic: int, n: int) -> list[str]:
    return [" ".join(random.choice(TOPICS[topic], 4)) for _ in range(n)]


def store(folder: Path, loaded: Model) -> TokenStore:
    """Documents of one topic each."""
    random = np.random.default_rng(1)
    with StoreWriter(folder, loaded.tokenizer.vocab_size) as writer:
        for number in range(24):
            ids = loaded.tokenizer.encode_ids(sentences(random, number % len(TOPICS), 10))
            lengths = np.array([len(row) for row in ids])
            flat = np.concatenate(ids)
            writer.add_documents(flat, np.ones(len(flat), np.uint8), lengths, np.array([len(lengths)]))
    return TokenStore.open(folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Any, SentencePairs]:
    loaded, objective = with_head()
    made = store(tmp_path_factory.mktemp("pairs") / "s", loaded)
    source = SentencePairs(made, LENGTH, loaded.special, Random(1, "pairs"))
    weights = [
        *loaded.encoder.parameters(),
        *loaded.heads["next_sentence"].parameters(),
    ]  # the pooler is the encoder's
    optimizer = torch.optim.Adam({id(w): w for w in weights}.values(), 5e-3)
    for step in range(40):
        examples = [[source.draw(index, step)] for index in range(0, len(source.lengths), 2)]
        batch = to_batch(collate(examples, LENGTH, loaded.special), [objective])
        loss, n = objective.loss(loaded.encoder.encode(batch), loaded.heads["next_sentence"], batch)
        optimizer.zero_grad()
        (loss / n).backward()
        optimizer.step()
    return loaded, objective, source


def test_true_pairs_are_more_probable_than_random_ones(trained: tuple[Model, Any, SentencePairs]) -> None:
    loaded, _, _ = trained
    random = np.random.default_rng(7)
    pairs = [[" ".join(sentences(random, n % 3, 2)) for _ in range(2)] for n in range(60)]
    first, second = zip(*pairs, strict=True)
    true = [answer.probability for answer in follows(loaded, first, second)]
    elsewhere = [answer.probability for answer in follows(loaded, first, second[1:] + second[:1])]
    assert np.mean(true) > np.mean(elsewhere) + 0.2
    assert np.mean(np.array(true) > np.array(elsewhere)) > 0.8


def test_it_is_what_the_objective_sees(trained: tuple[Model, Any, SentencePairs]) -> None:
    """-log p of the label that an example carries is its loss: label 0 is B after A, in this order."""
    loaded, objective, source = trained
    seen = set()
    for index in range(12):
        example = source.draw(index, 3)
        batch = to_batch(collate([[example]], len(example.ids), loaded.special), [objective])
        with torch.no_grad():
            encoding = loaded.encoder.encode(batch)
            loss, n = objective.loss(encoding, loaded.heads["next_sentence"], batch)
        ends = np.flatnonzero(example.ids == loaded.special.sep)
        first, second = example.ids[1 : ends[0]], example.ids[ends[0] + 1 : ends[1]]
        texts = (loaded.tokenizer.decode(ids) for ids in (first, second))
        p = loaded.follows(*texts).probability
        assert n == 1
        assert float(torch.exp(-loss)) == pytest.approx(p if example.label == 0 else 1 - p, abs=1e-4)
        seen.add(int(example.label))
    assert seen == {0, 1}


def test_a_long_pair_keeps_what_meets() -> None:
    loaded, _ = with_head()
    a, b = "the cat sat on the mat " * 6, "one two three four " * 9
    with pytest.warns(UserWarning, match="1 of 1 texts is longer than the 21 tokens"):
        long = follows(loaded, a, b)
    tokens = [loaded.tokenizer.encode(text) for text in (a, b)]
    kept = a[tokens[0].offsets[-10][0] :], b[: tokens[1].offsets[10][1]]
    other = kept[0], b[: tokens[1].offsets[9][1]]
    assert long.probability in (
        pytest.approx(follows(loaded, *kept).probability, abs=1e-6),
        pytest.approx(follows(loaded, a[tokens[0].offsets[-11][0] :], other[1]).probability, abs=1e-6),
    )


def test_the_result_is_one_of_the_house() -> None:
    loaded, _ = with_head()
    answer = loaded.follows("the cat", "sat on the mat")
    assert isinstance(answer, Result)
    assert answer.document() == {
        "text": "the cat", "text_b": "sat on the mat", "follows": answer.probability,
    }  # fmt: skip
    assert bool(answer) == (answer.probability > 0.5)
    assert ("Yes" if answer else "No") in str(answer)
    assert "接续的概率为" in page_of(answer, "zh").html()
    assert "follows" in loaded.abilities
    assert loaded.follows([], []) == []


def test_bad_input() -> None:
    loaded, _ = with_head()
    for a, b in ((["a"], ["b", "c"]), ("a", ["b"]), (["a"], "b")):
        with pytest.raises(InputError, match="every first text needs a second"):
            follows(loaded, a, b)  # type: ignore[call-overload]
    with pytest.raises(InputError, match="every first text needs a second") as refused:
        follows(loaded, "a", ["b"])  # type: ignore[call-overload]
    assert refused.value.got == "a text and a list of texts"
    for a, b in (("", "b"), ("a", " ")):
        with pytest.raises(InputError, match="an empty text"):
            follows(loaded, a, b)
    with pytest.raises(InputError, match="texts_b must be"):
        follows(loaded, "a", None)  # type: ignore[call-overload]
    for model in ("gpt", "bert"):
        with pytest.raises(ConfigError, match="not trained to say") as caught:
            follows(make_loaded(model), "a", "b")
        assert "polyseme score RUN FILE" in (caught.value.fix or "")
