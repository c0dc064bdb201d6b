"""Where the paragraphs and sentences of many texts lie, and the pieces that a tokenizer treats each by itself.

    texts ──► paragraphs ──sentencex──► sentences ──► pieces: the distinct ones, and which of them stands where

What is asked is explained where one text is cut: text/sentences.py, and `PieceSplitter` here. Of much text the loops
over characters are compiled: kernels/cutting.py.

A tokenizer first cuts text into pre-tokens and then treats each by itself. Where that cut is certain to fall at every
space (and around every punctuation mark or Chinese character), the tokens of a sentence are those of its pieces:

    tokens(sentence) = tokens(piece 1) + tokens(piece 2) + …

`piece_splitter` reads a tokenizer.json and returns such a cut, or None where the pipeline is not one of those known to
allow it. The tests compare both ways on arbitrary text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, compress
from typing import Any

import numpy as np
import numpy.typing as npt
from sentencex import segment

from polyseme.core.arrays import BoolArray, IntArray
from polyseme.kernels import cutting as kernel
from polyseme.kernels.twins import faster
from polyseme.text.clean import replace_surrogates
from polyseme.text.sentences import WINDOW, joined_parts, line_spans, paragraph_spans, part_lengths
from polyseme.text.words import (
    IDEOGRAPH_RANGES,
    IDEOGRAPHS,
    INSIDE,
    TOKEN_PATTERN,
    character_kinds,
    cjk_share,
    cjk_spans,
    every_character,
)

__all__ = [
    "PieceSplitter",
    "Texts",
    "are_chinese",
    "cut_sentences",
    "paragraphs",
    "piece_splitter",
    "pieces",
    "sentences",
]

_CHINESE_SHARE = 0.1  # of the letters at its beginning: with more a document counts as Chinese
_BEGINNING = 4000  # characters
_BETWEEN = "\n\n"  # paragraphs, for sentencex


class Texts:
    """Some texts, one after the other.

    Args:
        much: there is so much text, here and before, that compiled loops are worth being loaded.
    Attributes:
        whole: all of them, joined; a lone surrogate is U+FFFD there.
        bounds: where each begins, and where the last one ends.
        codes, kinds: code points, and of what kind they are (`character_kinds`).
        ideographs: whether a character is one of IDEOGRAPH_RANGES.
        chinese: whether it is one of those or a rare one, as `has_cjk` sees them.
    Shapes:  bounds: (texts + 1,); codes, kinds, ideographs, chinese: (characters,)
    """

    def __init__(self, texts: Sequence[str], much: bool = False) -> None:
        self.much = much
        self.whole = replace_surrogates("".join(texts))
        self.bounds: IntArray = np.zeros(len(texts) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)), out=self.bounds[1:])

    def each(self) -> Iterator[tuple[str, int]]:
        """The texts again, and where each begins."""
        return zip(self.cut(self.bounds[:-1], self.bounds[1:]), self.bounds.tolist(), strict=False)

    def cut(self, begins: IntArray, ends: IntArray) -> list[str]:
        """The text between these places.  Shapes:  (n,), (n,)"""
        return [self.whole[start:end] for start, end in zip(begins.tolist(), ends.tolist(), strict=True)]

    @cached_property
    def codes(self) -> npt.NDArray[np.uint32]:
        return np.frombuffer(self.whole.encode("utf-32-le"), "<u4")

    @cached_property
    def kinds(self) -> npt.NDArray[np.uint8]:
        return character_kinds()[self.codes]

    @cached_property
    def ideographs(self) -> BoolArray:
        found: BoolArray = np.zeros(len(self.whole), np.bool_)
        if not self.whole.isascii():
            for first, last in IDEOGRAPH_RANGES:
                found |= (self.codes >= first) & (self.codes <= last)
        return found

    @cached_property
    def chinese(self) -> BoolArray:
        found: BoolArray = np.zeros(len(self.whole), np.bool_)
        for start, end in cjk_spans(self.whole):
            found[start:end] = True
        return found


@faster(kernel.paragraphs, kernel.serves)
def paragraphs(texts: Texts) -> tuple[IntArray, IntArray, IntArray]:
    """Where paragraphs begin and end, all texts after each other, and how many each text has.

    Shapes:  -> (paragraphs,), (paragraphs,), (texts,)
    """
    return _table(_shifted(paragraph_spans(text), at) for text, at in texts.each())


@faster(kernel.sentences, kernel.serves)
def sentences(
    texts: Texts, starts: IntArray, ends: IntArray, counts: IntArray, lengths: IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """Where sentences begin and end, paragraph by paragraph, and how many each paragraph has.

    Args:
        starts, ends: of paragraphs.
        counts: parts of each that sentencex gave.
        lengths: of the parts.
    Shapes:  starts, ends, counts: (paragraphs,); lengths: (parts,) -> (sentences,), (sentences,), (paragraphs,)
    """
    of = np.split(lengths, np.cumsum(counts)[:-1]) if len(counts) else []
    return _table(
        list(joined_parts(texts.whole, start, end, parts.tolist()))
        for start, end, parts in zip(starts.tolist(), ends.tolist(), of, strict=True)
    )


@faster(kernel.are_chinese, kernel.serves)
def are_chinese(texts: Texts, characters: int, share: float) -> BoolArray:
    """Whether more than this share of the letters of a text's first characters is Chinese.  Shapes:  -> (texts,)"""
    return np.array([cjk_share(text[:characters]) > share for text, _ in texts.each()], np.bool_)


