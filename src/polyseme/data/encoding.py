"""Documents to arrays: sentences, tokens, and where words begin.

    text ──sentence_spans──► sentences ──pieces──► tokens, and word starts as the tokenizer sees words
                                   └──segmenter──► of Chinese characters: which begin a word

Sentences with and without Chinese characters are tokenized apart and then put back in order. Phrases of a word-level
vocabulary are joined last, in all sentences at once and never across two.

Text repeats its words, so each distinct piece is tokenized once. A tokenizer first cuts text into pre-tokens and then
treats each by itself. Where that cut is certain to fall at every space (and around every punctuation mark or Chinese
character), the tokens of a sentence are those of its pieces:

    tokens(sentence) = tokens(piece 1) + tokens(piece 2) + …

`piece_splitter` reads a tokenizer.json and returns such a cut, or None where the pipeline is not one of those known to
allow it. The tests compare both ways on arbitrary text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, compress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from polyseme.core.arrays import BoolArray, Int32Array, IntArray
from polyseme.text.clean import replace_surrogates
from polyseme.text.sentences import line_spans, sentence_spans
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.words import IDEOGRAPH_RANGES, IDEOGRAPHS, cjk_share

_CHINESE = re.compile(f"[{IDEOGRAPHS}]")
_CHINESE_SHARE = 0.1  # of the letters at its beginning: with more a document counts as Chinese
_BEGINNING = 4000  # characters


class EncodedDocuments(NamedTuple):
    """Some documents as `StoreWriter.add_documents` takes them.

    Shapes:  ids, word_starts: (N,); sentence_lengths: (S,), summing to N; sentences_per_document: (D,), summing to S
    """

    ids: npt.NDArray[np.uint32]
    word_starts: npt.NDArray[np.uint8]
    sentence_lengths: Int32Array
    sentences_per_document: Int32Array


class DocumentEncoder:
    """Turns documents into arrays with one tokenizer.

    A token begins a word where the tokenizer's own idea of words says so (the spaces and punctuation of its
    pre-tokenizer); a Chinese character does where the segmenter begins a word; a sentence's first token always does.

    Args:
        tokenizer_file: a tokenizer.json.
        language: "en" or "zh" decide where sentences end; "auto" does by each document's share of Chinese.
        sentences: "line" takes each line as a sentence.
        by_pieces: False tokenizes every sentence afresh: slower, and the same result.
    """

    def __init__(
        self,
        tokenizer_file: Path,
        language: str = "auto",
        sentences: str = "auto",
        *,
        by_pieces: bool = True,
    ) -> None:
        self._tokenizer = Tokenizer.from_file(tokenizer_file)
        self._language, self._sentences = language, sentences
        spec: dict[str, Any] = json.loads(tokenizer_file.read_text("utf-8"))
        # whether a token alone says that it begins a word
        exact = spec["model"]["type"] == "WordPiece" or self._tokenizer.is_word_level
        self._continues: BoolArray | None = np.asarray(self._tokenizer.continues) if exact else None
        self._splitter = piece_splitter(spec) if by_pieces else None
        self._phrases = (
            self._tokenizer.phrases if by_pieces else None
        )  # joined here; otherwise by the tokenizer
        self._parts = PieceTable(self._encode_afresh)
        self._words = PieceTable(self._encode_words)

    def encode(self, texts: Sequence[str]) -> EncodedDocuments:
        """Arrays of some documents. A sentence without a token is left out, and a document without a sentence."""
        sentences: list[str] = []
        chinese: list[bool] = []
        per_document = np.zeros(len(texts), np.int64)
        for number, text in enumerate(map(replace_surrogates, texts)):
            spans = self._spans(text)
            new = [text[start:end] for start, end in spans]
            sentences += new
            has_chinese = not text.isascii() and _CHINESE.search(text) is not None
            chinese += [_CHINESE.search(s) is not None for s in new] if has_chinese else [False] * len(new)
            per_document[number] = len(new)
        ids, starts, lengths = self._encode_mixed(sentences, np.array(chinese, np.bool_))
        if self._phrases is not None:
            ids, lengths, first = self._phrases.join(ids, lengths)
            starts = starts[first]
        full = lengths > 0
        starts[(np.cumsum(lengths) - lengths)[full]] = True
        kept = np.bincount(np.repeat(np.arange(len(texts)), per_document)[full])
        return EncodedDocuments(
            ids.astype(np.uint32),
            starts.view(np.uint8),
            lengths[full].astype(np.int32),
            kept[kept > 0].astype(np.int32),
        )

    def _spans(self, text: str) -> list[tuple[int, int]]:
        return (
            line_spans(text) if self._sentences == "line" else sentence_spans(text, self._language_of(text))
        )

    def _language_of(self, text: str) -> str:
        if self._language != "auto":
            return self._language
        return "zh" if cjk_share(text[:_BEGINNING]) > _CHINESE_SHARE else "en"

    def _encode_mixed(self, sentences: list[str], chinese: BoolArray) -> Encoded:
        if not chinese.any():
            return self._encode_plain(sentences)
        if chinese.all():
            return self._encode_chinese(sentences)
        plain = self._encode_plain(list(compress(sentences, ~chinese)))
        other = self._encode_chinese(list(compress(sentences, chinese)))
        rows = np.empty(len(sentences), np.int64)  # of each sentence, in the two answers one after the other
        rows[~chinese] = np.arange(len(plain.lengths))
        rows[chinese] = np.arange(len(plain.lengths), len(sentences))
        return plain.followed_by(other).take(rows)

    def _encode_plain(self, sentences: list[str]) -> Encoded:
        if self._splitter is None:
            return self._encode_afresh(sentences)
        cuts = list(map(self._splitter.words, sentences))
        return self._words.encode(list(chain.from_iterable(cuts))).grouped(cuts)

    def _encode_chinese(self, sentences: list[str]) -> Encoded:
        text = "".join(sentences)
        # Tokens, and for each the offset in `text` where it begins (of a part in several tokens: where that begins).
        if self._splitter is not None and self._splitter.parts is not None:
            cuts = list(map(self._splitter.parts.findall, sentences))
            parts = list(chain.from_iterable(cuts))
            tokens = self._parts.encode(parts)
            part_sizes = np.fromiter(map(len, parts), np.int64, len(parts))
            offsets = np.repeat(np.cumsum(part_sizes) - part_sizes, tokens.lengths)
            tokens = tokens.grouped(cuts)
        else:
            encodings = self._tokenizer.encode_batch(sentences, phrases=self._phrases is None)
            ids, lengths = _flat([e.ids for e in encodings])
            tokens = Encoded(ids, _flat([e.word_starts for e in encodings])[0].astype(np.bool_), lengths)
            offsets = _flat([[start for start, _ in e.offsets] for e in encodings])[0]
            sizes = np.fromiter(map(len, sentences), np.int64, len(sentences))
            offsets += np.repeat(np.cumsum(sizes) - sizes, lengths)
            offsets += _codes(text)[offsets] == ord(" ")  # " 中" begins at the character, not at the space
        known = _is_chinese(text)[offsets]
        fresh = np.diff(offsets, prepend=-1) != 0  # the second byte of a character begins no word
        tokens.starts[known] = (_word_starts(sentences)[offsets] & fresh)[known]
        return tokens

    def _encode_afresh(self, texts: Sequence[str]) -> Encoded:
        if self._continues is not None:
            ids, lengths = _flat(self._tokenizer.encode_ids(texts, phrases=self._phrases is None))
            return Encoded(ids, ~self._continues[ids], lengths)
        encodings = self._tokenizer.encode_batch(texts, phrases=self._phrases is None)
        ids, lengths = _flat([e.ids for e in encodings])
        return Encoded(ids, _flat([e.word_starts for e in encodings])[0].astype(np.bool_), lengths)

    def _encode_words(self, words: Sequence[str]) -> Encoded:
        if self._splitter is None or self._splitter.parts is None:
            return self._encode_afresh(words)
        cuts = list(map(self._splitter.parts.findall, words))
        return self._parts.encode(list(chain.from_iterable(cuts))).grouped(cuts)


def _word_starts(sentences: list[str]) -> BoolArray:
    """For every character of the sentences, joined: whether the segmenter begins a word there."""
    import rjieba  # it loads its dictionary, for which English has no use

    sizes = list(chain.from_iterable([[len(word) for word in rjieba.cut(s)] for s in sentences]))
    ends = np.cumsum(sizes)
    starts = np.zeros(ends[-1], np.bool_)
    starts[ends - sizes] = True
    return starts


def _flat(rows: Sequence[Sequence[int]]) -> tuple[IntArray, IntArray]:
    """Rows one after the other, and their lengths."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    return np.fromiter(chain.from_iterable(rows), np.int64, int(lengths.sum())), lengths


def _codes(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _is_chinese(text: str) -> BoolArray:
    codes = _codes(text)
    chinese: BoolArray = np.zeros(len(codes), np.bool_)
    for first, last in IDEOGRAPH_RANGES:
        chinese |= (codes >= first) & (codes <= last)
    return chinese


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
