"""What Dockerfile and compose.yaml say is done step by step, without a container engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "tools" / "image.py"


@pytest.mark.skipif(sys.platform == "win32", reason="the image's commands are those of a POSIX shell")
def test_the_image_serves_runs_that_it_may_only_read(runs: dict[str, Path]) -> None:
    pytest.importorskip("uvicorn")
    pytest.importorskip("yaml")
    command = [sys.executable, SCRIPT, runs["gpt"], runs["word2vec"]]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok   SIGTERM ends it with 0" in done.stdout
    assert "ok   gpt embeds" in done.stdout
