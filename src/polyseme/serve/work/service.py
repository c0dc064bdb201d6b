"""What every protocol asks for work: count, wait, be done; and what became of it when the client goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from polyseme.serve.counts import Counts
from polyseme.serve.errors import Refused
from polyseme.serve.options import ServeConfig
from polyseme.serve.work.desk import Desk, End
from polyseme.serve.work.notes import taken_along
from polyseme.serve.work.queue import Job, Outcome, Queue, StreamJob
from polyseme.serve.work.shelf import Shelf

if TYPE_CHECKING:
    from polyseme.infer.model import Model

__all__ = ["Service", "Side", "Stream"]

Given = TypeVar("Given")


class Side:
    """What needs no model, beside the desk: a thread for counting, which is short, one for studies, which are not."""

    def __init__(self) -> None:
        self._counting = ThreadPoolExecutor(1, "counting")
        self._studies = ThreadPoolExecutor(1, "studies")

    async def count(self, call: Callable[..., Given], *arguments: Any) -> Given:
        """Do something short."""
        return await asyncio.get_running_loop().run_in_executor(self._counting, taken_along(call, *arguments))

    async def study(self, call: Callable[..., Given], *arguments: Any) -> Given:
        """Do something that may take seconds."""
        return await asyncio.get_running_loop().run_in_executor(self._studies, taken_along(call, *arguments))

    def stop(self) -> None:
        """Begin nothing more."""
        self._counting.shutdown(wait=False, cancel_futures=True)
        self._studies.shutdown(wait=False, cancel_futures=True)


class Service:
    """The workplace of one server.

    Args:
        config: its bounds and its runs.
    Attributes:
        works: what is being answered, by its X-Work: done = it is to end.
    """

    def __init__(self, config: ServeConfig) -> None:
        self.config = config
        self.queue = Queue(config.max_queue, config.timeout)
        self.shelf = Shelf(config.runs, config.memory, self.queue.wake, config.compiled)
        self.counts = Counts()
        self.side = Side()
        self.desk = Desk(self.shelf, self.queue, self.counts, config.threads)
        self.works: dict[str, asyncio.Future[None]] = {}

    def start(self) -> None:
        """Begin to work."""
        self.desk.start()

    def stop(self, seconds: float) -> None:
        """End, and wait for what runs."""
        self.desk.stop(seconds)
        self.side.stop()
        self.shelf.stop()

    async def lengths(self, run: str, texts: Sequence[str]) -> list[int]:
        """The tokens of texts.

        Raises:  Refused: 413 where they are more than a request may have; 429 where the queue is full as it is, and 503
                 where the server ends: that is said before they are counted.
        """
        self.queue.check_room()

        def count() -> list[int]:
            return [len(ids) for ids in self.shelf.tokenizer(run).encode_ids(texts)]

        found = await self.side.count(count)
        self.bounded(sum(found))
        return found

    async def abilities(self, run: str) -> frozenset[str]:
        """What a run can do; a file is read for it, and at first torch.

        Raises:  Refused: no such run, or it cannot be read.
        """
        return await self.side.count(self.shelf.abilities, run)

    def bounded(self, tokens: int) -> None:
        """Raises:  Refused: more tokens than a request may have."""
        if tokens > self.config.max_tokens:
            raise Refused(
                413,
                "too many tokens for one request",
                code="too_many_tokens",
                got=f"{tokens:,} tokens",
                expected=f"at most {self.config.max_tokens:,}",
                fix="several requests, or polyseme serve --max-tokens N",
            )

    async def ask(
        self,
        run: str,
        tokens: int,
        work: Callable[[Model, Sequence[Any]], Sequence[Any]],
        payload: Any = None,
        key: Hashable = None,
    ) -> Outcome:
        """Have work done by the desk.

        Args:
            work: (run, payloads) -> answers; those of jobs with the same key are given together.
            key: None = by itself.
        Raises:  Refused, PolysemeError: as the work does.
        """
        job = Job(run, max(1, tokens), key if key is not None else object(), work, payload)
        self.queue.put(job)
        try:
            return await job.done
        finally:
            job.cancelled = True  # if it is not done by now, nobody waits for it

    async def stream(self, run: str, tokens: int, work: Callable[[Model], Iterator[Any]]) -> Stream:
        """Begin work that is done step by step.

        Raises:  Refused, PolysemeError: it cannot begin.
        """
        job = StreamJob(run, max(1, tokens), object(), lambda model, _: [work(model)], None)
        self.queue.put(job)
        try:
            outcome = await job.done
        except BaseException:
            job.cancelled = True
            raise
        return Stream(job, outcome)


class Stream:
    """The pieces of a text that is being generated.

    Attributes:
        notes: what a person should know; more may come with the last piece.
    """

    def __init__(self, job: StreamJob, outcome: Outcome) -> None:
        self._job = job
        self.waited = outcome.waited
        self.notes = list(outcome.notes)

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            while True:
                piece = await self._job.pieces.get()
                if isinstance(piece, End):
                    self.notes += [note for note in piece.notes if note not in self.notes]
                    if piece.error is not None:
                        raise piece.error
                    return
                yield piece
        finally:
            self.close()

    def close(self) -> None:
        """Leave the rest unwritten."""
        self._job.cancelled = True


async def first_gone(receive: Callable[[], Any]) -> None:
    """Returns once the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        await asyncio.sleep(0)
