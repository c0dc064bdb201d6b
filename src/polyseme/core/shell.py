"""Words as they are typed into a shell, and as a terminal shows them: the one place where commands are written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from polyseme.core.paths import PathLike

__all__ = ["command", "harmless", "typed"]

_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters that a terminal obeys in place of showing them: escape sequences, and turns of the writing's direction."""


def harmless(said: str) -> str:
    r"""A text of which a terminal shows every character.

    Example:
        >>> print(harmless("red: \x1b[31m"))
        red: \x1b[31m
    """
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), said)


def command(*words: object) -> str:
    """Write a command so that it can be pasted into a shell.

    Args:
        words: of the command; a Path that begins with a dash gets ./, without which it would be read as an option.

    Example:
        >>> command("polyseme", "fill", "my run", "It is [MASK].")
        "polyseme fill 'my run' 'It is [MASK].'"
        >>> command("polyseme", "inspect", Path("-run"))
        'polyseme inspect ./-run'
    """
    return " ".join(_quoted(word) for word in words)


def typed(path: PathLike) -> str:
    """A path as it is typed into a shell, for the command that an error names.

    Example:
        >>> typed("my runs/bert")
        "'my runs/bert'"
    """
    return command(Path(path))


def _quoted(word: object) -> str:
    """A word for a shell; of characters that a terminal obeys in place of showing them their numbers, as bash reads."""
    text = str(word)
    if isinstance(word, Path) and text.startswith("-"):
        text = f"./{text}"
    if harmless(text) == text:  # bytes that are no UTF-8 among it: they are printed as they are
        return shlex.quote(text)
    escaped = text.replace("\\", r"\\").replace("'", r"\'")
    shown = (f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else harmless(c) for c in escaped)
    return f"$'{''.join(shown)}'"
