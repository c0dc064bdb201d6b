"""Tokenize each distinct piece of text once: text repeats its words, so a table of them saves most of the work.

A tokenizer first cuts text into pre-tokens and then treats each by itself. Where that cut is certain to fall at every
space (and around every punctuation mark or Chinese character), the tokens of a sentence are those of its pieces:

    tokens(sentence) = tokens(piece 1) + tokens(piece 2) + …

`piece_splitter` reads a tokenizer.json and returns such a cut, or None where the pipeline is not one of those known to
allow it. The tests compare both ways on arbitrary text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from polyseme.text.words import IDEOGRAPHS

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

# ASCII punctuation without < = >, which combining marks can melt with.
_PUNCTUATION = r"!-/:;?@\[-`{-~"
_SPACE = " \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\t\n\r"
_ALL_SPACE = _SPACE + "\x0b\x0c\x85"  # BERT's pipeline deletes these three; the others separate words at them
_CONTROL = re.compile("[\x0b\x0c\x1c-\x1f\x85]")
_BERT_WORDS = re.compile(f"[^{_SPACE}]+")
_BERT_PARTS = re.compile(f"[{_PUNCTUATION}{IDEOGRAPHS}]|[^{_SPACE}{_PUNCTUATION}{IDEOGRAPHS}]+|[{_SPACE}]+")
_LOCAL_NORMALIZERS = {"NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"}


class PieceSplitter(NamedTuple):
    """A cut of sentences into pieces.

    Args:
        words: a sentence -> its pieces, about one a word; what is left out makes no token.
        parts: where punctuation marks and Chinese characters always stand alone, a pattern whose `findall` cuts
            a piece or a sentence further; its parts, joined, are the sentence. There are fewer different ones.
    """

    words: Callable[[str], list[str]]
    parts: re.Pattern[str] | None = None


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
            return PieceSplitter(_bert_words, _BERT_PARTS)
        case "WhitespaceSplit" if not bert and all(map(_sees_words_alone, rest)):
            return PieceSplitter(re.compile(f"[^{_ALL_SPACE}]+").findall)
        case "ByteLevel" if not bert and first.get("use_regex", True) and not rest:
            return _before_spaces(_ALL_SPACE)
        case "Metaspace" if not bert and first.get("split", True) and not rest:
            return _before_spaces(" ")
        case "Split" if (
            not bert and first["pattern"] == {"Regex": r"[\s\S]"} and not first["invert"] and not rest
        ):
            return _before_spaces(_ALL_SPACE)
    return None


def _bert_words(sentence: str) -> list[str]:
    # str.split() also separates at control characters, which the pipeline deletes.
    return sentence.split() if _CONTROL.search(sentence) is None else _BERT_WORDS.findall(sentence)


def _steps(stage: Mapping[str, Any] | None, parts: str) -> list[Mapping[str, Any]]:
    if stage is None:
        return []
    return list(stage[parts]) if stage["type"] == "Sequence" else [stage]


def _sees_words_alone(step: Mapping[str, Any]) -> bool:
    return (step["type"], step.get("prepend_scheme")) in (("Punctuation", None), ("Metaspace", "always"))


def _before_spaces(space: str) -> PieceSplitter:
    # Cut before a U+0020 that follows a visible character, and nowhere else: a tokenizer that puts a space before
    # its text puts none before a piece that has one.
    rest = space.replace(" ", "")
    more = f"(?:[{rest}][{space}]*[^{space}]*)*" if rest else ""
    return PieceSplitter(re.compile(f"[{space}]*[^{space}]+{more}|[{space}]+").findall)


class Encoded(NamedTuple):
    """Tokens of some texts.

    Shapes:  ids, starts (whether a token begins a word): (N,); lengths: tokens of each text, summing to N
    """

    ids: IntArray
    starts: BoolArray
    lengths: IntArray

    def followed_by(self, other: Encoded) -> Encoded:
        """The tokens of our texts and then of the other's."""
        return Encoded(
            np.concatenate((self.ids, other.ids)),
            np.concatenate((self.starts, other.starts)),
            np.concatenate((self.lengths, other.lengths)),
        )

    def take(self, rows: IntArray) -> Encoded:
        """The tokens of the texts with these numbers, in that order."""
        lengths = self.lengths[rows]
        begins = (np.cumsum(self.lengths) - self.lengths)[rows]
        ends = np.cumsum(lengths)
        where = np.repeat(begins - ends + lengths, lengths) + np.arange(lengths.sum())
        return Encoded(self.ids[where], self.starts[where], lengths)

    def grouped(self, groups: Sequence[Sequence[object]]) -> Encoded:
        """The same tokens, of fewer texts: those of each group are joined."""
        group = np.repeat(np.arange(len(groups)), np.fromiter(map(len, groups), np.int64, len(groups)))
        return self._replace(lengths=np.bincount(group, self.lengths, len(groups)).astype(np.int64))


class _Rows(dict[str, int]):
    """Numbers pieces in the order in which they are first asked for, and remembers which are new."""

    def __init__(self) -> None:
        super().__init__()
        self.new: list[str] = []

    def __missing__(self, piece: str) -> int:
        row = self[piece] = len(self)
        self.new.append(piece)
        return row


class PieceTable:
    """The tokens of every piece seen so far.

    Args:
        encode: tokenizes pieces that are new.
        max_pieces, max_characters: the table starts anew when it has grown past either.
    """

    def __init__(
        self,
        encode: Callable[[Sequence[str]], Encoded],
        max_pieces: int = 1 << 18,
        max_characters: int = 1 << 23,
    ) -> None:
        self._encode, self._max_pieces, self._max_characters = encode, max_pieces, max_characters
        self._clear()

    def _clear(self) -> None:
        self._rows = _Rows()
        self._characters = 0
        self._tokens = Encoded(np.empty(0, np.int64), np.empty(0, np.bool_), np.empty(0, np.int64))

    def encode(self, pieces: Sequence[str]) -> Encoded:
        """Tokens of consecutive pieces."""
        if len(self._rows) > self._max_pieces or self._characters > self._max_characters:
            self._clear()
        rows = np.fromiter(map(self._rows.__getitem__, pieces), np.int64, len(pieces))
        if self._rows.new:
            self._tokens = self._tokens.followed_by(self._encode(self._rows.new))
            self._characters += sum(map(len, self._rows.new))
            self._rows.new = []
        return self._tokens.take(rows)
