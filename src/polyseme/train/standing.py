"""Where a run stands against what is known without any model: how often words occur."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["SAME", "above_word_frequency", "part_judged"]

SAME = 0.005
"""Nats above word frequency that are still the same."""


def above_word_frequency(results: Mapping[str, Any]) -> str | None:
    """What to say of a run that predicts worse than word frequency alone; None of others."""
    loss, frequency = results.get("heldout_loss"), results.get("unigram_loss")
    if loss is None or frequency is None or loss <= frequency + SAME:
        return None
    return (
        f"the run ended {loss - frequency:.3f} nats above word frequency: it has learned less than how often each word"
        f" occurs, after {results.get('steps', 0):,} updates; a longer budget or a smaller model helps"
    )


def part_judged(judged_on: Mapping[str, Any] | None) -> str | None:
    """How much of the held-out text the figures are of, such as "57 %"; None where they are of all.

    Args:
        judged_on: of run.json.

    Example:
        >>> part_judged({"share": 0.571})
        '57 %'
    """
    share = (judged_on or {}).get("share")
    if share is None or share >= 1.0:
        return None
    return f"{min(99, max(1, round(100 * share)))} %"
