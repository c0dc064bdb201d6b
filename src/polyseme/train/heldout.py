"""How sure held-out figures are: intervals from the sums of blocks of held-out text, which evaluation has anyway.

    loss = Σ_b s_b / Σ_b n_b
    deviation² = B / (B - 1) · Σ_b (s_b - loss · n_b)² / (Σ_b n_b)²
    interval: loss ± t_{0.975, B - 1} · deviation

Tokens of one text are not independent of each other, so what is drawn is a block of text and no token: B blocks, s_b
nats, n_b predictions. Blocks of a few documents are of one topic each, and differ less than other text would: there
is no interval then. Accuracies of whole examples, such as of next sentences, have Wilson's interval.

Source:  Cochran (1977), section 6.3, for the deviation of a ratio of sums; Student (1908); Wilson (1927).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from polyseme.tasks.metrics.intervals import measured, wilson

__all__ = ["Blocks", "heldout_figures", "loss_interval"]

Blocks = Mapping[str, Sequence[tuple[float, float]]]
"""Sums and counts of every block, by figure: NAME_loss, NAME_accuracy."""

FEWEST_DOCUMENTS = 5
"""Held-out documents from which on blocks of them have an interval."""


def loss_interval(blocks: Sequence[tuple[float, float]]) -> dict[str, Any] | None:
    """Student's interval of a mean over blocks: {"low", "high", "blocks", "method"}; None of fewer than two blocks.

    Example:
        >>> loss_interval([(30.0, 10), (20.0, 10), (25.0, 10)])["low"] < 2.5
        True
    """
    known = [(total, count) for total, count in blocks if count]
    if len(known) < 2:
        return None
    from scipy.stats import t

    n, count = len(known), sum(c for _, c in known)
    mean = sum(total for total, _ in known) / count
    squares = sum((total - mean * c) ** 2 for total, c in known)
    reach = float(t.ppf(0.975, n - 1)) * math.sqrt(n / (n - 1) * squares) / count
    return {
        "low": mean - reach,
        "high": mean + reach,
        "blocks": n,
        "method": "Student, blocks of held-out text",
    }


def heldout_figures(
    blocks: Blocks, examples: Sequence[str] = (), documents: int | None = None
) -> dict[str, Any]:
    """What results say of an evaluation beside its scores.

    {"heldout_interval": of the first loss, "heldout_accuracy": {NAME: {"value", "low", "high", "n"}}}

    Args:
        blocks: of the evaluation.
        examples: objectives that count whole examples: their accuracies have Wilson's interval, others that of blocks.
        documents: that the blocks come from; None = not known. Few have no interval.
    """
    main = next((sums for name, sums in blocks.items() if name.endswith("_loss")), [])
    accuracies = {}
    enough = documents is None or documents >= FEWEST_DOCUMENTS
    for name, sums in blocks.items():
        right, count = (sum(one[side] for one in sums) for side in (0, 1))
        if not name.endswith("_accuracy") or not count:
            continue
        name = name.removesuffix("_accuracy")
        if name in examples:
            between = wilson(right, int(count))
        else:
            found = loss_interval(sums) if enough else None
            between = (max(0.0, found["low"]), min(1.0, found["high"])) if found else (math.nan, math.nan)
        accuracies[name] = measured(right / count, between, int(count))
    return {"heldout_interval": loss_interval(main) if enough else None, "heldout_accuracy": accuracies}
