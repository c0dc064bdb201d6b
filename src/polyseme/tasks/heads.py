"""The features that task heads read from an encoder: token vectors, mixed, passed through an LSTM, and joined.

    v_t = [last layer | γ Σ_k s_k LN(h_k) | Σ of learned rows of a sparse vector]_t → LSTM (optional) → dropout

Source: Devlin et al. (2019), section 4, for whole encoders; Peters et al. (2018), section 3.3, for frozen ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from polyseme.core.arrays import Float32Array
from polyseme.core.config import Config
from polyseme.core.protocols import Encoder, SparseEncoder
from polyseme.core.types import Batch, Encoding
from polyseme.layers.activation import activation
from polyseme.layers.linear import Linear
from polyseme.layers.lstm import ProjectedLSTM, starts, turn
from polyseme.layers.mix import ScalarMix

Pool = Literal["auto", "cls", "mean", "max", "last", "pair"]
Reads = Literal["at", "last", "all", "none"]

SPARSE_SIZE = 128
"""Dimensions to which a sparse vector is mapped if a layer stands between it and the output layer."""


class TaskConfig(Config):
    """Fields of every task's section.

    Args:
        max_length: longest example, tokens with separators; longer texts are cut or read in windows.
        mix: read a learned mix of all layers instead of the last one (ELMo's way).
        lstm: cells of a bidirectional LSTM between the encoder and the head, in each direction; 0 = none.
        hidden: units of a hidden layer in the head; None = chosen for the encoder, 0 = none.
        dropout: before the output layer.
        initializer_range: deviation of the output layer's weights at the start.
    """

    max_length: int = Field(128, ge=4)
    mix: bool = False
    lstm: int = Field(0, ge=0)
    hidden: int | None = Field(None, ge=0)
    dropout: float = Field(0.1, ge=0, lt=1)
    initializer_range: float = Field(0.02, gt=0)


class Features(nn.Module):
    """Vectors of the tokens that a head reads: the last layer, or the mix of all layers (ELMo).

    The mix (`finetune --feature-based`) is a part of the head, so the one trainer learns its weights with it. Departure
    from Peters et al. (2018): layers are normed token by token before they are mixed, so that texts of a batch do not
    change each other.

    Args:
        encoder: whose hidden states.
        config: mix, lstm.
        outputs: for sparse encoders: numbers per token when nothing comes between them and the output.
        dropout: of the vectors; 0 where the head drops later.
    Attributes:
        size: dimensions of a vector.
        reads: the hidden states it needs: the last layer "at" the targets, the whole "last" layer, "all" layers, or
            "none".
    Shapes:  encoding of (B, T), positions: (P,) -> (P, size)
    """

    def __init__(
        self, encoder: Encoder, config: TaskConfig, outputs: int | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__()
        # in a list, so that torch does not register it: the encoder owns its weights
        self._encoder = [encoder]
        self.size = int(encoder.config.hidden_size)
        self.table: nn.Embedding | None = None
        self.mix: ScalarMix | None = None
        self.lstm: ProjectedLSTM | None = None
        self.reads: Reads = "last" if config.lstm else "at"
        if hasattr(encoder, "active"):
            linear = outputs is not None and not config.lstm
            self.table = nn.Embedding(self.size, outputs if linear and outputs else SPARSE_SIZE)
            nn.init.normal_(self.table.weight, std=0.0 if linear else SPARSE_SIZE**-0.5)
            self.size, self.reads = self.table.embedding_dim, "none"
        elif config.mix:
            self.mix = ScalarMix(encoder.config.num_hidden_layers + 1, layer_norm="token")
            self.reads = "all"
        if config.lstm:
            self.lstm = ProjectedLSTM(self.size, config.lstm, config.lstm)
            self.size = 2 * config.lstm
        self.dropout = nn.Dropout(dropout)

    def forward(self, encoding: Encoding, batch: Batch, positions: Tensor) -> Tensor:
        if self.table is None and self.mix is None and self.lstm is None:
            return self.dropout(encoding.at(positions))  # type: ignore[no-any-return]
        if self.table is not None:
            h = self._looked_up(batch.ids if self.lstm is not None else batch.ids.reshape(-1)[positions])
        elif self.mix is not None:
            h = self.mix(encoding.layers)
        else:
            h = encoding.last
        if self.lstm is not None:
            h = self._both_ways(h, batch.segment)
        if h.dim() == 3:
            h = h.reshape(-1, h.size(-1)).index_select(0, positions)
        return self.dropout(h)  # type: ignore[no-any-return]

    def everywhere(self, encoding: Encoding) -> Tensor:
        """Vectors of all tokens of an encoder that is not sparse, without an LSTM.  Shapes: -> (B, T, size)"""
        return encoding.last if self.mix is None else self.mix(encoding.layers)

    def _looked_up(self, ids: Tensor) -> Tensor:
        """The sum of the learned rows where a sparse vector has ones.  Shapes: (…) -> (…, size)"""
        assert self.table is not None
        known = ids.clamp_max(self._encoder[0].config.vocab_size - 1).reshape(-1)
        rows, columns = cast(SparseEncoder, self._encoder[0]).active(known)
        summed = self.table.weight.new_zeros(len(known), self.table.embedding_dim)
        return summed.index_add(0, rows, self.table(columns)).view(*ids.shape, -1)

    def _both_ways(self, h: Tensor, segment: Tensor) -> Tensor:
        """The bidirectional LSTM; it starts from zero with every example.  Shapes: (B, T, d) -> (B, T, 2 cells)"""
        assert self.lstm is not None
        begins = torch.stack([starts(segment.T), starts(segment.T.flip(0))])
        out = turn(self.lstm(turn(h.transpose(0, 1).expand(2, -1, -1, -1)), begins))
        return torch.cat(out.unbind(0), dim=-1).transpose(0, 1)


class Transform(nn.Module):
    """The layer before the output layer in a model family's classifiers: norm(act(W h)).  Shapes: (…, d) -> (…, d)"""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        style, d = encoder.head_style, encoder.config.hidden_size
        self.dense = Linear(d, d, bias=style.dense_bias)
        self.act = activation(style.activation)
        self.norm = nn.LayerNorm(d, eps=style.norm_eps, bias=style.norm_bias)
        nn.init.normal_(self.dense.weight, std=style.initializer_range)
        if style.dense_bias:
            nn.init.zeros_(self.dense.bias)

    def forward(self, h: Tensor) -> Tensor:
        return self.norm(self.act(self.dense(h)))  # type: ignore[no-any-return]


def transform_of(encoder: Encoder, config: TaskConfig) -> Transform | None:
    """The family's transform where the whole encoder is fine-tuned and it has one."""
    plain = not config.mix and not config.lstm and not config.hidden
    return Transform(encoder) if plain and encoder.head_style.classifier_transform else None


class Head(nn.Module):
    """The common parts of heads: features → … → hidden layer → output layer.

    With a sparse encoder and no layer between, the learned rows are already the scores, and only a bias is added.
    """

    features: Features
    hidden: nn.Linear | None
    dropout: nn.Dropout
    direct: nn.Parameter | None
    classifier: nn.Linear | None

    @property
    def reads(self) -> Reads:
        """The hidden states it needs; see `Features`."""
        return self.features.reads

    @property
    def recurrent(self) -> bool:
        """Whether there is an LSTM."""
        return self.features.lstm is not None

    def output(self, h: Tensor) -> Tensor:
        """The last two layers.  Shapes: (…, size) -> (…, outputs)"""
        if self.hidden is not None:
            h = torch.relu(self.hidden(h))
        if self.classifier is not None:
            return self.classifier(self.dropout(h))  # type: ignore[no-any-return]
        assert self.direct is not None
        return h + self.direct


class TokenScores(Head):
    """Maps each token's vector to scores: features → transform or hidden layer → output layer.

    Args:
        encoder: whose hidden states.
        config: the task's.
        outputs: scores of a token.
    Shapes:  encoding of (B, T), positions: (P,) -> (P, outputs)
    """

    def __init__(self, encoder: Encoder, config: TaskConfig, outputs: int) -> None:
        super().__init__()
        self.transform = transform_of(encoder, config)
        late = bool(config.hidden) or self.transform is not None  # as in the families' own classifiers
        early = 0.0 if late else config.dropout
        self.features = Features(encoder, config, None if config.hidden else outputs, early)
        self.dropout = nn.Dropout(config.dropout if late else 0.0)
        size = self.features.size
        self.hidden = Linear(size, config.hidden) if config.hidden else None
        direct = self.features.table is not None and not config.hidden and not config.lstm
        self.direct = nn.Parameter(torch.zeros(outputs)) if direct else None
        self.classifier = None if direct else nn.Linear(config.hidden or size, outputs)
        if self.classifier is not None:
            nn.init.normal_(self.classifier.weight, std=config.initializer_range)
            nn.init.zeros_(self.classifier.bias)
        if self.hidden is not None:
            nn.init.normal_(self.hidden.weight, std=size**-0.5)
            nn.init.zeros_(self.hidden.bias)

    of_texts = False
    reads_types = False

    def scores(self, encoding: Encoding, batch: Batch, positions: Tensor) -> Tensor:
        """Scores at flat positions."""
        return self._transformed(self.features(encoding, batch, positions))

    def _transformed(self, h: Tensor) -> Tensor:
        return self.output(h if self.transform is None else self.transform(h))

    def columns(self, batch: Batch, separators: Sequence[int], static: bool) -> Tensor:
        """All tokens; see `DenseHead`."""
        return batch.segment > 0

    def dense(self, encoding: Encoding, batch: Batch, columns: Tensor) -> Tensor:
        """Scores of every token; see `DenseHead`.  Shapes: -> (B, T, outputs)"""
        return self._transformed(self.features.everywhere(encoding))


def example_of(positions: Tensor, first: Tensor) -> Tensor:
    """The example of a batch to which each flat position belongs.  Shapes: (P,), (E,) -> (P,)"""
    return torch.bucketize(positions, first, right=True) - 1


def mean_of(vectors: Tensor, group: Tensor, groups: int) -> Tensor:
    """The mean of the vectors of each group; zeros for an empty one.  Shapes: (P, d), (P,) -> (groups, d)"""
    sums = vectors.new_zeros(groups, vectors.size(1)).index_add(0, group, vectors)
    counts = torch.bincount(group, minlength=groups).clamp_min(1)
    return sums / counts[:, None]


def mean_of_rows(h: Tensor, counted: Tensor) -> Tensor:
    """The mean over the selected columns; zeros where none is selected.  Shapes: (B, T, d), (B, T) -> (B, d)"""
    share = counted.to(h.dtype)
    return torch.einsum("btd,bt->bd", h, share) / share.sum(1, keepdim=True).clamp(min=1.0)


def max_of(vectors: Tensor, group: Tensor, groups: int) -> Tensor:
    """The largest number of each dimension in each group.  Shapes: (P, d), (P,) -> (groups, d)"""
    start = vectors.new_full((groups, vectors.size(1)), -torch.inf)
    maxima = start.scatter_reduce(0, group[:, None].expand_as(vectors), vectors, "amax")
    return torch.where(torch.isinf(maxima), 0.0, maxima)


def in_rows(values: Tensor, example: Tensor, n: int, fill: float = 0.0) -> Tensor:
    """The values of each example as one padded row.  Shapes: (P, …), (P,) -> (n, longest, …)"""
    counts = torch.bincount(example, minlength=n)
    place = torch.arange(len(example), device=example.device) - (counts.cumsum(0) - counts)[example]
    longest = int(counts.max()) if len(counts) else 0
    rows = values.new_full((n, longest, *values.shape[1:]), fill)
    return rows.index_put((example, place), values)


def by_example(values: Tensor, example: Tensor, n: int) -> list[Float32Array]:
    """The values of every example as an array.  Shapes: (P, …), (P,) -> n × (p, …)"""
    counts = torch.bincount(example, minlength=n).tolist()
    return [part.numpy() for part in torch.split(values.cpu(), counts)]
