from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polyseme.serve.errors import Refused
from polyseme.serve.work.queue import TURN_TOKENS, Job, Queue, StreamJob
from polyseme.serve.work.shelf import lines_after


def inside(test: Callable[[], None]) -> None:
    async def run() -> None:
        test()

    asyncio.run(run())


def job(run: str = "a", tokens: int = 10, key: Any = None, kind: type[Job] = Job) -> Job:
    return kind(run, tokens, key, lambda model, payloads: payloads, None)


def test_a_turn_takes_whole_requests_of_one_run_oldest_first() -> None:
    def test() -> None:
        queue = Queue(10**6, 60)
        jobs = [job("a", 2000), job("b", 1), job("a", 2000), job("a", 200), job("a", 96), job("b", 5)]
        for each in jobs:
            queue.put(each)
        assert queue.take() == [jobs[0], jobs[2], jobs[4]]  # 4,096 tokens; 200 more would not go in
        assert queue.take() == [jobs[1], jobs[5]]
        assert queue.take() == [jobs[3]]
        assert queue.take() == []

    inside(test)


def test_a_long_request_is_a_turn_of_its_own() -> None:
    def test() -> None:
        queue = Queue(10**6, 60)
        long, short = job(tokens=3 * TURN_TOKENS), job()
        queue.put(long)
        queue.put(short)
        assert queue.take() == [long]
        assert queue.take() == [short]

    inside(test)


def test_streams_begin_alone_and_wait_where_there_are_enough() -> None:
    def test() -> None:
        queue = Queue(10**6, 60)
        stream, plain = job(kind=StreamJob), job()
        queue.put(stream)
        queue.put(plain)
        assert queue.take(streams=False) == [plain]
        queue.put(plain)
        assert queue.take() == [stream]
        assert queue.take() == [plain]

    inside(test)


def test_a_full_queue_says_when_to_ask_again() -> None:
    def test() -> None:
        queue = Queue(1000, 60)
        queue.rate = 50.0
        queue.put(job(tokens=900))
        with pytest.raises(Refused) as full:
            queue.put(job(tokens=101))
        assert full.value.status == 429
        assert full.value.headers["retry-after"] == "18"  # 900 tokens at 50 a second
        queue.put(job(tokens=100))
        assert queue.tokens == 1000

    inside(test)


def test_one_request_larger_than_the_queue_is_taken_where_it_is_empty() -> None:
    def test() -> None:
        queue = Queue(1000, 60)
        queue.put(job(tokens=5000))
        assert queue.tokens == 5000

    inside(test)


def test_the_measured_rate_follows_the_last_turns() -> None:
    queue = Queue(1000, 60)
    for _ in range(50):
        queue.measured(4000, 0.1)
    assert queue.rate == pytest.approx(40_000, rel=0.01)
    assert queue.retry_after(20_000) == 1
    assert queue.retry_after(10**12) == 600


def test_who_has_gone_is_dropped_and_an_end_is_told() -> None:
    def test() -> None:
        queue = Queue(1000, 60)
        gone, good = job(), job()
        for each in (gone, good):
            queue.put(each)
        gone.cancelled = True
        assert queue.take() == [good]
        assert queue.dropped == 1
        queue.close()
        with pytest.raises(Refused) as ending:
            queue.put(job())
        assert ending.value.status == 503

    inside(test)


@pytest.mark.parametrize(("loaded", "status"), [(True, 504), (False, 503)])
def test_what_waits_too_long_is_told_though_nobody_takes_it(loaded: bool, status: int) -> None:
    async def run() -> Refused:
        queue = Queue(1000, 0.02)
        begun, late = job("b"), job("a", tokens=5)
        queue.put(late)
        queue.put(begun)
        assert queue.take(ready=lambda run: run == "b") == [begun]
        if loaded:
            late.loading = False
        with pytest.raises(Refused) as error:
            await late.done
        assert not begun.done.done()
        assert queue.take() == []
        return error.value

    error = asyncio.run(run())
    assert error.status == status
    assert ("retry-after" in error.headers) is not loaded


def test_what_is_for_a_run_that_is_being_loaded_lets_others_by() -> None:
    def test() -> None:
        queue = Queue(10**6, 60)
        jobs = [job("a"), job("b"), job("a"), job("b")]
        for each in jobs:
            queue.put(each)
        assert queue.take(ready=lambda run: run == "b") == [jobs[1], jobs[3]]
        assert jobs[0].loading
        assert queue.take() == [jobs[0], jobs[2]]

    inside(test)


def test_a_turn_within_long_work_takes_nothing_long() -> None:
    def test() -> None:
        queue = Queue(10**6, 60)
        long, short = job(tokens=TURN_TOKENS + 1), job()
        queue.put(long)
        queue.put(short)
        assert queue.take(most=TURN_TOKENS) == [short]
        assert queue.take() == [long]

    inside(test)


def test_metrics_are_followed_by_whole_lines(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    assert lines_after(file, 0) == (b"", 0)
    file.write_bytes(b'{"a": 1}\n{"a"')
    assert lines_after(file, 0) == (b'{"a": 1}\n', 9)
    assert lines_after(file, 9) == (b"", 9)
    file.write_bytes(b'{"a": 1}\n{"a": 2}\n')
    assert lines_after(file, 9) == (b'{"a": 2}\n', 18)
    file.write_bytes(b"{}\n")  # another file by now
    assert lines_after(file, 18) == (b"{}\n", 3)
    assert lines_after(file, -5) == (b"{}\n", 3)
