from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from asked import Server
from trained import make_run


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three runs of a second each."""
    folder = tmp_path_factory.mktemp("served")
    made = {}
    for model in ("bert", "gpt", "word2vec"):
        made[model] = folder / model
        shutil.move(make_run(folder / f"made-{model}", model), made[model])
    return made


@pytest.fixture(scope="session")
def server(runs: dict[str, Path]) -> Iterator[Server]:
    """One server of them, whose desk works for all tests."""
    server = Server(runs)
    server.service.start()
    yield server
    server.service.stop(5.0)
