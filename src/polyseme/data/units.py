"""Units of text for knowledge masking: what is known of a corpus, and cutting rows of tokens into units.

    lexicon (the user's) ─┐
    names (segmenter)     ├─► patterns of token ids ─► automaton ─► units of a row: entity | phrase | basic
    collocations (mined) ─┘                               ▲
    words of several Chinese characters (segmenter) ──────┘

A row is cut so that every token of text is in exactly one unit: first entities, then phrases, then words that the
lexicon names, each the leftmost longest and beginning and ending where words do; then words of several Chinese
characters, which are phrases; what is left are basic units, Chinese characters and words of other scripts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from polyseme.core.arrays import BoolArray, Int32Array, IntArray
from polyseme.data.store import TokenStore
from polyseme.errors import CheckpointError
from polyseme.kernels.twins import faster_at
from polyseme.text import automaton
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.words import is_cjk

KINDS = ("basic", "phrase", "entity")
BASIC, PHRASE, ENTITY = range(3)
_BLOCK = 1 << 20  # tokens of a store looked at together
_HEAD = "text\tkind\tsource\ttype\tcount\tids"


class Pattern(NamedTuple):
    """A unit that is known by its tokens.

    Args:
        text: as a person reads it.
        kind: "basic" (a word), "phrase" or "entity".
        source: "lexicon", "segmenter" (its name tags), "capitals" or "mined".
        type: what the source calls it: person, place … or "".
        ids: its tokens.
        occurrences: in the training text as a unit.
    """

    text: str
    kind: str
    source: str
    type: str
    ids: tuple[int, ...]
    occurrences: int = 0


class RowUnits(NamedTuple):
    """Units of some rows, by token.

    Shapes:  unit (column where the token's unit begins, -1 outside text), kind (0 basic, 1 phrase, 2 entity; -1),
             entry (number of the pattern; -1 where the segmenter or the token itself made the unit): (B, T)
    """

    unit: IntArray
    kind: npt.NDArray[np.int8]
    entry: Int32Array


@faster_at("polyseme.kernels.units:find_units")
def find_units(
    ids: IntArray,
    word_starts: BoolArray,
    piece: IntArray,
    single: BoolArray,
    patterns: Sequence[tuple[int, ...]],
    levels: npt.NDArray[np.int8],
    tables: automaton.Automaton,
    deepest: int,
) -> tuple[IntArray, npt.NDArray[np.int8], npt.NDArray[np.int32]]:
    """Cut every row into units.

    Args:
        piece: which stretch of text a token belongs to; 0 = no text (separators, unknown tokens, padding).
        single: of every id, whether it is a unit of its own (a Chinese character).
        patterns: units known by their tokens.
        levels: of every pattern, BASIC, PHRASE or ENTITY.
        tables: the patterns' automaton, for the fast form.
        deepest: BASIC, PHRASE or ENTITY: units above are not looked for.
    Shapes:  ids, word_starts, piece: (B, T).  single: (vocab_size,) -> unit, kind, entry: (B, T); see `RowUnits`
    """
    unit, kind, entry = (np.full(ids.shape, -1, dtype) for dtype in (np.int64, np.int8, np.int32))
    for b in range(len(ids)):
        row = ids[b].tolist(), word_starts[b].tolist(), piece[b].tolist()
        for start, end, level, number in units_of_row(*row, single, patterns, levels, deepest):
            unit[b, start:end], kind[b, start:end], entry[b, start:end] = start, level, number
    return unit, kind, entry


def units_of_row(
    ids: list[int],
    word_starts: list[bool],
    piece: list[int],
    single: BoolArray,
    patterns: Sequence[tuple[int, ...]],
    levels: npt.NDArray[np.int8],
    deepest: int,
) -> list[tuple[int, int, int, int]]:
    """Units of a row as (start, end, kind, pattern or -1), from left to right."""
    words = _words(word_starts, piece)
    begins, ends = {start for start, _ in words}, {end for _, end in words}
    taken: set[int] = set()
    units = []
    for kind in range(deepest, -1, -1):  # entities first, then phrases, then words: leftmost, longest
        longest: dict[int, tuple[int, int]] = {}
        for number, pattern in enumerate(patterns):
            for start in range(len(ids) - len(pattern) + 1):
                end = start + len(pattern)
                same = tuple(ids[start:end]) == pattern and len({*piece[start:end]}) == 1 and piece[start] > 0
                whole = start in begins and end in ends
                if levels[number] == kind and same and whole and end > longest.get(start, (0, 0))[0]:
                    longest[start] = (end, number)
        for start in sorted(longest):
            end, number = longest[start]
            if not taken & {*range(start, end)}:
                taken |= {*range(start, end)}
                units.append((start, end, kind, number))
    for start, end in words:  # the words that are left
        if start in taken:
            continue
        if deepest >= PHRASE and sum(bool(single[ids[t]]) for t in range(start, end)) >= 2:
            units.append((start, end, PHRASE, -1))
            continue
        cuts = [start, *(t for t in range(start + 1, end) if single[ids[t]]), end]
        units += [(a, b, BASIC, -1) for a, b in pairwise(cuts)]
    return sorted(units)


def _words(word_starts: list[bool], piece: list[int]) -> list[tuple[int, int]]:
    """Words as (start, end), within one piece each."""
    words: list[tuple[int, int]] = []
    for t, (begins, p) in enumerate(zip(word_starts, piece, strict=True)):
        if p == 0:
            continue
        if begins or t == 0 or piece[t - 1] != p:
            words.append((t, t + 1))
        else:
            words[-1] = (words[-1][0], t + 1)
    return words


class Units:
    """Everything that knowledge masking knows about a corpus.

    Args:
        single: of every id, whether such a token is a basic unit of its own: it begins with a Chinese character.
        patterns: units known by their tokens; of patterns with equal ids the first counts.
        coverage: share of the training text's tokens in units of each kind, as far as it was measured, when phrases
            are looked for ("phrases"), and when entities are, too ("entities").
    Shapes:  single: (vocab_size,)
    """

    def __init__(
        self,
        single: BoolArray,
        patterns: Iterable[Pattern] = (),
        coverage: dict[str, dict[str, float]] | None = None,
    ) -> None:
        distinct: dict[tuple[int, ...], Pattern] = {}
        for pattern in patterns:
            distinct.setdefault(pattern.ids, pattern)
        self.single, self.patterns = single, list(distinct.values())
        self.coverage = coverage or {}

    @cached_property
    def _tables(self) -> automaton.Automaton:
        return automaton.build([p.ids for p in self.patterns])

    @cached_property
    def _levels(self) -> npt.NDArray[np.int8]:
        return np.array([KINDS.index(p.kind) for p in self.patterns], np.int8)

    def find(self, ids: IntArray, word_starts: BoolArray, piece: IntArray, deepest: int) -> RowUnits:
        """Cut rows into units.

        Args:
            ids: tokens.
            word_starts: a token begins a word.
            piece: which stretch of text a token belongs to, 0 = none; no unit crosses from one to another.
            deepest: look for units up to BASIC, PHRASE or ENTITY.
        Shapes:  (B, T) each
        """
        patterns = [p.ids for p in self.patterns]
        rows = ids, word_starts, piece, self.single
        return RowUnits(*find_units(*rows, patterns, self._levels, self._tables, deepest))

    def report(self) -> dict[str, Any]:
        """JSON-able: how many patterns of each kind and source occur, and how much of the text units cover."""
        counts: dict[str, dict[str, int]] = {}
        for pattern in self.patterns:
            by_source = counts.setdefault(pattern.kind, {})
            by_source[pattern.source] = by_source.get(pattern.source, 0) + 1
        return {"patterns": counts, "coverage": self.coverage}

    def summary(self) -> str:
        """A line for people: how many patterns, and how much of the text units cover."""
        counts: dict[str, int] = {}
        for pattern in self.patterns:
            name = f"{pattern.source} {'word' if pattern.kind == 'basic' else pattern.kind}"
            counts[name] = counts.get(name, 0) + 1
        known = ", ".join(f"{name} {n:,}" for name, n in counts.items()) or "none"
        shares = ", ".join(f"{self.coverage['entities'][kind]:.1%} {kind}" for kind in KINDS)
        return f"units known from the corpus: {known}; of its tokens {shares}"

    def as_bytes(self) -> bytes:
        """The patterns as a table that people can read: UTF-8, one a line, columns parted by TABs."""
        lines = [f"# coverage\t{json.dumps(self.coverage)}", _HEAD]
        for p in self.patterns:
            lines.append(
                f"{p.text}\t{p.kind}\t{p.source}\t{p.type}\t{p.occurrences}\t{' '.join(map(str, p.ids))}"
            )
        return ("\n".join(lines) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes, tokenizer: Tokenizer) -> Units:
        """Read what `as_bytes` wrote.

        Raises:  CheckpointError: it is something else.
        """
        try:
            first, head, *lines = data.decode().removesuffix("\n").split("\n")
            if head != _HEAD:
                raise ValueError(head)
            cover = json.loads(first.removeprefix("# coverage\t"))
            patterns = []
            for line in lines:
                text, kind, source, label, count, ids = line.split("\t")
                tokens = tuple(map(int, ids.split()))
                if kind not in KINDS or not tokens or max(tokens) >= tokenizer.vocab_size:
                    raise ValueError(line)
                patterns.append(Pattern(text, kind, source, label, tokens, int(count)))
        except (ValueError, UnicodeDecodeError):
            raise CheckpointError("the table of units is damaged") from None
        return cls(single_units(tokenizer), patterns, cover)


def single_units(tokenizer: Tokenizer) -> BoolArray:
    """Of every id, whether it begins with a Chinese character.  Shapes: -> (vocab_size,)"""
    prefixes = ("##", " ")
    table = np.zeros(tokenizer.vocab_size, np.bool_)
    for i in range(tokenizer.vocab_size):
        shown = tokenizer.display(i)
        for prefix in prefixes:
            shown = shown.removeprefix(prefix) if len(shown) > len(prefix) else shown
        table[i] = i not in tokenizer.special_ids and is_cjk(shown)
    return table


def sentence_blocks(store: TokenStore, ordinary: BoolArray) -> Iterable[tuple[IntArray, BoolArray, IntArray]]:
    """A store's tokens as rows of whole sentences: ids, word starts and pieces as `Units.find` takes them.

    Shapes:  ordinary: (vocab_size,) -> (1, N) each
    """
    sentences = np.asarray(store.sentences)
    first = 0
    while first < len(sentences) - 1:
        start = sentences[first]
        last = max(int(np.searchsorted(sentences, start + _BLOCK, side="right")) - 1, first + 1)
        end = sentences[last]
        ids = np.asarray(store.tokens[start:end], np.int64)
        piece = np.repeat(np.arange(1, last - first + 1), np.diff(sentences[first : last + 1]))
        piece[~ordinary[ids]] = 0
        yield ids[None], np.asarray(store.word_starts[start:end], np.bool_)[None], piece[None]
        first = last


def counted(units: Units, store: TokenStore, ordinary: BoolArray, keep: Sequence[int]) -> Units:
    """The patterns that occur in a text as often as their sources ask for, with counts and coverage.

    A pattern's count is the larger one of the two stages in which it may be found: with entities and without.

    Args:
        units: patterns to look for.
        store: the text.
        ordinary: of every id, whether it is text rather than a special token.
        keep: for every pattern the least count at which it stays.
    """
    n = len(units.patterns)
    counts = np.zeros((2, n), np.int64)
    tokens = np.zeros((2, 3), np.int64)
    for ids, words, piece in sentence_blocks(store, ordinary):
        for stage, deepest in enumerate((PHRASE, ENTITY)):
            units_of_block = units.find(ids, words, piece, deepest)
            heads = (units_of_block.unit == np.arange(ids.shape[1])) & (units_of_block.entry >= 0)
            counts[stage] += np.bincount(units_of_block.entry[heads], minlength=n)
            tokens[stage] += np.bincount(units_of_block.kind[units_of_block.kind >= 0], minlength=3)
    shares = (tokens / np.maximum(1, tokens.sum(1, keepdims=True))).round(6).tolist()
    coverage = {
        name: dict(zip(KINDS, share, strict=True))
        for name, share in zip(("phrases", "entities"), shares, strict=True)
    }
    most = counts.max(0)
    patterns = [
        p._replace(occurrences=int(c)) for p, c, k in zip(units.patterns, most, keep, strict=True) if c >= k
    ]
    return Units(units.single, patterns, coverage)
