"""Dialogues as examples: a few turns, real or with one of them replaced by a turn from elsewhere.

    [CLS] query [SEP] response [SEP] (query [SEP])      type 0 for one speaker's turns, 1 for the other's

A document of the store is a dialogue and its sentences are the turns, which take turns: `--set text.sentences=line`
makes every line a turn.
"""

from __future__ import annotations

import numpy as np

from polyseme.core.rng import Random
from polyseme.data.examples import Example, IntArray, SpecialTokens
from polyseme.data.store import TokenStore

REAL, FAKE = 0, 1
_TRIES = 4


class DialogueTurns:
    """Windows of two or three successive turns of each dialogue.

    A window starts at every turn that has a following one, so a dialogue of n turns gives n - 1 examples. Half of the
    time, by the counter, one of its turns, not the first of them, is replaced by a random turn of another dialogue.
    Turns share the room of an example; a turn that is too long keeps its beginning.

    Args:
        store: the tokens; at least two dialogues.
        length: longest example, tokens with separators.
        special: ids of the separators.
        random: the stream of the random choices.
        turns: turns of an example at most, 2 or 3.
    Source:  Sun et al. (2019), section 3.4 (query, response, query). Departure: the first turn is never replaced: the
        others are to be judged against it.
    """

    def __init__(
        self, store: TokenStore, length: int, special: SpecialTokens, random: Random, turns: int
    ) -> None:
        self._store, self._special, self._random = store, special, random
        self._room = length - 1 - turns
        self._offsets = np.asarray(store.sentences)
        self._documents = np.asarray(store.documents)
        sizes = np.diff(self._documents)
        per_document = np.maximum(sizes - 1, 0)
        self._document = np.repeat(np.arange(len(sizes)), per_document)
        ordinal = np.arange(len(self._document)) - np.repeat(
            np.cumsum(per_document) - per_document, per_document
        )
        self._first: IntArray = self._documents[self._document] + ordinal
        self._last: IntArray = np.minimum(self._first + turns, self._documents[self._document + 1])
        # a turn from elsewhere may be longer than the one that it replaces
        slack = int(np.quantile(np.diff(self._offsets), 0.75)) if len(self._offsets) > 1 else 0
        window = self._offsets[self._last] - self._offsets[self._first]
        self.lengths: IntArray = np.minimum(window + slack, self._room) + 1 + (self._last - self._first)

    def draw(self, index: int, counter: int) -> Example:
        """Window `index`, real or corrupted as the counter says."""
        first, last = int(self._first[index]), int(self._last[index])
        u = self._random.uniform(counter, index, np.arange(2 + _TRIES))
        turns = list(range(first, last))
        room = int(self.lengths[index]) - 1 - len(turns)
        label = REAL
        if u[0] < 0.5:
            label = FAKE
            place = 1 + int(u[1] * (len(turns) - 1))
            for chance in u[2:]:  # one that fits, if it is soon found
                turns[place] = self._elsewhere(int(self._document[index]), chance)
                if sum(map(self._size, turns)) <= room:
                    break
        # who speaks is a matter of the place in the dialogue; a replaced turn takes the place's role
        role = first - int(self._documents[self._document[index]])
        share = _shares(list(map(self._size, turns)), room)
        ids, types, words = [np.array([self._special.cls])], [np.array([role % 2])], [np.ones(1, np.bool_)]
        for number, (turn, size) in enumerate(zip(turns, share, strict=True)):
            start = int(self._offsets[turn])
            starts = np.array(self._store.word_starts[start : start + size], np.bool_)
            starts[:1] = True
            ids += [
                np.asarray(self._store.tokens[start : start + size], np.int64),
                np.array([self._special.sep]),
            ]
            types.append(np.full(size + 1, (role + number) % 2, np.int64))
            words += [starts, np.ones(1, np.bool_)]
        return Example(np.concatenate(ids), np.concatenate(types), np.concatenate(words), label)

    def _elsewhere(self, document: int, u: float) -> int:
        """A turn of any other dialogue, all equally likely."""
        start, end = int(self._documents[document]), int(self._documents[document + 1])
        turn = int(u * (len(self._offsets) - 1 - (end - start)))
        return turn if turn < start else turn + end - start

    def _size(self, turn: int) -> int:
        return int(self._offsets[turn + 1] - self._offsets[turn])


def _shares(sizes: list[int], room: int) -> list[int]:
    """Tokens that each turn keeps: all where they fit, else the longest are cut to one length."""
    if sum(sizes) <= room:
        return sizes
    left, kept = room, [0] * len(sizes)
    for rank, turn in enumerate(sorted(range(len(sizes)), key=sizes.__getitem__)):
        kept[turn] = min(sizes[turn], left // (len(sizes) - rank))
        left -= kept[turn]
    return kept
