"""Word classes against the widely used C++ program of Brown clustering (exact, bounded window).

    python bench/word_classes_vs_wcluster.py                 all three cases
    python bench/word_classes_vs_wcluster.py --case brown    one of brown, exchange, novels

brown      the Brown corpus, lower-cased, one stream, every word: 200 classes. Our time is from a list of words to
           classes and tree; the peer's, kept in RESULT.txt beside its paths, is from a text file of the same words.
           Its mutual information is computed anew from its paths.
exchange   the same, with five passes of exchange before the tree.
novels     English novels, the first 5 million words, lower-cased, every word: 1,000 classes. No peer.

Kernels are compiled before the clock starts; the first line says how long that took (they are cached on the disk).
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import time
import zipfile
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
REFERENCE = SHARED / "reference" / "wcluster_brown200"
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[^\w\s]|_")


def brown() -> list[str]:
    """The tokens as the reference read them."""
    words: list[str] = []
    with zipfile.ZipFile(SHARED / "data" / "text" / "en" / "brown" / "brown.zip") as archive:
        for name in sorted(archive.namelist()):
            if re.fullmatch(r"(.*/)?c[a-r]\d\d", name):
                tagged = archive.read(name).decode("latin-1").split()
                words += [token.rpartition("/")[0].lower() for token in tagged]
    return words


def novels(n: int) -> list[str]:
    """The first n words and marks of the novels, file by file."""

    def every() -> object:
        for path in sorted((SHARED / "data" / "text" / "en" / "novels").glob("*.txt.gz")):
            yield from WORD.findall(gzip.decompress(path.read_bytes()).decode("utf-8-sig").lower())

    return list(islice(every(), n))  # type: ignore[call-overload]


def numbered(words: list[str]) -> tuple[np.ndarray, dict[str, int]]:
    """Words as numbers, most frequent first."""
    ranked = sorted(Counter(words).items(), key=lambda item: -item[1])
    number = {word: i for i, (word, _) in enumerate(ranked)}
    return np.array([number[word] for word in words]), number


def cluster(words: list[str], n_classes: int, passes: int) -> dict[str, float]:
    """From words to classes and a tree; seconds of every part."""
    from polyseme.objectives.brown import Clustering, bigrams_of

    marks = [time.perf_counter()]
    ids, number = numbered(words)
    n_words = len(number)
    keys, counts = np.unique(ids[:-1] * n_words + ids[1:], return_counts=True)
    clustering = Clustering(bigrams_of(*np.divmod(keys, n_words), counts, n_words), n_classes)
    marks.append(time.perf_counter())
    clustering.insert(0, n_words)
    marks.append(time.perf_counter())
    for _ in range(passes):
        clustering.exchange(0, n_words)
    if passes:
        clustering.compare_all(0, n_classes + 1)
    marks.append(time.perf_counter())
    information = clustering.mutual_information
    merged = clustering.merge_down(n_classes - 1)
    marks.append(time.perf_counter())
    assert len(merged) == n_classes - 1
    parts = dict(zip(("count", "merge", "exchange", "tree"), np.diff(marks).tolist(), strict=True))
    return {"information": information, "seconds": marks[-1] - marks[0], **parts}


def reference(ids: np.ndarray, number: dict[str, int]) -> tuple[float, float]:
    """The peer's mutual information, from its paths by our formula, and its seconds."""
    from polyseme.objectives.brown import average_mutual_information

    with gzip.open(REFERENCE / "paths.gz", "rt", encoding="utf-8") as file:
        path_of = {word: bits for bits, word, _ in (line.rstrip("\n").split("\t") for line in file)}
    classes = {bits: i for i, bits in enumerate(sorted(set(path_of.values())))}
    class_of = np.array([classes[path_of[word]] for word in number])
    bigrams = np.zeros((len(classes), len(classes)))
    np.add.at(bigrams, (class_of[ids[:-1]], class_of[ids[1:]]), 1)
    seconds = re.search(r"(\d+) s wall", (REFERENCE / "RESULT.txt").read_text())
    assert seconds is not None
    return average_mutual_information(bigrams), float(seconds[1])


def main() -> None:
    """Run the cases and print a table and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", choices=["brown", "exchange", "novels"], action="append")
    wanted = parser.parse_args().case or ["brown", "exchange", "novels"]
    start = time.perf_counter()
    cluster(list("to have what is needed compiled, a few words are enough" * 9), 5, 1)
    print(f"kernels compiled or read from the cache in {time.perf_counter() - start:.1f} s", flush=True)
    print(f"{'case':<34}{'seconds':>9}{'count':>8}{'merge':>8}{'exch.':>8}{'tree':>8}{'AMI (nats)':>12}")
    cases = []

    def show(name: str, found: dict[str, float]) -> None:
        parts = "".join(f"{found[part]:>8.2f}" for part in ("count", "merge", "exchange", "tree"))
        print(f"{name:<34}{found['seconds']:>9.2f}{parts}{found['information']:>12.6f}", flush=True)

    if {"brown", "exchange"} & set(wanted):
        words = brown()
        ids, number = numbered(words)
        information, seconds = reference(ids, number)
        print(f"{'wcluster, Brown, C = 200 (kept)':<34}{seconds:>9.2f}{'':>32}{information:>12.6f}")
        for name, passes in (("brown", 0), ("exchange", 5)):
            if name not in wanted:
                continue
            found = cluster(words, 200, passes)
            label = f"Brown, C = 200, {passes} passes of exchange"
            show(label, found)
            cases += [
                {"case": f"{label}: time", "ours": found["seconds"], "peer": seconds,
                 "ratio": seconds / found["seconds"], "unit": "s"},
                {"case": f"{label}: average mutual information", "ours": found["information"],
                 "peer": information, "ratio": found["information"] / information, "unit": "nats"},
            ]  # fmt: skip
    if "novels" in wanted:
        words = novels(5_000_000)
        found = cluster(words, 1000, 0)
        label = f"novels, {len(words):,} words, {len(set(words)):,} types, C = 1000"
        show("novels, C = 1000", found)
        cases.append({"case": label, "ours": found["seconds"], "peer": None, "ratio": None, "unit": "s"})
    print(json.dumps({"bench": "word_classes_vs_wcluster", "cases": cases}))


if __name__ == "__main__":
    main()
