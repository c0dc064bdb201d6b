"""Measures of attention heads: how much of their attention goes to the previous token, the separators, …

    share(r) = mean over tokens i of Σ_j a_ij [j stands to i in relation r]
    entropy  = mean over tokens i of -Σ_j a_ij ln a_ij              relative: divided by ln m_i
    distance = mean over tokens i of Σ_j a_ij |i - j|

a_ij is the share of token i's attention that token j gets, m_i how many tokens i may attend to. The mean is over the
tokens of the text (what separators attend to says nothing of it) that have a choice, m_i > 1, and, for a share, at
least one token in that relation which they may attend to: a head that always attends to the previous token has
previous = 1, though the first token has none, and a causal head has no `next`, rather than one of 0.

Source:  Clark et al. (2019), "What Does BERT Look At?", sections 3.1-3.3 (previous, next and own token, separators,
entropy). Departures: the mean leaves out separators and tokens without a choice; the word's other pieces, other
occurrences of the word, the first token (which many decoders fall back on; Xiao et al. 2023, "Efficient Streaming
Language Models with Attention Sinks", section 3.1), the other text of a pair and the distance are added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from polyseme.core.arrays import BoolArray, Float32Array, Float64Array, IntArray
from polyseme.tasks.metrics.intervals import bootstrap, measured
from polyseme.tasks.metrics.measure import ratio, times_drawn

__all__ = [
    "MEASURES",
    "PAIR_MEASURES",
    "SHARES",
    "Places",
    "figures_of_heads",
    "head_sums",
    "relations",
]


PAIR_MEASURES = ("a_to_b", "b_to_a")
SHARES = (
    "previous",
    "next",
    "itself",
    "first",
    "separators",
    "same_word",
    "same_word_elsewhere",
    *PAIR_MEASURES,
)
MEASURES = (*SHARES, "entropy", "relative_entropy", "distance")


class Places(NamedTuple):
    """The text and the word that each token of an example belongs to.

    Args:
        text: 0 or 1: which text a token belongs to; -1 for separators.
        word: which word of the example, counted through; -1 for separators, punctuation and the like.
        form: equal for equal words, whatever their case; -1 as for `word`.
    Shapes:  each (n,)
    """

    text: IntArray
    word: IntArray
    form: IntArray


def relations(places: Places) -> dict[str, BoolArray]:
    """Which token j stands to which token i in which relation: [i, j] is true.

    Shapes:  n tokens -> (n, n) each
    """
    n = len(places.text)
    i, j = np.arange(n)[:, None], np.arange(n)[None]
    of_a, of_b = places.text == 0, places.text == 1
    word = (places.word[:, None] == places.word) & (places.word >= 0)
    form = (places.form[:, None] == places.form) & (places.form >= 0)
    return {
        "previous": j == i - 1,
        "next": j == i + 1,
        "itself": i == j,
        "first": (j == 0) & (i != 0),
        "separators": np.broadcast_to(places.text < 0, (n, n)) & (i != j),
        "same_word": word & (i != j),
        "same_word_elsewhere": form & ~word,
        "a_to_b": of_a[:, None] & of_b,
        "b_to_a": of_b[:, None] & of_a,
    }


def head_sums(
    probabilities: npt.NDArray[np.floating[Any]], places: Places, visible: BoolArray
) -> tuple[Float64Array, Float64Array]:
    """The sum of every measure over the tokens of an example, and the number of tokens that it is over.

    Args:
        probabilities: of every layer and head, rows adding up to one.
        places: what the tokens are.
        visible: which tokens each may attend to, by layer.
    Shapes:  probabilities: (L, H, n, n).  visible: (L, n, n) -> sums: (L, H, K), tokens: (L, K); K = len(MEASURES)
    """
    n_layers, n_heads, n, _ = probabilities.shape
    sums = np.zeros((n_layers, n_heads, len(MEASURES)))
    tokens = np.zeros((n_layers, len(MEASURES)))
    stands = relations(places)
    known: list[tuple[BoolArray, tuple[Float64Array, Float64Array, Float64Array]]] = []
    for layer in range(n_layers):
        weights = next((made for mask, made in known if np.array_equal(mask, visible[layer])), None)
        if weights is None:  # most layers see alike
            weights = _weights(stands, places, visible[layer])
            known.append((visible[layer], weights))
        on_share, on_entropy, counted = weights
        a = probabilities[layer].reshape(n_heads, n * n).astype(np.float64)
        surprise = np.where(a > 0, -a * np.log(np.where(a > 0, a, 1.0)), 0.0)
        sums[layer] = np.concatenate([a @ on_share[:-1].T, surprise @ on_entropy.T, a @ on_share[-1:].T], 1)
        tokens[layer] = counted
    return sums, tokens


def _weights(
    stands: Mapping[str, BoolArray], places: Places, visible: BoolArray
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """How much each pair of tokens counts in a measure that is linear in shares (distance last) or in -a ln a.

    Shapes:  (9 + 1, n²), (2, n²), tokens: (K,)
    """
    n = len(places.text)
    n_visible = visible.sum(1)
    counts = (places.text >= 0) & (n_visible > 1)  # (n,) tokens of the text that have a choice
    masks = np.stack([stands[name] for name in SHARES]) & visible & counts[:, None]
    distance = np.abs(np.arange(n)[:, None] - np.arange(n)) * (visible & counts[:, None])
    all_pairs = np.broadcast_to(counts[:, None], (n, n)).astype(np.float64)
    relative = all_pairs / np.log(np.maximum(n_visible, 2))[:, None]
    tokens = np.array([*masks.any(2).sum(1), *[counts.sum()] * 3], np.float64)
    linear = np.concatenate([masks.reshape(len(SHARES), -1), distance.reshape(1, -1)])
    return linear.astype(np.float64), np.stack([all_pairs, relative]).reshape(2, -1), tokens


def figures_of_heads(
    sums: Float64Array,
    tokens: Float64Array,
    names: Sequence[str] = MEASURES,
    resamples: int = 1000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """The measures of every head over all examples, with 95 % bootstrap intervals over examples.

    Args:
        sums, tokens: what `head_sums` says of every example.
        names: the measures that are wanted.
        resamples: draws; one example has no interval.
    Returns [{"layer", "head", MEASURE: {"value", "low", "high", "n": tokens}}], layers and heads counted from 1; None
    where no token could be counted.
    Shapes:  sums: (N, L, H, K).  tokens: (N, L, K)
    """
    n, n_layers, n_heads, _ = sums.shape
    kept = [MEASURES.index(name) for name in names]
    above, below = sums[..., kept], tokens[..., kept]
    counted = below.sum(0)  # (L, k)
    values = ratio(above.sum(0), counted[:, None])
    low, high = np.full_like(values, np.nan), np.full_like(values, np.nan)
    if n > 1 and resamples:
        shape = (-1, n_layers, n_heads, len(kept))
        flat, flat_below = above.reshape(n, -1), below.reshape(n, -1)

        def drawn(chosen: IntArray) -> Float32Array:
            times = times_drawn(chosen, n)
            counts = (times @ flat_below).reshape(-1, n_layers, 1, len(kept))
            counts = np.where(counts > 0, counts, np.nan)
            return ((times @ flat).reshape(shape) / counts).astype(np.float32)

        draws = bootstrap(drawn, n, resamples, seed, "bootstrap of heads")
        known = np.isfinite(draws).any(0)
        limits = np.nanpercentile(np.where(known, draws, 0.0), [2.5, 97.5], axis=0)
        low, high = (np.where(known, limit, np.nan) for limit in limits)
    return [
        {"layer": layer + 1, "head": head + 1}
        | {
            name: measured(
                float(values[layer, head, k]) if counted[layer, k] else float("nan"),
                (float(low[layer, head, k]), float(high[layer, head, k])),
                int(counted[layer, k]),
            )
            for k, name in enumerate(names)
        }
        for layer in range(n_layers)
        for head in range(n_heads)
    ]
