"""The records of metrics.jsonl as TensorBoard's event files, in the run's folder tensorboard/.

Optional: it needs the extra `tensorboard`. metrics.jsonl is written all the same, and nothing of ours reads these.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from polyseme.errors import ConfigError

FOLDER = "tensorboard"


def check_tensorboard() -> None:
    """Raises:  ConfigError: the library is not installed."""
    if find_spec("tensorboard") is None:
        raise ConfigError(
            "TensorBoard is not installed",
            where="train.tensorboard",
            fix="pip install 'polyseme[tensorboard]'; metrics.jsonl holds the same figures without it",
        )


class EventFiles:
    """Writes records; as a context manager it closes the file at the end.

    Args:
        run: the run's folder.
        step: the step it resumes from; records after it are hidden.
    """

    def __init__(self, run: Path, step: int) -> None:
        check_tensorboard()
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(run / FOLDER), purge_step=step + 1 if step else None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, record: Mapping[str, float | int | str]) -> None:
        """Add the numbers of a line of metrics.jsonl."""
        step = int(record["step"])
        for name, value in record.items():
            if name != "step" and isinstance(value, int | float):
                self._writer.add_scalar(name, value, step)
