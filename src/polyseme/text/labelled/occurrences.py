"""Uses of words, and where they occur in running text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from polyseme.errors import ConfigError
from polyseme.text.clean import CleaningReport
from polyseme.text.config import TextConfig
from polyseme.text.corpus import Corpus
from polyseme.text.sentences import sentence_spans
from polyseme.text.words import LETTER, is_cjk, word_spans

__all__ = ["Use", "in_text", "no_word", "occurrences", "uses_in_text"]

CONTEXT = 500
"""Characters of context that a use in running text gets where its own sentence is shorter."""
LONGEST = 2000
"""Characters of a sentence in running text that are kept at most, around the use."""


@dataclass(frozen=True, slots=True)
class Use:
    """One occurrence of a word in a text.

    Args:
        id: the file's own, or where it was found.
        text: the text around it.
        start, end: its place, in characters of the text.
        sense: what people say it means here; None = unlabelled.
        word: the word whose senses are looked at; the form in the text may be another (banks).
        part: "train", "test" or "".
    """

    id: str
    text: str
    start: int
    end: int
    sense: str | None = None
    word: str = ""
    part: str = ""

    @property
    def form(self) -> str:
        """The word as it is written here."""
        return self.text[self.start : self.end]


def occurrences(text: str, word: str) -> list[tuple[int, int]]:
    """Places of a word in a text: whole words, upper and lower case alike, Chinese characters may stand beside them;
    Chinese words anywhere, but a single character only where the segmenter leaves it a word of its own.

    Example:
        >>> occurrences("Bank by bank, no banker", "bank"), occurrences("河里的水很深，水平高", "水")
        ([(0, 4), (8, 12)], [(3, 4)])
        >>> occurrences("用Java写，不是JavaScript", "java")
        [(1, 5)]
    """
    before = "" if is_cjk(word) else f"(?<!{LETTER})"
    behind = "" if is_cjk(word[-1:]) else f"(?!{LETTER})"
    cased = (
        re.NOFLAG if word.upper() == word.lower() else re.IGNORECASE
    )  # slow, and of no use to Chinese characters
    pattern = re.compile(f"{before}{re.escape(word)}{behind}", cased)
    places = [match.span() for match in pattern.finditer(text)]
    if len(word) > 1 or not is_cjk(word) or not places:
        return places
    alone = set(word_spans(text, "zh"))
    return [place for place in places if place in alone]


def no_word(path: Path) -> ConfigError:
    """What to say where unlabelled text comes without a word to look for."""
    return ConfigError(
        "no word is named whose uses to look for",
        where=path,
        fix="--word WORD, repeatable, with unlabelled text",
    )


def uses_in_text(path: Path, words: Sequence[str], encoding: str) -> list[Use]:
    """Every occurrence of words in running text; a context that stands there twice is taken once.

    Raises:  ConfigError: no word.  CorpusError: there is no such file.
    """
    if not words:
        raise no_word(path)
    corpus = Corpus([str(path)], TextConfig.of({"encoding": encoding}, "--encoding"))
    language = corpus.language()
    found: dict[tuple[str, str, int], Use] = {}
    for document in corpus.documents(CleaningReport()):
        for word in words:
            for use in in_text(document.text, word, f"{document.source} {document.index + 1}", language):
                found.setdefault((word, use.text, use.start), use)
    return sorted(found.values(), key=lambda use: words.index(use.word))


def in_text(text: str, word: str, source: str, language: str) -> Iterator[Use]:
    """The uses of a word in a text: each in its sentence and, where that is short, in those beside it."""
    places = occurrences(text, word)
    if not places:
        return
    spans = sentence_spans(text, language)
    at = 0
    for start, end in places:
        while at + 1 < len(spans) and spans[at + 1][0] <= start:
            at += 1
        low, high = _context(spans, at, start, end)
        context = text[low:high].replace("\n", " ")
        yield Use(f"{source}: {start}", context, start - low, end - low, None, word)


def _context(spans: Sequence[tuple[int, int]], at: int, start: int, end: int) -> tuple[int, int]:
    """Where a use's context begins and ends: sentences are added before and behind while there is room."""
    low, high = (min(spans[at][0], start), max(spans[at][1], end)) if spans else (start, end)
    first = last = at
    while True:
        grown = False
        if first > 0 and high - spans[first - 1][0] <= CONTEXT:
            first, low, grown = first - 1, spans[first - 1][0], True
        if last + 1 < len(spans) and spans[last + 1][1] - low <= CONTEXT:
            last, high, grown = last + 1, spans[last + 1][1], True
        if not grown:
            return max(low, start - LONGEST // 2), min(high, end + LONGEST // 2)
