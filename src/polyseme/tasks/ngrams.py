"""The strong form of 1-of-N for texts: n-grams of words and of characters, weighted, under one linear layer.

    x_g = (1 + log n_g) · (1 + log((1 + N) / (1 + N_g))),    z = W [u / ‖u‖ ; v / ‖v‖] + b

where u are the x_g of words and v those of characters.
n_g is how often the n-gram g stands in the text, N_g in how many of the N training texts; the second factor is the idf.
Words are those that the run's tokenizer cuts, and their n-grams stand beside those of the text's characters: white
space is one space, and one stands at either end. They are the n-grams that stand in two of the training texts or more,
exactly: nothing is hashed.

They are the nodes of one tree. A node's key is its parent's number and its last symbol; since nodes are numbered depth
by depth, in the order of their keys, one sorted array is the whole tree, and all texts are looked up a depth at a time:

    key(g s) = number(g) · 2^32 + s,     number(g) = 1 + place of key(g) in the array,     number("") = 0

Source:  Wang and Manning (2012), "Baselines and Bigrams", for how hard it is to be better; Salton and Buckley (1988)
for the weights, with the idf of scikit-learn. W and b are no matter of this file: train/solved.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from polyseme.core.arrays import IntArray

LEAST = 2
"""In how many training texts an n-gram must stand."""
WORDS = 0x110000
"""Symbols from here on are words; those below are characters, by their code points."""


class Spelled(NamedTuple):
    """A text whose n-grams are counted.

    Args:
        ids: its tokens.
        unknown: the places of those that are words outside the run's vocabulary.
        words: how these are spelled.
        text: its characters, as the tokenizer normalises them.
    """

    ids: Sequence[int]
    unknown: Sequence[int]
    words: Sequence[str]
    text: str


class Symbols(NamedTuple):
    """The symbols of many texts: all words of all of them, then all characters.

    Args:
        symbols: words and characters.
        text: which text each belongs to; it never falls while words, or characters, go on.
        room: how long an n-gram that begins here may be.
    Shapes:  each (P,)
    """

    symbols: IntArray
    text: IntArray
    room: IntArray


def symbols_of(
    texts: Sequence[Spelled], words: int, characters: int, unknown: Mapping[str, int], vocab_size: int
) -> Symbols:
    """The symbols of texts.

    Args:
        words, characters: the longest n-grams.
        unknown: numbers of words outside the vocabulary; any other is the vocabulary's own [UNK].
        vocab_size: of the run.
    """
    rows = []
    for text in texts:
        row = np.array(text.ids, np.int64)
        for place, word in zip(text.unknown, text.words, strict=True):
            if word in unknown:
                row[place] = vocab_size + unknown[word]
        rows.append(row + WORDS)
    spaced = [f" {' '.join(text.text.split())} " if characters else "" for text in texts]
    points = np.frombuffer("".join(spaced).encode("utf-32-le"), np.uint32).astype(np.int64)
    lengths = np.array([*map(len, rows), *map(len, spaced)], np.int64)
    ends = np.repeat(lengths.cumsum(), lengths)
    longest = np.repeat(np.repeat([words, characters], len(texts)), lengths)
    return Symbols(
        np.concatenate([*rows, points]),
        np.repeat(np.tile(np.arange(len(texts)), 2), lengths),
        np.minimum(longest, ends - np.arange(len(ends))),
    )


def ngrams(
    texts: Symbols, tree: IntArray | None = None, least: int = 1
) -> tuple[IntArray, IntArray, IntArray]:
    """Find the n-grams of texts in a tree, or make the tree.

    Args:
        texts: their symbols.
        tree: sorted keys; None = those of all n-grams that stand in at least `least` of the texts. What an n-gram
            begins with stands in no fewer texts than itself, so no part of the tree hangs loose.
    Returns the tree, and every n-gram's text and place in the tree, as often as it stands there.
    Shapes:  tree: (F,) -> (F,), (M,), (M,)

    Example:
        >>> texts = symbols_of([Spelled([], [], [], "ab"), Spelled([], [], [], "b")], 0, 2, {}, 0)
        >>> tree, _, _ = ngrams(texts, None, 2)
        >>> [spelled(tree, place, str) for place in range(len(tree))]
        ['“_”', '“b”', '“b_”']
    """
    learned: list[IntArray] = []
    known_texts, known_places = [], []
    before = 0
    place = np.arange(len(texts.symbols))
    number = np.zeros(len(place), np.int64)
    for last in range(int(texts.room.max(initial=0))):
        longer = texts.room[place] > last
        place, number = place[longer], number[longer]
        keys = number << 32 | texts.symbols[place + last]
        if tree is None:
            learned.append(_frequent(keys, texts.text[place], least))
        level = learned[-1] if tree is None else tree
        at = np.searchsorted(level, keys)
        known = np.zeros(len(at), np.bool_)
        inside = at < len(level)
        known[inside] = level[at[inside]] == keys[inside]
        place, at = place[known], before + at[known]
        known_texts.append(texts.text[place])
        known_places.append(at)
        number = at + 1
        before += len(level) if tree is None else 0
    none = np.zeros(0, np.int64)
    if tree is None:
        tree = np.concatenate([none, *learned])
    return tree, np.concatenate([none, *known_texts]), np.concatenate([none, *known_places])


def _frequent(keys: IntArray, text: IntArray, least: int) -> IntArray:
    """The different keys that stand in at least so many texts, sorted.  Shapes: (P,), (P,) -> (F,)"""
    order = np.argsort(keys, kind="stable")  # so that the texts of a key stay in their order
    keys, text = keys[order], text[order]
    first = np.ones(len(keys), np.bool_)
    first[1:] = keys[1:] != keys[:-1]
    another = first.copy()
    another[1:] |= text[1:] != text[:-1]
    starts = np.flatnonzero(first)
    return keys[starts][np.add.reduceat(another.astype(np.int64), starts) >= least] if len(keys) else keys


def spelled(tree: IntArray, place: int, word: Callable[[int], str]) -> str:
    """An n-gram as a person reads it: words with spaces between them; characters in quotes, a space as a low line."""
    symbols, number = [], place + 1
    while number:
        number, symbol = divmod(int(tree[number - 1]), 1 << 32)
        symbols.append(symbol)
    symbols.reverse()
    if symbols[0] >= WORDS:
        return " ".join(word(symbol - WORDS) for symbol in symbols)
    return f"“{''.join(map(chr, symbols)).replace(' ', '_')}”"


def _of_words(tree: IntArray) -> IntArray:
    """1 for n-grams of words, 0 for those of characters.  Shapes: (F,) -> (F,)"""
    parent, first = tree >> 32, np.arange(len(tree))
    while np.any(longer := parent[first] > 0):
        first = np.where(longer, parent[first] - 1, first)
    return ((tree[first] & 0xFFFFFFFF) >= WORDS).astype(np.int64)


class NgramHead(nn.Module):
    """The n-grams of training texts, their idf, and the linear layer.

    Args:
        words, characters: the longest n-grams of each; 0 = none.
        idf: rare n-grams count more.
        vocab_size: of the run.
        outputs: numbers a text.
    Attributes:
        unknown: words outside the run's vocabulary that n-grams hold, in UTF-8, a line each.
        tree, idf: of the n-grams; see the head of this file.
    Shapes:  tree, idf: (F,).  weight: (F, outputs).  bias: (outputs,).  rows of E texts -> (E, outputs)
    """

    reads = "none"

    def __init__(self, words: int, characters: int, idf: bool, vocab_size: int, outputs: int) -> None:
        super().__init__()
        self.words, self.characters, self.weighted = words, characters, idf
        self.vocab_size, self.outputs = vocab_size, outputs
        self.unknown = _kept(torch.zeros(0, dtype=torch.uint8))
        self.tree = _kept(torch.zeros(0, dtype=torch.int64))
        self.idf = _kept(torch.zeros(0))
        self.weight = nn.Parameter(torch.zeros(0, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self._numbers: dict[str, int] | None = None

    def take_shapes(self, weights: Mapping[str, Tensor]) -> None:
        """Make room for the weights of a run, whose n-grams are as many as they are."""
        for name, parameter in list(self.named_parameters()):
            if name in weights and weights[name].dim() == parameter.dim():
                new = torch.zeros(weights[name].shape, dtype=parameter.dtype)
                setattr(self, name, nn.Parameter(new, requires_grad=parameter.requires_grad))
        self._numbers = None

    def learn(self, texts: Sequence[Spelled], least: int = LEAST) -> Any:
        """Take the n-grams of training texts, with their idf, and no weight.

        Args:
            least: in how many of the texts an n-gram must stand.
        Returns the rows of the texts; see `rows`.
        """
        often = Counter(word for text in texts for word in set(text.words))
        unknown = sorted(word for word, n in often.items() if n >= least)
        self._numbers = {word: number for number, word in enumerate(unknown)}
        tree, text, place = ngrams(self._symbols(texts), None, least)
        counts = _matrix(text, place, len(texts), len(tree))
        holding = np.bincount(counts.indices, minlength=len(tree))
        idf = 1 + np.log((1 + len(texts)) / (1 + holding)) if self.weighted else np.ones(len(tree))
        spelling = np.frombuffer(bytearray("\n".join(unknown).encode()), np.uint8)
        self.unknown, self.tree = _kept(torch.from_numpy(spelling)), _kept(torch.from_numpy(tree))
        self.idf = _kept(torch.from_numpy(idf).float())
        self.weight = nn.Parameter(torch.zeros(len(tree), self.outputs))
        return self._weighed(counts)

    def rows(self, texts: Sequence[Spelled]) -> Any:
        """Texts as a scipy CSR matrix of weighted n-grams.  Shapes: E texts -> (E, F)"""
        tree = self.tree.detach().numpy()
        _, text, place = ngrams(self._symbols(texts), tree)
        return self._weighed(_matrix(text, place, len(texts), len(tree)))

    def _weighed(self, x: Any) -> Any:
        x.data = (1 + np.log(x.data)) * self.idf.detach().numpy()[x.indices]
        row = np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))
        part = 2 * row + _of_words(self.tree.detach().numpy())[x.indices]
        x.data /= np.sqrt(np.bincount(part, x.data**2, 2 * x.shape[0]))[part]
        return x

    def forward(self, x: Any) -> Tensor:
        """W x + b of rows, in plain torch.  Shapes: CSR (E, F) -> (E, outputs)"""
        places, starts = torch.from_numpy(x.indices).long(), torch.from_numpy(x.indptr[:-1]).long()
        values = torch.from_numpy(x.data).to(self.weight)
        summed = nn.functional.embedding_bag(
            places, self.weight, starts, mode="sum", per_sample_weights=values
        )
        return summed + self.bias

    def telling(self, most: int, word: Callable[[int], str]) -> list[list[str]]:
        """The n-grams that speak most for each output, best first.

        Args:
            most: how many.
            word: how an id of the run's vocabulary is spelled.
        """
        tree, unknown = self.tree.detach().numpy(), list(self._known())
        name = lambda id: word(id) if id < self.vocab_size else unknown[id - self.vocab_size]  # noqa: E731
        weight = self.weight.detach().numpy()
        best = np.argsort(-weight, axis=0, kind="stable")[:most]  # (most, outputs)
        return [
            [spelled(tree, place, name) for place in column if weight[place, k] > 0]
            for k, column in enumerate(best.T.tolist())
        ]

    def _symbols(self, texts: Sequence[Spelled]) -> Symbols:
        return symbols_of(texts, self.words, self.characters, self._known(), self.vocab_size)

    def _known(self) -> dict[str, int]:
        """Numbers of the words outside the run's vocabulary."""
        if self._numbers is None:
            lines = bytes(self.unknown.detach().numpy()).decode()
            self._numbers = {word: i for i, word in enumerate(lines.split("\n"))} if lines else {}
        return self._numbers


def _matrix(text: IntArray, place: IntArray, texts: int, size: int) -> Any:
    """How often each n-gram stands in each text.  Shapes: (M,), (M,) -> CSR (texts, size)"""
    from scipy.sparse import coo_matrix

    counts = coo_matrix((np.ones(len(text)), (text, place)), (texts, size)).tocsr()  # equal places are added
    counts.sort_indices()
    return counts


def _kept(values: Tensor) -> nn.Parameter:
    """What is saved with the weights and never trained."""
    return nn.Parameter(values, requires_grad=False)
