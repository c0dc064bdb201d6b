"""Words from their characters: convolutions of several widths, highway layers, a projection.

Paper: Kim et al. (2016), "Character-Aware Neural Language Models", section 2; sizes: Józefowicz et al. (2016).

    C = E_character[spelling]                              (L, character_size)
    y_w = act(max over places of (C[place : place + w] · F_w + b_w))          for every width w
    y ← t ⊙ relu(W_h y + b_h) + (1 - t) ⊙ y,   t = σ(W_t y + b_t)             for every highway layer
    x = W_o y + b_o
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from polyseme.layers.activation import activation
from polyseme.layers.linear import Linear

PADDING, UNKNOWN, BEGIN, END = 0, 1, 2, 3
_ORDINARY = 4
CARRY_BIAS = -2.0
"""Start of the highway gates' bias: carry rather than transform (Srivastava et al. 2015, section 2.2)."""


class Spelling:
    """Words as character ids: BEGIN characters END, padded.

    Characters that only one word has share the id UNKNOWN, which so is trained for what appears later. Every
    special token has a character of its own.

    Args:
        tokens: the vocabulary, in the order of its ids.
        special: those of them that are no words.
        longest: characters of a word that are read.
    """

    def __init__(self, tokens: Sequence[str], special: Sequence[str], longest: int) -> None:
        self.longest = longest
        special_ids = set(special)
        seen: Counter[str] = Counter()
        for token in tokens:
            if token not in special_ids:
                seen.update(set(token[:longest]))
        ordinary = sorted(c for c, n in seen.items() if n > 1)
        self._ids = {ord(c): i for i, c in enumerate(ordinary, _ORDINARY)}
        self._special = {token: i for i, token in enumerate(special, _ORDINARY + len(ordinary))}
        self.size = _ORDINARY + len(ordinary) + len(special)

    @property
    def letters(self) -> dict[int, int]:
        """The ids of those characters, as Unicode code points, that have one of their own."""
        return dict(self._ids)

    def of_token(self, token: str) -> list[int]:
        """Character ids of a vocabulary's entry."""
        if token in self._special:
            return [BEGIN, self._special[token], END]
        return self.of_word([ord(c) for c in token])

    def of_word(self, points: Sequence[int]) -> list[int]:
        """Character ids of any word, given as Unicode code points."""
        return [BEGIN, *(self._ids.get(point, UNKNOWN) for point in points[: self.longest]), END]


def table_of(spelled: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Character ids of many words as one table.  Shapes: N lists -> (N, L) padded, lengths: (N,)"""
    lengths = torch.tensor([len(word) for word in spelled], dtype=torch.long)
    table = torch.full((len(spelled), max(map(len, spelled), default=1)), PADDING, dtype=torch.long)
    for row, word in enumerate(spelled):
        table[row, : len(word)] = torch.tensor(word)
    return table, lengths


class CharacterCNN(nn.Module):
    """The network of this file's head.

    A word shorter than a filter is seen by it once, with zeros after its end; otherwise windows lie within the
    word. So a word's vector does not depend on how long the longest word beside it is.

    Args:
        characters: number of character ids.
        character_size: numbers per character.
        filters: (width, number) of each kind.
        highways: highway layers.
        output_size: numbers per word.
        act: activation after the maximum.
    Shapes:  spelling: (N, L) character ids, lengths: (N,) -> (N, output_size)
    Source:  Kim et al. (2016), equations 2-8. Departure: the activation follows the maximum instead of preceding it,
        which is the same number for a monotone one.
    """

    def __init__(
        self,
        characters: int,
        character_size: int,
        filters: Sequence[tuple[int, int]],
        highways: int,
        output_size: int,
        act: str = "relu",
    ) -> None:
        super().__init__()
        total = sum(number for _, number in filters)
        self.character_embeddings = nn.Embedding(characters, character_size, padding_idx=PADDING)
        self.filters = nn.ModuleList(Linear(width * character_size, number) for width, number in filters)
        self.widths = [width for width, _ in filters]
        self.highways = nn.ModuleList(Linear(total, 2 * total) for _ in range(highways))
        self.projection = Linear(total, output_size)
        self.act = activation(act)
        self.initialise()

    def initialise(self) -> None:
        """Weights of variance 1 / fan-in, 4 / fan-in at the end, as words share most maxima; characters of 1."""
        nn.init.normal_(self.character_embeddings.weight)
        with torch.no_grad():
            self.character_embeddings.weight[PADDING].zero_()
        for layer in [*self.filters, *self.highways, self.projection]:
            assert isinstance(layer, nn.Linear)
            gain = 2.0 if layer is self.projection else 1.0
            nn.init.normal_(layer.weight, std=gain * layer.in_features**-0.5)
            nn.init.zeros_(layer.bias)
        for layer in self.highways:
            assert isinstance(layer, nn.Linear)
            nn.init.constant_(layer.bias[layer.in_features :], CARRY_BIAS)

    def forward(self, spelling: Tensor, lengths: Tensor) -> Tensor:
        short = max(self.widths) - spelling.size(1)
        if short > 0:
            spelling = nn.functional.pad(spelling, (0, short), value=PADDING)
        n, longest = spelling.shape
        c = self.character_embeddings(spelling)  # (N, L, character_size)
        place = torch.arange(longest, device=c.device)
        pooled = []
        for width, layer in zip(self.widths, self.filters, strict=True):
            windows = c.unfold(1, width, 1).transpose(2, 3).reshape(n, longest - width + 1, -1)
            features = layer(windows)  # (N, L - width + 1, number)
            outside = place[: longest - width + 1] > (lengths[:, None] - width).clamp(min=0)
            pooled.append(features.masked_fill(outside[..., None], float("-inf")).amax(dim=1))
        y = self.act(torch.cat(pooled, dim=1))
        for layer in self.highways:
            changed, gate = layer(y).chunk(2, dim=1)
            t = gate.sigmoid()
            y = t * changed.relu() + (1 - t) * y
        return self.projection(y)  # type: ignore[no-any-return]
