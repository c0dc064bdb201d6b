"""What objectives share that give every example one of two labels: the labels, the loss, the coin toss beside it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from polyseme.core.types import Batch, Encoding
from polyseme.data.examples import NO_LABEL
from polyseme.data.packing import Rows

IntArray = npt.NDArray[np.int64]


class ExampleLabel:
    """An objective that reads an example's label, 0 or 1, from the vector of its first token.

    The examples carry their labels; half of them are 1 by construction.
    """

    name: str
    of_examples = (
        True  # what is counted is examples, which are independent of each other, and no tokens of one text
    )

    def prepare(self, rows: Rows) -> tuple[IntArray, IntArray, IntArray]:
        """The labels that the examples carry.  Shapes: -> ids: (B, T) unchanged, positions, labels: (P,)"""
        known = rows.labels != NO_LABEL
        return rows.ids, rows.first[known], rows.labels[known]

    def loss(self, encoding: Encoding, head: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        """Sum of -log p(label) over the examples, in nats, and their number."""
        positions, labels = batch.targets[self.name]
        logits = head(encoding.at(positions)).float()
        return nn.functional.cross_entropy(logits, labels, reduction="sum"), len(labels)

    def score(self, encoding: Encoding, head: nn.Module, batch: Batch) -> dict[str, tuple[float, int]]:
        """Held-out sums: {"loss": (nats, n), "accuracy": (correct, n)}."""
        positions, labels = batch.targets[self.name]
        logits = head(encoding.at(positions)).float()
        loss = nn.functional.cross_entropy(logits, labels, reduction="sum")
        correct = (logits.argmax(1) == labels).sum()
        return {"loss": (float(loss), len(labels)), "accuracy": (float(correct), len(labels))}

    def baseline(self, batch: Batch, counts: Tensor) -> tuple[float, int]:
        """A coin toss: nats, and number of examples."""
        n = len(batch.targets[self.name].labels)
        return n * math.log(2), n
