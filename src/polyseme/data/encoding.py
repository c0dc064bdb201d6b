"""Documents to arrays: sentences, tokens, and where words begin.

    text ──sentence_spans──► sentences ──pieces──► tokens, and word starts as the tokenizer sees words
                                   └──segmenter──► of Chinese characters: which begin a word

Sentences with and without Chinese characters are tokenized apart and then put back in order. Phrases of a word-level
vocabulary are joined last, in all sentences at once and never across two.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import chain, compress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from polyseme.data.pieces import BoolArray, Encoded, PieceTable, piece_splitter
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
    sentence_lengths: npt.NDArray[np.int32]
    sentences_per_document: npt.NDArray[np.int32]


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
            found = [text[start:end] for start, end in spans]
            sentences += found
            some = not text.isascii() and _CHINESE.search(text) is not None
            chinese += [_CHINESE.search(s) is not None for s in found] if some else [False] * len(found)
            per_document[number] = len(found)
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


def _flat(rows: Sequence[Sequence[int]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows one after the other, and their lengths."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    return np.fromiter(chain.from_iterable(rows), np.int64, int(lengths.sum())), lengths


def _codes(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _is_chinese(text: str) -> BoolArray:
    codes = _codes(text)
    found: BoolArray = np.zeros(len(codes), np.bool_)
    for first, last in IDEOGRAPH_RANGES:
        found |= (codes >= first) & (codes <= last)
    return found
