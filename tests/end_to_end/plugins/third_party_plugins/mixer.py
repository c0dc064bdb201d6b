"""Mixer: every token is read beside the mean of its example.

h = tanh(W e_t + U mean(e))
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from polyseme.core.config import Config
from polyseme.core.entries import ModelEntry
from polyseme.core.protocols import HeadStyle
from polyseme.core.types import Encoding


class MixerConfig(Config):
    vocab_size: int = 1000
    hidden_size: int = 24
    num_hidden_layers: int = 1
    initializer_range: float = 0.1


class Mixer(nn.Module):
    reach = "both"

    def __init__(self, config: MixerConfig) -> None:
        super().__init__()
        self.config, self.max_length, self.head_style = config, 512, HeadStyle()
        self.table = nn.Embedding(config.vocab_size, config.hidden_size)
        self.own = nn.Linear(config.hidden_size, config.hidden_size)
        self.others = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def encode(self, batch: Any, keep: str = "last", attentions: bool = False, at: Any = None) -> Encoding:
        e = self.table(batch.ids)  # (B, T, d)
        same = (batch.segment[:, :, None] == batch.segment[:, None, :]).float()  # (B, T, T)
        h = torch.tanh(self.own(e) + self.others(same @ e / same.sum(-1, keepdim=True)))
        return Encoding((e, h) if keep == "all" else (h,))

    def token_embedding(self) -> nn.Embedding:
        return self.table

    def pooler(self) -> None:
        return None


ENTRY = ModelEntry(config=MixerConfig, build=Mixer, objectives=("cloze",))
