"""Tagged text, a sentence a line: every word with its tag behind the last "/" or "_" of it.

    The/at jury/nn said/vbd ./.          Brown
    Ada_NNP smiles_VBZ ._.               Stanford's tagger
    迈向/v  充满/v  [中央/n  人民/n]nt     People's Daily; a line may begin with its number, 19980101-01-001-001/m

The brackets around names of several words are not read: the words keep their own tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from polyseme.text.labelled.opening import Numbered
from polyseme.text.labelled.records import Problems

__all__ = ["inline_tag", "tag_mark", "tagged_lines"]

_MARKS = {"/": re.compile(r".+/[^/\s]+"), "_": re.compile(r".+_[^_\s]+")}
_CLOSED = re.compile(r"(.+?)/([^/\]\s]+)((?:\]/?[A-Za-z]+)+)")
_SPELT = frozenset(f"{letter}_" for letter in "BIESMLUW")
_NUMBER = re.compile(r"\d{8}-\d+-\d+-\d+/m")
_INLINE = re.compile(r"<([A-Za-z]\w*)(?:[\s:][^<>]*)?>[^<>]+</\1>|<START(?::\w+)?> [^<>]+ <END>")


def tag_mark(lines: Sequence[str], labelled: bool) -> str | None:
    """What stands between word and tag in the first lines of a file; None where they are of another form.

    Args:
        lines: blank ones too.
        labelled: the file is known to have tags; else they must also repeat, as words of plain text such as "and/or"
            do not.
    """
    rows = [line.strip().split() for line in lines if line and not line.isspace()]
    if any("\t" in line.strip() for line in lines) or 2 * sum(len(row) > 1 for row in rows) <= len(rows):
        return None  # columns, or a token a line
    items = [item for row in rows for item in row]
    for mark, form in _MARKS.items():
        tags = [item.rpartition(mark)[2] for item in items if form.fullmatch(item)]
        if len(tags) < 0.98 * len(items) or (not labelled and len(set(tags)) == len(tags)):
            continue
        if not all(form.fullmatch(item) for item in rows[0]):
            continue
        if mark == "/" or not all(len(row) == len(rows[0]) for row in rows) or len(rows) == 1:
            return mark
        if not all(row[-1][:2] in _SPELT for row in rows):  # CoNLL columns with tags spelt B_PER
            return mark
    return None


def inline_tag(lines: Sequence[str]) -> str | None:
    """The first tag of markup around words, such as <PER>Ada</PER>; None where there is none, or it is a token's."""
    full = [line for line in lines if line and not line.isspace()]
    found = [match[0] for line in full if (match := _INLINE.search(line))]
    columns = len({len(line.split()) for line in full}) == 1
    return found[0] if found and (not columns or 2 * len(found) > len(full)) else None


def tagged_lines(
    lines: Numbered, source: str, mark: str, problems: Problems
) -> Iterator[tuple[int, list[str], list[str]]]:
    """Number, words and tags of each line that is not blank; the tag of a word without one is ""."""
    for number, line in lines:
        items, where = line.split(), f"{source}:{number}"
        if items and mark == "/" and _NUMBER.fullmatch(items[0]):
            problems.add("sentence_numbers", where, items.pop(0))
            if not items:
                continue
        words: list[str] = []
        tags: list[str] = []
        for item in items:
            word, there, tag = item.rpartition(mark)
            if mark == "/" and (match := _CLOSED.fullmatch(item)):
                word, tag = match[1], match[2]
            if mark == "/" and len(word) > 1 and word.startswith("["):
                problems.add("word_brackets", where, item)
                word = word.lstrip("[") or "["
            words.append(word if there and word else item)
            tags.append(tag if there and word else "")
        if items:
            yield number, words, tags
