"""How the figures of senses are called and read from a document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["FIGURES", "headline"]

FIGURES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy"}
"""How the figures that may be the headline are called."""


def headline(best: Mapping[str, Any]) -> Mapping[str, Any]:
    """The figure that says most of a method at its best layer; of documents from before there were two, accuracy."""
    if "headline" in best:
        found: Mapping[str, Any] = best["headline"]
        return found
    maximum = best["maximum"]
    return {
        "figure": "accuracy",
        **best["accuracy"],
        "ceiling": best["accuracy"]["value"] - best["over_ceiling"]["value"],
        "over": best["over_ceiling"],
        "maximum": {"layer": maximum["layer"], "value": maximum["accuracy"]["value"]},
    }
