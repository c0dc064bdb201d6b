"""What a run's vocabulary makes of a text: the tokens that the model reads, and where they stand in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, overload

from polyseme.core.result import Result
from polyseme.infer.inputs import check_loaded, texts_of
from polyseme.infer.loaded import Loaded

__all__ = ["Tokenized", "tokenize"]


@dataclass(frozen=True, eq=False, repr=False)
class Tokenized(Result):
    """A text in tokens: `tokenize`.

    Args:
        text: as it was given.
        tokens: [{"token", "id", "start", "end", "word_start", "unknown"}], places in characters of the text.
        cut: how many of the last tokens are more than the model reads at once.
    """

    kind = "tokenize"
    notes = ()

    text: str
    tokens: list[dict[str, Any]]
    cut: int

    def document(self) -> dict[str, Any]:
        """{"text", "tokens", "cut"}"""
        return {"text": self.text, "tokens": self.tokens, "cut": self.cut}

    def headline(self) -> str:
        """The text, and how many tokens it has."""
        return f"{self.text[:40]!r}: {len(self.tokens):,} tokens"

    def rows(self) -> list[dict[str, Any]]:
        """A row a token."""
        return self.tokens


@overload
def tokenize(loaded: Loaded, texts: str) -> Tokenized: ...  # type: ignore[overload-overlap]
@overload
def tokenize(loaded: Loaded, texts: Iterable[str]) -> list[Tokenized]: ...
def tokenize(loaded: Loaded, texts: str | Iterable[str]) -> Tokenized | list[Tokenized]:
    """The tokens of texts as `embed`, `encode` and `score` read them, without [CLS] and [SEP].

    Args:
        loaded: a run.
        texts: one or several, any strings; "[MASK]" in them is these letters, not the token.
    Returns a `Tokenized` for one text, a list for several.
    Raises:  InputError: not text.

    Example:
        [token["token"] for token in tokenize(load("runs/bert"), "unbelievable").tokens]   # ["un", "##believable"]
    """
    check_loaded(loaded)
    several, single = texts_of(texts)
    tokenizer = loaded.tokenizer
    answers = []
    for text, tokens in zip(several, tokenizer.encode_batch(several), strict=True):
        rows = [
            {
                "token": tokenizer.display(id),
                "id": id,
                "start": start,
                "end": end,
                "word_start": begins,
                "unknown": id == tokenizer.unk_id,
            }
            for id, (start, end), begins in zip(tokens.ids, tokens.offsets, tokens.word_starts, strict=True)
        ]
        answers.append(Tokenized(text, rows, max(0, len(rows) - loaded.max_content)))
    return answers[0] if single else answers
