"""Phrases beside gensim's: the same text, two passes, one thread each, in turns.

    python bench/phrases_vs_gensim.py [--rounds 3] [--megabytes 26]

The lower-cased English novels. "learn": from words in memory to the phrases of two passes with the same formula and
thresholds (gensim's are scaled, since its formula has the size of the vocabulary for the number of words). "join": from
text to tokens with the phrases joined, gensim on the words of the same pattern. "encode": our tokenizer alone, with
phrases (ours) and without (peer): what they cost.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("RAYON_NUM_THREADS", "1")  # of the tokenizers library

from gensim.models.phrases import Phrases as GensimPhrases

from polyseme.text.config import TextConfig, TokenizerConfig
from polyseme.text.corpus import Corpus
from polyseme.text.phrases import Discounted, WordStream, learn_phrases
from polyseme.text.training import train_tokenizer
from polyseme.text.words import TOKEN_PATTERN

NOVELS = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "text" / "en" / "novels"
THRESHOLD, DELTA = 100.0, 5
_TOKEN = re.compile(TOKEN_PATTERN)


def clauses(text: str) -> list[list[str]]:
    """What stands between punctuation marks: gensim would join across them."""
    found: list[list[str]] = [[]]
    for word in _TOKEN.findall(text):
        if word[0].isalnum():
            found[-1].append(word)
        elif found[-1]:
            found.append([])
    return found


class Gensim:
    """Its two passes."""

    def learn(self, sentences: list[list[str]]) -> None:
        """Both passes; its threshold for each that means the same as ours.

        The second joins by another sign: gensim takes a word that holds the sign for a pair.
        """
        options: dict[str, Any] = {"min_count": DELTA, "threshold": 1.0}
        first = GensimPhrases(sentences, delimiter=" ", **options)
        first.threshold = THRESHOLD * len(first.vocab) / first.corpus_word_count
        self.first = first.freeze()
        second = GensimPhrases(self.first[sentences], delimiter="|", **options)
        second.threshold = THRESHOLD / 2 * len(second.vocab) / second.corpus_word_count
        self.second = second.freeze()

    def join(self, texts: list[str]) -> int:
        """Tokens of the texts."""
        return sum(len(self.second[self.first[words]]) for text in texts for words in clauses(text.lower()))


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and the answer."""
    started = time.perf_counter()
    answer = run()
    return time.perf_counter() - started, answer


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=float, default=26.0)
    arguments = parser.parse_args()
    texts = list(Corpus([str(NOVELS)], TextConfig()).samples(int(arguments.megabytes * 1e6), 0, None))
    size = sum(len(text.encode()) for text in texts) / 1e6
    sentences = [words for text in texts for words in clauses(text.lower()) if words]
    n_words = sum(map(len, sentences))
    config = TokenizerConfig(
        kind="words", min_count=DELTA, sample_bytes=1 << 30, phrases=2, phrase_threshold=THRESHOLD
    )
    tokenizer = train_tokenizer(texts, config, 0)
    peer = Gensim()

    def learn() -> set[str]:
        stream = WordStream(("\n\n".join(" ".join(s) for s in sentences),), str.split)
        known = [word for word, n in stream.counts.items() if n >= DELTA]
        ids, total = stream.of(known)
        found = learn_phrases(ids, total, 2, Discounted(THRESHOLD, DELTA))
        return {" ".join(known[i - 1] for i in phrase) for phrase in found}

    def encode(phrases: bool) -> int:
        return sum(map(len, tokenizer.encode_ids(texts, phrases=phrases)))

    seconds: dict[str, list[float]] = {}
    answers: dict[str, Any] = {}
    cases = {
        "learn": (learn, lambda: peer.learn(sentences), n_words / 1e6, "million words/s"),
        "join": (lambda: encode(True), lambda: peer.join(texts), size, "MB/s"),
        "encode": (lambda: encode(True), lambda: encode(False), size, "MB/s"),
    }
    for _ in range(arguments.rounds):
        for case, (mine, other, _, _) in cases.items():
            for who, run in (("ours", mine), ("peer", other)):
                taken, answers[f"{case} {who}"] = timed(run)
                seconds.setdefault(f"{case} {who}", []).append(taken)
    print(f"{size:.1f} MB, {n_words:,} words; median of {arguments.rounds} rounds")
    theirs = {name.replace("|", " ") for frozen in (peer.first, peer.second) for name in frozen.phrasegrams}
    print(
        f"phrases: ours {len(answers['learn ours']):,}, "
        f"gensim {len(theirs):,}, both {len(theirs & answers['learn ours']):,}"
    )
    print(f"tokens: ours {answers['join ours']:,} with marks, gensim {answers['join peer']:,} without")
    print(f"{'case':10}{'ours':>10}{'peer':>10}{'ratio':>8}")
    rows = []
    for case, (_, _, amount, unit) in cases.items():
        ours, others = (amount / float(np.median(seconds[f"{case} {who}"])) for who in ("ours", "peer"))
        print(f"{case:10}{ours:10.2f}{others:10.2f}{ours / others:8.2f}  {unit}")
        rows.append({"case": case, "ours": ours, "peer": others, "ratio": ours / others, "unit": unit})
    print(json.dumps({"bench": "phrases_vs_gensim", "cases": rows}))


if __name__ == "__main__":
    main()
