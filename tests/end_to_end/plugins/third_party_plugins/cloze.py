"""Cloze: every fourth token is hidden and predicted from both sides."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from polyseme.core.config import Config
from polyseme.core.entries import ObjectiveEntry


class ClozeConfig(Config):
    every: int = 4


class ClozeHead(nn.Module):
    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.output = nn.Linear(encoder.config.hidden_size, encoder.config.vocab_size)

    @property
    def weight(self) -> torch.Tensor:
        return self.output.weight

    def logits(self, h: torch.Tensor) -> torch.Tensor:
        return self.output(h)


class Cloze:
    name = "cloze"
    draws = False
    hides = True

    def __init__(self, config: ClozeConfig, special: Any, seed: int) -> None:
        self.config, self.special = config, special

    def prepare(self, rows: Any) -> Any:
        start = int(rows.counters.sum()) % self.config.every
        positions = np.flatnonzero(rows.maskable)[start :: self.config.every]
        ids = rows.ids.copy()
        ids.ravel()[positions] = self.special.mask
        return ids, positions, rows.ids.ravel()[positions]

    def build_head(self, encoder: Any, counts: Any = None) -> ClozeHead:
        return ClozeHead(encoder)

    def loss(self, encoding: Any, head: Any, batch: Any) -> Any:
        positions, labels = batch.targets[self.name]
        return cross_entropy(head.logits(encoding.at(positions)), labels, reduction="sum"), len(labels)

    def score(self, encoding: Any, head: Any, batch: Any) -> Any:
        loss, n = self.loss(encoding, head, batch)
        return {"loss": (float(loss), n)}

    def baseline(self, batch: Any, counts: Any) -> Any:
        labels = batch.targets[self.name].labels.cpu()
        p = (counts.double() + 1) / (counts.double() + 1).sum()
        return float(-p.log()[labels].sum()), len(labels)


ENTRY = ObjectiveEntry(config=ClozeConfig, build=Cloze, predicts="masked")
