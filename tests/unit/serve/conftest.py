from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapting import TASKS, adapt, start_run, write_examples
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
def of_all_kinds(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same, one for every task by its name, and one whose vectors are mostly zeros."""
    folder = tmp_path_factory.mktemp("adapted")
    base = start_run(folder / "base")
    made = {"onehot": start_run(folder / "onehot", "onehot")}
    for task in TASKS:
        examples = write_examples(folder / f"{task}-examples", task)
        made[task] = adapt(task, base, examples, folder / task, epochs=1).path
    return {**runs, **made}


def _working(runs: dict[str, Path]) -> Iterator[Server]:
    server = Server(runs)
    server.service.start()
    yield server
    server.service.stop(5.0)


@pytest.fixture(scope="session")
def server(runs: dict[str, Path]) -> Iterator[Server]:
    """One server of three runs, whose desk works for all tests."""
    yield from _working(runs)


@pytest.fixture(scope="session")
def every(of_all_kinds: dict[str, Path]) -> Iterator[Server]:
    """One server of runs of all kinds."""
    yield from _working(of_all_kinds)
