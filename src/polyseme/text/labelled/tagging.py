"""Schemes of tags: spans written as one tag a token, and read back.

BIO     B-PER I-PER O      the first token of a span, the others, no span (also named IOB2)
BIOES   B-PER E-PER S-LOC  the last token and a span of one token have letters of their own;
                           spelled with M for I (BMES), or with L for E and U for S (BILOU)
IO      I-PER I-PER O      no mark between two spans of a kind that touch
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from polyseme.errors import ConfigError, InputError

__all__ = ["Scheme", "Span", "allowed", "scheme_of", "spans", "tags_of"]

Scheme = Literal["BIO", "BIOES", "IO"]
Span = tuple[str, int, int]
"""(kind, start, end): tokens start … end - 1."""
BoolArray = npt.NDArray[np.bool_]

_FORM = re.compile(r"([BIESMLU])(?:-(.+))?", re.DOTALL)
_ROLE = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S"}
# letters of the first, an inner, the last and an only token
_SPELLING = {"BIO": "BIIB", "BIOES": "BIES", "BMES": "BMES", "BILOU": "BILU", "IO": "IIII"}


@lru_cache(maxsize=4096)
def _parts(tag: str) -> tuple[str, str]:
    """Role (B, I, E, S or O) and kind of a tag; what has no such form is outside of every span."""
    match = _FORM.fullmatch(tag)
    return (_ROLE[match[1]], match[2] or "") if match else ("O", "")


def scheme_of(tags: Iterable[str]) -> Scheme | None:
    """The scheme that a set of tags is written in; None for plain classes such as parts of speech.

    Bare letters are tags of one unnamed kind where B is among them, or where they are I and O alone.

    Example:
        >>> scheme_of(["B-PER", "I-PER", "O"]), scheme_of(["B", "M", "E", "S"]), scheme_of(["NOUN", "VERB"])
        ('BIO', 'BIOES', None)
    """
    names = set(tags) - {"O"}
    if not names or any(_FORM.fullmatch(name) is None for name in names):
        return None
    bare = {name for name in names if len(name) == 1}
    if bare and "B" not in bare and names != {"I"}:
        return None
    roles = {_parts(name)[0] for name in names}
    if roles & {"E", "S"}:
        return "BIOES"
    return "BIO" if "B" in roles else "IO"


def spans(tags: Sequence[str], strict: Scheme | None = None) -> list[Span]:
    """The spans that a sequence of tags writes down, in order.

    A token goes on with the span before it if it is I or E of the same kind and that span is still open (its last
    token is B or I); any other tag but O begins a span. So every sequence has a reading, also one that breaks its
    scheme, as in the CoNLL shared tasks' evaluation.

    Args:
        tags: one a token.
        strict: only spans that are well formed in this scheme (BIO: begun by B; BIOES: B … E or S).

    Example:
        >>> spans(["B-PER", "I-PER", "O", "I-LOC"]), spans(["B-PER", "I-PER", "O", "I-LOC"], strict="BIO")
        ([('PER', 0, 2), ('LOC', 3, 4)], [('PER', 0, 2)])

    Source:  Tjong Kim Sang and Buchholz (2000), the evaluation of the CoNLL-2000 task.
    """
    found: list[tuple[str, str, Span]] = []
    first, last, kind, start = "O", "O", "", 0
    for number, tag in enumerate(tags):
        role, name = _parts(tag)
        if not (role in "IE" and last in "BI" and name == kind):
            if last != "O":
                found.append((first, last, (kind, start, number)))
            first, kind, start = role, name, number
        last = role
    if last != "O":
        found.append((first, last, (kind, start, len(tags))))
    if strict == "BIO":
        return [span for first, _, span in found if first == "B"]
    if strict == "BIOES":
        return [span for first, last, span in found if first + last in ("BE", "SS")]
    return [span for _, _, span in found]


def tags_of(spans: Iterable[Span], n: int, scheme: str = "BIO") -> list[str]:
    """Write spans over n tokens as tags; the inverse of `spans` for every scheme but IO.

    Args:
        spans: (kind, start, end), in any order; kind "" gives bare letters.
        n: number of tokens.
        scheme: "BIO", "BIOES", "IO", or the spellings "BMES" and "BILOU" of BIOES.
    Raises:  ConfigError: no such scheme.  InputError: spans overlap, are empty or leave the sentence.

    Example:
        >>> tags_of([("PER", 0, 2), ("LOC", 3, 4)], 4, "BIOES")
        ['B-PER', 'E-PER', 'O', 'S-LOC']
    """
    if scheme not in _SPELLING:
        raise ConfigError("unknown scheme of tags", got=scheme, expected=", ".join(_SPELLING))
    first, inner, final, only = tuple(_SPELLING[scheme])
    tags = ["O"] * n
    for kind, start, end in spans:
        if not 0 <= start < end <= n or tags[start:end] != ["O"] * (end - start):
            raise InputError(
                "a span that tags cannot write down",
                got=f"{kind or 'span'} at tokens {start} to {end} of {n}",
                expected="spans of one token or more that lie in the sentence and do not overlap",
            )
        letters = only if end - start == 1 else first + inner * (end - start - 2) + final
        tags[start:end] = [f"{letter}-{kind}" if kind else letter for letter in letters]
    return tags


def allowed(tags: Sequence[str]) -> tuple[BoolArray, BoolArray, BoolArray]:
    """Which tag may begin a sentence, which may follow which, and which may end one.

    Without a scheme, and in IO, everything may. Only what the set of tags can write well is asked for: where a kind
    has no B, its I may open a span (and E, where there is no I either); where it has no E, its spans may close
    anywhere. So no tag leads into a dead end.

    Shapes:  start (K,), transition (K, K): [before, after], end (K,)
    """
    k = len(tags)
    start, transition, end = np.ones(k, bool), np.ones((k, k), bool), np.ones(k, bool)
    scheme = scheme_of(tags)
    if scheme in (None, "IO"):
        return start, transition, end
    parts = [_parts(tag) for tag in tags]
    opening = {kind for role, kind in parts if role == "B"}
    closing = {kind for role, kind in parts if role == "E"} if scheme == "BIOES" else set()
    for after, (role, kind) in enumerate(parts):
        if role not in "IE" or not (kind in opening or (role == "E" and ("I", kind) in parts)):
            continue
        start[after] = False
        for before, (role_before, kind_before) in enumerate(parts):
            transition[before, after] = role_before in "BI" and kind_before == kind
    for before, (role, kind) in enumerate(parts):
        if role not in "BI" or kind not in closing:
            continue
        end[before] = False
        for after, (role_after, kind_after) in enumerate(parts):
            transition[before, after] &= role_after in "IE" and kind_after == kind
    return start, transition, end
