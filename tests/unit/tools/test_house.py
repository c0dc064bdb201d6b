"""The script that measures the house counts a small tree right."""

from __future__ import annotations

import importlib.util
import textwrap
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "tools" / "house.py"

FILES = {
    "__init__.py": "",
    "core/__init__.py": "",
    "core/low.py": """
        def plain(): ...
        """,
    "text/reader.py": """
        from typing import TYPE_CHECKING, Any
        from polyseme.core.low import plain
        if TYPE_CHECKING:
            from polyseme.text import writer

        class Reader:
            store: Any | None
            names: Any

            def read(self, encoder: Any, other: Any, tokenizer: "str"):
                def inner(model: list[Any]): ...
        """,
    "text/writer.py": """
        def write():
            from .reader import Reader
        """,
    "study/senses.py": "a = 1\n",
    "cli/senses.py": "a = 1\nb = 2\n",
    "cli/fill.py": "a = 1\n",
}


@pytest.fixture(scope="module")
def house() -> ModuleType:
    spec = importlib.util.spec_from_file_location("house", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "polyseme" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))
    return tmp_path / "polyseme"


def test_counts_of_a_small_tree(house: ModuleType, package: Path) -> None:
    lines = house.report(package, with_path=False)
    rows = {line.split("  ")[0]: line.split()[-3:] for line in lines[:8]}
    assert rows["text"] == ["13", "2", "3"]
    assert rows["core"] == ["1", "2", "1"]
    assert rows["in all"] == ["18", "8", "4"]
    assert "import circles: 1" in lines
    assert "    polyseme.text.reader ↔ polyseme.text.writer" in lines
    assert "`Any` at the seams: 2 in 1 files" in lines
    assert [line.split()[-1] for line in lines if "reader.py:" in line] == ["store", "encoder"]
    assert lines[-1] == "studies: 1 lines in study/, 2 in their pages and verbs by name"


def test_the_fewest_files_for_a_share(house: ModuleType) -> None:
    ran = {Path("a"): 10, Path("b"): 60, Path("c"): 25, Path("d"): 5}
    assert house.files_needed(ran, 0.8) == [Path("b"), Path("c")]
    assert house.files_needed(ran, 0.6) == [Path("b")]
    assert house.files_needed(ran, 1.0) == [Path("b"), Path("c"), Path("a"), Path("d")]
