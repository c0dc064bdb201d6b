"""Labelled examples in the form that a task trains on and predicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from polyseme.core.arrays import BoolArray, IntArray
from polyseme.data.examples import Example
from polyseme.data.labelled import Unknown
from polyseme.data.loader import Rows
from polyseme.data.wrapping import Wrapped
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.tokens import Tokens


@dataclass(frozen=True, slots=True, eq=False)
class TaskData:
    """Records and the examples made from them: one example each, or several windows.

    Args:
        records: the records as read.
        examples: tokens; `number` is the index in this list.
        owners: the index of each example's record.
        places: for each example, the tokens that the head reads.
        gold: for each example, the gold labels at these tokens; empty where unknown.
        details: for each example, what the task needs to map predictions back to the text.
        unknown: for each example, the words outside the vocabulary, for encoders that read letters.
        cut: records that were cut because they are longer than max_length.
        lost: of each of these, how many tokens were not read; empty where they are read in windows.
    Shapes:  owners: (N,).  places: each (p,)
    """

    records: Sequence[Any]
    examples: list[Example] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    places: list[IntArray] = field(default_factory=list)
    gold: list[npt.NDArray[Any]] = field(default_factory=list)
    details: list[Any] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)

    def add(
        self,
        owner: int,
        wrapped: Wrapped,
        texts: Sequence[Piece],
        places: IntArray,
        gold: npt.NDArray[Any],
        details: Any = None,
    ) -> None:
        """Add an example of record `owner`.

        Args:
            texts: the one or two texts in it.
        """
        words = np.ones(len(wrapped.ids), np.bool_)
        unknown: list[tuple[int, str]] = []
        for number, piece in enumerate(texts):
            inside = wrapped.text == number
            words[inside] = piece.word_starts
            unknown += zip(np.flatnonzero(inside)[piece.unknown].tolist(), piece.words, strict=True)
        number = len(self.examples)
        self.examples.append(Example(wrapped.ids, wrapped.type, words, number=number))
        self.owners.append(owner)
        self.places.append(places)
        self.gold.append(gold)
        self.details.append(details)
        self.unknown.append(tuple(unknown))


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A stretch of a text in tokens.

    Args:
        ids: tokens.
        offsets: [start, end) of each in characters of the whole text.
        word_starts: a token begins a word.
        unknown: the tokens that are words outside the vocabulary.
        words: the spelling of these words.
    Shapes:  ids, word_starts: (n,).  offsets: (n, 2)
    """

    ids: list[int]
    offsets: IntArray
    word_starts: BoolArray
    unknown: list[int]
    words: list[str]

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, start: int, end: int) -> Piece:
        """Tokens start … end - 1."""
        inside = [(i - start, w) for i, w in zip(self.unknown, self.words, strict=True) if start <= i < end]
        return Piece(
            self.ids[start:end],
            self.offsets[start:end],
            self.word_starts[start:end],
            [i for i, _ in inside],
            [w for _, w in inside],
        )


def pieces(texts: Sequence[str], tokenizer: Tokenizer) -> list[Piece]:
    """Texts as tokens."""
    return [_piece(text, t, tokenizer) for text, t in zip(texts, tokenizer.encode_batch(texts), strict=True)]


def _piece(text: str, tokens: Tokens, tokenizer: Tokenizer) -> Piece:
    unknown, words = [], []
    if tokenizer.is_word_level:
        for place, (id, (start, end)) in enumerate(zip(tokens.ids, tokens.offsets, strict=True)):
            if id == tokenizer.unk_id and (word := tokenizer.normalise(text[start:end])):
                unknown.append(place)
                words.append(word)
    return Piece(
        tokens.ids,
        np.asarray(tokens.offsets, np.int64).reshape(-1, 2),
        np.asarray(tokens.word_starts, np.bool_),
        unknown,
        words,
    )


class LabelledExamples:
    """The parts of a task that all tasks share, with defaults for those that most tasks do not need."""

    _data: TaskData | None = None

    def use(self, data: TaskData) -> None:
        """Set the examples that `prepare` reads."""
        self._data = data

    def prepare(self, rows: Rows) -> tuple[IntArray, IntArray, npt.NDArray[Any]]:
        """The positions that the head reads and their gold labels; see `Objective`.

        Shapes:  -> ids: (B, T) unchanged, positions: (P,), labels: (P, …) or (E, …)
        """
        assert self._data is not None
        assert rows.numbers is not None
        data, numbers = self._data, rows.numbers.tolist()
        if not numbers:
            return rows.ids, np.empty(0, np.int64), np.empty(0, np.int64)
        positions = [first + data.places[n] for first, n in zip(rows.first, numbers, strict=True)]
        return rows.ids, np.concatenate(positions), np.concatenate([data.gold[n] for n in numbers])

    def tune(self, data: TaskData, outputs: Sequence[npt.NDArray[np.float32]]) -> dict[str, Any]:
        """The values that are tuned on dev; by default none."""
        return {}

    def details(self, records: Sequence[Any], predictions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Tables for reports; by default none."""
        return {}

    def unknown_labels(self, records: Sequence[Any]) -> Counter[str]:
        """Labels of the records that were not learned; by default none."""
        return Counter()


def windows(n: int, size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Stretches [start, end) of n tokens, at most `size` long, that share `overlap` tokens.

    Every stretch of at most overlap + 1 tokens lies entirely in one window.

    Example:
        >>> list(windows(10, 6, 3)), list(windows(4, 6, 3)), list(windows(0, 6, 3))
        ([(0, 6), (3, 9), (6, 10)], [(0, 4)], [(0, 0)])
    """
    step = max(1, size - min(overlap, size - 1))
    start = 0
    while True:
        end = min(start + size, n)
        yield start, end
        if end >= n:
            return
        start += step
