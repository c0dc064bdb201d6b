"""The desk: one thread that owns the models, and takes turns between all who wait.

A turn is (1) one batch of the queue, one call of a function for all jobs that are alike, and (2) one step of every text
that is being generated, at most 8 at once. So vectors never stand behind a long text, streams come out even, and to
stop a text is not to ask for its next step. Which texts stand beside each other changes none of them.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING

from polyseme.errors import PolysemeError
from polyseme.serve.counts import Counts
from polyseme.serve.errors import Refused
from polyseme.serve.work.queue import Job, Outcome, Queue, StreamJob
from polyseme.serve.work.shelf import Shelf

if TYPE_CHECKING:
    from polyseme.infer.model import Model

__all__ = ["STREAMS", "Desk", "End"]

STREAMS = 8
"""Texts that are generated at once; others wait."""


class End:
    """The last piece of a stream.

    Args:
        error: why it ended; None where it is whole.
        notes: what a person should know.
    """

    def __init__(self, error: BaseException | None = None, notes: Sequence[str] = ()) -> None:
        self.error, self.notes = error, list(notes)


class Desk:
    """Does what waits in a queue.

    Args:
        shelf: the runs.
        queue: what waits.
        counts: told what was done.
        threads: of torch.
    """

    def __init__(self, shelf: Shelf, queue: Queue, counts: Counts, threads: int | None = None) -> None:
        self._shelf, self._queue, self._counts, self._threads = shelf, queue, counts, threads
        self._streams: list[StreamJob] = []
        self._thread = threading.Thread(target=self._run, name="desk", daemon=True)

    def start(self) -> None:
        """Begin; torch is imported by the thread itself."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Take no more work, and let what runs come to its end for so long."""
        self._queue.close()
        if self._thread.is_alive():
            self._thread.join(seconds)

    @property
    def streams(self) -> int:
        """Texts that are being generated."""
        return len(self._streams)

    def _run(self) -> None:
        from polyseme.train.machine import use_threads

        use_threads(self._threads)
        queue = self._queue
        while True:
            with queue.changed:
                while not (queue.closed or queue.jobs or self._streams):
                    queue.changed.wait()
                if queue.closed and not self._streams:
                    return
            self.turn()

    def turn(self) -> None:
        """One turn."""
        if jobs := self._queue.take(streams=len(self._streams) < STREAMS):
            self._do(jobs)
        for job in list(self._streams):
            self._step(job)

    def _do(self, jobs: list[Job]) -> None:
        """Do jobs of one run; those of the same key by one call."""
        began = time.monotonic()
        try:
            with _noted():
                run = self._shelf.get(jobs[0].run)
        except BaseException as error:
            for job in jobs:
                job.fail(error)
            return
        if isinstance(jobs[0], StreamJob):
            self._begin(jobs[0], run)
            return
        for _, group in groupby(sorted(jobs, key=lambda job: hash(job.key)), key=lambda job: job.key):
            self._together(list(group), run)
        self._queue.measured(sum(job.tokens for job in jobs), time.monotonic() - began)

    def _together(self, jobs: list[Job], run: Model) -> None:
        began = time.monotonic()
        try:
            with _noted() as notes:
                answers = jobs[0].work(run, [job.payload for job in jobs])
        except BaseException as error:
            if len(jobs) > 1 and isinstance(error, PolysemeError | Refused):
                for job in jobs:  # one of them is wrong: the others have their answers
                    self._together([job], run)
                return
            for job in jobs:
                job.fail(error)
            return
        seconds = time.monotonic() - began
        self._counts.done(sum(job.tokens for job in jobs), seconds, len(jobs))
        for job, answer in zip(jobs, answers, strict=True):
            if isinstance(answer, BaseException):
                job.fail(answer)
            else:
                job.finish(Outcome(answer, notes.texts, notes.cut, began - job.since, seconds))

    def _begin(self, job: StreamJob, run: Model) -> None:
        try:
            with _noted() as notes:
                (job.steps,) = job.work(run, [job.payload])
        except BaseException as error:
            job.fail(error)
            return
        self._counts.done(job.tokens, 0.0, 1)
        self._streams.append(job)
        job.finish(Outcome(None, notes.texts, notes.cut, time.monotonic() - job.since))

    def _step(self, job: StreamJob) -> None:
        """One step of a text, unless nobody reads it any more."""
        end: End | None = None
        if job.cancelled:
            end = End()
            self._counts.left += 1
        else:
            assert job.steps is not None
            try:
                with _noted() as notes:
                    piece = next(job.steps)
                self._counts.generated += 1
                job.give(piece)
            except StopIteration:
                end = End(notes=notes.texts)
            except BaseException as error:
                end = End(error)
        if end is not None:
            self._streams.remove(job)
            close = getattr(job.steps, "close", None)
            if close is not None:
                close()
            job.give(end)


class _Notes:
    """What a call warned of.

    Attributes:
        texts: the warnings' words.
        cut: the numbers of texts whose ends were not read.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.cut: list[int] = []

    def take(self, met: Iterable[warnings.WarningMessage]) -> None:
        """Keep warnings of ours."""
        for each in met:
            if not issubclass(each.category, UserWarning):
                continue
            if (text := str(each.message)) not in self.texts:
                self.texts.append(text)
            self.cut += getattr(each.message, "truncated", ())


@contextmanager
def _noted() -> Iterator[_Notes]:
    """Keeps warnings as notes."""
    notes = _Notes()
    with warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always")
        try:
            yield notes
        finally:
            notes.take(met)
