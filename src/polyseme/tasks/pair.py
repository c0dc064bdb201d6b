"""Two texts → label: inference, paraphrase, similarity.

Paper: Devlin et al. (2019), section 4.1 and appendix B: [CLS] A [SEP] B [SEP], the vector of [CLS], one new layer.

    p = softmax(W s + b)

Encoders that see no context, and frozen ones, read [u ; v ; |u - v| ; u ∘ v], where u and v are the means over
A and B (Conneau et al. 2017, section 3.1), with one hidden layer: tasks/classify.py.
"""

from __future__ import annotations

from polyseme.core.entries import TaskEntry
from polyseme.tasks.classify import Classify, TextConfig


class Pair(Classify):
    """One label, several, or a number for two texts."""

    name = "pair"
    pair = True


ENTRY = TaskEntry(config=TextConfig, build=Pair, records="pair")
