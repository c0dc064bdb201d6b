"""From a token store to examples: which stretches of text an encoder sees together.

An example source knows the length of every example in advance (so that rows can be packed once), and draws the
example itself when it is needed, as a pure function of its number and a counter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from polyseme.core.arrays import BoolArray, IntArray
from polyseme.core.rng import Random
from polyseme.data.store import TokenStore

NO_LABEL = -1
REAL, FAKE = 0, 1
"""Labels of `DialogueTurns`."""
_TRIES = 4
"""Turns of other dialogues that are drawn until one fits."""
Stretch = tuple[IntArray, BoolArray]
"""Tokens of a text, and which of them begin a word."""


class SpecialTokens(NamedTuple):
    """Ids that making examples needs: the separators it adds, and a table of what may never be predicted.

    Shapes:  special: (vocab_size,) boolean
    """

    pad: int
    cls: int
    sep: int
    mask: int
    special: BoolArray


class Example(NamedTuple):
    """One unit of text with its separators.

    Shapes:  ids, type, word_starts: (n,).  label: what an objective may attach (a class, the next token), or NO_LABEL
        number: which example of its data set it is, or NO_LABEL.  second: where a second text begins, which must not
        see the first though it stands in the same row; 0 = there is none
    """

    ids: IntArray
    type: IntArray
    word_starts: BoolArray
    label: int = NO_LABEL
    number: int = NO_LABEL
    second: int = 0

    @property
    def texts(self) -> list[Example]:
        """The example, or each of its two texts."""
        if not self.second:
            return [self]
        cut = self.second
        return [
            Example(self.ids[part], self.type[part], self.word_starts[part], self.label, self.number)
            for part in (slice(cut), slice(cut, None))
        ]


class Drawn(Protocol):
    """Examples by number."""

    def draw(self, index: int, counter: int) -> Example:
        """Example `index`, as it is at this point of the run (`counter` seeds its random choices)."""
        ...


class ExampleSource(Drawn, Protocol):
    """Examples by number, all of whose lengths are known.

    Attributes:
        lengths: (N,) longest that example i can become, separators included.
    """

    lengths: IntArray


class DocumentChunks:
    """Consecutive stretches of one document each: [CLS] tokens [SEP].

    Every token of the store is in exactly one chunk; a document's last chunk may be short.

    Args:
        store: the tokens.
        length: longest example, tokens with separators.
        special: ids of the separators.
    """

    def __init__(self, store: TokenStore, length: int, special: SpecialTokens) -> None:
        self._store, self._special = store, special
        bounds = np.asarray(store.sentences)[np.asarray(store.documents)]
        size = length - 2
        pieces = -(-np.diff(bounds) // size)  # chunks per document
        ordinal = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        self._starts: IntArray = np.repeat(bounds[:-1], pieces) + ordinal * size
        self._ends: IntArray = np.minimum(self._starts + size, np.repeat(bounds[1:], pieces))
        self.lengths: IntArray = self._ends - self._starts + 2

    def draw(self, index: int, counter: int) -> Example:
        """Chunk `index`; the counter does not matter."""
        start, end = int(self._starts[index]), int(self._ends[index])
        n = end - start + 2
        ids = np.empty(n, np.int64)
        ids[0], ids[-1] = self._special.cls, self._special.sep
        ids[1:-1] = self._store.tokens[start:end]
        words = np.ones(n, np.bool_)
        words[2:-1] = self._store.word_starts[start + 1 : end]
        return Example(ids, np.zeros(n, np.int64), words)


class NextTokenWindows:
    """Stretches of documents for predicting every token from what stands before it.

    A document is [CLS] tokens [SEP]: [CLS] stands for its beginning, [SEP] for its end. It is cut into stretches of
    at most `length` tokens to read; each stretch carries the token that follows it as its label, so every token but
    [CLS] is predicted exactly once, from the part of its document that is in the same stretch, and no position is
    computed for nothing. The final [SEP] is only ever a label.

    Args:
        store: the tokens.
        length: longest stretch.
        special: ids of the separators.
    """

    def __init__(self, store: TokenStore, length: int, special: SpecialTokens) -> None:
        self._store, self._special = store, special
        bounds = np.asarray(store.sentences)[np.asarray(store.documents)]
        sizes = np.diff(bounds) + 1  # with [CLS]
        pieces = -(-sizes // length)
        document = np.repeat(np.arange(len(sizes)), pieces)
        ordinal = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        self._begins = ordinal == 0
        self._starts: IntArray = bounds[document] + ordinal * length - 1  # -1: where [CLS] would stand
        self._limits: IntArray = bounds[document + 1]
        self._ends: IntArray = np.minimum(self._starts + length, self._limits)
        self.lengths: IntArray = self._ends - self._starts

    def draw(self, index: int, counter: int) -> Example:
        """Stretch `index`; the counter does not matter."""
        start, end = int(self._starts[index]), int(self._ends[index])
        n, n_prefix = end - start, int(self._begins[index])
        ids, words = np.empty(n, np.int64), np.ones(n, np.bool_)
        ids[:n_prefix] = self._special.cls
        ids[n_prefix:] = self._store.tokens[start + n_prefix : end]
        words[n_prefix + 1 :] = self._store.word_starts[start + n_prefix + 1 : end]
        last = end == int(self._limits[index])
        label = self._special.sep if last else int(self._store.tokens[end])
        return Example(ids, np.zeros(n, np.int64), words, label)


class SentencePairs:
    """Pairs of stretches of whole sentences: [CLS] A [SEP] B [SEP], B next to A or from another document.

    Groups of consecutive sentences of one document fill up to `length`. At each visit a group is split at a
    random sentence; half of the time B is what follows A (label 0), else a stretch of another document
    (label 1). A document of a single sentence gives [CLS] A [SEP] without a label. A sentence longer than an
    example counts as several.

    Args:
        store: the tokens; at least two documents.
        length: longest example, tokens with separators.
        special: ids of the separators.
        random: the stream of the random choices.
    Source:  Devlin et al. (2019), section 3.1 and appendix A.2. Departures: the other document has half to twice as
        many sentences, where there is one: of mixed lengths, length alone would tell the label. Sentences passed over
        when B is drawn elsewhere are not put back into the queue; the group comes again, split anew, in the next epoch.
    """

    def __init__(self, store: TokenStore, length: int, special: SpecialTokens, random: Random) -> None:
        self._store, self._special, self._random = store, special, random
        self._max_content = length - 3
        self._sentences, self._documents = _cut_long(
            np.asarray(store.sentences), np.asarray(store.documents), self._max_content
        )
        document_of = np.repeat(np.arange(store.n_documents), np.diff(self._documents))
        # following[s]: the first sentence that no longer fits when a group starts with s
        following = (
            np.searchsorted(self._sentences, self._sentences[:-1] + self._max_content, side="right") - 1
        )
        following = np.minimum(following, self._documents[1:][document_of])
        following = np.maximum(following, np.arange(1, len(following) + 1)).tolist()
        starts, s = [], 0
        while s < len(following):
            starts.append(s)
            s = following[s]
        self._starts = np.asarray(starts, np.int64)
        self._ends = np.asarray([following[s] for s in starts], np.int64)
        self._document = document_of[self._starts]
        tokens = self._sentences[self._ends] - self._sentences[self._starts]
        lone = np.diff(self._documents)[self._document] == 1
        self._lone = lone
        sizes = np.diff(self._documents)
        self._by_size: IntArray = np.argsort(sizes, kind="stable")
        self._sizes: IntArray = sizes[self._by_size]
        self._rank: IntArray = np.argsort(self._by_size)
        self.n_pairs = int((~lone).sum())
        # a pair may grow up to the full length when B comes from elsewhere
        self.lengths: IntArray = np.where(
            lone, np.minimum(tokens, self._max_content) + 2, self._max_content + 3
        )

    def draw(self, index: int, counter: int) -> Example:
        """Group `index`, split and paired as the counter says."""
        start, end = int(self._starts[index]), int(self._ends[index])
        if self._lone[index]:
            return _joined([self._tokens(start, end, self._max_content)], self._special, NO_LABEL)
        u = self._random.uniform(counter, index, np.arange(4))
        if end - start >= 2:
            split = start + 1 + int(u[0] * (end - start - 1))
        elif end < self._documents[self._document[index] + 1]:
            split = end  # one long sentence: B is what follows
        else:
            start, split = start - 1, start  # the last sentence alone: A is what precedes
        a = self._tokens(start, split, self._max_content - min(8, self._max_content // 2))
        max_b = self._max_content - len(a[0])
        if u[1] < 0.5:
            stop = int(self._documents[self._document[index] + 1])
            b = self._tokens(split, min(stop, max(end, split + 1)), max_b)
            return _joined([a, b], self._special, 0)
        other = self._other_document(int(self._document[index]), float(u[2]))
        first, last = int(self._documents[other]), int(self._documents[other + 1])
        b = self._tokens(first + int(u[3] * (last - first)), last, max_b)
        return _joined([a, b], self._special, 1)

    def _other_document(self, own: int, u: float) -> int:
        """One of about as many sentences, as its length would tell the label; any where there is none such."""
        rank = int(self._rank[own])
        size = int(self._sizes[rank])
        low, high = np.searchsorted(self._sizes, [(size + 1) // 2, 2 * size + 1]).tolist()
        if high - low < 2:
            low, high = 0, len(self._sizes)
        place = low + int(u * (high - low - 1))
        return int(self._by_size[place + (place >= rank)])

    def _tokens(self, first: int, last: int, most: int) -> Stretch:
        """Tokens of sentences first … last-1, whole sentences while they fit, at least part of one."""
        begin, stop = int(self._sentences[first]), int(self._sentences[last])
        if stop - begin > most:
            fits = int(np.searchsorted(self._sentences[first : last + 1], begin + most, side="right")) - 1
            stop = int(self._sentences[first + fits]) if fits else begin + most
        return _stretch(self._store, begin, stop)


class TextPairs:
    """Pairs of texts that mean the same: [CLS] A [SEP] and [CLS] B [SEP] in one row, neither of which sees the other.

    A is a sentence and B the same one again; or, with `pairs`, the one behind it: of a document's sentences the first
    and the second, the third and the fourth …, so that a file of pairs is one of documents of two lines. What is longer
    than half an example is cut at its end.

    Args:
        store: the tokens.
        length: longest example, tokens with separators.
        special: ids of the separators.
        pairs: the second text is the next sentence.
        least: tokens of the shortest text that is taken.
    """

    def __init__(
        self, store: TokenStore, length: int, special: SpecialTokens, pairs: bool, least: int
    ) -> None:
        self._store, self._special, self._most = store, special, length // 2 - 2
        starts, sizes = np.asarray(store.sentences)[:-1], np.diff(np.asarray(store.sentences))
        first = np.arange(len(sizes))
        second = first
        if pairs:
            documents = np.asarray(store.documents)
            place = first - np.repeat(documents[:-1], np.diff(documents))
            last = np.repeat(documents[1:], np.diff(documents)) - 1
            first = first[(place % 2 == 0) & (first < last)]
            second = first + 1
        taken = (sizes[first] >= least) & (sizes[second] >= least)
        self._texts = [
            (starts[number[taken]], np.minimum(sizes[number[taken]], self._most))
            for number in (first, second)
        ]
        self.lengths: IntArray = self._texts[0][1] + self._texts[1][1] + 4

    def draw(self, index: int, counter: int) -> Example:
        """Pair `index`; the counter does not matter."""
        parts = []
        for starts, sizes in self._texts:
            begin = int(starts[index])
            parts.append(
                _joined([_stretch(self._store, begin, begin + int(sizes[index]))], self._special, NO_LABEL)
            )
        ids, types, words = (np.concatenate([part[k] for part in parts]) for k in range(3))
        return Example(ids, types, words, second=len(parts[0].ids))


def _stretch(store: TokenStore, begin: int, end: int) -> Stretch:
    """Tokens begin … end - 1 of a store; the first one begins a word."""
    words = np.array(store.word_starts[begin:end], np.bool_)
    words[:1] = True
    return np.asarray(store.tokens[begin:end], np.int64), words


def _joined(parts: Sequence[Stretch], special: SpecialTokens, label: int, first_type: int = 0) -> Example:
    """[CLS] part [SEP] part [SEP] …, whose types are 0 and 1 in turn; [CLS] is of the first part's type."""
    ids, words = [np.array([special.cls])], [np.ones(1, np.bool_)]
    types = [np.full(1, first_type % 2, np.int64)]
    for number, (tokens, starts) in enumerate(parts):
        ids += [tokens, np.array([special.sep])]
        types.append(np.full(len(tokens) + 1, (first_type + number) % 2, np.int64))
        words += [starts, np.ones(1, np.bool_)]
    return Example(np.concatenate(ids), np.concatenate(types), np.concatenate(words), label)


