"""Where the pieces of a corpus are prepared: by processes of this machine, or by those of a cluster.

    Engine.map(tasks) -> answers, in any order; a task whose process dies is begun again

Tasks and answers are JSON (making.py). An engine needs nothing else of us, and we need nothing else of it: what is made
is on the disk that all processes see, and a piece is the same wherever it is made.

    local      plain processes of this machine
    ray        Ray, here or in a cluster (--address); the extra `ray`
    datatrove  datatrove's local executor; the extra `datatrove`. It does not survive a killed process: `--resume` does
"""

from __future__ import annotations

import queue
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from polyseme.data.workers import ended, start_worker
from polyseme.errors import ConfigError, PolysemeError, RunError

ENGINES = ("local", "ray", "datatrove")
_TRIES = 5  # of a piece whose process dies
_START = "from polyseme.data.making import serve; serve()"


class Engine(Protocol):
    """Does tasks in other processes."""

    def map(self, tasks: Sequence[str]) -> Iterator[str]:
        """The answer of every task, in any order. Ended early, it stops what is under way.

        Raises:  PolysemeError: a process died again and again, or the engine is not there.
        """
        ...


def engine_named(name: str, workers: int, address: str | None = None) -> Engine:
    """The engine of a name.

    Raises:  ConfigError: there is none, its package is not installed, or it takes no address.
    """
    if name not in ENGINES:
        raise ConfigError("no such engine", got=name, expected=", ".join(ENGINES), where="--engine")
    if address is not None and name != "ray":
        raise ConfigError(
            "only Ray has an address", got=f"--engine {name} --address {address}", fix="--engine ray"
        )
    if name == "ray":
        return Ray(workers, address)
    return Local(workers) if name == "local" else Datatrove(workers)


def _missing(package: str) -> ConfigError:
    return ConfigError(
        f"--engine {package} needs the package {package}", fix=f"pip install 'polyseme[{package}]'"
    )


class Local:
    """Plain processes. One that dies is replaced, and its piece begun again, a few times.

    Args:
        workers: processes; 1 works in this one.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def map(self, tasks: Sequence[str]) -> Iterator[str]:
        """See `Engine`."""
        if self._workers == 1:
            from polyseme.data.making import perform

            yield from map(perform, tasks)
            return
        waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        answers: queue.SimpleQueue[str | PolysemeError] = queue.SimpleQueue()
        stopped = threading.Event()
        processes: set[subprocess.Popen[bytes]] = set()
        threads = [
            threading.Thread(target=self._work, args=(waiting, answers, processes, stopped), daemon=True)
            for _ in range(min(self._workers, len(tasks)))
        ]
        for task in [*tasks, *[None] * len(threads)]:
            waiting.put(task)
        try:
            for thread in threads:
                thread.start()
            for _ in tasks:
                answer = answers.get()
                if isinstance(answer, PolysemeError):
                    raise answer
                yield answer
        finally:
            stopped.set()
            for process in [*processes]:
                process.kill()
            for thread in threads:
                thread.join()

    @staticmethod
    def _work(
        waiting: queue.SimpleQueue[str | None],
        answers: queue.SimpleQueue[str | PolysemeError],
        processes: set[subprocess.Popen[bytes]],
        stopped: threading.Event,
    ) -> None:
        """Be the thread of one process: hand it a task, wait for its answer, replace it where it dies."""
        process = None
        while not stopped.is_set() and (task := waiting.get()) is not None:
            answer: str | PolysemeError = ""
            for _ in range(_TRIES):
                if stopped.is_set():
                    break
                if process is None:
                    process = start_worker(_START)
                    processes.add(process)
                answer = _exchange(process, task)
                if isinstance(answer, str):
                    break
                processes.discard(process)
                process = None
            answers.put(answer)
        if process is not None:
            ended(process)
            processes.discard(process)


def _exchange(process: subprocess.Popen[bytes], task: str) -> str | PolysemeError:
    """The answer to a task, or why there is none."""
    assert process.stdin
    assert process.stdout
    try:
        process.stdin.write(task.encode() + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if line.endswith(b"\n"):
            return line.decode()
    except OSError:
        pass
    code = ended(process)
    return PolysemeError(
        f"a process died {_TRIES} times over one piece of the text",
        got=f"exit code {code}, its message is above" if code >= 0 else f"killed by signal {-code}",
        fix="if memory ran out, --resume with fewer --workers; what was made is kept",
    )


class Ray:
    """Tasks of Ray, which begins a task again where its process or its machine is lost.

    Args:
        workers: tasks at a time on this machine; a cluster has its own number.
        address: of a cluster, as ray://HOST:10001 or auto; None begins Ray on this machine.
    Raises:  ConfigError: Ray is not installed.
    """

    def __init__(self, workers: int, address: str | None = None) -> None:
        try:
            import ray
        except ImportError:
            raise _missing("ray") from None
        self._ray: Any = ray
        self._workers, self._address = workers, address

    def map(self, tasks: Sequence[str]) -> Iterator[str]:
        """See `Engine`."""
        import sys

        from polyseme.data.making import perform

        ray = self._ray
        here = self._address is None
        try:
            ray.init(
                self._address,
                num_cpus=self._workers if here else None,
                include_dashboard=False if here else None,
                log_to_driver=False,
                logging_level="error",
                runtime_env={"env_vars": {"PYTHONPATH": ":".join(filter(None, sys.path))}} if here else None,
            )
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            what = "Ray does not answer" if self._address else "Ray does not begin"
            raise RunError(what, got=str(error).partition("\n")[0], where=self._address) from None
        try:
            remote = ray.remote(num_cpus=1, max_retries=_TRIES)(perform)
            waiting = [remote.remote(task) for task in tasks]
            while waiting:
                done, waiting = ray.wait(waiting)
                yield from ray.get(done)
        except ray.exceptions.WorkerCrashedError as error:
            raise PolysemeError(
                f"a process died {_TRIES} times over one piece of the text",
                got=str(error).partition("\n")[0],
                fix="if memory ran out, --resume with fewer --workers; what was made is kept",
            ) from None
        finally:
            ray.shutdown()


class Datatrove:
    """datatrove's local executor, a rank a piece.

    Args:
        workers: processes.
    Raises:  ConfigError: datatrove is not installed.
    """

    def __init__(self, workers: int) -> None:
        try:
            import datatrove.executor
        except ImportError:
            raise _missing("datatrove") from None
        self._executor: Any = datatrove.executor.LocalPipelineExecutor
        self._workers = workers

    def map(self, tasks: Sequence[str]) -> Iterator[str]:
        """See `Engine`; the answers come when all are there."""
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            pipeline = [_Step(list(tasks), folder)]
            executor = self._executor(
                pipeline, tasks=len(tasks), workers=self._workers, logging_dir=f"{folder}/log"
            )
            executor.run()
            for number in range(len(tasks)):
                yield (Path(folder) / f"{number}.json").read_text("utf-8")


class _Step:
    """A pipeline step of datatrove: the task of its rank."""

    def __init__(self, tasks: Sequence[str], folder: str) -> None:
        self._tasks, self._folder = tasks, folder

    def __call__(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        from polyseme.data.making import perform

        (Path(self._folder) / f"{rank}.json").write_text(perform(self._tasks[rank]), "utf-8")
        yield from data or ()
