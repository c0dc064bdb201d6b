"""Text → label: sentiment, topic, intent; several labels, or a number.

Paper: Devlin et al. (2019), section 4.1: the vector of [CLS], one new layer, everything trained together.

    p = softmax(W s + b)

What s is for encoders without a [CLS] of their own, and how several labels and numbers are learned: tasks/_texts.py.
"""

from __future__ import annotations

from polyseme.core.entries import TaskEntry
from polyseme.tasks._texts import Texts, TextsConfig


class Classify(Texts):
    """One label, several, or a number for a text."""

    name = "classify"
    pair = False


ENTRY = TaskEntry(config=TextsConfig, build=Classify)
