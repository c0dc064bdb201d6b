"""Texts with places to fill, such as "{text} It was {label}.", and what to leave out where they grow too long.

"{text} It was {label}."                 English
"《{text}》这篇评论的态度是{label}。"        Chinese: nothing is put between the parts
"{{not a place}} {text}"                 doubled braces stand for themselves
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from polyseme.errors import ConfigError, InputError
from polyseme.text.tokenizers import Tokenizer

__all__ = ["Filled", "Template", "shortened"]


class Filled(NamedTuple):
    """A text whose places are filled.

    Args:
        text: without white space in front.
        spans: [start, end) of the first place of each name.
    """

    text: str
    spans: dict[str, tuple[int, int]]


class Template:
    """A text with places to fill.

    Args:
        source: as a person writes it: {name} is a place, {{ and }} are braces.
        known: names that may occur.
        needed: names that must occur.
        once: names that may occur once only.
    Attributes:
        names: those that occur.
    Raises:  ConfigError: an unknown name, one that is missing or repeated, or a brace that stands alone.
    Example:
        >>> Template("{text} It was {label}.", ["text", "label"]).fill(
        ...     {"text": "Fine.", "label": "good"}
        ... ).text
        'Fine. It was good.'
    """

    def __init__(
        self, source: str, known: Sequence[str], needed: Sequence[str] = (), once: Sequence[str] = ()
    ) -> None:
        places = ", ".join(f"{{{name}}}" for name in known)
        if not isinstance(source, str):
            raise ConfigError("a template must be a string", got=repr(source)[:80], expected=f"with {places}")
        self.source = source
        try:
            parts = list(string.Formatter().parse(source))
        except ValueError:
            raise ConfigError(
                "a brace stands alone in the template",
                got=source,
                expected=f"the places {places}",
                fix="write {{ or }} for a brace itself",
            ) from None
        self._parts: list[tuple[str, str | None]] = []
        for literal, name, form, conversion in parts:
            if name is not None and (name not in known or form or conversion):
                shown = name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
                raise ConfigError(
                    f"unknown place {{{shown}}} in the template",
                    got=source,
                    expected=places,
                    fix="write {{ and }} for braces themselves",
                )
            self._parts.append((literal, name))
        found = [name for _, name in self._parts if name is not None]
        self.names = tuple(dict.fromkeys(found))
        for name in needed:
            if name not in found:
                raise ConfigError(f"the template has no {{{name}}}", got=source, expected=f"{places}")
        for name in once:
            if found.count(name) > 1:
                raise ConfigError(f"{{{name}}} may stand in the template once", got=source)

    def fill(self, values: Mapping[str, str]) -> Filled:
        """The text with these values; what is in a value is never read as a place."""
        text, spans = "", dict[str, tuple[int, int]]()
        for literal, name in self._parts:
            text += literal
            if name is not None:
                spans.setdefault(name, (len(text), len(text) + len(values[name])))
                text += values[name]
        bare = text.lstrip()
        gone = len(text) - len(bare)
        return Filled(bare, {name: (max(0, a - gone), max(0, b - gone)) for name, (a, b) in spans.items()})

    def before(self, name: str) -> str:
        """The literal text right before the first place of a name."""
        return next((literal for literal, found in self._parts if found == name), "")


def shortened(
    tokenizer: Tokenizer, template: Template, values: Mapping[str, str], room: int, names: Sequence[str]
) -> tuple[dict[str, str], bool]:
    """Values with which the filled template has at most `room` tokens, and whether something was left out.

    Args:
        values: what to fill in.
        room: tokens that the model reads.
        names: values that may lose their beginnings, the first of them until nothing of it is left, then the next.
    Raises:  InputError: the rest alone is too long.
    """
    kept, cut = dict(values), False
    for name in names:
        while True:
            filled = template.fill(kept)
            offsets = tokenizer.encode(filled.text).offsets
            over = len(offsets) - room
            if over <= 0:
                return kept, cut
            if name not in filled.spans or not kept[name]:
                break
            start, end = filled.spans[name]
            inside = [a for a, b in offsets if a >= start and b <= end]
            at = inside[over] if over < len(inside) else end
            kept[name], cut = kept[name][max(1, at - start) :].lstrip(), True
    tokens = len(tokenizer.encode(template.fill(kept).text))
    if tokens <= room:
        return kept, cut
    raise InputError(
        "what must not be left out is longer than the model reads",
        got=f"{tokens:,} tokens",
        expected=f"at most {max(room, 0):,}",
        fix="a shorter template or question, or a model that reads more",
    )
