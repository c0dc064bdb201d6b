"""The learner of word2vec: its steps, its held-out reading, its resume, its threads."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from polyseme.core.protocols import Span
from polyseme.data.store import StoreWriter, TokenStore
from polyseme.errors import CorpusError, TrainingError
from polyseme.models.word2vec import Word2Vec, Word2VecConfig
from polyseme.objectives.context_window import ContextWindowConfig, ContextWindowLearner
from polyseme.objectives.word2vec import huffman, negative_reading, tree_reading

TOPICS, WORDS = 6, 12
V = 5 + TOPICS * WORDS
Make = Callable[..., ContextWindowLearner]


def write(folder: Path, sentences: int, seed: int) -> TokenStore:
    """Sentences of one topic each; within a topic, rarer and more frequent words; some words unknown."""
    random = np.random.default_rng(seed)
    chance = 1 / np.arange(1, WORDS + 1)
    with StoreWriter(folder, V) as writer:
        for start in range(0, sentences, 10):
            topics = random.integers(0, TOPICS, min(10, sentences - start))
            lines = [5 + t * WORDS + random.choice(WORDS, 12, p=chance / chance.sum()) for t in topics]
            ids = np.concatenate(lines)
            ids[random.random(len(ids)) < 0.05] = 1
            lengths = np.full(len(lines), 12)
            writer.add_documents(ids, np.ones(len(ids), np.uint8), lengths, np.array([len(lines)]))
    return TokenStore.open(folder)


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> tuple[TokenStore, TokenStore]:
    folder = tmp_path_factory.mktemp("topics")
    return write(folder / "train", 2000, 1), write(folder / "valid", 60, 2)


@pytest.fixture
def make(splits: tuple[TokenStore, TokenStore]) -> Make:
    def build(threads: int = 1, rate: float = 0.05, seed: int = 1, **config: Any) -> ContextWindowLearner:
        torch.manual_seed(seed)
        return ContextWindowLearner(
            Word2Vec(Word2VecConfig(vocab_size=V, hidden_size=20)),
            ContextWindowConfig(**{"sample": 0.01, **config}),
            train=splits[0],
            valid=splits[1],
            tokenizer=SimpleNamespace(special_ids=(0, 1, 2, 3, 4)),
            seed=seed,
            learning_rate=lambda progress: rate * (1 - progress),
            heldout_tokens=400,
            threads=threads,
        )

    return build


def train(learner: ContextWindowLearner, epochs: int) -> list[float]:
    total = int(epochs * learner.steps_per_epoch)
    spans = islice(learner.stream(0, lambda row: row / total), total)
    return [learner.step([span], i / total)["loss"] for i, span in enumerate(spans)]


def same_topic(vectors: np.ndarray) -> float:
    """Share of the three nearest words that are of a word's own topic."""
    unit = vectors[5:] / np.linalg.norm(vectors[5:], axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -2)
    nearest = np.argsort(-cosine, axis=1)[:, :3]
    return float((nearest // WORDS == np.arange(len(unit))[:, None] // WORDS).mean())


def vectors_of(learner: ContextWindowLearner) -> np.ndarray:
    return learner.weights()["encoder.word_embeddings.weight"].numpy()


def test_an_epoch_reads_every_token_once_in_an_order_of_its_own(
    make: Make, splits: tuple[TokenStore, TokenStore]
) -> None:
    learner = make()
    n = int(learner.steps_per_epoch)
    assert n > 1
    spans = list(islice(learner.stream(0, lambda row: 0.0), 2 * n))
    ends = set(np.asarray(splits[0].sentences).tolist())
    for epoch in (spans[:n], spans[n:]):
        assert sum(s.n_tokens for s in epoch) == splits[0].n_tokens
        assert sorted(s.start for s in epoch)[1:] == sorted(s.end for s in epoch)[:-1]
        assert {s.start for s in epoch} <= ends
    assert spans[:n] != spans[n:]
    assert list(islice(learner.stream(n + 2, lambda row: 0.0), 3)) == spans[n + 2 : n + 5]
    assert learner.tokens_per_step * n == pytest.approx(splits[0].n_tokens)


@pytest.mark.parametrize("output", ["negative", "hierarchical"])
@pytest.mark.parametrize("method", ["skip-gram", "cbow"])
def test_it_learns_what_belongs_together(make: Make, method: str, output: str) -> None:
    learner = make(method=method, output=output)
    before = learner.evaluate([])
    losses = train(learner, 6)
    after = learner.evaluate([])
    assert losses[-1] < losses[0]
    assert after["context_window_loss"] < before["context_window_loss"]
    assert after["context_window_loss"] < after["context_window_baseline"] - 0.3
    assert before["context_window_baseline"] == after["context_window_baseline"]
    assert same_topic(vectors_of(learner)) > 0.9
    assert not vectors_of(learner)[:5].any()  # special and unknown words learn nothing


def test_the_divided_gradient_learns_too(make: Make) -> None:
    learner = make(method="cbow", divide=True, rate=0.2)
    train(learner, 6)
    assert same_topic(vectors_of(learner)) > 0.9


def test_as_good_as_gensim(make: Make, splits: tuple[TokenStore, TokenStore]) -> None:
    from gensim.models import Word2Vec as Peer

    tokens, ends = np.asarray(splits[0].tokens), np.asarray(splits[0].sentences)
    lines = [[str(i) for i in tokens[a:b].tolist() if i >= 5] for a, b in pairwise(ends)]
    peer = Peer(
        lines,
        vector_size=20,
        window=5,
        negative=5,
        sg=1,
        sample=0.01,
        alpha=0.05,
        epochs=3,
        workers=1,
        seed=1,
    )
    theirs = np.zeros((V, 20), np.float32)
    theirs[:5] = 1
    for i in range(5, V):
        theirs[i] = peer.wv[str(i)]
    learner = make()
    train(learner, 3)
    assert same_topic(vectors_of(learner)) >= same_topic(theirs) - 0.02


@pytest.mark.parametrize(
    "config", [{}, {"deterministic": True}, {"output": "hierarchical", "method": "cbow"}]
)
def test_save_load_resume_is_identical(make: Make, config: dict[str, Any]) -> None:
    straight = make(**config)
    train(straight, 2)
    total = int(2 * straight.steps_per_epoch)
    first = make(**config)
    for i, span in enumerate(islice(first.stream(0, lambda row: 0.0), 3)):
        first.step([span], i / total)
    tensors, extra = first.state_dict()
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    other = make(seed=1, **config)
    other.step([Span(0, 500)], 0.0)  # it has a state of its own that must vanish
    other.load_state_dict(tensors, extra)
    for i, span in enumerate(islice(other.stream(3, lambda row: 0.0), total - 3)):
        other.step([span], (i + 3) / total)
    for name, weight in straight.weights().items():
        assert torch.equal(weight, other.weights()[name]), name


def test_seeds_differ_and_repeat(make: Make) -> None:
    runs = [make(seed=seed) for seed in (1, 1, 2)]
    for learner in runs:
        train(learner, 1)
    a, b, c = map(vectors_of, runs)
    assert (a == b).all()
    assert not np.allclose(a, c)


@pytest.mark.parametrize("method", ["skip-gram", "cbow"])
def test_the_loss_means_the_same_for_any_number_of_threads(make: Make, method: str) -> None:
    """At a rate of 0 nothing moves: the same predictions, and the same loss but for the order of the sum."""
    spans = list(islice(make().stream(0, lambda row: 0.0), 3))
    one, many = make(threads=1, method=method), make(threads=3, method=method)
    for span in spans:
        a, b = one.step([span], 1.0), many.step([span], 1.0)
        assert a["predictions"] == b["predictions"]
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-12)
    train(many, 6)
    assert same_topic(vectors_of(many)) > 0.9


TWICE = """
import sys
sys.path.insert(0, {tests!r})
import numpy, hashlib
from pathlib import Path
import test_context_window as t
import tempfile
folder = Path(tempfile.mkdtemp())
splits = t.write(folder / "train", 300, 1), t.write(folder / "valid", 60, 2)
make = t.make.__wrapped__(splits) if hasattr(t.make, "__wrapped__") else t.make._get_wrapped_function()(splits)
digests = []
for threads in (1, 2):
    learner = make(threads=threads, deterministic=True)
    losses = t.train(learner, 1)
    digests.append(hashlib.sha256(t.vectors_of(learner).tobytes() + repr(losses).encode()).hexdigest())
print(len(set(digests)))
"""


@pytest.mark.slow
def test_the_deterministic_mode_gives_the_same_bits_on_one_thread_and_on_two() -> None:
    """In a process of its own, which may have two compiled threads."""
    code = TWICE.format(tests=str(Path(__file__).parent))
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stdout.strip() == "1", done.stderr


@pytest.mark.parametrize("hierarchical", [False, True])
def test_the_heldout_reading_sums_to_one(hierarchical: bool) -> None:
    torch.manual_seed(0)
    counts = np.array([0, 0, 9, 5, 4, 3, 2, 1, 1, 0])
    outputs, hidden = torch.randn(10, 6), torch.randn(7, 6)
    keep = torch.linspace(0.2, 1.0, 10)
    if hierarchical:
        paths = huffman(counts)
        p = tree_reading(outputs, paths, torch.zeros(10))(hidden).exp()
        for w in np.flatnonzero(counts):  # the product of sigmoids, written out
            expected = torch.ones(7)
            for at in range(paths.start[w], paths.start[w + 1]):
                sign = 1.0 if paths.branch[at] else -1.0
                expected = expected * torch.sigmoid(sign * (hidden @ outputs[int(paths.node[at])]))
            torch.testing.assert_close(p[:, w], expected, atol=1e-6, rtol=1e-4)
        thinned = tree_reading(outputs, paths, keep.log())(hidden).exp()
    else:
        q = torch.from_numpy(counts / counts.sum()).float()
        p = negative_reading(outputs, q.log(), torch.zeros(10))(hidden).exp()
        expected = q * (hidden @ outputs.T).exp()
        torch.testing.assert_close(p, expected / expected.sum(1, keepdim=True))
        thinned = negative_reading(outputs, q.log(), keep.log())(hidden).exp()
    torch.testing.assert_close(p.sum(1), torch.ones(7))
    assert (p[:, counts == 0] == 0).all()
    undone = p / keep
    torch.testing.assert_close(thinned, undone / undone.sum(1, keepdim=True), atol=1e-6, rtol=1e-4)


def test_evaluating_changes_nothing_and_is_repeatable(make: Make) -> None:
    learner = make()
    train(learner, 1)
    before = learner.weights()
    assert learner.evaluate([]) == learner.evaluate([])
    assert all(torch.equal(before[k], v) for k, v in learner.weights().items())


def test_divergence_is_an_error_of_ours(make: Make) -> None:
    learner = make(rate=1e9)
    with pytest.raises(TrainingError, match="diverged"):
        train(learner, 3)


def test_a_corpus_without_words_is_refused(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "s", V) as writer:
        writer.add_documents(np.array([1, 1, 6, 6]), np.ones(4, np.uint8), np.array([4]), np.array([1]))
    store = TokenStore.open(tmp_path / "s")
    with pytest.raises(CorpusError, match="two different words"):
        ContextWindowLearner(
            Word2Vec(Word2VecConfig(vocab_size=V, hidden_size=8)),
            ContextWindowConfig(),
            train=store,
            valid=store,
            tokenizer=SimpleNamespace(special_ids=(0, 1, 2, 3, 4)),
            seed=1,
            learning_rate=lambda progress: 0.1,
            heldout_tokens=100,
            threads=1,
        )


def test_held_out_text_without_windows_is_refused(
    splits: tuple[TokenStore, TokenStore], tmp_path: Path
) -> None:
    with StoreWriter(tmp_path, V) as writer:  # a word a sentence, three sentences a document
        ids = np.full(30, 7)
        writer.add_documents(ids, np.ones(30, np.uint8), np.ones(30, np.int64), np.full(10, 3))

    def build(boundary: Any) -> ContextWindowLearner:
        return ContextWindowLearner(
            Word2Vec(Word2VecConfig(vocab_size=V, hidden_size=4)),
            ContextWindowConfig(boundary=boundary, sample=0),
            train=splits[0],
            valid=TokenStore.open(tmp_path),
            tokenizer=SimpleNamespace(special_ids=(0, 1, 2, 3, 4)),
            seed=1,
            learning_rate=lambda progress: 0.05,
            heldout_tokens=400,
            threads=1,
        )

    with pytest.raises(CorpusError, match="in its window") as error:
        build("sentence")
    assert error.value.fix is not None
    assert "context_window.boundary=document" in error.value.fix
    assert np.isfinite(build("document").evaluate([])["context_window_loss"])
