"""Two machines on one: two network namespaces, a rank in each, and a link between them that is cut, or slow.

    sudo python bench/lost_link.py                                  on Linux; needs `ip netns`
    sudo python bench/lost_link.py --rate 1gbit [--model bert] [--batch 8 32 128]       needs `tc`, too

Cut: each rank has to end by itself, soon after the time that a silent rank is given, with one error that names the
other; the last save has to be whole.

Slow: how much of an update is communication, of the recipe's model, each rank on a core of its own. Two processes
train at once, each for itself on half of the rows (`alone`), then as two ranks over the link (`linked`); the share is
1 - alone / linked, medians over the updates. What the backward pass hides of the communication is not in it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
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


def slowed(rate: str) -> None:
    """Let no more than so much through the cable, in each direction."""
    for name, end in zip(NAMES, ("cable-a", "cable-b"), strict=True):
        limit = ["qdisc", "add", "dev", end, "root", "tbf", "rate", rate, "burst", "256kb", "latency", "50ms"]
        subprocess.run(["tc", "-n", name, *limit], check=True)


def unlinked() -> None:
    for name in NAMES:
        subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)


def rank(
    number: int, store: Path, run: Path, model: str = "bert", options: str = OPTIONS
) -> subprocess.Popen[str]:
    """A rank, started as a scheduler without torchrun starts it."""
    variables: dict[str, object] = {
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
        model,
        str(store),
        "-o",
        str(run),
        *options.split(),
    ]
    return subprocess.Popen(
        ["ip", "netns", "exec", NAMES[number], *words],
        env=os.environ | {name: str(value) for name, value in variables.items()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def seconds_of(run: Path) -> float:
    """Median seconds of an update, without the first ones."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text("utf-8").splitlines())
    at = {line["step"]: line["seconds"] for line in lines if "loss" in line}
    return statistics.median(at[step + 1] - at[step] for step in at if step >= 5 and step + 1 in at)


def shares(asked: argparse.Namespace) -> list[dict[str, object]]:
    """The share of communication in an update, for each number of rows."""
    cases: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as place:
        store = Path(place, "store")
        prepare = ["prepare", "python-docs", "-o", str(store)]
        subprocess.run(
            [sys.executable, "-m", "polyseme", "-q", *prepare], check=True, stdout=subprocess.DEVNULL
        )
        unlinked()
        linked()
        slowed(asked.rate)
        try:
            for rows in asked.batch:
                steps = max(15, 400 // rows)
                common = f"--steps {steps} --threads 1 --set train.size=given --set train.heldout_tokens=1000"
                common += " --set train.evaluations=1 --set train.save_minutes=60 --set train.batch_size="
                half = f"{common}{rows // 2}".split()
                words = [sys.executable, "-m", "polyseme", "-q", "pretrain", asked.model, str(store)]
                alone = [Path(place, f"alone-{rows}-{i}") for i in range(2)]
                both = [
                    subprocess.Popen(
                        [*words, "-o", str(run), *half],
                        env=os.environ | {"OMP_NUM_THREADS": "1"},
                        stdout=subprocess.DEVNULL,
                    )
                    for run in alone
                ]
                ended = [process.wait() for process in both]
                if any(ended):
                    raise SystemExit("a run alone failed")
                run = Path(place, f"linked-{rows}")
                ranks = [rank(number, store, run, asked.model, f"{common}{rows}") for number in range(2)]
                shown = [process.communicate()[1] for process in ranks]
                if any(process.returncode for process in ranks):
                    raise SystemExit("\n".join(shown))
                apart, together = statistics.mean(map(seconds_of, alone)), seconds_of(run)
                share = 1 - apart / together
                print(
                    f"{asked.model}, {rows} rows an update, {asked.rate}: alone {1000 * apart:.0f} ms, "
                    f"linked {1000 * together:.0f} ms, communication {100 * share:.0f} % of an update",
                    flush=True,
                )
                cases.append(
                    {"case": f"{asked.model}, {rows} rows", "ours": share, "peer": 0.2, "unit": "share"}
                )
        finally:
            unlinked()
    return cases


def main() -> None:
    """Cut the link or slow it down, print what is found, and as the last line all of it as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", help="of the link, as tc writes it: 1gbit")
    parser.add_argument("--model", default="bert")
    parser.add_argument("--batch", type=int, nargs="+", default=[8, 32, 128], help="rows of an update")
    asked = parser.parse_args()
    cases = shares(asked) if asked.rate else lost()
    for case in cases:
        case["ratio"] = (case["peer"] or 1) / max(float(case["ours"]), 1e-9)  # type: ignore[arg-type]
    print(json.dumps({"bench": "lost_link", "cases": cases}))


def lost() -> list[dict[str, object]]:
    """Print what each rank said and when."""
    unlinked()
    with tempfile.TemporaryDirectory() as place:
        store, run = Path(place, "store"), Path(place, "run")
        prepare = ["prepare", "python-docs", "-o", str(store), "--vocab-size", "2000"]
        subprocess.run(
            [sys.executable, "-m", "polyseme", "-q", *prepare], check=True, stdout=subprocess.DEVNULL
        )
        linked()
        cases: list[dict[str, object]] = []
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
    return cases


if __name__ == "__main__":
    main()
