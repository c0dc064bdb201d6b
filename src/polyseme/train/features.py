"""Hidden states of a frozen encoder, computed once: every epoch reads them again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from polyseme.core.protocols import Encoder
from polyseme.core.types import Batch, Encoding
from polyseme.data.labelled import ExampleLoader
from polyseme.train.gradient import read_layers

TOKENS_PER_BATCH = 4096


class KnownLayers:
    """What a frozen encoder makes of labelled examples, kept in memory.

    The examples are encoded in an order of their own, whatever the order of training: a resumed run has the same
    numbers to the bit.

    Args:
        encoder: in evaluation mode.
        heads: they say which layers they read.
        loader: the examples.
        device: where to compute and keep.
    """

    def __init__(
        self, encoder: Encoder, heads: Iterable[nn.Module], loader: ExampleLoader, device: torch.device
    ) -> None:
        starts = np.concatenate([[0], np.cumsum(loader.lengths)])
        self._starts = torch.from_numpy(starts[:-1]).to(device)
        self._layers: list[Tensor] = []
        heads = list(heads)
        with torch.no_grad():
            for numbers in by_length(loader.lengths, TOKENS_PER_BATCH):
                batch = loader.of(numbers).to(device)
                inside = batch.segment.reshape(-1) != 0
                places = self._places(batch)[inside]
                for k, layer in enumerate(read_layers(encoder, heads, _everywhere(batch)).layers):
                    if k == len(self._layers):
                        self._layers.append(layer.new_empty(int(starts[-1]), layer.size(-1)))
                    self._layers[k][places] = layer.reshape(-1, layer.size(-1))[inside]

    @staticmethod
    def size(encoder: Encoder, heads: Sequence[nn.Module], loader: ExampleLoader) -> int:
        """Bytes that it would take."""
        every = any(getattr(head, "reads", "at") == "all" for head in heads)
        layers = encoder.config.num_hidden_layers + 1 if every else 1
        return int(loader.lengths.sum()) * layers * int(encoder.config.hidden_size) * 4

    def __call__(self, batch: Batch) -> Encoding:
        """The hidden states of a batch.  Shapes: (B, T) -> layers of (B, T, hidden_size)"""
        places = torch.where(batch.segment.reshape(-1) != 0, self._places(batch), 0)
        shape = (*batch.ids.shape, -1)
        return Encoding(tuple(layer.index_select(0, places).view(shape) for layer in self._layers))

    def _places(self, batch: Batch) -> Tensor:
        """Where each token of a batch is kept; of padding, anywhere.  Shapes: -> (B · T,)"""
        assert batch.numbers is not None
        flat = torch.arange(batch.ids.numel(), device=batch.ids.device)
        example = (torch.bucketize(flat, batch.first, right=True) - 1).clamp_min(0)
        return self._starts[batch.numbers[example]] + batch.position.reshape(-1)


def _everywhere(batch: Batch) -> Batch:
    """The batch without targets, so that no encoder leaves positions out."""
    from dataclasses import replace

    from polyseme.core.types import Targets

    every = torch.arange(batch.ids.numel(), device=batch.ids.device)
    return replace(batch, targets={"all": Targets(every, every)})


def by_length(lengths: Any, most: int) -> Iterator[list[int]]:
    """Numbers of examples in batches of at most `most` tokens, or of one example; short ones first."""
    batch: list[int] = []
    tokens = 0
    for number in np.argsort(lengths, kind="stable").tolist():
        length = int(lengths[number])
        if batch and tokens + length > most:
            yield batch
            batch, tokens = [], 0
        batch.append(number)
        tokens += length
    if batch:
        yield batch
