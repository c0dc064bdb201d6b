"""Streams and batches take turns; who goes is not worked for; a run that changes is loaded anew."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from asked import Reply, Server
from polyseme.core.pauses import check, filled_by, pause
from polyseme.infer.model import load
from polyseme.kernels.team import side_by_side
from polyseme.serve.work import desk, shelf
from polyseme.serve.work.notes import taking_notes
from polyseme.serve.work.queue import Job, StreamJob

LONG = {"run": "gpt", "prompt": "the cat", "max_new_tokens": 24, "temperature": 1.0}


def together(server: Server, *asked: tuple[str, Any]) -> list[Reply]:
    async def every() -> list[Reply]:
        return list(await asyncio.gather(*(server.ask("POST", path, body) for path, body in asked)))

    return asyncio.run(every())


def test_a_stream_has_a_line_a_step_and_the_whole_at_its_end(server: Server) -> None:
    reply = server.post("/api/generate", {**LONG, "alternatives": 2})
    *steps, last = reply.lines
    assert "".join(step["piece"] for step in steps) == last["done"]["text"]
    assert {"piece", "token", "probability", "entropy", "alternatives"} == set(steps[0])
    whole = server.post("/api/generate", {**LONG, "alternatives": 2, "stream": False}).json
    assert last["done"] == whole
    assert len(reply.parts) >= len(steps)


def test_texts_side_by_side_are_what_they_are_alone(server: Server) -> None:
    bodies: list[tuple[str, Any]] = [
        ("/api/generate", {**LONG, "seed": seed, "prompt": prompt})
        for seed, prompt in enumerate(["the", "a cat", "", "the old dog sees", "bird"] * 2)
    ]
    bodies += [
        ("/api/embed", {"texts": ["the cat", "a dog sees the river"]}),
        ("/api/embed", {"texts": ["bird"]}),
        ("/api/score", {"texts": ["the old cat"], "detail": True}),
        ("/api/fill", {"text": "the [MASK]"}),
    ]
    alone = [server.post(path, body) for path, body in bodies]
    for one, other in zip(alone, together(server, *bodies), strict=True):
        assert other.status == 200
        for a, b in zip(one.lines, other.lines, strict=True):
            alike(a, b)


def alike(one: Any, other: Any) -> None:
    """The same words; numbers to the last digits, which differ between two calls alone, too."""
    if isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-6)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        alike(list(one.values()), list(other.values()))
    elif isinstance(one, list):
        for a, b in zip(one, other, strict=True):
            alike(a, b)
    else:
        assert one == other


def test_one_wrong_request_leaves_those_beside_it_alone(server: Server) -> None:
    good = ("/api/embed", {"texts": ["the cat"], "pool": "cls"})
    wrong = ("/api/embed", {"run": "gpt", "texts": ["the cat"], "pool": "cls"})
    statuses = [reply.status for reply in together(server, good, wrong, good, wrong)]
    assert statuses == [200, 400, 200, 400]


def test_a_client_that_goes_stops_its_text(server: Server) -> None:
    seen: list[bytes] = []

    def leave(part: bytes) -> bool:
        seen.append(part)
        return len(seen) == 3

    before = server.service.counts.generated
    left = server.service.counts.left
    body = {**LONG, "max_new_tokens": 2000}

    async def go() -> None:
        await server.ask("POST", "/api/generate", body, leave=leave)
        for _ in range(100):
            if server.service.counts.left > left and not server.service.desk.streams:
                return
            await asyncio.sleep(0.02)
        raise AssertionError("the desk goes on")

    asyncio.run(go())
    assert server.service.counts.generated - before < 500


def test_a_client_that_goes_at_the_echo_of_its_prompt_stops_its_text(server: Server) -> None:
    left = server.service.counts.left
    body = {"model": "gpt", "prompt": "the cat", "echo": True, "stream": True, "max_tokens": 2000}

    async def go() -> None:
        await server.ask("POST", "/v1/completions", body, leave=lambda part: True)
        for _ in range(100):
            if server.service.counts.left > left and not server.service.desk.streams:
                return
            await asyncio.sleep(0.02)
        raise AssertionError("the desk goes on")

    asyncio.run(go())


def test_a_client_that_goes_before_its_turn_is_dropped(runs: dict[str, Path]) -> None:
    server = Server(runs)  # nobody works yet
    gone = asyncio.Event()

    async def go() -> Reply:
        asking = asyncio.ensure_future(server.ask("POST", "/api/fill", {"text": "a [MASK]"}, until=gone))
        while not server.service.queue.jobs:
            await asyncio.sleep(0.01)
        gone.set()
        return await asking

    assert asyncio.run(go()).status == 0  # nothing was sent
    assert server.service.queue.take() == []
    assert server.service.queue.dropped == 1
    assert 'status="499"' in server.service.counts.text({})


@contextmanager
def working(server: Server) -> Iterator[Server]:
    server.service.start()
    try:
        yield server
    finally:
        server.service.stop(5.0)


def test_others_go_on_while_a_run_is_loaded(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    may_load = threading.Event()

    def slow(folder: Path) -> Any:
        if folder == runs["gpt"]:
            assert may_load.wait(30)
        return load(folder)

    monkeypatch.setattr(shelf, "_load", slow)
    with working(Server(runs)) as server:

        async def go() -> tuple[Reply, Reply]:
            waits = asyncio.ensure_future(
                server.ask("POST", "/api/score", {"run": "gpt", "texts": "the cat"})
            )
            while not server.service.shelf.about("gpt")["loading"]:
                await asyncio.sleep(0.005)
            other = await server.ask("POST", "/api/score", {"run": "bert", "texts": "the cat"})
            assert not waits.done()
            may_load.set()
            return other, await waits

        assert [reply.status for reply in asyncio.run(go())] == [200, 200]


def test_who_waits_too_long_for_a_run_is_told_to_ask_again(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    may_load = threading.Event()
    monkeypatch.setattr(shelf, "_load", lambda folder: may_load.wait(30) and load(folder))
    with working(Server(runs, timeout=0.05)) as server:
        reply = server.post("/api/tokenize", {"text": "the cat"})
        assert (reply.status, reply.error["code"]) == (503, "loading")
        assert int(reply.headers["retry-after"]) > 0
        may_load.set()
        until = time.monotonic() + 30
        while server.post("/api/tokenize", {"text": "the cat"}).status != 200:
            assert time.monotonic() < until


def test_long_work_lets_others_in_and_its_answer_is_the_same(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "LONG_S", 0.0)
    long = ("/api/score", {"texts": ["the old cat sees a dog " * 4] * 3, "masked": True, "detail": True})
    beams = ("/api/generate", {**LONG, "temperature": None, "beams": 3, "results": 2, "stream": False})
    del beams[1]["temperature"]
    short = [("/api/embed", {"texts": [f"bird {n}"]}) for n in range(6)]
    stream = ("/api/generate", LONG)
    every = [long, beams, stream, *short, long, beams]
    alone = [server.post(*each) for each in every]
    for one, other in zip(alone, together(server, *every), strict=True):
        assert other.status == 200, other.body
        for a, b in zip(one.lines, other.lines, strict=True):
            alike(a, b)


def held(server: Server, inside: threading.Event) -> Any:
    """A request whose work goes from pause to pause without end."""

    def work(model: Any, payloads: Any) -> Any:
        inside.set()
        while True:
            pause()
            time.sleep(0.001)

    return server.service.ask("bert", 9, work)


def test_a_long_call_ends_at_its_next_pause_once_nobody_waits(server: Server) -> None:
    async def go() -> float:
        inside = threading.Event()
        asking = asyncio.ensure_future(held(server, inside))
        await asyncio.to_thread(inside.wait)
        left = server.service.counts.left
        asking.cancel()
        began = time.monotonic()
        while server.service.counts.left == left:
            await asyncio.sleep(0.002)
        return time.monotonic() - began

    assert asyncio.run(go()) < 0.5
    assert server.post("/api/tokenize", {"text": "the cat"}).status == 200


def test_streams_and_short_work_go_on_within_a_long_call(server: Server) -> None:
    async def go() -> list[Reply]:
        inside = threading.Event()
        asking = asyncio.ensure_future(held(server, inside))
        await asyncio.to_thread(inside.wait)
        replies = [
            await server.ask("POST", "/api/generate", {**LONG, "max_new_tokens": 4}),
            await server.ask("POST", "/api/embed", {"texts": ["the cat"]}),
        ]
        assert not asking.done()
        asking.cancel()
        return replies

    assert [reply.status for reply in asyncio.run(go())] == [200, 200]


def test_texts_have_as_much_time_as_what_was_done_beside_them(runs: dict[str, Path]) -> None:
    server = Server(runs)
    server.service.shelf.get("bert")
    worker, counts = server.service.desk, server.service.counts

    def written() -> Iterator[int]:
        for step in range(10**6):
            time.sleep(0.001)
            yield step

    def slow(model: Any, payloads: Any) -> Any:
        time.sleep(0.08)
        return payloads

    async def go() -> list[float]:
        text = StreamJob("bert", 1, object(), lambda model, _: [written()], None)
        server.service.queue.put(text)
        worker.turn()
        assert counts.generated == 1
        found: list[float] = []
        for jobs in (1, 0, 2):
            for _ in range(jobs):
                server.service.queue.put(Job("bert", 1, object(), slow, None))
            began, before = time.monotonic(), counts.generated
            worker.turn()
            found += [counts.generated - before, time.monotonic() - began - 0.08 * jobs]
        text.cancelled = True
        worker.turn()
        assert worker.streams == 0
        return found

    one, took, rests, _, two, longer = asyncio.run(go())
    assert took >= 0.08
    assert one > 8
    assert rests == 1  # nobody waits for more than a step
    assert longer >= 0.16
    assert two > 16


def test_a_batch_ends_between_two_products_once_nobody_waits(runs: dict[str, Path]) -> None:
    model, checked = load(runs["bert"]), 0

    def check() -> None:
        nonlocal checked
        checked += 1
        if checked == 3:
            raise KeyboardInterrupt

    with filled_by(None, check), pytest.raises(KeyboardInterrupt):
        model.embed(["the cat"])
    assert checked == 3


def test_work_on_other_threads_ends_as_on_this_one() -> None:
    def read(number: int) -> int:
        check()
        return number

    def left() -> None:
        raise KeyboardInterrupt

    assert list(side_by_side(read, [1, 2, 3], 2)) == [1, 2, 3]
    with filled_by(None, left), pytest.raises(KeyboardInterrupt):
        list(side_by_side(read, [1, 2, 3], 2))
    assert list(side_by_side(read, [1, 2, 3], 2)) == [1, 2, 3]


NAMED = {"x-work": "my-work-1"}


def test_what_waits_can_be_stopped_by_its_name(runs: dict[str, Path]) -> None:
    server = Server(runs)  # nobody works yet

    async def go() -> list[Reply]:
        body = {"texts": ["the old cat"]}
        asking = asyncio.ensure_future(server.ask("POST", "/api/score", body, headers=NAMED))
        while not server.service.queue.jobs:
            await asyncio.sleep(0.002)
        twice = await server.ask("POST", "/api/score", body, headers=NAMED)
        ended = await server.ask("DELETE", "/api/work/my-work-1")
        reply = await asking
        return [twice, ended, reply, await server.ask("DELETE", "/api/work/my-work-1")]

    twice, ended, reply, again = asyncio.run(go())
    assert [each.status for each in (twice, ended, reply, again)] == [409, 200, 409, 404]
    assert (ended.json, reply.error["code"]) == ({"stopped": "my-work-1"}, "stopped")
    assert reply.headers["x-work"] == "my-work-1"
    assert server.service.queue.take() == []


def test_a_text_can_be_stopped_by_its_name(server: Server) -> None:
    async def go() -> Reply:
        begun = asyncio.Event()
        body = {**LONG, "max_new_tokens": 2000}
        asking = asyncio.ensure_future(
            server.ask("POST", "/api/generate", body, headers=NAMED, leave=lambda part: bool(begun.set()))
        )
        await begun.wait()
        assert (await server.ask("DELETE", "/api/work/my-work-1")).status == 200
        return await asking

    reply = asyncio.run(go())
    *pieces, last = reply.lines
    assert 0 < len(pieces) < 2000
    assert last["error"]["code"] == "stopped"


@pytest.mark.parametrize("named", ["", "short", "with space", "x" * 65, "a\nb-c-d-e-f"])
def test_an_answer_has_a_name_of_ours_where_it_has_no_good_one(named: str, server: Server) -> None:
    reply = asyncio.run(server.ask("GET", "/health", headers={"x-work": named}))
    assert len(reply.headers["x-work"]) == 24


def test_an_end_waits_for_no_long_call(runs: dict[str, Path]) -> None:
    server = Server(runs)
    server.service.start()

    async def go() -> int:
        inside = threading.Event()
        asking = asyncio.ensure_future(held(server, inside))
        await asyncio.to_thread(inside.wait)
        began = time.monotonic()
        await asyncio.to_thread(server.service.stop, 0.1)
        assert time.monotonic() - began < 1
        with pytest.raises(Exception, match="ending") as error:
            await asking
        return int(error.value.status)  # type: ignore[attr-defined]

    assert asyncio.run(go()) == 503


def test_a_full_queue_answers_at_once_with_429(runs: dict[str, Path]) -> None:
    server = Server(runs, max_queue=4)
    gone = asyncio.Event()

    async def go() -> Reply:
        body = {"text": "the old [MASK]"}
        first = asyncio.ensure_future(server.ask("POST", "/api/fill", body, until=gone))
        while not server.service.queue.jobs:
            await asyncio.sleep(0.01)
        second = await server.ask("POST", "/api/fill", body)
        gone.set()
        await first
        return second

    reply = asyncio.run(go())
    assert (reply.status, reply.headers["retry-after"]) == (429, "1")
    assert reply.error["code"] == "queue_full"


def test_a_damaged_run_is_503_and_leaves_the_others_alone(runs: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(runs["bert"], broken)
    (broken / "model.safetensors").write_bytes(b"no weights")
    shutil.rmtree(broken / "resume", ignore_errors=True)
    server = Server({"broken": broken, "bert": runs["bert"]})
    server.service.start()
    reply = server.post("/api/fill", {"text": "a [MASK]"})
    assert (reply.status, reply.error["code"]) == (503, "CheckpointError")
    assert server.post("/api/fill", {"run": "bert", "text": "a [MASK]"}).status == 200
    server.service.stop(5.0)


def test_warnings_of_other_threads_are_told_to_whom_they_come_of(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded(folder: Path) -> Any:
        warnings.warn(f"{folder.name} was mended", stacklevel=2)
        return load(folder)

    both = threading.Barrier(2, timeout=30)

    def read(_: Any, payloads: Any) -> list[Any]:
        """Two threads of the desk's, while a study warns, too."""

        def warn(name: str) -> str:
            both.wait()
            warnings.warn(f"of {name}", stacklevel=2)
            both.wait()
            return name

        return [list(side_by_side(warn, [*payloads, "beside"], 2))]

    def counted() -> None:
        warnings.warn("of counting", stacklevel=2)

    monkeypatch.setattr(shelf, "_load", loaded)
    with working(Server(runs)) as server:
        service = server.service

        async def ask() -> list[list[str]]:
            with taking_notes() as mine:
                await service.side.study(counted)
            with taking_notes() as others:
                first = await service.ask("gpt", 1, read, "a")
                second = await service.ask("gpt", 1, read, "b")
            return [mine.texts, others.texts, sorted(first.notes), sorted(second.notes)]

        mended = f"{runs['gpt'].name} was mended"
        told = asyncio.run(ask())
        assert told == [["of counting"], [], sorted([mended, "of a", "of beside"]), ["of b", "of beside"]]
        monkeypatch.setattr(
            type(service.shelf), "tokenizer", lambda *_: counted() or load(runs["gpt"]).tokenizer
        )
        notes = server.post("/api/tokenize", {"run": "gpt", "text": "the cat"}).headers["x-notes"]
        assert unquote(notes) == "of counting"


