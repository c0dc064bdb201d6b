"""More entries for a vocabulary that is there already, for text that it was not made from.

    wordpiece           first the characters that are unknown, then the most frequent words that it has to cut
    words, spaces       the most frequent words that are unknown
    characters, unigram the most frequent characters that are unknown
    byte-bpe            none: it knows every text

Ids that exist stay; new ones follow them. What a new entry is made of, for its first vector: the tokens that the old
vocabulary had for it.

Source:  the mean of the pieces as a start is that of Gee et al. (2022), "Fast vocabulary transfer", section 3.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

from polyseme.errors import ConfigError
from polyseme.text.tokenizers import ABSENT, Tokenizer

__all__ = ["extended", "made_of"]

_FEWEST = 2  # times that a word must occur to become an entry; a character need not


def extended(tokenizer: Tokenizer, texts: Iterable[str], n: int) -> Tokenizer:
    """The vocabulary with at most `n` entries more, by what occurs most often in the texts.

    Equal texts give equal vocabularies; the same one comes back where nothing is missing.

    Raises:  ConfigError: it is one to which nothing can be added.
    """
    spec = tokenizer.as_json()
    kind = spec["model"]["type"]
    table = spec["model"]["vocab"]
    if kind == "BPE" or tokenizer.unk_id == ABSENT:
        raise ConfigError(
            "this vocabulary knows every text, so nothing is added to it",
            got="--extend-vocabulary with byte-level pieces",
            fix="leave --extend-vocabulary out",
        )
    if kind == "Unigram" and len(table) != tokenizer.vocab_size:
        raise ConfigError(
            "entries were added behind this vocabulary's pieces, where new pieces would have to stand",
            fix="leave --extend-vocabulary out",
        )
    characters: Counter[str] = Counter()
    words: Counter[str] = Counter()
    if kind == "WordPiece":
        _of_pieces(tokenizer, texts, characters, words)
    else:
        _unknown(tokenizer, texts, words if tokenizer.is_word_level else characters)
    new = [entry for entry, _ in _ordered(characters)]
    new += [entry for entry, count in _ordered(words) if count >= _FEWEST]
    new = [entry for entry in dict.fromkeys(new) if tokenizer.id(entry) is None][: max(0, n)]
    if not new:
        return tokenizer
    if kind == "Unigram":
        total, least = sum(characters.values()), min(score for _, score in table)
        table += [[entry, max(least, math.log(characters[entry] / total))] for entry in new]
    else:
        table |= {entry: tokenizer.vocab_size + place for place, entry in enumerate(new)}
    return _with(tokenizer, spec)


def made_of(old: Tokenizer, new: Tokenizer) -> list[list[int]]:
    """Of every entry that `new` has behind those of `old`: the tokens of `old` that spell it.

    Unknown ones are left out; where it was unknown as a whole, they are those of its characters that are known.
    """
    spelled = []
    for entry in range(old.vocab_size, new.vocab_size):
        surface = _surface(new, entry)
        for parts in ([surface], list(surface)):
            ids = [id for part in parts for id in old.encode(part).ids if id != old.unk_id]
            if ids:
                break
        spelled.append(ids)
    return spelled


def _surface(tokenizer: Tokenizer, id: int) -> str:
    token = tokenizer.token(id)
    return tokenizer.continuation(token) or token.replace("▁", " ").strip()


def _with(tokenizer: Tokenizer, spec: dict[str, Any]) -> Tokenizer:
    import tokenizers as hf

    return Tokenizer(hf.Tokenizer.from_str(json.dumps(spec, ensure_ascii=False)), tokenizer.roles.settings())


def _ordered(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _of_pieces(
    tokenizer: Tokenizer, texts: Iterable[str], characters: Counter[str], words: Counter[str]
) -> None:
    """Count unknown characters, as they begin or go on a word, and words that are cut or unknown."""
    import tokenizers as hf

    cut = hf.Tokenizer.from_str(json.dumps(tokenizer.as_json())).pre_tokenizer
    found: Counter[str] = Counter()
    for text in texts:
        found.update(word for word, _ in cut.pre_tokenize_str(tokenizer.normalise(text)))
    distinct = list(found)
    for word, ids in zip(distinct, tokenizer.encode_ids(distinct), strict=True):
        if tokenizer.unk_id in ids:
            for place, character in enumerate(word):
                form = character if place == 0 else tokenizer.piece_prefix + character
                if tokenizer.id(form) is None:
                    characters[form] += found[word]
        if len(word) > 1 and (len(ids) > 1 or tokenizer.unk_id in ids):
            words[word] += found[word]


def _unknown(tokenizer: Tokenizer, texts: Iterable[str], counts: Counter[str]) -> None:
    """Count what is unknown, as the vocabulary would write it."""
    for text in texts:
        tokens = tokenizer.encode(text)
        for id, (start, end) in zip(tokens.ids, tokens.offsets, strict=True):
            if id == tokenizer.unk_id:
                surface = tokenizer.normalise(text[start:end]).strip()
                if tokenizer.is_word_level:
                    counts[surface] += 1
                else:  # a stretch of unknown characters may be one token
                    counts.update(c for c in surface if tokenizer.id(c) is None and not c.isspace())
    del counts[""]
