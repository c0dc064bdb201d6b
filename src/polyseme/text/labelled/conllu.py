"""CoNLL-U: words, their annotation, and the text they come from.

A word line has ten fields: ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC. The lines 1-2 (a multiword token: its
surface form, which several words share) and 8.1 (an empty node) are no words. `# text = ` has the sentence as it was
written; where it is absent, SpaceAfter=No in MISC says after which words no space stands.

Source: universaldependencies.org, the CoNLL-U format.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from polyseme.core.config import suggest
from polyseme.errors import ConfigError
from polyseme.text.labelled.opening import FIRST, LabelledFile
from polyseme.text.labelled.records import TagRecord
from polyseme.text.labelled.spans import Offsets, join_words, locate
from polyseme.text.split import Numbered

__all__ = ["conllu_records"]

_COLUMNS = {
    "form": 1,
    "lemma": 2,
    "upos": 3,
    "xpos": 4,
    "feats": 5,
    "head": 6,
    "deprel": 7,
    "deps": 8,
    "misc": 9,
}
_WORD, _RANGE, _EMPTY = re.compile("[0-9]+"), re.compile("([0-9]+)-([0-9]+)"), re.compile(r"[0-9]+\.[0-9]+")


@dataclass
class _Sentence:
    """The parts of a sentence that is being read.

    Args:
        start: the number of the sentence's first line.
        surfaces: the written forms in order: (form, how many words it stands for, no space follows).
    """

    start: int = 0
    id: str = ""
    text: str | None = None
    good: bool = True
    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    surfaces: list[tuple[str, int, bool]] = field(default_factory=list)
    within: int = 0


def conllu_records(
    file: LabelledFile, lines: Numbered, column: str, option: str = "--column "
) -> Iterator[TagRecord | None]:
    """The sentences of a CoNLL-U file; None for a bad one, which is counted.

    Args:
        column: upos, xpos, deprel, feats, the number of a column, or a key of MISC, where words without it are O; or
            several names with spaces between them, such as "id head deprel": their fields are joined by tabs.
        option: how the user types the column, for an error.

    Raises:  ConfigError: none of the first 100 sentences has this column or key.
    """
    places = _places(column, option)
    keys: dict[str, int] = {}
    sentences = 0
    sentence = _Sentence()
    for number, line in lines:
        if line.startswith("#"):
            _comment(sentence, line)
        elif line and not line.isspace():
            sentence.start = sentence.start or number
            _word(file, sentence, line, file.at(number), places, column, keys)
        elif sentence.start:
            sentences += 1
            yield _record(file, sentence)
            sentence = _Sentence()
            if sentences == FIRST and file.labelled:
                _check(places, column, keys, file.name, option)
    if sentence.start:
        sentences += 1
        yield _record(file, sentence)
    if 0 < sentences < FIRST and file.labelled:
        _check(places, column, keys, file.name, option)


def _places(column: str, option: str) -> tuple[int, ...]:
    """The column numbers from 0; empty where a key of MISC is meant."""
    names = column.lower().split()
    if len(names) > 1 and all(name == "id" or name in _COLUMNS for name in names):
        return tuple(_COLUMNS.get(name, 0) for name in names)
    place = int(column) - 1 if column.isdecimal() else _COLUMNS.get(column.lower())
    if place is not None and not 0 < place < 10:
        raise ConfigError(
            "CoNLL-U has ten columns", got=column, where=option.partition(" ")[0], fix=f"{option}upos"
        )
    return () if place is None else (place,)


def _check(places: tuple[int, ...], column: str, keys: dict[str, int], source: str, option: str) -> None:
    if not places and column.lower() not in keys:
        raise ConfigError(
            f"no word has {column} in MISC",
            where=source,
            expected=suggest(column, ["upos", "xpos", "deprel", "feats", *keys]),
            fix=option + shlex.quote(_nearest(column, keys)),
        )


def _nearest(column: str, keys: Iterable[str]) -> str:
    """The column or key nearest to a mistyped name; if none is near, a key of the file, else upos."""
    keys = [key for key in keys if key != "spaceafter"]
    near = difflib.get_close_matches(column.lower(), ["upos", "xpos", "deprel", "feats", *keys], n=1)
    return near[0] if near else keys[0] if keys else "upos"


def _comment(sentence: _Sentence, line: str) -> None:
    name, equals, value = line[1:].partition("=")
    if equals and name.strip() == "text":
        sentence.text = value.strip()
    elif equals and name.strip() == "sent_id":
        sentence.id = value.strip()


def _word(
    file: LabelledFile,
    sentence: _Sentence,
    line: str,
    where: str,
    places: tuple[int, ...],
    column: str,
    keys: dict[str, int],
) -> None:
    problems = file.problems
    fields = line.split("\t")
    if len(fields) != 10:
        problems.add("too_few_fields" if len(fields) < 10 else "too_many_fields", where, line)
        sentence.good = False
        return
    misc = dict(part.partition("=")[::2] for part in fields[9].split("|") if "=" in part)
    form = file.scrub(fields[1], where)
    glued = misc.get("SpaceAfter") == "No"
    several = _RANGE.fullmatch(fields[0])
    if several is not None:
        try:
            n = int(several[2]) - int(several[1]) + 1
        except ValueError:  # thousands of digits
            n = 0
        if 0 < n <= 100:
            sentence.surfaces.append((form, n, glued))
            sentence.within = n
        return
    if _EMPTY.fullmatch(fields[0]):
        return
    if _WORD.fullmatch(fields[0]) is None or not form or form.isspace():
        problems.add("bad_offsets", where, line)
        sentence.good = False
        return
    if sentence.within:
        sentence.within -= 1
    else:
        sentence.surfaces.append((form, 1, glued))
    for key in misc:
        keys[key.lower()] = keys.get(key.lower(), 0) + 1
    if places:
        tag = "\t".join(fields[place] for place in places)
        has_tag = all(fields[p] and (fields[p] != "_" or p == _COLUMNS["feats"]) for p in places)
    else:
        tag = next((value for key, value in misc.items() if key.lower() == column.lower()), "O")
        has_tag = bool(tag)
    if file.labelled and not has_tag:
        problems.add("bad_tag", where, tag)
        sentence.good = False
    sentence.words.append(form)
    sentence.tags.append(tag)


def _record(file: LabelledFile, sentence: _Sentence) -> TagRecord | None:
    where, problems = file.at(sentence.start), file.problems
    if not sentence.good or sentence.within:
        if sentence.good:
            problems.add("bad_offsets", where, "a multiword token without its words")
        return None
    if not sentence.words:
        problems.add("empty_text", where)
        return None
    forms = [form for form, _, _ in sentence.surfaces]
    text = None if sentence.text is None else file.scrub(sentence.text, where)
    written = None if text is None else locate(forms, text, whole=True)
    if text is None or written is None:
        if text is not None:
            problems.add("text_mismatch", where, text)
        text, written = join_words(forms, [glued for _, _, glued in sentence.surfaces])
    offsets: list[tuple[int, int]] = []
    tags: list[str] = []
    at = 0
    for (_, n, _), place in zip(sentence.surfaces, written, strict=True):
        words = sentence.words[at : at + n]
        for i, inside in enumerate(_within(words, text, place)):
            if inside is None:
                problems.add("no_surface", where, words[i])
            else:
                offsets.append(inside)
                tags.append(sentence.tags[at + i])
        at += n
    id = sentence.id or str(sentence.start)
    return TagRecord(id, text, tuple(offsets), tuple(tags) if file.labelled else None, where)


def _within(words: Sequence[str], text: str, place: tuple[int, int]) -> list[tuple[int, int] | None]:
    """The places of the words of a multiword token; if it does not contain them, the first word takes all of it."""
    if len(words) == 1:
        return [place]
    inside: Offsets | None = locate(words, text[place[0] : place[1]], whole=True)
    if inside is None:
        return [place, *[None] * (len(words) - 1)]
    return [(place[0] + start, place[0] + end) for start, end in inside]
