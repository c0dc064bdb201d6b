"""Figures from layer weights and cumulative scores: centres, divergences, expected layers, and their intervals.

    centre of gravity      Σ_l l s_l
    divergence             KL(s ‖ uniform) = Σ_l s_l ln(s_l (L + 1)),  nats
    differential score     Δ(l) = score(0 … l) - score(0 … l - 1)
    expected layer         Σ_{l ≥ 1} l Δ(l) / Σ_{l ≥ 1} Δ(l)

A probe that is no better than always predicting the most frequent label has learned nothing from any layer. The figures
from its weights and scores are then withheld, however sharp they look.

Paper: Tenney et al. (2019b), section 3. The expected layer is theirs, and a second one with max(Δ, 0) in place of Δ:
where a layer makes the score worse, the published form can leave 1 … L.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from polyseme.core.arrays import Float64Array
from polyseme.study.stats import mean_of_drawn_seeds, seeds_difference, values_of
from polyseme.tasks.metrics.intervals import bootstrap, limits, measured, over_seeds
from polyseme.tasks.metrics.measure import Resampled

__all__ = [
    "beats_baseline",
    "centre_of_gravity",
    "difference",
    "differential",
    "divergence",
    "expected_layer",
    "of_seeds",
    "score",
    "scores_of_layers",
    "withheld",
]

LEAST_GAIN = 1e-9


def centre_of_gravity(shares: Sequence[float]) -> float:
    """The mean layer, weighted.

    Example:
        >>> centre_of_gravity([0.25, 0.25, 0.5])
        1.25
    """
    return float(sum(layer * share for layer, share in enumerate(shares)))


def divergence(shares: Sequence[float]) -> float:
    """Kullback and Leibler's divergence of layer weights from uniform ones, nats; 0 = all alike, ln(L + 1) = one alone.

    Example:
        >>> divergence([0.5, 0.5]), round(divergence([1.0, 0.0]), 4)
        (0.0, 0.6931)
    """
    n = len(shares)
    return float(sum(share * math.log(share * n) for share in shares if share > 0))


def differential(scores: npt.ArrayLike) -> Float64Array:
    """What each layer adds.  Shapes:  (…, L + 1) -> (…, L)"""
    return np.diff(np.asarray(scores, np.float64), axis=-1)


def expected_layer(scores: npt.ArrayLike, clipped: bool = False) -> Float64Array:
    """The layer at which a task is solved, on average over what the layers add; NaN where they add nothing.

    Args:
        scores: of the layers 0 … l, for each l.
        clipped: layers that make it worse count as 0.
    Shapes:  (…, L + 1) -> (…)

    Example:
        >>> float(expected_layer([0.5, 0.7, 0.8])), float(expected_layer([0.5, 0.7, 0.6], clipped=True))
        (1.3333333333333335, 1.0)
    """
    gains = differential(scores)
    if clipped:
        gains = np.maximum(gains, 0.0)
    total = gains.sum(-1)
    weighted = gains @ np.arange(1.0, gains.shape[-1] + 1)
    return np.where(total > LEAST_GAIN, weighted / np.where(total > LEAST_GAIN, total, 1.0), np.nan)


def of_seeds(values: Sequence[float]) -> dict[str, Any]:
    """A figure with one value for each seed, as reports write it: the mean with Student's interval."""
    summary = over_seeds(values)
    low, high = (math.nan if summary[key] is None else summary[key] for key in ("low", "high"))
    return measured(summary["mean"], (low, high), summary["n"]) | {"values": [float(v) for v in values]}


def score(runs: Sequence[Resampled], rounds: int, seed: int = 0) -> dict[str, Any]:
    """The mean figure of several seeds, as reports write it.

    The interval resamples texts and seeds, if there is more than one text; "seeds" has Student's over the seeds alone.
    """
    values = [run.value for run in runs]
    drawn = _drawn([runs], rounds, seed)[:, 0]
    return measured(float(np.mean(values)), _limits(drawn, runs[0]), runs[0].n) | {
        "seeds": over_seeds(values),
        "values": values,
    }


