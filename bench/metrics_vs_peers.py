"""Figures, intervals and paired tests beside scikit-learn, SciPy and seqeval: the same data, in turns.

    python bench/metrics_vs_peers.py [--rounds 3]

5,000 examples. "macro-F1 interval": 77 classes, 1,000 draws; scikit-learn scores every draw. "Spearman interval": 1,000
draws of `scipy.stats.bootstrap`. "randomisation": 10,000 rounds of `scipy.stats.permutation_test` for a difference of
means of pairs. "entity F1": 5,000 sentences of 30 tags with seqeval's default mode (left out where it is absent).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import scipy.stats
import sklearn.metrics

from polyseme.study.stats import randomisation
from polyseme.tasks.metrics import classification, regression, spans
from polyseme.tasks.metrics.intervals import bootstrap_interval, draws
from polyseme.tasks.metrics.measure import mean_of

N, CLASSES = 5000, 77


def cases() -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """Ours and the peer's, by name."""
    rng = np.random.default_rng(0)
    gold = rng.integers(0, CLASSES, N)
    said = np.where(rng.random(N) < 0.8, gold, rng.integers(0, CLASSES, N))
    x = rng.normal(size=N).round(1)
    y, z = x + rng.normal(size=(2, N))

    def macro_f1() -> Any:
        values = [
            sklearn.metrics.f1_score(gold[row], said[row], average="macro", zero_division=0)
            for block in draws(N, 1000, 0)
            for row in block
        ]
        return np.percentile(values, [2.5, 97.5])

    def rank(a: np.ndarray, b: np.ndarray, axis: int = -1) -> Any:
        return scipy.stats.spearmanr(a, b).statistic

    def spearman() -> Any:
        found = scipy.stats.bootstrap(
            (x, y), rank, paired=True, vectorized=False, n_resamples=1000, method="percentile", rng=0
        )
        return found.confidence_interval

    def permutation() -> Any:
        def difference(a: np.ndarray, b: np.ndarray, axis: int) -> Any:
            return (a - b).mean(axis)

        pair = (np.abs(x - y), np.abs(x - z))
        options: dict[str, Any] = {
            "permutation_type": "samples",
            "n_resamples": 10000,
            "batch": 200,
            "rng": 0,
        }
        return scipy.stats.permutation_test(pair, difference, **options).pvalue

    found: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "macro-F1 interval": (
            lambda: bootstrap_interval(classification.measures(gold, said, CLASSES)["macro_f1"]),
            macro_f1,
        ),
        "Spearman interval": (
            lambda: bootstrap_interval(regression.RankCorrelation("spearman", x, y)),
            spearman,
        ),
        "randomisation": (
            lambda: randomisation(mean_of("error", np.abs(x - y)), mean_of("error", np.abs(x - z))),
            permutation,
        ),
    }
    if find_spec("seqeval"):
        import seqeval.metrics

        tags = ["O", *(f"{letter}-{kind}" for kind in "ABCD" for letter in "BI")]
        held = [[tags[k] for k in row] for row in rng.integers(0, len(tags), (N, 30))]
        guess = [
            [tag if keep else "O" for tag, keep in zip(s, rng.random(30) < 0.8, strict=True)] for s in held
        ]
        found["entity F1"] = (
            lambda: spans.measures(held, guess)["f1"].value,
            lambda: seqeval.metrics.f1_score(held, guess),
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rows = []
    print(f"{'case':20}{'ours s':>10}{'peer s':>10}{'ratio':>8}")
    for case, sides in cases().items():
        seconds: tuple[list[float], list[float]] = ([], [])
        answers: list[Any] = [None, None]
        for _ in range(options.rounds):
            for side, run in enumerate(sides):
                start = time.perf_counter()
                answers[side] = run()
                seconds[side].append(time.perf_counter() - start)
        ours, peer = (float(np.median(side)) for side in seconds)
        shown = ["  ".join(f"{value:.4f}" for value in np.atleast_1d(answer)) for answer in answers]
        print(f"{case:20}{ours:10.3f}{peer:10.3f}{peer / ours:8.1f}   ours {shown[0]}, peer {shown[1]}")
        rows.append({"case": case, "ours": ours, "peer": peer, "ratio": peer / ours, "unit": "s"})
    print(json.dumps({"bench": "metrics_vs_peers", "cases": rows}))


if __name__ == "__main__":
    main()
