"""Scores of sentences and their pace against minicons, on models of ours that are exported for transformers.

    python bench/pairs_vs_minicons.py [--masked RUN] [--causal RUN] [--pairs 340] [--threads 2]

    log-likelihood           minicons IncrementalLMScorer.sequence_score, sum of the tokens' log-probabilities
    pseudo-log-likelihood    MaskedLMScorer.sequence_score, PLL_metric "original" (Salazar et al. 2020)
    within words             the same with "within_word_l2r" (Kauf and Ivanova 2023)

Sentences are the two of BLiMP's pairs, equally many of every paradigm. Where no run is named, a bert and a gpt of 256
numbers and 4 layers are trained for 60 steps on Python's own documentation. Conventions: minicons' reduction is the
sum; the exported tokenizer of a decoder puts [CLS] before a text, so bos_token=False; bow_correction=False; the end of
a text is not counted (eos_token=False); its masked scorer is handed what the tokenizer gives (a BatchEncoding), since
transformers 5 has no batch_encode_plus, which it would call on strings. Both get all sentences, minicons in batches of
the size (8, 32, 128 sentences) at which it is fastest on a sample. The order is ours, peer, ours; ours is the mean of
both. Scores must agree within 1e-3 nats a sentence; the bench fails where they do not. Needs minicons:
python -m pip install minicons.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from polyseme import Budget, PretrainRequest, export_model, pretrain
from polyseme.infer.model import Model, load
from polyseme.infer.score import score
from polyseme.text.labelled.minimal_pairs import pair_files, read_minimal_pairs

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
SIZES = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024}
BATCHES = (8, 32, 128)
TOLERANCE = 1e-3


def texts_of(number: int) -> list[str]:
    """The sentences of so many pairs, equally many of every file."""
    files = pair_files([DATA / "tasks" / "blimp"])
    each = max(1, number // len(files))
    found: dict[str, None] = {}
    for file in files:
        for count, pair in enumerate(read_minimal_pairs(file)):
            if count >= each:
                break
            found.update(dict.fromkeys((pair.good, pair.bad)))
    return list(found)


def trained(model: str, folder: Path) -> Path:
    """A run of a minute."""
    request = PretrainRequest(
        model=model,
        corpus=["python-docs"],
        output=folder / model,
        budget=Budget(steps=60),
        settings={**SIZES, "train.heldout_tokens": 512, "tokenizer.vocab_size": 8000},
    )
    return pretrain(request).path


def timed(function: Callable[[], list[float]]) -> tuple[float, list[float]]:
    begin = time.perf_counter()
    result = function()
    return time.perf_counter() - begin, result


def total(scores: torch.Tensor) -> float:
    """What minicons makes of a sentence's tokens."""
    return float(scores.sum(0))


def ours(loaded: Model, texts: list[str], within: bool) -> list[float]:
    return [one.log_likelihood for one in score(loaded, texts, within_word=within)]


def peers(peer: Any, how: dict[str, Any], texts: list[str], size: int) -> list[float]:
    """Minicons' scores, so many sentences at a time."""
    found: list[float] = []
    for start in range(0, len(texts), size):
        some: Any = texts[start : start + size]
        if "PLL_metric" in how:
            some = peer.tokenizer(some, padding=True)
        found += peer.sequence_score(some, reduction=total, **how)
    return found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--masked", type=Path)
    parser.add_argument("--causal", type=Path)
    parser.add_argument("--pairs", type=int, default=340)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    from minicons import scorer

    texts = texts_of(options.pairs)
    print(f"{len(texts):,} sentences of BLiMP, {options.threads} threads")
    print(f"{'':<34}{'ours':>9}{'minicons':>10}{'ratio':>8}   sentences/s; largest difference, nats")
    cases, failed = [], False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = {
            "masked": options.masked or trained("bert", folder),
            "causal": options.causal or trained("gpt", folder),
        }
        for kind, run in runs.items():
            loaded = load(run)
            export_model(run, "huggingface", folder / f"{kind}-exported")
            path = str(folder / f"{kind}-exported")
            peer: Any
            if kind == "masked":
                peer = scorer.MaskedLMScorer(path, "cpu")
                settings = [
                    ("pseudo-log-likelihood", {"PLL_metric": "original"}, False),
                    ("within words", {"PLL_metric": "within_word_l2r"}, True),
                ]
            else:
                peer = scorer.IncrementalLMScorer(path, "cpu")
                settings = [("log-likelihood", {"bos_token": False, "bow_correction": False}, False)]
            for case, how, within in settings:
                theirs = partial(peers, peer, how)
                sample = texts[:: max(1, len(texts) // 64)]
                score(loaded, sample, within_word=within)
                theirs(sample[:8], 8)
                seconds = {size: timed(partial(theirs, sample, size))[0] for size in BATCHES}
                size = min(BATCHES, key=seconds.__getitem__)
                first, found = timed(partial(ours, loaded, texts, within))
                peer_s, expected = timed(partial(theirs, texts, size))
                second, _ = timed(partial(ours, loaded, texts, within))
                difference = max(abs(a - b) for a, b in zip(found, expected, strict=True))
                failed |= difference > TOLERANCE
                mine, pace = 2 * len(texts) / (first + second), len(texts) / peer_s
                label = f"{loaded.recipe.architecture}, {case}"
                print(
                    f"{label:<34}{mine:>9.1f}{pace:>10.1f}{mine / pace:>8.2f}   {difference:.1e}, batches of {size}",
                    flush=True,
                )
                cases.append(
                    {
                        "case": label,
                        "ours": mine,
                        "peer": pace,
                        "ratio": mine / pace,
                        "unit": "sentences/s",
                        "difference": difference,
                    }
                )
    print(json.dumps({"bench": "pairs_vs_minicons", "cases": cases}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