def test_a_run_that_is_replaced_is_loaded_anew(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polyseme.serve.work.shelf.LOOK_S", 0.0)
    moving = tmp_path / "moving"
    shutil.copytree(runs["bert"], moving)
    server = Server({"moving": moving})
    server.service.start()
    assert "fill" in server.get("/v1/models/moving").json["abilities"]
    before = server.post("/api/encode", {"text": "the cat"})
    meta = json.loads((moving / "run.json").read_text())
    (moving / "run.json").write_text("{")  # half written
    assert server.post("/api/encode", {"text": "the cat"}).body == before.body
    shutil.rmtree(moving)
    shutil.copytree(runs["gpt"], moving)
    after = server.post("/api/encode", {"text": "the cat"})
    assert after.status == 200
    assert after.body != before.body
    assert "generate" in server.get("/v1/models/moving").json["abilities"]
    assert meta["model"] == "bert"
    server.service.stop(5.0)


def test_the_run_that_was_used_longest_ago_makes_room(runs: dict[str, Path]) -> None:
    server = Server(runs, memory=1.0)
    for name in ("bert", "gpt", "bert"):
        server.service.shelf.get(name)
        assert server.service.shelf.in_memory == [name]
    roomy = Server(runs).service.shelf
    for name in ("bert", "gpt", "bert"):
        roomy.get(name)
    assert roomy.in_memory == ["gpt", "bert"]
    assert roomy.bytes > 1000


def test_an_end_of_the_server_is_told(runs: dict[str, Path]) -> None:
    server = Server(runs)
    server.service.start()
    server.service.stop(5.0)
    assert server.post("/api/fill", {"text": "a [MASK]"}).status == 503


def test_memory_is_given_back_after_work_and_once(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = threading.Semaphore(0)
    monkeypatch.setattr(desk, "REST_S", 0.01)
    monkeypatch.setattr(desk, "trim", given.release)
    with working(Server(runs)) as server:
        assert not given.acquire(timeout=0.05)
        for _ in range(2):
            assert server.post("/api/tokenize", {"text": "the cat"}).status == 200
            assert given.acquire(timeout=30)
        assert not given.acquire(timeout=0.05)
