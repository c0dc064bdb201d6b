"""The committed page is what its sources give, and its sources are sound."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from polyseme.serve.files import FOLDER

WEB = Path(__file__).parents[2] / "web"
NPX = WEB / "node_modules" / ".bin"
node = pytest.mark.skipif(
    not NPX.is_dir() or shutil.which("node") is None,
    reason="the page's tools are not installed: cd web && npm ci",
)


def built(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@node
def test_the_committed_page_is_what_the_sources_give(tmp_path: Path) -> None:
    command = [NPX / "vite", "build", "--logLevel", "error", "--outDir", tmp_path / "static", "--emptyOutDir"]
    subprocess.run(command, cwd=WEB, check=True, capture_output=True)
    fresh, committed = built(tmp_path / "static"), built(FOLDER)
    assert fresh.keys() == committed.keys()
    differ = [name for name, content in fresh.items() if content != committed[name]]
    assert differ == [], "cd web && npm ci && npm run build, and commit src/polyseme/serve/static"


@node
def test_types_words_and_accessibility_of_the_sources() -> None:
    command = [
        NPX / "svelte-check",
        "--tsconfig",
        "./tsconfig.json",
        "--fail-on-warnings",
        "--output",
        "human",
    ]
    checked = subprocess.run(command, cwd=WEB, check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


@node
def test_functions_of_the_sources() -> None:
    tested = subprocess.run([NPX / "vitest", "run"], cwd=WEB, check=False, capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_the_page_is_small() -> None:
    files = built(FOLDER)
    assert sum(map(len, files.values())) <= 1_600_000
    needed, waiting = set[str](), ["index.html", "Line.js"]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [
                *re.findall(r'(?:from|import)\s*"\./([\w.-]+)"', files[name].decode()),
                *re.findall(r'(?:src|href)="/static/([\w.-]+)"', files[name].decode()),
            ]
    first = {name: len(gzip.compress(files[name], 9)) for name in needed}
    assert {"main.js", "Line.js"} < first.keys()
    assert sum(first.values()) <= 60_000, first


def test_the_lock_names_no_host() -> None:
    lock = (WEB / "package-lock.json").read_text("utf-8")
    assert '"resolved"' not in lock
    assert '"integrity"' in lock
