"""Uses of a word in a store: where its tokens stand, and the text around them, put together from tokens again.

    word ─► its spellings as tokens, and longer entries that hold it ─► places in the token array ─► a draw of them
         ─► the sentence and those beside it, joined to text ─► the word's place in that text

A store keeps no text, so what comes back is as the vocabulary has it: in lower case where that is folded, with the
spaces that English and Chinese have (text/joining.py), and with "…" where a word is unknown. The array is searched as
it lies on the disk, 5.7 million tokens in some milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from polyseme.core.arrays import BoolArray, IntArray
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.core.rng import Random
from polyseme.data.store import TokenArray, TokenStore
from polyseme.text.joining import Joiner, gap
from polyseme.text.labelled.senses import CONTEXT, Use, context_around, occurrences
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.words import close_gaps, has_cjk, is_cjk

__all__ = ["StoreUses", "uses_in_store"]

_AROUND = 400
"""Tokens that are joined to text on either side of a use at most; a context is chosen among them. Mostly it is fewer:
what a context of `CONTEXT` characters needs, and the use's own sentence."""
_TOLD = 100
"""Uses after which the progress is told."""
_PIECE = 1 << 24
"""Tokens that are compared at once."""
_UNKNOWN = "…"


class StoreUses(NamedTuple):
    """What a store has of a word.

    Args:
        uses: the drawn ones, in the order of the store.
        found: places where the word's tokens stand; of a single Chinese character also those inside longer words, which
            are no uses of it.
    """

    uses: list[Use]
    found: int


