"""What torchrun says of this process in the environment; nothing here needs torch."""

from __future__ import annotations

import os
from typing import Literal, get_args

Parallel = Literal["ddp", "fsdp"]
"""How several ranks share the work: each holds the whole model, or its part of every weight (train/parallel.py)."""
WAYS: tuple[str, ...] = get_args(Parallel)


def declared() -> tuple[int, int]:
    """(number of this process, number of processes); (0, 1) where nobody started several."""
    try:
        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    except (KeyError, ValueError):
        return 0, 1
    return (rank, size) if 0 <= rank < size else (0, 1)


def is_spoken_for() -> bool:
    """Whether another rank of the same command runs on this machine and says what is wrong with the command itself."""
    return declared()[1] > 1 and os.environ.get("LOCAL_RANK", "0").strip("0") != ""


def job() -> str | None:
    """The name of the torchrun command that started this process; None where there is none, or it has no name."""
    name = os.environ.get("TORCHELASTIC_RUN_ID", "")
    return name if name not in ("", "none") else None


def restarted() -> bool:
    """Whether torchrun started this process in the place of one that died (--max-restarts)."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "").strip("0") != ""
