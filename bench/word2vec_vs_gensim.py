"""word2vec beside gensim: same text, same settings, two threads each, in turns.

    python bench/word2vec_vs_gensim.py [--seeds 3] [--epochs 5] [--methods skip-gram cbow]

The English novels, one sentence a line, the words that occur five times; 100 dimensions, window 5, 5 negatives,
subsampling 1e-3, a rate of 0.025 falling to 0.0001 (our CBOW: 0.075, with the gradient of the mean; our skip-gram also
at 0.05). gensim reads the file (corpus_file), where each of W workers counts its own lines against all of them, so
that in every epoch its rate falls by a W-th of what the schedule says and then jumps; polyseme reads its token store.
A word is a token of that text; the seconds are those of training alone.
What comes before (gensim's vocabulary, our tokenizing and compiling) is printed apart. Quality is Spearman's
correlation on the English word-similarity sets, mean of the seeds.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from polyseme.data.prepare import prepare
from polyseme.data.store import PreparedCorpus, is_store
from polyseme.models.word2vec import Word2Vec, Word2VecConfig
from polyseme.objectives.context_window import ContextWindowConfig, ContextWindowLearner
from polyseme.study.word_vectors import read_pairs
from polyseme.tasks.metrics.regression import spearman
from polyseme.text.config import TextConfig, TokenizerConfig

BENCH = Path(__file__).resolve().parent
CACHE = BENCH / ".cache"
SHARED = BENCH.parent.parent / "shared" / "data"
THREADS = 2
SIZE, WINDOW, NEGATIVES, SAMPLE, RATE, LEAST_RATE, MIN_COUNT = 100, 5, 5, 1e-3, 0.025, 0.0001, 5

# As our recipes have them, and with the rate and (CBOW) the gradient of the authors' program, which are gensim's.
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "skip-gram": {"skip-gram": {}, "skip-gram at 0.05": {"rate": 0.05}},
    "cbow": {"cbow": {"rate": 0.075}, "cbow as released": {"divide": False}},
}

Vectors = tuple[dict[str, int], np.ndarray]


class Trained(NamedTuple):
    """Words a second, and Spearman's correlation by set."""

    rate: float
    scores: dict[str, float]


def corpus() -> tuple[PreparedCorpus, list[str]]:
    """The store, and its vocabulary; made once."""
    folder = CACHE / "word2vec-novels"
    if not is_store(folder):
        if not SHARED.is_dir():
            raise SystemExit(f"the bench needs the English novels in {SHARED / 'text' / 'en' / 'novels'}")
        began = time.perf_counter()
        prepare(
            [str(SHARED / "text" / "en" / "novels")],
            folder,
            text=TextConfig(),
            tokenizer=TokenizerConfig(kind="words", min_count=MIN_COUNT, sample_bytes=200_000_000),
        )
        print(f"tokenized in {time.perf_counter() - began:.1f} s")
    made = PreparedCorpus.open(folder)
    return made, [made.tokenizer.token(i) for i in range(made.tokenizer.vocab_size)]


def write_lines(store: PreparedCorpus, words: list[str], file: Path) -> None:
    """One sentence a line; words that are not in the vocabulary stay unknown, as they are rare for gensim, too."""
    unknown = store.tokenizer.unk_id
    tokens, offsets = np.asarray(store.train.tokens), np.asarray(store.train.sentences)
    with file.open("w", encoding="utf-8") as out:
        rare = 0
        for start, end in pairwise(offsets):
            line = []
            for i in tokens[start:end].tolist():
                rare += i == unknown
                line.append(f"rare{rare}" if i == unknown else words[i])  # once each: below min_count
            out.write(" ".join(line) + "\n")


def ours(
    store: PreparedCorpus,
    words: list[str],
    method: str,
    seed: int,
    epochs: int,
    *,
    rate: float = RATE,
    divide: bool = True,
) -> tuple[float, Vectors]:
    """Seconds of training, and the vectors."""
    torch.manual_seed(seed)
    steps = 0.0
    learner = ContextWindowLearner(
        Word2Vec(Word2VecConfig(vocab_size=len(words), hidden_size=SIZE)),
        ContextWindowConfig(method=method, window=WINDOW, negatives=NEGATIVES, sample=SAMPLE, divide=divide),
        train=store.train,
        valid=store.valid,
        tokenizer=store.tokenizer,
        seed=seed,
        learning_rate=lambda progress: rate + (LEAST_RATE - rate) * progress,
        heldout_tokens=128,
        threads=THREADS,
    )
    total = epochs * learner.steps_per_epoch
    began = time.perf_counter()
    for span in learner.stream(0, lambda row: row / total):
        if steps >= total:
            break
        learner.step([span], steps / total)
        steps += 1
    seconds = time.perf_counter() - began
    table = learner.weights()["encoder.word_embeddings.weight"].numpy()
    special = set(store.tokenizer.special_ids)
    return seconds, ({w: i for i, w in enumerate(words) if i not in special}, table)


