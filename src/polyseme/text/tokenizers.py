"""Tokenizers: text to ids with character offsets and word starts, stored in the Hugging Face `tokenizer.json`.

    wordpiece    BERT's: NFC, optional lower case, Chinese characters as units, `##` pieces (Devlin et al. 2018)
    byte-bpe     GPT-2's byte-level pair encoding: nothing is unknown, spaces belong to the next piece
    unigram      Kudo (2018): the most probable segmentation; unknown characters become [UNK]
    characters   every character one token
    words        words and punctuation marks; Chinese is cut into dictionary words (rjieba); rare ones are [UNK]
    spaces       what stands between spaces, for text that was tokenized before

words and spaces can have phrases: an entry of the vocabulary with a space in it, `new york`, is one token wherever its
words stand side by side (text/phrases.py). Only `Tokenizer` joins them: other libraries that read the same
tokenizer.json give the words one by one and never such an entry.

[PAD] [UNK] [CLS] [SEP] [MASK] are ids 0 … 4 for every kind that is trained here; imported ones have others, and not all
of them (text/roles.py). Text never turns into one of these by accident: `[MASK]` typed in a corpus is the letters,
unless `special=True` is asked for (fill does). Tokens that people added to an imported vocabulary, such as `[QRY]`, are
there to be written into texts: they are tokens wherever they stand, as in the library they come from.
"""

from __future__ import annotations

import functools
import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tokenizers as hf

from polyseme.core.arrays import BoolArray
from polyseme.core.config import to_json
from polyseme.errors import ConfigError, InputError
from polyseme.text.clean import replace_surrogates
from polyseme.text.phrases import Phrases
from polyseme.text.roles import (
    ROLES,
    SETTINGS,
    SPECIAL_TOKENS,
    is_reserved,
    read_settings,
    resolve_roles,
)
from polyseme.text.tokens import BYTE_OF, Tokens, cover_marks, joins
from polyseme.text.unknown import UnknownShare, counter_of_file
from polyseme.text.words import TOKEN_PATTERN, close_gaps, has_cjk, token_spans

__all__ = [
    "ABSENT",
    "SPECIAL_TOKENS",
    "Spelling",
    "Tokenizer",
]

Spelling = Literal["pieces", "bytes", "metaspace", "characters", "words", "spaces"]
ABSENT = -1
"""The id of a role that no token of a vocabulary has; no text has it."""


