"""The notebooks run from top to bottom, as Jupyter would run them but with small budgets, and what they show is a page.

No Jupyter is needed: code cells are compiled one after another in one namespace, and the value of a cell's last
expression is shown as a notebook would show it.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from small import TINY

ROOT = Path(__file__).resolve().parent.parent.parent
BOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))

pytestmark = pytest.mark.docs


def code_cells(book: Path) -> list[str]:
    """The code, with budgets to test with in place of minutes."""
    cells = json.loads(book.read_text("utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return [re.sub(r"minutes=\d+", f"steps=2, settings={TINY}", source) for source in sources]


def run_cell(source: str, names: dict[str, Any], where: str) -> Any:
    """Run a cell; returns the value of its last expression, None where it ends otherwise."""
    tree = ast.parse(source, where)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, where, "exec"), names)
    return (
        eval(compile(ast.Expression(last.value), where, "eval"), names)
        if isinstance(last, ast.Expr)
        else None
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)
def test_a_notebook_runs(
    book: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    for name in ("babylm", "domain"):
        (folder / name).symlink_to(folder / "my-texts", target_is_directory=True)
    names: dict[str, Any] = {"__name__": "__main__"}
    shown = 0
    for number, source in enumerate(code_cells(book)):
        value = run_cell(source, names, f"{book.name}, code cell {number}")
        if hasattr(value, "_repr_html_"):
            assert "</html>" in value._repr_html_() or "&lt;/html&gt;" in value._repr_html_()
            shown += 1
    assert shown >= 3


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)
def test_a_notebook_is_kept_as_it_is_written(book: Path) -> None:
    """Without results, which would be those of one machine, and in the form that Jupyter reads."""
    read = json.loads(book.read_text("utf-8"))
    assert read["nbformat"] == 4
    assert len({cell["id"] for cell in read["cells"]}) == len(read["cells"])
    for cell in read["cells"]:
        assert cell["cell_type"] in ("markdown", "code")
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


def test_there_are_three() -> None:
    assert [book.stem for book in BOOKS] == ["babylm", "domain-bert", "lecture"]
