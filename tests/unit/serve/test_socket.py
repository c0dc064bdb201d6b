"""The server behind a socket, as it is started; and the verb."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asked import listening
from polyseme.cli import main

pytest.importorskip("uvicorn")


@pytest.fixture(scope="module")
def port(runs: dict[str, Path]) -> Iterator[int]:
    with listening(runs) as port:
        yield port


def connected(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=30)


def asked(port: int, path: str, body: Any) -> http.client.HTTPConnection:
    connection = connected(port)
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    return connection


def metrics(port: int) -> dict[str, float]:
    connection = connected(port)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_it_answers_over_a_connection_that_is_kept(port: int) -> None:
    connection = connected(port)
    for _ in range(2):
        connection.request("GET", "/health")
        assert json.loads(connection.getresponse().read()) == {"status": "ok"}
    connection.close()
    connection = asked(port, "/api/fill", {"text": "the [MASK]"})
    reply = connection.getresponse()
    assert reply.status == 200
    assert reply.headers["cache-control"] == "no-store"
    assert json.loads(reply.read())[0]["position"] == 4
    connection.close()
    connection = connected(port)
    connection.putrequest("GET", "/health", skip_host=True)
    connection.putheader("host", f"evil.test:{port}")
    connection.endheaders()
    assert connection.getresponse().status == 403
    connection.close()


def test_answers_do_not_wait_for_the_receipt_of_their_beginning(port: int) -> None:
    connection, seconds = connected(port), []
    for _ in range(20):
        began = time.perf_counter()
        connection.request("GET", "/health")
        connection.getresponse().read()
        seconds.append(time.perf_counter() - began)
    connection.close()
    assert min(seconds[1:]) < 0.03  # 0.0004 seen, 0.048 where they wait


def test_who_hangs_up_stops_the_text(port: int) -> None:
    connection = asked(port, "/api/generate", {"run": "gpt", "prompt": "the", "max_new_tokens": 4000})
    reply = connection.getresponse()
    assert reply.readline()
    reply.close()
    connection.close()
    until = time.monotonic() + 10
    while metrics(port)["polyseme_streams_left_total"] < 1:
        assert time.monotonic() < until
        time.sleep(0.02)
    found = metrics(port)
    assert found["polyseme_streams"] == 0
    assert found["polyseme_generated_tokens_total"] < 4000


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ([], "no run is named"),
        (["nothing"], "not a run"),
        (["{bert}", "--port", "99999"], "no such port"),
        (["{bert}", "{bert}"], "two runs have one name"),
        (["{bert}", "--threads", "0"], "--threads must be above zero"),
        (["{bert}", "--max-queue", "0"], "--max-queue must be above zero"),
        (["{bert}", "--token", "two words"], "a token must be plain letters"),
        (["{bert}", "--host", "203.0.113.7", "--token", "none"], "the address cannot be had"),
        (["{bert}", "--port", "{port}"], "the address cannot be had"),
    ],
)
def test_the_verb_refuses_what_it_cannot_do(
    typed: list[str], says: str, port: int, runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *(word.format(bert=runs["bert"], port=port) for word in typed)]) in (1, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