class Tokenizer:
    """A trained tokenizer.

    Args:
        backend: a `tokenizers.Tokenizer`.
        settings: which tokens have which role, as in tokenizer_config.json; None = by their names (text/roles.py).
    Attributes:
        pad_id, unk_id, cls_id, sep_id, mask_id: ids of the tokens that have these roles; ABSENT where none has. Without
            padding, pad_id is that of any token: nothing reads it.
        special_ids: all of those that there are.
        added: special tokens besides these, which somebody added: tokens wherever they stand in a text.
        met: how many tokens texts were given so far, and how many of them are unknown.
        end_ids: ids that end a generated text: sep_id and, in some imported models, others.
        prefix_ids, suffix_ids: what is put around a text that an encoder reads ([CLS] … [SEP], or nothing), as the
            tokenizer.json says. A decoder reads the prefix alone; see `opening`.

    Raises:  ConfigError: the settings name tokens that are not there.
    Example:
        >>> tokenizer = train_tokenizer(["the cat sat on the mat"] * 9, TokenizerConfig(vocab_size=64), 0)
        >>> tokens = tokenizer.encode("The mat")
        >>> tokenizer.decode(tokens.ids), tokens.offsets[0][0], tokens.word_starts[0]
        ('the mat', 0, True)
    """

    def __init__(self, backend: hf.Tokenizer, settings: Mapping[str, Any] | None = None) -> None:
        self._load(backend.to_str(), settings)

    def _load(self, text: str, settings: Mapping[str, Any] | None = None, where: object = None) -> None:
        self.met = UnknownShare()
        self._json = text  # kept as it is: the library's writer does not give back the same floats
        self._special = hf.Tokenizer.from_str(text)
        spec = json.loads(text)
        model = spec["model"]
        steps = {name: step for name, step in spec.items() if name not in ("model", "added_tokens")}
        # without the vocabulary, whose words may look like names of steps
        frame = json.dumps(steps, ensure_ascii=False)
        self._model: str = model["type"]
        self._by_character = self._model == "WordLevel" and r'"[\\s\\S]"' in frame
        self._cuts_chinese = (
            self._model == "WordLevel" and json.dumps(TOKEN_PATTERN, ensure_ascii=False) in frame
        )
        self._prefix: str = model.get("continuing_subword_prefix") or ""
        self._has_byte_level = '"ByteLevel"' in frame
        cuts_at_spaces = self._cuts_chinese or '"WhitespaceSplit"' in frame
        joining = self._model == "WordLevel" and not self._by_character and cuts_at_spaces
        self.phrases = Phrases.of_vocabulary(model["vocab"]) if joining else None
        vocabulary = self._special.get_vocab()
        self.vocab_size: int = max(vocabulary.values(), default=-1) + 1
        self.roles = resolve_roles(vocabulary.get, self._special.id_to_token, settings, where)
        ids = {role: vocabulary[token] for role, token in self.roles.tokens.items()}
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = (
            ids.get(role, ABSENT) for role in ROLES
        )
        self.special_ids = tuple(dict.fromkeys(ids[role] for role in ROLES if role in ids))
        self.end_ids = tuple(vocabulary[token] for token in self.roles.ends)
        if self.pad_id == ABSENT:
            self.pad_id = max(self.sep_id, self.cls_id, 0)
        self.added = tuple(
            token["content"]
            for token in spec.get("added_tokens") or ()
            if token["special"] and not is_reserved(token["content"], self.roles)
        )
        self._plain = hf.Tokenizer.from_str(_with_plain(spec, self.added) if self.added else text)
        for backend in (self._special, self._plain):
            backend.no_padding()
            backend.no_truncation()
        self._plain.encode_special_tokens = True  # i.e. encode the letters of "[MASK]", not the token
        self.prefix_ids, self.suffix_ids = self._wrapping()

    def _wrapping(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What the post-processor puts before and after a text."""
        for probe in ("a", "1", "的", "?"):
            whole = self._special.encode(probe)
            mask: list[int] = whole.special_tokens_mask
            if 0 in mask:
                first, last = mask.index(0), len(mask) - mask[::-1].index(0)
                return tuple(whole.ids[:first]), tuple(whole.ids[last:])
        return (), ()

    def opening(self, ids: Sequence[int]) -> list[int]:
        """A prompt as a decoder reads it: after the prefix; one without any token begins a text.

        Raises:  ConfigError: there is nothing to begin with.
        """
        window = [*self.prefix_ids, *ids]
        if not window:
            window = [i for i in (self.cls_id, self.sep_id) if i != ABSENT][:1]
        if not window:
            raise ConfigError(
                "the vocabulary has no token for the beginning of a text",
                got="an empty prompt",
                fix="a prompt of at least one token",
            )
        return window

    @property
    def is_word_level(self) -> bool:
        """Whether every token is a whole word or mark (kinds words and spaces)."""
        return self._model == "WordLevel" and not self._by_character

    @property
    def piece_prefix(self) -> str:
        """What WordPiece writes before a piece that goes on a word: "##"; "" in other vocabularies."""
        return self._prefix

    @property
    def spelling(self) -> Spelling:
        """How tokens spell text, for text/joining.py: "metaspace" writes a space as ▁, "words" leaves spaces out."""
        if self._has_byte_level:
            return "bytes"
        if self._model == "WordLevel":
            return "characters" if self._by_character else "words" if self._cuts_chinese else "spaces"
        return "pieces" if self._prefix else "metaspace"

    @classmethod
    def from_file(cls, path: Path | str) -> Tokenizer:
        """Read a Hugging Face `tokenizer.json`, and roles of tokens from a tokenizer_config.json beside it.

        Raises:  ConfigError: it is not such a file, or the settings do not fit it.
                 FileNotFoundError: there is no such file.
        """
        text = Path(path).read_text("utf-8", "replace")
        tokenizer = cls.__new__(cls)
        try:
            tokenizer._load(text, read_settings(Path(path)), Path(path).with_name(SETTINGS))
        except ConfigError:
            raise
        except BaseException as error:
            if not from_library(error):
                raise
            raise ConfigError(
                "not a tokenizer.json that the tokenizers library reads", got=str(error)[:200], where=path
            ) from None
        tokenizer.met = counter_of_file(str(path))
        return tokenizer

    def save(self, path: Path | str) -> None:
        """Write `tokenizer.json`; other libraries read it, with BERT's [CLS] A [SEP] B [SEP] template.

        Roles that the tokens' names do not tell are written to a tokenizer_config.json beside it.
        """
        Path(path).write_text(self._json, "utf-8")
        beside = Path(path).with_name(SETTINGS)
        if self.roles != resolve_roles(self.id, self._special.id_to_token) or beside.exists():
            beside.write_text(to_json(self.roles.settings()), "utf-8")

    def as_json(self) -> dict[str, Any]:
        """The contents of tokenizer.json."""
        return dict(json.loads(self._json))

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of the JSON: equal fingerprints give equal ids for every text."""
        return hashlib.blake2b(self._json.encode(), digest_size=16).hexdigest()

    def encode(self, text: str, special: bool = False) -> Tokens:
        """Encode one text, adding no [CLS] or [SEP].

        Args:
            text: as the user wrote it.
            special: read "[MASK]" and the other special tokens in the text as such.
        """
        tokens = self._joined(self._encode(text, self._special if special else self._plain))
        self.met.add(tokens.ids, self.unk_id)
        return tokens

    def _encode(self, text: str, backend: hf.Tokenizer) -> Tokens:
        if self._cuts_chinese and has_cjk(text):
            return self._words(text, backend)
        return self._tokens(text, backend.encode(replace_surrogates(text), add_special_tokens=False))

    def _joined(self, tokens: Tokens) -> Tokens:
        """Tokens with the words of phrases joined."""
        return tokens if self.phrases is None else tokens.joined(self.phrases.find(tokens.ids))

    def _words(self, text: str, backend: hf.Tokenizer) -> Tokens:
        """Tokens of a text with Chinese words, which the library cannot cut."""
        spans = token_spans(text)
        words = [replace_surrogates(text[start:end]) for start, end in spans]
        ids = backend.encode(words, is_pretokenized=True, add_special_tokens=False).ids
        if len(ids) != len(spans):  # a word that normalising took away or took apart
            each = backend.encode_batch(words, add_special_tokens=False)
            spans = [span for span, e in zip(spans, each, strict=True) for _ in e.ids]
            ids = [i for e in each for i in e.ids]
        return Tokens(ids, spans, [True] * len(ids))

    def encode_batch(self, texts: Sequence[str], phrases: bool = True) -> list[Tokens]:
        """Encode many texts on all cores; without `phrases`, the words of phrases stay apart.

        Raises:  InputError: one string, whose letters would be the texts.
        """
        _check_several(texts)
        if self._cuts_chinese and any(map(has_cjk, texts)):
            tokens = [self._encode(text, self._plain) for text in texts]
        else:
            clean = list(map(replace_surrogates, texts))
            encodings = self._plain.encode_batch(clean, add_special_tokens=False)
            tokens = [self._tokens(text, encoding) for text, encoding in zip(texts, encodings, strict=True)]
        for encoded in tokens:
            self.met.add(encoded.ids, self.unk_id)
        return list(map(self._joined, tokens)) if phrases and self.phrases else tokens

    def encode_ids(self, texts: Sequence[str], phrases: bool = True) -> list[list[int]]:
        """The ids alone of what `encode_batch` gives, faster.

        Raises:  InputError: one string, whose letters would be the texts.
        """
        _check_several(texts)
        if self._cuts_chinese and any(map(has_cjk, texts)):
            ids = [self._encode(text, self._plain).ids for text in texts]
        else:
            clean = list(map(replace_surrogates, texts))
            ids = [e.ids for e in self._plain.encode_batch_fast(clean, add_special_tokens=False)]
        for row in ids:
            self.met.add(row, self.unk_id)
        if not phrases or self.phrases is None:
            return ids
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        joined = self.phrases.join(np.fromiter(chain.from_iterable(ids), np.int64), lengths)
        flat = iter(joined.ids.tolist())
        return [list(islice(flat, length)) for length in joined.lengths.tolist()]

    def lookup(self, word: str) -> list[int]:
        """Ids of a word or phrase that a person typed by itself: known ones if there are, and as few as there are.

        "good" may be " good" in the vocabulary of byte-bpe, and new_york is a usual way to write a phrase.
        """
        whole = self.id(self.normalise(word)) if self.is_word_level else None
        if whole is not None and whole not in self.special_ids:
            return [whole]  # e.g. u.s., though a text's tokens are u . s .
        ways = [f" {word}", word]
        if self.phrases is not None:
            ways.append(word.replace("_", " "))
        spellings = [ids for way in ways if (ids := self._joined(self._encode(way, self._plain)).ids)]
        return min(spellings, key=lambda ids: (self.unk_id in ids, len(ids)), default=[])

    def _tokens(self, text: str, encoding: hf.Encoding) -> Tokens:
        offsets: list[tuple[int, int]] = encoding.offsets
        if not unicodedata.is_normalized("NFC", text):
            offsets = cover_marks(text, offsets)
        if self._by_character:  # the library sees no words
            on = [joins(text[start:end]) for start, end in offsets]
            starts = [True, *(not (a and b) for a, b in pairwise(on))][: len(on)]
        else:
            words = encoding.word_ids
            starts = [True, *(a != b for a, b in pairwise(words))][: len(words)]
        return Tokens(encoding.ids, offsets, starts)

    def normalise(self, text: str) -> str:
        """A piece of text in the form that the vocabulary has it: NFC, lower case where it is folded."""
        normalizer = self._special.normalizer
        return text if normalizer is None else str(normalizer.normalize_str(replace_surrogates(text)))

    def decode(self, ids: Iterable[int], skip_special: bool = True) -> str:
        """Join tokens into text; special tokens are left out unless asked for."""
        return self._special.decode([int(i) for i in ids], skip_special_tokens=skip_special)

    def token(self, id: int) -> str:
        """The token as it is in the vocabulary."""
        return str(self._special.id_to_token(int(id)))

    def id(self, token: str) -> int | None:
        """The id of a token as it is in the vocabulary, or None."""
        try:
            return self._special.token_to_id(token)
        except UnicodeEncodeError:  # a byte that is no text, as a shell hands it on
            return None

    def token_bytes(self, id: int) -> bytes:
        """The bytes of a byte-bpe token."""
        token = self.token(id)
        try:
            return bytes(map(BYTE_OF.__getitem__, token))
        except KeyError:  # a token that was added as it is
            return token.encode()

    def continuation(self, token: str) -> str | None:
        """What a piece adds to the word before it ("ing" of "##ing"); None where the token begins a word."""
        prefix = self._prefix
        return token[len(prefix) :] if prefix and token.startswith(prefix) and token != prefix else None

    def display(self, id: int) -> str:
        """The token as a person reads it: " the" for "Ġthe" and "▁the"; "##ing" stays.

        A phrase's Chinese words follow each other without the space: 自然语言 for "自然 语言".
        """
        token = self.token(id)
        if id in self.special_ids:
            return token
        if self._has_byte_level:
            return self.token_bytes(id).decode("utf-8", "backslashreplace")
        if self._cuts_chinese and " " in token:  # a phrase
            return close_gaps(token)
        return token.replace("▁", " ") if self._model == "Unigram" else token

    @functools.cached_property
    def by_display(self) -> dict[str, int]:
        """Ids by what `display` writes; of two that are written alike the first."""
        found: dict[str, int] = {}
        for id in range(self.vocab_size):
            if self._special.id_to_token(id) is not None:  # some vocabularies have gaps
                found.setdefault(self.display(id), id)
        return found

    @functools.cached_property
    def continues(self) -> BoolArray:
        """(vocab_size,) True where a token never starts a word.

        For wordpiece the `##` pieces, exactly. For byte-bpe and unigram a piece without a leading space that
        begins with a letter or digit, though it may follow an opening quote; Chinese characters count as
        words of their own. For characters none: only neighbours tell.
        """
        return np.array([self._continues(i) for i in range(self.vocab_size)], dtype=np.bool_)

    def _continues(self, id: int) -> bool:
        token = self.token(id)
        if id in self.special_ids or self._model == "WordLevel":
            return False
        if self._prefix:
            return token.startswith(self._prefix) and len(token) > len(self._prefix)
        if self._has_byte_level:
            raw = bytes(BYTE_OF.get(c, 0) for c in token)
            if 0x80 <= raw[0] < 0xC0:  # the middle of a character
                return True
            text = raw.decode("utf-8", "ignore")
            return joins(text[0]) if text else not 0xE3 <= raw[0] < 0xF0
        return joins(token[0])


def _with_plain(spec: Mapping[str, Any], added: Sequence[str]) -> str:
    """A tokenizer.json in which these tokens are none of the special ones, which are letters in a text."""
    tokens = [t | {"special": t["special"] and t["content"] not in added} for t in spec["added_tokens"]]
    return json.dumps({**spec, "added_tokens": tokens}, ensure_ascii=False)


def _check_several(texts: Sequence[str]) -> None:
    if isinstance(texts, str):
        raise InputError("several texts are expected", got=f"the string {texts[:60]!r}", fix="encode(text)")


def from_library(error: BaseException) -> bool:
    """Whether an error may be the tokenizers library's, which raises bare Exception for bad files, or panics."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"
