"""word2vec beside gensim: same text, same settings, two threads each, in turns.

    python bench/word2vec_vs_gensim.py [--seeds 3] [--epochs 5] [--words N] [--methods skip-gram cbow]

The English novels, one sentence a line, the words that occur five times; 100 dimensions, window 5, 5 negatives,
subsampling 1e-3, 0.025 falling to 0.0001. gensim reads the file (corpus_file), polyseme its token store. A word is a
token of that text; the seconds are those of training alone. What comes before (gensim's vocabulary, our tokenizing and
compiling) is printed apart. Quality is Spearman's correlation on the English word-similarity sets, mean of the seeds.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from polyseme.data.prepare import prepare
from polyseme.data.store import PreparedCorpus, is_store
from polyseme.models.word2vec import Word2Vec, Word2VecConfig
from polyseme.objectives.context_window import ContextWindowConfig, ContextWindowLearner
from polyseme.study.intervals import spearman
from polyseme.study.similarity import read_pairs
from polyseme.text.corpus import TextConfig
from polyseme.text.tokenizers import TokenizerConfig

BENCH = Path(__file__).resolve().parent
CACHE = BENCH / ".cache"
SHARED = BENCH.parent.parent / "shared" / "data"
THREADS = 2
SIZE, WINDOW, NEGATIVES, SAMPLE, RATE, LEAST_RATE, MIN_COUNT = 100, 5, 5, 1e-3, 0.025, 0.0001, 5

Vectors = tuple[dict[str, int], np.ndarray]


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
    store: PreparedCorpus, words: list[str], method: str, seed: int, epochs: int, **more: Any
) -> tuple[float, Vectors]:
    """Seconds of training, and the vectors."""
    torch.manual_seed(seed)
    steps = 0.0
    learner = ContextWindowLearner(
        Word2Vec(Word2VecConfig(vocab_size=len(words), hidden_size=SIZE)),
        ContextWindowConfig(method=method, window=WINDOW, negatives=NEGATIVES, sample=SAMPLE, **more),  # type: ignore[arg-type]
        train=store.train,
        valid=store.valid,
        tokenizer=store.tokenizer,
        seed=seed,
        learning_rate=lambda progress: RATE + (LEAST_RATE - RATE) * progress,
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--methods", nargs="+", default=["skip-gram", "cbow"])
    asked = parser.parse_args()
    torch.set_num_threads(THREADS)
    store, words = corpus()
    file = CACHE / "word2vec-novels.txt"
    if not file.is_file():
        write_lines(store, words, file)
    print(f"{store.train.n_tokens:,} words, {len(words):,} in the vocabulary, {THREADS} threads")
    cases = []
    for method in asked.methods:
        began = time.perf_counter()
        ours(store, words, method, 0, 0)
        small = PreparedCorpus(store.folder, store.meta, store.valid, store.valid)
        ours(small, words, method, 0, 1)
        print(
            f"\n{method}: compiling and a first pass over a little text {time.perf_counter() - began:.1f} s"
        )
        rates: dict[str, list[float]] = {"polyseme": [], "gensim": []}
        scores: dict[str, list[dict[str, float]]] = {"polyseme": [], "gensim": []}
        for seed in range(1, asked.seeds + 1):
            seconds, vocabulary, n, theirs = gensims(file, method, seed, asked.epochs)
            rates["gensim"].append(n * asked.epochs / seconds)
            scores["gensim"].append(correlations(theirs))
            seconds, mine = ours(store, words, method, seed, asked.epochs)
            rates["polyseme"].append(store.train.n_tokens * asked.epochs / seconds)
            scores["polyseme"].append(correlations(mine))
            print(
                f"  seed {seed}: gensim {rates['gensim'][-1]:>11,.0f} words/s (vocabulary {vocabulary:.1f} s), "
                f"polyseme {rates['polyseme'][-1]:>11,.0f} words/s"
            )
        mine_rate, their_rate = (float(np.median(rates[who])) for who in ("polyseme", "gensim"))
        cases.append(
            {
                "case": f"{method} speed", "ours": round(mine_rate), "peer": round(their_rate),
                "ratio": round(mine_rate / their_rate, 2), "unit": "words/s",
            }
        )  # fmt: skip
        print(f"  speed (median): {mine_rate / their_rate:.2f} times gensim's")
        print(f"  {'Spearman':<16} {'polyseme':>22} {'gensim':>22}  difference")
        for name in scores["gensim"][0]:
            a, b = (np.array([s[name] for s in scores[who]]) for who in ("polyseme", "gensim"))
            print(
                f"  {name:<16} {a.mean():.3f} ({a.min():.3f} … {a.max():.3f})  {b.mean():.3f} ({b.min():.3f} … "
                f"{b.max():.3f})  {a.mean() - b.mean():+.3f}"
            )
            cases.append(
                {
                    "case": f"{method} {name}", "ours": round(a.mean(), 4), "peer": round(b.mean(), 4),
                    "ratio": round(a.mean() / b.mean(), 3), "unit": "Spearman",
                }
            )  # fmt: skip
    print(json.dumps({"bench": "word2vec_vs_gensim", "cases": cases}))


if __name__ == "__main__":
    main()
