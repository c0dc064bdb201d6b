"""Two machines that lose each other: two network namespaces, a rank in each, and the link between them is cut.

    sudo python bench/lost_link.py           on Linux; needs `ip netns`

Each rank has to end by itself, soon after the time that a silent rank is given, with one error that names the other;
the last save has to be whole.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PATIENCE, MORE = 20, 10
NAMES = ("polyseme-a", "polyseme-b")
OPTIONS = """--steps 100000 --threads 1 --set hidden_size=32 --set num_hidden_layers=2 --set intermediate_size=64
    --set num_attention_heads=2 --set data.sequence_length=32 --set train.batch_size=8 --set train.precision=float32
    --set train.heldout_tokens=1000 --set train.evaluations=1 --set train.save_minutes=0.05"""


def ip(*words: str) -> None:
    """Run `ip`, without which nothing here works."""
    subprocess.run(["ip", *words], check=True)


def linked() -> None:
    """Two namespaces with a cable between them."""
    for name in NAMES:
        ip("netns", "add", name)
        ip("-n", name, "link", "set", "lo", "up")
    ip(
        "link",
        "add",
        "cable-a",
        "netns",
        NAMES[0],
        "type",
        "veth",
        "peer",
        "name",
        "cable-b",
        "netns",
        NAMES[1],
    )
    for name, end, address in zip(
        NAMES, ("cable-a", "cable-b"), ("10.77.0.1/24", "10.77.0.2/24"), strict=True
    ):
        ip("-n", name, "addr", "add", address, "dev", end)
        ip("-n", name, "link", "set", end, "up")


def unlinked() -> None:
    for name in NAMES:
        subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)


def rank(number: int, store: Path, run: Path) -> subprocess.Popen[str]:
    """A rank, started as a scheduler without torchrun starts it."""
    variables = {
        "RANK": number,
        "WORLD_SIZE": 2,
        "MASTER_ADDR": "10.77.0.1",
        "MASTER_PORT": 29500,
        "LOCAL_RANK": 0,
    }
    variables |= {
        "GLOO_SOCKET_IFNAME": f"cable-{'ab'[number]}",
        "POLYSEME_RANK_TIMEOUT": PATIENCE,
        "OMP_NUM_THREADS": 1,
    }
    words = [
        sys.executable,
        "-m",
        "polyseme",
        "pretrain",
        "bert",
        str(store),
        "-o",
        str(run),
        *OPTIONS.split(),
    ]
    return subprocess.Popen(
        ["ip", "netns", "exec", NAMES[number], *words],
        env=os.environ | {name: str(value) for name, value in variables.items()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def main() -> None:
    """Print what each rank said and when, and as the last line all of it as JSON."""
    unlinked()
    with tempfile.TemporaryDirectory() as place:
        store, run = Path(place, "store"), Path(place, "run")
        prepare = ["prepare", "python-docs", "-o", str(store), "--vocab-size", "2000"]
        subprocess.run(
            [sys.executable, "-m", "polyseme", "-q", *prepare], check=True, stdout=subprocess.DEVNULL
        )
        linked()
        cases = []
        try:
            ranks = [rank(number, store, run) for number in range(2)]
            while not list((run / "resume").glob("step-*")):
                if any(process.poll() is not None for process in ranks):
                    raise SystemExit("\n".join(process.communicate()[1] for process in ranks))
                time.sleep(0.5)
            ip("-n", NAMES[1], "link", "set", "cable-b", "down")
            cut = time.monotonic()
            ended: dict[int, float] = {}
            while len(ended) < 2 and time.monotonic() - cut < 10 * PATIENCE:
                for number, process in enumerate(ranks):
                    if process.poll() is not None:
                        ended.setdefault(number, time.monotonic() - cut)
                time.sleep(0.1)
            for number, process in enumerate(ranks):
                process.kill()
                shown = process.communicate()[1]
                seconds, errors = ended.get(number, float("inf")), shown.count("error: ")
                print(
                    f"rank {number} ended after {seconds:.0f} s, with exit {process.returncode} and {errors} errors:"
                )
                print(shown[max(0, shown.find("error: ")) :] or "(nothing)")
                named = f"rank {1 - number} of 2 is lost" in shown
                cases += [
                    {
                        "case": f"rank {number}: seconds",
                        "ours": seconds,
                        "peer": PATIENCE + MORE,
                        "unit": "s",
                    },
                    {
                        "case": f"rank {number}: errors that name the other",
                        "ours": errors * named,
                        "peer": 1,
                        "unit": "errors",
                    },
                ]
            from polyseme.train.checkpoint import newest

            saved, problems = newest(run / "resume")
            print(f"the last save is whole: {saved is not None and not problems}")
            cases.append(
                {"case": "saves that are damaged", "ours": len(problems), "peer": 0, "unit": "saves"}
            )
        finally:
            unlinked()
    for case in cases:
        case["ratio"] = (case["peer"] or 1) / max(float(case["ours"]), 1e-9)  # type: ignore[arg-type]
    print(json.dumps({"bench": "lost_link", "cases": cases}))


if __name__ == "__main__":
    main()
