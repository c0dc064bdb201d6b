"""What a probe's score is to be held against.

random encoder   the same architecture and tokenizer with fresh weights: what structure alone gives
random labels    every word type has one label, drawn by chance as often as labels are: what a probe can learn by heart.
                 The score on the real labels less that on these is the selectivity.

Source: Hewitt and Liang (2019), section 2, for the random labels; Zhang and Bowman (2018) for the random encoder.
Departures: a type is the whole text of a span, of pairs that of the first.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import torch

from polyseme.core.rng import Random
from polyseme.infer.load import Loaded
from polyseme.study.probing.targets import BoolArray, Part
from polyseme.train.building import build_encoder

__all__ = ["random_encoder", "random_labels"]


def random_encoder(loaded: Loaded, seed: int) -> Loaded | None:
    """The run with fresh weights; None where the encoder learns none, as in a 1-of-N encoding."""
    if not any(True for _ in loaded.encoder.parameters()):
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(Random(seed, "random encoder").bits(0)) % 2**63)
        encoder = build_encoder(loaded.recipe, loaded.tokenizer)
    return replace(loaded, encoder=encoder.eval(), heads={})


def random_labels(parts: dict[str, Part], seed: int) -> dict[str, BoolArray]:
    """Labels for the targets of every part that say nothing but which word it is.

    The labels of a type are those of a target of train that is drawn by chance, so that labels are as frequent as they
    are there; a type has the same ones in all parts.
    """
    kinds, counts = np.unique(parts["train"].gold, axis=0, return_counts=True)
    borders = np.cumsum(counts) / counts.sum()
    random = Random(seed, "labels of word types")
    found = {}
    for name, part in parts.items():
        types = dict.fromkeys(part.types)
        keys = np.array([_key(one) for one in types], np.int64)
        drawn = np.minimum(np.searchsorted(borders, random.uniform(keys), side="right"), len(kinds) - 1)
        of = dict(zip(types, drawn.tolist(), strict=True))
        found[name] = kinds[[of[one] for one in part.types]]
    return found


def _key(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