def cut_sentences(texts: Texts, language: str) -> tuple[IntArray, IntArray, IntArray]:
    """Where sentences begin and end, all texts after each other, and how many each text has.

    Args:
        language: "en", "zh", "auto" to tell by each text's share of Chinese, or "line": every line is a sentence.
    Shapes:  -> (sentences,), (sentences,), (texts,)
    """
    if language == "line":
        return _table(_shifted(line_spans(text), at) for text, at in texts.each())
    starts, ends, per_text = paragraphs(texts)
    if language != "auto":
        languages = [language] * len(starts)
    else:
        chinese = np.repeat(are_chinese(texts, _BEGINNING, _CHINESE_SHARE), per_text)
        languages = ["zh" if zh else "en" for zh in chinese.tolist()]
    counts, lengths = _parts(texts, starts, ends, languages)
    first, behind, per_paragraph = sentences(texts, starts, ends, counts, lengths)
    return first, behind, sums(per_paragraph, per_text)


def _parts(texts: Texts, starts: IntArray, ends: IntArray, languages: list[str]) -> tuple[IntArray, IntArray]:
    """How many parts sentencex cuts each paragraph into, and their lengths.

    A paragraph without any mark that may end a sentence, but for its last character, is one part: there are many such
    lines of Chinese.
    """
    if not texts.much or texts.whole.isascii():
        return _cut_parts(texts.whole, starts.tolist(), ends.tolist(), languages)
    marks: IntArray = np.zeros(len(texts.whole) + 1, np.int64)
    np.cumsum(texts.kinds & INSIDE == 0, out=marks[1:])
    plain = (marks[ends - 1] == marks[starts]) & (ends - starts <= WINDOW)
    others = compress(languages, ~plain)
    cut, pieces_of = _cut_parts(texts.whole, starts[~plain].tolist(), ends[~plain].tolist(), list(others))
    counts: IntArray = np.ones(len(starts), np.int64)
    counts[~plain] = cut
    lengths = np.zeros(int(counts.sum()), np.int64)
    of_plain = np.zeros(len(lengths), np.bool_)
    of_plain[(np.cumsum(counts) - counts)[plain]] = True
    lengths[of_plain], lengths[~of_plain] = (ends - starts)[plain], pieces_of
    return counts, lengths


