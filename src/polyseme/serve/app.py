"""The ASGI application: a route for every request, one shape for every error, and an eye on clients that go.

A client's end is seen by a task that awaits it beside the answer, for whole answers as for streams. What is then still
undone is cancelled: the queue drops it, and what is being done ends at its next step. DELETE /api/work/ID does the same
for who cannot go: ID is what the request's X-Work says, or what the answer's X-Work says.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

from polyseme.core.config import escaped
from polyseme.core.version import __version__
from polyseme.errors import PolysemeError
from polyseme.serve.calls import Answer, Call, Chunks, Protocol, Route, noted, to_bytes
from polyseme.serve.errors import BODIES, Refused, checked, document, in_words, refused
from polyseme.serve.files import PageFiles
from polyseme.serve.guard import Message, Receive, Scope, Send
from polyseme.serve.options import ServeConfig
from polyseme.serve.work.notes import taking_notes
from polyseme.serve.work.service import Service, first_gone

__all__ = ["App", "all_routes"]

SHUTDOWN_S = 1.0
_LONE = re.compile(rb"\\u[dD][89a-fA-F]")
_WORK = re.compile(rb"[A-Za-z0-9_-]{8,64}")
GONE = 499


def all_routes() -> list[Route]:
    """Every protocol's routes."""
    from polyseme.serve.wire import hf, openai, ours, studies, tei

    protocols = (ours, studies, openai, tei, hf)
    return [*(r for protocol in protocols for r in protocol.ROUTES), Route("GET", "/openapi.json", _openapi)]


async def _openapi(call: Call) -> Answer:
    from polyseme.serve.wire.schema import openapi

    return Answer(openapi(all_routes()))


