"""Work that waits: how much room there is, how long it takes, and what is taken next.

room     tokens that wait ≤ max_queue, else 429 with Retry-After = tokens that wait / measured tokens a second
turn     whole requests of one run, oldest first, until 4,096 tokens; what waits for nothing more is not waited for
late     what is not begun within the timeout: 504, or 503 where its run is still being loaded
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from polyseme.serve.errors import Refused

if TYPE_CHECKING:
    from polyseme.infer.model import Model

__all__ = ["TURN_TOKENS", "Job", "Outcome", "Queue", "StreamJob"]

TURN_TOKENS = 4096
FIRST_RATE = 2000.0
"""Tokens a second that are expected before any were measured."""
LONGEST_WAIT_S = 600


@dataclass(eq=False)
class Outcome:
    """What came of a job.

    Args:
        value: the answer.
        notes: what a person should know, such as that a text was cut.
        cut: the numbers of such texts.
        waited, worked: seconds.
    """

    value: Any
    notes: list[str] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)
    waited: float = 0.0
    worked: float = 0.0


@dataclass(eq=False)
class Job:
    """One piece of work for one run.

    Args:
        run: its name.
        tokens: what it costs.
        key: jobs of one run with the same key are done by one call.
        work: (run, payloads) -> as many answers.
        payload: its own part.
    Attributes:
        cancelled: nobody waits for it any more.
        begun: the desk has taken it.
        loading: it waits for its run to be loaded.
    """

    run: str
    tokens: int
    key: Hashable
    work: Callable[[Model, Sequence[Any]], Sequence[Any]]
    payload: Any
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    since: float = field(default_factory=time.monotonic)
    cancelled: bool = False
    begun: bool = False
    loading: bool = False

    def __post_init__(self) -> None:
        self.done: asyncio.Future[Outcome] = self.loop.create_future()

    def finish(self, outcome: Outcome) -> None:
        """Hand the answer back, from any thread."""
        self._back(self._finish, outcome)

    def fail(self, error: BaseException) -> None:
        """Hand an error back, from any thread."""
        self._back(self._fail, error)

    def _back(self, call: Callable[[Any], None], value: Any) -> None:
        try:
            self.loop.call_soon_threadsafe(call, value)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self.cancelled = True

    def _finish(self, outcome: Outcome) -> None:
        if not self.done.done():
            self.done.set_result(outcome)

    def _fail(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(eq=False)
class StreamJob(Job):
    """Work that is done step by step: its answer comes in pieces.

    Args:
        work: (run, [payload]) -> [an iterator]; `next` of it is a step.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.pieces: asyncio.Queue[Any] = asyncio.Queue()
        self.steps: Iterator[Any] | None = None

    def give(self, piece: Any) -> None:
        """Hand a piece on, from any thread."""
        self._back(self.pieces.put_nowait, piece)