def difference(
    first: Sequence[Resampled], second: Sequence[Resampled], rounds: int, seed: int = 0
) -> dict[str, Any]:
    """How much better the first is on the same texts: {"value", "low", "high", "n", "p", "above"}.

    "above" is true if the whole interval lies above 0; both texts and seeds are resampled.
    """
    tested = seeds_difference(first, second, rounds, seed)
    if first[0].examples < 2:
        return measured(tested["value"], (math.nan, math.nan), first[0].n) | {"p": 1.0, "above": False}
    result = measured(tested["value"], (tested["low"], tested["high"]), first[0].n)
    return result | {"p": tested["p"], "above": bool(tested["low"] > 0)}


def scores_of_layers(runs: Sequence[Sequence[Resampled]], rounds: int, seed: int = 0) -> dict[str, Any]:
    """Cumulative and differential scores and expected layers, all from the same draws of texts and seeds.

    Args:
        runs: for each l the probes of the layers 0 … l, one a seed.
    """
    n = runs[0][0].n
    values = np.array([[run.value for run in probes] for probes in runs]).T  # (S, L + 1)
    drawn = _drawn(runs, rounds, seed)  # (R, L + 1)
    gains, mean = differential(drawn), values.mean(0)
    document: dict[str, Any] = {
        "scores": [
            measured(float(value), _limits(drawn[:, layer], runs[0][0]), n)
            for layer, value in enumerate(mean)
        ],
        "differences": [
            measured(float(value), _limits(gains[:, layer], runs[0][0]), n)
            for layer, value in enumerate(differential(mean))
        ],
    }
    for name, clipped in (("expected_layer", False), ("expected_layer_clipped", True)):
        of_draws, by_seed = expected_layer(drawn, clipped), expected_layer(values, clipped)
        seeds = [float(value) for value in by_seed if math.isfinite(value)]
        document[name] = measured(float(expected_layer(mean, clipped)), _limits(of_draws, runs[0][0]), n) | {
            "seeds": over_seeds(seeds),
            "undefined_draws": int((~np.isfinite(of_draws)).sum()),
        }
    return document


def beats_baseline(task: Mapping[str, Any]) -> bool:
    """Whether a probe's score is above that of always predicting the most frequent label.

    Only then do its layer weights and cumulative scores mean anything.

    Args:
        task: of a probing study's document.
    """
    score, least = task["score"]["value"], task["most_frequent"]["value"]
    return score is not None and (least is None or score > least)


def withheld(mix: dict[str, Any] | None, cumulative: dict[str, Any] | None) -> None:
    """Take the layer figures out of a probe that learned nothing; weights and scores stay as they were measured.

    Args:
        mix, cumulative: of its document; changed in place.
    """
    for part in (mix, cumulative):
        for name in ("centre_of_gravity", "divergence", "expected_layer", "expected_layer_clipped"):
            if part is not None and name in part:
                extra: dict[str, Any] = {"seeds": over_seeds([])}
                if "values" in part[name]:
                    extra = {"values": []}
                part[name] = {"value": None, "low": None, "high": None, "n": part[name]["n"]} | extra


def _drawn(runs: Sequence[Sequence[Resampled]], rounds: int, seed: int) -> Float64Array:
    """Means over seeds in draws of texts and seeds; all columns share a draw of seeds.

    Shapes:  L lists of S figures -> (R, L)
    """
    values = bootstrap(
        lambda chosen: np.stack([values_of(column)(chosen) for column in runs], 1),
        runs[0][0].examples,
        rounds,
        seed,
    )
    return mean_of_drawn_seeds(values, seed)


def _limits(drawn: Float64Array, run: Resampled) -> tuple[float, float]:
    """The middle 95 % of draws of texts; NaN if there is one text, which cannot be resampled."""
    return limits(drawn) if run.examples > 1 else (math.nan, math.nan)
