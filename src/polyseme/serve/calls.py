"""A request as a handler sees it, and what it answers: between HTTP and the protocols of wire/."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, unquote

from polyseme.core.config import escaped
from polyseme.serve.errors import Body, Refused
from polyseme.serve.work.service import Service

__all__ = ["Answer", "Call", "Chunks", "Protocol", "Route", "noted", "to_bytes", "without_paths"]

Protocol = Literal["ours", "openai", "tei", "hf"]
"""Whose shapes the errors of a route have."""
_MOST_NOTES = 1500
_PLAIN = " ,;:.()'"
_PATH = re.compile(r"(?<!\S)(?:/|~|\.{1,2}/|[A-Za-z]:\\)[^,;:\n]*[/\\]")


def _faster() -> Any:
    try:
        return importlib.import_module("orjson")
    except ImportError:
        return None


_ORJSON = _faster()


def to_bytes(value: Any) -> bytes:
    """JSON in UTF-8, on one line."""
    if _ORJSON is not None:
        try:
            return bytes(_ORJSON.dumps(value, option=_ORJSON.OPT_SERIALIZE_NUMPY | _ORJSON.OPT_NON_STR_KEYS))
        except TypeError:  # a lone surrogate in a file's name, or a tuple with names
            pass
    return escaped(json.dumps(value, ensure_ascii=False, allow_nan=False)).encode()


def without_paths(value: Any, names: Sequence[tuple[str, str]] = ()) -> Any:
    """A document whose files and folders are told by their last name alone.

    Args:
        names: what some of them are called.

    Example:
        >>> without_paths({"notes": ["not NFC: /home/me/texts/a.txt, character 3"]})
        {'notes': ['not NFC: a.txt, character 3']}
    """
    if isinstance(value, str):
        for path, name in names:
            value = value.replace(path, name)
        return _PATH.sub("", value)
    if isinstance(value, Mapping):
        return {without_paths(key, names): without_paths(each, names) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(each, names) for each in value]
    return value


def noted(text: str, most: int | None = None) -> str:
    """A note as it stands in a header.

    Args:
        most: letters that it may have there; what is more is left out, a whole character at a time.
    """
    shown = quote(text, safe=_PLAIN)
    if most is None or len(shown) <= most:
        return shown
    kept = list[str]()
    for sign in text:
        part = quote(sign, safe=_PLAIN)
        most -= len(part)
        if most < 0:
            break
        kept.append(part)
    return "".join(kept)


class _Noted:
    """What has X-Notes: what a person should know, percent-encoded."""

    headers: dict[str, str]

    def add_notes(self, notes: Sequence[str]) -> None:
        """Notes behind those that are there."""
        if notes:
            before = [unquote(self.headers["x-notes"])] if "x-notes" in self.headers else []
            self.headers["x-notes"] = noted("; ".join([*before, *notes]), _MOST_NOTES)


@dataclass
class Answer(_Noted):
    """A whole answer.

    Args:
        body: what becomes JSON; bytes stay as they are.
        tokens: for the log.
    """

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    media: str = "application/json"
    tokens: int = 0

    def noted(self, notes: Sequence[str], cut: Sequence[int] = ()) -> Answer:
        """With what a person should know, in headers: X-Notes (percent-encoded), X-Truncated (numbers of texts)."""
        self.add_notes(notes)
        if cut:
            self.headers["x-truncated"] = ",".join(map(str, cut))
        return self


@dataclass
class Chunks(_Noted):
    """An answer that comes in parts.

    Args:
        parts: whole lines, or events.
        broken: what the last part is where the work fails underway.
        close: called at the end, whether it was sent or not.
    """

    parts: AsyncIterator[bytes]
    broken: Callable[[Refused], bytes]
    headers: dict[str, str] = field(default_factory=dict)
    media: str = "application/x-ndjson"
    tokens: int = 0
    close: Callable[[], None] = lambda: None


@dataclass
class Call:
    """One request.

    Args:
        service: whom to ask for work.
        run: the name of the run that is asked: of the path, else of the body, else the first.
        parts: what stood in the path's places.
        query: of the URL; the last of a name counts.
        headers: by lower-case name.
        values: the body as JSON.
        asked: the same as its schema has it.
        lang: that was asked for; None = nobody says.
    """

    service: Service
    run: str
    parts: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    values: Any = None
    asked: Any = None
    lang: str | None = None

    def told(self, notes: Sequence[str]) -> list[str]:
        """Notes in the language that was asked for, else in the server's."""
        if (self.lang or self.service.config.lang) == "en":
            return list(notes)
        from polyseme.report.language import Speaker

        say = Speaker(self.lang or self.service.config.lang)
        return [say.note(note) for note in notes]

    def spoken(self, found: Any) -> Any:
        """A document with its notes in the language that was asked for; as the command line has it where none was."""
        if self.lang is None or not isinstance(found, dict) or not isinstance(found.get("notes"), list):
            return found
        return found | {"notes": self.told(found["notes"])}


Handler = Callable[[Call], Awaitable[Answer | Chunks]]


@dataclass(frozen=True)
class Route:
    """A place that answers.

    Args:
        path: with {name} where anything but a slash may stand.
        body: the schema of what is posted; None = nothing, or what the handler reads itself.
        ability: what a run must be able to do.
        protocol: whose shapes it speaks.
        named: the field of the body that names the run.
        bodies: schemas of which the handler itself chooses one, for openapi.json.
        several: whether `runs` may name several, which answer in turn.
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    handler: Handler
    body: type[Body] | None = None
    ability: str | None = None
    protocol: Protocol = "ours"
    named: str = "run"
    bodies: tuple[type[Body], ...] = ()
    several: bool = False

    def match(self, path: str) -> dict[str, str] | None:
        """What stands in the path's places; None where it is another path."""
        ours, theirs = self.path.split("/"), path.split("/")
        if len(ours) != len(theirs):
            return None
        parts: dict[str, str] = {}
        for mine, other in zip(ours, theirs, strict=True):
            if mine.startswith("{"):
                if not other:
                    return None
                parts[mine[1:-1]] = other
            elif mine != other:
                return None
        return parts
