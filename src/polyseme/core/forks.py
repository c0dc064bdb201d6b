"""A process that was forked computes with one thread.

torch's threads are those of OpenMP (libgomp). A fork copies none of them, but it copies the belief that they are there:
the first computation large enough for several threads then waits for them without end. So does `Dataset.map` with
several processes, joblib's "multiprocessing", gunicorn with --preload, and every Pool of the start method fork. One
thread needs nobody. Processes that share a machine's cores have no use for more either.

Source:  pytorch/pytorch#17199; torch's own DataLoader sets its forked workers to one thread for the same reason.
"""

from __future__ import annotations

import os
import sys

__all__ = ["alone"]


def alone() -> None:
    """Let torch, and the tokenizers library, work without helpers from now on; what every forked process does first."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # it would do the same, with a warning


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=alone)
