"""Commands in processes of their own that need not import torch again: they are forked from one that has done it.

Such a process gets signals, is killed and leaves files behind as every other does; it only begins sooner. Tests of the
beginning itself start `python -m polyseme`.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

_START = multiprocessing.get_context("forkserver")
_START.set_forkserver_preload(
    [
        *("torch", "polyseme.cli", "polyseme.cli.pretrain", "polyseme.cli.finetune"),
        *(
            "polyseme.data.prepare",
            "polyseme.infer.model",
            "polyseme.models.bert",
            "polyseme.report.run_summary",
        ),
        *(
            "polyseme.tasks.tag",
            "polyseme.train.finetune",
            "polyseme.train.pretrain",
            "polyseme.train.trainer",
        ),
    ]
)


def _child(words: list[str], before: str, folder: str, environment: dict[str, str], place: str) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for descriptor in (1, 2):
        os.dup2(os.open(Path(place, str(descriptor)), os.O_WRONLY | os.O_CREAT), descriptor)
    exec(before, {"__name__": "__main__"})
    from polyseme.cli import main

    sys.exit(main(words))


class Forked:
    """A command that runs, as `subprocess.Popen` shows one.

    Args:
        words: verb and what follows.
        before: code that the process runs before the command.
    """

    def __init__(self, words: list[str], before: str = "") -> None:
        self._place = tempfile.TemporaryDirectory()
        arguments = (words, before, os.getcwd(), dict(os.environ), self._place.name)
        self._process = _START.Process(target=_child, args=arguments)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

        self.returncode: int | None = None

    def poll(self) -> int | None:
        self.returncode = self._process.exitcode
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for the end and take what was written; once.  Raises:  subprocess.TimeoutExpired: it goes on."""
        self._process.join(timeout)
        self.returncode = self._process.exitcode
        if self.returncode is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired("polyseme", timeout)
        files = [Path(self._place.name, str(descriptor)) for descriptor in (1, 2)]
        output, errors = (file.read_text("utf-8") if file.exists() else "" for file in files)
        self._place.cleanup()
        self._process.close()
        return output, errors


def run(words: list[str], before: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    process = Forked(words, before)
    output, errors = process.communicate()
    assert process.returncode is not None
    return subprocess.CompletedProcess(words, process.returncode, output, errors)
