"""Large whole numbers as people write them: 5000000, 5_000_000, 5e6, 5M, 1.5k."""

from __future__ import annotations

from decimal import Decimal

__all__ = ["read_count", "short_count"]

_UNITS = {"k": 10**3, "m": 10**6, "g": 10**9}
_MOST = 10**18


def read_count(text: str) -> int:
    """Read a whole number.

    Raises:  ValueError: it is none; the message says how one is written.

    Example:
        >>> read_count("10M"), read_count("1.5k"), read_count("100_000")
        (10000000, 1500, 100000)
    """
    text = text.strip().lower().replace("_", "")
    scale = _UNITS.get(text[-1:], 1)
    try:
        value = Decimal(text[:-1] if scale > 1 else text) * scale
        if abs(value) <= _MOST and value == int(value):
            return int(value)
    except ArithmeticError:  # no number, or one beyond all bounds
        pass
    raise ValueError("write a whole number like 5000000, 5e6 or 5M")


def short_count(number: int) -> str:
    """The shortest of these forms, with k or M.

    Example:
        >>> short_count(10_000_000), short_count(1_500), short_count(1_234_567)
        ('10M', '1.5k', '1234567')
    """
    for letter, unit in (("M", 10**6), ("k", 10**3)):
        if number >= unit and number * 10 % unit == 0:
            return f"{number / unit:.15g}{letter}" if number < 10**6 * unit else str(number)
    return str(number)
