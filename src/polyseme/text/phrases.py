"""Phrases: words that stand side by side far more often than by chance are found in a text, and become one token.

    score(a, b) = (count(a b) - δ) / (count(a) · count(b)) · N        a b is a phrase where score > threshold
    npmi(a, b) = ln(p(a b) / (p(a) p(b))) / -ln p(a b),  -1 … 1       or where npmi and count(a b) are high enough

N is the number of words of the text and δ keeps pairs of rare words out. The first score makes phrases of word-level
vocabularies, the second the units that ERNIE masks (data/mining.py). Every pass treats the phrases of the passes
before as words, so `new york times` forms in the second; 2^passes is the most words of a phrase.

A phrase is an entry of a word-level vocabulary: its words with a space between them, `new york`. No word has a space,
so an entry with one is a phrase for certain, and a tokenizer.json needs nothing else.

Source: Mikolov, Sutskever, Chen, Corrado and Dean (2013), "Distributed representations of words and phrases and their
compositionality", section 4 and equation 6, and the released program word2phrase (threshold 100, δ = 5, the factor N,
which the equation leaves out). The threshold halves from pass to pass, as in the script released with it (200, then
100). Bouma (2009), "Normalized (pointwise) mutual information in collocation extraction", for the other score.
Departures: punctuation marks are not counted and nothing joins across them; text is encoded by the longest phrase
first, left to right, not pass by pass.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from polyseme.core.arrays import BoolArray, Float64Array, IntArray
from polyseme.text import automaton

__all__ = [
    "Discounted",
    "NormalisedPmi",
    "Phrases",
    "WordStream",
    "is_word",
    "learn_phrases",
    "phrase_vocabulary",
]

Words = npt.NDArray[np.integer[Any]]

_BLOCK = 1 << 22  # words whose pairs are counted together
_MOST_PAIRS = 1 << 23  # different pairs that are kept; above it the rarest are forgotten
_BLANK_LINE = re.compile(r"\n\s*\n")


def is_word(token: str) -> bool:
    """Whether a token has a letter or digit: a punctuation mark has none, and no phrase holds one."""
    return any(map(str.isalnum, token))


class Joined(NamedTuple):
    """Texts with their phrases joined.

    Shapes:  ids: (N',); lengths: tokens of each text, summing to N'; first: (N',) where each token began before
    """

    ids: IntArray
    lengths: IntArray
    first: IntArray


class Phrases:
    """Finds a vocabulary's phrases in texts of word ids: the longest first, from left to right.

    Args:
        words: the word ids of each phrase, two or more of them.
        ids: the id of each phrase.
        vocab_size: above every id.
    Example:
        >>> phrases = Phrases([(5, 6), (5, 6, 7)], [8, 9], 10)
        >>> phrases.find([5, 6, 5, 6, 7])
        [(0, 2, 8), (2, 5, 9)]
    """

    def __init__(self, words: Sequence[tuple[int, ...]], ids: Sequence[int], vocab_size: int) -> None:
        tree = automaton.build(words)
        state = np.repeat(np.arange(len(tree.fail)), np.diff(tree.edge_start))
        self._edges = dict(
            zip(
                zip(state.tolist(), tree.edge_token.tolist(), strict=True), tree.edge_to.tolist(), strict=True
            )
        )
        self._phrase = np.array([*ids, -1], np.int64)[tree.out]
        self._phrase_at: list[int] = self._phrase.tolist()
        self.longest = max(map(len, words), default=0)
        # The same as arrays: states by first word, and sorted keys of all edges.
        self._size = vocab_size
        self._keys, self._targets = state * vocab_size + tree.edge_token, tree.edge_to.astype(np.int64)
        inner = int(tree.edge_start[1])
        self._from_root = np.zeros(vocab_size, np.int64)
        self._from_root[tree.edge_token[:inner]] = tree.edge_to[:inner]
        self._goes_on = np.zeros(vocab_size, np.bool_)
        self._goes_on[tree.edge_token[inner:]] = True

    @classmethod
    def of_vocabulary(cls, vocabulary: Mapping[str, int]) -> Phrases | None:
        """The phrases among the entries of a word-level vocabulary, or None where there are none."""
        parts = {entry: entry.split(" ") for entry in vocabulary if " " in entry}
        phrases = {e: words for e, words in parts.items() if all(word in vocabulary for word in words)}
        if not phrases:
            return None
        words = [tuple(vocabulary[word] for word in phrase) for phrase in phrases.values()]
        return cls(words, [vocabulary[entry] for entry in phrases], max(vocabulary.values()) + 1)

    def find(self, ids: Sequence[int]) -> list[tuple[int, int, int]]:
        """(start, end, id) of the phrases of one text; the plain form of `join`."""
        matches = []
        start = 0
        while start < len(ids) - 1:
            node, best = self._edges.get((0, ids[start]), 0), start + 1
            end, phrase = best, -1
            while node and end < len(ids):
                node = self._edges.get((node, ids[end]), 0)
                end += 1
                if self._phrase_at[node] >= 0:
                    best, phrase = end, self._phrase_at[node]
            if phrase >= 0:
                matches.append((start, best, phrase))
            start = best
        return matches

    def join(self, ids: IntArray, lengths: IntArray) -> Joined:
        """Replace the words of phrases by the phrases in many texts at once.

        Args:
            ids: the words of all texts, one text after the other.
            lengths: words of each text.
        Shapes:  ids: (N,); lengths: (S,), summing to N
        """
        text_ends = np.cumsum(lengths)
        start, end, phrase = self._matches(ids, text_ends)
        kept = _leftmost(start, end)
        start, end, phrase = start[kept], end[kept], phrase[kept]
        joined = ids.copy()
        joined[start] = phrase
        stays = np.ones(len(ids), np.bool_)
        for step in range(1, self.longest):
            inside = start + step
            stays[inside[inside < end]] = False
        text = np.searchsorted(text_ends, start, "right")
        gone = np.bincount(text, end - start - 1, len(lengths)).astype(np.int64)
        return Joined(joined[stays], lengths - gone, np.flatnonzero(stays))

    def _matches(self, ids: IntArray, text_ends: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Where phrases begin, and the end and id of the longest one there."""
        start = np.flatnonzero((self._from_root[ids[:-1]] > 0) & self._goes_on[ids[1:]])
        limit = text_ends[np.searchsorted(text_ends, start, "right")]
        ends, phrases = start.copy(), np.full(len(start), -1)
        row = np.arange(len(start))  # of those that may still go on
        node, at = self._from_root[ids[start]], start + 1
        while len(row):
            row, node, at = _where(at < limit[row], row, node, at)
            key = node * self._size + ids[at]
            place = np.minimum(np.searchsorted(self._keys, key), len(self._keys) - 1)
            row, place, at = _where(self._keys[place] == key, row, place, at)
            node, at = self._targets[place], at + 1
            whole = self._phrase[node] >= 0
            ends[row[whole]], phrases[row[whole]] = at[whole], self._phrase[node[whole]]
        matched = phrases >= 0
        return start[matched], ends[matched], phrases[matched]


def _where(which: BoolArray, *arrays: IntArray) -> tuple[IntArray, ...]:
    return tuple(array[which] for array in arrays)


def _leftmost(start: IntArray, end: IntArray) -> BoolArray:
    """Which of the matches, in order of their starts, remain when each forbids those that begin inside it."""
    kept = np.ones(len(start), np.bool_)
    # One that begins after the end of all before it stays for certain; only the others need looking at in turn.
    doubtful = 1 + np.flatnonzero(start[1:] < np.maximum.accumulate(end)[:-1])
    reach, last = 0, -1
    for i, first, stop, before in zip(
        doubtful.tolist(),
        start[doubtful].tolist(),
        end[doubtful].tolist(),
        end[doubtful - 1].tolist(),
        strict=True,
    ):
        if i - 1 != last:  # the one before was certain
            reach = before
        last = i
        if first < reach:
            kept[i] = False
        else:
            reach = stop
    return kept


class Score(Protocol):
    """Which pairs of words are phrases; `number` counts the passes from 0."""

    def possible(self, counts: IntArray, total: int, number: int) -> BoolArray:
        """Of every word by its count, whether a pair with it can be a phrase."""

    def of(
        self, pair: IntArray, first: IntArray, second: IntArray, total: int, number: int
    ) -> tuple[Float64Array, BoolArray]:
        """The scores of pairs by count(a b), count(a) and count(b), and which of the pairs are phrases."""


class Discounted(NamedTuple):
    """score(a, b) = (count(a b) - δ) / (count(a) · count(b)) · N > threshold; that halves from pass to pass.

    Args:
        threshold: of the first pass.
        delta: δ.
    Source:  Mikolov et al. (2013), equation 6, times N as in word2phrase.
    """

    threshold: float
    delta: float

    def possible(self, counts: IntArray, total: int, number: int) -> BoolArray:
        """A pair is no more frequent than its rarer word, so its score is below N / count of the other."""
        possible: BoolArray = counts * (self.threshold / 2**number) < total
        return possible

    def of(
        self, pair: IntArray, first: IntArray, second: IntArray, total: int, number: int
    ) -> tuple[Float64Array, BoolArray]:
        """See `Score`; N is without the words that were joined before."""
        value = (pair - self.delta) / (first.astype(np.float64) * second) * total
        return value, value > self.threshold / 2**number


class NormalisedPmi(NamedTuple):
    """npmi(a, b) ≥ least of the pairs that occur often enough.

    Args:
        least: -1 … 1.
        min_count: occurrences that a pair needs.
        n_words: N of all passes.
    Source:  Bouma (2009).
    """

    least: float
    min_count: int
    n_words: int

    def possible(self, counts: IntArray, total: int, number: int) -> BoolArray:
        """A pair is no more frequent than its rarer word."""
        return counts >= self.min_count

    def of(
        self, pair: IntArray, first: IntArray, second: IntArray, total: int, number: int
    ) -> tuple[Float64Array, BoolArray]:
        """See `Score`."""
        p = pair / self.n_words
        value = np.log(p / ((first / self.n_words) * (second / self.n_words))) / -np.log(p)
        return value, (pair >= self.min_count) & (value >= self.least)


def learn_phrases(
    words: Words, n_words: int, passes: int, score: Score, joined_only: bool = False
) -> dict[tuple[int, ...], float]:
    """Phrases of a text as the ids of their words, each with its score in the pass that found it.

    Memory is bounded: about 20 bytes a word, and pairs are forgotten, the rarest first, where there are too many.

    Args:
        words: the text, one word after the other; 0 stands where nothing may join.
        n_words: N of the first pass, with the words that are too rare to have an id.
        passes: 2^passes is the most words of a phrase.
        score: which pairs are phrases.
        joined_only: without phrases whose words always went to another one, before or behind them.
    Shapes:  words: (N,)
    """
    spelled: list[tuple[int, ...]] = [(i,) for i in range(int(words.max(initial=0)) + 1)]
    scores: dict[tuple[int, ...], float] = {}
    total = n_words
    for number in range(passes):
        counts = _occurrences(words, len(spelled))
        possible = score.possible(counts, total, number)
        possible[0] = False
        keys, times = _count_pairs(words, possible)
        first, second = keys // len(counts), keys % len(counts)
        value, good = score.of(times, counts[first], counts[second], total, number)
        keys, first, second, value = keys[good], first[good], second[good], value[good]
        if not len(keys):
            break
        names = {phrase: i for i, phrase in enumerate(spelled)}
        numbers = np.empty(len(keys), np.int64)
        for i, (a, b) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
            phrase = spelled[a] + spelled[b]  # (a b) c and a (b c) are one
            numbers[i] = names.setdefault(phrase, len(spelled))
            if numbers[i] == len(spelled):
                spelled.append(phrase)
        words, joined = _join_pairs(words, keys, numbers, len(counts))
        total -= len(joined)
        there = set(joined.tolist()) if joined_only else set(numbers.tolist())
        for phrase_number, s in zip(numbers.tolist(), value.tolist(), strict=True):
            if phrase_number in there:
                scores.setdefault(spelled[phrase_number], s)
    return scores


def _occurrences(words: Words, size: int) -> IntArray:
    """How often each id occurs; in parts, since bincount makes a wider copy."""
    counts = np.zeros(size, np.int64)
    for start in range(0, len(words), _BLOCK):
        counts += np.bincount(words[start : start + _BLOCK], minlength=size)
    return counts


def _count_pairs(words: Words, possible: BoolArray) -> tuple[IntArray, IntArray]:
    """Sorted keys first · size + second of the neighbouring words, and how often each occurs."""
    size, floor = len(possible), 0
    keys = times = np.empty(0, np.int64)
    for start in range(0, len(words) - 1, _BLOCK):
        part = words[start : start + _BLOCK + 1].astype(np.int64)
        fits = possible[part]
        both = fits[:-1] & fits[1:]
        more, counts = np.unique(part[:-1][both] * size + part[1:][both], return_counts=True)
        if len(keys):
            more, row = np.unique(np.concatenate((keys, more)), return_inverse=True)
            counts = np.bincount(row, np.concatenate((times, counts)))
        keys, times = more, counts.astype(np.int64)
        while len(keys) > _MOST_PAIRS:
            floor += 1
            kept = times > floor
            keys, times = keys[kept], times[kept]
    return keys, times


def _join_pairs(words: Words, keys: IntArray, numbers: IntArray, size: int) -> tuple[Words, IntArray]:
    """Replace the pairs of words with these keys by these numbers, from left to right; and the numbers put there."""
    matches = []
    for start in range(0, len(words) - 1, _BLOCK):
        part = words[start : start + _BLOCK + 1].astype(np.int64)
        key = part[:-1] * size + part[1:]
        place = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
        at = np.flatnonzero(keys[place] == key)
        matches.append(np.stack((at + start, numbers[place[at]])))
    at, number = np.concatenate(matches, axis=1)
    run_begins = (
        np.diff(at, prepend=-2) != 1
    )  # a b c, where a b and b c are phrases: every other one of a run
    in_run = np.arange(len(at)) - np.maximum.accumulate(np.where(run_begins, np.arange(len(at)), 0))
    taken = in_run % 2 == 0
    joined = words.copy()
    joined[at[taken]] = number[taken]
    return np.delete(joined, at[taken] + 1), number[taken]


class WordStream:
    """The words of a sample as numbers, in order, so that pairs can be counted again and again.

    Args:
        texts: the sample, normalised.
        words: cuts a text into words and marks.
    """

    def __init__(self, texts: Iterable[str], words: Callable[[str], list[str]]) -> None:
        self._numbers: defaultdict[str, int] = defaultdict()
        self._numbers.default_factory = self._numbers.__len__
        gap = self._numbers[""]
        parts = []
        for text in texts:
            for paragraph in _BLANK_LINE.split(text):
                numbers = [*map(self._numbers.__getitem__, words(paragraph)), gap]
                parts.append(np.array(numbers, np.uint32))
        self._stream = np.concatenate(parts) if parts else np.empty(0, np.uint32)
        occurrences = _occurrences(self._stream, len(self._numbers))
        self.counts = Counter(dict(zip(self._numbers, occurrences.tolist(), strict=True)))
        del self.counts[""]

    def of(self, words: Sequence[str]) -> tuple[npt.NDArray[np.uint32], int]:
        """The sample with these words as 1, 2, … and 0 for all others and marks; and how many words it has in all."""
        table = np.zeros(len(self._numbers), np.uint32)
        for i, word in enumerate(words, 1):
            if is_word(word):
                table[self._numbers[word]] = i
        total = sum(count for word, count in self.counts.items() if is_word(word))
        return table[self._stream], total


def _blocks(text: npt.NDArray[np.uint32]) -> Iterator[IntArray]:
    """The words in parts of bounded size, cut where nothing may join."""
    start = 0
    while start < len(text):
        end = start + _BLOCK
        while end < len(text) and text[end]:
            end += 1
        yield text[start:end].astype(np.int64)
        start = end


def phrase_vocabulary(
    stream: WordStream,
    words: Sequence[str],
    max_entries: int,
    *,
    passes: int,
    threshold: float,
    delta: float,
    min_count: int,
) -> list[str]:
    """The entries of a vocabulary with phrases, the most frequent first.

    Occurrences are counted as the tokenizer will see them: "york" in "new york" is none of "york". A phrase brings its
    words into the vocabulary, however rare they are alone.

    Args:
        stream: the sample.
        words: those that may have an entry.
        max_entries: of the vocabulary.
        passes, threshold, delta: see `learn_phrases` and `Discounted`.
        min_count: a phrase must occur so often.
    """
    text, total = stream.of(words)
    learned = sorted(learn_phrases(text, total, passes, Discounted(threshold, delta)))
    entries = ["", *words]

    def count(phrases: list[tuple[int, ...]]) -> IntArray:
        size = len(entries) + len(phrases)
        table = Phrases(phrases, range(len(entries), size), size)
        counts = np.zeros(size, np.int64)
        for part in _blocks(text):
            counts += np.bincount(table.join(part, np.array([len(part)])).ids, minlength=size)
        return counts

    if learned:
        frequent = count(learned)[len(entries) :] >= min_count
        learned = [phrase for phrase, often in zip(learned, frequent.tolist(), strict=True) if often]
    counts = dict(stream.counts)
    parts = {" ".join(entries[i] for i in phrase): [entries[i] for i in phrase] for phrase in learned}
    if learned:
        for entry, n in zip([*entries, *parts], count(learned).tolist(), strict=True):
            if is_word(entry):
                counts[entry] = n
    chosen: set[str] = set()
    ranked = sorted([*words, *parts], key=lambda entry: (-counts[entry], entry))
    for entry in ranked:
        needed = {entry, *parts.get(entry, ())} - chosen
        if len(chosen) + len(needed) <= max_entries:
            chosen |= needed
    return [entry for entry in ranked if entry in chosen]
