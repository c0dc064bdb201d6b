"""Schemes of tags: spans written as one tag a token, and read back.

BIO     B-PER I-PER O      the first token of a span, the others, no span (also named IOB2)
BIOES   B-PER E-PER S-LOC  the last token and a span of one token have letters of their own;
                           spelled with M for I (BMES), or with L for E and U for S (BILOU)
IO      I-PER I-PER O      no mark between two spans of a kind that touch

Tags in the spellings of other tools are read as our own:

    B_PER, B:PER     another sign between letter and kind          PER-B, PER_B   the letter last (LAC)
    b-per, o         small letters                                 0, _, -, *     for O
    (PER* *) (LOC)   brackets of CoNLL-2005 and CoNLL-2012         IOB1           I- begins a span, B- after another

The meaning of a tag depends on all tags of the file, so all sentences are kept in memory. Nothing is changed where a
reading is not certain. Numbers, and single tags that belong to no scheme, are counted: a file that has one is read as
plain classes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Literal

import numpy as np

from polyseme.core.arrays import BoolArray
from polyseme.errors import ConfigError, InputError
from polyseme.text.labelled.records import Problems, TagRecord

__all__ = [
    "Scheme",
    "Span",
    "allowed",
    "are_tags",
    "in_our_spelling",
    "is_half_tag",
    "looks_tagged",
    "scheme_of",
    "spans",
    "tags_of",
]

Scheme = Literal["BIO", "BIOES", "IO"]
Span = tuple[str, int, int]
"""(kind, start, end): tokens start … end - 1."""

_FORM = re.compile(r"([BIESMLU])(?:-(.+))?", re.DOTALL)
_ROLE = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S"}
# letters of the first, an inner, the last and an only token
_SPELLING = {"BIO": "BIIB", "BIOES": "BIES", "BMES": "BMES", "BILOU": "BILU", "IO": "IIII"}


@lru_cache(maxsize=4096)
def _parts(tag: str) -> tuple[str, str]:
    """Role (B, I, E, S or O) and kind of a tag; a tag without this form is O, outside of every span."""
    match = _FORM.fullmatch(tag)
    return (_ROLE[match[1]], match[2] or "") if match else ("O", "")


def scheme_of(tags: Iterable[str]) -> Scheme | None:
    """The scheme of a set of tags; None for plain classes such as parts of speech.

    Bare letters are tags of one unnamed kind if B is among them, or if there are only I and O.

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
    """The spans that a sequence of tags encodes, in order.

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
    closed: list[tuple[str, str, Span]] = []
    first, last, kind, start = "O", "O", "", 0
    for number, tag in enumerate(tags):
        role, name = _parts(tag)
        if not (role in "IE" and last in "BI" and name == kind):
            if last != "O":
                closed.append((first, last, (kind, start, number)))
            first, kind, start = role, name, number
        last = role
    if last != "O":
        closed.append((first, last, (kind, start, len(tags))))
    if strict == "BIO":
        return [span for first, _, span in closed if first == "B"]
    if strict == "BIOES":
        return [span for first, last, span in closed if first + last in ("BE", "SS")]
    return [span for _, _, span in closed]


def tags_of(spans: Iterable[Span], n: int, scheme: str = "BIO") -> list[str]:
    """Encode spans over n tokens as tags; the inverse of `spans` for every scheme except IO.

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

    Without a scheme, and in IO, everything is allowed. The rules demand only what the set of tags can express: if a
    kind has no B, its I may open a span (and E, if there is no I either); if it has no E, its spans may close anywhere.
    So every tag has an allowed successor.

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


_OURS = re.compile(r"[BIESMLU]-.+", re.DOTALL)
_PREFIX = re.compile(r"([BIESMLUbiesmlu])[-_:/](.+)", re.DOTALL)
_SUFFIX = re.compile(r"(.+)[-_:/]([BIESMLU])", re.DOTALL)
_HALF = re.compile("[BIESMLUWO]-|-.*[^-]")  # but -LRB- is a part of speech
_BRACKET = re.compile(r"(?:\([^()*]+)*\*?\)*")
_OUTSIDE = ("o", "0", "_", "-", "*", "OUT", "NONE", "None", "none", "OTHER", "Other", "other")

Spelled = Iterator[TagRecord | None]


def looks_tagged(tag: str) -> bool:
    """Whether a tag belongs to a scheme, in any spelling."""
    return tag == "O" or any(form.fullmatch(tag) for form in (_OURS, _PREFIX, _SUFFIX))


@lru_cache(maxsize=4096)
def is_half_tag(tag: str) -> bool:
    """Whether a tag is empty or incomplete: a letter without its kind, or a kind without its letter."""
    return not tag or tag.isspace() or _HALF.fullmatch(tag) is not None


