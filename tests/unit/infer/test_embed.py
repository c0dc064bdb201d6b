"""Embedding: the fast way gives the plain one's numbers, whatever stands beside a text; pooling; batches."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from polyseme.errors import CheckpointError, ConfigError
from polyseme.infer import embed as embedding
from polyseme.infer import hidden
from polyseme.infer.embed import Embedder, Pooling, embed
from polyseme.infer.inputs import CutWarning
from polyseme.infer.model import Model
from small import GRADIENT_MODELS
from vector_runs import TEXTS, random_run

# long texts are among those of every test here
pytestmark = pytest.mark.filterwarnings("ignore:.* longer than the .* tokens that are read")


@pytest.fixture(scope="module", params=GRADIENT_MODELS)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return random_run(tmp_path_factory.mktemp("runs"), request.param)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return random_run(tmp_path_factory.mktemp("runs"), "bert")


def ways(loaded: Model) -> list[Pooling]:
    pools = ["mean", "max", "last", "words", *(["cls"] if loaded.encoder.reach == "both" else [])]
    return [Pooling(pool, separators=separators) for pool in pools for separators in (False, True)]  # type: ignore[arg-type]


def test_the_fast_way_is_the_plain_one(loaded: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hidden, "TOKENS_PER_BATCH", 40)
    monkeypatch.setattr(embedding, "TEXTS_AT_ONCE", 5)  # windows
    for way in ways(loaded):
        fast = Embedder(loaded, way).vectors(TEXTS)
        alone = [Embedder(loaded, way, plain=True).vectors([text])[0] for text in TEXTS]
        for a, b in zip(fast, alone, strict=True):
            assert a.shape == b.shape
            assert a.dtype == np.float32
            np.testing.assert_allclose(a, b, atol=2e-5)


def test_every_layer(loaded: Model) -> None:
    layers = loaded.encoder.config.num_hidden_layers
    for layer in (0, 1, -1, layers, "mix"):
        fast = embed(loaded, TEXTS, "mean", layer)  # type: ignore[arg-type]
        plain = np.stack(Embedder(loaded, "mean", layer, plain=True).vectors(TEXTS))  # type: ignore[arg-type]
        np.testing.assert_allclose(fast, plain, atol=2e-5)
    with pytest.raises(ConfigError, match="no such layer"):
        embed(loaded, TEXTS, layer=layers + 1)


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_other_precisions_are_near(loaded: Model, precision: str) -> None:
    texts = [t for t in TEXTS if t]
    exact = embed(loaded, texts)
    near = embed(loaded, texts, precision=precision)  # type: ignore[arg-type]
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (exact, near)]
    assert (unit[0] * unit[1]).sum(1).min() > 0.98
    if any(isinstance(m, torch.nn.Linear) for m in loaded.encoder.modules()):
        assert not np.array_equal(exact, near)


def test_a_run_in_int8_embeds(loaded: Model) -> None:
    """Its weights are rounded already; the linear layers that are left are packed as ever."""
    rounded = loaded.prepared("int8")
    texts = [text for text in TEXTS if len(loaded.tokenizer.encode(text))]
    exact, near = (embed(run, texts) for run in (loaded, rounded))
    cosine = (exact * near).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(near, axis=1)
    assert (cosine > 0.99).all()


def test_what_the_pools_mean(bert: Model) -> None:
    text = "the dog sat"
    ids = bert.tokenizer.encode(text).ids
    with torch.inference_mode():
        h = bert.encoder.encode(bert.batch([ids])).last[0].numpy()
    n = len(ids)
    expected = {
        ("mean", False): h[1 : n + 1].mean(0),
        ("mean", True): h.mean(0),
        ("max", False): h[1 : n + 1].max(0),
        ("max", True): h.max(0),
        ("last", False): h[n],
        ("last", True): h[n + 1],
        ("cls", False): h[0],
        ("cls", True): h[0],
    }
    for (pool, separators), vector in expected.items():
        way = Pooling(pool, separators=separators)  # type: ignore[arg-type]
        np.testing.assert_allclose(embed(bert, [text], way)[0], vector, atol=1e-5)
        unit = embed(bert, [text], Pooling(pool, True, None, separators))[0]  # type: ignore[arg-type]
        np.testing.assert_allclose(unit, vector / np.linalg.norm(vector), atol=1e-6)
    assert not embed(bert, [""], "mean")[0].any()
    assert not embed(bert, [""], "last")[0].any()
    assert embed(bert, [""], Pooling("mean", separators=True))[0].any()


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("pool", ["mean", "words"])
def test_texts_that_are_cut_are_counted_in_one_warning(pool: Any, tmp_path: Path) -> None:
    loaded = random_run(tmp_path, "bert")
    texts = ["the cat " * 500, "short", "on the mat " * 500]
    what = f"2 of 3 texts are longer than the {loaded.max_content} tokens that are read: their ends were not read"
    calls = (
        lambda: loaded.embed(texts, pool=pool),
        lambda: embed(loaded, texts, pool),
        lambda: Embedder(loaded, pool).vectors(texts),
        lambda: loaded.encode(texts),
    )
    for call in calls:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
        (one,) = caught
        assert str(one.message).startswith(what)
        assert isinstance(one.message, CutWarning)
        lost = [len(loaded.tokenizer.encode(text)) - loaded.max_content for text in texts]
        assert one.message.truncated == [0, 2]
        assert one.message.tokens_lost == lost[0] + lost[2]
        assert str(one.message).endswith(f"read, {lost[0] + lost[2]:,} tokens in all (number 1, 3)")
    embedder = Embedder(loaded, pool)
    for first in (0, 1):  # of each call by itself, though `cut` goes on
        with pytest.warns(CutWarning):
            embedder.vectors(texts[first:])
        assert [*embedder.truncated.lost] == ([0, 2] if first == 0 else [1])
    assert embedder.cut == 3
    with pytest.warns(CutWarning):
        assert [one.cut for one in loaded.encode(texts)] == [lost[0], 0, lost[2]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded.embed(["short", "the cat"], pool=pool)


def test_vectors_keep_their_first_numbers(tmp_path: Path) -> None:
    own = {"pool": "mean", "normalize": True, "separators": True}
    whole = random_run(tmp_path / "a", "bert", own)
    cut = random_run(tmp_path / "b", "bert", {**own, "truncate_dim": 5})
    texts = ["the cat sat", "on the mat"]
    np.testing.assert_allclose(cut.embed(texts), whole.embed(texts)[:, :5], atol=1e-6)
    assert cut.embed([]).shape == (0, 5)
    one = cut.embed(texts, pool=Pooling.of(cut, normalize=True))  # who asks for length one gets it
    np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1.0, atol=1e-6)
    assert cut.embed(texts, pool="words")[0].shape[1] == whole.encoder.config.hidden_size


def test_a_run_remembers_its_way(tmp_path: Path, bert: Model) -> None:
    own = {"pool": "max", "normalize": True, "max_length": 6, "separators": True}
    loaded = random_run(tmp_path, "bert", own)
    assert Pooling.of(loaded) == Pooling("max", True, 6, True)
    assert Pooling.of(loaded, pool="mean", normalize=False) == Pooling("mean", False, 6, True)
    long = TEXTS[3]
    ids = loaded.tokenizer.encode(long).ids
    short = embed(loaded, [long])[0]
    assert np.linalg.norm(short) == pytest.approx(1.0)
    with torch.inference_mode():
        h = loaded.encoder.encode(loaded.batch([ids[:4]])).last[0].numpy().max(0)
    np.testing.assert_allclose(short, h / np.linalg.norm(h), atol=1e-6)
    loaded.run.meta["embedding"] = own | {"max_length": 4096}  # more than the model reads
    assert Pooling.of(loaded).max_length == 64
    loaded.run.meta["embedding"] = {"poole": "max"}
    with pytest.raises(CheckpointError, match="way to make vectors"):
        Pooling.of(loaded)
    for wrong, what in (({"pool": "median"}, "no such pool"), ({"max_length": 2}, "no such length")):
        with pytest.raises(ConfigError, match=what):
            Pooling.of(bert, **wrong)
    with pytest.raises(ConfigError, match="no such precision"):
        embed(bert, ["a"], precision="int4")  # type: ignore[arg-type]


def test_cls_says_nothing_where_it_sees_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="says nothing"):
        embed(random_run(tmp_path, "gpt"), ["a"], "cls")