def _cut_long(sentences: IntArray, documents: IntArray, max_length: int) -> tuple[IntArray, IntArray]:
    """Offsets with every sentence of more than `max_length` tokens cut into pieces of at most that.

    Shapes:  sentences: (S + 1,), documents: (D + 1,) -> (S' + 1,), (D + 1,)
    """
    pieces = np.maximum(1, -(-np.diff(sentences) // max_length))
    ends = np.cumsum(pieces)
    ordinal = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - pieces, pieces)
    starts = np.repeat(sentences[:-1], pieces) + ordinal * max_length
    offsets = np.concatenate([[0], ends])
    return np.append(starts, sentences[-1]), offsets[documents]


class DialogueTurns:
    """Windows of two or three successive turns of each dialogue, real or with one of them from elsewhere.

        [CLS] query [SEP] response [SEP] (query [SEP])      type 0 for one speaker's turns, 1 for the other's

    A document of the store is a dialogue and its sentences are the turns, which take turns: `--set text.sentences=line`
    makes every line a turn.

    A window starts at every turn that has a following one, so a dialogue of n turns gives n - 1 examples. Half of the
    time, by the counter, one of its turns, not the first of them, is replaced by a random turn of another dialogue.
    Turns share the tokens of an example; a turn that is too long keeps its beginning.

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
        self._max_content = length - 1 - turns
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
        self.lengths: IntArray = (
            np.minimum(window + slack, self._max_content) + 1 + (self._last - self._first)
        )

    def draw(self, index: int, counter: int) -> Example:
        """Window `index`, real or corrupted as the counter says."""
        first, last = int(self._first[index]), int(self._last[index])
        u = self._random.uniform(counter, index, np.arange(2 + _TRIES))
        turns = list(range(first, last))
        max_content = int(self.lengths[index]) - 1 - len(turns)
        label = REAL
        if u[0] < 0.5:
            label = FAKE
            place = 1 + int(u[1] * (len(turns) - 1))
            for chance in u[2:]:  # one that fits, if it is soon found
                turns[place] = self._elsewhere(int(self._document[index]), chance)
                if sum(map(self._size, turns)) <= max_content:
                    break
        # who speaks is a matter of the place in the dialogue; a replaced turn takes the place's role
        role = first - int(self._documents[self._document[index]])
        share = _shares(list(map(self._size, turns)), max_content)
        starts = [int(self._offsets[turn]) for turn in turns]
        parts = [_stretch(self._store, at, at + size) for at, size in zip(starts, share, strict=True)]
        return _joined(parts, self._special, label, role)

    def _elsewhere(self, document: int, u: float) -> int:
        """A turn of any other dialogue, all equally likely."""
        start, end = int(self._documents[document]), int(self._documents[document + 1])
        turn = int(u * (len(self._offsets) - 1 - (end - start)))
        return turn if turn < start else turn + end - start

    def _size(self, turn: int) -> int:
        return int(self._offsets[turn + 1] - self._offsets[turn])


def _shares(sizes: list[int], max_content: int) -> list[int]:
    """Tokens that each turn keeps: all where they fit, else the longest are cut to one length."""
    if sum(sizes) <= max_content:
        return sizes
    left, kept = max_content, [0] * len(sizes)
    for rank, turn in enumerate(sorted(range(len(sizes)), key=sizes.__getitem__)):
        kept[turn] = min(sizes[turn], left // (len(sizes) - rank))
        left -= kept[turn]
    return kept