def gensims(file: Path, method: str, seed: int, epochs: int) -> tuple[float, float, int, Vectors]:
    """Seconds of training and of the vocabulary, words of the text, and the vectors."""
    from gensim.models import Word2Vec as Peer

    model = Peer(
        sg=int(method == "skip-gram"), vector_size=SIZE, window=WINDOW, negative=NEGATIVES, sample=SAMPLE,
        min_count=MIN_COUNT, alpha=RATE, min_alpha=LEAST_RATE, workers=THREADS, epochs=epochs, seed=seed,
    )  # fmt: skip
    began = time.perf_counter()
    model.build_vocab(corpus_file=str(file))
    built = time.perf_counter()
    model.train(
        corpus_file=str(file),
        total_examples=model.corpus_count,
        total_words=model.corpus_total_words,
        epochs=epochs,
    )
    seconds = time.perf_counter() - built
    return seconds, built - began, model.corpus_total_words, (dict(model.wv.key_to_index), model.wv.vectors)


def correlations(vectors: Vectors) -> dict[str, float]:
    """Spearman by set, over the pairs whose words are both known."""
    index, table = vectors
    unit = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
    result = {}
    for file in sorted((SHARED / "tasks" / "wordsim_en").glob("EN-*.txt")):
        pairs = [p for p in read_pairs(file) if p.first in index and p.second in index]
        score = np.array([p.score for p in pairs])
        cosine = np.array([unit[index[p.first]] @ unit[index[p.second]] for p in pairs])
        result[file.stem.removeprefix("EN-")] = float(spearman(score[None], cosine[None])[0])
    return result


def compare(
    store: PreparedCorpus, words: list[str], file: Path, method: str, seeds: int, epochs: int
) -> list[dict[str, Any]]:
    """Train both sides in turns and print the table of one method."""
    variants = VARIANTS[method]
    began = time.perf_counter()
    small = PreparedCorpus(store.folder, store.meta, store.valid, store.valid)
    for options in variants.values():
        ours(small, words, method, 0, 1, **options)
    print(f"\n{method}: compiling and a pass over a little text {time.perf_counter() - began:.1f} s")
    peers: list[Trained] = []
    mine: dict[str, list[Trained]] = {name: [] for name in variants}
    for seed in range(1, seeds + 1):
        seconds, vocabulary, n, vectors = gensims(file, method, seed, epochs)
        peers.append(Trained(n * epochs / seconds, correlations(vectors)))
        shown = [f"gensim {peers[-1].rate:,.0f} words/s (vocabulary {vocabulary:.1f} s)"]
        for name, options in variants.items():
            seconds, vectors = ours(store, words, method, seed, epochs, **options)
            mine[name].append(Trained(store.train.n_tokens * epochs / seconds, correlations(vectors)))
            shown.append(f"{name} {mine[name][-1].rate:,.0f}")
        print(f"  seed {seed}: " + ", ".join(shown), flush=True)
    cases = []
    for name, trained in mine.items():
        a, b = (float(np.median([t.rate for t in side])) for side in (trained, peers))
        cases.append(case(f"{name} speed", a, b, 0, "words/s"))
        print(f"  {name}: {a / b:.2f} times gensim's words/s (medians)")
        print(f"    {'Spearman':<14} {'polyseme':<23} {'gensim':<23} difference")
        for key in peers[0].scores:
            x, y = (np.array([t.scores[key] for t in side]) for side in (trained, peers))
            cells = [f"{v.mean():.3f} ({v.min():.3f} … {v.max():.3f})" for v in (x, y)]
            print(f"    {key:<14} {cells[0]:<23} {cells[1]:<23} {x.mean() - y.mean():+.3f}")
            cases.append(case(f"{name} {key}", x.mean(), y.mean(), 4, "Spearman"))
    return cases


def case(name: str, mine: float, peer: float, digits: int, unit: str) -> dict[str, Any]:
    return {
        "case": name, "ours": round(float(mine), digits), "peer": round(float(peer), digits),
        "ratio": round(float(mine / peer), 3), "unit": unit,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--methods", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    asked = parser.parse_args()
    torch.set_num_threads(THREADS)
    store, words = corpus()
    file = CACHE / "word2vec-novels.txt"
    if not file.is_file():
        write_lines(store, words, file)
    print(f"{store.train.n_tokens:,} words, {len(words):,} in the vocabulary, {THREADS} threads")
    cases = []
    for method in asked.methods:
        cases += compare(store, words, file, method, asked.seeds, asked.epochs)
    print(json.dumps({"bench": "word2vec_vs_gensim", "cases": cases}))


if __name__ == "__main__":
    main()
