"""Learning units from a corpus: names that the segmenter tags, capitalised names, and collocations.

Collocations are pairs of neighbouring words that occur together more often than chance would have it, by normalised
pointwise mutual information, and pairs of these: see text/phrases.py. They do not cross punctuation or sentences.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from polyseme.core.arrays import BoolArray, IntArray
from polyseme.data.store import TokenStore
from polyseme.data.units import Pattern, Units, counted, sentence_blocks, single_units
from polyseme.text.lexicon import Entry
from polyseme.text.phrases import NormalisedPmi, learn_phrases
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.words import IDEOGRAPHS, close_gaps

NAME_TAGS = {"nr": "person", "ns": "place", "nt": "organisation", "nz": "other name"}
LONGEST = 32  # tokens of a pattern
_NAME = re.compile(f"[{IDEOGRAPHS}]{{2,}}")
_NAME_SHARE = 0.5  # of a word's occurrences that must be tagged as a name
_MOST_TOKENS = 20_000_000  # of a corpus from which phrases are mined
_BLOCK = 1 << 22  # tokens looked at together
_MOST_TAGGED = 5_000_000  # and in which names are looked for
_PRIME = np.uint64(0x9E3779B97F4A7C15)


class Mining(NamedTuple):
    """How to learn units.

    Args:
        min_count: times that a mined phrase must occur.
        min_npmi: association that a phrase needs.
        passes: 2^passes is the most words of a phrase; 0 = none.
        names: times that a name must occur; 0 = none.
    """

    min_count: int = 8
    min_npmi: float = 0.4
    passes: int = 2
    names: int = 2


def learn_units(store: TokenStore, tokenizer: Tokenizer, lexicon: Sequence[Entry], mining: Mining) -> Units:
    """All units of a corpus; the same for the same text, vocabulary, lexicon and settings.

    Args:
        store: the training text.
        tokenizer: made its tokens.
        lexicon: the user's entries; those that do not occur in the text are left out.
        mining: what else to look for.
    """
    single = single_units(tokenizer)
    ordinary = np.ones(tokenizer.vocab_size, np.bool_)
    ordinary[list(tokenizer.special_ids)] = False
    sources = [_possible(lexicon_patterns(lexicon, tokenizer), store)]
    if mining.names:
        sources += [tagged_names(store, tokenizer, single, mining.names)]
        sources += [capitalised_names(store, tokenizer, ordinary, mining.names)]
    if mining.passes:
        sources += [collocations(store, tokenizer, ordinary, mining)]
    units = Units(single, [pattern for source in sources for pattern in source])
    least = {"lexicon": 1, "segmenter": 1, "capitals": mining.names, "mined": max(1, mining.min_count // 2)}
    return counted(units, store, ordinary, [least[p.source] for p in units.patterns])


def _possible(patterns: list[Pattern], store: TokenStore) -> list[Pattern]:
    """Those whose neighbouring tokens are neighbours somewhere in the text: a small part of a large lexicon."""
    if not patterns:
        return []
    size = store.vocab_size
    ids = np.concatenate([p.ids for p in patterns])
    last = np.cumsum([len(p.ids) for p in patterns]) - 1
    wanted = np.sort(ids[:-1] * size + ids[1:])
    there = np.zeros(len(wanted), np.bool_)
    for start in range(0, store.n_tokens, _BLOCK):
        tokens = np.asarray(store.tokens[start : start + _BLOCK + 1], np.int64)
        pairs = np.append(np.sort(tokens[:-1] * size + tokens[1:]), -1)
        there |= pairs[np.searchsorted(pairs[:-1], wanted)] == wanted
    good = np.append(there[np.searchsorted(wanted, ids[:-1] * size + ids[1:])], True)
    good[last] = True  # the pair of two patterns says nothing
    good &= np.asarray(store.counts)[ids] > 0
    whole = np.logical_and.reduceat(good, np.append(0, last[:-1] + 1))
    return [pattern for pattern, possible in zip(patterns, whole.tolist(), strict=True) if possible]


def lexicon_patterns(lexicon: Sequence[Entry], tokenizer: Tokenizer) -> list[Pattern]:
    """The entries as token ids, at a beginning and, where that differs, after a space; unknown words are left out."""
    patterns = []
    kinds = {"word": "basic", "phrase": "phrase", "entity": "entity"}
    a, spaced_a = tokenizer.encode_ids(["a", " a"])
    for spaced in ("",) if a == spaced_a else ("", " "):
        encoded = tokenizer.encode_ids([spaced + entry.text for entry in lexicon])
        for entry, ids in zip(lexicon, encoded, strict=True):
            if ids and len(ids) <= LONGEST and tokenizer.unk_id not in ids:
                patterns.append(Pattern(entry.text, kinds[entry.level], "lexicon", entry.type, tuple(ids)))
    return patterns


def tagged_names(store: TokenStore, tokenizer: Tokenizer, single: BoolArray, least: int) -> list[Pattern]:
    """Chinese words that the segmenter mostly tags as names of persons, places, organisations or others."""
    if not single[store.counts > 0].any():
        return []
    import rjieba  # it loads its dictionary, for which English has no use

    tagged: Counter[tuple[str, str]] = Counter()
    for sentence in _chinese_sentences(store, tokenizer, single):
        tagged.update(rjieba.tag(sentence))
    seen: Counter[str] = Counter()
    tags: dict[str, Counter[str]] = {}
    for (word, tag), count in tagged.items():
        seen[word] += count
        if tag[:2] in NAME_TAGS:
            tags.setdefault(word, Counter())[tag[:2]] += count
    names = [
        (word, NAME_TAGS[max(sorted(by_tag), key=by_tag.__getitem__)])
        for word, by_tag in sorted(tags.items())
        if _NAME.fullmatch(word) and seen[word] >= least and by_tag.total() >= _NAME_SHARE * seen[word]
    ]
    encoded = tokenizer.encode_ids([word for word, _ in names])
    return [
        Pattern(word, "entity", "segmenter", label, tuple(ids))
        for (word, label), ids in zip(names, encoded, strict=True)
        if ids and len(ids) <= LONGEST and tokenizer.unk_id not in ids
    ]


def _chinese_sentences(store: TokenStore, tokenizer: Tokenizer, single: BoolArray) -> Iterator[str]:
    """Sentences with Chinese characters, as the segmenter needs them: other scripts are only roughly put together."""
    shown = [tokenizer.display(i).strip().removeprefix("##") for i in range(tokenizer.vocab_size)]
    for i in np.flatnonzero(~single & ~np.asarray(tokenizer.continues)).tolist():
        shown[i] = f" {shown[i]} "
    offsets = np.asarray(store.sentences)
    last = int(np.searchsorted(offsets, _MOST_TAGGED, side="right"))
    tokens = np.asarray(store.tokens[: offsets[last - 1]])
    chinese = np.append(0, np.cumsum(single[tokens]))[offsets[:last]]
    for i in np.flatnonzero(np.diff(chinese)).tolist():
        yield "".join([shown[token] for token in tokens[offsets[i] : offsets[i + 1]].tolist()])


def capitalised_names(
    store: TokenStore, tokenizer: Tokenizer, ordinary: BoolArray, least: int
) -> list[Pattern]:
    """Runs of two to six capitalised words that do not begin a sentence, where the vocabulary keeps case.

    Most vocabularies of kind wordpiece fold case: then there are none, and English entities are the lexicon's.
    """
    shown = [tokenizer.display(i).strip() for i in range(tokenizer.vocab_size)]
    capital = np.array([s[:1].isupper() for s in shown], np.bool_) & ordinary
    if not capital.any():
        return []
    runs: Counter[tuple[int, ...]] = Counter()
    for block in word_blocks(store, ordinary, ordinary):
        is_capital = capital[block.ids[block.starts]]
        is_capital &= ~block.opens  # the first word of a sentence has a capital anyway
        continues = is_capital[1:] & is_capital[:-1] & block.joined[1:]
        begin = np.flatnonzero(is_capital & ~np.append(False, continues))
        end = np.flatnonzero(is_capital & ~np.append(continues, False)) + 1
        long_enough = (end - begin >= 2) & (end - begin <= 6)
        for first, last in zip(begin[long_enough].tolist(), end[long_enough].tolist(), strict=True):
            runs[tuple(block.ids[block.starts[first] : block.ends[last - 1]].tolist())] += 1
    return [
        Pattern(tokenizer.decode(ids).strip(), "entity", "capitals", "", ids)
        for ids, count in sorted(runs.items())
        if count >= least and len(ids) <= LONGEST
    ]


class WordBlock(NamedTuple):
    """Consecutive words of a text.

    Shapes:  ids: (N,); starts, ends: (W,) into the tokens; opens: (W,) first of its sentence; joined: (W,) whether
             nothing stands between it and the word before
    """

    ids: IntArray
    starts: IntArray
    ends: IntArray
    opens: BoolArray
    joined: BoolArray


def word_blocks(store: TokenStore, ordinary: BoolArray, wordlike: BoolArray) -> Iterator[WordBlock]:
    """The words of a store in blocks of whole sentences; punctuation and unknown tokens are no words.

    Args:
        wordlike: of every id, whether a word may begin with it.
    """
    read = 0
    for ids, word_starts, piece in sentence_blocks(store, ordinary):
        if read >= _MOST_TOKENS:
            return
        read += ids.shape[1]
        tokens, inside = ids[0], piece[0] > 0
        sentence = np.append(True, piece[0][1:] != piece[0][:-1])
        begins = word_starts[0] | sentence | ~inside
        starts = np.flatnonzero(begins)
        ends = np.append(starts[1:], len(tokens))
        whole = inside[starts] & wordlike[tokens[starts]]
        opens = sentence[starts] & inside[starts]
        kept = np.flatnonzero(whole)
        joined = np.append(False, np.diff(kept) == 1) & ~opens[kept]
        yield WordBlock(tokens, starts[kept], ends[kept], opens[kept], joined)


def collocations(
    store: TokenStore, tokenizer: Tokenizer, ordinary: BoolArray, mining: Mining
) -> list[Pattern]:
    """Phrases of neighbouring words, by normalised pointwise mutual information."""
    shown = [tokenizer.display(i) for i in range(tokenizer.vocab_size)]
    wordlike = np.array([any(map(str.isalpha, s)) for s in shown], np.bool_) & ordinary
    blocks = list(word_blocks(store, ordinary, wordlike))
    sizes = np.cumsum([0, *(len(block.starts) for block in blocks)])
    hashes = np.concatenate([*map(_hash_words, blocks), np.empty(0, np.uint64)])
    _, place, words = np.unique(hashes, return_index=True, return_inverse=True)
    joined = np.concatenate([*(block.joined for block in blocks), np.empty(0, np.bool_)])
    text = np.insert(words + 1, np.flatnonzero(~joined), 0)
    score = NormalisedPmi(mining.min_npmi, mining.min_count, max(1, len(words)))
    learned = learn_phrases(text, len(words), mining.passes, score, joined_only=True)

    def tokens(word: int) -> list[int]:
        at = int(place[word - 1])
        number = int(np.searchsorted(sizes, at, side="right")) - 1
        block, at = blocks[number], at - int(sizes[number])
        ids: list[int] = block.ids[block.starts[at] : block.ends[at]].tolist()
        return ids

    phrases = {tuple(token for word in phrase for token in tokens(word)) for phrase in learned}
    return [
        Pattern(close_gaps(tokenizer.decode(ids)).strip(), "phrase", "mined", "", ids)
        for ids in sorted(phrases)
        if len(ids) <= LONGEST
    ]


def _hash_words(block: WordBlock) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of every word's tokens: Horner's rule, all words abreast."""
    value = np.zeros(len(block.starts), np.uint64)
    lengths = block.ends - block.starts
    with np.errstate(over="ignore"):
        for i in range(int(lengths.max(initial=0))):
            longer = lengths > i
            value[longer] = (
                value[longer] + block.ids[block.starts[longer] + i].astype(np.uint64) + np.uint64(1)
            ) * _PRIME
            value[longer] ^= value[longer] >> np.uint64(29)
    return value
