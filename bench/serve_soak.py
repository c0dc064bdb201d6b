"""The server for a while with clients that leave: memory, answers that never come, and how long its end takes.

    python bench/serve_soak.py RUN... [--minutes 20] [--pause 0.5]

Every --pause seconds one of four clients asks a run something that it can do; one in three leaves before the answer is
there, half of these in the midst of a text. Printed are resident memory every minute, the slope over the second half of
what every minute had at least (what work takes for a moment is not kept), the requests that had no answer within a
minute, what the server thinks that it still does, and the seconds from SIGTERM to its end, with a text under way.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from serve_vs_infinity import Client, got, port_of, posted, serving, started

TEXTS = [
    "It was late when the old bank by the river was closed.",
    "这家银行在河边，昨天很早就关门了。",
    "a cat",
    "",
]


def memory(pid: int) -> float:
    """Resident memory, MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def bodies(run: dict[str, Any], draw: random.Random) -> tuple[str, dict[str, Any]]:
    """Something that a run can be asked."""
    text = draw.choice(TEXTS) + " " + " ".join(draw.choice(TEXTS) for _ in range(draw.randrange(8)))
    asked: list[tuple[str, dict[str, Any]]] = [
        ("embed", {"texts": [text] * draw.randint(1, 64)}),
        ("encode", {"text": text[:200]}),
        ("tokenize", {"text": text}),
    ]
    if "score" in run["abilities"]:
        asked.append(("score", {"texts": [text, text[::-1]], "detail": True}))
    if "generate" in run["abilities"]:
        asked += [
            (
                "generate",
                {"prompt": text, "max_new_tokens": draw.randint(1, 400), "stream": draw.random() < 0.7},
            )
        ] * 2
    if "fill" in run["abilities"]:
        asked.append(("fill", {"text": text + " [MASK]", "detail": True}))
    if "attention" in run["abilities"]:
        asked.append(("attention", {"text": text[:100]}))
    path, body = draw.choice(asked)
    return f"/api/{path}", {"run": run["run"], **body}


async def soak(port: int, pid: int, options: argparse.Namespace) -> None:
    async def get(path: str) -> bytes:
        client = Client(port)  # a new one: a connection that rests is closed after seconds
        body = (await client.ask(got(port, path)))[2]
        client.close()
        return body

    runs = json.loads(await get("/api/runs"))["runs"]
    ends = time.monotonic() + 60 * options.minutes
    counts = {"answered": 0, "left": 0, "no answer": 0, "5xx": 0}

    async def one(seed: int) -> None:
        draw = random.Random(seed)
        while time.monotonic() < ends:
            path, body = bodies(draw.choice(runs), draw)
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
            writer.write(posted(port, path, body))
            try:
                if draw.random() < 1 / 3:
                    if draw.random() < 0.5:
                        await asyncio.wait_for(reader.read(1), 60)
                    await asyncio.sleep(draw.random() * 0.3)
                    counts["left"] += 1
                else:
                    status = await asyncio.wait_for(reader.readline(), 60)
                    counts["5xx"] += int(status.split()[1]) >= 500
                    last = b""
                    while last != b"0\r\n" and not (
                        last.startswith((b"{", b"[")) and not last.endswith(b"\r\n")
                    ):
                        last = await asyncio.wait_for(reader.readline(), 60)
                        if not last:
                            break
                    counts["answered"] += 1
            except TimeoutError:
                counts["no answer"] += 1
            writer.close()
            await asyncio.sleep(options.pause * 4 * draw.random() * 2)

    clients = [asyncio.ensure_future(one(seed)) for seed in range(4)]
    began, seen, most = time.monotonic(), list[tuple[float, float]](), 0.0
    while time.monotonic() < ends:
        minute = list[float]()
        for _ in range(12):
            await asyncio.sleep(min(5.0, 0.5 * options.minutes))
            minute.append(memory(pid))
        most = max(most, *minute)
        seen.append(((time.monotonic() - began) / 60, min(minute)))
        print(f"{seen[-1][0]:5.1f} min {min(minute):8.1f} … {max(minute):.1f} MiB {counts}", flush=True)
    await asyncio.gather(*clients)
    half = np.array(seen[len(seen) // 2 :])
    slope = np.polyfit(half[:, 0], half[:, 1], 1)[0]
    print(f"second half: {slope:.3f} MiB a minute, {20 * slope:.1f} in 20 minutes; at most {most:.0f} MiB")
    await asyncio.sleep(1)
    metrics = dict(line.rsplit(" ", 1) for line in (await get("/metrics")).decode().splitlines())
    print(
        {
            name: metrics[f"polyseme_{name}"]
            for name in (
                "requests_open",
                "queue_jobs",
                "streams",
                "runs_loaded",
                "weights_bytes",
                "streams_left_total",
            )
        }
    )
    print(json.loads(await get("/api/server"))["loaded"])


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--pause", type=float, default=0.5)
    options = parser.parse_args()
    # what waits too long is told so before its client gives up: an answer that never comes is one that was lost
    with started(serving(*options.runs, "--timeout", "30"), {"OMP_NUM_THREADS": "1"}) as process:
        port = port_of(process)
        asyncio.run(soak(port, process.pid, options))
        gpt = next((Path(run).name for run in options.runs if "gpt" in run), None)

        async def end() -> None:
            if gpt:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(
                    posted(port, "/api/generate", {"run": gpt, "prompt": "It was", "max_new_tokens": 4096})
                )
                await asyncio.sleep(1)
            began = time.monotonic()
            process.terminate()
            await asyncio.to_thread(process.wait, 60)
            print(f"ended {time.monotonic() - began:.1f} s after SIGTERM, status {process.returncode}")

        asyncio.run(end())
    return 0


if __name__ == "__main__":
    sys.exit(main())
