"""Requests to a server in this process: ASGI messages in, the answer out; and a server behind a socket."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from polyseme.serve import serve
from polyseme.serve.app import App
from polyseme.serve.guard import Guard
from polyseme.serve.options import ServeConfig

HOST = "127.0.0.1:8421"


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes
    parts: list[bytes]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.json["error"]
        return error


def nearly(one: Any, other: Any) -> bool:
    """Whether two documents are the same but for the last digits of numbers, in which a sum depends on where in memory
    its terms lie."""
    if isinstance(one, float) and isinstance(other, float):
        return bool(one == pytest.approx(other, rel=1e-5))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(nearly(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(nearly, one, other))
    return bool(one == other)


class Server:
    """A server of runs, with its guard."""

    def __init__(self, runs: Mapping[str, Path], **options: Any) -> None:
        self.config = ServeConfig(runs=dict(runs), **{"log": "none", **options})
        self.app = App(self.config)
        self.guard = Guard(self.app, self.config)
        self.service = self.app.service

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        leave: Callable[[bytes], bool] | None = None,
        raw: list[tuple[bytes, bytes]] | None = None,
        until: asyncio.Event | None = None,
    ) -> Reply:
        """One request.

        Args:
            leave: told each part; True = the client goes.
            raw: the headers as they are.
            until: when the client goes.
        """
        path, _, query = path.partition("?")
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        given = {"host": HOST, **({"content-type": "application/json"} if method == "POST" else {})}
        given |= dict(headers or {})
        lines = raw if raw is not None else [(k.encode(), v.encode()) for k, v in given.items()]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": lines,
        }
        sent = False
        gone = until or asyncio.Event()
        start: dict[str, Any] = {}
        parts: list[bytes] = []

        async def receive() -> dict[str, Any]:
            nonlocal sent
            if not sent:
                sent = True
                return {"type": "http.request", "body": data, "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                parts.append(message.get("body", b""))
                if leave is not None and leave(parts[-1]):
                    gone.set()

        await self.guard(scope, receive, send)
        shown = {name.decode(): value.decode("latin-1") for name, value in start.get("headers", ())}
        return Reply(start.get("status", 0), shown, b"".join(parts), parts)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Server]:
        self.service.start()
        try:
            yield self
        finally:
            await asyncio.to_thread(self.service.stop, 5.0)

    def get(self, path: str, **how: Any) -> Reply:
        return self._alone("GET", path, None, how)

    def post(self, path: str, body: Any = None, **how: Any) -> Reply:
        return self._alone("POST", path, body, how)

    def _alone(self, method: str, path: str, body: Any, how: Any) -> Reply:
        """A request by itself; the desk goes on from one to the next."""
        return asyncio.run(self.ask(method, path, body, **how))


@contextmanager
def listening(runs: Mapping[str, Path], **options: Any) -> Iterator[int]:
    """A server of runs behind a socket, as `serve` starts it, on a thread; its port."""
    import uvicorn

    made: list[Any] = []

    class Kept(uvicorn.Server):  # type: ignore[misc]
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    told: queue.Queue[str] = queue.Queue()
    config = ServeConfig(runs=dict(runs), port=0, **{"log": "none", **options})
    thread = threading.Thread(target=serve, args=(config, told.put))
    # told first, made then: the patch must outlast both
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn, "Server", Kept)
        thread.start()
        address = told.get(timeout=30)
        try:
            yield int(address.rstrip("/").rpartition(":")[2])
        finally:
            while not made:
                time.sleep(0.01)
            made[0].should_exit = True
            thread.join(30)
    assert not thread.is_alive()
