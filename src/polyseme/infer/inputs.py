"""Checks of arguments: one text or several, a loaded run, counts and choices.

Anything else is refused. If texts are longer than the model reads, a warning counts them, so that no text is cut
silently.
"""

from __future__ import annotations

import reprlib
import warnings
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from polyseme.errors import ConfigError, InputError

__all__ = [
    "CutWarning",
    "Truncated",
    "at_least_one",
    "check_loaded",
    "cut_note",
    "one_of",
    "one_text",
    "texts_of",
    "warn_of_cut",
]

MOST_NAMED = 1000
"""Texts that were cut which are named; all are counted."""

_SHOWN = 5


class CutWarning(UserWarning):
    """Texts are longer than what is read.

    Attributes:
        truncated: the numbers of the first thousand of them, from 0.
        tokens_lost: how many tokens of all of them were not read.
    """

    def __init__(self, message: str, truncated: Truncated) -> None:
        super().__init__(message)
        self.truncated, self.tokens_lost = list(truncated.lost), truncated.tokens


@dataclass
class Truncated:
    """Texts whose ends were not read.

    Args:
        lost: number of a text, from 0 -> how many of its tokens were not read; the first thousand such texts.
        texts, tokens: of all of them.

    Example:
        >>> cut = Truncated.of([3, 7, 5], 4)
        >>> cut.texts, cut.tokens, cut.as_dict()
        (2, 4, {'truncated': [1, 2], 'tokens_lost': 4})
    """

    lost: dict[int, int] = field(default_factory=dict)
    texts: int = 0
    tokens: int = 0

    @classmethod
    def of(cls, lengths: Iterable[int], most: int) -> Truncated:
        """Those of some texts that have more than `most` tokens."""
        truncated = cls()
        truncated.add(lengths, most)
        return truncated

    def add(self, lengths: Iterable[int], most: int, first: int = 0) -> None:
        """Count texts of these lengths, the first of which has the number `first`."""
        for number, length in enumerate(lengths, first):
            if length > most:
                self.add_one(number, int(length) - most)

    def add_one(self, number: int, lost: int) -> None:
        """Count a text that lost so many tokens."""
        self.texts, self.tokens = self.texts + 1, self.tokens + lost
        if len(self.lost) < MOST_NAMED:
            self.lost[number] = lost

    def as_dict(self) -> dict[str, Any]:
        """{"truncated": [numbers], "tokens_lost"}"""
        return {"truncated": list(self.lost), "tokens_lost": self.tokens}


def texts_of(given: object, name: str = "texts") -> tuple[list[str], bool]:
    """The texts of an argument, and whether it was a single one.

    Lists, tuples, generators, NumPy arrays, pandas and datasets columns of strings are several texts. Bytes, numbers,
    None, mappings, sets, tables and lists within lists are refused: each would give vectors of something else.

    Args:
        given: what the caller passed.
        name: what the argument is called, for the message.
    Raises:  InputError: it is neither a string nor one row of strings; says which item is not.

    Example:
        >>> texts_of("a text"), texts_of(("one", "two"))
        ((['a text'], True), (['one', 'two'], False))
    """
    if isinstance(given, str):
        return [str(given)], True
    if (
        isinstance(given, bytes | bytearray | memoryview | Mapping | Set)
        or not isinstance(given, Iterable)
        or getattr(given, "ndim", 1) != 1
    ):
        raise InputError(
            f"{name} must be a string or a list of strings", got=_shown(given), fix=_advice(given)
        )
    texts = list(given)
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(
                f"{name} must be a string or a list of strings",
                got=f"{_shown(text)} as item {place}",
                fix=_advice(text),
            )
    return [text if type(text) is str else str(text) for text in texts], False


def one_text(given: object, name: str = "text") -> str:
    """The text of an argument that is one text.

    Args:
        given: what the caller passed.
        name: what the argument is called, for the message.
    Raises:  InputError: it is no string.
    """
    if not isinstance(given, str):
        several = isinstance(given, list | tuple)
        raise InputError(
            f"{name} must be one string",
            got=_shown(given),
            fix="one at a time" if several else _advice(given),
        )
    return str(given)


def check_loaded(given: object) -> None:
    """Refuse what is not a run in memory, such as its path.

    Raises:  InputError: it is none.
    """
    if not hasattr(given, "encoder"):
        raise InputError("not a loaded run", got=_shown(given), fix="polyseme.load(PATH) gives one")


def at_least_one(name: str, value: Any) -> None:
    """Refuse a count that is not a whole number above zero.

    Raises:  ConfigError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ConfigError(f"{name} must be a whole number above zero", got=repr(value))


def one_of(name: str, value: Any, options: Iterable[Any]) -> None:
    """Refuse a value that is not among the options.

    Raises:  ConfigError: it is not.
    """
    known = list(options)
    if not any(value is option or (type(value) is type(option) and value == option) for option in known):
        raise ConfigError(f"no such {name}", got=repr(value), expected=", ".join(map(str, known)))


def cut_note(cut: Truncated, texts: int, max_content: int) -> str:
    """A sentence on texts whose ends were not read.

    Args:
        cut: those that were cut.
        texts: the number of all texts.
        max_content: tokens of a text that are read, without separators.

    Example:
        >>> print(cut_note(Truncated.of([8, 520, 9], 510), 3, 510))
        1 of 3 texts is longer than the 510 tokens that are read: its end was not read, 10 tokens in all (number 2)
    """
    verb, ends = ("is", "its end was") if cut.texts == 1 else ("are", "their ends were")
    numbers = ", ".join(f"{number + 1:,}" for number in [*cut.lost][:_SHOWN])
    more = " …" if cut.texts > _SHOWN else ""
    return (
        f"{cut.texts:,} of {texts:,} texts {verb} longer than the {max_content:,} tokens that are read: {ends} not "
        f"read, {cut.tokens:,} tokens in all (number {numbers}{more})"
    )


def warn_of_cut(cut: Truncated, texts: int, max_content: int, stacklevel: int = 3) -> None:
    """Warn once, with the count, where texts were cut."""
    if cut.texts:
        warnings.warn(CutWarning(cut_note(cut, texts, max_content), cut), stacklevel=stacklevel)


def _shown(value: object) -> str:
    shape = getattr(value, "shape", None)
    if shape is not None and len(shape):
        return f"{type(value).__name__} of shape {tuple(shape)}"
    return f"{type(value).__name__} {reprlib.repr(value)}"


def _advice(value: object) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return "decode it first, for example text.decode('utf-8')"
    if value is None or (isinstance(value, float) and value != value):
        return 'leave missing texts out, or put "" in their place'
    if isinstance(value, Mapping) or getattr(value, "ndim", 1) > 1:
        return "hand over one column, for example table['text']"
    return "str(value), or text for value in values for text in value"
