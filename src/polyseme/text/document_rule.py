"""What parts a file into documents, where nobody said it.

    heading  lines like ` = Title = `, of which there are several, begin articles (WikiText)
    blank    the texts on both sides of a blank line have no more in common than texts from anywhere in the file
             (reviews, dialogues, news), or the blocks are long (on average 1,000 characters: chapters, articles)
    line     the same of lines, where there are no blank lines (reviews, headlines), or the lines are long
    file     else: paragraphs of one text (a book, an article)

How much neighbours have in common, after TextTiling (Hearst 1997): s(a, b) is the cosine of two units' words, each
weighted by its squared idf within the file; of writing without spaces the words are pairs of characters. With
d_i = s(u_i, u_{i+1}) - mean of s(u_i, u_j) over some far j,

    cohesion = mean(d) / deviation(d)

It is 0.3 to 0.8 between paragraphs of a book or an article, and -0.1 to 0.1 between reviews, headlines and dialogues,
in English and in Chinese. Few units tell little, so that an upper bound of it has to be low.

Hard-wrapped text is never read by lines, and by blank lines only where its blocks hold together and their neighbours do
not.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from polyseme.text.split import BLANK, HEADING, LIMIT, Mode
from polyseme.text.words import IDEOGRAPHS

__all__ = ["Cohesion", "choose_mode", "reading_lines"]

HEAD = 1 << 18  # characters of the beginning that decide
LONG = 1000  # characters of a block that is a chapter or an article rather than a paragraph
MOST_UNITS = 1500
FEWEST_LINES = 100  # a file of fewer lines may be a poem, a list, an example
FEWEST_LONG_LINES = 10
INDEPENDENT = 0.25  # an upper bound of the cohesion of texts that have nothing to do with each other
_DEVIATIONS, _SURE = 1.5, 3.0  # of the mean, that this bound stands above it; of short files among others
_FAR = (1 / 2, 1 / 3, 2 / 5, 9 / 14)  # of the units: how far away those are that neighbours are compared with
_WRAPPED = 0.6  # share of lines that had no room for the next word
_GOES_ON, _FEWEST_STARTS = (
    0.6,
    10,
)  # share of lines with a small letter behind an open sentence, and lines that tell
_LISTED = 20  # lines of a block: with more, blank lines among them are gaps of a list

_RULES = {
    "blank": "parted by blank lines",
    "line": "one a line",
    "file": "one a file, in parts where it is longer than 32,000 characters",
    "heading": "each begun by a line like = Title =",
    "record": "one a record",
    "row": "one a row",
    "article": "each in <doc> … </doc>",
    "built-in": "of its own",
}
_OTHERWISE = {
    "blank": "if they are paragraphs of one text, --documents file",
    "line": "if they are sentences or paragraphs of one text, --documents file",
    "file": "if it holds several texts, --documents blank where blank lines part them, --documents line for one a line",
    "heading": "if headings part sections of one text, --documents file",
}
_SHOWN = 8  # sources that are named

_WORD = re.compile(r"[^\W\d_]+")
_UNSPACED = re.compile(f"[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff{IDEOGRAPHS}]+")
_END = re.compile("[.!?…。！？][\"'”’」』)）]*\\s*$")
_INSIDE = re.compile("[.!?][\"'”’)]*\\s+\\S|[。！？…][”’」』）]*\\S")
_SUBHEADING = re.compile(r"^[ \t]*(?:= ?){2,}[^=\n]+(?: ?=){2,}[ \t]*$", re.MULTILINE)


def choose_mode(text: str, of_many: bool = False) -> Mode:
    """What parts a file into documents, by its beginning.

    Args:
        text: the first megabyte or less.
        of_many: it is one of several files, so that a short one is more likely an article than a collection of them.
    """
    head = text[:HEAD]
    if _has_articles(head):
        return "heading"
    blocks = [[line for line in block.split("\n") if line.strip()] for block in BLANK.split(head)]
    blocks = [block for block in blocks if block]
    lines = [line for block in blocks for line in block]
    if len(lines) < 2:
        return "file"
    within, across = Cohesion.of(blocks)
    wrapped, short = _is_wrapped(blocks), of_many and len(head) <= 2 * LIMIT
    if _are_lines(blocks, wrapped, within, across):
        return "line"
    if len(blocks) < 2:
        return "file"
    apart = across.is_low(_SURE if short else _DEVIATIONS) and (
        within.mean <= 0.1 or across.mean < 0.6 * within.mean
    )
    if wrapped:
        apart = apart and within.mean > 0.15
    return "blank" if apart or _are_chapters(blocks, len(head), across, short) else "file"


def reading_lines(reading: Sequence[Mapping[str, Any]]) -> list[str]:
    """How the sources of a corpus were read, a line each, with what to type where they may be meant otherwise.

    Args:
        reading: as `Corpus.reading` gives it.
    """
    lines = [
        f"{entry['source']}: {_number(entry['files'], 'file')} → {_number(entry['documents'], 'document')}, "
        + _RULES[entry["rule"]]
        + (f" (found out; {_OTHERWISE[entry['rule']]})" if entry["found"] else "")
        for entry in reading
    ]
    if len(lines) > _SHOWN:
        rest = reading[_SHOWN - 1 :]
        files, documents = (sum(entry[name] for entry in rest) for name in ("files", "documents"))
        lines[_SHOWN - 1 :] = [
            f"{len(rest):,} other sources: {_number(files, 'file')} → {_number(documents, 'document')}"
        ]
    return lines


def _number(n: int, what: str) -> str:
    return f"{n:,} {what}" + "s" * (n != 1)


def _has_articles(head: str) -> bool:
    """Whether lines like ` = Title = ` part articles: several, the first at the beginning or above subheadings."""
    head = "\n" + head.lstrip("\n")
    first = HEADING.search(head)
    if first is None or HEADING.search(head, first.end() + 1) is None:
        return False
    return not head[: first.start()].strip() or _SUBHEADING.search(head) is not None


def _are_lines(blocks: Sequence[Sequence[str]], wrapped: bool, within: Cohesion, across: Cohesion) -> bool:
    """Whether each line is a document; a few blank lines among very many lines part nothing."""
    n = sum(map(len, blocks))
    if wrapped or n < _LISTED * len(blocks):
        return False
    if len(blocks) == 1 and n >= FEWEST_LONG_LINES and sum(map(len, blocks[0])) >= LONG * n:
        return True
    return (
        within.n >= FEWEST_LINES
        and within.is_low(_DEVIATIONS)
        and (across.n < 2 or across.mean <= INDEPENDENT)
    )


def _are_chapters(blocks: Sequence[Sequence[str]], size: int, across: Cohesion, short: bool) -> bool:
    """Whether blocks are long; those of a short file must not hold together, as the paragraphs of a speech do."""
    is_one_text = short or (size <= 2 * LIMIT and across.n >= 8 and across.mean > 0.15)
    return not is_one_text and sum(len(line) for block in blocks for line in block) >= LONG * len(blocks)


class Cohesion(NamedTuple):
    """How much more neighbours have in common than texts that lie far apart, in standard deviations.

    Args:
        mean: over the pairs.
        n: pairs of neighbours.
    """

    mean: float
    n: int

    def is_low(self, deviations: float) -> bool:
        """Whether there are enough pairs to say that neighbours have nothing to do with each other."""
        return self.n > 0 and max(0.0, self.mean) + deviations / math.sqrt(self.n) < INDEPENDENT

    @classmethod
    def of(cls, blocks: Sequence[Sequence[str]]) -> tuple[Cohesion, Cohesion]:
        """Of neighbouring lines: those within a block, and those with a blank line between them."""
        units: list[set[str]] = []
        number: list[int] = []
        for i, block in enumerate(blocks):
            for line in block:
                words = _words(line)
                if len(words) > 1:  # a speaker's name or a number alone says nothing
                    units.append(words)
                    number.append(i)
            if len(units) >= MOST_UNITS:
                break
        n = len(units)
        if n < 8:
            return cls(0.0, 0), cls(0.0, 0)
        counts = Counter(word for unit in units for word in unit)
        weight = {word: math.log(n / count) ** 2 for word, count in counts.items()}
        size = [math.sqrt(sum(weight[word] for word in unit)) or 1.0 for unit in units]

        def alike(i: int, j: int) -> float:
            few, many = sorted((units[i], units[j]), key=len)
            return sum(weight[word] for word in few if word in many) / (size[i] * size[j])

        far = [max(2, int(share * n)) for share in _FAR]
        inside: list[float] = []
        between: list[float] = []
        for i in range(n - 1):
            usual = sum(alike(i, (i + away) % n) for away in far) / len(far)
            (inside if number[i] == number[i + 1] else between).append(alike(i, i + 1) - usual)
        return cls._of_differences(inside), cls._of_differences(between)

    @classmethod
    def _of_differences(cls, values: Sequence[float]) -> Cohesion:
        if not values:
            return cls(0.0, 0)
        mean = sum(values) / len(values)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
        return (
            cls(mean / deviation, len(values)) if deviation else cls(0.0, 0)
        )  # all alike: nothing can be said


def _words(line: str) -> set[str]:
    words: set[str] = set()
    for run in _WORD.findall(line.lower()):
        parts = _UNSPACED.findall(run)
        if not parts:
            words.add(run)
        for part in parts:
            words.update(part[i : i + 2] for i in range(len(part) - 1))
    return words


def _is_wrapped(blocks: Sequence[Sequence[str]]) -> bool:
    """Whether lines end where the next word had no room, and sentences within them rather than with them.

    Or whether they go on with each other: a line begins with a small letter where the one before it ends no sentence,
    and with a capital where it ends one. Lines that are texts of their own know nothing of the one before.
    """
    pairs = [pair for block in blocks for pair in pairwise(block)][:3000]
    if len(pairs) < 3:
        return False
    widths = sorted(len(line.rstrip()) for block in blocks for line in block)
    width = widths[int(0.98 * (len(widths) - 1))]
    full = ends = inside = 0
    small, starts = [0, 0], [0, 0]  # of lines behind an open sentence, behind the end of one
    for line, following in pairs:
        bare = following.lstrip()
        first = 1 if _UNSPACED.match(bare) else len(bare.split(None, 1)[0])
        full += len(line.rstrip()) + 1 + first >= width - 1
        ended = _END.search(line) is not None
        ends += ended
        if bare[:1].islower() or bare[:1].isupper():
            starts[ended] += 1
            small[ended] += bare[:1].islower()
        inside += _INSIDE.search(line) is not None
    goes_on = min(starts) >= _FEWEST_STARTS and (
        small[0] >= _GOES_ON * starts[0] and small[1] <= (1 - _GOES_ON) / 2 * starts[1]
    )
    return (full >= _WRAPPED * len(pairs) or goes_on) and ends <= 0.4 * len(pairs) and inside > 0
