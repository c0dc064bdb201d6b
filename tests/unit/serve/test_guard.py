from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from asked import HOST, Reply
from polyseme.serve.guard import HEADERS, Guard, depth
from polyseme.serve.options import ServeConfig, token_for

JSON = {"content-type": "application/json"}


class Behind:
    """What the guard lets through to: it says what it was given."""

    def __init__(self) -> None:
        self.reached = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached += 1
        message = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": message["body"]})


def ask(
    method: str = "GET",
    path: str = "/api/server",
    headers: list[tuple[str, str]] | None = None,
    parts: list[bytes] | None = None,
    slow: float = 0.0,
    kind: str = "http",
    **options: Any,
) -> tuple[Reply, int]:
    behind = Behind()
    guard = Guard(behind, ServeConfig(runs={"a": Path("a")}, **options))
    given = [("host", HOST)] if headers is None else headers
    coming = list(parts or [b""])
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(slow)
        return {"type": "http.request", "body": coming.pop(0), "more_body": bool(coming)}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers or given],
    }
    asyncio.run(guard(scope, receive, send))
    start = sent[0]
    shown = {name.decode(): value.decode() for name, value in start.get("headers", ())}
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Reply(start.get("status", 0), shown, body, []), behind.reached


@pytest.mark.parametrize("host", [HOST, "localhost:8421", "[::1]:8421", "LOCALHOST:8421"])
def test_its_own_names_are_let_through(host: str) -> None:
    reply, reached = ask(headers=[("host", host)])
    assert (reply.status, reached) == (200, 1)


@pytest.mark.parametrize(
    "hosts",
    [
        ["evil.test:8421"],
        ["127.0.0.1"],
        ["127.0.0.1:80"],
        ["127.0.0.1:8421.evil.test"],
        ["evil.test"],
        ["localhost:8421@evil.test"],
        [""],
        [],
        [HOST, "evil.test"],
        [HOST, HOST],
        [" " + HOST],
        ["0.0.0.0:8421"],
    ],
)
def test_other_names_are_not(hosts: list[str]) -> None:
    reply, reached = ask(headers=[("accept", "*/*"), *(("host", host) for host in hosts)])
    assert (reply.status, reached) == (403, 0)
    assert reply.error["code"] == "host"


def test_a_host_that_was_allowed_is_let_through_also_where_all_may_connect() -> None:
    options = {"host": "0.0.0.0", "allow_hosts": ("box.lan",), "token": "t"}
    auth = ("authorization", "Bearer t")
    assert ask(headers=[("host", "box.lan:8421"), auth], **options)[0].status == 200
    assert ask(headers=[("host", "box.lan"), auth], **options)[0].status == 200
    assert ask(headers=[("host", "other.lan:8421"), auth], **options)[0].status == 403


@pytest.mark.parametrize("origin", ["http://" + HOST, "https://localhost:8421"])
def test_the_page_itself_may_ask(origin: str) -> None:
    assert ask(headers=[("host", HOST), ("origin", origin)])[0].status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://evil.test",
        "http://127.0.0.1:9999",
        "file://" + HOST,
        "http://127.0.0.1:8421.evil.test",
        "http://127.0.0.1:8421/",
        "chrome-extension://abc",
        "",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_page_may_not(origin: str, method: str) -> None:
    headers = [("host", HOST), ("origin", origin), *JSON.items()]
    reply, reached = ask(method, headers=headers)
    assert (reply.status, reached) == (403, 0)


@pytest.mark.parametrize(("site", "status"), [("same-origin", 200), ("none", 200), ("cross-site", 403)])
def test_what_the_browser_says_of_the_site_counts(site: str, status: int) -> None:
    headers = [("host", HOST), ("sec-fetch-site", site)]
    assert ask(headers=headers)[0].status == status
    assert ask("GET", "/", headers=headers)[0].status == 200  # a link to the page itself
    assert ask(headers=[*headers, ("sec-fetch-site", "same-site")])[0].status == 403


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=a",
        "application/jsonp",
        "",
    ],
)
def test_forms_and_simple_requests_are_not_read(kind: str) -> None:
    reply, reached = ask("POST", headers=[("host", HOST), ("content-type", kind)], parts=[b"{}"])
    assert (reply.status, reached) == (415, 0)
    assert ask("POST", headers=[("host", HOST)], parts=[b"{}"])[0].status == 415
    both = [("host", HOST), *JSON.items(), ("content-type", kind)]
    assert ask("POST", headers=both, parts=[b"{}"])[0].status == 415


