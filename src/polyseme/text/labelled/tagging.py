"""Schemes of tags, and the spans that tags stand for.

    IO       I-PER                           every token of a name; neighbours of one kind run together
    BIO      B-PER I-PER                     the first token and the others (IOB1, where B only parts neighbours, too)
    BIOES    B-PER I-PER E-PER, S-PER        the last token and a token by itself are marked as well; BMES (M for I)
                                             and BILOU (L for E, U for S) are other spellings of it

A tag is a letter, or a letter, "-" and a kind. "B" alone is legal: its kind is "_".

Spans are read from any sequence, valid or not, as the conlleval script of CoNLL-2000 does, which is also the default
of seqeval: a tag that cannot go on the span before it begins one.

Source: Ramshaw and Marcus (1995), section 3 (IOB); Tjong Kim Sang and Veenstra (1999), section 2.1 (IO, IOB1, IOB2,
IOE); Ratinov and Roth (2009), section 5 (BILOU).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Scheme", "Span", "allowed", "scheme_of", "spans", "tags_of"]

Scheme = Literal["BIO", "BIOES", "IO"]
Span = tuple[str, int, int]
"""Kind, first token, token after the last."""

_LETTERS = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S", "O": "O"}
_NO_KIND = "_"


def _parse(tag: str) -> tuple[str, str]:
    """The letter, one of BIESO, and the kind of a tag; a tag of no scheme counts as O."""
    letter, dash, kind = tag.partition("-")
    if letter not in _LETTERS or _LETTERS[letter] == "O" or (dash and not kind):
        return "O", ""
    return _LETTERS[letter], kind if dash else _NO_KIND


def scheme_of(tags: Iterable[str]) -> Scheme | None:
    """The scheme of a set of tags; None for plain classes such as parts of speech.

    Args:
        tags: the tags that occur, in any order and number.

    Example:
        >>> scheme_of(["O", "B-PER", "I-PER"]), scheme_of(["S-A", "O"]), scheme_of(["NOUN", "VERB"])
        ('BIO', 'BIOES', None)
    """
    found = set(tags)
    letters = set()
    for tag in found:
        letter, dash, kind = tag.partition("-")
        if letter not in _LETTERS or bool(dash) != bool(kind) or (letter == "O" and dash):
            return None
        letters.add(letter)
    if not letters or (letters != {"O"} and not letters & set("BI") and not any("-" in tag for tag in found)):
        return None  # bare letters without a beginning are classes that happen to be short
    if letters <= {"I", "O"}:
        return "IO"
    return "BIO" if letters <= {"B", "I", "O"} else "BIOES"


def spans(tags: Sequence[str]) -> list[Span]:
    """The spans of a sequence of tags, in order.

        a span ends before i    where tag i-1 is E or S, tag i is B, S or O, or the kind changes
        a span begins at i      where tag i is B or S, or is I or E and no span of its kind goes on

    Args:
        tags: the tags of one sentence, of any scheme.

    Example:
        >>> spans(["B-PER", "I-PER", "O", "I-LOC", "B-LOC"])
        [('PER', 0, 2), ('LOC', 3, 4), ('LOC', 4, 5)]
    """
    found: list[Span] = []
    before, start, kind = "O", 0, ""
    for i, tag in enumerate([*tags, "O"]):
        letter, its_kind = _parse(tag)
        if before != "O" and (before in "ES" or letter in "BSO" or its_kind != kind):
            found.append((kind, start, i))
            before = "O"
        if letter != "O" and (letter in "BS" or before == "O"):
            start = i
        before, kind = letter, its_kind
    return found


def tags_of(spans: Iterable[Span], n: int, scheme: Scheme) -> list[str]:
    """The tags of `n` tokens for spans that do not overlap.

    Example:
        >>> tags_of([("PER", 0, 2), ("LOC", 3, 4)], 5, "BIOES")
        ['B-PER', 'E-PER', 'O', 'S-LOC', 'O']
    """
    tags = ["O"] * n
    for kind, start, end in spans:
        letters = ["I"] * (end - start)
        if scheme != "IO":
            letters[0] = "B"
        if scheme == "BIOES":
            letters[-1] = "E" if len(letters) > 1 else "S"
        tags[start:end] = [letter if kind == _NO_KIND else f"{letter}-{kind}" for letter in letters]
    return tags


def allowed(tags: Sequence[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which tag may begin a sentence, follow another, and end a sentence.

    Where the set lacks a tag that the scheme would need, its part is taken by one that is there: without B-x, I-x may
    begin a span; without E-x, a span may end with I-x or B-x. So some sequence is allowed for every length. IOB1, where
    I-x begins most spans although there is a B-x, cannot be told from BIO by its tags and is not allowed for.

    Args:
        tags: K different tags, as a model numbers them.

    Shapes:
        start (K,), transition (K, K) from row to column, end (K,). All True without a scheme, and with IO.
    """
    k = len(tags)
    start, transition, end = np.ones(k, bool), np.ones((k, k), bool), np.ones(k, bool)
    scheme = scheme_of(tags)
    if scheme is None or scheme == "IO":
        return start, transition, end
    parsed = [_parse(tag) for tag in tags]
    has = set(parsed)
    goes_on = np.zeros((k, k), bool)
    for i, (letter, kind) in enumerate(parsed):
        begins = letter in "BSO" or ("B", kind) not in has
        ends = letter in "ESO" or ("E", kind) not in has
        start[i], end[i] = begins, ends
        if letter in "BI":
            goes_on[i] = [other in (("I", kind), ("E", kind)) for other in parsed]
    if not (start & end).any():  # a sentence of one token
        end |= start
    return start, goes_on | (end[:, None] & start[None, :]), end
