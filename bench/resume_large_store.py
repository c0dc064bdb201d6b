"""Seconds from typing --resume to the first new update, on a store of 100 million tokens.

    python bench/resume_large_store.py

The store is made of random tokens (documents of 1,000 tokens, sentences of 20). The peer is the same resume on a
store of one million tokens: a ratio near 1 means that resuming does not depend on the size of the text.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

VOCABULARY = 8_000
DOCUMENT, SENTENCE = 1_000, 20


def make_store(folder: Path, tokens: int) -> None:
    """Write a store of random tokens with a tokenizer of made-up words."""
    from polyseme.data.store import StoreWriter, write_meta
    from polyseme.text.config import TokenizerConfig
    from polyseme.text.training import train_tokenizer

    random = np.random.default_rng(0)
    text = (" ".join(f"w{i}" for i in random.integers(0, 20_000, 50)) for _ in range(4_000))
    tokenizer = train_tokenizer(text, TokenizerConfig(vocab_size=VOCABULARY), 0)
    folder.mkdir(parents=True)
    tokenizer.save(folder / "tokenizer.json")
    for split, size in (("train", tokens), ("valid", 100 * DOCUMENT)):
        with StoreWriter(folder / split, tokenizer.vocab_size) as writer:
            for start in range(0, size, 1000 * DOCUMENT):
                n = min(1000 * DOCUMENT, size - start) // DOCUMENT
                ids = random.integers(5, tokenizer.vocab_size, n * DOCUMENT)
                sentences = np.full(n * DOCUMENT // SENTENCE, SENTENCE)
                writer.add_documents(
                    ids, (ids % 3 > 0).astype(np.uint8), sentences, np.full(n, DOCUMENT // SENTENCE)
                )
    counts = {"documents": 1, "words": 1, "tokens": tokens}
    write_meta(
        folder,
        {"fingerprint": f"random {tokens}", "language": "en", "splits": {"train": counts, "valid": counts}},
    )


def resume_seconds(model: str, store: Path, run: Path) -> tuple[float, float]:
    """Train two updates, stop, resume for one more; seconds of the process, and of the part after imports."""
    base = [sys.executable, "-m", "polyseme", "pretrain", model, str(store), "-o", str(run)]
    sizes = "hidden_size=64 num_hidden_layers=1 intermediate_size=64 train.save_minutes=1e-6 train.heldout_tokens=1000"
    settings = [word for pair in f"{sizes} train.embedding_start=random".split() for word in ("--set", pair)]
    process = subprocess.Popen([*base, "--steps", "100000", *settings], stderr=subprocess.DEVNULL)
    while not list((run / "resume").glob("step-*")):
        time.sleep(0.05)
    process.kill()
    process.wait()
    lines = len((run / "metrics.jsonl").read_text().split("\n"))
    start = time.perf_counter()
    process = subprocess.Popen([*base, "--steps", "100000", *settings, "--resume"], stderr=subprocess.DEVNULL)
    newest = max((run / "resume").glob("step-*"))
    while max((run / "resume").glob("step-*"), default=newest) <= newest:
        time.sleep(0.01)
    whole = time.perf_counter() - start
    process.kill()
    process.wait()
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import polyseme.train.pretrain"], check=True)
    assert lines
    return whole, whole - (time.perf_counter() - start)


def main() -> None:
    """Measure both models on a small and a large store; print table and JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=100_000_000)
    options = parser.parse_args()
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        sizes = (1_000_000, options.tokens)
        for size in sizes:
            make_store(Path(folder) / f"store{size}", size)
        print(f"{'model':<12}{'tokens':>13}{'seconds':>9}{'without imports':>17}")
        for model in ("modernbert", "bert"):
            seconds = []
            for size in sizes:
                whole, inner = resume_seconds(
                    model, Path(folder) / f"store{size}", Path(folder) / f"{model}{size}"
                )
                print(f"{model:<12}{size:>13,}{whole:>9.2f}{inner:>17.2f}", flush=True)
                seconds.append(whole)
            case = f"{model} {options.tokens} tokens"
            cases.append(
                {
                    "case": case,
                    "ours": seconds[1],
                    "peer": seconds[0],
                    "ratio": seconds[0] / seconds[1],
                    "unit": "s",
                }
            )
    print(json.dumps({"bench": "resume_large_store", "cases": cases}))


if __name__ == "__main__":
    main()
