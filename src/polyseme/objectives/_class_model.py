"""The smoothed class bigram model that follows from words' classes and counts.

    p(w | w') = p(c | c') p(w | c),        c = class(w), c' = class(w')

p(c | c') by absolute discounting (Ney, Essen and Kneser 1994), the mass going to the classes' unigrams; p(w | c)
likewise, the mass going evenly to the words of the class.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["NONE", "ClassBigramHead"]

NONE = -1
"""The class of what has none, and the parent of the tree's root."""


class ClassBigramHead(nn.Module):
    """Class bigrams of the training text, and the smoothed model that follows from them and the encoder's counts.

    Shapes:  bigrams: (C + 1, C), the last row for beginnings of documents
    """

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        c = encoder.config.num_classes
        self.bigrams = nn.Parameter(torch.zeros(c + 1, c, dtype=torch.int64), requires_grad=False)
        self.encoder = [encoder]  # in a list, so that it is not part of this module

    def forward(self, history: Tensor, words: Tensor) -> Tensor:
        """Log p(word | the class before), nats; C stands for the beginning of a document.

        Shapes: (N,), (N,) -> (N,)
        """
        transition, emission = self.tables()
        return transition[history, self.encoder[0].classes.long()[words]] + emission[words]

    def tables(self) -> tuple[Tensor, Tensor]:
        """Log p(c | c') and log p(w | c(w)), -inf for words without a class.  Shapes: -> (C + 1, C), (vocab_size,)"""
        classes, counts = self.encoder[0].classes.long(), self.encoder[0].counts.double()
        c = self.bigrams.size(1)
        has = classes != NONE
        members = torch.bincount(classes[has], minlength=c).double()
        size = torch.zeros(c, dtype=torch.float64).index_add_(0, classes[has], counts[has])
        seen = torch.bincount(classes[has & (counts > 0)], minlength=c).double()
        used = (members > 0).double()
        unigram = (size + used) / (size + used).sum()

        n = self.bigrams.double()
        total, kinds, discount = n.sum(1, keepdim=True), (n > 0).sum(1, keepdim=True), _discount(self.bigrams)
        left = torch.where(total > 0, discount * kinds / total.clamp(min=1), 1.0)
        transition = (n - discount).clamp(min=0) / total.clamp(min=1) + left * unigram

        discount = _discount(counts[has])
        left = torch.where(size > 0, discount * seen / size.clamp(min=1), 1.0) / members.clamp(min=1)
        of = classes.clamp(min=0)
        emission = (counts - discount).clamp(min=0) / size.clamp(min=1)[of] + left[of]
        return transition.log(), torch.where(has, emission, 0.0).log()


def _discount(counts: Tensor) -> float:
    """n₁ / (n₁ + 2 n₂), within 0.1 … 0.9 (Ney, Essen and Kneser 1994, equation 26)."""
    once, twice = float((counts == 1).sum()), float((counts == 2).sum())
    return min(0.9, max(0.1, once / max(1.0, once + 2 * twice)))
