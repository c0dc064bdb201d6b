"""Tags in the spellings of other tools, read as our own: B-PER I-PER O.

    B_PER, B:PER     another sign between letter and kind          PER-B, PER_B   the letter last (LAC)
    b-per, o         small letters                                 0, _, -, *     for O
    (PER* *) (LOC)   brackets of CoNLL-2005 and CoNLL-2012         IOB1           I- begins a span, B- after another

What a file means shows in all of its tags, so all of its sentences are held. Nothing is changed where a reading is
not certain; numbers, and single tags that are of no scheme, are counted: with them all tags are plain classes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from polyseme.text.labelled.records import Problems, TagRecord
from polyseme.text.labelled.tagging import scheme_of, spans, tags_of

__all__ = ["are_tags", "in_our_spelling", "looks_tagged"]

_OURS = re.compile(r"[BIESMLU]-.+", re.DOTALL)
_PREFIX = re.compile(r"([BIESMLUbiesmlu])[-_:/](.+)", re.DOTALL)
_SUFFIX = re.compile(r"(.+)[-_:/]([BIESMLU])", re.DOTALL)
_BRACKET = re.compile(r"(?:\([^()*]+)*\*?\)*")
_OUTSIDE = ("o", "0", "_", "-", "*", "OUT", "NONE", "None", "none", "OTHER", "Other", "other")

Spelled = Iterator[TagRecord | None]


def looks_tagged(tag: str) -> bool:
    """Whether a tag is of a scheme, in any spelling."""
    return tag == "O" or any(form.fullmatch(tag) for form in (_OURS, _PREFIX, _SUFFIX))


def are_tags(column: Iterable[str]) -> bool:
    """Whether the fields of a column are tags of a scheme, in any spelling."""
    inside = set(column) - {"O", *_OUTSIDE}
    return bool(inside) and (scheme_of(inside) is not None or all(map(looks_tagged, inside)))


def in_our_spelling(records: Spelled, problems: Problems) -> Spelled:
    """The records with their tags in our spelling; what was changed, or could not be, is counted in `problems`."""
    held = list(records)
    counts = Counter(tag for record in held if record is not None for tag in record.tags or ())
    first = next((record.where for record in held if record is not None and record.tags), "")
    if scheme_of(counts) is None and counts:
        if _bracketed(counts):
            problems.add("tag_spelling", first, next(tag for tag in counts if "(" in tag), n=counts.total())
            held = [record and replace(record, tags=_from_brackets(record.tags or ())) for record in held]
        elif (changed := _turn(counts)) is not None:
            for kind, some in (
                ("tag_spelling", [tag for tag in counts if changed[tag] != tag and changed[tag] != "O"]),
                ("outside_mark", [tag for tag in counts if changed[tag] != tag and changed[tag] == "O"]),
            ):
                if some:
                    problems.add(kind, first, some[0], n=sum(counts[tag] for tag in some))
            held = [
                record and replace(record, tags=tuple(changed[tag] for tag in record.tags or ()))
                for record in held
            ]
        else:
            _told(counts, first, problems)
    elif (openings := _iob1(held)) > 0:
        problems.add("iob1_tags", first, n=openings)
        held = [record and replace(record, tags=_as_bio(record.tags or ())) for record in held]
    yield from held


def _bracketed(counts: Counter[str]) -> bool:
    return any(tag.startswith("(") for tag in counts) and all(
        tag == "-" or (_BRACKET.fullmatch(tag) and ("*" in tag or "(" in tag)) for tag in counts
    )


def _from_brackets(tags: Sequence[str]) -> tuple[str, ...]:
    """BIO of brackets, of nested ones the outermost."""
    found: list[str] = []
    depth, kind = 0, ""
    for tag in tags:
        opened = re.findall(r"\(([^()*]+)", tag)
        if not depth and opened:
            kind = opened[0]
            found.append(f"B-{kind}")
        else:
            found.append(f"I-{kind}" if depth else "O")
        depth = max(0, depth + len(opened) - tag.count(")"))
    return tuple(found)


def _turn(counts: Counter[str]) -> dict[str, str] | None:
    """What turns all tags of a file into our spelling; None where there is no certain way."""
    outside = {"O", *([] if "O" in counts else [one for one in _OUTSIDE if one in counts][:1])}
    inside = [tag for tag in counts if tag not in outside]
    for form, letter, kind in ((_PREFIX, 1, 2), (_SUFFIX, 2, 1)):
        matches = {tag: form.fullmatch(tag) for tag in inside}
        if not matches or not all(matches.values()):
            continue
        turned = {tag: f"{m[letter].upper()}-{m[kind]}" for tag, m in matches.items() if m}
        letters = {one[0] for one in turned.values()}
        certain = letters >= {"B", "I"} or letters >= {"B", "E"} or bool(outside & set(counts))
        if certain and letters & {"B", "S", "U"} and len(set(turned.values())) == len(turned):
            return {tag: turned.get(tag, "O") for tag in counts}
    return None


def _told(counts: Counter[str], where: str, problems: Problems) -> None:
    """Count what keeps the tags of a file from being of a scheme."""
    if all(tag.isdecimal() for tag in counts):
        problems.add("numbered_tags", where, ", ".join(sorted(counts)[:5]), n=counts.total())
        return
    inside = [tag for tag in counts if tag != "O"]
    odd = [tag for tag in inside if _OURS.fullmatch(tag) is None]
    if odd and 2 * sum(counts[tag] for tag in odd) < sum(counts[tag] for tag in inside):
        problems.add("odd_tags", where, ", ".join(odd[:5]), n=sum(counts[tag] for tag in odd))


def _iob1(held: Sequence[TagRecord | None]) -> int:
    """How many spans begin with I- in a file of IOB1; 0 for every other scheme.

    There B- stands only where a span of the same kind ends just before.
    """
    openings = between = 0
    for record in held:
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
