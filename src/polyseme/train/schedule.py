"""The learning rate as a function of the share of the budget that is spent."""

from __future__ import annotations

import math

from polyseme.train.config import TrainConfig

_TRAPEZOID_DECAY = 0.5


def learning_rate_factor(config: TrainConfig, progress: float) -> float:
    """Factor on the peak learning rate.

        warm-up: progress / warmup;  then from 1 to `final` along the schedule's shape over the rest

    Args:
        progress: share of the budget spent, 0 … 1.

    Example:
        >>> round(learning_rate_factor(TrainConfig(schedule="linear", warmup=0.1), 0.55), 3)
        0.5
    """
    progress = min(1.0, max(0.0, progress))
    if progress < config.warmup:
        return max(progress, 0.01 * config.warmup) / config.warmup
    rest = (progress - config.warmup) / (1.0 - config.warmup)
    match config.schedule:
        case "constant":
            return 1.0
        case "linear":
            shape = 1.0 - rest
        case "cosine":
            shape = 0.5 * (1.0 + math.cos(math.pi * rest))
        case "trapezoid":  # flat, then linear: Hägele et al. (2024)
            shape = min(1.0, (1.0 - rest) / _TRAPEZOID_DECAY)
    return config.final + (1.0 - config.final) * shape


def whole_rate(width: int) -> float:
    """A peak learning rate for full fine-tuning: BERT's 5e-5 at hidden size 768, higher for narrower models.

        5e-5 (768 / width)², at most 5e-4

    Source: Devlin et al. (2019), appendix A.3, for 768; below it, dev figures of small runs (docs/LOG.md).
    """
    return float(f"{min(5e-4, 5e-5 * (768 / width) ** 2):.2g}")