class App:
    """Answers what the guard let through.

    Args:
        config: what is served.
        service: who does the work; a new one where there is none.
    """

    def __init__(self, config: ServeConfig, service: Service | None = None) -> None:
        self.config = config
        self.service = service or Service(config)
        self._routes = all_routes()
        self._page = PageFiles() if config.page else None
        self._hidden = [
            (shown(path).encode(), shown(name).encode())
            for path, name in config.hidden
            for shown in (lambda text: escaped(json.dumps(text, ensure_ascii=False))[1:-1], noted)
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        began = time.monotonic()
        method = "GET" if scope["method"] == "HEAD" else str(scope["method"])
        told = _Told(send, began, bare=scope["method"] == "HEAD", work=_work_of(scope), hidden=self._hidden)
        try:
            await self._respond(scope, method, receive, told)
        finally:
            self.service.counts.answered(told.route, told.status or GONE, time.monotonic() - began)
            self._log(method, told, time.monotonic() - began)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.service.start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await asyncio.to_thread(self.service.stop, SHUTDOWN_S)
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _respond(self, scope: Scope, method: str, receive: Receive, told: _Told) -> None:
        """Answer, unless the client goes before."""
        body = await _whole(receive)
        works = self.service.works
        if told.work in works:
            taken = Refused(
                409,
                "something of this X-Work is going on",
                code="work",
                got=told.work,
                fix="another X-Work, or none",
            )
            await told.whole(Answer(document(taken), taken.status))
            return
        stop = works[told.work] = asyncio.get_running_loop().create_future()
        work = asyncio.ensure_future(self._answer(scope, method, body, told))
        gone = asyncio.ensure_future(first_gone(receive))
        try:
            await asyncio.wait({work, gone, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                with suppress(asyncio.CancelledError):
                    await work
                if not gone.done():
                    await told.stopped(
                        Refused(409, "it was stopped", code="stopped", fix="the same once more")
                    )
                return
            work.result()
        finally:
            del works[told.work]
            stop.cancel()
            gone.cancel()
            work.cancel()

    async def _answer(self, scope: Scope, method: str, body: bytes, told: _Told) -> None:
        route: Route | None = None
        asked: str | None = None
        if method == "GET" and self._page is not None and self._page.has(str(scope["path"])):
            told.route = "page"
            await told.whole(self._page.answer(str(scope["path"]), scope["headers"]))
            return
        try:
            route, parts, run = self._route(method, str(scope["path"]))
            told.route, told.protocol = route.path, route.protocol
            call = self._call(scope, route, parts, run, body)
            asked = call.run
            with taking_notes() as notes:  # of counting and of studies; the desk's are in what it answers
                answer = await route.handler(call)
            answer.add_notes(call.told(notes.texts))
        except Exception as error:
            found = await self._refused(error, route, asked)
            await told.whole(Answer(shaped(found, told.protocol), found.status, found.headers))
            return
        if isinstance(answer, Answer):
            await told.whole(answer)
        else:
            await told.parts(answer, lambda error: self._refused(error, route, asked))

    def _route(self, method: str, path: str) -> tuple[Route, dict[str, str], str | None]:
        """Raises:  Refused: 404, or 405 with the methods that there are."""
        run: str | None = None
        if path.startswith("/models/"):
            run, slash, rest = path.removeprefix("/models/").partition("/")  # its escapes are undone already
            path = slash + rest or "/models"
        allowed = set()
        for route in self._routes:
            parts = route.match(path)
            if parts is None:
                continue
            if route.method == method:
                return route, parts, run
            allowed.add(route.method)
        if allowed:
            raise Refused(
                405,
                "no such method here",
                code="method",
                headers={"allow": ", ".join(sorted(allowed))},
                fix=f"{min(allowed)} {path}",
            )
        raise Refused(404, "there is nothing here", code="not_found", got=path, fix="GET /openapi.json")

    def _call(
        self, scope: Scope, route: Route, parts: Mapping[str, str], run: str | None, body: bytes
    ) -> Call:
        """Raises:  Refused: no such run, or the body does not fit."""
        query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True))
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        values: Any = None
        named = parts.get("run", run)
        if route.method == "POST":
            values = _json(body)
            if not isinstance(values, dict):
                raise Refused(
                    422, "the body must be an object", code="body", got=type(values).__name__, fix=BODIES
                )
            of_body = values.get(route.named)
            if of_body is not None and (named is None or route.protocol == "ours"):
                if not isinstance(of_body, str):
                    raise Refused(
                        422,
                        "a run is named by a string",
                        param=route.named,
                        code="type",
                        fix=f'"{route.named}": "NAME"',
                    )
                if named not in (None, of_body):
                    raise Refused(
                        422,
                        "the path names another run",
                        param=route.named,
                        code="run",
                        got=of_body,
                        expected=named,
                        fix="one of them",
                    )
                named = of_body
        named = self.config.first if named is None else named
        self.service.shelf.folder(named)  # 404 where there is none
        lang = values.get("lang") if isinstance(values, dict) else None
        if lang is not None and route.protocol == "ours" and lang not in ("en", "zh"):
            raise Refused(
                422, "no such language", param="lang", code="type", got=lang, expected="en, zh", fix="lang en"
            )
        call = Call(self.service, named, parts, query, headers, values, lang=lang)
        if route.body is not None:
            read = {route.named, "runs" if route.several else "", "lang" if route.protocol == "ours" else ""}
            known = {k: v for k, v in values.items() if k not in read}
            call.asked = checked(route.body, known)
        return call

    async def _refused(self, error: BaseException, route: Route | None, run: str | None) -> Refused:
        """What an error is over HTTP; where a run cannot do what was asked, it names those that can."""
        can: list[str] = []
        if (
            isinstance(error, PolysemeError)
            and route is not None
            and route.ability is not None
            and run is not None
        ):
            can = await self.service.side.count(self._able, route.ability, run)
        found = refused(error, can, paths=self.config.is_local)
        if found.code == "server_error" and self.config.log != "none":
            print(f"failed: {type(error).__name__}", file=sys.stderr, flush=True)
        return found

    def _able(self, ability: str, run: str) -> list[str]:
        """Runs that can do what this one cannot; none where it is not for that that it failed."""
        with suppress(Refused, PolysemeError):
            if ability not in self.service.shelf.abilities(run):
                return self.service.shelf.able(ability)
        return []

    def _log(self, method: str, told: _Told, seconds: float) -> None:
        """A line an answer: what was asked and what came of it, never a text."""
        if self.config.log == "none":
            return
        status, ms = told.status or GONE, round(seconds * 1000)
        if self.config.log == "json":
            facts = {"method": method, "route": told.route, "status": status, "tokens": told.tokens, "ms": ms}
            line = json.dumps(facts)
        else:
            line = f"{method} {told.route} {status} {told.tokens} tokens {ms} ms"
        with suppress(OSError):
            print(line, file=sys.stderr, flush=True)


def shaped(error: Refused, protocol: Protocol) -> dict[str, Any]:
    """An error as a protocol's clients read it."""
    if protocol == "tei":
        kinds = {413: "Validation", 422: "Validation", 400: "Validation", 429: "Overloaded"}
        return {"error": in_words(error), "error_type": kinds.get(error.status, "Backend")}
    if protocol == "hf":
        return {"error": in_words(error)}
    return document(error)


class _Told:
    """What a client is told, part by part.

    Attributes:
        status: 0 while nothing was sent.
        route, tokens: for the log.
        work: the X-Work.
    Args:
        hidden: what is not to be told, and what is told in its place.
    """

    def __init__(
        self, send: Send, began: float, bare: bool, work: str, hidden: Sequence[tuple[bytes, bytes]]
    ) -> None:
        self._send, self._began, self._bare, self.work = send, began, bare, work
        self._hidden = hidden
        self._broken: Callable[[Refused], bytes] | None = None
        self.status = self.tokens = 0
        self.route = "-"
        self.protocol: Protocol = "ours"

    async def whole(self, answer: Answer) -> None:
        """Send an answer."""
        self.tokens = answer.tokens
        body = self._told(answer.body if isinstance(answer.body, bytes) else to_bytes(answer.body))
        headers = {"content-length": str(len(body)), **answer.headers}
        await self._start(answer.status, answer.media, headers)
        await self._send({"type": "http.response.body", "body": b"" if self._bare else body})

    async def parts(self, answer: Chunks, refused: Callable[[BaseException], Awaitable[Refused]]) -> None:
        """Send an answer as it comes; the first part decides whether it is an answer at all."""
        self.tokens, self._broken = answer.tokens, answer.broken
        try:
            await self._start(200, answer.media, {**answer.headers, "x-accel-buffering": "no"})
            await self._parts(answer, refused)
        finally:
            answer.close()  # parts that were never begun end nothing
        await self._send({"type": "http.response.body", "body": b""})

    async def _parts(self, answer: Chunks, refused: Callable[[BaseException], Awaitable[Refused]]) -> None:
        try:
            async for part in answer.parts:
                await self._send({"type": "http.response.body", "body": self._told(part), "more_body": True})
        except Exception as error:
            last = self._told(answer.broken(await refused(error)))
            await self._send({"type": "http.response.body", "body": last, "more_body": True})
        finally:
            close = getattr(answer.parts, "aclose", None)
            if close is not None:
                await close()

    def _told(self, said: bytes) -> bytes:
        """Without what is hidden."""
        for path, name in self._hidden:
            said = said.replace(path, name)
        return said

    async def stopped(self, error: Refused) -> None:
        """Say that there is no more of it."""
        if not self.status:
            await self.whole(Answer(shaped(error, self.protocol), error.status))
        elif self._broken is not None:
            await self._send({"type": "http.response.body", "body": self._broken(error)})

    async def _start(self, status: int, media: str, headers: Mapping[str, str]) -> None:
        self.status = status
        took = f"{(time.monotonic() - self._began) * 1000:.0f}"
        own = {"x-total-time": took, "x-polyseme": __version__, "x-work": self.work}
        every = {"content-type": media, **headers, **own}
        lines: Sequence[tuple[bytes, bytes]] = [
            (
                name.encode(),
                self._told(value.encode("latin-1", "replace")).replace(b"\n", b" ").replace(b"\r", b" "),
            )
            for name, value in every.items()
        ]
        message: Message = {"type": "http.response.start", "status": status, "headers": lines}
        await self._send(message)


def _work_of(scope: Scope) -> str:
    """What a request calls its work; a name of ours where it has no good one."""
    for name, value in scope["headers"]:
        if name.lower() == b"x-work" and _WORK.fullmatch(value):
            return str(value.decode())
    return secrets.token_hex(12)


async def _whole(receive: Receive) -> bytes:
    """The body, which the guard has counted."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return b"".join(parts)


def _json(body: bytes) -> Any:
    """Raises:  Refused: it is no JSON, or holds half characters."""
    try:
        values = json.loads(body.decode("utf-8"), parse_constant=_no_number)
        if _LONE.search(body):
            json.dumps(values, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Refused(400, "the body is no JSON", code="json", got=str(error)[:100], fix=BODIES) from None
    return values


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")