class Queue:
    """Jobs that wait, oldest first; it is put into by the loop and taken from by the desk.

    Args:
        max_tokens: that may wait together.
        timeout: seconds that a job may wait.
    Attributes:
        rate: measured tokens a second.
        dropped: jobs whose client had gone before they were begun.
        ticks: how often something has changed that the desk may wait for.
    """

    def __init__(self, max_tokens: int, timeout: float) -> None:
        self._max_tokens, self._timeout = max_tokens, timeout
        self._jobs: deque[Job] = deque()
        self.changed = threading.Condition()
        self.closed = False
        self.rate = FIRST_RATE
        self.dropped = self.ticks = 0

    @property
    def jobs(self) -> int:
        """How many wait."""
        return len(self._jobs)

    @property
    def tokens(self) -> int:
        """How many tokens wait."""
        with self.changed:
            return self._tokens()

    def _tokens(self) -> int:
        return sum(job.tokens for job in self._jobs if not job.cancelled)

    def put(self, job: Job) -> None:
        """Let a job wait.

        Raises:  Refused: 429 where there is no room, with Retry-After; 503 where the server ends.
        """
        with self.changed:
            self.check_room(job.tokens)
            self._jobs.append(job)
            self.wake()
        timer = job.loop.call_later(self._timeout, self._late, job)
        job.done.add_done_callback(lambda _: timer.cancel())

    def wake(self) -> None:
        """Let the desk look again at what waits."""
        with self.changed:
            self.ticks += 1
            self.changed.notify_all()

    def _late(self, job: Job) -> None:
        """What still waits is told so."""
        if job.begun:
            return
        job.cancelled = True
        waited = f"{self._timeout:g} s"
        if job.loading:
            error = Refused(
                503,
                "the run is still being loaded",
                code="loading",
                got=job.run,
                expected=waited,
                fix="the same in 5 s",
            )
            error.headers["retry-after"] = "5"
        else:
            error = Refused(
                504,
                "it waited too long",
                code="timeout",
                expected=waited,
                fix="the same once more, or polyseme serve RUN --timeout 300",
            )
        job.fail(error)

    def check_room(self, tokens: int = 1) -> None:
        """Raises:  Refused: 429, so many tokens more would be too many; 503, the server ends."""
        with self.changed:
            if self.closed:
                raise _ending()
            waiting = self._tokens()
        if waiting and waiting + tokens > self._max_tokens:
            wait = self.retry_after(waiting)
            raise Refused(
                429,
                "the queue is full",
                code="queue_full",
                got=f"{waiting:,} tokens wait, and {tokens:,} more",
                expected=f"at most {self._max_tokens:,}",
                fix=f"ask again in {wait} s",
                headers={"retry-after": str(wait)},
            )

    def retry_after(self, tokens: int) -> int:
        """Seconds until so many tokens are done."""
        return min(LONGEST_WAIT_S, max(1, math.ceil(tokens / self.rate)))

    def measured(self, tokens: int, seconds: float) -> None:
        """Take the speed of a turn into account; the last ones count most."""
        if tokens and seconds > 0:
            self.rate += 0.2 * (min(tokens / seconds, 1e9) - self.rate)

    def take(
        self,
        streams: bool = True,
        ready: Callable[[str], bool] = lambda run: True,
        most: float = math.inf,
    ) -> list[Job]:
        """The jobs of a turn: of the oldest one's run, until `TURN_TOKENS`; those that nobody waits for are dropped.

        Args:
            streams: whether one that is done step by step may be begun.
            ready: whether a run is in memory; what is for another waits on.
            most: tokens of the longest job that may be taken.
        """
        with self.changed:
            turn: list[Job] = []
            left: deque[Job] = deque()
            tokens = 0
            for job in self._jobs:
                if job.cancelled:
                    self.dropped += 1
                elif (
                    (isinstance(job, StreamJob) and not streams)
                    or job.tokens > most
                    or not _fits(job, turn, tokens)
                    or (not turn and not self._is_ready(job, ready))
                ):
                    left.append(job)
                else:
                    job.begun = True
                    turn.append(job)
                    tokens += job.tokens
            self._jobs = left
            return turn

    @staticmethod
    def _is_ready(job: Job, ready: Callable[[str], bool]) -> bool:
        job.loading = not ready(job.run)
        return not job.loading

    def close(self) -> None:
        """Take no more; what waits is refused."""
        with self.changed:
            self.closed = True
            for job in self._jobs:
                job.fail(_ending())
            self._jobs.clear()
            self.wake()


def _ending() -> Refused:
    return Refused(
        503, "the server is ending", code="ending", headers={"retry-after": "10"}, fix="the same in 10 s"
    )


def _fits(job: Job, turn: Sequence[Job], tokens: int) -> bool:
    """Whether a job goes into a turn with others, which have so many tokens; a stream is begun by itself."""
    if not turn:
        return True
    alone = isinstance(job, StreamJob) or isinstance(turn[0], StreamJob)
    return not alone and job.run == turn[0].run and tokens + job.tokens <= TURN_TOKENS
