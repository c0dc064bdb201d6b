"""Where a run stands against what is known without any model: how often words occur."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["SAME", "above_word_frequency"]

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
