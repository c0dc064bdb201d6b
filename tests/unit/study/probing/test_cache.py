from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from adapting import MODELS, start_run
from polyseme.errors import StorageError
from polyseme.infer.hidden import encode
from polyseme.infer.model import Model, load
from polyseme.study.probing.cache import Active, LayerCache, cached
from polyseme.study.probing.targets import TokenizedText

TEXTS = ["the cat sees a dog", "the old river", "unbelievable day and night", "a bird likes the small cat"]
SPARSE = ("onehot", "word-classes")


def tokenized(loaded: Model, every: int = 1) -> tuple[list[TokenizedText], int]:
    """The texts with every n-th token kept, numbered in the order of the texts."""
    texts, row = [], 0
    for text, tokens in zip(TEXTS, loaded.tokenizer.encode_batch(TEXTS), strict=True):
        kept = np.arange(0, len(tokens.ids), every)
        pieces = [text[start:end] for start, end in tokens.offsets]
        texts.append(TokenizedText(list(tokens.ids), pieces, kept, row))
        row += len(kept)
    return texts, row


@pytest.mark.parametrize("model", [name for name in MODELS if name not in SPARSE])
def test_the_cache_holds_the_encoders_layers(tmp_path: Path, model: str) -> None:
    loaded = load(start_run(tmp_path / "run", model))
    texts, rows = tokenized(loaded, every=2)
    wanted = np.concatenate([one.layers[:, ::2] for one in encode(loaded, TEXTS)], 1).swapaxes(0, 1)
    everything = np.arange(rows)
    with cached(loaded, texts, rows, 1 << 30, normed=False) as states:
        found = states.read(everything, states.layers)
        assert isinstance(found, torch.Tensor)
        assert states.facts["place"] == "memory"
        assert states.facts["bytes"] == wanted.size * 4
        assert states.facts["passes"] == 1
        # the same texts in the same batches: not a bit differs
        assert np.array_equal(found.numpy(), wanted)
        some = states.read(np.array([3, 0]), states.layers)
        assert isinstance(some, torch.Tensor)
        assert np.array_equal(some.numpy(), wanted[[3, 0]])
    normed = torch.nn.functional.layer_norm(torch.from_numpy(wanted), wanted.shape[-1:], eps=1e-12)
    with cached(loaded, texts, rows, 1 << 30) as states:
        found = states.read(everything, states.layers)
        assert isinstance(found, torch.Tensor)
        torch.testing.assert_close(found, normed, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("stored", "tolerance"), [("float32", 0.0), ("float16", 2**-11)])
def test_a_file_holds_the_same_within_its_rounding(tmp_path: Path, stored: str, tolerance: float) -> None:
    loaded = load(start_run(tmp_path / "run"))
    texts, rows = tokenized(loaded)
    with cached(loaded, texts, rows, 1 << 30) as memory, cached(loaded, texts, rows, 0, stored) as file:  # type: ignore[arg-type]
        assert file.facts["place"] == "file"
        assert file.facts["numbers"] == stored
        chosen = np.array([rows - 1, 0, 2, 2])
        for layers in (1, 2, 3):
            a, b = memory.read(chosen, layers), file.read(chosen, layers)
            assert isinstance(a, torch.Tensor)
            assert isinstance(b, torch.Tensor)
            assert a.shape == b.shape == (4, layers, 32)
            torch.testing.assert_close(b, a, rtol=tolerance, atol=tolerance / 1000)


@pytest.mark.parametrize("model", SPARSE)
def test_sparse_encoders_keep_their_ones(tmp_path: Path, model: str) -> None:
    loaded = load(start_run(tmp_path / "run", model))
    texts, rows = tokenized(loaded)
    wanted = np.concatenate([one.layers[0] for one in encode(loaded, TEXTS)])
    with cached(loaded, texts, rows, 0) as states:
        chosen = np.array([5, 0, 5, rows - 1])
        found = states.read(chosen, 1)
        assert isinstance(found, Active)
        dense = np.zeros((4, states.width), np.float32)
        ends = [*found.starts[1:].tolist(), len(found.columns)]
        for row, (start, end) in enumerate(zip(found.starts.tolist(), ends, strict=True)):
            dense[row, found.columns[start:end].numpy()] = 1.0
        assert np.array_equal(dense, wanted[chosen])


def test_the_file_is_gone_afterwards_also_on_errors(tmp_path: Path) -> None:
    loaded = load(start_run(tmp_path / "run"))
    texts, rows = tokenized(loaded)
    folder = tmp_path / "room"
    folder.mkdir()
    held: list[LayerCache] = []

    def work() -> None:
        with cached(loaded, texts, rows, 0, folder=folder) as states:
            assert isinstance(states, LayerCache)
            held.append(states)
            states.read(np.arange(3), 1)
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        work()
    assert held[0]._file is None
    assert held[0]._map is None
    assert list(folder.iterdir()) == []


def test_a_disk_that_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(StorageError, match="could not save"):
        LayerCache(10, 2, 4, budget=0)


def test_pages_are_let_go_and_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyseme.study.probing.cache.HELD", 100)
    cache = LayerCache(50, 2, 8, budget=0, stored="float32")
    states = torch.randn(50, 2, 8, generator=torch.Generator().manual_seed(0))
    cache.write(0, states[:20])
    cache.write(20, states[20:])
    for _ in range(3):
        assert torch.equal(cache.read(np.arange(50), 2), states)
    cache.close()
    cache.close()
