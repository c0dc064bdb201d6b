"""A server of small runs and one browser for all tests of the page."""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapting import TASKS, adapt, start_run, write_examples
from browser import find_browser
from polyseme.serve import ServeConfig, serve
from trained import make_run

MODELS = ("word2vec", "elmo", "bert", "gpt")
"""One of each kind: static, two directions, masked, left to right."""


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("shown")
    made = {}
    for model in MODELS:
        made[model] = folder / model
        shutil.move(make_run(folder / f"made-{model}", model), made[model])
    base = start_run(folder / "base")
    for task in TASKS:  # adapted, so that each has learned a mix of layers, too
        examples = write_examples(folder / f"{task}-examples", task)
        made[task] = adapt(task, base, examples, folder / task, epochs=1, feature_based=True).path
    return made


@pytest.fixture(scope="session")
def address(runs: dict[str, Path]) -> Iterator[str]:
    """Where the page is, of a server behind a socket."""
    uvicorn = pytest.importorskip("uvicorn")
    made: list[Any] = []

    class Kept(uvicorn.Server):  # type: ignore[misc, name-defined]
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    told: queue.Queue[str] = queue.Queue()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn, "Server", Kept)
        config = ServeConfig(runs=runs, port=0, log="none")
        thread = threading.Thread(target=serve, args=(config, told.put))
        thread.start()
        yield told.get(timeout=30)
        made[0].should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser of playwright's, without a profile; skips where one of the two is not here.

    Of a module, not of the session: while it runs, this thread has an event loop, and other tests want their own.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = find_browser()
    if program is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, which is evaluated: as a script of the page, its policy would refuse it."""
    file = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
    if not file.is_file():
        pytest.skip("axe-core is not installed: cd web && npm ci")
    return file.read_text("utf-8")
