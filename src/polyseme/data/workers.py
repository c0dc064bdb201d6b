"""Encoding documents with all cores.

    this process            batches of texts ──UTF-8──► worker ──arrays──► results, in the order of the batches

A worker is a fresh interpreter that reads its standard input and writes its standard output. Compared with a pool
of multiprocessing it never runs the caller's main script again (which may import torch), sends no pickles, and ends by
itself when this process ends for whatever reason, since its input does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from queue import SimpleQueue
from typing import IO, TypeVar

import numpy as np

from polyseme.data.encoding import DocumentEncoder, EncodedDocuments
from polyseme.errors import PolysemeError

T = TypeVar("T")

_DTYPES = ("<u4", "<u1", "<i4", "<i4")  # of the fields of EncodedDocuments
_START = "import sys; from polyseme.data.workers import serve; serve(*sys.argv[1:])"


def encode_batches(
    batches: Iterable[tuple[T, Sequence[str]]],
    tokenizer_file: Path,
    language: str,
    workers: int,
    sentences: str = "auto",
) -> Generator[tuple[T, EncodedDocuments], None, None]:
    """Encode tagged batches of texts; results come in the order of the batches.

    At most two batches a worker are under way, so memory does not grow when the reader is faster.

    Args:
        batches: a tag, returned with the result, and texts.
        tokenizer_file, language, sentences: see `DocumentEncoder`.
        workers: number of processes; 1 encodes in this one.

    Raises:  PolysemeError: a worker died.
    """
    if workers == 1:
        encoder = DocumentEncoder(tokenizer_file, language, sentences)
        for tag, texts in batches:
            yield tag, encoder.encode(texts)
        return
    with _Pool(tokenizer_file, language, workers, sentences) as pool:
        waiting: deque[tuple[T, Future[EncodedDocuments]]] = deque()
        for tag, texts in batches:
            waiting.append((tag, pool.submit(texts)))
            while waiting and (len(waiting) > 2 * workers or waiting[0][1].done()):
                done, future = waiting.popleft()
                yield done, future.result()
        for done, future in waiting:
            yield done, future.result()


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Let a process that is started here never see signals that ask to save or to stop.

    Schedulers send them to all processes of a job; this process answers for its workers, and ends them. What is blocked
    here stays blocked in the worker from its first moment on.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1}
    )
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_worker(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A fresh interpreter that runs `code`, which finds its arguments in sys.argv[1:]; we hold both its pipes."""
    paths = [path for path in sys.path if path]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "TOKENIZERS_PARALLELISM": "false",  # the processes are the parallelism
    }
    with _signals_held():
        return subprocess.Popen(
            [sys.executable, "-P", "-c", code, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C is for this process, which then stops them
        )


def ended(process: subprocess.Popen[bytes]) -> int:
    """Close a worker's pipes, upon which it ends, and wait for that; its exit code."""
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):  # what was still buffered for a dead process
            if pipe:
                pipe.close()
    return process.wait()


class _Pool:
    """Worker processes, each served by one thread at a time."""

    def __init__(self, tokenizer_file: Path, language: str, workers: int, sentences: str = "auto") -> None:
        self._idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        self._threads = ThreadPoolExecutor(workers, "encoder")
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            for _ in range(workers):
                process = start_worker(_START, str(tokenizer_file), language, sentences)
                self._processes.append(process)
                self._idle.put(process)
        except BaseException:
            self._stop()
            raise

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()

    def _stop(self) -> None:
        for process in self._processes:
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            ended(process)

    def submit(self, texts: Sequence[str]) -> Future[EncodedDocuments]:
        """Encode on the next idle worker."""
        return self._threads.submit(self._exchange, texts)

    def _exchange(self, texts: Sequence[str]) -> EncodedDocuments:
        process = self._idle.get()
        try:
            assert process.stdin
            assert process.stdout
            _send(process.stdin, np.fromiter(map(len, texts), "<i8", len(texts)).tobytes())
            _send(process.stdin, "".join(texts).encode("utf-8", "surrogatepass"))
            sizes = np.frombuffer(_receive(process.stdout, 8 * len(_DTYPES)), "<i8")
            return EncodedDocuments(
                *(
                    np.frombuffer(_receive(process.stdout, int(size) * np.dtype(dtype).itemsize), dtype)
                    for size, dtype in zip(sizes, _DTYPES, strict=True)
                )
            )
        except (OSError, EOFError):
            code = process.wait()
            raise PolysemeError(
                "a tokenizing process died",
                got=f"exit code {code}, its message is above" if code >= 0 else f"killed by signal {-code}",
                fix="if memory ran out, try again with fewer workers",
            ) from None
        finally:
            self._idle.put(process)


def serve(tokenizer_file: str, language: str, sentences: str) -> None:
    """Be a worker: encode batches from standard input until it ends."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # a library that prints must not end up between the arrays
    encoder = DocumentEncoder(Path(tokenizer_file), language, sentences)
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            ends = np.cumsum(np.frombuffer(_message(requests), "<i8")).tolist()
            whole = _message(requests).decode("utf-8", "surrogatepass")
            texts = [whole[start:end] for start, end in pairwise([0, *ends])]
            fields = [
                np.ascontiguousarray(f, dtype)
                for f, dtype in zip(encoder.encode(texts), _DTYPES, strict=True)
            ]
            answers.write(np.array([len(field) for field in fields], "<i8").data)
            for field in fields:
                answers.write(field.data)
            answers.flush()


def _send(pipe: IO[bytes], data: bytes) -> None:
    pipe.write(len(data).to_bytes(8, "little"))
    pipe.write(data)
    pipe.flush()


def _message(pipe: IO[bytes]) -> bytes:
    return _receive(pipe, int.from_bytes(_receive(pipe, 8), "little"))


def _receive(pipe: IO[bytes], size: int) -> bytes:
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return data
