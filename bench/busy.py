"""Tokens per second of training and of generation beside other programs, against the settings of before.

    python bench/busy.py

A modernbert of the recipe's sizes is trained on the built-in text (8,000 tokens of vocabulary) and a decoder (6 layers
of 512 numbers) continues a prompt, with as many threads as there are cores: alone, beside one and two processes that
compute without end, and beside six. "before" is the same program with torch's threads waiting as libgomp has them
wait, and with as many threads from first to last. The two take turns, A B B A, each in a process of its own that sleeps
in between; the first seconds of a turn are not counted. The share is that of the rate with no other program.

It says nothing on a machine that is busy with something else: its load before the start is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import IO, Any

LOADS = (0, 1, 2, 6)
NAMES = {0: "quiet", 1: "one busy process", 2: "two busy processes"}
ROUNDS = 2
LEAD_S = {"training": 4.0, "generation": 1.0}
SECONDS = {"training": 8.0, "generation": 3.0}
SIDES = ("ours", "before")
BARS = {0: 0.97, 1: 0.45, 2: 0.30, 6: 0.20}  # of the quiet rate; quiet: of the rate before
DECODER = {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 6, "num_attention_heads": 8}


class Worker:
    """A process that works for some seconds when it is told to, and sleeps in between."""

    def __init__(self, work: str, side: str, folder: Path, model: str, spins: str | None) -> None:
        environment = {
            k: v
            for k, v in os.environ.items()
            if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")
        }
        if spins is not None and side == "ours":
            environment["GOMP_SPINCOUNT"] = spins
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--worker", work, side, str(folder), model],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._work = work
        self._answer()

    def turn(self, seconds: float) -> tuple[float, float, int]:
        """Tokens, seconds, and the threads at the end."""
        assert self._process.stdin
        self._process.stdin.write(f"{LEAD_S[self._work]} {seconds}\n")
        self._process.stdin.flush()
        tokens, took, threads = self._answer()
        return tokens, took, threads

    def end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _answer(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a process of this bench died with exit code {self._process.wait()}")
        return json.loads(line)


class Turns:
    """The other end, in the worker: called after every piece of work, it sleeps when a turn is over."""

    def __init__(self, orders: IO[str], answers: IO[str]) -> None:
        self._orders, self._answers = orders, answers
        self._from: float | None = None
        self._tell([])

    def done(self, tokens: float, threads: int) -> None:
        """So many tokens since the last call."""
        now = time.perf_counter()
        if self._from is None:
            if now >= self._lead_until:
                self._from, self._tokens = now, 0.0
            return
        self._tokens += tokens
        if now >= self._from + self._seconds:
            seconds, self._from = now - self._from, None
            self._tell([self._tokens, seconds, threads])

    def _tell(self, answer: list[float]) -> None:
        print(json.dumps(answer), file=self._answers, flush=True)
        order = self._orders.readline().split()
        if not order:
            os._exit(0)
        lead, self._seconds = map(float, order)
        self._lead_until = time.perf_counter() + lead


def work(what: str, side: str, folder: Path, model: str) -> None:
    """Be a worker."""
    answers, sys.stdout = sys.stdout, sys.stderr
    if side == "before":
        import torch  # before polyseme: it has read the settings that nobody has made
    import polyseme

    if side == "before":
        from polyseme.core.sharing import Pace, Sharing

        Sharing.__enter__ = lambda self: self  # type: ignore[method-assign]
        Pace.step = lambda self, amount, seconds: None  # type: ignore[method-assign]
    import torch

    from polyseme.core.reporter import NullReporter

    settings = {"train.heldout_tokens": 500}
    if what == "training":
        gate: Turns | None = None

        class Gate(NullReporter):
            tokens = 0

            def log(self, record: Any) -> None:
                nonlocal gate
                if "loss" not in record:
                    return
                gate = gate or Turns(sys.stdin, answers)
                gate.done(record["tokens"] - self.tokens, torch.get_num_threads())
                self.tokens = record["tokens"]

        polyseme.pretrain(
            polyseme.PretrainRequest(
                model=model, corpus=[str(folder / "store")], output=folder / f"{model}_{side}",
                budget=polyseme.Budget(minutes=60), settings=settings,
            ),
            Gate(),
        )  # fmt: skip
        return
    from polyseme.kernels.step import Step

    if not (folder / "gpt").exists():
        polyseme.pretrain(
            polyseme.PretrainRequest(
                model="gpt", corpus=[str(folder / "store")], output=folder / "gpt", budget=polyseme.Budget(steps=1),
                settings=settings | DECODER,
            )
        )  # fmt: skip
    loaded = polyseme.load(folder / "gpt")
    polyseme.generate(loaded, "The function returns", max_new_tokens=8)
    turns, logits = Turns(sys.stdin, answers), Step.logits

    def counted(self: Step, ids: torch.Tensor) -> torch.Tensor:
        found = logits(self, ids)
        turns.done(1, self._team.size)
        return found

    Step.logits = counted  # type: ignore[method-assign]
    while True:
        polyseme.generate(loaded, "The function returns", max_new_tokens=100)


def measure(
    loads: tuple[int, ...],
    rounds: int,
    seconds: dict[str, float],
    folder: Path,
    model: str,
    spins: str | None,
) -> dict[Any, list[Any]]:
    """(work, load, side) -> the turns."""
    subprocess.run(
        [sys.executable, "-m", "polyseme", "prepare", "python-docs", "-o", str(folder / "store"),
         "--set", "tokenizer.vocab_size=8000"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    workers = {(what, side): Worker(what, side, folder, model, spins) for what in seconds for side in SIDES}
    found = defaultdict(list)
    others: list[subprocess.Popen[bytes]] = []
    try:
        for turn in range(rounds):
            workers = dict(reversed(workers.items())) if turn else workers  # neither is always the first
            for load in loads:
                others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(load)]
                time.sleep(0.5)
                for (what, side), worker in workers.items():
                    tokens, took, threads = worker.turn(seconds[what])
                    found[what, load, side].append((tokens, took))
                    print(f"  {what:<11}{name(load):<20}{side:<8}{tokens / took:>9,.0f} tokens/s, {threads} threads",
                          file=sys.stderr)  # fmt: skip
                _end(others)
    finally:
        _end(others)
        for worker in workers.values():
            worker.end()
    return found


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.kill()
        process.wait()


def name(load: int) -> str:
    return NAMES.get(load, f"a load of {load}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--loads", default=",".join(map(str, LOADS)), help="busy processes beside it (%(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns of each (default: %(default)s)")
    parser.add_argument("--model", default="modernbert", help="what is trained (default: %(default)s)")
    parser.add_argument("--only", choices=tuple(SECONDS), help="training or generation alone")
    parser.add_argument("--seconds", type=float, help="of a turn that are counted (default: 8 and 3)")
    parser.add_argument("--spins", help="GOMP_SPINCOUNT of ours, to try others")
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        what, side, folder, model = options.worker
        work(what, side, Path(folder), model)
        return
    loads = tuple(map(int, options.loads.split(",")))
    seconds = {k: options.seconds or v for k, v in SECONDS.items() if options.only in (None, k)}
    began = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    with tempfile.TemporaryDirectory() as folder:
        found = measure(loads, options.rounds, seconds, Path(folder), options.model, options.spins)
    rates = {key: sum(t for t, _ in turns) / sum(s for _, s in turns) for key, turns in found.items()}
    print(
        f"tokens/s of {options.model} in training and of a decoder, {os.cpu_count()} cores; load before: {began}\n"
    )
    print(f"{'':<11}{'':<20}{'ours':>9}{'share':>8}{'before':>9}{'share':>8}{'ratio':>8}")
    cases = []
    for what in seconds:
        for load in loads:
            rate = {side: rates[what, load, side] for side in SIDES}
            share = {side: rate[side] / rates[what, 0, side] if 0 in loads else None for side in SIDES}
            written = {side: f"{share[side]:>8.0%}" if 0 in loads else f"{'':>8}" for side in SIDES}
            ratio = rate["ours"] / rate["before"]
            print(
                f"{what:<11}{name(load):<20}{rate['ours']:>9,.0f}{written['ours']}"
                f"{rate['before']:>9,.0f}{written['before']}{ratio:>8.2f}"
            )
            cases.append({
                "case": f"{what}, {name(load)}", "ours": round(rate["ours"], 1), "peer": round(rate["before"], 1),
                "ratio": round(ratio, 3), "unit": "tokens/s",
                "share_of_quiet": share["ours"], "peer_share_of_quiet": share["before"],
            })  # fmt: skip
    for load in (load for load in loads if load in BARS and 0 in loads and "training" in seconds):
        quiet = rates["training", 0, "ours" if load else "before"]
        reached, bar = rates["training", load, "ours"] / quiet, BARS[load]
        print(f"bar: training, {name(load)}: at least {bar:.0%} of the quiet rate: {reached:.0%}")
    print(json.dumps({"bench": "busy", "cases": cases}))


if __name__ == "__main__":
    main()
