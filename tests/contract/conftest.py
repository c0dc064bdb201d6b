"""Fixtures for contracts that every model and objective must keep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from polyseme.core import registry
from polyseme.data.examples import SpecialTokens
from polyseme.data.loader import special_tokens
from polyseme.data.store import StoreWriter, TokenStore
from small import BOTH_WAYS, CASES, GRADIENT_MODELS, VOCABULARY


@pytest.fixture(params=registry.models.names())
def model_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=GRADIENT_MODELS)
def gradient_model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=BOTH_WAYS)
def both_ways(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{'+'.join(case[1])}")
def case(request: pytest.FixtureRequest) -> tuple[str, tuple[str, ...]]:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def special() -> SpecialTokens:
    return special_tokens(VOCABULARY, 0, 2, 3, 4, [0, 1, 2, 3, 4])


@pytest.fixture(scope="session")
def make_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., TokenStore]:
    def make(sentence_lengths: list[list[int]], seed: int = 0) -> TokenStore:
        folder: Path = tmp_path_factory.mktemp("store") / "train"
        random = np.random.default_rng(seed)
        with StoreWriter(folder, VOCABULARY) as writer:
            for lengths in sentence_lengths:
                n = sum(lengths)
                writer.add_documents(
                    random.integers(5, VOCABULARY, n),
                    (random.random(n) < 0.7).astype(np.uint8),
                    np.array(lengths),
                    np.array([len(lengths)]),
                )
        return TokenStore.open(folder)

    return make
