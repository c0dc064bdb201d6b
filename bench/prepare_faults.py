"""The same store whatever the engine, the workers and what is killed on the way.

    python bench/prepare_faults.py                        # local processes; Ray and datatrove where they are installed
    python bench/prepare_faults.py --kills 20 --mb 8
    python bench/prepare_faults.py --kills 0 --mb 60 --workers 1 2 --vocabulary STORE      # only how long it takes
    python bench/prepare_faults.py --deduplicate near

A text of made-up words is prepared in some forty pieces by `polyseme prepare`: with 1, 2 and 4 workers; then workers
are killed (kill -9) at random moments, but for those of datatrove, which does not survive it; then the command itself,
which is begun again with --resume. Digests are those of one process, and pieces that were whole must not be made again.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from polyseme.data.store import PreparedCorpus


def write_text(path: Path, megabytes: float) -> None:
    """Documents of made-up words."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(8000)]
    with path.open("w") as file:
        while file.tell() < megabytes * 1e6:
            file.write(" ".join(rng.choices(words, k=rng.randint(20, 300))) + ".\n\n")


def started(
    text: Path, store: Path, engine: str, workers: int, pieces: int, *more: str
) -> subprocess.Popen[bytes]:
    """The command, running."""
    shard = text.stat().st_size / pieces / 2**20
    command = [
        *(sys.executable, "-m", "polyseme", "prepare", str(text), "-o", str(store), "--documents", "blank"),
        *(
            "--shard-mb",
            f"{shard:.6f}",
            "--engine",
            engine,
            "--workers",
            str(workers),
            *more,
        ),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)


def spent() -> float:
    """Processor seconds of all ended processes that this one began, and of theirs that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def digest_of(process: subprocess.Popen[bytes], store: Path) -> str:
    """Wait for the command; the digest of what it made."""
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"rc {process.returncode}\n{errors.decode()[-2000:]}")
    return str(PreparedCorpus.open(store).meta["digest"])


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The processes that make shards."""
    try:
        below = psutil.Process(process.pid).children(recursive=True)
        return [
            p for p in below if p.name().startswith("ray::") or "making import serve" in " ".join(p.cmdline())
        ]
    except psutil.Error:
        return []


def whole(store: Path) -> dict[str, int]:
    """The shards that are whole, and when they were made."""
    shards = store.parent / f".{store.name}.partial" / "shards"
    return {path.parent.name: path.stat().st_mtime_ns for path in shards.glob("[0-9]*/shard.json")}


def main() -> None:
    """Prepare, kill, compare; print the table and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mb", type=float, default=4.0)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--pieces", type=int, default=40)
    parser.add_argument("--workers", type=int, nargs="+", default=(1, 2, 4))
    parser.add_argument("--deduplicate", choices=("none", "exact", "near"), default="none")
    parser.add_argument("--vocabulary", help="of this store; else one is learned every time")
    parser.add_argument("--engines", nargs="+", default=("local", "ray", "datatrove"))
    options = parser.parse_args()
    engines = [name for name in options.engines if name == "local" or importlib.util.find_spec(name)]
    more = ["--deduplicate", options.deduplicate]
    more += ["--tokenizer", options.vocabulary] if options.vocabulary else ["--vocab-size", "2000"]
    cases: list[dict[str, object]] = []
    rng = random.Random(1)
    with tempfile.TemporaryDirectory() as name:
        text, store = Path(name) / "text.txt", Path(name) / "store"
        write_text(text, options.mb)
        first: tuple[str, float] | None = None
        for engine in engines:
            for workers in options.workers:
                begin, before = time.perf_counter(), spent()
                digest = digest_of(started(text, store, engine, workers, options.pieces, *more), store)
                seconds, processor = time.perf_counter() - begin, spent() - before
                shutil.rmtree(store)
                first = first or (digest, seconds)
                print(
                    f"{engine:<10}{workers} workers{seconds:>9.1f} s, {processor:.1f} of processors"
                    f"   same digest: {digest == first[0]}",
                    flush=True,
                )
                case = f"{engine}, {workers} workers"
                cases.append({"case": case, "ours": seconds, "unit": "s", "same": digest == first[0]})
            assert first is not None
            if engine == "datatrove" or not options.kills:
                continue
            killed, runs, same = 0, 0, True
            while killed < options.kills:
                process, runs = started(text, store, engine, 2, options.pieces, *more), runs + 1
                here = 0
                while process.poll() is None and here < 4 and killed < options.kills:
                    time.sleep(rng.uniform(0.1, 1.5))
                    found = workers_of(process)
                    if found:
                        rng.choice(found).kill()
                        killed, here = killed + 1, here + 1
                same = digest_of(process, store) == first[0] and same
                shutil.rmtree(store)
            print(f"{engine:<8}{killed} workers killed in {runs} runs   same digest: {same}", flush=True)
            cases.append({"case": f"{engine}, workers killed", "ours": killed, "unit": "kills", "same": same})
            begun, again, lost = 0, 0, 0
            same = True
            while begun < max(3, options.kills // 4):
                process = started(text, store, engine, 2, options.pieces, *more)
                while process.poll() is None and not whole(store):
                    time.sleep(0.05)
                time.sleep(rng.uniform(0.0, 2.0))
                process.kill()
                process.wait()
                time.sleep(1.0)  # a worker may still end its piece
                before = whole(store)
                partial = len(list((store.parent / ".store.partial" / "shards").glob(".*")))
                process = started(text, store, engine, 2, options.pieces, *more, "--resume")
                same = digest_of(process, store) == first[0] and same
                after = {p.parent.name: p.stat().st_mtime_ns for p in store.glob("shards/*/shard.json")}
                again += sum(after[piece] != made for piece, made in before.items())
                lost, begun = max(lost, partial), begun + 1
                shutil.rmtree(store)
            print(
                f"{engine:<8}{begun} commands killed and resumed   same digest: {same}, whole pieces made again:"
                f" {again}, pieces lost on the way: at most {lost}",
                flush=True,
            )
            cases.append(
                {"case": f"{engine}, command killed", "ours": again, "unit": "pieces again", "same": same}
            )
    print(json.dumps({"bench": "prepare_faults", "cases": cases}))


if __name__ == "__main__":
    main()
