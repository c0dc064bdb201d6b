"""Documents to arrays: sentences, tokens, and where words begin.

    texts ──cut_sentences──► sentences ──pieces──► tokens, and word starts as the tokenizer sees words
                                   └──segmenter──► of Chinese characters: which begin a word

Text repeats its words, so each distinct piece is tokenized once; data/cutting.py says what a piece is. Where a piece
may hold several Chinese characters, or no cut is certain, such sentences are tokenized whole and put back in order.
Phrases of a word-level vocabulary are joined last, in all sentences at once and never across two.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from polyseme.core.arrays import BoolArray, Int32Array, IntArray
from polyseme.data.cutting import Texts, cut_sentences, piece_splitter, pieces, sums
from polyseme.text.tokenizers import Tokenizer

SMALL = 3_000_000
"""Characters up to which loading what was compiled takes longer than it saves."""


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
        small: characters that are encoded by loops in Python, before the compiled ones are loaded.
    """

    def __init__(
        self,
        tokenizer_file: Path,
        language: str = "auto",
        sentences: str = "auto",
        *,
        by_pieces: bool = True,
        small: int = SMALL,
    ) -> None:
        self._tokenizer = Tokenizer.from_file(tokenizer_file)
        self._language = "line" if sentences == "line" else language
        spec: dict[str, Any] = json.loads(tokenizer_file.read_text("utf-8"))
        # whether a token alone says that it begins a word
        exact = spec["model"]["type"] == "WordPiece" or self._tokenizer.is_word_level
        self._continues: BoolArray | None = np.asarray(self._tokenizer.continues) if exact else None
        self._splitter = piece_splitter(spec) if by_pieces else None
        self._phrases = (
            self._tokenizer.phrases if by_pieces else None
        )  # joined here; otherwise by the tokenizer
        self._table = PieceTable(self._encode_afresh)
        self._seen, self._small = 0, small

    def encode(self, texts: Sequence[str]) -> EncodedDocuments:
        """Arrays of some documents. A sentence without a token is left out, and a document without a sentence."""
        documents = Texts(texts, much=self._seen > self._small)
        self._seen += len(documents.whole)
        begins, ends, per_document = cut_sentences(documents, self._language)
        ids, starts, lengths = self._encode_sentences(documents, begins, ends)
        if self._phrases is not None:
            ids, lengths, first = self._phrases.join(ids, lengths)
            starts = starts[first]
        full = lengths > 0
        starts[(np.cumsum(lengths) - lengths)[full]] = True
        kept = sums(full, per_document)
        return EncodedDocuments(
            ids.astype(np.uint32),
            starts.view(np.uint8),
            lengths[full].astype(np.int32),
            kept[kept > 0].astype(np.int32),
        )

    def _encode_sentences(self, texts: Texts, begins: IntArray, ends: IntArray) -> Encoded:
        before: IntArray = np.zeros(len(texts.whole) + 1, np.int64)
        rare = self._splitter is not None and self._splitter.but_chinese
        np.cumsum(texts.chinese if rare else texts.ideographs, out=before[1:])
        chinese = before[ends] > before[begins]
        if self._splitter is not None and self._splitter.alone:
            return self._encode_pieces(texts, begins, ends, chinese)
        if chinese.all() and len(chinese):
            return self._encode_chinese(texts, begins, ends)
        plain = self._encode_plain(texts, begins[~chinese], ends[~chinese])
        if not chinese.any():
            return plain
        other = self._encode_chinese(texts, begins[chinese], ends[chinese])
        rows = np.empty(len(begins), np.int64)  # of each sentence, in the two answers one after the other
        rows[~chinese] = np.arange(len(plain.lengths))
        rows[chinese] = np.arange(len(plain.lengths), len(begins))
        return plain.followed_by(other).take(rows)

    def _encode_plain(self, texts: Texts, begins: IntArray, ends: IntArray) -> Encoded:
        if self._splitter is None:
            return self._encode_afresh(texts.cut(begins, ends))
        return self._encode_pieces(texts, begins, ends, np.zeros(len(begins), np.bool_))

    def _encode_pieces(self, texts: Texts, begins: IntArray, ends: IntArray, chinese: BoolArray) -> Encoded:
        assert self._splitter is not None
        first, behind, number, places, counts = pieces(texts, begins, ends, self._splitter)
        tokens = self._table.encode(texts.cut(first, behind)).take(number)
        if chinese.any():
            # a piece that begins with a Chinese character is one
            self._see_words(tokens, texts, np.repeat(places, tokens.lengths), begins[chinese], ends[chinese])
        return tokens._replace(lengths=sums(tokens.lengths, counts))

    def _encode_chinese(self, texts: Texts, begins: IntArray, ends: IntArray) -> Encoded:
        encodings = self._tokenizer.encode_batch(texts.cut(begins, ends), phrases=self._phrases is None)
        ids, lengths = _flat([e.ids for e in encodings])
        tokens = Encoded(ids, _flat([e.word_starts for e in encodings])[0].astype(np.bool_), lengths)
        places = _flat([[start for start, _ in e.offsets] for e in encodings])[0] + np.repeat(begins, lengths)
        places += texts.codes[places] == ord(" ")  # " 中" begins at the character, not at the space
        self._see_words(tokens, texts, places, begins, ends)
        return tokens

    def _see_words(
        self, tokens: Encoded, texts: Texts, places: IntArray, begins: IntArray, ends: IntArray
    ) -> None:
        """Put the segmenter's words of these sentences for the tokenizer's, at the tokens of Chinese characters.

        Args:
            places: where each token begins.
        Shapes:  places: (N,)
        """
        known = texts.ideographs[places]
        fresh = np.diff(places, prepend=-1) != 0  # the second byte of a character begins no word
        tokens.starts[known] = (_word_begins(texts, begins, ends)[places] & fresh)[known]

    def _encode_afresh(self, texts: Sequence[str]) -> Encoded:
        if self._continues is not None:
            ids, lengths = _flat(self._tokenizer.encode_ids(texts, phrases=self._phrases is None))
            return Encoded(ids, ~self._continues[ids], lengths)
        encodings = self._tokenizer.encode_batch(texts, phrases=self._phrases is None)
        ids, lengths = _flat([e.ids for e in encodings])
        return Encoded(ids, _flat([e.word_starts for e in encodings])[0].astype(np.bool_), lengths)


