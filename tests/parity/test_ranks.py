"""Two ranks make the same update as one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parent / "ranks.py"


def run(size: int) -> dict[str, Any]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for rank in range(size):
        environment = os.environ | {
            "RANK": str(rank),
            "WORLD_SIZE": str(size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "PYTHONPATH": os.pathsep.join([str(SCRIPT.parent.parent), os.environ.get("PYTHONPATH", "")]),
        }
        processes.append(
            subprocess.Popen([sys.executable, str(SCRIPT)], env=environment, stdout=subprocess.PIPE)
        )
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert all(process.returncode == 0 for process in processes)
    return dict(json.loads(outputs[0]))


def test_two_ranks_equal_one() -> None:
    one, two = run(1), run(2)
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)
    assert two["norm"] == pytest.approx(one["norm"], rel=1e-4)
    assert two["weights"] == pytest.approx(one["weights"], rel=1e-3, abs=1e-3)
