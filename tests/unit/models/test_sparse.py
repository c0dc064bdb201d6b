"""1-of-N and word classes: distances, sparse vectors, and honest answers about neighbours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch

from polyseme import Budget, PretrainRequest, embed, embed_file, load, neighbours, pretrain, score
from polyseme.cli.output import neighbours_command
from polyseme.core import registry
from polyseme.errors import ConfigError, InputError
from polyseme.infer import embed as embedding
from polyseme.infer import embed_file as files
from polyseme.infer.model import Model

TEXTS = ["the cat sees the dog", "", "a dog", "the zebra", "the the the"]


@pytest.fixture(scope="module", params=["onehot", "word-classes"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("text")
    random = np.random.default_rng(3)
    words = ["the", "a", "cat", "dog", "bird", "sees", "likes", "old", "small", "river"]
    for number in range(30):
        lines = [" ".join(random.choice(words, 8)) for _ in range(60)]
        (folder / f"{number}.txt").write_text("\n".join(lines))
    settings = {"text.valid_share": 0.2} | ({"num_classes": 5} if request.param == "word-classes" else {})
    run = pretrain(
        PretrainRequest(
            model=request.param,
            corpus=[str(folder)],
            output=folder / "run",
            budget=Budget(minutes=1),
            settings=settings,
        )
    )
    assert run.meta["status"] == "finished"
    return load(run.path)


def onehot(loaded: Model) -> bool:
    return loaded.recipe.architecture == "onehot"


@pytest.mark.parametrize("pool", ["mean", "max", "words"])
def test_sparse_vectors_are_the_dense_ones(
    loaded: Model, pool: embedding.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sparse = embed(loaded, TEXTS, pool)
    with monkeypatch.context() as patch:
        patch.delattr(type(loaded.encoder), "active")
        dense = embed(loaded, TEXTS, pool)
    assert len(sparse) == len(dense) == len(TEXTS)
    for a, b in zip(sparse, dense, strict=True):
        assert a.dtype == b.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_what_stands_before_every_text_says_nothing_about_it(loaded: Model, tmp_path: Path) -> None:
    for call in (embed, embedding.sparse_vectors):
        with pytest.raises(ConfigError, match="says nothing about a text") as caught:
            call(loaded, TEXTS, "cls")
        assert caught.value.expected == "mean, max, last, words"
    with pytest.raises(ConfigError, match="says nothing about a text"):
        embed_file(loaded, tmp_path / "none.txt", tmp_path / "out.npy", "cls")


@pytest.mark.parametrize("pool", ["mean", "words"])
def test_files_sparse_and_dense_hold_the_same(
    loaded: Model, pool: embedding.Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "TEXTS_AT_ONCE", 2)
    monkeypatch.setattr(files, "NUMBERS_AT_ONCE", 20)  # a row or two at a time
    (tmp_path / "lines.txt").write_text("\n".join(TEXTS) + "\n")
    for name in ("out.npy", "out.npz"):
        written = embed_file(loaded, tmp_path / "lines.txt", tmp_path / name, pool)
        assert written["lines"] == len(TEXTS)
    dense = np.load(tmp_path / "out.npy")
    sparse = scipy.sparse.load_npz(tmp_path / "out.npz")
    assert sparse.format == "csr"
    assert dense.dtype == sparse.dtype == np.float32
    assert dense.shape == sparse.shape == (written["vectors"], loaded.encoder.config.hidden_size)
    np.testing.assert_array_equal(dense, sparse.toarray())
    if pool == "words":
        offsets = np.load(tmp_path / "out.offsets.npy")
        assert offsets.tolist() == [0, 5, 5, 7, 9, 12]


def test_a_mean_is_the_bag_of_words(loaded: Model) -> None:
    if not onehot(loaded):
        pytest.skip("1-of-N only")
    vector = embed(loaded, ["the cat sees the dog"])[0]
    found = {loaded.tokenizer.token(i): float(vector[i]) for i in vector.nonzero()[0]}
    assert found == pytest.approx({"the": 0.4, "cat": 0.2, "sees": 0.2, "dog": 0.2})


def test_every_two_words_are_equally_far_apart() -> None:
    entry = registry.models.load("onehot")
    table = entry.build(entry.config(vocab_size=20)).token_embedding().weight
    distances = torch.cdist(table, table)
    assert torch.allclose(distances[~torch.eye(20, dtype=torch.bool)], torch.tensor(2.0).sqrt())


def test_neighbours(loaded: Model) -> None:
    if onehot(loaded):
        with pytest.raises(ConfigError, match="equally far apart"):
            neighbours(loaded, "cat")
        with pytest.raises(ConfigError, match="no probability") as error:
            score(loaded, ["the cat"])
        assert "neighbours" not in str(error.value)
        assert "neighbours" not in (loaded.run.path / "README.md").read_text("utf-8")
        assert neighbours_command(loaded.run.meta["recipe"], loaded.run.path) == []
        return
    assert neighbours_command(loaded.run.meta["recipe"], loaded.run.path)
    every = [neighbours(loaded, word, top=50) for word in ("cat", "the", "river")]
    for found in every:
        assert all(entry.keys() == {"word", "similarity", "count", "path"} for entry in found)
    assert any(every)
    assert (
        len(neighbours(loaded, max(("cat", "the", "a"), key=lambda w: len(neighbours(loaded, w))), top=1))
        <= 1
    )
    with pytest.raises(InputError, match="not in the vocabulary") as error:
        neighbours(loaded, "qqqq")
    assert error.value.fix == "a word that the training text holds"
    with pytest.raises(InputError, match="did you mean river"):
        neighbours(loaded, "rivers")
    with pytest.raises(InputError, match="single word"):
        neighbours(loaded, "cat dog")
    with pytest.raises(InputError, match="no class"):
        loaded.encoder.neighbours(loaded.tokenizer.pad_id, 3)
    with pytest.raises(ConfigError, match="to fill masks"):
        neighbours(loaded, "cat", context="the cat")


def test_what_is_not_sparse_is_no_npz(loaded: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lines.txt").write_text("a dog\n")
    monkeypatch.delattr(type(loaded.encoder), "active")
    with pytest.raises(ConfigError, match="sparse"):
        embed_file(loaded, tmp_path / "lines.txt", tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()


def test_losses(loaded: Model) -> None:
    results = loaded.run.meta["results"]
    if onehot(loaded):
        assert results["heldout_loss"] == pytest.approx(results["unigram_loss"], rel=1e-6)
        counts = loaded.heads["unigram"].counts
        assert int(counts.sum()) == results["tokens_seen"]
    assert "model.safetensors" in loaded.run.meta["files"]


def test_a_large_identity_is_refused() -> None:
    entry = registry.models.load("onehot")
    with pytest.raises(ConfigError, match="identity"):
        entry.build(entry.config(vocab_size=100_000)).token_embedding()


def test_what_starts_slowly_waits_until_it_is_needed() -> None:
    code = (
        "import sys, torch; from polyseme.core import registry\n"
        "from polyseme.train import config, optim, parallel\n"
        "n = [len([r.load(n) for n in r.names()]) for r in (registry.models, registry.objectives)]\n"
        "p = {name: torch.nn.Parameter(torch.ones(2, 2)) for name in ('encoder.blocks.0.a', 'heads.b')}\n"
        "o = optim.Optimizers(p, config.TrainConfig(optimizer='muon', precision='float32'))\n"
        "sum(q.sum() for q in p.values()).backward(); o.step(0.1); assert all(q.max() < 1 for q in p.values())\n"
        "import torch.distributed as d\n"
        "d.init_process_group('gloo', store=d.HashStore(), rank=0, world_size=1)\n"
        "m = parallel.data_parallel(torch.nn.Linear(2, 1)); m(torch.ones(1, 2)).sum().backward()\n"
        "d.destroy_process_group(); assert '_dynamo' not in vars(torch)\n"
        "print(n, {'numba', 'scipy', 'torch._dynamo'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    counts = [len(registry.models.names()), len(registry.objectives.names())]
    assert done.stdout.strip() == f"{counts} set()"
