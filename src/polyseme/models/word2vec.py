"""word2vec: one vector for each word, whatever stands around it.

Papers: Mikolov, Chen, Corrado and Dean (2013a), "Efficient Estimation of Word Representations in Vector Space";
Mikolov, Sutskever, Chen, Corrado and Dean (2013b), "Distributed Representations of Words and Phrases and their
Compositionality".

    h = V[ids]

V holds the papers' input vectors v_w. The output vectors u_w, which only training needs, belong to the objective
(objectives/context_window.py), and so does the way they are learned.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from polyseme.core.config import Config
from polyseme.core.entries import ModelEntry
from polyseme.core.protocols import HeadStyle
from polyseme.core.types import Batch, Encoding, Keep, Reach


class Word2VecConfig(Config):
    """The names of config.json.

    Args:
        vocab_size: words, with the special tokens.
        hidden_size: dimensions of a vector.
    """

    vocab_size: int = Field(30_000, ge=6)
    hidden_size: int = Field(100, ge=1)

    @property
    def num_hidden_layers(self) -> int:
        """None: there is only the embedding layer."""
        return 0


class Word2Vec(nn.Module):
    """A table of word vectors as an encoder with one layer.

    Shapes:  batch of (B, T) -> one layer of (B, T, hidden_size)
    Source:  Mikolov et al. (2013a), section 3.
    """

    reach: Reach = "none"

    def __init__(self, config: Word2VecConfig) -> None:
        super().__init__()
        self.config = config
        self.max_length = 1 << 30  # there are no positions
        self.head_style = HeadStyle()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.initialise()

    def initialise(self) -> None:
        """Uniform in ±0.5 / hidden_size, as in the authors' program."""
        limit = 0.5 / self.config.hidden_size
        nn.init.uniform_(self.word_embeddings.weight, -limit, limit)

    def encode(
        self, batch: Batch, keep: Keep = "last", attentions: bool = False, at: Tensor | None = None
    ) -> Encoding:
        """The vectors of a batch's words; see `Encoder`."""
        if at is not None and keep == "last":
            return Encoding((self.word_embeddings(batch.ids.reshape(-1)[at]),), positions=at)
        return Encoding((self.word_embeddings(batch.ids),), () if attentions else None)

    def forward(self, batch: Batch) -> Tensor:
        """The only layer, (B, T, hidden_size)."""
        return self.encode(batch).last

    def means(self, ids: Tensor, starts: Tensor) -> Tensor:
        """The mean of each text's vectors; see `StaticEncoder`.  Shapes: (N,), (B,) -> (B, hidden_size)"""
        return nn.functional.embedding_bag(ids, self.word_embeddings.weight, starts, mode="mean")

    def token_embedding(self) -> nn.Embedding:
        """The word vectors."""
        return self.word_embeddings

    def pooler(self) -> None:
        """There is none."""
        return


ENTRY = ModelEntry(
    config=Word2VecConfig,
    build=Word2Vec,
    objectives=("context_window",),
    why_no_attention="a word has one vector, whatever stands beside it",
)