def uses_in_store(
    store: TokenStore,
    tokenizer: Tokenizer,
    word: str,
    limit: int | None,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> StoreUses:
    """Uses of a word in a split of a store, drawn by the seed; a repeated context is used once.

    Args:
        store: the split.
        tokenizer: that made it.
        word: a word or phrase; upper and lower case are alike.
        limit: at most so many; None = all.
        reporter: receives the progress.
    """
    reporter = reporter or NullReporter()
    places = _places(store, tokenizer, word)
    sought, lengths = _folded(tokenizer, word), _lengths(tokenizer)
    wanted = len(places) if limit is None else min(limit, len(places))
    uses: dict[tuple[str, int], tuple[int, Use]] = {}
    for n, i in enumerate(Random(seed, "uses").permutation(len(places)).tolist()):
        if n % _TOLD == 0:
            reporter.stage("reading uses", len(uses), wanted)
        if limit is not None and len(uses) >= limit:
            break
        begin, length = places[i].tolist()
        use = _use(store, tokenizer, lengths, word, sought, begin, length)
        if use is not None:
            uses.setdefault((use.text, use.start), (begin, use))
    return StoreUses([use for _, use in sorted(uses.values(), key=lambda drawn: drawn[0])], len(places))


def _places(store: TokenStore, tokenizer: Tokenizer, word: str) -> IntArray:
    """First token and number of tokens of every place of a word, in order.  Shapes: -> (N, 2)"""
    rows = [np.empty((0, 2), np.int64)]
    for ids in _spellings(tokenizer, word):
        begins = _matches(store, ids)
        if not has_cjk(word):  # a whole word: neither end of it inside another
            ends = begins + len(ids)
            closed = (ends == store.n_tokens) | (store.word_starts[np.minimum(ends, store.n_tokens - 1)] == 1)
            begins = begins[(store.word_starts[begins] == 1) & closed]
        rows.append(np.stack([begins, np.full_like(begins, len(ids))], 1))
    holders = np.zeros(store.vocab_size, np.bool_)
    holders[[i for i in _holders(tokenizer, word) if i < store.vocab_size]] = True
    begins = _where(store, lambda tokens: holders[tokens])
    rows.append(np.stack([begins, np.ones_like(begins)], 1))
    return np.unique(np.concatenate(rows), axis=0)


def _spellings(tokenizer: Tokenizer, word: str) -> list[tuple[int, ...]]:
    """The tokens of a word as texts may spell it: in its cases, behind a space or at the beginning."""
    spaced = tokenizer.spelling != "characters"  # where a space is a token of its own
    forms = dict.fromkeys([word, word.lower(), word.capitalize(), word.title(), word.upper()])
    ways = [way for form in forms for way in (f" {form}", form)[0 if spaced else 1 :]]
    rows = [tuple(tokenizer.encode(way).ids) for way in ways]
    return list(dict.fromkeys(ids for ids in rows if ids and tokenizer.unk_id not in ids))


def _holders(tokenizer: Tokenizer, word: str) -> Iterator[int]:
    """Longer entries of the vocabulary in which a word stands: 银行 in 银行家, york in new york."""
    part = _folded(tokenizer, word).casefold()
    for id in range(tokenizer.vocab_size):
        if id in tokenizer.special_ids:
            continue
        shown = tokenizer.display(id).strip()
        if len(shown) > len(part) and part in shown.casefold() and occurrences(shown, part):
            yield id


def _folded(tokenizer: Tokenizer, word: str) -> str:
    """A word as joined tokens spell it; WordPiece's normaliser puts spaces around Chinese characters."""
    return close_gaps(" ".join(tokenizer.normalise(word).split()))


def _matches(store: TokenStore, ids: tuple[int, ...]) -> IntArray:
    """Where a row of ids begins in the array; its rarest one is looked for first.  Shapes: -> (N,)"""
    if max(ids) >= store.vocab_size:
        return np.empty(0, np.int64)
    rarest = min(range(len(ids)), key=lambda k: int(store.counts[ids[k]]))
    begins = _where(store, lambda tokens: tokens == ids[rarest]) - rarest
    begins = begins[(begins >= 0) & (begins + len(ids) <= store.n_tokens)]
    for k, id in enumerate(ids):
        begins = begins[store.tokens[begins + k] == id]
    return begins


def _where(store: TokenStore, is_wanted: Callable[[TokenArray], BoolArray]) -> IntArray:
    """Places of wanted tokens; a large array is read piece by piece.  Shapes: -> (N,)"""
    pieces = range(0, store.n_tokens, _PIECE)
    places = [start + np.flatnonzero(is_wanted(store.tokens[start : start + _PIECE])) for start in pieces]
    return np.concatenate([np.empty(0, np.int64), *places])


def _lengths(tokenizer: Tokenizer) -> IntArray:
    """Characters that each token adds to a text at least, and how many of them are straight double quotes; characters
    of bytes are counted by the ones that begin them.

    Shapes:  -> (vocab_size, 2)
    """
    special, as_bytes = frozenset(tokenizer.special_ids), tokenizer.spelling == "bytes"
    lengths = np.zeros((tokenizer.vocab_size, 2), np.int64)
    for id in range(tokenizer.vocab_size):
        if id in special:
            continue
        if as_bytes:
            text = tokenizer.token_bytes(id).strip()
            lengths[id] = sum(byte & 0xC0 != 0x80 for byte in text), text.count(b'"')
        else:
            token = tokenizer.token(id)
            piece = tokenizer.continuation(token)
            shown = tokenizer.display(id).strip() if piece is None else piece
            lengths[id] = len(shown), shown.count('"')
    return lengths


def _reach(lengths: IntArray) -> int:
    """How many tokens a context may need, by their lengths, the nearest first.  Shapes: (T,)"""
    return int(np.searchsorted(np.cumsum(lengths), CONTEXT, "right")) + 1


def _clause(text: str, start: int, end: int) -> tuple[int, int]:
    """What must be read to see whether a word stands by itself: its run of Chinese characters, which is cut into words
    without regard to other runs, or a character on either side.
    """
    while start > 0 and is_cjk(text[start - 1]):
        start -= 1
    while end < len(text) and is_cjk(text[end]):
        end += 1
    return max(0, start - 1), end + 1


def _use(
    store: TokenStore,
    tokenizer: Tokenizer,
    lengths: IntArray,
    word: str,
    sought: str,
    begin: int,
    length: int,
) -> Use | None:
    """The use at a place, in its sentence and those beside it; None where the word is no word of its own there."""
    sentence = int(np.searchsorted(store.sentences, begin, "right")) - 1
    document = int(np.searchsorted(store.documents, sentence, "right")) - 1
    first, last = store.sentences[store.documents[document : document + 2]].tolist()
    end = begin + length
    low, high = max(first, begin - _AROUND), min(last, end + _AROUND)
    own_first, own_last = store.sentences[sentence : sentence + 2].tolist()
    before, after = lengths[store.tokens[low:begin]], lengths[store.tokens[end:high]]
    left_out = max(0, min(own_first, begin - _reach(before[::-1, 0])) - low)
    in_quotes = (
        int(before[:left_out, 1].sum()) % 2 == 1
    )  # a quote's spaces depend on whether it opens or closes
    low, high = low + left_out, min(high, max(own_last, end + _reach(after[:, 0])))
    near = np.searchsorted(store.sentences, [low, high])
    borders = set(store.sentences[near[0] : near[1]].tolist())
    joiner = Joiner(tokenizer, before='"\n' if in_quotes else "", unknown=_UNKNOWN)
    text, spans, opened = "", [], 0
    start = end = at = 0
    for place, id in enumerate(store.tokens[low:high].tolist(), low):
        begins_sentence = place in borders and text
        if begins_sentence:
            spans.append((opened, len(text)))
            opened = len(text)
        if place == begin:
            start, at = len(text), len(spans)
        piece = joiner.push(id)
        text += (gap(text, piece) if begins_sentence else "") + piece
        if place == begin + length - 1:
            end = len(text)
    text += joiner.flush()
    spans.append((opened, len(text)))
    low, high = _clause(text, start, end)
    inside = [
        (low + a, low + b)
        for a, b in occurrences(text[low:high], sought)
        if start <= low + a and low + b <= end
    ]
    if not inside:
        return None
    a, b = inside[0]
    left, right = context_around(spans, at, a, b)
    shown = text[left:right]
    space = len(shown) - len(shown.lstrip())
    where = f"{document + 1}: {begin - first}"
    return Use(where, shown.strip(), a - left - space, b - left - space, None, word)
