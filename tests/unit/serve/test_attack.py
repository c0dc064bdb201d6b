"""What others may try: pages of a browser, bodies and heads without end, names and files that are more than that."""

from __future__ import annotations

import asyncio
import http.server
import os
import queue
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from asked import Server
from polyseme import serve as serving
from polyseme.serve import ServeConfig, serve
from polyseme.serve.app import App
from polyseme.serve.options import named_runs

CHROMIUM = shutil.which("chromium")
ODD = [
    "<img src=x onerror=alert(1)>",
    "\u202eevil\u202c",
    "a\r\nx-set: b",
    "../../etc/passwd",
    "%2e%2e%2f",
    "\x1b[31m",
]


@pytest.fixture(scope="module")
def reached() -> list[str]:
    """The requests that a handler saw."""
    return []


@pytest.fixture(scope="module")
def port(runs: dict[str, Path], reached: list[str]) -> Iterator[int]:
    uvicorn = pytest.importorskip("uvicorn")
    made: list[Any] = []
    answer = App._respond

    class Kept(uvicorn.Server):  # type: ignore[misc]
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    async def seen(self: App, scope: Any, method: str, *rest: Any) -> None:
        reached.append(f"{method} {scope['path']}")
        await answer(self, scope, method, *rest)

    told: list[str] = []
    config = ServeConfig(runs=runs, port=0, log="none", max_body=4096, body_seconds=0.3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn, "Server", Kept)
        patch.setattr(App, "_respond", seen)
        patch.setattr(serving, "HEAD_S", 0.3)
        thread = threading.Thread(target=serve, args=(config, told.append))
        thread.start()
        until = time.monotonic() + 30
        while not told or not made or not made[0].started:
            assert time.monotonic() < until
            time.sleep(0.01)
        yield int(told[0].rstrip("/").rpartition(":")[2])
        made[0].should_exit = True
        thread.join(30)
        assert not thread.is_alive()


PAGE = """<!doctype html><title>evil</title><iframe name=inside></iframe>
<img src="http://127.0.0.1:PORT/api/runs"><link rel=stylesheet href="http://127.0.0.1:PORT/api/runs">
<script src="http://127.0.0.1:PORT/api/runs"></script>
<iframe src="http://127.0.0.1:PORT/api/server"></iframe><iframe src="http://evil.test:PORT/api/server"></iframe>
<form id=a target=inside method=post enctype=text/plain action="http://127.0.0.1:PORT/api/fill">
<input name='{"text": "a [MASK]", "x' value='": 1}'></form>
<form id=b target=inside method=get action="http://127.0.0.1:PORT/api/runs"><input name=a></form>
<script>
const tries = [], json = {'content-type': 'application/json'}, body = '{"text": "a [MASK]"}';
const go = (name, work) => tries.push(Promise.resolve().then(work).then(
  async r => name + ' ' + (r && r.type === 'opaque' ? 'opaque' : 'READ'), e => name + ' refused'));
for (const host of ['127.0.0.1', 'localhost', 'evil.test', '0.0.0.0']) {
  const at = 'http://' + host + ':PORT';
  go(host + ' get', () => fetch(at + '/api/runs'));
  go(host + ' blind get', () => fetch(at + '/api/runs', {mode: 'no-cors'}));
  go(host + ' post', () => fetch(at + '/api/fill', {method: 'POST', headers: json, body}));
  go(host + ' blind post', () => fetch(at + '/api/fill', {method: 'POST', mode: 'no-cors', body}));
  go(host + ' delete', () => fetch(at + '/api/work/abcdefgh', {method: 'DELETE'}));
  go(host + ' beacon', () => { navigator.sendBeacon(at + '/api/fill', new Blob([body])); throw 0; });
  go(host + ' socket', () => new Promise((_, no) => { new WebSocket('ws://' + host + ':PORT/').onerror = no; }));
}
document.getElementById('a').submit();
setTimeout(() => document.getElementById('b').submit(), 300);
const bounded = tries.map(one => Promise.race([one, new Promise(r => setTimeout(r, 5000, 'open'))]));
setTimeout(() => Promise.all(bounded).then(all => fetch('/said', {method: 'POST', body: all.join('\\n')})), 800);
</script>"""


