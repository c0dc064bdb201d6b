"""Where the pieces of a corpus are prepared: by processes of this machine, or by those of a cluster.

    Engine.map(tasks) -> answers, in any order; a task whose process dies is begun again

Tasks and answers are JSON (making.py). An engine needs nothing else of us, and we need nothing else of it: what is made
is on the disk that all processes see, and a piece is the same wherever it is made.

    local      plain processes of this machine
    ray        Ray, here or in a cluster (--address); the extra `ray`
    datatrove  datatrove's local executor; the extra `datatrove`. It does not survive a killed process: `--resume` does
    slurm      an array of jobs of Slurm, a piece each, by submitit; the extra `slurm`
"""

from __future__ import annotations

import difflib
import inspect
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from polyseme.data.workers import ended, start_worker
from polyseme.errors import ConfigError, PolysemeError, RunError

ENGINES = ("local", "ray", "datatrove", "slurm")
_TRIES = 5  # of a piece whose process dies
POLL = 1.0  # seconds between looks at jobs of Slurm
_START = "from polyseme.data.making import serve; serve()"


class Engine(Protocol):
    """Does tasks in other processes."""

    def map(self, tasks: Sequence[str]) -> Iterator[str]:
        """The answer of every task, in any order. Ended early, it stops what is under way.

        Raises:  PolysemeError: a process died again and again, or the engine is not there.
        """
        ...


def engine_named(
    name: str,
    workers: int,
    address: str | None = None,
    slurm: Mapping[str, Any] | None = None,
    place: Path | None = None,
) -> Engine:
    """The engine of a name.

    Args:
        workers: processes, or jobs, at a time.
        address: of a Ray cluster.
        slurm: what jobs of Slurm ask for: partition, time in minutes, mem, account, …
        place: a folder for the files of Slurm's jobs, which all machines see; made, and removed when all is done.
    Raises:  ConfigError: there is none, its package or program is not installed, or it takes no address.
    """
    if name not in ENGINES:
        raise ConfigError("no such engine", got=name, expected=", ".join(ENGINES), where="--engine")
    if address is not None and name != "ray":
        raise ConfigError(
            "only Ray has an address", got=f"--engine {name} --address {address}", fix="--engine ray"
        )
    if slurm and name != "slurm":
        raise ConfigError(
            "only Slurm is told what jobs ask for", got=f"--engine {name} --slurm …", fix="--engine slurm"
        )
    if name == "ray":
        return Ray(workers, address)
    if name == "slurm":
        return Slurm(workers, slurm or {}, place or Path(".slurm"))
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


class Slurm:
    """An array of jobs of Slurm, a piece each. A job that is lost, or its machine, is begun again, a few times.

    Args:
        workers: jobs at a time.
        asked: what a job asks for, as sbatch names it; `time` in minutes, 60 when absent.
        place: a folder that all machines see.
    Raises:  ConfigError: submitit or Slurm is not installed, or Slurm knows nothing of that name.
    """

    MOST = 1000  # jobs of an array, as Slurm is usually set up

    def __init__(self, workers: int, asked: Mapping[str, Any], place: Path) -> None:
        try:
            import submitit
        except ImportError:
            raise _missing("slurm") from None
        if shutil.which("sbatch") is None or shutil.which("srun") is None:
            raise ConfigError(
                "Slurm is not on this machine", expected="sbatch and srun on the PATH", fix="--engine local"
            )
        self._submitit: Any = submitit
        self._asked, self._place = {"time": 60, "array_parallelism": workers, **asked}, place
        known = inspect.signature(self._submitit.slurm.slurm._make_sbatch_string).parameters
        for name in asked:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                raise ConfigError(
                    "jobs of Slurm have no such setting",
                    got=f"--slurm {name}={asked[name]}",
                    expected="partition, time, mem, account, qos, constraint, …",
                    fix=f"--slurm {near[0] if near else 'partition'}={asked[name]}",
                )

    def map(self, tasks: Sequence[str]) -> Iterator[str]:
        """See `Engine`."""
        from polyseme.data.making import perform

        executor = self._submitit.SlurmExecutor(self._place, max_num_timeout=0)
        executor.update_parameters(job_name="polyseme", stderr_to_stdout=True, **self._asked)
        left, lost, jobs = list(tasks), dict.fromkeys(tasks, 0), dict[Any, str]()
        try:
            while left or jobs:
                for start in range(0, len(left), self.MOST):
                    some = left[start : start + self.MOST]
                    jobs |= dict(zip(self._submitted(executor, perform, some), some, strict=True))
                left = []
                for job in [job for job in jobs if job.done()]:
                    task = jobs.pop(job)
                    try:
                        yield job.result()
                    except self._submitit.core.utils.UncompletedJobError as error:
                        lost[task] += 1
                        if lost[task] == _TRIES:
                            raise PolysemeError(
                                f"a job of Slurm was lost {_TRIES} times over one piece of the text",
                                got=str(error).strip().partition("\n")[0],
                                where=job.paths.stdout,
                                fix="if memory or time ran out, --resume with more: --slurm mem=8GB --slurm time=240",
                            ) from None
                        left.append(task)
                time.sleep(0.0 if left else POLL)
        finally:
            for job in jobs:
                job.cancel(check=False)
        shutil.rmtree(self._place, ignore_errors=True)

    def _submitted(self, executor: Any, perform: Callable[[str], str], tasks: Sequence[str]) -> list[Any]:
        try:
            return list(executor.map_array(perform, tasks))
        except (self._submitit.core.utils.FailedJobError, subprocess.CalledProcessError, OSError) as error:
            raise RunError(
                "Slurm does not take the jobs",
                got=str(error).strip().split("\n")[-1],
                fix="the same command with another --slurm partition=NAME; sinfo lists them",
            ) from None


class _Step:
    """A pipeline step of datatrove: the task of its rank."""

    def __init__(self, tasks: Sequence[str], folder: str) -> None:
        self._tasks, self._folder = tasks, folder

    def __call__(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        from polyseme.data.making import perform

        (Path(self._folder) / f"{rank}.json").write_text(perform(self._tasks[rank]), "utf-8")
        yield from data or ()
