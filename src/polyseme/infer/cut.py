"""Saying how many texts were longer than what reads them, so that no end of a text is left out in silence."""

from __future__ import annotations

import warnings

__all__ = ["cut_note", "warn_of_cut"]


def cut_note(cut: int, texts: int, room: int) -> str:
    """A sentence on texts whose ends were not read.

    Args:
        cut: how many.
        texts: of how many.
        room: tokens of a text that are read, without separators.

    Example:
        >>> cut_note(1, 2, 510)
        '1 of 2 texts is longer than the 510 tokens that are read: its end was not read'
    """
    verb, ends = ("is", "its end was") if cut == 1 else ("are", "their ends were")
    return f"{cut:,} of {texts:,} texts {verb} longer than the {room:,} tokens that are read: {ends} not read"


def warn_of_cut(cut: int, texts: int, room: int, stacklevel: int = 3) -> None:
    """Warn once, with the count, where texts were cut."""
    if cut:
        warnings.warn(cut_note(cut, texts, room), stacklevel=stacklevel)