def _cut_parts(
    text: str, starts: list[int], ends: list[int], languages: list[str]
) -> tuple[IntArray, IntArray]:
    """How many parts sentencex cuts each paragraph into, and their lengths.

    Short paragraphs are handed over together, with blank lines between, which are parts of their own.
    """
    found: list[int] = []  # lengths of parts, those between paragraphs included
    waiting: list[str] = []
    size, language = 0, ""

    def cut_waiting() -> None:
        if waiting:
            found.extend(map(len, segment(language, _BETWEEN.join(waiting))))
            found.append(len(_BETWEEN))
            waiting.clear()

    for start, end, name in zip(starts, ends, languages, strict=True):
        size += end - start + len(_BETWEEN)
        if size > WINDOW or name != language:
            cut_waiting()
            size, language = end - start, name
        if end - start > WINDOW:
            found += part_lengths(text, start, end, name)
            found.append(len(_BETWEEN))
        else:
            waiting.append(text[start:end])
    cut_waiting()
    lengths = np.array(found, np.int64)
    behind = np.cumsum(lengths)
    wanted = np.cumsum(np.array(ends, np.int64) - starts + len(_BETWEEN))  # where the parts between them end
    between = np.searchsorted(behind, wanted)
    alone = np.append(lengths, 0)[between] == len(_BETWEEN)
    if alone.all() and (behind[between] == wanted).all():
        counts: IntArray = np.diff(between, prepend=-1) - 1
        return counts, np.delete(lengths, between)
    each = [part_lengths(text, *paragraph) for paragraph in zip(starts, ends, languages, strict=True)]
    return np.array([*map(len, each)], np.int64), np.array([*chain.from_iterable(each)], np.int64)


def sums(values: IntArray | BoolArray, counts: IntArray) -> IntArray:
    """Sums of the first counts[0] values, of the next counts[1] and so on.  Shapes:  -> (counts,)"""
    totals: IntArray = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=totals[1:])
    ends = np.cumsum(counts)
    found: IntArray = totals[ends] - totals[ends - counts]
    return found


def _shifted(spans: Iterable[tuple[int, int]], at: int) -> list[tuple[int, int]]:
    return [(at + start, at + end) for start, end in spans]


def _table(each: Iterable[list[tuple[int, int]]]) -> tuple[IntArray, IntArray, IntArray]:
    """Rows of spans as arrays: starts, ends, and how many each row has."""
    rows = list(each)
    flat = np.array([*chain.from_iterable(rows)], np.int64).reshape(-1, 2)
    return flat[:, 0].copy(), flat[:, 1].copy(), np.array([*map(len, rows)], np.int64)


# ASCII punctuation without < = >, which combining marks can melt with.
_PUNCTUATION = r"!-/:;?@\[-`{-~"
_SPACE = " \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\t\n\r"
_ALL_SPACE = _SPACE + "\x0b\x0c\x85"  # BERT's pipeline deletes these three; the others separate words at them
_LOCAL_NORMALIZERS = {"NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"}


