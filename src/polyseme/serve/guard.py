"""Who may ask: the first thing that a request meets. Pure ASGI; what it does not know it refuses.

    Host            exactly one, of those that are served: a name that points to 127.0.0.1 by now is not among them
    Origin          where there is one, it must be of such a host; "null" is not.  Sec-Fetch-Site: same-origin or none
    Content-Type    POST brings application/json, which no form and no simple request of another page can
    Authorization   Bearer TOKEN, where there is a token; /health and the page's own files are open
    body            counted while it is read; JSON no deeper than 32

403 and not 421 for a wrong Host: browsers ask again after 421.  No CORS header is ever sent.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from hmac import compare_digest
from typing import Any

from polyseme.serve.errors import Refused, document
from polyseme.serve.options import ServeConfig

__all__ = ["Application", "Guard", "Message", "Receive", "Scope", "Send"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

DEPTH = 32
METHODS = ("GET", "HEAD", "POST", "DELETE")
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types svelte-trusted-html"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_LAST = {"connection": "close"}
"""What is left of a body that is not read must not be taken for the next request."""
_TEXTS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


class Guard:
    """Lets requests through to an application.

    Args:
        app: what they are let through to.
        config: hosts, token, bounds of a body.
    """

    def __init__(self, app: Application, config: ServeConfig) -> None:
        self._app, self._config = app, config
        self._hosts = config.hosts
        self._token = None if config.token is None else f"Bearer {config.token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # websockets are not spoken here
            await send({"type": "websocket.close", "code": 1008})
            return
        sent = False

        async def guarded(message: Message) -> None:
            nonlocal sent
            if message["type"] == "http.response.start":
                sent = True
                names = {name.lower() for name, _ in message.get("headers", ())}
                more = [(n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in names]
                message = {**message, "headers": [*message.get("headers", ()), *more]}
            await send(message)

        try:
            self._check(scope)
            body = await self._body(scope, receive)
        except Refused as error:
            await _refuse(guarded, error)
            return
        except Exception:  # whatever a request does to the checks themselves: it is not let through
            await _refuse(
                guarded,
                Refused(
                    400,
                    "the request cannot be read",
                    code="bad_request",
                    fix="curl or another client that speaks HTTP/1.1",
                ),
            )
            return
        try:
            await self._app(scope, _again(body, receive), guarded)
        except Exception:  # of an answer that was not made: its words might tell what nobody is to read
            if sent:  # the answer has begun: the connection is cut, so that nobody takes it for whole
                raise
            await _refuse(
                guarded,
                Refused(
                    500,
                    "the server failed",
                    code="server_error",
                    fix="the same once more; if it fails again, report it with what was asked",
                ),
            )

    def _check(self, scope: Scope) -> None:
        """Raises:  Refused: who asks may not."""
        headers = [(name.lower(), value) for name, value in scope["headers"]]

        def of(name: bytes) -> list[bytes]:
            return [value for key, value in headers if key == name]

        hosts = of(b"host")
        if len(hosts) != 1 or hosts[0].decode("latin-1").lower() not in self._hosts:
            raise Refused(
                403,
                "this server is not called so",
                code="host",
                got=b", ".join(hosts).decode("latin-1") or "no Host",
                fix="its address, or polyseme serve --allow-host NAME",
            )
        for origin in of(b"origin"):
            scheme, _, host = origin.decode("latin-1").lower().partition("://")
            if scheme not in ("http", "https") or host not in self._hosts:
                raise Refused(
                    403,
                    "another page may not ask",
                    code="origin",
                    got=origin.decode("latin-1"),
                    fix="a page of this server, or a program that sends no Origin",
                )
        for site in of(b"sec-fetch-site"):
            if site not in (b"same-origin", b"none") and not _opens(scope):
                raise Refused(
                    403,
                    "another page may not ask",
                    code="site",
                    got=site.decode("latin-1"),
                    fix="a page of this server, or a program that sends no Sec-Fetch-Site",
                )
        if scope["method"] not in METHODS:
            raise Refused(
                405, "no such method", code="method", headers={"allow": ", ".join(METHODS)}, fix="GET or POST"
            )
        if self._token is not None and not _open(scope["path"]):
            shown = of(b"authorization")
            if len(shown) != 1 or not compare_digest(shown[0], self._token):
                raise Refused(
                    401,
                    "the token is missing" if not shown else "the token is wrong",
                    code="token",
                    fix="Authorization: Bearer TOKEN, with the token of the address that was printed",
                    headers={"www-authenticate": "Bearer"},
                )
        if of(b"content-length") and of(
            b"transfer-encoding"
        ):  # two ends: a proxy may see another one than we do
            raise Refused(
                400, "the body has two lengths", code="body", headers=_LAST, fix="one Content-Length"
            )
        if scope["method"] == "POST":
            kinds = of(b"content-type")
            kind = kinds[0].partition(b";")[0].strip().lower() if len(kinds) == 1 else b""
            if kind != b"application/json":
                raise Refused(
                    415,
                    "only JSON is read",
                    code="content_type",
                    got=b", ".join(kinds).decode("latin-1") or "no Content-Type",
                    expected="application/json",
                    fix="-H 'content-type: application/json'",
                )

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """Raises:  Refused: it is too long, too slow or too deep."""
        if scope["method"] not in ("POST", "DELETE"):
            return b""
        most = self._config.max_body

        def check(size: int) -> None:
            if size > most:
                got, expected = f"{size:,} bytes", f"{most:,}"
                raise Refused(
                    413,
                    "the body is too long",
                    code="body",
                    got=got,
                    expected=expected,
                    headers=_LAST,
                    fix="several requests",
                )

        for name, value in scope["headers"]:
            if name.lower() == b"content-length" and value.isdigit():
                check(int(value[:20]))
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._config.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refused(400, "the body ended early", code="body", fix="the same once more")
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    check(size)
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise Refused(
                408, "the body took too long", code="body", headers=_LAST, fix="the same once more"
            ) from None
        body = b"".join(parts)
        if body.count(b"[") + body.count(b"{") > DEPTH and depth(body) > DEPTH:
            raise Refused(
                422,
                "the JSON is too deep",
                code="depth",
                expected=f"at most {DEPTH} levels",
                fix="fewer lists and objects inside one another",
            )
        return body


def depth(body: bytes) -> int:
    """How deep the brackets of JSON go, outside of its texts.

    Example:
        >>> depth(b'{"a": [1, "[[["]}')
        2
    """
    deepest = now = 0
    for bracket in _BRACKETS.findall(_TEXTS.sub(b"", body)):
        now += 1 if bracket in b"[{" else -1
        deepest = max(deepest, now)
    return deepest


def _open(path: str) -> bool:
    """Whether a path is answered without a token: the page's own files, which hold nothing of anybody's."""
    return path in ("/health", "/") or path.startswith("/static/")


def _opens(scope: Scope) -> bool:
    """Whether a person follows a link to the page itself, which any page may have."""
    return bool(scope["method"] == "GET" and scope["path"] == "/")


def _again(body: bytes, receive: Receive) -> Receive:
    """The body that was read, then what else comes: the end of the connection."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message


async def _refuse(send: Send, error: Refused) -> None:
    body = json.dumps(document(error)).encode()
    headers: Iterable[tuple[str, str]] = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        **error.headers,
    }.items()
    await send(
        {
            "type": "http.response.start",
            "status": error.status,
            "headers": [(name.encode(), value.encode()) for name, value in headers],
        }
    )
    await send({"type": "http.response.body", "body": body})
