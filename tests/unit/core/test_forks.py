"""What a forked process computes ends, however many threads its parent had."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import os, sys, signal
import torch
{imports}
torch.set_num_threads(2)
a = torch.ones(600, 600)
(a @ a).exp().sum()  # a team of two is there
def child(deeper):
    signal.alarm(40)
    total = float((a @ a).sum() + (a + 1).exp().sum())
    if deeper:
        pid = os.fork()
        if not pid:
            child(False)
        assert os.waitpid(pid, 0)[1] == 0
    os._exit(0 if total > 0 and torch.get_num_threads() == 1 else 3)
pid = os.fork()
if not pid:
    child(True)
status = os.waitpid(pid, 0)[1]
assert torch.get_num_threads() == 2
sys.exit(1 if status else 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("imports", ["import polyseme.infer.model", "import polyseme; polyseme.load"])
def test_a_forked_process_computes_with_one_thread(imports: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT.format(imports=imports)],
        env=environment,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0
