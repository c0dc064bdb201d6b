"""`make bench` goes through every bench that can run without an argument, and leaves out those that cannot."""

from __future__ import annotations

import ast
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
BENCHES = {f"bench/{file.name}" for file in (ROOT / "bench").glob("[a-z]*.py")}


def wants(script: str) -> bool:
    """Whether a script cannot run without an argument, by what it reads."""
    for node in ast.walk(ast.parse((ROOT / script).read_text("utf-8"))):
        if isinstance(node, ast.Subscript) and ast.unparse(node) == "sys.argv[1]":
            return True
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
            given = {each.arg: ast.unparse(each.value) for each in node.keywords}
            positional = not ast.unparse(node.args[0]).strip("'\"").startswith("-")
            if given.get("required") == "True" or (positional and given.get("nargs") not in ("'*'", "'?'")):
                return True
    return False


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_bench_leaves_out_those_that_want_an_argument_and_no_others() -> None:
    shown = subprocess.run(
        ["make", "-n", "bench"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    (loop,) = (line for line in shown.splitlines() if "for script in" in line)
    run = set(loop.partition("for script in")[2].partition(";")[0].split())
    left_out = {script for script in BENCHES if wants(script)}
    assert "bench/serve_soak.py" in left_out
    assert run == BENCHES - left_out