@contextmanager
def page_of(port: int) -> Iterator[tuple[int, queue.Queue[str]]]:
    """Another page of the same machine, at a port of its own; and what it says of its tries."""
    said: queue.Queue[str] = queue.Queue()

    class Evil(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = PAGE.replace("PORT", str(port)).encode()
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            said.put(self.rfile.read(int(self.headers["content-length"])).decode())

        def log_message(self, *_: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Evil) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], said
        server.shutdown()


@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")
def test_no_other_page_reaches_a_handler(port: int, reached: list[str], tmp_path: Path) -> None:
    assert CHROMIUM is not None
    reached.clear()
    with page_of(port) as (evil, said):
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        command += [f"--user-data-dir={tmp_path}", "--host-resolver-rules=MAP evil.test 127.0.0.1"]
        command += ["--remote-debugging-port=0", f"http://evil.test:{evil}/"]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            tries = said.get(timeout=60).splitlines()
        finally:
            browser.terminate()
            browser.wait(20)
    assert len(tries) == 28
    assert "127.0.0.1 get refused" in tries
    assert not [one for one in tries if one.endswith("READ")]
    assert reached == []


def raw(port: int, *parts: bytes, pause: float = 0.0, seconds: float = 5.0) -> bytes:
    """What comes back for bytes, until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        for part in parts:
            try:
                connection.sendall(part)
            except OSError:  # it has ended it already
                break
            time.sleep(pause)
        said = b""
        try:
            while part := connection.recv(1 << 16):
                said += part
        except ConnectionResetError:
            pass
        return said


def head(port: int, *lines: str) -> bytes:
    first = ["POST /api/fill HTTP/1.1", f"host: 127.0.0.1:{port}", "content-type: application/json", *lines]
    return "\r\n".join([*first, "", ""]).encode()


def test_bodies_without_end_and_slow_ones_are_cut(port: int, reached: list[str]) -> None:
    reached.clear()
    chunk = b"400\r\n" + b" " * 1024 + b"\r\n"
    assert b" 413 " in raw(port, head(port, "transfer-encoding: chunked"), *[chunk] * 8).splitlines()[0]
    assert b" 413 " in raw(port, head(port, "content-length: 99999999999")).splitlines()[0]
    slow = raw(port, head(port, "content-length: 9"), *[b" "] * 3, pause=0.15)
    assert b" 408 " in slow.splitlines()[0]
    assert reached == []


def test_heads_without_end_and_slow_ones_are_cut(port: int, reached: list[str]) -> None:
    reached.clear()
    assert (
        b" 400 " in raw(port, b"GET / HTTP/1.1\r\n", *[b"x: " + b"y" * 4096 + b"\r\n"] * 64).splitlines()[0]
    )
    began = time.monotonic()
    assert raw(port) == b""  # nothing comes
    assert raw(port, b"GET /api/runs HTTP/1.1\r\nhost", *[b"x"] * 5, pause=0.1) == b""
    again = f"GET /nothing HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode()
    assert b" 404 " in raw(port, again, b"GET /api/runs HTT", b"P", pause=0.1)  # the second one is slow
    assert time.monotonic() - began < 5
    assert reached == ["GET /nothing"]


def test_two_requests_in_one_are_none(port: int, reached: list[str]) -> None:
    reached.clear()
    both = (
        head(port, "content-length: 4", "transfer-encoding: chunked")
        + b"0\r\n\r\nGET /api/runs HTTP/1.1\r\n\r\n"
    )
    assert b" 400 " in raw(port, both).splitlines()[0]
    assert (
        b" 400 " in raw(port, head(port, "content-length: 4", "content-length: 5") + b"{}  ").splitlines()[0]
    )
    assert reached == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"text": "a [MASK]", "top": 1000000000}',
        b'{"text": "a [MASK]", "top": 1e400}',
        b'{"text": "a [MASK]", "top": ' + b"9" * 5000 + b"}",
        b'{"text": "a [MASK]", "top": NaN}',
        b'{"text": "\\ud800 [MASK]"}',
        b'{"text": "\xff [MASK]"}',
        b'{"text": ' + b"[" * 3000 + b"]" * 3000 + b"}",
        b'{"text": "a", "text": {"a": 1}}',
        b'{"run": {"a": 1}, "text": "a"}',
        b'{"run": "\\u0000", "text": "a"}',
        b"[]",
        b"",
    ],
)
def test_bodies_that_are_more_than_they_say(body: bytes, server: Server) -> None:
    reply = asyncio.run(server.ask("POST", "/api/fill", body))
    assert 400 <= reply.status < 500, (reply.status, reply.body)


@pytest.mark.parametrize("odd", ODD)
def test_markup_and_marks_come_back_as_json_alone(odd: str, server: Server) -> None:
    replies = [
        server.post("/api/tokenize", {"text": odd}),
        server.post("/api/fill", {"text": odd, "hide": [odd]}),
        server.post("/api/fill", {"text": "a [MASK]", odd: 1}),
        server.post(
            "/api/choose", {"text": odd, "choices": ["cat", "dog"], "template": "{text} {label} " + odd}
        ),
        server.post("/api/tokenize", {"run": odd, "text": "a"}),
        server.post("/v1/embeddings", {"model": odd, "input": "a"}),
        server.get(f"/models/{odd}/api/runs"),
        server.get(f"/api/runs/{odd}"),
        server.get(f"/api/runs/bert/metrics?after={odd}"),
        asyncio.run(server.ask("DELETE", f"/api/work/{odd}", headers={"x-work": odd})),
    ]
    for reply in replies:
        assert reply.status < 500, reply.body
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert not any("\n" in value or "\r" in value for value in reply.headers.values())
        assert "x-set" not in reply.headers
        reply.json  # noqa: B018 - it is JSON


def test_a_run_may_be_called_by_markup(runs: dict[str, Path], tmp_path: Path) -> None:
    for number, odd in enumerate(name for name in ODD if "/" not in name):
        shutil.copytree(runs["bert"], tmp_path / odd)
        served = named_runs([str(tmp_path / odd)])
        server = Server(served)
        found = server.get("/api/runs").json["runs"][0]
        assert found["run"] == odd, number
        assert server.get("/v1/models").json["data"][0]["id"] == odd


def test_files_of_a_run_that_lead_elsewhere_are_not_told(runs: dict[str, Path], tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a secret line\nanother secret\n")
    whole = shutil.copytree(runs["bert"], tmp_path / "whole")
    for name in ("metrics.jsonl", "run.json", "tokenizer.json", "model.safetensors", "recipe.toml"):
        run = shutil.copytree(whole, tmp_path / f"linked-{name}")
        (run / name).unlink(missing_ok=True)
        os.symlink(secret, run / name)
        shutil.rmtree(run / "resume", ignore_errors=True)
        server = Server({"linked": run})

        async def every(server: Server = server) -> list[bytes]:
            async with server.running():
                return [
                    (await server.ask(method, path, body)).body
                    for method, path, body in (
                        ("GET", "/api/runs/linked/metrics", None),
                        ("GET", "/api/runs/linked", None),
                        ("GET", "/api/runs", None),
                        ("POST", "/api/tokenize", {"text": "a"}),
                        ("POST", "/api/uses", {"word": "secret"}),
                    )
                ]

        for body in asyncio.run(every()):
            assert b"a secret line" not in body, (name, body)
    (whole / "metrics.jsonl").unlink()
    os.mkfifo(whole / "metrics.jsonl")  # nobody ever writes into it
    assert Server({"whole": whole}).get("/api/runs/whole/metrics").body == b""


def test_only_json_that_a_person_wrote_is_opened(server: Server) -> None:
    """Fields that hold paths elsewhere name none here."""
    for field in ("path", "file", "model", "corpus", "lexicon"):
        reply = server.post("/api/tokenize", {"text": "a", field: "/etc/passwd"})
        assert (reply.status, reply.error["code"]) == (422, "unknown_field")
    reply = server.post("/api/uses", {"word": "root", "from": ["/etc/passwd"]})  # a line of text
    assert (reply.status, b"/bin" in reply.body) == (400, False)
