"""The desk: one thread that owns the models, and takes turns between all who wait.

A turn is (1) one batch of the queue, one call of a function for all jobs that are alike, and (2) steps of the texts
that are being generated, at most 8 at once, in turn, for as long as the batch took; one step of each at least. So
vectors never stand behind a long text, a text beside many requests for vectors has half of the desk's time, streams
come out even, and to stop a text is not to ask for its next step. Which texts stand beside each other changes none.

Long work is no exception: between its batches (core/pauses.py) others have a turn, and between two products it ends
when nobody waits for it any more. It stays one call, and so its answer that of the command line. While a run is loaded,
by a thread of its own, what is for others goes on.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING

from polyseme.core import pauses
from polyseme.core.memory import trim
from polyseme.errors import PolysemeError
from polyseme.serve.counts import Counts
from polyseme.serve.errors import Refused
from polyseme.serve.work.notes import taking_notes
from polyseme.serve.work.queue import TURN_TOKENS, Job, Outcome, Queue, StreamJob
from polyseme.serve.work.shelf import Shelf

if TYPE_CHECKING:
    from polyseme.infer.model import Model

__all__ = ["STREAMS", "Desk", "End"]

STREAMS = 8
"""Texts that are generated at once; others wait."""
SHARE = 1.0
"""Seconds for texts that are generated, for every second of other work beside them."""
LONG_S = 0.03
"""After so long others have a turn between two batches."""
REST_S, TIDY_S = 1.0, 60.0
"""When memory that was freed is given back: after so long without work, and at least so often."""
DEEPEST = 3
"""Long calls that stand still at once, each while others have a turn; who is the last of them has it to itself."""


class _Stopped(BaseException):
    """Nobody waits for the work that is being done; no function of ours takes it for an error of its own."""


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
        self._stepping: list[StreamJob] = []
        self._depth = 0
        self._ends = math.inf  # when what runs is given up
        self._turned = 0.0  # when others had their last turn
        self._wrote = 0.0  # when texts had their last steps, or, after a rest, when work began
        self._away = 0.0  # seconds of work that were others' turns
        self._thread = threading.Thread(target=self._run, name="desk", daemon=True)

    def start(self) -> None:
        """Begin; torch is imported by the thread itself."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Take no more work, and let what runs come to its end for so long."""
        self._ends = time.monotonic() + seconds
        self._queue.close()
        if self._thread.is_alive():
            self._thread.join(seconds + 1)

    @property
    def streams(self) -> int:
        """Texts that are being generated."""
        return len(self._streams)

    def _run(self) -> None:
        from polyseme.train.machine import use_threads

        use_threads(self._threads)
        queue, tidied, used = self._queue, time.monotonic(), False
        while self._streams or not queue.closed:
            seen, rests = queue.ticks, False
            if self.turn():
                used = True
            else:
                with queue.changed:
                    while queue.ticks == seen and not rests:
                        rests = not queue.changed.wait(REST_S if used else None)
            if rests or (used and time.monotonic() - tidied > TIDY_S):
                trim()
                tidied, used = time.monotonic(), False

    def turn(self) -> bool:
        """One turn; False where there was nothing to do."""
        self._turned = time.monotonic()
        if not self._depth:
            self._wrote = self._turned
        most = TURN_TOKENS if self._depth else math.inf  # what is long stands not in what is long
        jobs = self._queue.take(len(self._streams) < STREAMS, self._shelf.ready, most)
        if jobs:
            self._do(jobs)
        wrote = self._write()
        self._turned = time.monotonic()
        return bool(jobs or wrote)

    def _write(self) -> bool:
        """Steps of all texts in turn, for their share of the time since the last ones; False where there is no text."""
        began, away, wrote = time.monotonic(), self._away, False
        ends = began + SHARE * (began - self._wrote)
        while streams := [job for job in self._streams if job not in self._stepping]:
            for job in streams:
                if job in self._streams:  # it may have ended in a turn within the step of another
                    self._step(job)
            wrote = True
            if time.monotonic() >= ends:
                break
        self._wrote = time.monotonic()
        self._away = away + self._wrote - began
        return wrote

    @contextmanager
    def _pausing(self, jobs: Sequence[Job]) -> Iterator[None]:
        """Work for some jobs; others have turns between its batches, and it ends where nobody waits for it."""

        def check() -> None:
            if time.monotonic() > self._ends or all(job.cancelled for job in jobs):
                raise _Stopped

        def between() -> None:
            check()
            now = time.monotonic()
            if self._depth < DEEPEST and now - self._turned >= LONG_S:
                away = self._away
                self._depth += 1
                try:
                    self.turn()
                finally:
                    self._depth -= 1
                    self._away = away + time.monotonic() - now

        with pauses.filled_by(between, check):
            yield

    def _fail(self, jobs: Iterable[Job], error: BaseException) -> None:
        """Tell those who wait why there is no answer."""
        if isinstance(error, _Stopped):
            self._counts.left += 1
            error = Refused(
                503,
                "the server is ending",
                code="ending",
                headers={"retry-after": "10"},
                fix="the same in 10 s",
            )
        for job in jobs:
            job.fail(error)

    def _do(self, jobs: list[Job]) -> None:
        """Do jobs of one run; those of the same key by one call."""
        began, away = time.monotonic(), self._away
        try:
            with taking_notes() as loading:
                run = self._shelf.get(jobs[0].run)
        except BaseException as error:  # whatever it is: who asked is told, and the desk goes on
            self._fail(jobs, error)
            return
        if isinstance(jobs[0], StreamJob):
            self._begin(jobs[0], run, loading.texts)
            return
        for _, group in groupby(sorted(jobs, key=lambda job: hash(job.key)), key=lambda job: job.key):
            self._together(list(group), run, loading.texts)
            if time.monotonic() - self._wrote >= LONG_S:
                self._write()
        seconds = time.monotonic() - began - (self._away - away)
        self._queue.measured(sum(job.tokens for job in jobs), seconds)

    def _together(self, jobs: list[Job], run: Model, told: Sequence[str]) -> None:
        began, away = time.monotonic(), self._away
        try:
            with taking_notes() as notes, self._pausing(jobs):
                answers = jobs[0].work(run, [job.payload for job in jobs])
        except BaseException as error:  # whatever it is: who asked is told, and the desk goes on
            if len(jobs) > 1 and isinstance(error, PolysemeError | Refused):
                for job in jobs:  # one of them is wrong: the others have their answers
                    self._together([job], run, told)
                return
            self._fail(jobs, error)
            return
        seconds = time.monotonic() - began - (self._away - away)
        self._counts.done(sum(job.tokens for job in jobs), seconds, len(jobs))
        for job, answer in zip(jobs, answers, strict=True):
            if isinstance(answer, BaseException):
                job.fail(answer)
            else:
                job.finish(Outcome(answer, [*told, *notes.texts], notes.cut, began - job.since, seconds))

    def _begin(self, job: StreamJob, run: Model, told: Sequence[str]) -> None:
        try:
            with taking_notes() as notes, self._pausing([job]):
                (job.steps,) = job.work(run, [job.payload])
        except BaseException as error:  # whatever it is: who asked is told, and the desk goes on
            self._fail([job], error)
            return
        self._counts.done(job.tokens, 0.0, 1)
        self._streams.append(job)
        job.finish(Outcome(None, [*told, *notes.texts], notes.cut, time.monotonic() - job.since))

    def _step(self, job: StreamJob) -> None:
        """One step of a text, unless nobody reads it any more."""
        end: End | None = None
        assert job.steps is not None
        self._stepping.append(job)
        try:
            if job.cancelled or time.monotonic() > self._ends:
                raise _Stopped
            with taking_notes() as notes, self._pausing([job]):
                piece = next(job.steps)
            self._counts.generated += 1
            job.give(piece)
        except StopIteration:
            end = End(notes=notes.texts)
        except _Stopped:
            self._counts.left += 1
            end = End(Refused(503, "the server is ending", code="ending", fix="the same in 10 s"))
        except BaseException as error:  # whatever it is: who asked is told, and the desk goes on
            end = End(error)
        finally:
            self._stepping.remove(job)
        if end is not None:
            self._streams.remove(job)
            close = getattr(job.steps, "close", None)
            if close is not None:
                close()
            job.give(end)
