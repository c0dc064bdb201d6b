"""What people hand to a run as text: one string or several, and nothing else."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping, Set

from polyseme.errors import InputError

__all__ = ["texts_of"]


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
