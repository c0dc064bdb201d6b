"""Perplexity of every held-out word of English novels: ELMo's two language models against 5-gram Kneser-Ney.

    python bench/elmo_vs_kneser_ney.py             (10 minutes of training, and about five more)

Both sides read the same tokenized store: the same words, the same vocabulary, rare words as [UNK], which is
one class that is predicted like any other; sentence ends are not predicted. Kneser-Ney is kenlm's lmplz
(interpolated, modified, order 5, no pruning) on sentences with <s> and </s>, and on whole documents;
whichever is better counts. For the backward direction it reads the text in reverse. lmplz needs half a minute
and can use no more, so it is within any equal minutes. ELMo is `polyseme pretrain elmo` with its default
recipe; it is scored by the full softmax, on examples of 64 (as trained) and of 512 tokens; the better counts.

lmplz is looked for in $LMPLZ and on the PATH. It comes with kenlm's source: cmake, make lmplz (needs Boost).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

BENCH = Path(__file__).resolve().parent
CACHE = BENCH / ".cache"
NOVELS = BENCH.parent.parent / "shared" / "data" / "text" / "en" / "novels"
ORDER = 5
LENGTHS = (64, 512)


def prepared() -> Path:
    """The store of words that both sides read, made once."""
    store = CACHE / "elmo-novels"
    if not (store / "store.json").is_file():
        if not NOVELS.is_dir():
            raise SystemExit(f"the bench needs the English novels in {NOVELS}")
        polyseme("prepare", str(NOVELS), "-o", str(store), "--set", "tokenizer.kind=words")
    return store


def polyseme(*arguments: str) -> None:
    """Run the command line in a process of its own."""
    subprocess.run([sys.executable, "-m", "polyseme", *arguments], check=True)


def texts(split: Any, unit: str, backward: bool) -> Iterator[str]:
    """Sentences or documents of a split, words as numbers parted by spaces."""
    bounds = np.asarray(split.sentences)
    if unit == "document":
        bounds = bounds[np.asarray(split.documents)]
    for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        ids = split.tokens[start:end].tolist()
        yield " ".join(f"w{i}" for i in (reversed(ids) if backward else ids))


def kneser_ney(corpus: Any, unit: str, backward: bool) -> tuple[float, float, int]:
    """Train lmplz and score the held-out words: nats per word, seconds of training, words."""
    import kenlm

    lmplz = os.environ.get("LMPLZ") or shutil.which("lmplz")
    if lmplz is None:
        raise SystemExit("lmplz is not there: build it from kenlm's source and set LMPLZ to its path")
    folder = CACHE / "kneser-ney"
    folder.mkdir(parents=True, exist_ok=True)
    text, model = folder / "train.txt", folder / "model.arpa"
    with text.open("w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in texts(corpus.train, unit, backward))
    started = time.perf_counter()
    subprocess.run(
        [lmplz, "-o", str(ORDER), "-S", "2G", "-T", str(folder), "--text", text, "--arpa", model],
        check=True,
        capture_output=True,
    )
    seconds = time.perf_counter() - started
    language_model = kenlm.Model(str(model))
    total, n, unseen = 0.0, 0, 0
    for line in texts(corpus.valid, unit, backward):
        scores = list(language_model.full_scores(line, bos=True, eos=True))[:-1]
        total += sum(score for score, _, _ in scores)
        unseen += sum(oov for _, _, oov in scores)
        n += len(scores)
    if unseen:
        raise SystemExit(
            f"{unseen} held-out words are in no class of Kneser-Ney's: the sides are not comparable"
        )
    shutil.rmtree(folder)
    return -total * math.log(10) / n, seconds, n


def ours(run: Path, corpus: Any, length: int) -> tuple[float, float, int]:
    """Nats per held-out word from the left and from the right, and words."""
    import torch

    import polyseme
    from polyseme.data.examples import DocumentChunks
    from polyseme.data.loader import collate, to_batch
    from polyseme.train.build import build_objectives
    from polyseme.train.machine import fast_cpu_bfloat16

    loaded = polyseme.load(run)
    if loaded.tokenizer.fingerprint != corpus.tokenizer.fingerprint:
        raise SystemExit(
            f"{run} has another vocabulary than {CACHE / 'elmo-novels'}: the sides are not comparable"
        )
    (objective,) = build_objectives(loaded.recipe, loaded.special, 0)
    source = DocumentChunks(corpus.valid, length, loaded.special)
    forward = backward = 0.0
    words = 0
    rows = max(1, 4096 // length)
    order = np.argsort(-source.lengths, kind="stable")
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=fast_cpu_bfloat16()):
        for start in range(0, len(order), rows):
            examples = [[source.draw(int(i), 0)] for i in order[start : start + rows]]
            longest = max(len(row[0].ids) for row in examples)
            batch = to_batch(collate(examples, longest, loaded.special), [objective])
            if not len(batch.targets[objective.name].labels):
                continue
            scores = objective.score(loaded.encoder.encode(batch), loaded.heads[objective.name], batch)
            forward += scores["forward"][0]
            backward += scores["backward"][0]
            words += scores["forward"][1]
    return forward / words, backward / words, words


def main() -> None:
    """Train and score both sides, print the table and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="training time of ours (default: 10)")
    parser.add_argument("--run", type=Path, help="score this run instead of training one")
    options = parser.parse_args()
    from polyseme.data.store import PreparedCorpus

    store = prepared()
    corpus = PreparedCorpus.open(store)
    peer: dict[str, float] = {}
    print(f"{corpus.train.n_tokens:,} training words, {corpus.train.vocab_size:,} entries of the vocabulary")
    print(f"{'side':<34}{'direction':<12}{'words':>9}{'nats':>8}{'perplexity':>12}")
    for backward in (False, True):
        direction = "backward" if backward else "forward"
        for unit in ("sentence", "document"):
            nats, seconds, words = kneser_ney(corpus, unit, backward)
            name = f"Kneser-Ney, {unit}s ({seconds:.0f} s)"
            print(f"{name:<34}{direction:<12}{words:>9,}{nats:>8.3f}{math.exp(nats):>12.1f}", flush=True)
            peer[direction] = min(nats, peer.get(direction, math.inf))
    run = options.run
    if run is None:
        run = CACHE / "elmo-run"
        shutil.rmtree(run, ignore_errors=True)
        polyseme("pretrain", "elmo", str(store), "-o", str(run), "--minutes", f"{options.minutes:g}")
    mine: dict[str, float] = {}
    for length in LENGTHS:
        *both, words = ours(run, corpus, length)
        for direction, nats in zip(("forward", "backward"), both, strict=True):
            name = f"elmo, examples of {length}"
            print(f"{name:<34}{direction:<12}{words:>9,}{nats:>8.3f}{math.exp(nats):>12.1f}", flush=True)
            mine[direction] = min(nats, mine.get(direction, math.inf))
    for side in (mine, peer):
        side["both directions"] = (side["forward"] + side["backward"]) / 2
    cases = [
        {
            "case": f"{direction}, {options.minutes:g} minutes",
            "ours": math.exp(nats),
            "peer": math.exp(peer[direction]),
            "ratio": math.exp(peer[direction] - nats),
            "unit": "perplexity",
        }
        for direction, nats in mine.items()
    ]
    print(json.dumps({"bench": "elmo_vs_kneser_ney", "cases": cases}))


if __name__ == "__main__":
    main()
