"""Data types that all packages share: Batch in, Encoding out.

Example ──packed──► Batch ──encoder──► Encoding ──head──► (sum of losses, count)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Keep = Literal["last", "all"]
Reach = Literal["none", "left", "right", "both"]


class Targets(NamedTuple):
    """Where one objective predicts, and what it should find there.

    A task may read several tokens for one label: it then has a label an example.

    Shapes:  positions: (P,) flat index into the B·T tokens.  labels: (P, …), or (E, …)
    """

    positions: Tensor
    labels: Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows packed with whole examples that must not see each other.

    Args:
        ids: token ids.
        segment: which example of its row a token belongs to, 1, 2, …; 0 = padding.
        position: index within its example, restarting at 0.
        type: 0 for sentence A, 1 for sentence B.
        first: flat index of every example's first token ([CLS]).
        packed: False when every row is one example without padding, so that no mask is needed.
        causal: tokens see what stands before them alone, for encoders that can also read so (`decode`); those that
            always do need not be told.
        targets: what each objective predicts, by the objective's name.
        spelling: how the words with ids vocab_size, vocab_size + 1, … are spelled: Unicode code points padded with 0,
            for encoders that read letters (they have `open_vocabulary`); None = there are none.
        counter: the number in the run of its update's first row; seeds what is drawn while a loss is computed.
        numbers: which example of its data set each example is; None where nobody asks.
        n_words: words of the text, counted where they begin; an example's first token begins one.

    Shapes:  ids, segment, position, type: (B, T).  first, numbers: (E,).  spelling: (N, L)
    """

    ids: Tensor
    segment: Tensor
    position: Tensor
    type: Tensor
    first: Tensor
    packed: bool = True
    causal: bool = False
    targets: Mapping[str, Targets] = field(default_factory=dict)
    spelling: Tensor | None = None
    counter: int = 0
    numbers: Tensor | None = None
    n_words: int = 0

    @property
    def n_tokens(self) -> int:
        """Tokens that are not padding."""
        return int((self.segment != 0).sum())

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with every tensor on a device."""
        move = {name: getattr(self, name).to(device, non_blocking=True) for name in _TENSORS}
        targets = {
            name: Targets(t.positions.to(device, non_blocking=True), t.labels.to(device, non_blocking=True))
            for name, t in self.targets.items()
        }
        spelling = None if self.spelling is None else self.spelling.to(device)
        numbers = None if self.numbers is None else self.numbers.to(device)
        return replace(self, **move, targets=targets, spelling=spelling, numbers=numbers)

    def pin(self) -> Batch:
        """The same batch in page-locked memory, so that copies to a GPU run beside its work."""
        move = {name: getattr(self, name).pin_memory() for name in _TENSORS}
        targets = {
            name: Targets(t.positions.pin_memory(), t.labels.pin_memory()) for name, t in self.targets.items()
        }
        return replace(self, **move, targets=targets)


_TENSORS = ("ids", "segment", "position", "type", "first")


@dataclass(frozen=True, slots=True)
class Encoding:
    """What an encoder makes of a batch.

    Args:
        layers: hidden states; layer 0 is the embedding layer. With `keep="last"` only the last one.
        attentions: attention probabilities of every layer, only on request.
        positions: when the encoder was asked for some positions only, those; the last layer is then (P, hidden_size).

    Shapes:  layers: each (B, T, hidden_size).  attentions: each (B, H, T, T).  positions: (P,)
    """

    layers: tuple[Tensor, ...]
    attentions: tuple[Tensor, ...] | None = None
    positions: Tensor | None = None

    @property
    def last(self) -> Tensor:
        """The last layer, (B, T, hidden_size)."""
        return self.layers[-1]

    def at(self, positions: Tensor) -> Tensor:
        """Last-layer vectors at flat positions: (P,) -> (P, hidden_size)."""
        if self.positions is None:
            return self.last.reshape(-1, self.last.size(-1)).index_select(0, positions)
        if self.positions is positions:
            return self.last
        order = self.positions.argsort()
        return self.last.index_select(0, order[torch.searchsorted(self.positions[order], positions)])
