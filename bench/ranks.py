"""Several ranks beside one, through the command: the same updates, the same bits after a kill, 4 → 2 → 3 ranks.

    python bench/ranks.py                    all of it, about twenty minutes on two cores
    python bench/ranks.py --kills 2          fewer kills
    python bench/ranks.py --parts same kills change

Every rank is a process that torchrun starts, as a person types it. The corpus is python-docs, the model a small BERT in
float32. "ratio" is what is allowed divided by what was found: above 1 is well.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

UPDATES = 200
OPTIONS = """--steps {updates} --threads 1 --seed 3 --set hidden_size=32 --set num_hidden_layers=2
    --set intermediate_size=64 --set num_attention_heads=2 --set data.sequence_length=32 --set train.batch_size=12
    --set train.precision=float32 --set train.heldout_tokens=2000 --set train.evaluations=4 --set train.keep=last
    --set train.products=torch"""


def command(store: Path, run: Path, ranks: int, *more: str) -> list[str]:
    """What a person types."""
    words = ["-m", "polyseme", "pretrain", "bert", str(store), "-o", str(run)]
    words += OPTIONS.format(updates=UPDATES).split() + list(more)
    if ranks == 1:
        return [sys.executable, *words]
    torchrun = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--max-restarts",
        "3",
        "--nproc_per_node",
        str(ranks),
    ]
    return [sys.executable, *torchrun, *words]


def started(words: list[str]) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "POLYSEME_RANK_TIMEOUT": "60"}
    return subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    )


def trained(store: Path, run: Path, ranks: int, *more: str) -> str:
    """Train to the end; returns what was shown."""
    process = started(command(store, run, ranks, *more))
    _, shown = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"exit {process.returncode}\n{shown}")
    return shown


def losses(run: Path) -> dict[int, float]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text("utf-8").splitlines())
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def facts(run: Path) -> dict[str, Any]:
    meta = json.loads((run / "run.json").read_bytes())
    newest = sorted((run / "resume").glob("step-*"))[-1]
    counters = json.loads((newest / "state.json").read_bytes())["counters"]
    return {
        "digest": meta["files"],
        "heldout": meta["results"]["heldout_loss"],
        "row": counters["row"],
        "tokens": counters["tokens"],
    }


def furthest(a: dict[int, float], b: dict[int, float]) -> float:
    """The largest relative difference of the loss of an update."""
    if a.keys() != b.keys():
        raise SystemExit(f"{len(a)} and {len(b)} updates")
    return max(abs(a[step] - b[step]) / abs(b[step]) for step in b)


def ranks_of(launcher: subprocess.Popen[str]) -> list[int]:
    """The processes that torchrun has started."""
    children = []
    for entry in Path("/proc").iterdir():
        try:
            if f"PPid:\t{launcher.pid}\n" in (entry / "status").read_text("utf-8"):
                children.append(int(entry.name))
        except (OSError, ValueError):
            continue
    return children


def wait_until(run: Path, step: int, process: subprocess.Popen[str]) -> None:
    """Wait until so many updates are logged."""
    while process.poll() is None:
        try:
            if max(losses(run), default=0) >= step:
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.02)
    raise SystemExit(f"it ended before update {step}\n{process.communicate()[1]}")


def same(store: Path, folder: Path) -> list[dict[str, Any]]:
    """The same updates whatever the number of ranks and the way to share the work."""
    cases = []
    trained(store, folder / "1", 1)
    alone = losses(folder / "1")
    for ranks, way in ((2, "ddp"), (4, "ddp"), (3, "ddp"), (2, "fsdp")):
        run = folder / f"{ranks}-{way}"
        shown = trained(store, run, ranks, "--parallel", way)
        apart, displays = furthest(losses(run), alone), shown.count("training …")
        print(
            f"{ranks} ranks, {way}: exit 0, {displays} display, losses apart by at most {apart:.1e}",
            flush=True,
        )
        cases.append(case(f"losses of {ranks} ranks, {way}", apart, 1e-5, "relative"))
        cases.append(case(f"displays of {ranks} ranks, {way}", displays, 1, "displays"))
    return cases


def kills(store: Path, folder: Path, times: int, ranks: int = 3) -> list[dict[str, Any]]:
    """A rank is killed at some moment, torchrun starts all again: the same bits as without."""
    saves, dice, cases = ("--set", "train.save_minutes=0.01"), random.Random(7), []
    whole = folder / f"whole-{ranks}"
    trained(store, whole, ranks, *saves)
    for number in range(times):
        run, step = folder / f"killed-{number}", dice.randrange(1, UPDATES - 20)
        process = started(command(store, run, ranks, *saves))
        wait_until(run, step, process)
        victims = sorted(ranks_of(process))
        victim = dice.randrange(len(victims))
        os.kill(victims[victim], signal.SIGKILL)
        _, shown = process.communicate()
        equal = process.returncode == 0 and facts(run)["digest"] == facts(whole)["digest"]
        print(
            f"rank {victim} of {ranks} killed after update {step}: exit {process.returncode}, "
            f"{'went on' if 'going on from step' in shown else 'began anew'}, bits {'equal' if equal else 'DIFFER'}",
            flush=True,
        )
        cases.append(case(f"kill {number}: bits that differ", 0 if equal else 1, 0.5, "runs"))
        shutil.rmtree(run)
    return cases


def change(store: Path, folder: Path) -> list[dict[str, Any]]:
    """Four ranks, then two, then three: no row twice or missing, and the end of one process."""
    run = folder / "changed"
    for ranks, until, way in ((4, 60, "ddp"), (2, 130, "fsdp"), (3, UPDATES, "ddp")):
        process = started(command(store, run, ranks, "--resume", "--parallel", way))
        if until < UPDATES:
            wait_until(run, until, process)
            process.send_signal(signal.SIGTERM)
        _, shown = process.communicate()
        if until == UPDATES and process.returncode != 0:
            raise SystemExit(f"exit {process.returncode}\n{shown}")
        print(f"{ranks} ranks, {way}, until about {until}: exit {process.returncode}", flush=True)
    now, alone = facts(run), facts(folder / "1")
    apart = abs(now["heldout"] - alone["heldout"])
    rows, tokens = abs(now["row"] - alone["row"]), abs(now["tokens"] - alone["tokens"])
    curve = furthest(losses(run), losses(folder / "1"))
    print(
        f"4 → 2 → 3: held-out {now['heldout']:.5f} and {alone['heldout']:.5f}, {rows} rows and {tokens} tokens "
        f"apart, losses by at most {curve:.1e}",
        flush=True,
    )
    return [
        case("4 → 2 → 3: held-out loss", apart, 0.01, "nats"),
        case("4 → 2 → 3: rows and tokens", rows + tokens, 0.5, "rows and tokens"),
        case("4 → 2 → 3: losses", curve, 1e-5, "relative"),
    ]


def case(name: str, found: float, allowed: float, unit: str) -> dict[str, Any]:
    return {"case": name, "ours": found, "peer": allowed, "ratio": allowed / max(found, 1e-9), "unit": unit}


def main() -> None:
    """Print what is found, and as the last line all of it as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--parts", nargs="+", default=["same", "change", "kills"])
    parser.add_argument("--updates", type=int, default=UPDATES)
    asked = parser.parse_args()
    globals()["UPDATES"] = asked.updates
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        store = folder / "store"
        prepare = ["prepare", "python-docs", "-o", str(store), "--vocab-size", "2000"]
        subprocess.run([sys.executable, "-m", "polyseme", "-q", *prepare], check=True)
        cases = []
        if "same" in asked.parts:
            cases += same(store, folder)
        elif "change" in asked.parts:
            trained(store, folder / "1", 1)
        if "change" in asked.parts:
            cases += change(store, folder)
        if "kills" in asked.parts:
            cases += kills(store, folder, asked.kills)
    print(json.dumps({"bench": "ranks", "cases": cases}))


if __name__ == "__main__":
    main()