def are_tags(column: Iterable[str]) -> bool:
    """Whether the fields of a column are tags of a scheme, in any spelling."""
    inside = set(column) - {"O", *_OUTSIDE}
    return bool(inside) and (scheme_of(inside) is not None or all(map(looks_tagged, inside)))


def in_our_spelling(records: Spelled, problems: Problems) -> Spelled:
    """The records with their tags in our spelling; changed and unknown tags are counted in `problems`."""
    sentences = list(records)
    counts = Counter(tag for record in sentences if record is not None for tag in record.tags or ())
    first = next((record.where for record in sentences if record is not None and record.tags), "")
    if scheme_of(counts) is None and counts:
        if _bracketed(counts):
            problems.add("tag_spelling", first, next(tag for tag in counts if "(" in tag), n=counts.total())
            sentences = [
                record and replace(record, tags=_from_brackets(record.tags or ())) for record in sentences
            ]
        elif (changed := _respelling(counts)) is not None:
            for kind, respelled in (
                ("tag_spelling", [tag for tag in counts if changed[tag] != tag and changed[tag] != "O"]),
                ("outside_mark", [tag for tag in counts if changed[tag] != tag and changed[tag] == "O"]),
            ):
                if respelled:
                    problems.add(kind, first, respelled[0], n=sum(counts[tag] for tag in respelled))
            sentences = [
                record and replace(record, tags=tuple(changed[tag] for tag in record.tags or ()))
                for record in sentences
            ]
        else:
            _count_why_no_scheme(counts, first, problems)
    elif (openings := _iob1(sentences)) > 0:
        problems.add("iob1_tags", first, n=openings)
        sentences = [record and replace(record, tags=_as_bio(record.tags or ())) for record in sentences]
    yield from sentences


def _bracketed(counts: Counter[str]) -> bool:
    return any(tag.startswith("(") for tag in counts) and all(
        tag == "-" or (_BRACKET.fullmatch(tag) and ("*" in tag or "(" in tag)) for tag in counts
    )


def _from_brackets(tags: Sequence[str]) -> tuple[str, ...]:
    """BIO tags of brackets; of nested ones the outermost."""
    bio: list[str] = []
    depth, kind = 0, ""
    for tag in tags:
        opened = re.findall(r"\(([^()*]+)", tag)
        if not depth and opened:
            kind = opened[0]
            bio.append(f"B-{kind}")
        else:
            bio.append(f"I-{kind}" if depth else "O")
        depth = max(0, depth + len(opened) - tag.count(")"))
    return tuple(bio)


def _respelling(counts: Counter[str]) -> dict[str, str] | None:
    """The mapping of all tags of a file to our spelling; None where it is not certain."""
    outside = {"O", *([] if "O" in counts else [mark for mark in _OUTSIDE if mark in counts][:1])}
    inside = [tag for tag in counts if tag not in outside]
    for form, letter, kind in ((_PREFIX, 1, 2), (_SUFFIX, 2, 1)):
        matches = {tag: form.fullmatch(tag) for tag in inside}
        if not matches or not all(matches.values()):
            continue
        turned = {tag: f"{m[letter].upper()}-{m[kind]}" for tag, m in matches.items() if m}
        letters = {turned_tag[0] for turned_tag in turned.values()}
        certain = letters >= {"B", "I"} or letters >= {"B", "E"} or bool(outside & set(counts))
        if certain and letters & {"B", "S", "U"} and len(set(turned.values())) == len(turned):
            return {tag: turned.get(tag, "O") for tag in counts}
    return None


def _count_why_no_scheme(counts: Counter[str], where: str, problems: Problems) -> None:
    """Count why the tags of a file belong to no scheme."""
    if all(tag.isdecimal() for tag in counts):
        problems.add("numbered_tags", where, ", ".join(sorted(counts)[:5]), n=counts.total())
        return
    inside = [tag for tag in counts if tag != "O"]
    odd = [tag for tag in inside if _OURS.fullmatch(tag) is None]
    if odd and 2 * sum(counts[tag] for tag in odd) < sum(counts[tag] for tag in inside):
        problems.add("odd_tags", where, ", ".join(odd[:5]), n=sum(counts[tag] for tag in odd))


def _iob1(sentences: Sequence[TagRecord | None]) -> int:
    """How many spans begin with I- in a file of IOB1; 0 for every other scheme.

    There B- stands only where a span of the same kind ends just before.
    """
    openings = between = 0
    for record in sentences:
        before = "O"
        for tag in (record.tags or ()) if record is not None else ():
            same = before[1:] == tag[1:] and before[:1] in ("B", "I")
            if tag[:1] == "B":
                if not same:
                    return 0
                between += 1
            elif tag[:1] == "I":
                openings += not same
            elif tag != "O":
                return 0
            before = tag
    return openings if between else 0


def _as_bio(tags: Sequence[str]) -> tuple[str, ...]:
    return tuple(tags_of(spans(tags), len(tags), "BIO"))
