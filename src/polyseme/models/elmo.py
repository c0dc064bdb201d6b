"""ELMo: two language models, one in each direction, whose layers together are a word's vectors in its context.

Paper: Peters et al. (2018), "Deep contextualized word representations", section 3; the network of each direction:
Józefowicz et al. (2016), the character network: Kim et al. (2016).

    x_w  = CharacterCNN(letters of w)                             or a table E[w], or the sum of both
    r¹_t = LSTM₁(x_t),   r²_t = LSTM₂(r¹_t) + r¹_t                (one such pair forward, one backward in time)
    h⁰_t = [x_t ; x_t],  h^k_t = [forward r^k_t ; backward r^k_t]

A word's vector is computed once per batch, however often the word is in it. A word that is not in the vocabulary
is spelled by the batch (`Batch.spelling`) and has a vector of its own. The encoder gives all layers h⁰ … h^L; a task
mixes them with weights that it learns: layers/mix.py, used in tasks/heads.py. Departure: the state starts at zero in
every example instead of going on from batch to batch; separators are ordinary inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from polyseme.core.config import Config
from polyseme.core.entries import ModelEntry
from polyseme.core.protocols import HeadStyle
from polyseme.core.types import Batch, Encoding, Keep, Reach
from polyseme.layers.charcnn import CharacterCNN, Spelling, table_of
from polyseme.layers.lstm import ProjectedLSTM, starts, turn

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<pad>", "<unk>", "<s>", "</s>", "<mask>")
UNKNOWN = ("[UNK]", "<unk>")
"""Entries of a vocabulary that are no words, by name: they have no letters."""


class ElmoConfig(Config):
    """The names of config.json where it has them; defaults are the paper's model.

    Args:
        hidden_size: numbers per token and layer: half from each direction, the width of the projections.
        intermediate_size: cells of an LSTM.
        max_position_embeddings: longest example; the network itself has no limit.
        input: a word comes in as its "characters", as an entry of a table ("words"), or as the sum of "both".
        initializer_range: deviation of the table's entries; they enter the LSTMs divided by it.
        cell_clip, projection_clip: bounds of an LSTM's state and output; 0 = none.
        character_size: numbers per character.
        filters: (width, number) of the character network's convolutions.
        highway_layers: layers behind them.
        max_characters: of a longer word only so many are read.
        hidden_dropout_prob: dropout on the inputs of the LSTMs.
    """

    vocab_size: int = Field(793_471, ge=6)
    hidden_size: int = Field(1024, ge=2, multiple_of=2)
    num_hidden_layers: int = Field(2, ge=1)
    intermediate_size: int = Field(4096, ge=1)
    max_position_embeddings: int = Field(8192, ge=2)
    hidden_dropout_prob: float = Field(0.1, ge=0, lt=1)
    initializer_range: float = Field(0.05, gt=0)
    input: Literal["characters", "words", "both"] = "characters"
    cell_clip: float = Field(3.0, ge=0)
    projection_clip: float = Field(3.0, ge=0)
    character_size: int = Field(16, ge=1)
    filters: tuple[tuple[int, int], ...] = (
        (1, 32), (2, 32), (3, 64), (4, 128), (5, 256), (6, 512), (7, 1024),
    )  # fmt: skip
    highway_layers: int = Field(2, ge=0)
    max_characters: int = Field(50, ge=1)
    hidden_act: Literal["relu", "tanh"] = "relu"

    @model_validator(mode="after")
    def _filters_are_sizes(self) -> Self:
        if not self.filters or any(width < 1 or number < 1 for width, number in self.filters):
            raise ValueError(f"filters must be pairs (width, number) of at least 1, got {self.filters}")
        return self

    @property
    def projection(self) -> int:
        """Numbers that one direction gives per token."""
        return self.hidden_size // 2


class WordVectors(nn.Module):
    """The context-free vectors of the words of a batch, each computed once.

    Shapes:  ids: (…) -> (…, projection)
    """

    def __init__(self, config: ElmoConfig) -> None:
        super().__init__()
        self.config = config
        self.word_embeddings: nn.Embedding | None = None
        self.characters: CharacterCNN | None = None
        if config.input != "characters":
            self.word_embeddings = nn.Embedding(config.vocab_size, config.projection)
            nn.init.normal_(self.word_embeddings.weight, std=config.initializer_range)
        self.spelling: Spelling | None = None
        self.unknown = 0
        self.register_buffer("table", torch.zeros(1, 1, dtype=torch.long), persistent=False)
        self.register_buffer("lengths", torch.zeros(1, dtype=torch.long), persistent=False)

    def read_vocabulary(self, tokens: Sequence[str]) -> None:
        """Learn how words are spelled; the character network gets its parameters here."""
        c = self.config
        if c.input == "words":
            return
        self.spelling = Spelling(tokens, [t for t in SPECIAL if t in set(tokens)], c.max_characters)
        self.unknown = next((i for i, t in enumerate(tokens) if t in UNKNOWN), 0)
        self.table, self.lengths = table_of([self.spelling.of_token(t) for t in tokens])
        self.characters = CharacterCNN(
            self.spelling.size, c.character_size, c.filters, c.highway_layers, c.projection, c.hidden_act
        )

    def forward(self, ids: Tensor, spelled: Tensor | None = None) -> Tensor:
        """Vectors of ids; ids from vocab_size on are the words that `spelled` holds, (N, L) code points."""
        n = self.config.vocab_size
        if self.characters is None:
            return self._looked_up(ids)
        if n + (0 if spelled is None else len(spelled)) <= ids.numel():  # all words at once, then
            words, place = torch.arange(n + (0 if spelled is None else len(spelled)), device=ids.device), ids
        else:
            words, place = torch.unique(ids, return_inverse=True)
        vectors = self.characters(*self._letters(words, spelled))  # (N, p)
        if self.word_embeddings is not None:
            vectors = vectors + self._looked_up(torch.where(words < n, words, self.unknown))
        return vectors.index_select(0, place.reshape(-1)).view(*ids.shape, -1)  # type: ignore[no-any-return]

    def _looked_up(self, ids: Tensor) -> Tensor:
        assert self.word_embeddings is not None
        return self.word_embeddings(ids) / self.config.initializer_range  # type: ignore[no-any-return]

    def _letters(self, words: Tensor, spelled: Tensor | None) -> tuple[Tensor, Tensor]:
        """Character ids of words: of the vocabulary, and those that the batch spells.  Shapes: (N,) -> (N, L), (N,)"""
        n = self.config.vocab_size
        known = words[words < n]
        table, lengths = self.table[known], self.lengths[known]
        if len(known) < len(words):
            assert spelled is not None
            assert self.spelling is not None
            points = spelled[words[words >= n] - n].tolist()
            more, more_lengths = table_of([self.spelling.of_word([p for p in word if p]) for word in points])
            width = max(table.size(1), more.size(1))
            more = more.to(table.device)
            both = [nn.functional.pad(t, (0, width - t.size(1))) for t in (table, more)]
            table, lengths = torch.cat(both), torch.cat([lengths, more_lengths.to(lengths.device)])
        return table[:, : int(lengths.max())], lengths


class Elmo(nn.Module):
    """ELMo's encoder: `encode(batch)` gives one hidden state per token and layer.

    Shapes:  batch of (B, T) -> num_hidden_layers + 1 layers of (B, T, hidden_size), layer 0 = the word twice
    Source:  Peters et al. (2018), section 3.
    """

    reach: Reach = "both"
    two_way = True

    def __init__(self, config: ElmoConfig) -> None:
        super().__init__()
        self.config = config
        self.max_length = config.max_position_embeddings
        self.head_style = HeadStyle(initializer_range=config.initializer_range)
        self.open_vocabulary = config.input != "words"
        self.words = WordVectors(config)
        p = config.projection
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.layers = nn.ModuleList(
            ProjectedLSTM(p, config.intermediate_size, p, 2, config.cell_clip, config.projection_clip)
            for _ in range(config.num_hidden_layers)
        )

    def read_vocabulary(self, tokens: Sequence[str]) -> None:
        """Learn how the words are spelled; see `Encoder`."""
        self.words.read_vocabulary(tokens)

    def encode(
        self, batch: Batch, keep: Keep = "last", attentions: bool = False, at: Tensor | None = None
    ) -> Encoding:
        """Hidden states of a batch; see `Encoder`. Every step needs the one before, so `at` saves nothing."""
        x = self.words(batch.ids.T, batch.spelling)  # (T, B, p)
        begins = torch.stack([starts(batch.segment.T), starts(batch.segment.T.flip(0))])
        h = turn(x.expand(2, -1, -1, -1))  # the second direction reads from right to left
        layers = [h]
        for k, layer in enumerate(self.layers):
            r = layer(self.dropout(h), begins)
            h = r + h if k else r
            layers = [*layers, h] if keep == "all" else [h]
        return Encoding(tuple(self._side_by_side(h) for h in layers))

    @staticmethod
    def _side_by_side(h: Tensor) -> Tensor:
        """(2, T, B, p), the second direction turned round -> (B, T, 2p)"""
        return torch.cat(turn(h).unbind(0), dim=-1).transpose(0, 1)

    def forward(self, batch: Batch) -> Tensor:
        """The last layer, (B, T, hidden_size)."""
        return self.encode(batch).last

    def token_embedding(self) -> nn.Embedding:
        """The words' vectors: the table where there is one, else a frozen copy of what the letters give."""
        if self.words.word_embeddings is not None:
            return self.words.word_embeddings
        with torch.no_grad():
            n = self.config.vocab_size
            vectors = [
                self.words(torch.arange(k, min(n, k + 4096), device=self.device)) for k in range(0, n, 4096)
            ]
        frozen = nn.Embedding(n, self.config.projection, _weight=torch.cat(vectors))
        return frozen.requires_grad_(False)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def pooler(self) -> None:
        """The family has none."""
        return


ENTRY = ModelEntry(
    config=ElmoConfig,
    build=Elmo,
    objectives=("bidirectional_lm",),
    why_no_attention="its LSTMs pass on one state from word to word",
)
