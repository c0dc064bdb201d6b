"""The lecture's text as sentences and words: what a chapter shows is taken from here, by a seed.

Plain sentences, of words and marks alone, are those that are shown and labelled: python-docs is half code.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeVar

from polyseme.core.rng import Random
from polyseme.errors import CorpusError
from polyseme.text.clean import CleaningReport
from polyseme.text.config import TextConfig
from polyseme.text.corpus import Corpus
from polyseme.text.sentences import sentence_spans
from polyseme.text.words import IDEOGRAPHS, is_cjk, word_spans

__all__ = ["Passage", "Texts"]

T = TypeVar("T")

_CHARACTERS = 4_000_000
"""Of the text that is read; of one document at most a tenth of it, so that a few long ones do not stand for all."""
_ENGLISH = re.compile(r"[A-Z“\"'‘][A-Za-z ,;:'’“”\"\-—]+[.!?][\"”’']?")
_CHINESE = re.compile(f"[“「『《]?[{IDEOGRAPHS}][{IDEOGRAPHS}，、：；“”‘’「」『』《》]*[。！？][”」』]?")
_LENGTHS = {"en": (6, 28), "zh": (8, 60)}
_UNEASY = re.compile("[\"'“”‘’「」『』《》—-]")
_WORD = re.compile(r"[A-Za-z]+(?:['’][a-z]+)?")
_FUNCTION = {"en": 60, "zh": 10}
"""Most frequent words that say little: the lecture shows those behind them."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A document.

    Args:
        source: what it is called.
        heldout: whether runs did not train on it.
        sentences: in order, white space as one blank.
        plain: whether each is of words and marks alone.
    """

    source: str
    heldout: bool
    sentences: tuple[str, ...]
    plain: tuple[bool, ...]


class Texts:
    """The text of a lecture.

    Args:
        sources: as a corpus for pretraining is given.
        lang: its language.
        config: how it is read; as runs read it, so that what is held out is the same.
        seed: of what is drawn.
    Raises:  CorpusError: there is no such text.
    """

    def __init__(
        self, sources: Sequence[str], lang: Literal["en", "zh"], config: TextConfig, seed: int = 1
    ) -> None:
        self.lang, self.seed = lang, seed
        self._corpus = Corpus(list(sources), config)

    @cached_property
    def passages(self) -> list[Passage]:
        """The documents, as far as they are read."""
        passages, read = [], 0
        pattern = _ENGLISH if self.lang == "en" else _CHINESE
        for document in self._corpus.documents(CleaningReport()):
            text = document.text[: _CHARACTERS // 10]
            spans = sentence_spans(text, self.lang)
            sentences = [" ".join(text[start:end].split()) for start, end in spans]
            plain = tuple(self._fits(s) and pattern.fullmatch(s) is not None for s in sentences)
            source = document.source.rpartition("/")[2].removeprefix("python-docs: ").removesuffix(".txt")
            passages.append(Passage(source, self._corpus.is_heldout(document.key), tuple(sentences), plain))
            read += len(text)
            if read > _CHARACTERS:
                break
        return passages

    def _fits(self, sentence: str) -> bool:
        least, most = _LENGTHS[self.lang]
        return least <= (len(sentence.split()) if self.lang == "en" else len(sentence)) <= most

    def sentences(self, heldout: bool | None = None) -> list[str]:
        """Plain sentences, each once, in an order that the seed draws; None: of all documents."""
        chosen = [
            sentence
            for passage in self.passages
            if heldout in (None, passage.heldout)
            for sentence, plain in zip(passage.sentences, passage.plain, strict=True)
            if plain
        ]
        return self.drawn(list(dict.fromkeys(chosen)))

    def pairs(self, heldout: bool | None = None) -> list[tuple[str, str, str]]:
        """Plain sentences that follow each other, and their document: (A, B, source)."""
        pairs = [
            (a, b, passage.source)
            for passage in self.passages
            if heldout in (None, passage.heldout)
            for a, b, plain_a, plain_b in zip(
                passage.sentences, passage.sentences[1:], passage.plain, passage.plain[1:], strict=False
            )
            if plain_a and plain_b and a != b
        ]
        return self.drawn(list(dict.fromkeys(pairs)))

    def first_readable(self, items: Sequence[T], text: Callable[[T], str], most: int = 64) -> T:
        """The first whose text is short and free of quotation marks and dashes, which need more of the context; or the
        first of all."""
        return next(
            (one for one in items if len(text(one)) < most and not _UNEASY.search(text(one))), items[0]
        )

    def drawn(self, items: list[T], stream: str = "lecture") -> list[T]:
        """The same in an order that the seed alone draws."""
        return [items[i] for i in Random(self.seed, stream).permutation(len(items)).tolist()]

    def words_of(self, text: str) -> list[tuple[int, int]]:
        """Places of a text's words, without marks."""
        if self.lang == "en":
            return [match.span() for match in _WORD.finditer(text)]
        return [(a, b) for a, b in word_spans(text, "zh") if is_cjk(text[a])]

    @cached_property
    def counts(self) -> Counter[str]:
        """Words of the sentences that are trained on, in lower case."""
        counts: Counter[str] = Counter()
        for passage in self.passages:
            if not passage.heldout:
                for sentence, plain in zip(passage.sentences, passage.plain, strict=True):
                    if plain:
                        counts.update(sentence[a:b].lower() for a, b in self.words_of(sentence))
        return counts

    @cached_property
    def content(self) -> list[str]:
        """Frequent words that say something, the most frequent first."""
        least = 4 if self.lang == "en" else 2
        ranked = [word for word, _ in self.counts.most_common(3000)]
        said_little = min(_FUNCTION[self.lang], len(ranked) // 20)
        return [word for word in ranked[said_little:] if len(word) >= least and word.isalpha()]

    def enough(self, found: Sequence[T], least: int, what: str) -> Sequence[T]:
        """What was found, where it is enough.

        Raises:  CorpusError: it is not.
        """
        if len(found) < least:
            raise CorpusError(
                f"too few {what} for this chapter",
                got=f"{len(found)}",
                expected=f"{least} at least",
                where=", ".join(self._corpus.sources[:3]),
                fix="--text FOLDER with more running text",
            )
        return found