def _word_begins(texts: Texts, begins: IntArray, ends: IntArray) -> BoolArray:
    """For every character: whether the segmenter begins a word there, as far as it is in one of these sentences."""
    import rjieba  # it loads its dictionary, for which English has no use

    # A line end is no part of any word; its own is taken for one behind the sentence, where another one may begin.
    words = rjieba.cut("\n".join(texts.cut(begins, ends)))
    sizes = np.fromiter(map(len, words), np.int64, len(words))
    places = np.cumsum(sizes) - sizes
    lengths = ends - begins + 1
    places += np.repeat(begins - (np.cumsum(lengths) - lengths), lengths)[places]
    found = np.zeros(len(texts.whole) + 1, np.bool_)
    found[places] = True
    return found[:-1]


def _flat(rows: Sequence[Sequence[int]]) -> tuple[IntArray, IntArray]:
    """Rows one after the other, and their lengths."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    return np.fromiter(chain.from_iterable(rows), np.int64, int(lengths.sum())), lengths


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
        where = _ranges((np.cumsum(self.lengths) - self.lengths)[rows], lengths)
        return Encoded(self.ids[where], self.starts[where], lengths)


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
        self._characters = self._n_tokens = 0
        # with room for more
        self._ids: IntArray = np.empty(0, np.int64)
        self._starts: BoolArray = np.empty(0, np.bool_)
        self._begins: IntArray = np.zeros(
            1, np.int64
        )  # of every piece's tokens, and where the last one's end

    def encode(self, pieces: Sequence[str]) -> Encoded:
        """Tokens of consecutive pieces."""
        if len(self._rows) > self._max_pieces or self._characters > self._max_characters:
            self._clear()
        rows = np.fromiter(map(self._rows.__getitem__, pieces), np.int64, len(pieces))
        if self._rows.new:
            self._add(self._encode(self._rows.new))
            self._characters += sum(map(len, self._rows.new))
            self._rows.new = []
        begins = self._begins[rows]
        lengths = self._begins[rows + 1] - begins
        where = _ranges(begins, lengths)
        return Encoded(self._ids[where], self._starts[where], lengths)

    def _add(self, tokens: Encoded) -> None:
        end = self._n_tokens + len(tokens.ids)
        pieces = len(self._rows) + 1
        if end > len(self._ids):
            self._ids, self._starts = np.resize(self._ids, 2 * end), np.resize(self._starts, 2 * end)
        if pieces > len(self._begins):
            self._begins = np.resize(self._begins, 2 * pieces)
        self._ids[self._n_tokens : end], self._starts[self._n_tokens : end] = tokens.ids, tokens.starts
        self._begins[pieces - len(tokens.lengths) : pieces] = self._n_tokens + np.cumsum(tokens.lengths)
        self._n_tokens = end


def _ranges(begins: IntArray, lengths: IntArray) -> IntArray:
    """begins[0], begins[0] + 1 … lengths[0] of them, then those of begins[1] and so on."""
    ends = np.cumsum(lengths)
    where: IntArray = np.repeat(begins - ends + lengths, lengths)
    where += np.arange(len(where))
    return where
