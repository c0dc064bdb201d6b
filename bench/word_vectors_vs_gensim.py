"""Files of word vectors: reading and writing, against gensim in the same run.

Random vectors with words of GloVe's form. Reading is what `polyseme import` does up to the run: vectors, vocabulary,
tokenizer, digest. gensim has no way to write the text form faster than its own, so both write the same numbers.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gensim.models import KeyedVectors

from polyseme.formats.runs import write_run
from polyseme.formats.static import export_word2vec
from polyseme.formats.word_vectors import import_word_vectors


def timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--words", type=int, default=40_000)
    parser.add_argument("--size", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    n, size = arguments.words, arguments.size
    vectors = np.random.default_rng(0).standard_normal((n, size)).astype(np.float32)
    words = [f"{'abcdefghij'[i % 10]}{i}" for i in range(n)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        line = "%s " + " ".join(["%.5f"] * size) + "\n"
        with (folder / "glove.txt").open("w") as file:
            file.writelines(line % (w, *v) for w, v in zip(words, vectors.tolist(), strict=True))
        theirs = KeyedVectors(size)
        theirs.add_vectors(words, vectors)
        theirs.save_word2vec_format(str(folder / "v.bin"), binary=True)
        run = write_run(import_word_vectors(folder / "v.bin"), folder / "run").path
        read = KeyedVectors.load_word2vec_format
        cases: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
            "read GloVe text": (
                lambda: import_word_vectors(folder / "glove.txt"),
                lambda: read(str(folder / "glove.txt"), no_header=True),
            ),
            "read binary": (
                lambda: import_word_vectors(folder / "v.bin"),
                lambda: read(str(folder / "v.bin"), binary=True),
            ),
            "write text": (
                lambda: export_word2vec(run, folder / "ours.txt"),
                lambda: theirs.save_word2vec_format(str(folder / "theirs.txt")),
            ),
            "write binary": (
                lambda: export_word2vec(run, folder / "ours.bin"),
                lambda: theirs.save_word2vec_format(str(folder / "theirs.bin"), binary=True),
            ),
        }
        seconds: dict[str, tuple[list[float], list[float]]] = {case: ([], []) for case in cases}
        for _ in range(arguments.rounds):
            for case, pair in cases.items():
                for taken, work in zip(seconds[case], pair, strict=True):
                    taken.append(timed(work))
        ours, others = (read(str(folder / f"{who}.txt")) for who in ("ours", "theirs"))
        assert ours.index_to_key == others.index_to_key
        assert np.array_equal(ours.vectors, others.vectors)
    print(f"{n:,} words, {size} numbers each; median of {arguments.rounds} rounds, words/s")
    print(f"{'case':18}{'ours':>12}{'gensim':>12}{'ratio':>8}")
    rows = []
    for case, pair in seconds.items():
        mine, peer = (n / float(np.median(taken)) for taken in pair)
        print(f"{case:18}{mine:12,.0f}{peer:12,.0f}{mine / peer:8.2f}")
        rows.append({"case": case, "ours": mine, "peer": peer, "ratio": mine / peer, "unit": "words/s"})
    print(json.dumps({"bench": "word_vectors_vs_gensim", "cases": rows}))


if __name__ == "__main__":
    main()
