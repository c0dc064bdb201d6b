"""Word classes: every word belongs to one class, and the classes are the leaves of a binary tree.

Paper: Brown, Della Pietra, deSouza, Lai and Mercer (1992), "Class-Based n-gram Models of Natural Language", section 3.
A word's path is the way from the root to its class, a bit a branch; words with a long beginning in common are alike.

    h_t = Σ_{v on the path of class(id_t), v a class or at a depth in prefix_lengths} e(v)

So a vector is 1-of-N over classes, beside 1-of-N over the beginnings of their paths: the features with which word
classes serve named entity recognition and parsing (Miller, Guinness and Zamanian 2004; Koo, Carreras and Collins
2008; Ratinov and Roth 2009, whose lengths 4, 6, 10, 20 are the defaults). Every node of the tree but the root has
one column: classes come first, in the order of their paths. Special tokens have vectors of zeros.

How classes are found is objectives/class_bigram.py's business.
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from polyseme.core.config import Config
from polyseme.core.entries import ModelEntry
from polyseme.core.protocols import HeadStyle
from polyseme.core.types import Batch, Encoding, Keep, Reach
from polyseme.errors import InputError

NONE = -1
"""The class of a token that has none, and the children of a node that does not exist."""


class WordClassesConfig(Config):
    """Sizes.

    Args:
        vocab_size: words.
        num_classes: C; a text with fewer different words gives fewer.
        prefix_lengths: depths in the tree whose nodes are features beside the classes themselves.
    """

    vocab_size: int = Field(30522, ge=6)
    num_classes: int = Field(200, ge=2)
    prefix_lengths: tuple[int, ...] = (4, 6, 10, 20)

    @field_validator("prefix_lengths")
    @classmethod
    def _are_depths(cls, lengths: tuple[int, ...]) -> tuple[int, ...]:
        if any(n < 1 for n in lengths):
            raise ValueError("prefix_lengths must be above zero")
        return lengths

    @property
    def hidden_size(self) -> int:
        """Columns: 2 C - 2, the nodes of a binary tree with C leaves but its root."""
        return 2 * self.num_classes - 2

    @property
    def num_hidden_layers(self) -> int:
        """0: there is the embedding layer only."""
        return 0


class WordClasses(nn.Module):
    """The encoder: a class and its place in the tree for every word.

    Shapes:  classes, counts: (vocab_size,).  tree: (C - 1, 2).  batch of (B, T) -> 1 layer of (B, T, 2 C - 2)
    Source:  Brown et al. (1992), section 3.
    """

    reach: Reach = "none"
    max_length = 1 << 30
    head_style = HeadStyle()

    def __init__(self, config: WordClassesConfig) -> None:
        super().__init__()
        self.config = config
        c = config.num_classes
        self.classes = _whole(torch.arange(config.vocab_size, dtype=torch.int32) % c)
        self.tree = _whole(torch.arange(2 * c - 2, dtype=torch.int32).view(c - 1, 2))  # nodes two by two
        self.counts = _whole(torch.zeros(config.vocab_size, dtype=torch.int64))
        self._made: tuple[int, Tensor] | None = None

    def encode(
        self, batch: Batch, keep: Keep = "last", attentions: bool = False, at: Tensor | None = None
    ) -> Encoding:
        """Dense vectors of a batch; `active` tells the same without the zeros."""
        ids = batch.ids if at is None else batch.ids.reshape(-1)[at]
        nodes = self._nodes()[self.classes.long()[ids]]  # (…, 1 + number of lengths)
        hidden = torch.zeros((*ids.shape, self.config.hidden_size + 1))
        hidden.scatter_(-1, nodes, 1.0)
        return Encoding((hidden[..., :-1],), positions=at)

    def forward(self, batch: Batch) -> Tensor:
        """The only layer, (B, T, 2 C - 2)."""
        return self.encode(batch).last

    def active(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Which numbers are one.  Shapes:  ids: (N,) -> rows, columns: (number of ones,)"""
        nodes = self._nodes()[self.classes.long()[ids]]
        rows, places = (nodes < self.config.hidden_size).nonzero(as_tuple=True)
        return rows, nodes[rows, places]

    def _nodes(self) -> Tensor:
        """The class and its ancestors at the lengths, by class; 2 C - 2 stands for none.  Shapes: -> (C + 1, 1 + L)"""
        if self._made is None or self._made[0] != self.tree._version:
            none = self.config.hidden_size
            paths = self.paths_of(self.tree)
            node_at = {path: node for node, path in enumerate(paths) if path}
            lengths = self.config.prefix_lengths
            rows = []
            for node in range(self.config.num_classes):
                path = paths[node]
                rows.append([node] + [node_at[path[:n]] if n < len(path) else none for n in lengths])
            self._made = self.tree._version, torch.tensor([*rows, [none] * (1 + len(lengths))])
        return self._made[1]

    @staticmethod
    def paths_of(tree: Tensor) -> list[str]:
        """Bit path of every node.

        Args:
            tree: the two children of nodes C, C + 1, …, 0 first; the last one that exists is the root.
        Shapes:  tree: (C - 1, 2) -> 2 C - 1 strings, "" for the root and for nodes that do not exist
        """
        children = tree.tolist()
        n_classes = len(children) + 1
        paths = [""] * (2 * n_classes - 1)
        for node in range(len(children) - 1, -1, -1):  # parents have higher numbers than their children
            for bit, child in enumerate(children[node]):
                if child != NONE:
                    paths[child] = paths[n_classes + node] + str(bit)
        if children[0][0] == NONE:
            paths[0] = "0"  # a single class has a path too
        return paths

    def neighbours(self, id: int, top: int) -> list[tuple[int, dict[str, Any]]]:
        """The other words of a word's class, most frequent first: they have the same vector.

        Returns [(id, {"similarity": 1.0, "count": times in the training text, "path": bits})].
        Raises:  InputError: the token has no class.
        """
        of = int(self.classes[id])
        if of == NONE:
            raise InputError("the word has no class", expected="a word of the vocabulary")
        members = (self.classes == of).nonzero().squeeze(1)
        order = self.counts[members].argsort(descending=True, stable=True)
        path = self.paths_of(self.tree)[of]
        counted = [(m, int(self.counts[m])) for m in members[order].tolist() if m != id][:top]
        return [(m, {"similarity": 1.0, "count": count, "path": path}) for m, count in counted]

    def token_embedding(self) -> nn.Embedding:
        """The vectors of all words as one table, (vocab_size, 2 C - 2)."""
        everything = torch.arange(self.config.vocab_size)
        table = torch.zeros(self.config.vocab_size, self.config.hidden_size)
        table[self.active(everything)] = 1.0
        return nn.Embedding(len(table), table.size(1), _weight=table)

    def pooler(self) -> None:
        """None: it has no vector of a text of its own."""


def _whole(values: Tensor) -> nn.Parameter:
    """Whole numbers that are saved with the weights and never trained by gradients."""
    return nn.Parameter(values, requires_grad=False)


ENTRY = ModelEntry(
    config=WordClassesConfig,
    build=WordClasses,
    objectives=("class_bigram",),
    why_no_attention="a word has one class, whatever stands beside it",
)