class PieceSplitter:
    """A cut of sentences into pieces, about one a word.

    Args:
        space: the inside of a pattern's brackets: characters between words, which make no token.
        alone: the same of characters that always stand alone, where there are such.
        before_spaces: cut before a U+0020 that follows a visible character, and nowhere else: a tokenizer that puts a
            space before its text puts none before a piece that has one.
        but_chinese: a sentence with a Chinese character is not to be cut: the tokenizer treats all of it otherwise.
    """

    def __init__(
        self, space: str, alone: str = "", before_spaces: bool = False, but_chinese: bool = False
    ) -> None:
        self._space, self.alone, self.before_spaces = space, alone, before_spaces
        self.but_chinese = but_chinese

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What finds the pieces."""
        space = self._space
        if self.before_spaces:
            rest = space.replace(" ", "")
            more = f"(?:[{rest}][{space}]*[^{space}]*)*" if rest else ""
            return re.compile(f"[{space}]*[^{space}]+{more}|[{space}]+")
        return re.compile(f"[{self.alone}]|[^{space}{self.alone}]+" if self.alone else f"[^{space}]+")

    @cached_property
    def classes(self) -> npt.NDArray[np.uint8]:
        """Of every code point: 0 goes on a piece, 1 space, 2 stands alone.  Shapes:  -> (0x110000,)"""
        table = np.zeros(0x110000, np.uint8)
        for number, inside in ((1, self._space), (2, self.alone)):
            for run in re.finditer(f"[{inside}]+", every_character()) if inside else ():
                table[run.start() : run.end()] = number
        return table


@faster(kernel.pieces, kernel.serves)
def pieces(
    texts: Texts, starts: IntArray, ends: IntArray, splitter: PieceSplitter
) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray]:
    """The pieces of sentences, of which many are alike.

    Gives where each different one stands first, from and to; for every piece which of them it is, and where it begins;
    and how many each sentence has.

    Args:
        starts, ends: of the sentences.
    Shapes:  starts, ends: (sentences,) -> (distinct,), (distinct,), (pieces,), (pieces,), (sentences,)
    """
    distinct: dict[str, int] = {}
    spans: list[tuple[int, int]] = []
    number: list[int] = []
    places: list[int] = []
    counts: list[int] = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        before = len(number)
        for match in splitter.pattern.finditer(texts.whole, start, end):
            number.append(distinct.setdefault(match[0], len(distinct)))
            if number[-1] == len(spans):
                spans.append(match.span())
            places.append(match.start())
        counts.append(len(number) - before)
    first, behind, _ = _table([spans])
    return first, behind, np.array(number, np.int64), np.array(places, np.int64), np.array(counts, np.int64)


def piece_splitter(spec: Mapping[str, Any]) -> PieceSplitter | None:
    """The cut of sentences into pieces that a tokenizer treats independently, or None where none is certain.

    Args:
        spec: a parsed tokenizer.json. Special tokens in the text are taken as the letters they are.
    """
    normalizers = _steps(spec.get("normalizer"), "normalizers")
    steps = _steps(spec.get("pre_tokenizer"), "pretokenizers")
    ordinary = any(not token["special"] for token in spec.get("added_tokens") or [])
    if ordinary or not steps or spec["model"].get("dropout"):
        return None
    bert = normalizers.pop() if normalizers and normalizers[-1]["type"] == "BertNormalizer" else None
    if any(step["type"] not in _LOCAL_NORMALIZERS for step in normalizers):
        return None
    first, rest = steps[0], steps[1:]
    match first["type"]:
        case "BertPreTokenizer" if bert and bert["clean_text"] and bert["handle_chinese_chars"] and not rest:
            return PieceSplitter(_SPACE, alone=_PUNCTUATION + IDEOGRAPHS)
        case "WhitespaceSplit" if not bert and all(map(_sees_words_alone, rest)):
            return PieceSplitter(_ALL_SPACE)
        case "ByteLevel" if not bert and first.get("use_regex", True) and not rest:
            return PieceSplitter(_ALL_SPACE, before_spaces=True)
        case "Metaspace" if not bert and first.get("split", True) and not rest:
            return PieceSplitter(" ", before_spaces=True)
        case "Split" if not bert and not rest:
            if first["pattern"] == {"Regex": r"[\s\S]"} and not first["invert"]:
                return PieceSplitter(_ALL_SPACE, before_spaces=True)
            if (
                first["pattern"] == {"Regex": TOKEN_PATTERN}
                and first["invert"]
                and first["behavior"] == "Removed"
            ):
                return PieceSplitter(_ALL_SPACE, but_chinese=True)
    return None


def _steps(stage: Mapping[str, Any] | None, parts: str) -> list[Mapping[str, Any]]:
    if stage is None:
        return []
    return list(stage[parts]) if stage["type"] == "Sequence" else [stage]


def _sees_words_alone(step: Mapping[str, Any]) -> bool:
    return (step["type"], step.get("prepend_scheme")) in (("Punctuation", None), ("Metaspace", "always"))
