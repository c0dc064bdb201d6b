"""How text is read, and how a tokenizer is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from polyseme.core.config import Config
from polyseme.errors import ConfigError
from polyseme.text.encodings import check_name

__all__ = ["TextConfig", "TokenizerConfig"]


class TextConfig(Config):
    """How text is read.

    Args:
        documents: what parts documents in .txt files (see split.py and, for auto, document_rule.py).
        encoding: of all files, or "auto" to detect it file by file.
        sentences: "auto" finds where they end (sentences.py); "line" = each line is one, such as a turn of a dialogue.
        field: of the records in .jsonl files, which holds the text; "messages.message" goes into lists and joins lines.
        normalize: Unicode normal form.
        deduplicate: remove documents that were seen before. "exact": of equal cleaned texts (64-bit BLAKE2b) the first
            stays. "near": also of those that nearly repeat each other (near.py).
        valid_share: share of the documents that are held out, chosen by hash; at least one of several, unless it is 0.
        language: "en", "zh", or "auto" to tell by the share of Chinese characters.
    """

    documents: Literal["auto", "blank", "file", "line", "heading"] = "auto"
    sentences: Literal["auto", "line"] = "auto"
    encoding: str = "auto"
    field: str = "text"
    normalize: Literal["NFC", "NFKC", "none"] = "NFC"
    deduplicate: Literal["none", "exact", "near"] = "none"
    valid_share: float = Field(default=0.05, ge=0.0, lt=1.0)
    language: Literal["auto", "en", "zh"] = "auto"

    @field_validator("encoding")
    @classmethod
    def _known(cls, name: str) -> str:
        if name != "auto":
            try:
                check_name(name)
            except ConfigError as error:
                raise ValueError(f"a known encoding; {error.fix}") from None
        return name


_MINIMUM = {"wordpiece": 64, "byte-bpe": 320, "unigram": 64, "characters": 16, "words": 16, "spaces": 16}


class TokenizerConfig(Config):
    """How to train a tokenizer.

    Args:
        kind: see the head of tokenizers.py.
        vocab_size: tokens with the five special ones; None chooses from the corpus size.
        lowercase: fold case; None means what is usual for the kind (wordpiece, words, spaces yes, the others no).
        min_count: words and spaces: a word must occur so often in the sample to have a token.
        sample_bytes: train on at most so much text (UTF-8 bytes).
        phrases: words and spaces: passes that look for phrases such as "new york", which then are one token; a
            phrase has up to 2^phrases words; 0 = none, 2 is usual (text/phrases.py).
        phrase_threshold: score that a phrase needs in the first pass, half of it in the second and so on; higher
            gives fewer. 100 is that of Mikolov et al.'s word2phrase.
        phrase_delta: their δ: occurrences of a pair that do not count, so that rare words form no phrases.
    """

    kind: Literal["wordpiece", "byte-bpe", "unigram", "characters", "words", "spaces"] = "wordpiece"
    vocab_size: int | None = Field(default=None, le=1_000_000)
    lowercase: bool | None = None
    min_count: int = Field(default=2, ge=1)
    sample_bytes: int = Field(default=20_000_000, ge=1_000)
    phrases: int = Field(default=0, ge=0, le=4)
    phrase_threshold: float = Field(default=100.0, ge=0, allow_inf_nan=False)
    phrase_delta: float = Field(default=5.0, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _large_enough(self) -> TokenizerConfig:
        if self.vocab_size is not None and self.vocab_size < _MINIMUM[self.kind]:
            raise ValueError(f"vocab_size of at least {_MINIMUM[self.kind]} for {self.kind}")
        if self.phrases and self.kind not in ("words", "spaces"):
            raise ValueError(f"kind words or spaces for phrases; {self.kind} has no words to join")
        return self

    @property
    def folds_case(self) -> bool:
        """`lowercase` with None resolved."""
        return self.kind in ("wordpiece", "words", "spaces") if self.lowercase is None else self.lowercase