def test_json_is_read_in_parts() -> None:
    headers = [("host", HOST), ("Content-Type", "application/json; charset=utf-8")]
    reply, _ = ask("POST", headers=headers, parts=[b'{"a"', b": 1}"])
    assert reply.json == {"a": 1}


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "PATCH", "TRACE", "CONNECT", "get"])
def test_other_methods_are_not_known(method: str) -> None:
    reply, reached = ask(method)
    assert (reply.status, reached) == (405, 0)
    assert "POST" in reply.headers["allow"]
    assert not [name for name in reply.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "shown", [[], ["Bearer wrong"], ["secret"], ["Basic secret"], ["bearer secret"], ["Bearer secret "]]
)
def test_a_token_must_be_shown(shown: list[str]) -> None:
    headers = [("host", HOST), *(("authorization", each) for each in shown)]
    reply, reached = ask(headers=headers, token="secret")
    assert (reply.status, reached) == (401, 0)
    assert reply.headers["www-authenticate"] == "Bearer"
    assert "secret" not in reply.body.decode()
    right = [("host", HOST), ("authorization", "Bearer secret")]
    assert ask(headers=right, token="secret")[0].status == 200
    assert ask(headers=[*right, right[1]], token="secret")[0].status == 401
    assert ask(path="/health", headers=headers, token="secret")[0].status == 200


def test_bodies_are_counted_whatever_is_said_of_their_length() -> None:
    said = [("host", HOST), *JSON.items(), ("content-length", "9999999999")]
    assert ask("POST", headers=said, parts=[b"{}"])[0].status == 413
    headers = [("host", HOST), *JSON.items()]
    reply, reached = ask("POST", headers=headers, parts=[b" " * 60] * 4, max_body=200)
    assert (reply.status, reached) == (413, 0)
    assert ask("POST", headers=headers, parts=[b" " * 50] * 4, max_body=200)[0].status == 200


def test_a_body_must_arrive_in_time() -> None:
    headers = [("host", HOST), *JSON.items()]
    reply, reached = ask("POST", headers=headers, parts=[b" "] * 99, slow=0.01, body_seconds=0.05)
    assert (reply.status, reached) == (408, 0)


def test_json_is_not_deep() -> None:
    headers = [("host", HOST), *JSON.items()]
    assert ask("POST", headers=headers, parts=[b"[" * 33 + b"]" * 33])[0].status == 422
    assert ask("POST", headers=headers, parts=[b"[" * 32 + b"]" * 32])[0].status == 200
    text = json.dumps({"text": "[" * 99 + '"\\'}).encode()
    assert ask("POST", headers=headers, parts=[text])[0].status == 200
    assert depth(b'["\\"[[", {"a": []}]') == 3


def test_every_answer_has_the_headers_of_safety() -> None:
    for reply, _ in (ask(), ask(headers=[("host", "evil.test")]), ask("PUT")):
        assert HEADERS.items() <= reply.headers.items()


def test_other_protocols_are_closed() -> None:
    reply, reached = ask(kind="websocket")
    assert (reply.status, reached) == (0, 0)


def test_a_failure_behind_it_tells_nothing() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("the secret")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    guard = Guard(broken, ServeConfig(runs={"a": Path("a")}))
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", HOST.encode())]}
    asyncio.run(guard(scope, lambda: asyncio.sleep(0, {}), send))
    assert sent[0]["status"] == 500
    assert b"secret" not in sent[1]["body"]


def test_tokens() -> None:
    assert token_for("auto", True) is None
    assert token_for("none", False) is None
    made = token_for("auto", False)
    assert made is not None
    assert len(made) >= 32
    assert made != token_for("auto", False)
    assert token_for("mine", True) == "mine"
    config = ServeConfig(runs={"a": Path("a")}, host="0.0.0.0", token="mine")
    assert config.address == "http://127.0.0.1:8421/#token=mine"
